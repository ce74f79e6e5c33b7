// The table itself, as it is made, found and waited for (KCL DynamoDBLeaseRefresher.createLeaseTableIfNotExists, DynamoUtils).
import { describe, expect, test } from 'vitest';
import { resolveOptions } from '../../src/options.ts';
import { makeTables, wireScene } from './wire.ts';

const wire = wireScene();
const index = {
  IndexName: 'LeaseOwnerToLeaseKeyIndex',
  KeySchema: [
    { AttributeName: 'leaseOwner', KeyType: 'HASH' },
    { AttributeName: 'leaseKey', KeyType: 'RANGE' },
  ],
  Projection: { ProjectionType: 'KEYS_ONLY' },
};
const sentOf = (operation: string) =>
  wire.sent.filter((each) => each.operation === operation).map(({ input }) => input);

/** A table as the KCL 2.x or somebody's template made it: no index. */
const makeTable = (more: object = { BillingMode: 'PAY_PER_REQUEST' }): Promise<void> =>
  makeTables(wire, [wire.tableName, 'leaseKey', more]);

test("the table's name is the application's, unless said otherwise; the tables beside it take the application's in any case", () => {
  const options = { application: 'billing', stream: 'orders' };
  expect(resolveOptions(options, 'host')).toMatchObject({
    tableName: 'billing',
    coordinatorStateTableName: 'billing-CoordinatorState',
    workerMetricsTableName: 'billing-WorkerMetricStats',
  });
  expect(resolveOptions({ ...options, tableName: 'leases' }, 'host')).toMatchObject({
    tableName: 'leases',
    coordinatorStateTableName: 'billing-CoordinatorState',
  });
});

describe('a table that is not there', () => {
  test('is made with the one key leaseKey (S), on demand, without tags or protection, with the owner index; KCL: adds the index afterwards, which takes minutes', async () => {
    await wire.table().open();
    const [made] = sentOf('CreateTable');
    expect(made).toMatchObject({
      TableName: wire.tableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      GlobalSecondaryIndexes: [index],
    });
    expect(made?.['DeletionProtectionEnabled'] ?? false).toBe(false);
    expect(made?.['Tags'] ?? []).toEqual([]);
    expect(sentOf('UpdateTable')).toEqual([]);
    expect(sentOf('UpdateContinuousBackups')).toEqual([]);
  });

  test('may be made by several workers at once: all but one are told that it is there, and go on', async () => {
    const tables = ['w1', 'w2', 'w3', 'w4'].map((workerId) => wire.table({ workerId }));
    await Promise.all(tables.map((table) => table.open()));
    expect(sentOf('CreateTable').length).toBeGreaterThan(0);
  });

  test('is one table alone: the tables of the KCL 3.0 to 3.4 are looked for, and not made', async () => {
    await wire.table().open();
    expect(sentOf('CreateTable').map(({ TableName }) => TableName)).toEqual([wire.tableName]);
  });
});

/** A server that has something else to do with the table is asked again. */
function expectIndexMade(made: object): void {
  const [first, ...again] = sentOf('UpdateTable');
  expect(first).toMatchObject({ GlobalSecondaryIndexUpdates: [{ Create: made }] });
  for (const other of again) expect(other).toEqual(first);
}

describe('a table that is there', () => {
  test('gets the index when it lacks it, without capacity where it is on demand', async () => {
    await makeTable();
    await wire.table().open();
    expect(sentOf('CreateTable')).toEqual([]);
    expectIndexMade(index);
    expect(JSON.stringify(sentOf('UpdateTable'))).not.toContain('ProvisionedThroughput');
  });

  test('with a capacity of its own gets an index with the same', async () => {
    const ProvisionedThroughput = { ReadCapacityUnits: 7, WriteCapacityUnits: 9 };
    await makeTable({ BillingMode: 'PROVISIONED', ProvisionedThroughput });
    await wire.table().open();
    expectIndexMade({ ...index, ProvisionedThroughput });
  });

  test('with the index, in whatever state that is, is left as it is', async () => {
    await makeTable();
    wire.tamper = (operation, answer) => {
      const table = answer['Table'] as Record<string, unknown> | undefined;
      if (operation === 'DescribeTable' && table !== undefined) {
        table['GlobalSecondaryIndexes'] = [{ ...index, IndexStatus: 'CREATING' }];
      }
    };
    await wire.table().open();
    expect(sentOf('UpdateTable')).toEqual([]);
  });

  test('that is UPDATING is as good as one that is ACTIVE; one that is CREATING is waited for', async () => {
    await makeTable();
    const statuses = ['CREATING', 'CREATING', 'UPDATING'];
    let looks = 0;
    wire.tamper = (operation, answer) => {
      const table = answer['Table'] as Record<string, unknown> | undefined;
      if (operation !== 'DescribeTable' || table?.['TableName'] !== wire.tableName) return;
      table['TableStatus'] = statuses[Math.min(looks, statuses.length - 1)];
      looks += 1;
    };
    await wire.table().open();
    expect(looks).toBeGreaterThanOrEqual(3);
  });

  test('with another key is refused with what was expected and what was found, and left as it is', async () => {
    await makeTables(wire, [wire.tableName, 'ShardID']);
    await expect(wire.table().open()).rejects.toMatchObject({
      code: 'LEASE_TABLE_FORMAT',
      message: expect.stringMatching(/HASH leaseKey \(S\).*HASH ShardID \(S\)/),
    });
    expect(wire.writes()).toEqual([]);
    expect(sentOf('UpdateTable')).toEqual([]);
  });
});

// Where the rows stand that are not leases, in one table or in three, and how a worker finds out (KCL CoordinatorStateDAO,
// WorkerMetricStatsDAO, TableMigrationStateMachineImpl, MigrationClientVersionState). More of it, row by row, is in
// lease-table-layouts.test.ts; here are the rules.
import { paginateListTables } from '@aws-sdk/client-dynamodb';
import { describe, expect, test } from 'vitest';
import { NOTHING_MEASURED } from '../../src/coordination/lease.ts';
import type { LeaseTableLayout } from '../../src/lease-table/layout.ts';
import { makeTables, shownItem, wireScene } from './wire.ts';

const wire = wireScene();
const leader = { owner: 'w1', version: 'v1', leaseDurationMs: 30_000 };
const states = () => `${wire.tableName}-CoordinatorState`;
const metrics = () => `${wire.tableName}-WorkerMetricStats`;

/** A fleet that the KCL 3.0 to 3.4 began; `step`: how far its rows have moved. */
async function oldFleet(step?: 'INIT' | 'DEPLOYED' | 'PENDING' | 'COMPLETE'): Promise<void> {
  await makeTables(wire, [wire.tableName, 'leaseKey'], [states(), 'key'], [metrics(), 'wid']);
  await wire.put({ key: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } }, states());
  if (step === undefined) return;
  const row = { key: { S: 'TableMigration3.5' }, tm: { S: `TABLE_MIGRATION_STATUS_${step}` } };
  await wire.put(row, states());
}

/** The tables that the Leader row and this worker's metric row go to. */
async function homes(layout: LeaseTableLayout): Promise<{ leader: string; worker: string }> {
  const table = await wire.open({ layout });
  await table.run({ kind: 'writeLeader', leader, expectedVersion: undefined });
  const report = { kind: 'reportWorker', workerId: 'w1', utilization: NOTHING_MEASURED, processId: 'p' } as const;
  await table.run(report);
  const [first, second] = wire.sent.filter(({ operation }) => operation === 'UpdateItem');
  const home = (name: unknown): string => String(name).slice(wire.tableName.length + 1) || 'leases';
  return { leader: home(first?.input['TableName']), worker: home(second?.input['TableName']) };
}
const inOne = { leader: 'leases', worker: 'leases' };
const inThree = { leader: 'CoordinatorState', worker: 'WorkerMetricStats' };

describe('a new application', () => {
  test('keeps all rows in the lease table, makes no other, and writes no state of a move', async () => {
    expect(await homes('auto')).toEqual(inOne);
    const tables: string[] = [];
    for await (const page of paginateListTables({ client: wire.dynamodb.client }, {}))
      tables.push(...(page.TableNames ?? []).filter((name) => name.startsWith(`${wire.tableName}-`)));
    expect(tables).toEqual([]);
    expect(await wire.get('TableMigration3.5')).toBeUndefined();
  });

  test('says in the row Migration3.0 that its fleet speaks the protocol of 3.x: version, who, when, and a history of one entry, INIT', async () => {
    await wire.table().open();
    const [write] = wire.writes();
    expect(write).toMatchObject({
      operation: 'PutItem',
      key: 'Migration3.0',
      conditions: new Set(['attribute_not_exists(leaseKey)']),
      item: { entityType: '"CLIENT_VERSION_MIGRATION"', cv: '"CLIENT_VERSION_3X"', mb: '"w1"' },
    });
    expect(write?.item?.['mts']).toMatch(/^\d{13}$/);
    expect(write?.item?.['h']).toMatch(/^\[\{.*CLIENT_VERSION_INIT.*\}\]$/);
    expect(write?.item?.['h']?.match(/cv/g)).toHaveLength(1);
  });

  test('changes it on condition of what it says, and keeps what it said before, newest first, ten at the most', async () => {
    await makeTables(wire, [states(), 'key']);
    const before = (n: number) => ({
      M: { cv: { S: 'CLIENT_VERSION_2X' }, mb: { S: `java-${n}` }, mts: { N: `${n}` } },
    });
    await wire.put(
      {
        key: { S: 'Migration3.0' },
        cv: { S: 'CLIENT_VERSION_3X_WITH_ROLLBACK' },
        mb: { S: 'java' },
        mts: { N: '20' },
        h: { L: Array.from({ length: 10 }, (_, index) => before(19 - index)) },
      },
      states(),
    );
    const table = await wire.open();
    const change = { kind: 'changeClientVersion', from: '3X_WITH_ROLLBACK', to: '3X', workerId: 'w1' } as const;
    expect(await table.run(change)).toEqual({ row: { version: '3X', modifiedBy: 'w1' } });
    expect(wire.writes()).toMatchObject([
      { key: 'Migration3.0', conditions: new Set(['cv = "CLIENT_VERSION_3X_WITH_ROLLBACK"']) },
    ]);
    const { h } = (await wire.get('Migration3.0', states(), 'key')) ?? {};
    expect(h?.L?.map((entry) => entry.M?.['mts']?.N)).toEqual([
      '20',
      '19',
      '18',
      '17',
      '16',
      '15',
      '14',
      '13',
      '12',
      '11',
    ]);
    wire.forget();
    expect(await table.run(change)).toEqual({ row: { version: '3X', modifiedBy: 'w1' } });
    expect(wire.writes()).toEqual([]);
  });

  test('says so once: a worker that finds the row leaves it as it is', async () => {
    await wire.open();
    const row = shownItem((await wire.get('Migration3.0')) ?? {});
    await wire.open({ workerId: 'w2' });
    expect(wire.writes()).toEqual([]);
    expect(shownItem((await wire.get('Migration3.0')) ?? {})).toEqual(row);
  });
});

describe('a fleet with a table of coordinator states', () => {
  test.each([
    ['no state', undefined, inThree],
    ['INIT', 'INIT', inThree],
    ['DEPLOYED', 'DEPLOYED', inThree],
    ['COMPLETE', 'COMPLETE', inOne],
  ] as const)(
    'at %s has its rows where a worker of the KCL 3.5 with migrateAllEntitiesToLeaseTable false would put them',
    async (_, step, expected) => {
      await oldFleet(step);
      expect(await homes('auto')).toEqual(expected);
    },
  );

  test.each([
    ['DEPLOYED', { leader: 'CoordinatorState', worker: 'leases' }],
    ['PENDING', { leader: 'CoordinatorState', worker: 'leases' }],
    ['COMPLETE', inOne],
  ] as const)(
    "at %s is written to in the lease table by layout 'single', its migrateAllEntitiesToLeaseTable, but for the Leader row, which moves at COMPLETE",
    async (step, expected) => {
      await oldFleet(step);
      expect(await homes('single')).toEqual(expected);
    },
  );

  test('at PENDING is written to in the lease table without being told so; KCL: in the old tables, which takes the fleet back to DEPLOYED', async () => {
    await oldFleet('PENDING');
    expect((await homes('auto')).worker).toBe('leases');
  });

  test.each([[undefined], ['INIT']] as const)("that is not DEPLOYED yet (%s) refuses layout 'single'", async (step) => {
    await oldFleet(step);
    await expect(wire.table({ layout: 'single' }).open()).rejects.toMatchObject({ code: 'LEASE_TABLE_FORMAT' });
  });

  test('keeps its rows under `key` and `wid` there', async () => {
    await oldFleet();
    await homes('auto');
    expect(await wire.get('Leader', states(), 'key')).toMatchObject({ ownerName: { S: 'w1' } });
    expect(await wire.get('w1', metrics(), 'wid')).toMatchObject({ entityType: { S: 'WORKER_METRIC_STATS' } });
  });

  test('shows the workers of both places until COMPLETE, a worker with two rows by the later one, and after it those of the lease table alone', async () => {
    const row = (lut: number) => ({ lut: { N: String(lut) }, sts: { M: {} }, opr: { M: {} } });
    const workers = async () => {
      const table = await wire.open();
      const { workers } = await table.run({ kind: 'readTable', for: 'leader' });
      return Object.fromEntries(workers.map(({ workerId, lastUpdateSeconds }) => [workerId, lastUpdateSeconds]));
    };
    await oldFleet('DEPLOYED');
    await wire.put({ wid: { S: 'old' }, ...row(5) }, metrics());
    await wire.put({ wid: { S: 'both' }, ...row(5) }, metrics());
    for (const id of ['both', 'new']) {
      await wire.put({ leaseKey: { S: id }, entityType: { S: 'WORKER_METRIC_STATS' }, ...row(7) });
    }
    expect(await workers()).toEqual({ old: 5, both: 7, new: 7 });
    await wire.put({ key: { S: 'TableMigration3.5' }, tm: { S: 'TABLE_MIGRATION_STATUS_COMPLETE' } }, states());
    expect(await workers()).toEqual({ both: 7, new: 7 });
  });

  test('has its states there; of a state that stands in the lease table as well, that one counts', async () => {
    await oldFleet();
    await wire.put({ leaseKey: { S: 'Migration3.0' }, cv: { S: 'OF_NO_VERSION' } });
    await wire.table().open();
    const reads = wire.sent.filter(({ input }) => JSON.stringify(input['Key'] ?? '').includes('Migration3.0'));
    expect(reads.map(({ input }) => input['TableName'])).toContain(states());
  });

  test('that completes its move while a worker runs is followed, lock and writes; KCL: follows with the lock alone, and writes where it began', async () => {
    await oldFleet('DEPLOYED');
    const table = await wire.open();
    await table.run({ kind: 'readLeader' });
    await wire.put({ key: { S: 'TableMigration3.5' }, tm: { S: 'TABLE_MIGRATION_STATUS_COMPLETE' } }, states());
    await table.run({ kind: 'readLeader' });
    wire.forget();
    await table.run({ kind: 'writeLeader', leader, expectedVersion: undefined });
    const report = { kind: 'reportWorker', workerId: 'w1', utilization: NOTHING_MEASURED, processId: 'p' } as const;
    await table.run(report);
    expect(new Set(wire.sent.map(({ input }) => input['TableName']))).toEqual(new Set([wire.tableName]));
  });
});

test('nothing of the move is ever written by us: it is the Java leader that drives it', async () => {
  await oldFleet('DEPLOYED');
  await homes('auto');
  await wire.open({ layout: 'single', workerId: 'w2' });
  const touched = wire.sent.filter(
    ({ operation, input }) => operation !== 'GetItem' && JSON.stringify(input).includes('TableMigration'),
  );
  expect(touched).toEqual([]);
});

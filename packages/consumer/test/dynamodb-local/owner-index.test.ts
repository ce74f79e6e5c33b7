// The owner index added by UpdateTable to a table that was made without one, as older releases of the KCL left it: on AWS's
// DynamoDB Local, since dynalite cannot do it.
import {
  type CreateTableCommandInput,
  DescribeTableCommand,
  type DynamoDBClient,
  type GlobalSecondaryIndexDescription,
} from '@aws-sdk/client-dynamodb';
import { evenRanges, type HashKeyRange, type Logger, parseCheckpoint, silentLogger } from '@shardline/common';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { newLease } from '../../src/coordination/lease.ts';
import { DynamoDBLeaseTable } from '../../src/lease-table/dynamodb.ts';
import { OWNER_INDEX } from '../../src/lease-table/table.ts';
import { createTable } from '../create-table.ts';
import { startTestDynamoDB, type TestDynamoDB } from '../local-dynamodb.ts';

vi.setConfig({ testTimeout: 180_000 });

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
});
afterAll(async () => {
  await dynamodb.close();
});

/** A table with the key of a lease table and no index. */
async function bareTable(TableName: string, billing: Partial<CreateTableCommandInput> = {}): Promise<void> {
  await createTable(dynamodb.client, {
    TableName,
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    ...billing,
  });
}

function leaseTable(tableName: string, workerId = 'w1', logger: Logger = silentLogger): DynamoDBLeaseTable {
  // Beside the other tests, DynamoDB Local may need long for an index.
  const times = { failoverTimeMs: 100, clientVersionConfig: '3x', requestTimeoutMs: 60_000 } as const;
  return new DynamoDBLeaseTable({ client: dynamodb.client, tableName, workerId, logger, ...times });
}

async function createLease(table: DynamoDBLeaseTable, leaseKey: string, leaseOwner: string): Promise<void> {
  const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: evenRanges(1)[0] as HashKeyRange };
  const lease = { ...newLease(shard, parseCheckpoint('LATEST')), leaseOwner };
  await table.run({ kind: 'createLease', lease, leaseKey, tenure: undefined });
}

async function ownerKeys(table: DynamoDBLeaseTable, owner: string): Promise<string[]> {
  const { leases } = await table.run({ kind: 'discoverLeases', owner, held: [] });
  return leases.map((lease) => lease.leaseKey).sort();
}

async function indexes(TableName: string): Promise<GlobalSecondaryIndexDescription[]> {
  const { Table } = await dynamodb.client.send(new DescribeTableCommand({ TableName }));
  return Table?.GlobalSecondaryIndexes ?? [];
}

/** Its warnings with the errors that they tell of, so that a failing test tells why. */
function watchfulLogger(): { logger: Logger; warnings: string[] } {
  const warnings: string[] = [];
  const warn = ({ err }: { err?: unknown }, message?: string): void => void warnings.push(`${message}: ${err}`);
  return { logger: { ...silentLogger, warn }, warnings };
}

class Gate {
  open: () => void = () => undefined;
  readonly opened: Promise<void> = new Promise((resolve) => {
    this.open = resolve;
  });
}

function untilActive(tableName: string): Promise<void> {
  const check = async (): Promise<void> => {
    expect((await indexes(tableName)).map((index) => index.IndexStatus)).toEqual(['ACTIVE']);
  };
  return vi.waitFor(check, { timeout: 60_000, interval: 50 });
}

/** The operations that `work` calls, in order. */
async function operationsOf(client: DynamoDBClient, work: () => Promise<unknown>): Promise<string[]> {
  const called: string[] = [];
  client.middlewareStack.add(
    (next, { commandName = '?' }) => {
      return (args) => {
        called.push(commandName);
        return next(args);
      };
    },
    { step: 'initialize', name: 'operations' },
  );
  try {
    await work();
  } finally {
    client.middlewareStack.remove('operations');
  }
  return called;
}

it('is added with the KCL’s schema, and finds the leases that were there before it', async () => {
  await bareTable('bare');
  const table = leaseTable('bare');
  await createLease(table, 'before', 'w1');
  await table.open();
  await untilActive('bare');
  await createLease(table, 'after', 'w1');
  await createLease(table, 'other', 'w2');
  expect(await indexes('bare')).toMatchObject([
    {
      IndexName: OWNER_INDEX,
      KeySchema: [
        { AttributeName: 'leaseOwner', KeyType: 'HASH' },
        { AttributeName: 'leaseKey', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'KEYS_ONLY' },
    },
  ]);
  const operations = await operationsOf(dynamodb.client, async () => {
    expect(await ownerKeys(table, 'w1')).toEqual(['after', 'before']);
  });
  expect(operations).toEqual(['QueryCommand', 'GetItemCommand', 'GetItemCommand']);
});

it('is added once by a crowd of workers, and none of them thinks that it does without', async () => {
  await bareTable('many');
  const { logger, warnings } = watchfulLogger();
  const tables = Array.from({ length: 8 }, (_, n) => leaseTable('many', `w${n}`, logger));
  await Promise.all(tables.map((table) => table.open()));
  // DynamoDB Local, asked by so many at once, has stayed at CREATING for more than a minute.
  expect((await indexes('many')).map((index) => index.IndexName)).toEqual(['LeaseOwnerToLeaseKeyIndex']);
  expect(warnings).toEqual([]);
});

it('is not missed by a worker that looked for it before another one added it', async () => {
  await bareTable('late');
  const other = await startTestDynamoDB();
  const looked = new Gate();
  const added = new Gate();
  other.client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (commandName !== 'UpdateTableCommand') return next(args);
        looked.open();
        await added.opened;
        return next(args);
      },
    { step: 'initialize' },
  );
  const { logger, warnings } = watchfulLogger();
  // The wait above is within its request.
  const options = { client: other.client, tableName: 'late', workerId: 'w2', logger, requestTimeoutMs: 170_000 };
  const slow = new DynamoDBLeaseTable(options);
  const opening = slow.open();
  await looked.opened;
  await leaseTable('late', 'w1', logger).open();
  await untilActive('late');
  added.open();
  await opening;
  expect(warnings).toEqual([]);
  await other.close();
});

it('is added to a table that was in use for another reason, and after a failure that may pass', async () => {
  await bareTable('in-use');
  const other = await startTestDynamoDB();
  const refusals = ['ResourceInUseException', 'LimitExceededException', 'InternalServerError'];
  other.client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const name = commandName === 'UpdateTableCommand' ? refusals.shift() : undefined;
        if (name === undefined) return next(args);
        throw Object.assign(new Error('not now'), { name, $metadata: {} });
      },
    { step: 'initialize' },
  );
  const { logger, warnings } = watchfulLogger();
  await new DynamoDBLeaseTable({ client: other.client, tableName: 'in-use', workerId: 'w1', logger }).open();
  await untilActive('in-use');
  expect([refusals, warnings]).toEqual([[], []]);
  await other.close();
});

it('is added to the table of a fleet of 2.x that a worker of 3x finds dead, and to none whose workers live', async () => {
  for (const name of ['index-dead-2x', 'index-live-2x']) {
    await bareTable(name);
    await createLease(leaseTable(name), 'a', 'java');
  }
  await leaseTable('index-dead-2x').open();
  await untilActive('index-dead-2x');
  expect(await ownerKeys(leaseTable('index-dead-2x'), 'java')).toEqual(['a']);
  const renews = {
    ...silentLogger,
    info: (_: object, message?: string) => {
      if (!message?.includes('watching')) return;
      void createLease(leaseTable('index-live-2x'), 'b', 'java');
    },
  };
  await expect(leaseTable('index-live-2x', 'w1', renews).open()).rejects.toMatchObject({ code: 'LEASE_TABLE_FORMAT' });
  expect(await indexes('index-live-2x')).toEqual([]);
});

it('has the throughput of a table that is provisioned', async () => {
  const ProvisionedThroughput = { ReadCapacityUnits: 7, WriteCapacityUnits: 9 };
  await bareTable('provisioned', { BillingMode: 'PROVISIONED', ProvisionedThroughput });
  const { logger, warnings } = watchfulLogger();
  await leaseTable('provisioned', 'w1', logger).open();
  await untilActive('provisioned').catch((error: unknown) => {
    throw new Error(`no index after a minute; warnings: ${warnings.join('; ') || 'none'}`, { cause: error });
  });
  expect(await indexes('provisioned')).toMatchObject([{ ProvisionedThroughput }]);
});

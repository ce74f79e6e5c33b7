// What only the lease table in DynamoDB does: making and checking the table, keeping what it doesn't know, and failing in
// time with a name for what failed. All of it holds on dynalite and on AWS's DynamoDB Local.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type AttributeValue,
  type CreateTableCommandInput,
  DescribeTableCommand,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import {
  createDynamoDBClient,
  evenRanges,
  type HashKeyRange,
  type Logger,
  parseCheckpoint,
  silentLogger,
} from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newLease } from '../src/coordination/lease.ts';
import { DynamoDBLeaseTable, type DynamoDBLeaseTableOptions } from '../src/lease-table/dynamodb.ts';
import { createTable } from './create-table.ts';
import { startTestDynamoDB, type TestDynamoDB, testCredentials } from './local-dynamodb.ts';

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
});
afterAll(async () => {
  await dynamodb.close();
});

function lease(leaseKey: string) {
  return newLease(
    { shardId: leaseKey, parentShardIds: [], hashKeyRange: evenRanges(1)[0] as HashKeyRange },
    parseCheckpoint('LATEST'),
  );
}

function tableOf(tableName: string, options: Partial<DynamoDBLeaseTableOptions> = {}): DynamoDBLeaseTable {
  return new DynamoDBLeaseTable({
    client: dynamodb.client,
    tableName,
    workerId: 'w1',
    logger: silentLogger,
    ...options,
  });
}

async function get(tableName: string, leaseKey: string): Promise<Record<string, AttributeValue> | undefined> {
  const key = { leaseKey: { S: leaseKey } };
  return (await dynamodb.client.send(new GetItemCommand({ TableName: tableName, Key: key }))).Item;
}

async function put(tableName: string, item: Record<string, AttributeValue>): Promise<void> {
  await dynamodb.client.send(new PutItemCommand({ TableName: tableName, Item: item }));
}

async function makeTable(input: Pick<CreateTableCommandInput, 'TableName' | 'KeySchema' | 'AttributeDefinitions'>) {
  await createTable(dynamodb.client, { BillingMode: 'PAY_PER_REQUEST', ...input });
}

const leaseTableSchema = {
  KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
  AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
} as const satisfies Pick<CreateTableCommandInput, 'KeySchema' | 'AttributeDefinitions'>;

/** Keeps what is logged at warn and error. */
function recordingLogger(): { logger: Logger; lines: { fields: object; message: string | undefined }[] } {
  const lines: { fields: object; message: string | undefined }[] = [];
  const note = (fields: object, message?: string): void => {
    lines.push({ fields, message });
  };
  return { logger: { ...silentLogger, warn: note, error: note }, lines };
}

describe('open', () => {
  it('makes the table as the KCL does: on demand, key leaseKey, the owner index with keys only', async () => {
    await tableOf('fresh').open();
    const { Table } = await dynamodb.client.send(new DescribeTableCommand({ TableName: 'fresh' }));
    expect(Table).toMatchObject({
      TableStatus: 'ACTIVE',
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'LeaseOwnerToLeaseKeyIndex',
          KeySchema: [
            { AttributeName: 'leaseOwner', KeyType: 'HASH' },
            { AttributeName: 'leaseKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    });
  });

  it('says in the Migration3.0 row that the fleet speaks the 3.x protocol, once', async () => {
    await tableOf('migration').open();
    const row = await get('migration', 'Migration3.0');
    expect(row).toMatchObject({
      cv: { S: 'CLIENT_VERSION_3X' },
      mb: { S: 'w1' },
      entityType: { S: 'CLIENT_VERSION_MIGRATION' },
      h: { L: [{ M: { cv: { S: 'CLIENT_VERSION_INIT' } } }] },
    });
    await tableOf('migration', { workerId: 'w2' }).open();
    expect(await get('migration', 'Migration3.0')).toEqual(row);
  });

  it('is for many workers at once', async () => {
    const tables = Array.from({ length: 5 }, (_, n) => tableOf('crowd', { workerId: `w${n}` }));
    await Promise.all(tables.map((table) => table.open()));
    expect(await tables[0]?.run({ kind: 'readTable', for: 'leader' })).toEqual({ leases: [], workers: [] });
  });

  it.each([
    ['other', [{ AttributeName: 'id', KeyType: 'HASH' }] as const, 'S', 'HASH id (S)'],
    ['number', [{ AttributeName: 'leaseKey', KeyType: 'HASH' }] as const, 'N', 'HASH leaseKey (N)'],
  ])('refuses a table of another format: %s', async (name, keys, type, got) => {
    await makeTable({
      TableName: name,
      KeySchema: [...keys],
      AttributeDefinitions: [{ AttributeName: keys[0].AttributeName, AttributeType: type as 'S' | 'N' }],
    });
    await expect(tableOf(name).open()).rejects.toMatchObject({
      code: 'LEASE_TABLE_FORMAT',
      retryable: false,
      message: `table ${name}: expected the key of a lease table, HASH leaseKey (S), got ${got}`,
    });
  });

  it.each(['2X', 'UPGRADE_FROM_2X', '3X_WITH_ROLLBACK', '3X'] as const)(
    'joins a fleet that says %s',
    async (version) => {
      const name = `says-${version}`;
      await makeTable({ TableName: name, ...leaseTableSchema });
      const row = { mb: { S: 'java' }, mts: { N: '1' }, entityType: { S: 'CLIENT_VERSION_MIGRATION' } };
      await put(name, { leaseKey: { S: 'Migration3.0' }, cv: { S: `CLIENT_VERSION_${version}` }, ...row });
      const table = tableOf(name);
      await table.open();
      expect(table.clientVersion).toBe(version);
      expect(await table.run({ kind: 'readClientVersion' })).toEqual({ row: { version, modifiedBy: 'java' } });
    },
  );

  it('refuses a fleet that says what nobody knows', async () => {
    await makeTable({ TableName: 'new-fleet', ...leaseTableSchema });
    await put('new-fleet', { leaseKey: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_4X' } });
    await expect(tableOf('new-fleet').open()).rejects.toMatchObject({
      code: 'LEASE_TABLE_FORMAT',
      message: expect.stringContaining('got CLIENT_VERSION_4X'),
    });
  });
});

describe('rows and attributes of others', () => {
  it('a lease keeps what we do not know through every write of ours', async () => {
    const table = tableOf('keep');
    await table.open();
    const unknown = {
      throughputKBps: { N: '71.915064' },
      entityType: { S: 'LEASE' },
      tomorrow: { M: { a: { L: [{ BOOL: true }] } } },
      blob: { B: Uint8Array.of(1, 2) },
    };
    await put('keep', {
      leaseKey: { S: 'a' },
      leaseCounter: { N: '0' },
      checkpoint: { S: 'TRIM_HORIZON' },
      pendingCheckpoint: { S: '5' },
      pendingCheckpointState: { B: Uint8Array.of(3) },
      ...unknown,
    });
    const tenure = 1;
    const leaseKey = 'a';
    const throughputKBps = undefined;
    const seen = { seenOwner: undefined, seenCheckpointOwner: undefined, seenCounter: undefined };
    await table.run({ kind: 'assignLease', leaseKey, ...seen, newOwner: 'w1', tenure: undefined });
    await table.run({ kind: 'renewLease', leaseKey, tenure, leaseCounter: 1, handoffKnown: false, throughputKBps });
    expect(await get('keep', 'a')).toMatchObject({ ...unknown, pendingCheckpoint: { S: '5' } });
    const checkpoint = parseCheckpoint('9');
    const childShardIds = undefined;
    const write = { checkpoint, pendingCheckpoint: undefined, childShardIds, throughputKBps } as const;
    await table.run({ kind: 'checkpointLease', leaseKey, tenure, leaseCounter: 2, ...write });
    const last = await table.run({ kind: 'evictLease', leaseKey, seenOwner: 'w1', seenCounter: undefined, tenure });
    expect(last).toMatchObject({ applied: true, lease: { leaseCounter: 4 } });
    const row = await get('keep', 'a');
    expect(row).toMatchObject(unknown);
    // A real checkpoint ends a prepared one (KCL DynamoDBLeaseSerializer).
    expect(Object.keys(row ?? {}).filter((name) => name.startsWith('pending'))).toEqual([]);
  });

  it('the Leader row keeps its extras, and one that a Java worker released is not released any more', async () => {
    const table = tableOf('lead');
    await table.open();
    await put('lead', {
      leaseKey: { S: 'Leader' },
      entityType: { S: 'LEADER' },
      ownerName: { S: 'java' },
      recordVersionNumber: { S: 'v1' },
      leaseDuration: { S: '120000' },
      isReleased: { S: '1' },
      data: { B: Uint8Array.of(7) },
    });
    const leader = { owner: 'w1', version: 'v2', leaseDurationMs: 30_000 };
    expect(await table.run({ kind: 'writeLeader', leader, expectedVersion: 'v1' })).toEqual({ applied: true });
    expect(await get('lead', 'Leader')).toEqual({
      leaseKey: { S: 'Leader' },
      entityType: { S: 'LEADER' },
      ownerName: { S: 'w1' },
      recordVersionNumber: { S: 'v2' },
      leaseDuration: { S: '30000' },
      data: { B: Uint8Array.of(7) },
    });
  });

  it('a row that cannot be read does not hide the others, and is reported once', async () => {
    const { logger, lines } = recordingLogger();
    const table = tableOf('spoilt', { logger });
    await table.open();
    await table.run({ kind: 'createLease', lease: lease('good'), leaseKey: 'good', tenure: undefined });
    await put('spoilt', { leaseKey: { S: 'bad' }, leaseCounter: { S: 'x' }, checkpoint: { S: 'LATEST' } });
    for (const _ of [1, 2]) {
      const { leases } = await table.run({ kind: 'readTable', for: 'leader' });
      expect(leases.map((row) => row.leaseKey)).toEqual(['good']);
    }
    expect(lines).toEqual([
      {
        fields: { table: 'spoilt', leaseKey: 'bad', reason: expect.stringContaining('leaseCounter') },
        message: 'a row of the lease table cannot be read and is passed over',
      },
    ]);
  });

  it('a table of several pages is read whole', async () => {
    const table = tableOf('pages');
    await table.open();
    const pad = { S: 'x'.repeat(300_000) };
    for (const n of [1, 2, 3, 4, 5]) {
      const row = { leaseKey: { S: `k${n}` }, leaseCounter: { N: '0' }, leaseOwner: { S: 'w1' } };
      await put('pages', { ...row, checkpoint: { S: 'LATEST' }, pad });
    }
    const { leases } = await table.run({ kind: 'readTable', for: 'leader' });
    expect(leases.map((row) => row.leaseKey).sort()).toEqual(['k1', 'k2', 'k3', 'k4', 'k5']);
    expect((await table.run({ kind: 'discoverLeases', owner: 'w1', held: [] })).leases).toHaveLength(5);
  });
});

describe('failures', () => {
  /** A server that answers every request as told; undefined: never. */
  async function serve(answer: { status: number; type: string; message: string } | undefined) {
    const server = createServer((request, response) => {
      request.resume();
      if (answer === undefined) return;
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(JSON.stringify({ __type: answer.type, message: answer.message }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = createDynamoDBClient({
      endpoint,
      region: 'us-east-1',
      credentials: testCredentials,
      maxAttempts: 1,
    });
    const close = async (): Promise<void> => {
      client.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
    return { client, close };
  }

  it.each([
    [
      'a missing permission is named with action and table',
      { status: 400, type: 'com.amazon.coral.service#AccessDeniedException', message: 'no' },
      { code: 'ACCESS_DENIED', retryable: false },
      /^dynamodb:DescribeTable on table t is not allowed/,
    ],
    [
      'throttling can be retried',
      { status: 400, type: 'com.amazonaws.dynamodb.v20120810#ThrottlingException', message: 'slow' },
      { code: 'THROTTLED', retryable: true },
      /^dynamodb:DescribeTable on table t was throttled/,
    ],
    [
      'a failing service can be retried',
      { status: 500, type: 'InternalServerError', message: 'oops' },
      { code: 'LEASE_TABLE_UNAVAILABLE', retryable: true },
      /^dynamodb:DescribeTable on table t failed/,
    ],
  ])('%s', async (_, answer, error, message) => {
    const { client, close } = await serve(answer);
    await expect(tableOf('t', { client }).open()).rejects.toMatchObject({
      ...error,
      message: expect.stringMatching(message),
    });
    await close();
  });

  it('a call that is not answered ends in time', async () => {
    const { client, close } = await serve(undefined);
    await expect(tableOf('t', { client, requestTimeoutMs: 50 }).open()).rejects.toMatchObject({
      code: 'TIMEOUT',
      action: 'dynamodb:DescribeTable',
      resource: 'table t',
      message: 'dynamodb:DescribeTable on table t took longer than 50 ms',
    });
    await close();
  });

  it('close ends what runs and refuses what comes', async () => {
    const { client, close } = await serve(undefined);
    const table = tableOf('t', { client });
    const opening = expect(table.open()).rejects.toMatchObject({ code: 'CLOSED' });
    await table.close();
    await opening;
    await expect(table.run({ kind: 'readTable', for: 'leader' })).rejects.toMatchObject({ code: 'CLOSED' });
    await close();
  });
});

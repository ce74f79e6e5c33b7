// Where rows stand beside a Java fleet: in the three tables of the KCL 3.0 to 3.4, in one, and on the way between them. The rows
// of the Java side are those that a real KCL 3.4.2 left. All of it holds on dynalite and on AWS's DynamoDB Local.
import { DeleteTableCommand, DescribeTableCommand } from '@aws-sdk/client-dynamodb';
import { type Logger, silentLogger } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type LeaderRow, NOTHING_MEASURED } from '../src/coordination/lease.ts';
import { DynamoDBLeaseTable, type DynamoDBLeaseTableOptions } from '../src/lease-table/dynamodb.ts';
import type { LeaseTableLayout } from '../src/lease-table/layout.ts';
import * as fleet from './java-fleet.ts';
import { type Item, javaRows, keyNames, METRICS, STATES } from './java-fleet.ts';
import { startTestDynamoDB, type TestDynamoDB } from './local-dynamodb.ts';

const leader = (owner: string, version: string): LeaderRow => ({ owner, version, leaseDurationMs: 30_000 });

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
});
afterAll(async () => {
  await dynamodb.close();
});

function tableOf(tableName: string, options: Partial<DynamoDBLeaseTableOptions> = {}): DynamoDBLeaseTable {
  return new DynamoDBLeaseTable({
    client: dynamodb.client,
    tableName,
    workerId: 'node',
    logger: silentLogger,
    ...options,
  });
}

const put = (tableName: string, item: Item): Promise<void> => fleet.put(dynamodb.client, tableName, item);
const rows = (tableName: string): Promise<Item[]> => fleet.rows(dynamodb.client, tableName);
const javaFleet = (name: string, migration?: string): Promise<void> =>
  fleet.javaFleet(dynamodb.client, name, migration);
const moveTo = (name: string, migration: string): Promise<void> => fleet.moveTo(dynamodb.client, name, migration);

async function keys(name: string, suffix: string): Promise<string[]> {
  return (await rows(name + suffix)).map((row) => row[keyNames[suffix] ?? '']?.S ?? '').sort();
}

/** Opens, leads and reports; then says which table has which row of ours. */
async function places(name: string, table: DynamoDBLeaseTable): Promise<{ leader: string[]; worker: string[] }> {
  await table.open();
  expect(await table.run({ kind: 'writeLeader', leader: leader('node', 'n1'), expectedVersion: undefined })).toEqual({
    applied: true,
  });
  await table.run({ kind: 'reportWorker', workerId: 'node', utilization: NOTHING_MEASURED, processId: 'p' });
  const found: { leader: string[]; worker: string[] } = { leader: [], worker: [] };
  for (const suffix of Object.keys(keyNames)) {
    const inTable = await keys(name, suffix);
    if (inTable.includes('Leader')) found.leader.push(suffix);
    if (inTable.includes('node')) found.worker.push(suffix);
  }
  return found;
}

describe('rows of ours go where a Java worker beside us would write them', () => {
  it.each<[string | undefined, LeaseTableLayout, string, string]>([
    [undefined, 'auto', STATES, METRICS],
    ['INIT', 'auto', STATES, METRICS],
    ['DEPLOYED', 'auto', STATES, METRICS],
    ['PENDING', 'auto', STATES, ''],
    ['COMPLETE', 'auto', '', ''],
    // The KCL's migrateAllEntitiesToLeaseTable, off and on.
    [undefined, 'three', STATES, METRICS],
    ['PENDING', 'three', STATES, METRICS],
    ['DEPLOYED', 'single', STATES, ''],
    ['PENDING', 'single', STATES, ''],
    ['COMPLETE', 'single', '', ''],
  ])('with TableMigration3.5 %s and layout %s', async (migration, layout, leaderTable, workerTable) => {
    const name = `go-${migration}-${layout}`;
    await javaFleet(name, migration);
    const table = tableOf(name, { layout });
    expect(await places(name, table)).toEqual({ leader: [leaderTable], worker: [workerTable] });
    await table.run({ kind: 'deleteLeader', leader: leader('node', 'n1') });
    await table.run({ kind: 'forgetWorker', workerId: 'node', processId: 'p' });
    expect(await keys(name, workerTable)).not.toContain('node');
    expect(await keys(name, leaderTable)).not.toContain('Leader');
  });

  it.each(['', METRICS])('and an old metric row is deleted where it stands: in the table %j', async (suffix) => {
    const name = `old-row-${suffix.length}`;
    await javaFleet(name, 'PENDING');
    await put(name + suffix, { [keyNames[suffix] ?? '']: { S: 'dead' }, lut: { N: '1000' } });
    const table = tableOf(name);
    await table.open();
    expect(await table.run({ kind: 'deleteWorker', workerId: 'dead', lastUpdateSeconds: 999 })).toEqual({
      deleted: false,
    });
    expect(await keys(name, suffix)).toContain('dead');
    expect(await table.run({ kind: 'deleteWorker', workerId: 'dead', lastUpdateSeconds: 1000 })).toEqual({
      deleted: true,
    });
    expect(await keys(name, suffix)).not.toContain('dead');
  });

  it.each<[string | undefined, LeaseTableLayout, RegExp]>([
    [undefined, 'single', /not ready to move \(TableMigration3\.5 NONE\)/],
    ['INIT', 'single', /not ready to move \(TableMigration3\.5 INIT\)/],
    ['COMPLETE', 'three', /a fleet that has moved to one table/],
    ['TOMORROW', 'auto', /tm TABLE_MIGRATION_STATUS_INIT.*got TABLE_MIGRATION_STATUS_TOMORROW/],
  ])('and TableMigration3.5 %s with layout %s is refused', async (migration, layout, message) => {
    const name = `no-${migration}-${layout}`;
    await javaFleet(name, migration);
    const before = await rows(name + STATES);
    await expect(tableOf(name, { layout }).open()).rejects.toMatchObject({
      code: 'LEASE_TABLE_FORMAT',
      retryable: false,
      message: expect.stringMatching(message),
    });
    expect(await rows(name + STATES)).toEqual(before);
  });

  it('a fleet with one table is given no second Leader row', async () => {
    await tableOf('one-fleet').open();
    await expect(tableOf('one-fleet', { layout: 'three' }).open()).rejects.toMatchObject({
      code: 'LEASE_TABLE_FORMAT',
      message: expect.stringContaining('there is a row Migration3.0 in one-fleet'),
    });
    await expect(rows(`one-fleet${STATES}`)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  it('three tables are made with the keys of the KCL 3.4 where they are wanted, under the names that are given', async () => {
    const names = { coordinatorStateTableName: 'made-s', workerMetricsTableName: 'made-m' };
    await Promise.all(['w1', 'w2'].map((workerId) => tableOf('made', { layout: 'three', workerId, ...names }).open()));
    for (const [TableName, AttributeName] of [
      ['made-s', 'key'],
      ['made-m', 'wid'],
    ]) {
      const { Table } = await dynamodb.client.send(new DescribeTableCommand({ TableName }));
      expect(Table).toMatchObject({
        KeySchema: [{ AttributeName, KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName, AttributeType: 'S' }],
        BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
      });
    }
    expect(await rows('made')).toEqual([]);
    expect(await rows('made-s')).toMatchObject([{ key: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } }]);
  });
});

describe('what the Java fleet wrote', () => {
  it('is read from its three tables: leases, workers with their figures, the leader', async () => {
    await javaFleet('read');
    await put(`read${STATES}`, {
      key: { S: 'Leader' },
      ownerName: { S: 'worker-2' },
      recordVersionNumber: { S: 'v' },
      leaseDuration: { S: '120000' },
    });
    const table = tableOf('read');
    await table.open();
    const { leases, workers } = await table.run({ kind: 'readTable', for: 'leader' });
    expect(leases.map((lease) => lease.leaseKey).sort()).toEqual(await keys('read', ''));
    expect(workers.map(({ workerId, movesRows }) => [workerId, movesRows]).sort()).toEqual([
      ['worker-1', undefined],
      ['worker-2', undefined],
    ]);
    expect(workers[0]?.utilization.stats['C']).toHaveLength(10);
    const java = { owner: 'worker-2', version: 'v', leaseDurationMs: 120_000 };
    expect(await table.run({ kind: 'readLeader' })).toEqual({ leader: java });
  });

  it('keeps the lease table free of rows that a worker of 3.4 cannot read, and its own rows as they were', async () => {
    await javaFleet('clean');
    const table = tableOf('clean');
    await places('clean', table);
    expect(await keys('clean', '')).toEqual((javaRows[''] ?? []).map((row) => row['leaseKey']?.S).sort());
    const states = await rows(`clean${STATES}`);
    expect(states).toContainEqual(javaRows[STATES]?.[0]);
    for (const row of javaRows[METRICS] ?? []) expect(await rows(`clean${METRICS}`)).toContainEqual(row);
  });

  it('workers are read from both tables in the middle of a move, the newest row of each', async () => {
    await javaFleet('union', 'DEPLOYED');
    const metric = { lut: { N: '1999999999' }, sts: { M: {} }, opr: { M: {} }, sup: { N: '1' } };
    const entityType = { S: 'WORKER_METRIC_STATS' };
    await put('union', { leaseKey: { S: 'worker-1' }, entityType, ...metric });
    await put('union', { leaseKey: { S: 'worker-3' }, entityType, ...metric });
    await put('union', { leaseKey: { S: 'worker-2' }, entityType, ...metric, lut: { N: '5' } });
    const table = tableOf('union');
    await table.open();
    await table.run({ kind: 'reportWorker', workerId: 'node', utilization: NOTHING_MEASURED, processId: 'p' });
    const { workers } = await table.run({ kind: 'readTable', for: 'leader' });
    expect(workers.map((row) => [row.workerId, row.lastUpdateSeconds === 1_999_999_999, row.movesRows]).sort()).toEqual(
      [
        // A Java worker with support code 1 moves rows when it leads; we don't, and one of 3.4 can't.
        ['node', false, undefined],
        ['worker-1', true, true],
        ['worker-2', false, undefined],
        ['worker-3', true, true],
      ],
    );
  });
});

describe('a move that goes on beside us', () => {
  it('the Leader row is looked for in the lease table once the move is complete, and our metric row goes there', async () => {
    await javaFleet('live', 'PENDING');
    const table = tableOf('live', { layout: 'three' });
    await table.open();
    const report = { kind: 'reportWorker', workerId: 'node', utilization: NOTHING_MEASURED, processId: 'p' } as const;
    await table.run(report);
    expect(await keys('live', METRICS)).toContain('node');
    await moveTo('live', 'COMPLETE');
    await put('live', {
      leaseKey: { S: 'Leader' },
      ownerName: { S: 'java' },
      recordVersionNumber: { S: 'v' },
      leaseDuration: { S: '1000' },
      entityType: { S: 'LEADER' },
    });
    expect(await table.run({ kind: 'readLeader' })).toEqual({
      leader: { owner: 'java', version: 'v', leaseDurationMs: 1000 },
    });
    // The tables of the old layout may be deleted now.
    for (const suffix of [STATES, METRICS]) {
      await dynamodb.client.send(new DeleteTableCommand({ TableName: `live${suffix}` }));
    }
    await table.run(report);
    expect(await keys('live', '')).toContain('node');
    expect((await table.run({ kind: 'readTable', for: 'leader' })).workers.map((row) => row.workerId)).toEqual([
      'node',
    ]);
  });

  it('a Leader row that we wrote into the old table after the move was complete is taken back', async () => {
    await javaFleet('too-late', 'PENDING');
    const table = tableOf('too-late');
    await table.open();
    expect(await table.run({ kind: 'readLeader' })).toEqual({ leader: undefined });
    await moveTo('too-late', 'COMPLETE');
    const write = { kind: 'writeLeader', leader: leader('node', 'n1'), expectedVersion: undefined } as const;
    expect(await table.run(write)).toEqual({ applied: false, leader: undefined });
    expect(await keys('too-late', STATES)).not.toContain('Leader');
    expect(await table.run(write)).toEqual({ applied: true });
    expect(await keys('too-late', '')).toContain('Leader');
  });

  it('the end of a move is found although its tables are gone already', async () => {
    await javaFleet('gone', 'PENDING');
    const table = tableOf('gone');
    await table.open();
    await moveTo('gone', 'COMPLETE');
    await dynamodb.client.send(new DeleteTableCommand({ TableName: `gone${STATES}` }));
    expect(await table.run({ kind: 'readLeader' })).toEqual({ leader: undefined });
  });
});

describe('the start', () => {
  it('says in one line which layout it found, and where its own rows go', async () => {
    const lines: object[] = [];
    const logger: Logger = {
      ...silentLogger,
      info: (fields: object, message?: string) => {
        if (message?.includes('layout')) lines.push(fields);
      },
    };
    await javaFleet('said', 'PENDING');
    await tableOf('said', { logger }).open();
    await tableOf('said-1', { logger }).open();
    expect(lines).toEqual([
      {
        table: 'said',
        layout: 'three',
        coordinatorStateTable: `said${STATES}`,
        workerMetricsTable: `said${METRICS}`,
        migration: 'PENDING',
        writesTo: 'single',
      },
      { table: 'said-1', layout: 'single', writesTo: 'single' },
    ]);
  });

  it('takes leases that another worker makes meanwhile, on a new table, for those of a fleet of today', async () => {
    const { client } = dynamodb;
    await fleet.makeLeaseTable(client, 'raced');
    let isRaced = false;
    client.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          // The late one has found no row of 3.x, and looks for leases now.
          if (commandName === 'ScanCommand' && !isRaced) {
            isRaced = true;
            await tableOf('raced', { workerId: 'early' }).open();
            await put('raced', { leaseKey: { S: 'shard-1' }, leaseCounter: { N: '1' }, leaseOwner: { S: 'early' } });
          }
          return next(args);
        },
      { step: 'initialize', name: 'raced' },
    );
    try {
      await tableOf('raced').open();
    } finally {
      client.middlewareStack.remove('raced');
    }
    expect(isRaced).toBe(true);
    expect(await keys('raced', '')).toEqual(['Migration3.0', 'shard-1']);
  });

  it.each([STATES, METRICS])('names action and table when %s may not be looked at', async (suffix) => {
    const name = `denied${suffix}`;
    await javaFleet(name, 'PENDING');
    const { client } = dynamodb;
    client.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          const { TableName } = args.input as { TableName?: string };
          if (commandName !== 'DescribeTableCommand' || TableName !== name + suffix) return next(args);
          throw Object.assign(new Error('no'), { name: 'AccessDeniedException' });
        },
      { step: 'initialize', name: 'denied' },
    );
    await expect(tableOf(name).open()).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringContaining(`dynamodb:DescribeTable on table ${name + suffix} is not allowed`),
    });
    client.middlewareStack.remove('denied');
  });
});

describe('a table of the KCL 1.x or 2.x, which has no row Migration3.0, for a worker of 3x', () => {
  /** Two leases that workers of those versions held. */
  async function oldFleet(name: string): Promise<void> {
    await fleet.makeTable(dynamodb.client, name, 'leaseKey');
    for (const n of [1, 2]) await put(name, oldLease(n));
  }
  const oldLease = (n: number, leaseCounter = 7): Item => ({
    leaseKey: { S: `shard-${n}` },
    leaseOwner: { S: `java-${n}` },
    leaseCounter: { N: String(leaseCounter) },
    checkpoint: { S: 'TRIM_HORIZON' },
  });

  /** Opens the table by a clock that stands still until `meanwhile` has been done. */
  async function openAfter(name: string, meanwhile: () => Promise<unknown>, elapsedMs: number): Promise<void> {
    const clock = new ManualClock();
    const logger: Logger = {
      ...silentLogger,
      info: (_fields: object, message?: string) => {
        if (!message?.includes('watching')) return;
        void meanwhile().then(async () => {
          // Each look follows an answer of the server.
          for (let passedMs = 0; passedMs < elapsedMs; passedMs += LOOK_MS) await tick(clock);
        });
      },
    };
    const times = { failoverTimeMs: FAILOVER_MS, requestTimeoutMs: 60 * FAILOVER_MS };
    const table = tableOf(name, { clock, logger, ...times, clientVersionConfig: '3x' });
    await table.open();
    await table.close();
  }
  const FAILOVER_MS = 10_000;
  const LOOK_MS = FAILOVER_MS / 4;

  /** Lets the next timer be set, then its time pass. */
  async function tick(clock: ManualClock): Promise<void> {
    const before = scans;
    clock.advance(LOOK_MS);
    await vi.waitFor(() => expect(scans).toBeGreaterThan(before), { timeout: 10_000, interval: 5 });
  }
  let scans = 0;
  beforeAll(() => {
    dynamodb.client.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          const answer = await next(args);
          if (commandName === 'ScanCommand') setImmediate(() => (scans += 1));
          return answer;
        },
      { step: 'initialize', name: 'scans' },
    );
  });

  it('is taken over when no counter moves for twice the failover time', async () => {
    await oldFleet('dead');
    await openAfter('dead', async () => undefined, 2 * FAILOVER_MS);
    expect(await rows('dead')).toContainEqual(expect.objectContaining({ cv: { S: 'CLIENT_VERSION_3X' } }));
    for (const n of [1, 2]) expect(await rows('dead')).toContainEqual(oldLease(n));
  });

  it('is taken over at once when nobody owns a lease', async () => {
    await fleet.makeTable(dynamodb.client, 'idle', 'leaseKey');
    const { leaseOwner: _, ...free } = oldLease(1);
    await put('idle', free);
    await tableOf('idle', { clientVersionConfig: '3x' }).open();
    expect(await keys('idle', '')).toEqual(['Migration3.0', 'shard-1']);
  });

  it.each<[string, (name: string) => Promise<unknown>, string]>([
    ['a counter moved', (name) => put(name, oldLease(1, 8)), 'shard-1 of java-1 went from 7 to 8'],
    ['a lease was made', (name) => put(name, oldLease(3)), 'shard-3 was made'],
  ])('is refused, and left as it is, when %s', async (what, move, said) => {
    const name = `live-${what.replaceAll(' ', '-')}`;
    await oldFleet(name);
    await expect(openAfter(name, () => move(name), LOOK_MS)).rejects.toMatchObject({
      code: 'LEASE_TABLE_FORMAT',
      retryable: false,
      message: expect.stringMatching(
        new RegExp(`got owners java-\\d, java-\\d, and counters that move: ${said}\\. Stop those workers, then`),
      ),
    });
    expect(await keys(name, '')).not.toContain('Migration3.0');
  });

  it('is joined when its leases move because another worker of ours has taken it over', async () => {
    await oldFleet('won');
    const takeOver = async (): Promise<void> => {
      await put('won', { leaseKey: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } });
      await put('won', oldLease(1, 8));
    };
    await openAfter('won', takeOver, LOOK_MS);
    expect(await keys('won', '')).toEqual(['Migration3.0', 'shard-1', 'shard-2']);
  });
});

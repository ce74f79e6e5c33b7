// One suite for both lease tables: what the simulator runs on (memory) must be what production runs on (DynamoDB). Every
// effect, applied and refused; racing writers; and a property: any sequence of effects has equal results on both.
import {
  type Clock,
  createDynamoDBClient,
  MAX_HASH_KEY,
  MIN_HASH_KEY,
  parseCheckpoint,
  SHARD_END,
  silentLogger,
  systemClock,
  TRIM_HORIZON,
} from '@shardline/common';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import type { ClientVersion } from '../src/coordination/client-version.ts';
import type { ResultOf, TableEffect } from '../src/coordination/effects.ts';
import { type LeaderRow, type Lease, NOTHING_MEASURED, type WorkerSign } from '../src/coordination/lease.ts';
import { DynamoDBLeaseTable } from '../src/lease-table/dynamodb.ts';
import type { LeaseTableLayout } from '../src/lease-table/layout.ts';
import type { LeaseTable } from '../src/lease-table/lease-table.ts';
import { MemoryLeaseTable } from '../src/lease-table/memory.ts';
import { startTestDynamoDB, type TestDynamoDB } from './local-dynamodb.ts';
import { type StatementsProxy, startStatementsProxy } from './statements-proxy.ts';

const NOW_MS = 1_700_000_000_250;
const clock: Clock = { ...systemClock, wallNow: () => NOW_MS };
const tenure = 1;
const key = 'shardId-000000000000';

let dynamodb: TestDynamoDB;
let proxy: StatementsProxy;
let throughProxy: ReturnType<typeof createDynamoDBClient>;
let tableCount = 0;

beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
  const { endpoint } = dynamodb.clientConfig;
  proxy = await startStatementsProxy(endpoint, inject('dynamoDBEndpoint') !== undefined);
  throughProxy = createDynamoDBClient({ ...dynamodb.clientConfig, endpoint: proxy.endpoint });
});
afterAll(async () => {
  throughProxy.destroy();
  await proxy.close();
  await dynamodb.close();
});

/** Both layouts of the KCL: all rows in the lease table, or coordinator states and worker metrics in tables of their own. */
async function openDynamoDB(layout: LeaseTableLayout, client = dynamodb.client): Promise<LeaseTable> {
  tableCount += 1;
  const table = new DynamoDBLeaseTable({
    client,
    tableName: `contract-${tableCount}`,
    layout,
    workerId: 'w1',
    logger: silentLogger,
    clock,
  });
  await table.open();
  return table;
}

/** One in which no renewal goes alone: others begin in the same turn, of rows that are not there. */
async function openTogether(): Promise<LeaseTable> {
  const table = await openDynamoDB('single', throughProxy);
  const renew = (leaseKey: string, leaseCounter = 0): Promise<unknown> =>
    table.run({ kind: 'renewLease', leaseKey, tenure, leaseCounter, handoffKnown: false, throughputKBps: undefined });
  const others = (): Promise<unknown> => Promise.all(['other-1', 'other-2', 'other-3'].map((each) => renew(each)));
  const own = lease({ leaseKey: 'own' });
  await table.run({ kind: 'createLease', lease: own, leaseKey: own.leaseKey, tenure: undefined });
  proxy.forget();
  for (let counter = 0; !proxy.calls.some(({ leaseKeys }) => leaseKeys.length > 1); counter += 1) {
    if (counter === 100) throw new Error('renewals never went together');
    await Promise.all([renew(own.leaseKey, counter), others()]);
  }
  await table.run({ kind: 'deleteLease', leaseKey: own.leaseKey, onlyEnded: false, seenCounter: 0 });
  proxy.forget();
  return {
    clientVersion: table.clientVersion,
    open: async () => undefined,
    run: async (effect) => {
      if (effect.kind !== 'renewLease') return table.run(effect);
      const [result] = await Promise.all([table.run(effect), others()]);
      return result;
    },
    close: () => table.close(),
  };
}

async function openMemory(): Promise<LeaseTable> {
  const table = new MemoryLeaseTable({ wallNow: clock.wallNow });
  await table.open();
  return table;
}

function lease(fields: Partial<Lease> = {}): Lease {
  const leaseKey = fields.leaseKey ?? key;
  return {
    leaseKey,
    streamId: undefined,
    shardId: leaseKey,
    leaseOwner: undefined,
    leaseCounter: 0,
    checkpointOwner: undefined,
    checkpoint: parseCheckpoint('TRIM_HORIZON'),
    pendingCheckpoint: undefined,
    ownerSwitchesSinceCheckpoint: 0,
    parentShardIds: [],
    childShardIds: [],
    hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY },
    throughputKBps: undefined,
    ...fields,
  };
}

const leader = (owner: string, version: string): LeaderRow => ({ owner, version, leaseDurationMs: 30_000 });

describe.each([
  ['memory', openMemory],
  ['DynamoDB, one table', () => openDynamoDB('single')],
  ['DynamoDB, three tables', () => openDynamoDB('three')],
  ['DynamoDB, renewals together', openTogether],
])('the lease table in %s', (_, open) => {
  let table: LeaseTable;
  beforeEach(async () => {
    table = await open();
  });

  const create = (row: Lease) =>
    table.run({ kind: 'createLease', lease: row, leaseKey: row.leaseKey, tenure: undefined });
  const read = async (leaseKey = key): Promise<Lease | undefined> => {
    const { leases } = await table.run({ kind: 'readLeases', leaseKeys: [leaseKey], leaseKey, tenure });
    return leases[0];
  };
  /** The result of a refused write: the row as it is, which is as it was. */
  const refused = (row: Lease | undefined) => ({ applied: false, lease: row });

  describe('createLease', () => {
    it('puts a row of which every field comes back', async () => {
      const row = lease({
        leaseOwner: 'w1',
        leaseCounter: 7,
        checkpointOwner: 'w2',
        checkpoint: parseCheckpoint('49590338271490256608559692538361571095921575989136588898', 3),
        pendingCheckpoint: { position: parseCheckpoint('SHARD_END'), state: Uint8Array.of(0, 255) },
        ownerSwitchesSinceCheckpoint: 2,
        parentShardIds: ['shardId-000000000001', 'shardId-000000000002'],
        childShardIds: ['shardId-000000000003'],
      });
      expect(await create(row)).toEqual({ created: true });
      expect(await read()).toEqual(row);
    });

    it('leaves a row that is there as it is', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      expect(await create(lease({ leaseOwner: 'w2' }))).toEqual({ created: false });
      expect(await read()).toEqual(lease({ leaseOwner: 'w1' }));
    });

    it('is won by exactly one of many', async () => {
      const results = await Promise.all(Array.from({ length: 20 }, (_, n) => create(lease({ leaseOwner: `w${n}` }))));
      expect(results.filter((result) => result.created)).toHaveLength(1);
    });
  });

  describe('renewLease', () => {
    const renew = (leaseCounter: number, handoffKnown = false) =>
      table.run({ kind: 'renewLease', leaseKey: key, tenure, leaseCounter, handoffKnown, throughputKBps: undefined });

    it('adds one to the counter it was given', async () => {
      await create(lease({ leaseOwner: 'w1', leaseCounter: 4 }));
      expect(await renew(4)).toEqual({ applied: true, lease: lease({ leaseOwner: 'w1', leaseCounter: 5 }) });
    });

    it('writes the throughput when it is given, and leaves it alone when not', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      const throughputKBps = 0.000034;
      const first = { kind: 'renewLease', leaseKey: key, tenure, leaseCounter: 0, handoffKnown: false } as const;
      await table.run({ ...first, throughputKBps });
      expect((await read())?.throughputKBps).toBe(throughputKBps);
      await renew(1);
      expect((await read())?.throughputKBps).toBe(throughputKBps);
    });

    it('notes once when reading from LATEST began, until there is a checkpoint', async () => {
      await create(lease({ leaseOwner: 'w1', checkpoint: parseCheckpoint('LATEST'), leaseCounter: 1 }));
      const renewal = {
        kind: 'renewLease',
        leaseKey: key,
        tenure,
        handoffKnown: false,
        throughputKBps: undefined,
      } as const;
      await table.run({ ...renewal, leaseCounter: 1 });
      expect((await read())?.latestSince).toBeUndefined();
      const began = await table.run({ ...renewal, leaseCounter: 2, beginsAtLatest: true });
      expect(began).toMatchObject({ applied: true, lease: { latestSince: NOW_MS } });
      const before = { ...lease({ leaseKey: 'b', checkpoint: parseCheckpoint('LATEST') }), latestSince: 5 };
      await create(before);
      await table.run({ ...renewal, leaseKey: 'b', leaseCounter: 0, beginsAtLatest: true });
      expect(await read('b')).toMatchObject({ latestSince: 5 });
      const checkpoint = {
        kind: 'checkpointLease',
        tenure,
        childShardIds: undefined,
        throughputKBps: undefined,
      } as const;
      const pendingCheckpoint = { position: parseCheckpoint('7'), state: undefined };
      await table.run({ ...checkpoint, leaseKey: 'b', leaseCounter: 1, checkpoint: undefined, pendingCheckpoint });
      expect(await read('b')).toMatchObject({ latestSince: 5, pendingCheckpoint });
      const position = parseCheckpoint('7', -1);
      const none = { checkpoint: position, pendingCheckpoint: undefined };
      await table.run({ ...checkpoint, leaseKey: 'b', leaseCounter: 2, ...none });
      expect(await read('b')).toEqual({ ...before, leaseCounter: 3, checkpoint: position, latestSince: undefined });
    });

    it('is refused with another counter, and shows the row', async () => {
      const row = lease({ leaseOwner: 'w2', leaseCounter: 5 });
      await create(row);
      expect(await renew(4)).toEqual(refused(row));
      expect(await read()).toEqual(row);
    });

    it('is refused when a handoff has begun that the holder does not know of', async () => {
      const row = lease({ leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 4 });
      await create(row);
      expect(await renew(4)).toEqual(refused(row));
      expect(await renew(4, true)).toEqual({ applied: true, lease: { ...row, leaseCounter: 5 } });
    });

    it('is refused on a row that is gone, which stays gone', async () => {
      expect(await renew(0)).toEqual(refused(undefined));
      expect(await read()).toBeUndefined();
    });

    it('is applied once by many with the same counter', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      const results = await Promise.all(Array.from({ length: 20 }, () => renew(0)));
      expect(results.filter((result) => result.applied)).toHaveLength(1);
      expect((await read())?.leaseCounter).toBe(1);
    });
  });

  describe('checkpointLease', () => {
    const checkpoint = (leaseCounter: number, text: string, sub = 0, childShardIds?: string[]) =>
      table.run({
        kind: 'checkpointLease',
        leaseKey: key,
        tenure,
        leaseCounter,
        checkpoint: parseCheckpoint(text, sub),
        pendingCheckpoint: undefined,
        childShardIds,
        throughputKBps: undefined,
      });

    it('sets the position with its sub-sequence number and forgets owner switches', async () => {
      await create(lease({ leaseOwner: 'w1', leaseCounter: 4, ownerSwitchesSinceCheckpoint: 3 }));
      const row = lease({ leaseOwner: 'w1', leaseCounter: 5, checkpoint: parseCheckpoint('123', 9) });
      expect(await checkpoint(4, '123', 9)).toEqual({ applied: true, lease: row });
      expect(await read()).toEqual(row);
    });

    it('is allowed during a handoff, which it leaves under way', async () => {
      await create(lease({ leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 4 }));
      expect(await checkpoint(4, '5')).toMatchObject({
        applied: true,
        lease: { leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 5 },
      });
    });

    it('writes the children with the end, and none where there are none', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      expect(await checkpoint(0, '5', 0, [])).toMatchObject({ applied: true, lease: { childShardIds: [] } });
      expect(await checkpoint(1, 'SHARD_END', 0, ['a', 'b'])).toMatchObject({
        applied: true,
        lease: { childShardIds: ['a', 'b'], checkpoint: { sequenceNumber: 'SHARD_END' } },
      });
      expect(await checkpoint(2, 'SHARD_END')).toMatchObject({ lease: { childShardIds: ['a', 'b'] } });
    });

    it('is refused with another counter', async () => {
      const row = lease({ leaseOwner: 'w1', leaseCounter: 6, checkpoint: parseCheckpoint('9') });
      await create(row);
      expect(await checkpoint(5, '10')).toEqual(refused(row));
    });

    const prepare = (leaseCounter: number, pendingCheckpoint: Lease['pendingCheckpoint'], text?: string) =>
      table.run({
        kind: 'checkpointLease',
        leaseKey: key,
        tenure,
        leaseCounter,
        checkpoint: text === undefined ? undefined : parseCheckpoint(text),
        pendingCheckpoint,
        childShardIds: undefined,
        throughputKBps: undefined,
      });

    it('prepares: the pending checkpoint and its state are set, the checkpoint and the owner switches stay', async () => {
      const row = lease({ leaseOwner: 'w1', checkpoint: parseCheckpoint('3', 1), ownerSwitchesSinceCheckpoint: 2 });
      await create(row);
      const pendingCheckpoint = { position: parseCheckpoint('7', 2), state: Uint8Array.of(1, 2, 3) };
      const prepared = { ...row, leaseCounter: 1, pendingCheckpoint };
      expect(await prepare(0, pendingCheckpoint)).toEqual({ applied: true, lease: prepared });
      expect(await read()).toEqual(prepared);
      const renewal = { leaseKey: key, tenure, leaseCounter: 1, handoffKnown: false, throughputKBps: undefined };
      await table.run({ kind: 'renewLease', ...renewal });
      expect((await read())?.pendingCheckpoint).toEqual(pendingCheckpoint);
    });

    it('a pending checkpoint takes the place of another, whose state goes with it', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      await prepare(0, { position: parseCheckpoint('7'), state: Uint8Array.of(1) });
      const pendingCheckpoint = { position: parseCheckpoint('5'), state: undefined };
      expect(await prepare(1, pendingCheckpoint)).toMatchObject({ applied: true, lease: { pendingCheckpoint } });
    });

    it('a checkpoint removes what is pending, but for what is written with it', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      const pendingCheckpoint = { position: parseCheckpoint('9'), state: Uint8Array.of(1) };
      await prepare(0, pendingCheckpoint);
      expect(await checkpoint(1, '8')).toEqual({
        applied: true,
        lease: lease({ leaseOwner: 'w1', leaseCounter: 2, checkpoint: parseCheckpoint('8') }),
      });
      expect(await prepare(2, pendingCheckpoint, '8')).toMatchObject({
        applied: true,
        lease: { checkpoint: parseCheckpoint('8'), pendingCheckpoint },
      });
    });

    it('of two with the same counter one wins whole', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      const results = await Promise.all(Array.from({ length: 10 }, (_, n) => checkpoint(0, String(100 + n), n)));
      const winner = results.findIndex((result) => result.applied);
      expect(results.filter((result) => result.applied)).toHaveLength(1);
      expect((await read())?.checkpoint).toEqual(parseCheckpoint(String(100 + winner), winner));
    });
  });

  describe('assignLease', () => {
    const assign = (
      seenOwner: string | undefined,
      newOwner: string,
      seenCheckpointOwner?: string,
      seenCounter?: number,
    ) =>
      table.run({
        kind: 'assignLease',
        leaseKey: key,
        seenOwner,
        seenCheckpointOwner,
        seenCounter,
        newOwner,
        tenure: undefined,
      });

    it('gives an unassigned lease its first owner, which counts as a switch', async () => {
      await create(lease({ leaseCounter: 3 }));
      expect(await assign(undefined, 'w1')).toEqual({
        applied: true,
        lease: lease({ leaseOwner: 'w1', leaseCounter: 4, ownerSwitchesSinceCheckpoint: 1 }),
      });
    });

    it('counts a switch from one owner to another, and none to the same', async () => {
      await create(lease({ leaseOwner: 'w1' }));
      expect(await assign('w1', 'w2')).toMatchObject({ lease: { ownerSwitchesSinceCheckpoint: 1 } });
      expect(await assign('w2', 'w2')).toMatchObject({ lease: { ownerSwitchesSinceCheckpoint: 1 } });
    });

    it('completes a handoff, which counts as a switch', async () => {
      await create(lease({ leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 9 }));
      expect(await assign('w2', 'w2', 'w1')).toEqual({
        applied: true,
        lease: lease({ leaseOwner: 'w2', leaseCounter: 10, ownerSwitchesSinceCheckpoint: 1 }),
      });
    });

    it('takes a handoff back, which counts as a switch', async () => {
      await create(lease({ leaseOwner: 'w2', checkpointOwner: 'w1' }));
      expect(await assign('w2', 'w1', 'w1')).toMatchObject({
        lease: { leaseOwner: 'w1', checkpointOwner: undefined, ownerSwitchesSinceCheckpoint: 1 },
      });
    });

    it.each([
      ['another owner', lease({ leaseOwner: 'w3' }), 'w1', undefined],
      ['an owner where none was', lease({ leaseOwner: 'w3' }), undefined, undefined],
      ['no owner where one was', lease(), 'w1', undefined],
      ['a handoff begun', lease({ leaseOwner: 'w1', checkpointOwner: 'w4' }), 'w1', undefined],
      ['a handoff done', lease({ leaseOwner: 'w1' }), 'w1', 'w4'],
    ])('is refused by %s', async (_, row, seenOwner, seenCheckpointOwner) => {
      await create(row);
      expect(await assign(seenOwner, 'w2', seenCheckpointOwner)).toEqual(refused(row));
      expect(await read()).toEqual(row);
    });

    it('with a counter, is refused once the owner has renewed', async () => {
      const row = lease({ leaseOwner: 'w1', leaseCounter: 7 });
      await create(row);
      expect(await assign('w1', 'w2', undefined, 6)).toEqual(refused(row));
      expect(await assign('w1', 'w2', undefined, 7)).toMatchObject({ applied: true, lease: { leaseCounter: 8 } });
    });

    it('does not make a row that is gone', async () => {
      expect(await assign(undefined, 'w1')).toEqual(refused(undefined));
      expect(await read()).toBeUndefined();
    });

    it('is won by one of many', async () => {
      await create(lease());
      const results = await Promise.all(Array.from({ length: 10 }, (_, n) => assign(undefined, `w${n}`)));
      expect(results.filter((result) => result.applied)).toHaveLength(1);
    });
  });

  describe('resetLease', () => {
    const range = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
    const reset = (seenCounter: number, seenCheckpoint: Lease['checkpoint'], parentShardIds: string[] = []) =>
      table.run({
        kind: 'resetLease',
        leaseKey: key,
        seenCounter,
        seenCheckpoint,
        parentShardIds,
        hashKeyRange: range,
      });

    it('makes the lease as if new, of nobody, and moves the counter on, so that its holder loses it', async () => {
      const before = {
        parentShardIds: ['x'],
        childShardIds: ['y'],
        ownerSwitchesSinceCheckpoint: 2,
        throughputKBps: 3,
      };
      const half = { pendingCheckpoint: { position: parseCheckpoint('8'), state: undefined } };
      const owners = { leaseOwner: 'w2', checkpointOwner: 'w1' };
      await create(lease({ ...before, ...half, ...owners, leaseCounter: 7, checkpoint: parseCheckpoint('5') }));
      const after = lease({ leaseCounter: 8, checkpoint: TRIM_HORIZON, hashKeyRange: range, throughputKBps: 3 });
      expect(await reset(7, parseCheckpoint('5'))).toEqual({ applied: true, lease: after });
      expect(await read()).toEqual(after);
    });

    it('takes the parents of the shard as it is now', async () => {
      await create(lease({ leaseCounter: 7, checkpoint: SHARD_END }));
      expect(await reset(7, SHARD_END, ['p'])).toMatchObject({ applied: true, lease: { parentShardIds: ['p'] } });
    });

    it('is refused where counter or checkpoint have moved, and makes no row that is gone', async () => {
      expect(await reset(7, SHARD_END)).toEqual(refused(undefined));
      const row = lease({ leaseOwner: 'w1', leaseCounter: 7, checkpoint: parseCheckpoint('5') });
      await create(row);
      expect(await reset(6, parseCheckpoint('5'))).toEqual(refused(row));
      expect(await reset(7, parseCheckpoint('4'))).toEqual(refused(row));
      expect(await read()).toEqual(row);
    });
  });

  describe('fillLease', () => {
    const range = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
    const fill = (hashKeyRange: Lease['hashKeyRange'], childShardIds?: string[]) =>
      table.run({ kind: 'fillLease', leaseKey: key, hashKeyRange, childShardIds });

    it('sets what is absent, and leaves the counter to the holder', async () => {
      const row = lease({ leaseOwner: 'w1', leaseCounter: 7, hashKeyRange: undefined });
      await create(row);
      expect(await fill(range)).toEqual({ applied: true, lease: { ...row, hashKeyRange: range } });
      expect(await fill(undefined, ['a', 'b'])).toMatchObject({ applied: true, lease: { childShardIds: ['a', 'b'] } });
      expect(await read()).toEqual({ ...row, hashKeyRange: range, childShardIds: ['a', 'b'] });
    });

    it('is refused where something is there already, and shows it', async () => {
      const row = lease({ hashKeyRange: { start: MIN_HASH_KEY, end: MIN_HASH_KEY }, childShardIds: ['x'] });
      await create(row);
      expect(await fill(range)).toEqual(refused(row));
      expect(await fill(undefined, ['a'])).toEqual(refused(row));
      expect(await fill(range, ['a'])).toEqual(refused(row));
      expect(await read()).toEqual(row);
    });

    it('makes no row that is gone', async () => {
      expect(await fill(range, ['a'])).toEqual(refused(undefined));
      expect(await read()).toBeUndefined();
    });
  });

  describe('takeLease', () => {
    const take = (row: Lease, newOwner = 'w9') => {
      const { leaseKey, leaseCounter, leaseOwner: seenOwner, checkpointOwner: seenCheckpointOwner } = row;
      return table.run({ kind: 'takeLease', leaseKey, leaseCounter, seenOwner, seenCheckpointOwner, newOwner });
    };

    it('takes a lease from nobody and from its owner, each of which is a switch of owners', async () => {
      await create(lease());
      const taken = { ...lease(), leaseOwner: 'w9', leaseCounter: 1, ownerSwitchesSinceCheckpoint: 1 };
      expect(await take(lease())).toEqual({ applied: true, lease: taken });
      const again = { ...taken, leaseOwner: 'w1', leaseCounter: 2, ownerSwitchesSinceCheckpoint: 2 };
      expect(await take(taken, 'w1')).toEqual({ applied: true, lease: again });
    });

    it('ends a handoff that is under way', async () => {
      const row = lease({ leaseOwner: 'w2', checkpointOwner: 'w1' });
      await create(row);
      const taken = { leaseOwner: 'w9', checkpointOwner: undefined, leaseCounter: 1, ownerSwitchesSinceCheckpoint: 1 };
      expect(await take(row)).toEqual({ applied: true, lease: { ...row, ...taken } });
    });

    it('is refused once the owner has renewed, and on a row that is gone', async () => {
      const row = lease({ leaseOwner: 'w1', leaseCounter: 4 });
      await create(row);
      expect(await take({ ...row, leaseCounter: 3 })).toEqual(refused(row));
      expect(await take({ ...row, leaseKey: 'gone' })).toEqual(refused(undefined));
      expect(await read('gone')).toBeUndefined();
    });

    it('is won by one of many', async () => {
      await create(lease());
      const results = await Promise.all(['a', 'b', 'c', 'd'].map((owner) => take(lease(), owner)));
      expect(results.filter((result) => result.applied)).toHaveLength(1);
      expect(await read()).toMatchObject({ leaseCounter: 1 });
    });
  });

  describe('the client version', () => {
    const change = (from: ClientVersion, to: ClientVersion, workerId: string) =>
      table.run({ kind: 'changeClientVersion', from, to, workerId });

    it('of a new table is 3X', async () => {
      expect(table.clientVersion).toBe('3X');
      expect(await table.run({ kind: 'readClientVersion' })).toMatchObject({ row: { version: '3X' } });
    });

    it('is changed from what it was seen to be, and told as it is', async () => {
      const back = { row: { version: '2X', modifiedBy: 'a' } };
      expect(await change('3X', '2X', 'a')).toEqual(back);
      expect(await change('3X_WITH_ROLLBACK', '2X', 'b')).toEqual(back);
      expect(await table.run({ kind: 'readClientVersion' })).toEqual(back);
    });

    it('is changed by one of many', async () => {
      const ids = ['a', 'b', 'c', 'd'];
      const results = await Promise.all(ids.map((workerId) => change('3X', '2X', workerId)));
      const { row } = await table.run({ kind: 'readClientVersion' });
      expect(results).toEqual(ids.map(() => ({ row })));
    });
  });

  describe('handOffLease', () => {
    const handOff = (from: string, to: string, seenCounter?: number) =>
      table.run({ kind: 'handOffLease', leaseKey: key, from, to, seenCounter });

    it('names the next owner and lets the old one finish, with the counter as it was', async () => {
      await create(lease({ leaseOwner: 'w1', leaseCounter: 8 }));
      const row = lease({ leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 8 });
      expect(await handOff('w1', 'w2')).toEqual({ applied: true, lease: row });
    });

    it.each([
      ['another owner', lease({ leaseOwner: 'w3' })],
      ['no owner', lease()],
      ['a handoff under way', lease({ leaseOwner: 'w1', checkpointOwner: 'w4' })],
    ])('is refused by %s', async (_, row) => {
      await create(row);
      expect(await handOff('w1', 'w2')).toEqual(refused(row));
    });

    it('is refused by another counter, where one is given', async () => {
      const row = lease({ leaseOwner: 'w1', leaseCounter: 5 });
      await create(row);
      expect(await handOff('w1', 'w2', 4)).toEqual(refused(row));
      expect(await handOff('w1', 'w2', 5)).toMatchObject({ applied: true });
    });

    it('is refused where there is no row', async () => {
      expect(await handOff('w1', 'w2')).toEqual(refused(undefined));
    });
  });

  describe('evictLease', () => {
    const evict = (seenOwner: string, seenCounter?: number) =>
      table.run({ kind: 'evictLease', leaseKey: key, seenOwner, seenCounter, tenure });

    it('leaves the lease to nobody', async () => {
      await create(lease({ leaseOwner: 'w1', leaseCounter: 2, ownerSwitchesSinceCheckpoint: 1 }));
      const row = lease({ leaseCounter: 3, ownerSwitchesSinceCheckpoint: 1 });
      expect(await evict('w1')).toEqual({ applied: true, lease: row });
      expect(await read()).toEqual(row);
    });

    it.each([
      ['another owner', lease({ leaseOwner: 'w2' })],
      ['no owner', lease()],
      ['a handoff under way', lease({ leaseOwner: 'w1', checkpointOwner: 'w2' })],
    ])('is refused by %s', async (_, row) => {
      await create(row);
      expect(await evict('w1')).toEqual(refused(row));
      expect(await read()).toEqual(row);
    });

    it('is refused by another counter, where one is given', async () => {
      const row = lease({ leaseOwner: 'w1', leaseCounter: 5 });
      await create(row);
      expect(await evict('w1', 4)).toEqual(refused(row));
      expect(await evict('w1', 5)).toMatchObject({ applied: true, lease: { leaseOwner: undefined, leaseCounter: 6 } });
    });
  });

  it('deleteLease takes only a row at SHARD_END whose counter is as it was seen', async () => {
    const remove = (seenCounter = 1) => table.run({ kind: 'deleteLease', leaseKey: key, onlyEnded: true, seenCounter });
    await create(lease({ leaseOwner: 'w1', checkpoint: parseCheckpoint('5') }));
    expect(await remove(0)).toEqual({ deleted: false });
    await table.run({
      kind: 'checkpointLease',
      leaseKey: key,
      tenure,
      leaseCounter: 0,
      checkpoint: parseCheckpoint('SHARD_END'),
      pendingCheckpoint: undefined,
      childShardIds: undefined,
      throughputKBps: undefined,
    });
    expect(await remove(0)).toEqual({ deleted: false });
    expect(await remove(2)).toEqual({ deleted: false });
    expect(await remove()).toEqual({ deleted: true });
    expect(await remove()).toEqual({ deleted: false });
    expect(await read()).toBeUndefined();
  });

  it('deleteLease takes a row that need not have ended, unless it was made anew since it was seen', async () => {
    const remove = (seenCounter = 3) =>
      table.run({ kind: 'deleteLease', leaseKey: key, onlyEnded: false, seenCounter });
    await create(lease({ leaseOwner: 'w1', leaseCounter: 5, checkpoint: parseCheckpoint('5') }));
    expect(await remove(6)).toEqual({ deleted: false });
    expect(await remove()).toEqual({ deleted: true });
    expect(await remove()).toEqual({ deleted: false });
  });

  it('deleteLease takes a row at the place where it was seen only as long as nobody has written it', async () => {
    const remove = (seenCounter: number, at: string) =>
      table.run({
        kind: 'deleteLease',
        leaseKey: key,
        onlyEnded: false,
        seenCounter,
        seenCheckpoint: parseCheckpoint(at),
      });
    for (const at of ['5', 'TRIM_HORIZON', 'SHARD_END']) {
      await create(lease({ leaseOwner: 'w1', leaseCounter: 5, checkpoint: parseCheckpoint(at) }));
      for (const [seenCounter, other] of [
        [4, at],
        [6, at],
        [5, '6'],
      ] as const)
        expect(await remove(seenCounter, other)).toEqual({ deleted: false });
      expect(await remove(5, at)).toEqual({ deleted: true });
      expect(await read()).toBeUndefined();
    }
  });

  it('a lease of an application of several streams keeps its stream and its shard', async () => {
    const streamId = '123456789012:orders:1700000000';
    const made = lease({ leaseKey: `${streamId}:shardId-000000000001`, streamId, shardId: 'shardId-000000000001' });
    await create(made);
    const { leases } = await table.run({ kind: 'readLeases', leaseKeys: [made.leaseKey], leaseKey: key, tenure });
    expect(leases).toEqual([made]);
  });

  it('readLeases leaves out what is absent', async () => {
    await create(lease({ leaseKey: 'a' }));
    await create(lease({ leaseKey: 'b' }));
    const { leases } = await table.run({ kind: 'readLeases', leaseKeys: ['b', 'c', 'a'], leaseKey: 'x', tenure });
    expect(leases.map((row) => row.leaseKey)).toEqual(['b', 'a']);
  });

  it('discoverLeases finds what a worker owns or will own, and nothing else', async () => {
    await create(lease({ leaseKey: 'mine', leaseOwner: 'w1' }));
    await create(lease({ leaseKey: 'coming', leaseOwner: 'w1', checkpointOwner: 'w2' }));
    await create(lease({ leaseKey: 'going', leaseOwner: 'w2', checkpointOwner: 'w1' }));
    await create(lease({ leaseKey: 'free' }));
    const { leases } = await table.run({ kind: 'discoverLeases', owner: 'w1', held: [] });
    expect(leases.map((row) => row.leaseKey).sort()).toEqual(['coming', 'mine']);
  });

  it('discoverLeases leaves out what the worker holds', async () => {
    await create(lease({ leaseKey: 'new', leaseOwner: 'w1' }));
    await create(lease({ leaseKey: 'held', leaseOwner: 'w1' }));
    const { leases } = await table.run({ kind: 'discoverLeases', owner: 'w1', held: ['held', 'gone'] });
    expect(leases.map((row) => row.leaseKey)).toEqual(['new']);
  });

  it('discoverLeases looks at some leases alone when told to', async () => {
    await create(lease({ leaseKey: 'asked', leaseOwner: 'w1', checkpointOwner: 'w2' }));
    await create(lease({ leaseKey: 'not asked', leaseOwner: 'w1' }));
    await create(lease({ leaseKey: 'not mine', leaseOwner: 'w2' }));
    const among = ['asked', 'not mine', 'gone'];
    const { leases } = await table.run({ kind: 'discoverLeases', owner: 'w1', held: [], among });
    expect(leases.map((row) => row.leaseKey)).toEqual(['asked']);
  });

  it('readTable tells leases and workers apart from each other and from the leader', async () => {
    await create(lease({ leaseKey: 'a' }));
    await create(lease({ leaseKey: 'b', leaseOwner: 'w1' }));
    const utilization = { stats: { C: [10.25, -1, 99] }, operatingRange: { C: [100] } };
    await table.run({ kind: 'reportWorker', workerId: 'w1', utilization: NOTHING_MEASURED, processId: 'p1' });
    await table.run({ kind: 'reportWorker', workerId: 'w2', utilization, processId: 'p2' });
    await table.run({ kind: 'reportWorker', workerId: 'w2', utilization, processId: 'p2' });
    await table.run({ kind: 'writeLeader', leader: leader('w1', 'v1'), expectedVersion: undefined });
    const { leases, workers } = await table.run({ kind: 'readTable', for: 'leader' });
    expect(leases.map((row) => row.leaseKey).sort()).toEqual(['a', 'b']);
    const row = { lastUpdateSeconds: 1_700_000_000, ageMs: 250, utilization, supportCode: 1 };
    expect([...workers].sort(byWorker)).toEqual([
      { workerId: 'w1', ...row, utilization: NOTHING_MEASURED, process: { id: 'p1', sinceSeconds: 1_700_000_000 } },
      { workerId: 'w2', ...row, process: { id: 'p2', sinceSeconds: 1_700_000_000 } },
    ]);
    await table.run({ kind: 'forgetWorker', workerId: 'w1', processId: 'p1' });
    await table.run({ kind: 'forgetWorker', workerId: 'w1', processId: 'p1' });
    expect((await table.run({ kind: 'readTable', for: 'leader' })).workers).toMatchObject([{ workerId: 'w2', ...row }]);
  });

  it('deleteWorker takes a row as it was seen, and neither one that was updated since, nor one that is gone, nor a lease', async () => {
    const remove = (workerId: string, lastUpdateSeconds = 1_700_000_000) =>
      table.run({ kind: 'deleteWorker', workerId, lastUpdateSeconds });
    const present = async () =>
      (await table.run({ kind: 'readTable', for: 'leader' })).workers.map((row) => row.workerId);
    for (const workerId of ['w1', 'w2'])
      await table.run({ kind: 'reportWorker', workerId, utilization: NOTHING_MEASURED, processId: workerId });
    await create(lease());
    expect(await remove('w1', 1_699_999_999)).toEqual({ deleted: false });
    expect(await remove(key)).toEqual({ deleted: false });
    expect((await present()).sort()).toEqual(['w1', 'w2']);
    expect(await remove('w1')).toEqual({ deleted: true });
    expect(await remove('w1')).toEqual({ deleted: false });
    expect(await present()).toEqual(['w2']);
    expect(await read()).toEqual(lease());
  });

  describe('the right to a worker id', () => {
    const sinceSeconds = 1_700_000_000;
    const report = (processId: string, more: { over?: WorkerSign; answers?: string; leaves?: true } = {}) =>
      table.run({ kind: 'reportWorker', workerId: 'w1', utilization: NOTHING_MEASURED, processId, ...more });
    const look = async (ask?: { by: string; of: string; after?: string }) =>
      (await table.run({ kind: 'lookAtWorker', workerId: 'w1', ask: ask && { after: undefined, ...ask } })).sign;
    const signOf = (id: string): WorkerSign => ({
      process: { id, sinceSeconds },
      lastUpdateSeconds: sinceSeconds,
      askedBy: undefined,
      answers: undefined,
    });

    it('is that of the process whose metric row it is: another one is refused, and told whose it is', async () => {
      expect(await look()).toBeUndefined();
      expect(await report('p1')).toEqual({ applied: true, process: { id: 'p1', sinceSeconds } });
      expect(await report('p1')).toMatchObject({ applied: true });
      expect(await report('p2')).toEqual({ applied: false, sign: signOf('p1') });
      expect(await look()).toEqual(signOf('p1'));
    });

    it('passes on to the one that names the row as it saw it, and not once it has changed', async () => {
      await report('p1');
      expect(await report('p2', { over: { ...signOf('p1'), lastUpdateSeconds: 5 } })).toMatchObject({ applied: false });
      expect(await report('p2', { over: signOf('p0') })).toMatchObject({ applied: false });
      expect(await report('p2', { over: signOf('p1') })).toMatchObject({ applied: true });
      expect(await report('p1')).toMatchObject({ applied: false, sign: { process: { id: 'p2' } } });
    });

    it('is asked for in the row, of the process that has it; its next report answers, and takes the question away', async () => {
      await report('p1');
      expect(await look({ by: 'p2', of: 'p0' })).toEqual(signOf('p1'));
      expect(await look({ by: 'p2', of: 'p1' })).toEqual({ ...signOf('p1'), askedBy: 'p2' });
      expect(await look()).toEqual({ ...signOf('p1'), askedBy: 'p2' });
      await report('p1', { answers: 'p2' });
      expect(await look()).toEqual({ ...signOf('p1'), answers: 'p2' });
      await report('p1');
      expect(await look()).toEqual(signOf('p1'));
    });

    it('is asked for by one at a time: another question stands unless it is named, and its sender alone may take over', async () => {
      await report('p1');
      await look({ by: 'p2', of: 'p1' });
      expect(await look({ by: 'p3', of: 'p1' })).toMatchObject({ askedBy: 'p2' });
      expect(await look({ by: 'p3', of: 'p1', after: 'p0' })).toMatchObject({ askedBy: 'p2' });
      expect(await look({ by: 'p3', of: 'p1', after: 'p2' })).toMatchObject({ askedBy: 'p3' });
      expect(await report('p2', { over: { ...signOf('p1'), askedBy: 'p2' } })).toMatchObject({ applied: false });
      expect(await report('p3', { over: { ...signOf('p1'), askedBy: 'p3' } })).toMatchObject({ applied: true });
      expect(await look({ by: 'p2', of: 'p3', after: 'p9' })).toMatchObject({ askedBy: 'p2' });
    });

    it('shows whose process leaves, until another one writes the row', async () => {
      await report('p1', { leaves: true });
      expect(await look()).toEqual({ ...signOf('p1'), leaves: true });
      await report('p2', { over: signOf('p1') });
      expect(await look()).toEqual(signOf('p2'));
    });

    it('stays with the process that answered in the very second in which it was seen', async () => {
      await report('p1');
      const seen = (await look({ by: 'p2', of: 'p1' })) as WorkerSign;
      await report('p1', { answers: 'p2' });
      expect(await report('p2', { over: seen })).toMatchObject({ applied: false, sign: { process: { id: 'p1' } } });
    });

    it('is given up by who has it alone', async () => {
      await report('p1');
      await table.run({ kind: 'forgetWorker', workerId: 'w1', processId: 'p2' });
      expect(await look()).toEqual(signOf('p1'));
      await table.run({ kind: 'forgetWorker', workerId: 'w1', processId: 'p1' });
      expect(await look({ by: 'p2', of: 'p1' })).toBeUndefined();
    });
  });

  describe('the Leader row', () => {
    const write = (row: LeaderRow, expectedVersion?: string) =>
      table.run({ kind: 'writeLeader', leader: row, expectedVersion });
    const readLeader = async () => (await table.run({ kind: 'readLeader' })).leader;

    it('is taken when absent, kept by its version, and taken over by the version last seen', async () => {
      expect(await readLeader()).toBeUndefined();
      expect(await write(leader('w1', 'v1'))).toEqual({ applied: true });
      expect(await write(leader('w2', 'x1'))).toEqual({ applied: false, leader: leader('w1', 'v1') });
      expect(await write(leader('w1', 'v2'), 'v1')).toEqual({ applied: true });
      expect(await write(leader('w2', 'x2'), 'v1')).toEqual({ applied: false, leader: leader('w1', 'v2') });
      expect(await write(leader('w2', 'x3'), 'v2')).toEqual({ applied: true });
      expect(await readLeader()).toEqual(leader('w2', 'x3'));
    });

    it('is not made by a heartbeat', async () => {
      expect(await write(leader('w1', 'v2'), 'v1')).toEqual({ applied: false, leader: undefined });
      expect(await readLeader()).toBeUndefined();
    });

    it('is given up only by its owner in its version', async () => {
      await write(leader('w1', 'v1'));
      const remove = (row: LeaderRow) => table.run({ kind: 'deleteLeader', leader: row });
      expect(await remove(leader('w1', 'v0'))).toEqual({ applied: false, leader: leader('w1', 'v1') });
      expect(await remove(leader('w2', 'v1'))).toEqual({ applied: false, leader: leader('w1', 'v1') });
      expect(await remove(leader('w1', 'v1'))).toEqual({ applied: true });
      expect(await remove(leader('w1', 'v1'))).toEqual({ applied: false, leader: undefined });
    });

    it('goes to one of many', async () => {
      const results = await Promise.all(Array.from({ length: 10 }, (_, n) => write(leader(`w${n}`, `v${n}`))));
      expect(results.filter((result) => result.applied)).toHaveLength(1);
    });
  });
});

/** An effect in outline: `right` is resolved against the row as it is, so that about half of the conditions hold. */
const outline = fc.record({
  kind: fc.constantFrom(
    ...(['create', 'renew', 'checkpoint', 'assign', 'take', 'handOff', 'evict', 'delete', 'fill'] as const),
    ...([
      'readLeases',
      'discover',
      'readTable',
      'leader',
      'deleteLeader',
      'report',
      'look',
      'forget',
      'deleteWorker',
    ] as const),
  ),
  leaseKey: fc.constantFrom('a', 'b', 'c'),
  owner: fc.constantFrom('w1', 'w2'),
  right: fc.boolean(),
  flag: fc.boolean(),
  number: fc.nat({ max: 3 }),
});
type Outline = typeof outline extends fc.Arbitrary<infer T> ? T : never;

function effectOf({ kind, leaseKey, owner, right, flag, number }: Outline, table: MemoryLeaseTable): TableEffect {
  const row = table.leases.get(leaseKey);
  const leaseCounter = right && row !== undefined ? row.leaseCounter : number;
  const seenOwner = right ? row?.leaseOwner : flag ? owner : undefined;
  switch (kind) {
    case 'create': {
      const bare = right ? { hashKeyRange: undefined } : {};
      const made = lease({ leaseKey, leaseOwner: flag ? owner : undefined, leaseCounter: number, ...bare });
      return { kind: 'createLease', lease: made, leaseKey, tenure: undefined };
    }
    case 'renew':
      return {
        kind: 'renewLease',
        leaseKey,
        tenure,
        leaseCounter,
        handoffKnown: flag,
        beginsAtLatest: number === 1,
        throughputKBps: [undefined, 0, 0.000034, 12.5][number],
      };
    case 'take': {
      const seenCheckpointOwner = row?.checkpointOwner;
      // What it saw of the owners belongs to the counter.
      const seen = { leaseCounter, seenOwner: row?.leaseOwner, seenCheckpointOwner };
      return { kind: 'takeLease', leaseKey, ...seen, newOwner: owner };
    }
    case 'checkpoint': {
      const position = parseCheckpoint(flag ? 'SHARD_END' : String(number), number);
      const state = flag ? Uint8Array.of(number) : undefined;
      const [checkpoint, pendingCheckpoint] = [
        [position, undefined],
        [undefined, { position, state }],
        [position, { position, state }],
        [position, undefined],
      ][number] as [typeof position | undefined, Lease['pendingCheckpoint']];
      const childShardIds = [undefined, [], ['x'], ['x', 'y']][number];
      return {
        kind: 'checkpointLease',
        leaseKey,
        tenure,
        leaseCounter,
        checkpoint,
        pendingCheckpoint,
        childShardIds,
        throughputKBps: right ? 3.5 : undefined,
      };
    }
    case 'assign': {
      const seenCheckpointOwner = right ? row?.checkpointOwner : undefined;
      const seenCounter = flag ? leaseCounter : undefined;
      const seen = { seenOwner, seenCheckpointOwner, seenCounter };
      return { kind: 'assignLease', leaseKey, ...seen, newOwner: owner, tenure: undefined };
    }
    case 'handOff':
      return {
        kind: 'handOffLease',
        leaseKey,
        from: seenOwner ?? owner,
        to: owner,
        seenCounter: flag ? leaseCounter : undefined,
      };
    case 'evict':
      return {
        kind: 'evictLease',
        leaseKey,
        seenOwner: seenOwner ?? owner,
        seenCounter: right ? row?.leaseCounter : undefined,
        tenure,
      };
    case 'delete':
      return {
        kind: 'deleteLease',
        leaseKey,
        onlyEnded: flag,
        seenCounter: leaseCounter,
        ...(right && row && { seenCheckpoint: row.checkpoint }),
      };
    case 'fill':
      return {
        kind: 'fillLease',
        leaseKey,
        hashKeyRange: flag ? { start: MIN_HASH_KEY, end: MAX_HASH_KEY } : undefined,
        childShardIds: right || !flag ? ['x'] : undefined,
      };
    case 'readLeases':
      return { kind: 'readLeases', leaseKeys: [leaseKey, 'c'], leaseKey, tenure };
    case 'discover':
      return { kind: 'discoverLeases', owner, held: [] };
    case 'readTable':
      return { kind: 'readTable', for: 'leader' };
    case 'leader': {
      const expectedVersion = right ? table.leader?.version : flag ? `v${number}` : undefined;
      return { kind: 'writeLeader', leader: leader(owner, `v${number}`), expectedVersion };
    }
    case 'deleteLeader':
      return { kind: 'deleteLeader', leader: (right ? table.leader : undefined) ?? leader(owner, `v${number}`) };
    case 'report':
      return {
        kind: 'reportWorker',
        workerId: owner,
        utilization: NOTHING_MEASURED,
        processId: `p${number}`,
        over: right ? table.apply({ kind: 'lookAtWorker', workerId: owner, ask: undefined }).sign : undefined,
        answers: flag ? 'asker' : undefined,
        leaves: flag || undefined,
      };
    case 'look': {
      const row = table.workers.get(owner);
      const of = right ? (row?.process?.id ?? 'p1') : 'p1';
      const after = right ? row?.askedBy : undefined;
      return { kind: 'lookAtWorker', workerId: owner, ask: flag ? { by: `p${number}`, of, after } : undefined };
    }
    case 'forget':
      return { kind: 'forgetWorker', workerId: owner, processId: `p${number}` };
    case 'deleteWorker':
      return { kind: 'deleteWorker', workerId: owner, lastUpdateSeconds: right ? Math.floor(NOW_MS / 1000) : number };
    default:
      return kind satisfies never;
  }
}

const openings = fc.constantFrom(
  () => openDynamoDB('single'),
  () => openDynamoDB('three'),
  openTogether,
);

/** Rows have no order, neither in a Map nor in a scan. */
function comparable(result: ResultOf<TableEffect>): unknown {
  if (result === undefined || !('leases' in result)) return result;
  const leases = [...result.leases].sort((a, b) => (a.leaseKey < b.leaseKey ? -1 : 1));
  return 'workers' in result ? { leases, workers: [...result.workers].sort(byWorker) } : { leases };
}

function byWorker(a: { workerId: string }, b: { workerId: string }): number {
  return a.workerId < b.workerId ? -1 : 1;
}

describe('both lease tables', () => {
  it('answer any sequence of effects equally', async () => {
    const applied = { true: 0, false: 0 };
    await fc.assert(
      fc.asyncProperty(openings, fc.array(outline, { minLength: 20, maxLength: 60 }), async (open, outlines) => {
        const memory = new MemoryLeaseTable({ wallNow: clock.wallNow });
        const remote = await open();
        // Two rows to begin with, or most effects would find nothing.
        for (const leaseKey of ['a', 'b']) {
          const effect = { kind: 'createLease', lease: lease({ leaseKey }), leaseKey, tenure: undefined } as const;
          expect(await remote.run(effect)).toEqual(memory.apply(effect));
        }
        for (const it of outlines) {
          const effect = effectOf(it, memory);
          const expected = memory.apply(effect);
          expect(comparable(await remote.run(effect))).toEqual(comparable(expected));
          if (expected !== undefined && 'applied' in expected) applied[`${expected.applied}`] += 1;
        }
        const everything = { kind: 'readTable', for: 'leader' } as const;
        expect(comparable(await remote.run(everything))).toEqual(comparable(memory.apply(everything)));
      }),
      { numRuns: 25 },
    );
    // The sequences are worth something only if both outcomes are frequent.
    expect(applied.true).toBeGreaterThan(50);
    expect(applied.false).toBeGreaterThan(50);
  }, 120_000);
});

// Renewals that go together: each keeps its own condition and its own answer, and whatever becomes of the call for many, none fails
// that would not have failed by itself. On dynalite by a proxy that knows our statements, on AWS's DynamoDB Local as it is.
import { createDynamoDBClient, evenRanges, type HashKeyRange, systemClock, TRIM_HORIZON } from '@shardline/common';
import { startLocalDynamoDB } from '@shardline/local';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { type Lease, newLease } from '../src/coordination/lease.ts';
import type { LeaseWrite } from '../src/coordination/results.ts';
import { DynamoDBLeaseTable } from '../src/lease-table/dynamodb.ts';
import { startTestDynamoDB, type TestDynamoDB } from './local-dynamodb.ts';
import { recordingLogger } from './spec/wire.ts';
import { type StatementsProxy, startStatementsProxy } from './statements-proxy.ts';

const [whole] = evenRanges(1) as [HashKeyRange];
const hasPartiQL = inject('dynamoDBEndpoint') !== undefined;
const HOUR_MS = 3_600_000;

let dynamodb: TestDynamoDB;
let proxy: StatementsProxy;
beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
  proxy = await startStatementsProxy(dynamodb.clientConfig.endpoint, hasPartiQL);
});
afterAll(async () => {
  await proxy.close();
  await dynamodb.close();
});
beforeEach(() => {
  proxy.refusal = undefined;
  proxy.failure = () => undefined;
  proxy.tamper = (answers) => answers;
  proxy.losesAnswers = 0;
});

const keyOf = (index: number): string => `shardId-${String(index).padStart(12, '0')}`;
const isMany = ({ operation }: { operation: string }): boolean => operation === 'BatchExecuteStatement';

let tableCount = 0;
/** A table with leases of this worker's, and what it knows of them. */
class Scene {
  readonly table: DynamoDBLeaseTable;
  readonly log = recordingLogger();
  readonly counters = new Map<string, number>();
  passedMs = 0;

  private constructor(client: ReturnType<typeof createDynamoDBClient>) {
    tableCount += 1;
    this.table = new DynamoDBLeaseTable({
      client,
      tableName: `renewals-${process.pid}-${tableCount}`,
      workerId: 'w1',
      logger: this.log.logger,
      clock: { ...systemClock, now: () => systemClock.now() + this.passedMs },
    });
  }

  static async open(leaseCount: number, { endpoint = proxy.endpoint, maxAttempts = 3 } = {}): Promise<Scene> {
    const client = createDynamoDBClient({ ...dynamodb.clientConfig, endpoint, maxAttempts });
    const scene = new Scene(client);
    await scene.table.open();
    for (let index = 0; index < leaseCount; index += 1) await scene.create(keyOf(index));
    scene.log.lines.splice(0);
    proxy.forget();
    return scene;
  }

  /** The same, once it is known that this DynamoDB takes many in one call. */
  static async proven(leaseCount: number, options: { maxAttempts?: number } = {}): Promise<Scene> {
    const scene = await Scene.open(Math.max(3, leaseCount), options);
    for (
      let round = 0;
      !proxy.calls.some(({ leaseKeys, operation }) => isMany({ operation }) && leaseKeys.length > 1);
      round += 1
    ) {
      if (round === 100) throw new Error('renewals never went together');
      await scene.renewAll();
    }
    proxy.forget();
    return scene;
  }

  async create(leaseKey: string, fields: Partial<Lease> = {}): Promise<void> {
    const lease = newLease({ shardId: leaseKey, parentShardIds: [], hashKeyRange: whole }, TRIM_HORIZON);
    await this.table.run({
      kind: 'createLease',
      lease: { ...lease, leaseOwner: 'w1', ...fields },
      leaseKey,
      tenure: undefined,
    });
    if (fields.leaseOwner === undefined) this.counters.set(leaseKey, fields.leaseCounter ?? 0);
  }

  renew(
    leaseKey: string,
    more: { handoffKnown?: boolean; throughputKBps?: number; beginsAtLatest?: boolean; leaseCounter?: number } = {},
  ): Promise<LeaseWrite> {
    const leaseCounter = this.counters.get(leaseKey) ?? 0;
    const renewal = {
      kind: 'renewLease',
      leaseKey,
      tenure: 1,
      leaseCounter,
      handoffKnown: false,
      throughputKBps: undefined,
    } as const;
    return this.table.run({ ...renewal, ...more });
  }

  /** All in one turn; each must be applied. */
  async renewAll(): Promise<void> {
    const keys = [...this.counters.keys()];
    for (const [index, write] of (await Promise.all(keys.map((key) => this.renew(key)))).entries()) {
      const leaseKey = keys[index] as string;
      const leaseCounter = (this.counters.get(leaseKey) ?? 0) + 1;
      expect(write).toMatchObject({ applied: true, lease: { leaseKey, leaseCounter, leaseOwner: 'w1' } });
      this.counters.set(leaseKey, leaseCounter);
    }
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { operation } of proxy.calls) counts[operation] = (counts[operation] ?? 0) + 1;
    return counts;
  }

  told(): string[] {
    return this.log.lines.map(({ level, text }) => `${level}: ${text}`);
  }
}

describe('renewals of one turn', () => {
  it('go together, 25 at most in a call, once an update whose condition cannot hold was refused as it should be', async () => {
    const scene = await Scene.open(31);
    await scene.renewAll();
    for (let round = 0; scene.counts()['BatchExecuteStatement'] === undefined && round < 100; round += 1)
      await scene.renewAll();
    // It was asked about one row, by itself.
    expect(proxy.calls.filter(isMany).map(({ leaseKeys }) => leaseKeys.length)[0]).toBe(1);
    for (let round = 0; (scene.counts()['BatchExecuteStatement'] ?? 0) < 3 && round < 100; round += 1)
      await scene.renewAll();
    proxy.forget();
    await scene.renewAll();
    expect(proxy.calls.map(({ operation, leaseKeys }) => [operation, leaseKeys.length])).toEqual([
      ['BatchExecuteStatement', 16],
      ['BatchExecuteStatement', 15],
    ]);
    expect(scene.told()).toEqual([]);
  });

  it('are each refused for themselves, with the row as it is', async () => {
    const scene = await Scene.proven(3);
    await scene.create('begun', { leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 4 });
    await scene.create('moved', { leaseOwner: 'w2', leaseCounter: 9 });
    const writes = await Promise.all([
      scene.renew(keyOf(0), { throughputKBps: 0.25 }),
      scene.renew('begun', { leaseCounter: 4 }),
      scene.renew('moved', { leaseCounter: 4 }),
      scene.renew('gone'),
      scene.renew(keyOf(1)),
    ]);
    const next = (index: number): number => (scene.counters.get(keyOf(index)) ?? 0) + 1;
    expect(writes).toEqual([
      { applied: true, lease: expect.objectContaining({ leaseCounter: next(0), throughputKBps: 0.25 }) },
      { applied: false, lease: expect.objectContaining({ leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: 4 }) },
      { applied: false, lease: expect.objectContaining({ leaseOwner: 'w2', leaseCounter: 9 }) },
      { applied: false, lease: undefined },
      { applied: true, lease: expect.objectContaining({ leaseCounter: next(1), throughputKBps: undefined }) },
    ]);
    expect(proxy.calls.filter(isMany)).toHaveLength(1);
    const known = await Promise.all([
      scene.renew('begun', { leaseCounter: 4, handoffKnown: true }),
      scene.renew('gone'),
      scene.renew('gone-too'),
    ]);
    expect(known[0]).toMatchObject({ applied: true, lease: { checkpointOwner: 'w1', leaseCounter: 5 } });
  });

  it('of one row are not in one call, and one of them is applied', async () => {
    const scene = await Scene.proven(3);
    const twice = [keyOf(0), keyOf(1), keyOf(2), keyOf(0)];
    const writes = await Promise.all(twice.map((leaseKey) => scene.renew(leaseKey)));
    expect(writes.map(({ applied }) => applied).sort()).toEqual([false, true, true, true]);
    expect(scene.counts()).toMatchObject({ BatchExecuteStatement: 1, UpdateItem: 1 });
  });

  it('that are few, or note when reading began, go by themselves', async () => {
    const scene = await Scene.proven(3);
    const noted = [0, 1, 2].map((index) => scene.renew(keyOf(index), { beginsAtLatest: true }));
    expect(await Promise.all(noted)).toMatchObject(
      [0, 1, 2].map(() => ({ applied: true, lease: { latestSince: expect.any(Number) } })),
    );
    expect(scene.counts()).toEqual({ UpdateItem: 3 });
  });
});

describe('what becomes of one statement, or of the call, is told to each renewal as its own', () => {
  it.each([
    ['ProvisionedThroughputExceeded', 'THROTTLED'],
    ['ThrottlingError', 'THROTTLED'],
    ['RequestLimitExceeded', 'THROTTLED'],
    ['TransactionConflict', 'LEASE_TABLE_UNAVAILABLE'],
    ['InternalServerError', 'LEASE_TABLE_UNAVAILABLE'],
  ])('%s fails the one renewal: %s, to be tried again', async (Code, code) => {
    const scene = await Scene.proven(4);
    proxy.failure = (leaseKey) => (leaseKey === keyOf(1) ? { Code, Message: 'too much' } : undefined);
    const [first, second, ...others] = await Promise.allSettled([0, 1, 2, 3].map((index) => scene.renew(keyOf(index))));
    expect(second).toMatchObject({
      status: 'rejected',
      reason: {
        code,
        retryable: true,
        action: 'dynamodb:PartiQLUpdate',
        resource: expect.stringMatching(/^table renewals-/),
      },
    });
    expect([first, ...others].map((each) => each?.status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    expect(scene.counts()).toEqual({ BatchExecuteStatement: 1 });
    expect(scene.told()).toEqual([]);
  });

  it('an answer that gets lost: the SDK asks again, and each is refused as one that may have been applied', async () => {
    const scene = await Scene.proven(3);
    proxy.losesAnswers = 1;
    const writes = await Promise.all([0, 1, 2].map((index) => scene.renew(keyOf(index))));
    for (const [index, write] of writes.entries()) {
      const leaseCounter = (scene.counters.get(keyOf(index)) ?? 0) + 1;
      expect(write).toMatchObject({ applied: false, repeated: true, lease: { leaseOwner: 'w1', leaseCounter } });
    }
  });

  it('an answer that never comes: each fails, and nobody says whether it was applied', async () => {
    const scene = await Scene.proven(3, { maxAttempts: 1 });
    proxy.losesAnswers = 1;
    const writes = await Promise.allSettled([0, 1, 2].map((index) => scene.renew(keyOf(index))));
    for (const write of writes)
      expect(write).toMatchObject({ status: 'rejected', reason: { code: 'LEASE_TABLE_UNAVAILABLE', retryable: true } });
    expect(scene.counts()).toEqual({ BatchExecuteStatement: 1 });
  });

  it('a table that is closed: each fails with CLOSED', async () => {
    const scene = await Scene.proven(3);
    const writes = [0, 1, 2].map((index) => scene.renew(keyOf(index)));
    const settled = Promise.allSettled(writes);
    await scene.table.close();
    for (const write of await settled) expect(write).toMatchObject({ status: 'rejected', reason: { code: 'CLOSED' } });
    expect(scene.told()).toEqual([]);
  });
});

describe('where many cannot go in one call, the same renewals go one a call, and none fails', () => {
  const denied = (table: string) =>
    `User: test is not authorized to perform: dynamodb:PartiQLUpdate on resource: arn:aws:dynamodb:us-east-1:000000000000:table/${table}`;
  const toldOfPermission =
    /^info: leases are renewed one a call: allow dynamodb:PartiQLUpdate on table renewals-\S+ and up to 25 go in one/;

  it.each(['from the start', 'later on'])(
    'a permission that is missing %s is told once, and asked for again after an hour',
    async (since) => {
      const scene = since === 'later on' ? await Scene.proven(5) : await Scene.open(5);
      proxy.refusal = { type: 'AccessDeniedException', message: denied('it') };
      for (let round = 0; scene.told().length === 0 && round < 100; round += 1) await scene.renewAll();
      const asked = proxy.calls.filter(isMany).length;
      expect(asked).toBe(1);
      await scene.renewAll();
      expect(proxy.calls.filter(isMany)).toHaveLength(asked);
      expect(scene.told()).toEqual([expect.stringMatching(toldOfPermission)]);
      scene.passedMs += HOUR_MS;
      proxy.refusal = undefined;
      for (let round = 0; proxy.calls.filter(isMany).length < asked + 2 && round < 100; round += 1)
        await scene.renewAll();
      proxy.forget();
      await scene.renewAll();
      expect(scene.counts()).toEqual({ BatchExecuteStatement: 1 });
      expect(scene.told()).toHaveLength(1);
    },
  );

  it('a refusal of what the SDK had sent before, and was applied then: each is found to be applied by the row', async () => {
    const scene = await Scene.proven(3);
    proxy.losesAnswers = 1;
    proxy.failure = () => {
      proxy.refusal = { type: 'AccessDeniedException', message: denied('it') };
      return undefined;
    };
    const writes = await Promise.all([0, 1, 2].map((index) => scene.renew(keyOf(index))));
    for (const [index, write] of writes.entries()) {
      const leaseCounter = (scene.counters.get(keyOf(index)) ?? 0) + 1;
      expect(write).toMatchObject({ applied: false, repeated: true, lease: { leaseOwner: 'w1', leaseCounter } });
    }
    expect(scene.counts()).toMatchObject({ BatchExecuteStatement: 2, UpdateItem: 3 });
  });

  it('a permission that is missing for one statement', async () => {
    const scene = await Scene.proven(5);
    proxy.failure = (leaseKey) => (leaseKey === keyOf(2) ? { Code: 'AccessDenied', Message: denied('it') } : undefined);
    await scene.renewAll();
    expect(scene.counts()).toEqual({ BatchExecuteStatement: 1, UpdateItem: 1 });
    expect(scene.told()).toEqual([expect.stringMatching(toldOfPermission)]);
  });

  it.each([
    ['an operation that is not known', { type: 'UnknownOperationException', message: '' }],
    ['a statement that is not understood', { type: 'ValidationException', message: 'Unexpected path component' }],
  ])('%s', async (_, refusal) => {
    const scene = await Scene.proven(5);
    proxy.refusal = refusal;
    await scene.renewAll();
    await scene.renewAll();
    expect(scene.counts()).toEqual({ BatchExecuteStatement: 1, UpdateItem: 10 });
    expect(scene.told()).toEqual([
      'info: leases are renewed one a call: this DynamoDB does not do it by BatchExecuteStatement',
    ]);
  });

  it('a server that overlooks conditions gets no renewal in a call for many', async () => {
    const scene = await Scene.open(5);
    proxy.tamper = (answers) =>
      answers.map(({ Error: failure, ...answer }) =>
        failure === undefined ? answer : { ...answer, Item: failure.Item ?? {} },
      );
    for (let round = 0; scene.told().length === 0 && round < 100; round += 1) await scene.renewAll();
    await scene.renewAll();
    expect(proxy.calls.filter(isMany).map(({ leaseKeys }) => leaseKeys.length)).toEqual([1]);
    expect(scene.told()).toHaveLength(1);
  });

  it.each([
    ['gives no rows back', (answers: { Item?: unknown }[]) => answers.map(({ Item: _, ...answer }) => answer)],
    ['answers for fewer than were asked', (answers: object[]) => answers.slice(0, 2)],
  ])('of a server that %s, each is found to be applied by the row', async (_, tamper) => {
    const scene = await Scene.proven(5);
    proxy.tamper = tamper as typeof proxy.tamper;
    const writes = await Promise.all([...scene.counters.keys()].map((leaseKey) => scene.renew(leaseKey)));
    for (const write of writes) {
      const leaseCounter = (scene.counters.get(write.lease?.leaseKey ?? '') ?? 0) + 1;
      expect(write).toMatchObject({ lease: { leaseOwner: 'w1', leaseCounter } });
      expect(write.applied || write.repeated).toBe(true);
    }
    expect(writes.some(({ applied }) => !applied)).toBe(true);
  });

  it('dynalite, which knows no PartiQL', async () => {
    const { endpoint, close } = await startLocalDynamoDB();
    onTestFinished(close);
    const scene = await Scene.open(31, { endpoint });
    for (let round = 0; scene.told().length === 0 && round < 100; round += 1) await scene.renewAll();
    await scene.renewAll();
    expect(scene.told()).toEqual([
      'info: leases are renewed one a call: this DynamoDB does not do it by BatchExecuteStatement',
    ]);
  });
});

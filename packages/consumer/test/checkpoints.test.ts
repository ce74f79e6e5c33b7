// Checkpoints by hand over real sockets: every form of the two calls, in two phases and across workers, as rows of the lease table.
import { OperatingError, UsageError } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch, PendingCheckpoint, PreparedCheckpointer, ShardContext, UserRecord } from '../src/handler.ts';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const state = Uint8Array.of(0, 1, 255);

/** The attributes of what is pending. */
async function pendingOf(scene: Scene): Promise<unknown> {
  const row = (await scene.row(SHARD(0))) ?? {};
  return Object.fromEntries(Object.entries(row).filter(([name]) => name.startsWith('pending')));
}

function pendingRow(at: { sequenceNumber: string; subSequenceNumber: number }, bytes?: Uint8Array): unknown {
  return {
    pendingCheckpoint: { S: at.sequenceNumber },
    pendingCheckpointSubSequenceNumber: { N: String(at.subSequenceNumber) },
    ...(bytes && { pendingCheckpointState: { B: bytes } }),
  };
}

/** Runs a worker, checkpoints being made by hand, until its handler has once been through `script` with a batch of all records. */
async function withBatch(
  scene: Scene,
  recordCount: number,
  script: (batch: Batch, context: ShardContext) => Promise<void>,
): Promise<void> {
  let outcome: Promise<void> | undefined;
  const consumer = scene.consumer({ checkpointing: 'manual' });
  const running = consumer.run(async (batch, context) => {
    expect(batch.records).toHaveLength(recordCount);
    outcome = script(batch, context);
    await outcome.catch(() => undefined);
  });
  await until(() => expect(outcome).toBeDefined());
  try {
    await outcome;
  } finally {
    await consumer.stop();
    await running;
  }
}

describe('in two phases', () => {
  it('every form writes what is pending, with its state, and leaves the checkpoint alone; checkpoint() settles it', async () => {
    const scene = new Scene(cloud, 'forms');
    await scene.putAggregate('a 0', 'a 1', 'a 2', 'a 3', 'a 4', 'a 5');
    await withBatch(scene, 6, async ({ records }, { prepareCheckpoint, checkpoint }) => {
      const [r0, r1, r2, r3, r4, last] = records as [
        UserRecord,
        UserRecord,
        UserRecord,
        UserRecord,
        UserRecord,
        UserRecord,
      ];
      const number = last.sequenceNumber;
      const forms: [() => Promise<PreparedCheckpointer>, UserRecord, Uint8Array?][] = [
        [() => prepareCheckpoint(), last],
        [() => prepareCheckpoint(state), last, state],
        [() => prepareCheckpoint(r3), r3],
        [() => prepareCheckpoint(r3, state), r3, state],
        [() => prepareCheckpoint(number), r0],
        [() => prepareCheckpoint(number, state), r0, state],
        [() => prepareCheckpoint(number, 2), r2],
        [() => prepareCheckpoint(number, 2, state), r2, state],
      ];
      for (const [prepare, { sequenceNumber, subSequenceNumber }, bytes] of forms) {
        const position = { sequenceNumber, subSequenceNumber };
        expect((await prepare()).pendingCheckpoint).toEqual(position);
        expect(await pendingOf(scene)).toEqual(pendingRow(position, bytes));
        expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
      }
      const prepared = await prepareCheckpoint(r1, state);
      await prepared.checkpoint();
      expect(await scene.checkpointOf(SHARD(0))).toBe(`${number}:1`);
      expect(await pendingOf(scene)).toEqual({});
      // As often as one likes, and never back.
      await prepared.checkpoint();
      const early = await prepareCheckpoint(r3);
      await checkpoint(number, 4);
      expect(await pendingOf(scene)).toEqual({});
      await expect(early.checkpoint()).rejects.toThrow(UsageError);
      expect(await scene.checkpointOf(SHARD(0))).toBe(`${number}:${r4.subSequenceNumber}`);
    });
  });

  it('has the bounds of a checkpoint, and what is checkpointed needs no preparation', async () => {
    const scene = new Scene(cloud, 'bounds');
    await scene.put('a 0', 'a 1', 'a 2');
    await withBatch(scene, 3, async ({ records }, { prepareCheckpoint, checkpoint }) => {
      const [first, second, third] = records as [UserRecord, UserRecord, UserRecord];
      await checkpoint(second);
      await expect(prepareCheckpoint(first)).rejects.toThrow(UsageError);
      await expect(prepareCheckpoint(String(BigInt(third.sequenceNumber) + 1n))).rejects.toThrow(UsageError);
      await expect(prepareCheckpoint('SHARD_END')).rejects.toThrow(UsageError);
      const nothing = await prepareCheckpoint(second, state);
      await nothing.checkpoint();
      expect(await pendingOf(scene)).toEqual({});
    });
  });

  it('whoever opens the shard next is told what was prepared and not settled', async () => {
    const scene = new Scene(cloud, 'told');
    await scene.put('a 0', 'a 1');
    let prepared: UserRecord | undefined;
    await withBatch(scene, 2, async ({ records }, { prepareCheckpoint, pendingCheckpoint }) => {
      expect(pendingCheckpoint).toBeUndefined();
      [, prepared] = records;
      await prepareCheckpoint(prepared as UserRecord, state);
    });
    const { sequenceNumber, subSequenceNumber } = prepared as UserRecord;
    const told: { word: string; pending: PendingCheckpoint | undefined; records: number }[] = [];
    const next = scene.consumer();
    const running = next.run({
      initialize: (_, { pendingCheckpoint: pending }) => {
        told.push({ word: 'initialize', pending, records: 0 });
      },
      processRecords: ({ records }, { pendingCheckpoint: pending }) => {
        told.push({ word: 'processRecords', pending, records: records.length });
      },
    });
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${sequenceNumber}:${subSequenceNumber}`));
    const pending = { sequenceNumber, subSequenceNumber, state };
    // The records after the checkpoint come again: the pending one is for the application to judge.
    expect(told).toEqual([
      { word: 'initialize', pending, records: 0 },
      { word: 'processRecords', pending, records: 2 },
    ]);
    expect(await pendingOf(scene)).toEqual({});
    await next.stop();
    await running;
  });

  it('the end of a shard is prepared and settled like any other position', async () => {
    const scene = new Scene(cloud, 'end');
    const rows: unknown[] = [];
    const consumer = scene.consumer({ checkpointing: 'manual' });
    const running = consumer.run({
      processRecords: () => undefined,
      shardEnded: async ({ shardId, prepareCheckpoint }) => {
        if (shardId !== SHARD(0)) return;
        const end = await prepareCheckpoint(state);
        rows.push(await pendingOf(scene), await scene.checkpointOf(SHARD(0)));
        await end.checkpoint();
        rows.push(await pendingOf(scene), await scene.checkpointOf(SHARD(0)));
      },
    });
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0'));
    scene.split(0, 1n << 127n);
    await until(() => expect(rows).toHaveLength(4));
    expect(rows).toEqual([
      pendingRow({ sequenceNumber: 'SHARD_END', subSequenceNumber: 0 }, state),
      'TRIM_HORIZON:0',
      {},
      'SHARD_END:0',
    ]);
    await consumer.stop();
    await running;
  });
});

it('calls that are not awaited are written together, the newest of all, and every promise settles', async () => {
  const scene = new Scene(cloud, 'together');
  await scene.put(...Array.from({ length: 50 }, (_, n) => `a ${n}`));
  await withBatch(scene, 50, async ({ records }, { checkpoint, prepareCheckpoint }) => {
    const before = Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N);
    const calls = records.slice(0, 49).map((record) => checkpoint(record));
    const prepared = prepareCheckpoint(records[49] as UserRecord, state);
    await Promise.all([...calls, prepared]);
    const row = await scene.row(SHARD(0));
    expect(row).toMatchObject({
      checkpoint: { S: records[48]?.sequenceNumber },
      pendingCheckpoint: { S: records[49]?.sequenceNumber },
    });
    // The first was under way when the others came; a renewal may be among them.
    expect(Number(row?.['leaseCounter']?.N) - before).toBeLessThanOrEqual(4);
  });
});

it('after the lease is lost every form is refused with LEASE_LOST, those under way included', async () => {
  const scene = new Scene(cloud, 'lost');
  await scene.put('a 0', 'a 1');
  const outcomes: unknown[] = [];
  const code = (error: unknown): unknown => (error instanceof OperatingError ? error.code : error);
  const consumer = scene.consumer({ checkpointing: 'manual' });
  const running = consumer.run(async ({ records }, { checkpoint, prepareCheckpoint, signal }) => {
    const prepared = await prepareCheckpoint(records[0] as UserRecord);
    await scene.meddle(SHARD(0), {
      UpdateExpression: 'SET leaseOwner = :thief ADD leaseCounter :many',
      ExpressionAttributeValues: { ':thief': { S: 'thief' }, ':many': { N: '7' } },
    });
    outcomes.push(await checkpoint().catch(code), signal.aborted);
    outcomes.push(await prepared.checkpoint().catch(code), await prepareCheckpoint(state).catch(code));
  });
  await until(() => expect(outcomes).toHaveLength(4));
  expect(outcomes).toEqual(['LEASE_LOST', true, 'LEASE_LOST', 'LEASE_LOST']);
  await consumer.stop();
  await running;
});

describe('where reading begins at LATEST', () => {
  it('a worker that dies before the first record leaves the time at which it began to the next one', async () => {
    const scene = new Scene(cloud, 'latest-idle');
    const first = scene.consumer({ initialPosition: 'LATEST' });
    const running = first.run(() => undefined);
    await until(async () => expect((await scene.row(SHARD(0)))?.['shardlineLatestSince']).toBeDefined());
    await first.stop();
    await running;
    expect(await scene.checkpointOf(SHARD(0))).toBe('LATEST:0');
    // Nobody reads now.
    await scene.put('between 1', 'between 2');
    const seen: string[] = [];
    const next = scene.consumer({ initialPosition: 'LATEST' });
    const runningNext = next.run(({ records }) => {
      seen.push(...records.map(textOf));
    });
    await until(() => expect(seen).toEqual(['between 1', 'between 2']));
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d+:0$/));
    expect((await scene.row(SHARD(0)))?.['shardlineLatestSince']).toBeUndefined();
    await next.stop();
    await runningNext;
  });

  it.each(['LATEST', 'AT_TIMESTAMP'] as const)(
    'from the first record on the checkpoint of a shard begun at %s is the place just before it, handled or not',
    async (position) => {
      const scene = new Scene(cloud, `pinned-${position.toLowerCase()}`);
      // Whoever computes the time at each start would begin later each time.
      const initialPosition = () => (position === 'LATEST' ? position : { timestamp: new Date() });
      const first = scene.consumer({ initialPosition: initialPosition() });
      const failed: string[] = [];
      const running = first.run(({ records }) => {
        failed.push(...records.map(textOf));
        throw new Error('not today');
      });
      let count = 0;
      await until(async () => {
        await scene.put(`a ${count++}`);
        expect(failed).not.toEqual([]);
      });
      await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d+:-1$/));
      await first.stop();
      await running;
      const seen: string[] = [];
      const next = scene.consumer({ initialPosition: initialPosition() });
      const runningNext = next.run(({ records }) => {
        seen.push(...records.map(textOf));
      });
      await until(() => expect(seen[0]).toBe(failed[0]));
      await next.stop();
      await runningNext;
    },
  );

  it('checkpoint() before anything was given is nothing to be done, even behind the pinned beginning', async () => {
    const scene = new Scene(cloud, 'nothing-yet');
    const outcomes: unknown[] = [];
    const consumer = scene.consumer({ initialPosition: 'LATEST', checkpointing: 'manual' });
    const running = consumer.run({
      initialize: async (_, { checkpoint }) => {
        outcomes.push(await checkpoint().then(() => 'done'));
      },
      processRecords: () => {
        throw new Error('not today');
      },
      shutdownRequested: async (context) => {
        outcomes.push(await context.checkpoint().then(() => 'done'));
        outcomes.push(await context.prepareCheckpoint(state).then(() => 'done'));
      },
    });
    await until(() => expect(outcomes).toEqual(['done']));
    await until(async () => {
      await scene.put('a 1');
      expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d+:-1$/);
    });
    await consumer.stop();
    await running;
    expect(outcomes).toEqual(['done', 'done', 'done']);
  });
});

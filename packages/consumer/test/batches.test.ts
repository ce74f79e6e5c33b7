// The loop over batches, over real sockets: what is vouched for when, and how it ends.
import { type Logger, onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { Consumer } from '../src/consumer.ts';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const lines = Array.from({ length: 40 }, (_, n) => `key${n % 4} ${n}`);

function consumerOf(scene: Scene, logger?: Logger): Consumer {
  const consumer = scene.consumer({ maxRecordsPerRead: 5, ...(logger && { logger }) });
  onTestFinished(() => consumer.stop());
  return consumer;
}

it('gives every record of all shards, one batch at a time, and ends when the consumer is stopped', async () => {
  const scene = new Scene(cloud, 'looped', 2);
  await scene.put(...lines);
  const consumer = consumerOf(scene);
  const handled: string[] = [];
  const shards = new Set<string>();
  for await (const { records, shardId, context } of consumer.batches()) {
    expect(context.shardId).toBe(shardId);
    shards.add(shardId);
    handled.push(...records.map(textOf));
    if (handled.length === lines.length) void consumer.stop();
  }
  expect([...handled].sort()).toEqual([...lines].sort());
  expect(shards.size).toBe(2);
  for (const shard of [0, 1]) {
    const last = (await scene.recordsOf(shard)).at(-1)?.sequenceNumber;
    expect(await scene.checkpointOf(SHARD(shard))).toBe(`${last}:0`);
  }
  expect(consumer.view().state).toBe('stopped');
});

it.each(['break', 'throw'])(
  'left by %s, it vouches for all but the batch in hand, which the next worker is given',
  async (how) => {
    const scene = new Scene(cloud, `left-by-${how}`);
    await scene.put(...lines);
    const { logger, texts } = listen();
    const consumer = consumerOf(scene, logger);
    const thrown: unknown[] = [];
    onTestFinished(
      onDiagnostic('shardline:consumer:batch-handled', ({ application, outcome, ...message }) => {
        if (application === scene.name && outcome === 'threw') thrown.push(message);
      }),
    );
    const vouched: string[] = [];
    const loop = async (): Promise<void> => {
      for await (const { records } of consumer.batches()) {
        if (vouched.length >= 10) {
          if (how === 'throw') throw new Error('cannot go on');
          break;
        }
        vouched.push(...records.map(textOf));
      }
    };
    if (how === 'throw') await expect(loop()).rejects.toThrow('cannot go on');
    else await loop();
    expect(consumer.view().state).toBe('stopped');
    // To leave is no failure of the handler's: what the loop threw its caller has.
    expect(texts('warn', 'error')).toEqual([]);
    expect(thrown).toEqual([]);
    const position = (await scene.recordsOf(0))[vouched.length - 1]?.sequenceNumber;
    expect(await scene.checkpointOf(SHARD(0))).toBe(`${position}:0`);
    const rest = handleInTest(scene.consumer());
    await until(() => expect([...vouched, ...rest]).toEqual(lines));
  },
);

it('whose body awaits stop waits for itself, but in bounded time, says so, and the batch comes again', async () => {
  const scene = new Scene(cloud, 'waits-for-itself');
  await scene.put(...lines);
  const { logger, texts } = listen();
  const consumer = scene.consumer({ shutdownGraceMs: 100, logger });
  const given: string[] = [];
  const loop = async (): Promise<void> => {
    for await (const { records } of consumer.batches()) {
      given.push(...records.map(textOf));
      await consumer.stop();
    }
  };
  await expect(loop()).rejects.toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('A loop whose body awaits stop() waits for itself'),
  });
  expect(given.length).toBeGreaterThan(0);
  expect(texts('warn')).toEqual([expect.stringContaining('One that awaits stop() waits for itself')]);
  expect(consumer.view().state).toBe('stopped');
  const again = handleInTest(scene.consumer());
  await until(() => expect(again).toEqual(lines));
});

const CLOSED = { code: 'CLOSED', message: 'a consumer runs once, and this one is running' };

it('begun a second time, it is refused at once, and the first loop, with a batch in hand, goes on', async () => {
  const scene = new Scene(cloud, 'two-loops');
  await scene.put(...lines);
  const consumer = consumerOf(scene);
  const handled: string[] = [];
  for await (const { records } of consumer.batches()) {
    if (handled.length === 0) await expect(consumer.batches().next()).rejects.toMatchObject(CLOSED);
    handled.push(...records.map(textOf));
    if (handled.length === lines.length) void consumer.stop();
  }
  expect(handled).toEqual(lines);
});

it('beside run it is refused, and run goes on', async () => {
  const scene = new Scene(cloud, 'loop-beside-run');
  await scene.put(...lines.slice(0, 20));
  const consumer = consumerOf(scene);
  const handled = handleInTest(consumer);
  await until(() => expect(handled.length).toBeGreaterThan(0));
  const looped = async (): Promise<void> => {
    for await (const batch of consumer.batches()) expect(batch).toBeUndefined();
  };
  await expect(looped()).rejects.toMatchObject(CLOSED);
  await scene.put(...lines.slice(20));
  await until(() => expect(handled).toEqual(lines));
  expect(consumer.view().state).toBe('running');
});

it('throws what run rejects with', async () => {
  const consumer = consumerOf(new Scene(cloud, 'once'));
  await consumer.stop();
  await expect(consumer.batches().next()).rejects.toMatchObject({ code: 'CLOSED' });
});

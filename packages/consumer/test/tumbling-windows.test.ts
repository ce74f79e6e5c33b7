// An AWS Lambda function with tumbling windows, as it would be deployed there, as a worker over real sockets, in both modes: through the end of a
// window in a shard at rest, a split, and workers that come and go in the midst of a window.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchHandler, BatchWindow } from '../src/handler.ts';
import { lambdaHandler } from '../src/handling/lambda-handler.ts';
import { type Cloud, runInTest, Scene, SHARD, startCloud, until } from './cloud.ts';
import { handler, reset, seen, windows } from './fixtures/window-function.mjs';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** What the function counted, over all windows. */
function counted(): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { state } of windows)
    for (const [text, count] of Object.entries(state as Record<string, number>)) sum[text] = (sum[text] ?? 0) + count;
  return sum;
}

/** Longer than any test: nothing but the shard's end can end one. (Unless the quarter of an hour strikes: then it takes two.) */
const LONG = { tumblingWindowInSeconds: 900, tumblingWindowGraceMs: 60_000 };

describe.each(['polling', 'fanout'] as const)('tumbling windows, by %s', (retrievalMode) => {
  it('end by themselves where no record comes any more, and only then is anything of them checkpointed', async () => {
    const scene = new Scene(cloud, `at-rest-${retrievalMode}`);
    reset(2);
    const options = { tumblingWindowInSeconds: 1, tumblingWindowGraceMs: 100 };
    runInTest(scene.consumer({ retrievalMode }), lambdaHandler(handler, options));
    await scene.put('a 1', 'b 1', 'a 1');
    await until(() => expect(counted()).toEqual({ 'a 1': 2, 'b 1': 1 }));
    for (const { start, end, shardId, early } of windows) {
      expect([Date.parse(end) - Date.parse(start), Date.parse(start) % 1_000, shardId, early]).toEqual([
        1_000,
        0,
        SHARD(0),
        false,
      ]);
    }
    const [last] = (await scene.recordsOf(0)).slice(-1);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${last?.sequenceNumber}:0`));
  });

  it("end with the shard: its function has their last call before its children's records", async () => {
    const scene = new Scene(cloud, `split-${retrievalMode}`);
    reset(1);
    runInTest(scene.consumer({ retrievalMode }), lambdaHandler(handler, LONG));
    await scene.put('a 1', 'b 1');
    await until(() => expect(seen).toHaveLength(2));
    expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
    scene.split(0, 2n ** 127n);
    scene.model.settle(Date.now());
    await scene.put('c 1', 'd 1');
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe('SHARD_END:0'));
    expect(windows.every(({ shardId }) => shardId === SHARD(0))).toBe(true);
    expect(counted()).toEqual({ 'a 1': 1, 'b 1': 1 });
    await until(() => expect(seen).toHaveLength(4));
  });
});

describe('a worker that stops in the midst of a window', () => {
  it('gives the function no last call; the next one has all of the window, from its beginning', async () => {
    const scene = new Scene(cloud, 'handed-over');
    reset();
    const stop = runInTest(scene.consumer(), lambdaHandler(handler, LONG));
    await scene.put('a 1', 'b 1', 'c 1');
    await until(() => expect(seen).toHaveLength(3));
    await stop();
    expect(windows).toEqual([]);
    expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
    runInTest(scene.consumer(), lambdaHandler(handler, LONG));
    await until(() => expect(seen).toHaveLength(6));
    await scene.put('a 1');
    scene.split(0, 2n ** 127n);
    scene.model.settle(Date.now());
    await until(() => expect(counted()).toEqual({ 'a 1': 2, 'b 1': 1, 'c 1': 1 }));
  });
});

describe('a state that grows past its limit', () => {
  it('ends the window early: the function takes it, and it is checkpointed', async () => {
    const scene = new Scene(cloud, 'large-state');
    reset();
    const options = { ...LONG, maxWindowStateBytes: 30 };
    runInTest(scene.consumer(), lambdaHandler(handler, options));
    const texts = ['a 1', 'b 1', 'c 1', 'd 1', 'e 1'];
    await scene.put(...texts);
    await until(() => expect(counted()).toEqual(Object.fromEntries(texts.map((text) => [text, 1]))));
    expect(windows.map(({ early }) => early)).toContain(true);
    const [last] = (await scene.recordsOf(0)).slice(-1);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${last?.sequenceNumber}:0`));
  });
});

describe('a handler of batches with tumbling windows', () => {
  it('returns the state, and cannot checkpoint past the beginning of the open one', async () => {
    const scene = new Scene(cloud, 'plain-handler');
    const calls: unknown[] = [];
    const refused: unknown[] = [];
    const count: BatchHandler = async ({ records, window }, context) => {
      const { n = 0 } = (window as BatchWindow).state as { n?: number };
      calls.push([records.length, n, window?.isFinal]);
      // Without a position it means what is finished, which is nothing yet.
      await context.checkpoint();
      const sequenceNumber = records.at(-1)?.sequenceNumber;
      if (sequenceNumber !== undefined)
        await context.checkpoint({ sequenceNumber }).catch((error) => refused.push(error));
      return { state: { n: n + records.length } };
    };
    runInTest(scene.consumer(), count, { tumblingWindow: { lengthMs: 900_000 } });
    await scene.put('a 1', 'b 1');
    await until(() => expect(calls.length).toBeGreaterThan(0));
    scene.split(0, 2n ** 127n);
    scene.model.settle(Date.now());
    await until(() => expect(calls.at(-1)).toEqual([0, 2, true]));
    expect(refused.map((error) => (error as { field?: string }).field)).toContain('position');
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe('SHARD_END:0'));
  });
});

// The batch window over real sockets, in both modes: what is gathered comes in one call, and is nobody's loss when the shard moves, ends
// or is split meanwhile.
import { type MetricsSink, noMetrics } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchHandler } from '../src/handler.ts';
import { lambdaHandler } from '../src/handling/lambda-handler.ts';
import { type Cloud, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { calls, handled, handler, reset } from './fixtures/lambda-function.mjs';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** Longer than any test: a call before there is enough would be one of less. */
const batchWindowMs = 40_000;

function gathers(): { readonly sizes: number[]; readonly texts: string[]; readonly gather: BatchHandler } {
  const sizes: number[] = [];
  const texts: string[] = [];
  const gather: BatchHandler = ({ records }) => {
    sizes.push(records.length);
    texts.push(...records.map(textOf));
  };
  return { sizes, texts, gather };
}

/** Counts the reads that Kinesis answered. */
class Reads implements MetricsSink {
  readonly sample = noMetrics.sample;
  readonly samples = noMetrics.samples;
  readonly gauge = noMetrics.gauge;
  #count = 0;

  count(name: string, value: number): void {
    if (name === 'KinesisDataFetcher.getRecords.Success') this.#count += value;
  }

  /** Two more answers: what was put before is read. */
  async next(): Promise<void> {
    const enough = this.#count + 2;
    await until(() => expect(this.#count).toBeGreaterThanOrEqual(enough));
  }
}

describe.each(['polling', 'fanout'] as const)('a window, by %s', (retrievalMode) => {
  it('brings records that come one by one in one call, once there are enough', async () => {
    const scene = new Scene(cloud, `gathered-${retrievalMode}`);
    const { sizes, texts, gather } = gathers();
    runInTest(scene.consumer({ retrievalMode }), gather, { batchWindowMs, maxBatchSize: 6 });
    const lines = Array.from({ length: 12 }, (_, n) => `key${n % 2} ${n}`);
    for (const half of [lines.slice(0, 6), lines.slice(6)]) {
      for (const line of half) await scene.put(line);
      await until(() => expect(texts.slice(-6)).toEqual(half));
    }
    expect([sizes, texts]).toEqual([[6, 6], lines]);
    const [last] = (await scene.recordsOf(0)).slice(-1);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${last?.sequenceNumber}:0`));
  });

  it('ends when its time is over, with fewer', async () => {
    const scene = new Scene(cloud, `late-${retrievalMode}`);
    const { sizes, texts, gather } = gathers();
    runInTest(scene.consumer({ retrievalMode }), gather, { batchWindowMs: 300, maxBatchSize: 1_000 });
    await scene.put('a 1', 'b 1');
    await until(() => expect(texts).toEqual(['a 1', 'b 1']));
    await scene.put('a 2');
    await until(() => expect(texts).toEqual(['a 1', 'b 1', 'a 2']));
    expect(Math.max(...sizes)).toBe(2);
  });

  it('ends with the shard: its records are handled, then those of its children', async () => {
    const scene = new Scene(cloud, `ended-${retrievalMode}`);
    const { texts, gather } = gathers();
    runInTest(scene.consumer({ retrievalMode }), gather, { batchWindowMs, maxBatchSize: 4 });
    await scene.put('a 1', 'b 1');
    scene.split(0, 2n ** 127n);
    scene.model.settle(Date.now());
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe('SHARD_END:0'));
    expect(texts).toEqual(['a 1', 'b 1']);
  });
});

describe('what is gathered when a worker stops', () => {
  it('holds nothing up, is given to nobody, and is read by the next worker', async () => {
    const scene = new Scene(cloud, 'handed-over');
    const first = gathers();
    const reads = new Reads();
    const stop = runInTest(scene.consumer({ metrics: reads }), first.gather, { batchWindowMs, maxBatchSize: 100 });
    await scene.put('a 1', 'b 1', 'c 1');
    await reads.next();
    await stop();
    expect(first.sizes).toEqual([]);
    expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
    const second = gathers();
    runInTest(scene.consumer(), second.gather, {});
    await until(() => expect(second.texts).toEqual(['a 1', 'b 1', 'c 1']));
  });
});

describe('what is gathered while an operator speaks', () => {
  it('waits while the shard is paused, in no checkpoint, and comes with resume, in one call', async () => {
    const scene = new Scene(cloud, 'paused-window');
    const { sizes, texts, gather } = gathers();
    const reads = new Reads();
    const consumer = scene.consumer({ metrics: reads });
    runInTest(consumer, gather, { batchWindowMs, maxBatchSize: 4 });
    await scene.put('a 1', 'b 1');
    await reads.next();
    consumer.pause();
    await scene.put('a 2', 'b 2');
    await until(() => expect(consumer.view().shards[0]?.pendingBatchCount).toBe(1));
    expect([sizes, await scene.checkpointOf(SHARD(0))]).toEqual([[], 'TRIM_HORIZON:0']);
    consumer.resume();
    await until(() => expect(texts).toEqual(['a 1', 'b 1', 'a 2', 'b 2']));
    expect(sizes).toEqual([4]);
  });

  it('waits no longer for its window once that is over, paused or not', async () => {
    const scene = new Scene(cloud, 'paused-beyond-window');
    const { texts, gather } = gathers();
    const consumer = scene.consumer();
    runInTest(consumer, gather, { batchWindowMs: 200, maxBatchSize: 1_000 });
    await until(() => expect(consumer.view().shards[0]?.phase).toBe('processing'));
    consumer.pause();
    await scene.put('a 1', 'b 1');
    await until(() => expect(consumer.view().shards[0]?.pendingBatchCount).toBe(1));
    expect(texts).toEqual([]);
    consumer.resume();
    await until(() => expect(texts).toEqual(['a 1', 'b 1']));
  });

  it('holds up neither a replay nor what comes after it, and nothing is lost or comes twice', async () => {
    const scene = new Scene(cloud, 'replayed-window');
    const { sizes, texts, gather } = gathers();
    const reads = new Reads();
    const consumer = scene.consumer({ metrics: reads });
    runInTest(consumer, gather, { batchWindowMs, maxBatchSize: 3 });
    await scene.put('a 1', 'b 1');
    await reads.next();
    expect(await consumer.replay({ from: 'TRIM_HORIZON' })).toMatchObject([{ outcome: 'replayed' }]);
    await scene.put('c 1');
    await until(() => expect(texts).toEqual(['a 1', 'b 1', 'c 1']));
    expect(sizes).toEqual([3]);
  });

  it('is given to nobody here when the shard is handed off, and is read again by the worker that gets it', async () => {
    const scene = new Scene(cloud, 'window-handed-off');
    const [first, second] = [gathers(), gathers()];
    const reads = new Reads();
    const handling = { batchWindowMs, maxBatchSize: 3 };
    const one = scene.consumer({ metrics: reads, workerId: 'one' });
    runInTest(one, first.gather, handling);
    await scene.put('a 1', 'b 1');
    await reads.next();
    runInTest(scene.consumer({ workerId: 'two' }), second.gather, handling);
    await until(async () => expect((await scene.row('two'))?.['entityType']?.S).toBe('WORKER_METRIC_STATS'));
    expect(await one.handOff({ leaseKeys: SHARD(0) })).toMatchObject([{ outcome: 'handedOff', to: 'two' }]);
    await scene.put('c 1');
    await until(() => expect(second.texts).toEqual(['a 1', 'b 1', 'c 1']));
    expect([first.sizes, second.sizes]).toEqual([[], [3]]);
  });
});

describe('a Lambda function with a batching window', () => {
  it('is called with batchSize records that match, however the others come', async () => {
    const scene = new Scene(cloud, 'lambda-window');
    reset();
    const filterCriteria = { Filters: [{ Pattern: { partitionKey: ['even'] } }] };
    runInTest(
      scene.consumer(),
      lambdaHandler(handler, { batchSize: 5, maximumBatchingWindowInSeconds: 40, filterCriteria }),
      {},
    );
    const lines = Array.from({ length: 10 }, (_, n) => `${n % 2 === 0 ? 'even' : 'odd'} ${n}`);
    const even = lines.filter((line) => line.startsWith('even'));
    for (const line of lines) await scene.put(line);
    await until(() => expect(handled).toEqual(even));
    expect(calls.map(({ size }) => size)).toEqual([5]);
  });
});

it('a window that the watchdog would take for a stall is refused, with what to do', async () => {
  const scene = new Scene(cloud, 'too-patient');
  const running = scene.consumer({ stallWarningMs: 10_000 }).run(() => undefined, { batchWindowMs: 8_000 });
  await expect(running).rejects.toThrow('at most three quarters of stallWarningMs, 10000');
});

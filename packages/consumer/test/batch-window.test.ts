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

import { setImmediate as turn } from 'node:timers/promises';
import { type Clock, resolveLogger, silentLogger, systemClock } from '@shardline/common';
import { expect, test } from 'vitest';
import type { CpuGauge } from './cpu.ts';
import { WorkerMetrics } from './worker-metrics.ts';

/** The one timer of a WorkerMetrics, fired by hand. */
class Scene {
  #due: (() => void) | undefined;
  readonly clock: Clock = {
    ...systemClock,
    setTimer: (callback) => {
      this.#due = callback;
      return () => {
        this.#due = undefined;
      };
    },
  };
  cpu: number | undefined | Error = 0;
  eventLoop = 0;
  readonly metrics: WorkerMetrics = new WorkerMetrics({
    clock: this.clock,
    logger: resolveLogger(undefined, {}),
    sampleIntervalMs: 1000,
    maxUtilizationPercent: 80,
    findGauge: async () => async () => {
      if (this.cpu instanceof Error) throw this.cpu;
      return this.cpu;
    },
    eventLoop: () => this.eventLoop,
  });

  get isWaiting(): boolean {
    return this.#due !== undefined;
  }

  async sample(cpu: number | undefined | Error, eventLoop = 0): Promise<void> {
    this.cpu = cpu;
    this.eventLoop = eventLoop;
    this.#due?.();
    await turn();
  }
}

test('a report is the mean of the samples since the last one, and keeps the last ten', async () => {
  const scene = new Scene();
  await scene.metrics.start();
  await scene.sample(10);
  await scene.sample(20);
  expect(await scene.metrics.report()).toEqual({ stats: { C: [15] }, operatingRange: { C: [80] } });
  for (let round = 0; round < 12; round++) {
    await scene.sample(round);
    await scene.metrics.report();
  }
  await scene.sample(50);
  expect((await scene.metrics.report()).stats['C']).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 50]);
});

test('the event loop counts where it is busier than the CPU', async () => {
  const scene = new Scene();
  await scene.metrics.start();
  await scene.sample(25, 0.97);
  expect((await scene.metrics.report()).stats['C']).toEqual([97]);
});

test('a period in which nothing could be measured is -1, one bad sample is not', async () => {
  const scene = new Scene();
  await scene.metrics.start();
  await scene.sample(new Error('gone'));
  await scene.sample(40);
  expect((await scene.metrics.report()).stats['C']).toEqual([40]);
  await scene.sample(new Error('gone'));
  expect((await scene.metrics.report()).stats['C']).toEqual([40, -1]);
});

test('before the first sample a worker says that it idles, once; a report without samples adds nothing', async () => {
  const scene = new Scene();
  await scene.metrics.start();
  await scene.sample(undefined);
  expect(await scene.metrics.report()).toEqual({ stats: { C: [1] }, operatingRange: { C: [80] } });
  await scene.sample(30);
  await scene.metrics.report();
  expect((await scene.metrics.report()).stats['C']).toEqual([30]);
});

test('a report waits until it is known what can be measured, and does not fail with the search', async () => {
  const scene = new Scene();
  let found: (gauge: CpuGauge | undefined) => void = () => undefined;
  const searching = new Promise<CpuGauge | undefined>((resolve) => {
    found = resolve;
  });
  const options = { clock: scene.clock, logger: silentLogger, sampleIntervalMs: 1000, maxUtilizationPercent: 80 };
  const slow = new WorkerMetrics({ ...options, findGauge: () => searching });
  void slow.start();
  const row = slow.report();
  found(async () => 50);
  expect(await row).toEqual({ stats: { C: [1] }, operatingRange: { C: [80] } });
  slow.stop();
  const failing = new WorkerMetrics({ ...options, findGauge: () => Promise.reject(new Error('no')) });
  await expect(failing.start()).rejects.toThrow('no');
  expect(await failing.report()).toEqual({ stats: {}, operatingRange: {} });
});

test('where nothing can be measured the row says nothing, and no timer runs', async () => {
  const scene = new Scene();
  const silent = new WorkerMetrics({
    clock: scene.clock,
    logger: resolveLogger(undefined, {}),
    sampleIntervalMs: 1000,
    maxUtilizationPercent: 80,
    findGauge: async () => undefined,
  });
  await silent.start();
  expect(await silent.report()).toEqual({ stats: {}, operatingRange: {} });
  expect(scene.isWaiting).toBe(false);
});

test('stop leaves no timer, also when it comes while a sample is taken', async () => {
  const scene = new Scene();
  await scene.metrics.start();
  expect(scene.isWaiting).toBe(true);
  const sampling = scene.sample(5);
  scene.metrics.stop();
  await sampling;
  expect(scene.isWaiting).toBe(false);
});

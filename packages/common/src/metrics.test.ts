import { expect, test } from 'vitest';
import { UsageError } from './errors.ts';
import { guardMetrics, type MetricsSink, noMetrics, resolveMetrics, type Statistics } from './metrics.ts';

test('without a sink nothing is kept and nothing thrown', () => {
  const sink = resolveMetrics(undefined);
  expect(sink).toBe(noMetrics);
  sink.count('UserRecordsPut', 1, { StreamName: 'orders' });
  sink.sample('RequestTime', 12.5, 'Milliseconds');
  sink.samples('BufferingTime', { sampleCount: 2, sum: 30, min: 10, max: 20 }, 'Milliseconds');
  sink.gauge('UserRecordsPending', 3);
});

test('a sink is used as it is given, its own `this` kept', () => {
  class Totals implements MetricsSink {
    readonly seen: unknown[] = [];
    count(name: string, value: number): void {
      this.seen.push([name, value]);
    }
    sample(name: string, value: number): void {
      this.seen.push([name, value]);
    }
    samples(name: string, { sum }: Statistics): void {
      this.seen.push([name, sum]);
    }
    gauge(name: string, value: number): void {
      this.seen.push([name, value]);
    }
  }
  const totals = new Totals();
  const sink = resolveMetrics(totals);
  sink.count('a', 1);
  sink.sample('b', 2, 'Bytes');
  sink.samples('d', { sampleCount: 2, sum: 7, min: 3, max: 4 }, 'Count');
  sink.gauge('c', 3);
  expect(totals.seen).toEqual([
    ['a', 1],
    ['b', 2],
    ['d', 7],
    ['c', 3],
  ]);
});

test('a sink that lacks a method is a usage error', () => {
  const { gauge: _gauge, ...incomplete } = noMetrics;
  for (const wrong of [incomplete, null, 'cloudwatch', () => 0]) {
    expect(() => resolveMetrics(wrong as unknown as MetricsSink)).toThrow(UsageError);
  }
  expect(() => resolveMetrics(7 as unknown as MetricsSink, 'sink')).toThrow(
    'sink: expected an object with the methods count, sample, samples, gauge, got 7',
  );
});

test('what a sink throws ends nothing, and is told once', async () => {
  const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
  const broken = (): never => {
    throw new Error('not connected');
  };
  const sink = guardMetrics({ count: broken, sample: broken, samples: broken, gauge: broken });
  sink.count('a', 1);
  sink.gauge('b', 1);
  sink.sample('c', 1, 'None');
  sink.samples('d', { sampleCount: 1, sum: 1, min: 1, max: 1 }, 'None');
  expect((await warning).message).toContain('a metrics sink given to Shardline has thrown');
});

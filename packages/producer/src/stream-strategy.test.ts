import { expect, test } from 'vitest';
import { StreamStrategy } from './stream-strategy.ts';

const options = { recordDistributionStrategyDefault: undefined, describeStreamSummaryIntervalMs: 300_000 };
const active = { strategy: undefined, isUpdating: false };

test('it is asked for at once, and then every interval', () => {
  const strategy = new StreamStrategy(options);
  expect([strategy.state, strategy.expire(0), strategy.expire(1)]).toEqual(['asking', true, false]);
  expect(strategy.told(active, 20)).toEqual({ strategy: true, shards: false });
  expect([strategy.state, strategy.deadline()]).toEqual(['USER_PARTITION_KEY', 300_020]);
  expect([strategy.expire(300_019), strategy.expire(300_020)]).toEqual([false, true]);
});

test('what the application says is never asked for', () => {
  const strategy = new StreamStrategy({ ...options, recordDistributionStrategyDefault: 'AUTO' });
  strategy.doubt(5);
  expect([strategy.state, strategy.deadline()]).toEqual(['AUTO', Number.POSITIVE_INFINITY]);
});

test('a failure is tried again, less and less often, up to the interval; what was told before goes on to hold', () => {
  const strategy = new StreamStrategy({ ...options, describeStreamSummaryIntervalMs: 2_000 });
  strategy.expire(0);
  expect(strategy.failed(0)).toBe(true);
  const waits: number[] = [];
  for (let count = 0; count < 3; count++) {
    const nowMs = strategy.deadline();
    strategy.expire(nowMs);
    expect(strategy.failed(nowMs)).toBe(false);
    waits.push(strategy.deadline() - nowMs);
  }
  expect([strategy.state, waits]).toEqual(['unknown', [1_500, 2_000, 2_000]]);
  const { version } = strategy;
  strategy.expire(strategy.deadline());
  strategy.told({ strategy: 'AUTO', isUpdating: false }, 9_000);
  strategy.expire(strategy.deadline());
  expect(strategy.failed(20_000)).toBe(false);
  expect([strategy.state, strategy.version - version]).toEqual(['AUTO', 1]);
});

test('while the stream is UPDATING it is asked every second, and once after', () => {
  const strategy = new StreamStrategy(options);
  strategy.expire(0);
  expect(strategy.told({ ...active, isUpdating: true }, 0)).toEqual({ strategy: true, shards: true });
  expect(strategy.expire(1_000)).toBe(true);
  expect(strategy.told(active, 1_000)).toEqual({ strategy: false, shards: true });
  expect(strategy.deadline()).toBe(301_000);
});

test('doubts bring the question forward, but not within a second of the last one, nor while it is open', () => {
  const strategy = new StreamStrategy(options);
  strategy.expire(0);
  strategy.doubt(10);
  expect(strategy.deadline()).toBe(Number.POSITIVE_INFINITY);
  strategy.told(active, 20);
  strategy.doubt(30);
  expect(strategy.deadline()).toBe(1_000);
  strategy.doubt(40);
  expect(strategy.deadline()).toBe(1_000);
});

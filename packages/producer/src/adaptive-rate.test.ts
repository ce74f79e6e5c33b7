import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AdaptiveRate } from './adaptive-rate.ts';

const event = fc.record({
  afterMs: fc.integer({ min: 0, max: 3_000 }),
  kind: fc.constantFrom('written', 'throttled', 'failed'),
  /** How long before it was answered the request began. */
  tookMs: fc.integer({ min: 0, max: 2_000 }),
});

describe('whatever Kinesis answers', () => {
  test('the share stays between the floor and what was given, falls by nothing but refusals and failures, and by half at most', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), fc.constantFrom(0.01, 1, 1.5, 50), (events, most) => {
        const rate = new AdaptiveRate(most);
        let now = 0;
        let last: number = most;
        for (const { afterMs, kind, tookMs } of events) {
          now += afterMs;
          const before = rate.share(now);
          expect(before).toBeGreaterThanOrEqual(last);
          if (kind === 'written') rate.written(0.05, now);
          else rate[kind](now - tookMs, now);
          last = rate.share(now);
          if (kind === 'written') expect(last).toBe(before);
          expect(last).toBeGreaterThanOrEqual(Math.min(before * 0.45, before) - 1e-9);
          expect(last).toBeLessThanOrEqual(before);
          expect(last).toBeGreaterThanOrEqual(Math.min(most, 0.02) - 1e-9);
        }
      }),
    );
  });

  test('without refusals it is back where it began within ten seconds', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        const rate = new AdaptiveRate(1.5);
        let now = 0;
        for (const { afterMs, kind, tookMs } of events) {
          now += afterMs;
          if (kind === 'written') rate.written(0.05, now);
          else rate[kind](now - tookMs, now);
        }
        expect(rate.share(now + 10_000)).toBe(1.5);
      }),
    );
  });
});

test('a cut follows what was written in the last second, not what was allowed', () => {
  const rate = new AdaptiveRate(1.5);
  for (let now = 0; now < 3_000; now += 100) rate.written(0.1, now);
  expect(rate.throttled(2_950, 3_000)).toBe(true);
  expect(rate.share(3_000)).toBeCloseTo(0.9, 1);
});

test('many refusals of what was sent before a cut are one piece of news', () => {
  const rate = new AdaptiveRate(1);
  rate.written(1, 100);
  expect(rate.throttled(50, 200)).toBe(true);
  expect(rate.throttled(60, 210)).toBe(false);
  expect(rate.throttled(200, 300)).toBe(true);
});

test('a failure now and then does not lower it; when most fails it is halved, and again, and comes back', () => {
  const rate = new AdaptiveRate(1);
  for (let now = 0; now < 5_000; now += 100) {
    rate.written(0.01, now);
    if (now % 1_000 === 0) expect(rate.failed(now - 10, now)).toBe(false);
  }
  expect(rate.share(5_000)).toBe(1);
  for (let now = 8_000; now < 10_000; now += 250) rate.failed(now - 10, now);
  expect(rate.share(10_000)).toBeLessThan(0.1);
  expect(rate.share(20_000)).toBe(1);
});

test('without a bound nothing waits until something is refused; then it is what was written', () => {
  const rate = new AdaptiveRate(Number.POSITIVE_INFINITY);
  expect(rate.share(0)).toBe(Number.POSITIVE_INFINITY);
  rate.written(4, 500);
  rate.throttled(400, 600);
  expect(rate.share(600)).toBeCloseTo(3.6);
});

test('a clock that steps back leaves it where it was', () => {
  const rate = new AdaptiveRate(1);
  rate.written(1, 10_000);
  rate.throttled(10_000, 10_000);
  const share = rate.share(10_000);
  expect(rate.share(2_000)).toBe(share);
});

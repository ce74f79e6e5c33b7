import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Waits, Watchdog } from './watchdog.ts';

const waiting: Waits = { read: undefined, handler: 0, checkpoint: undefined, closing: false };

test('a stall is never told of earlier than it is old, nor does one late look count for more than one in time', () => {
  const gaps = fc.array(fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1e7 })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(gaps, fc.integer({ min: 100, max: 20_000 }), (delays, stallWarningMs) => {
      const watchdog = new Watchdog({ stallWarningMs, stallLimitMs: Number.POSITIVE_INFINITY, shutdownGraceMs: 0 });
      const lookMs = Math.min(1000, stallWarningMs / 10);
      let now = 0;
      watchdog.begin(now);
      watchdog.look(1, waiting, now);
      let awakeMs = 0;
      for (const delay of delays) {
        now += delay;
        awakeMs += Math.min(delay, lookMs);
        watchdog.begin(now);
        const verdict = watchdog.look(1, waiting, now);
        if (verdict === undefined) continue;
        expect(verdict).toMatchObject({ state: 'stalled', reason: 'handler', since: 0 });
        expect(verdict.forMs).toBeCloseTo(awakeMs);
        expect(awakeMs).toBeGreaterThanOrEqual(stallWarningMs);
      }
    }),
  );
});

test('looks come ten times in the shortest limit, at least one a second, and never where nothing is watched', () => {
  const deadlineOf = (stallWarningMs: number, stallLimitMs: number): number => {
    const watchdog = new Watchdog({ stallWarningMs, stallLimitMs, shutdownGraceMs: 0 });
    watchdog.begin(5000);
    return watchdog.deadline() - 5000;
  };
  expect(deadlineOf(60_000, Number.MAX_SAFE_INTEGER)).toBe(1000);
  expect(deadlineOf(60_000, 2_000)).toBe(200);
  expect(new Watchdog({ stallWarningMs: Infinity, stallLimitMs: Infinity, shutdownGraceMs: 0 }).deadline()).toBe(
    Infinity,
  );
});

test('an answer ends a stall, and the next one begins young', () => {
  const watchdog = new Watchdog({ stallWarningMs: 1000, stallLimitMs: 1e9, shutdownGraceMs: 0 });
  const told: unknown[] = [];
  for (let now = 0; now <= 4000; now += 100) {
    watchdog.begin(now);
    const verdict = watchdog.look(1, { ...waiting, handler: now < 2500 ? 0 : 1 }, now);
    if (verdict !== undefined) told.push([now, verdict.state, Math.round(verdict.forMs)]);
  }
  expect(told).toEqual([
    [1000, 'stalled', 1000],
    [2000, 'stalled', 2000],
    [2500, 'over', 2500],
    [3500, 'stalled', 1000],
  ]);
});

test('between two tellings a stall is as old as it is, but for time in which the process did not run', () => {
  const watchdog = new Watchdog({ stallWarningMs: 1000, stallLimitMs: 1e9, shutdownGraceMs: 0 });
  for (let now = 0; now <= 1900; now += 100) {
    watchdog.begin(now);
    watchdog.look(1, waiting, now);
  }
  const ageAt = (now: number): number | undefined => watchdog.stallOf(1, now)?.forMs;
  expect([ageAt(1900), ageAt(1950)]).toEqual([1900, 1950]);
  // The next look is late: the process slept, as far as anybody knows.
  expect(ageAt(60_000)).toBe(2000);
  expect(watchdog.stallOf(2, 1950)).toBeUndefined();
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RunTimes, type RunTimesOptions } from './run-times.ts';

/** A reading takes so long. */
const READ_MS = 5;

/** Runs over a fleet whose leases die one by one: when each run began, and when each lease was first seen to be expired. */
function play(options: RunTimesOptions, diesAt: readonly number[], untilMs: number) {
  const { failoverTimeMs } = options;
  const times = new RunTimes(options);
  const runsAt: number[] = [];
  const seenSince = diesAt.map(() => 0);
  const expiredAt = diesAt.map((): number | undefined => undefined);
  while (times.dueAt <= untilMs) {
    const startedAt = times.dueAt;
    const now = startedAt + READ_MS;
    runsAt.push(startedAt);
    let hasChanged = false;
    let expiryAt = Number.POSITIVE_INFINITY;
    diesAt.forEach((at, index) => {
      // It changes until it dies, and is given away once: whoever gets it renews it.
      if (expiredAt[index] !== undefined) return;
      if ((runsAt.at(-2) ?? -1) < at) seenSince[index] = now;
      if (startedAt - (seenSince[index] as number) > failoverTimeMs) {
        expiredAt[index] = now;
        hasChanged = true;
      } else expiryAt = Math.min(expiryAt, (seenSince[index] as number) + failoverTimeMs + 1);
    });
    times.ended({ startedAt, hasChanged, retryAt: Number.POSITIVE_INFINITY, expiryAt }, now);
  }
  return { runsAt, expiredAt };
}

const anyTimes = fc.record({
  failoverTimeMs: fc.integer({ min: 200, max: 20_000 }),
  leaseAssignmentIntervalMs: fc.integer({ min: 100, max: 40_000 }),
});

describe('the runs of a leader', () => {
  test('show a lease to be expired within failoverTimeMs and one interval of its last change, however many run out', () => {
    const deaths = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 40 });
    fc.assert(
      fc.property(anyTimes, deaths, (options, diesAt) => {
        const { failoverTimeMs, leaseAssignmentIntervalMs } = options;
        const { expiredAt } = play(options, diesAt, 200_000);
        expiredAt.forEach((at, index) => {
          const silentMs = (at ?? Number.POSITIVE_INFINITY) - (diesAt[index] as number);
          expect(silentMs).toBeLessThanOrEqual(failoverTimeMs + leaseAssignmentIntervalMs + 4 * READ_MS);
        });
      }),
    );
  });

  test('come at most twice in an interval while leases run out at all times and none can be given away', () => {
    const options = { failoverTimeMs: 10_000, leaseAssignmentIntervalMs: 4_000 };
    const times = new RunTimes(options);
    const runsAt: number[] = [];
    while (times.dueAt < 400_000) {
      const startedAt = times.dueAt;
      runsAt.push(startedAt);
      const expiryAt = startedAt + 7;
      times.ended({ startedAt, hasChanged: false, retryAt: Number.POSITIVE_INFINITY, expiryAt }, startedAt + READ_MS);
    }
    expect(runsAt).toHaveLength(200);
    // The regular ones come as if there were no others.
    expect(runsAt.filter((_, index) => index % 2 === 0)).toEqual(Array.from({ length: 100 }, (_, n) => n * 4_000));
  });

  test('are as many as there are intervals while every lease changes, and intervals are no longer than failoverTimeMs', () => {
    for (const [leaseAssignmentIntervalMs, apartMs] of [
      [4_000, 4_000],
      [10_000, 10_000],
      [24_000, 10_000],
    ] as const) {
      const { runsAt } = play({ failoverTimeMs: 10_000, leaseAssignmentIntervalMs }, [1e9, 1e9], 240_000);
      expect(runsAt).toEqual(Array.from({ length: 240_000 / apartMs + 1 }, (_, n) => n * apartMs));
    }
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AssignableLease } from './assignment.ts';
import { planByUtilization } from './by-utilization.ts';
import { isSound, median, metricsOf } from './utilization.ts';

const row = (figures: readonly number[], limit = 90): Parameters<typeof metricsOf>[0] => ({
  stats: { C: figures },
  operatingRange: { C: [limit] },
});
const judged = (figures: readonly number[], alpha = 0.5): ReturnType<typeof metricsOf>[number] =>
  metricsOf(row(figures), alpha)[0] as ReturnType<typeof metricsOf>[number];

describe('metricsOf', () => {
  test('smooths the figures, oldest first, and leaves out what could not be measured', () => {
    expect(judged([10, -1, 20, 40])).toMatchObject({ name: 'C', percent: 27.5, limitPercent: 90 });
    expect(judged([])).toMatchObject({ percent: 0, doubtPercent: 0 });
  });

  test('figures that stand still, or grow evenly by little, are hardly in doubt', () => {
    expect(judged([40, 40, 40, 40, 40]).doubtPercent).toBe(0);
    expect(judged([40, 40.1, 40.2, 40.3, 40.4]).doubtPercent).toBeLessThan(0.2);
  });

  test('a jump when leases moved is no noise', () => {
    expect(judged([4, 4, 4, 4, 60, 60, 60, 60]).doubtPercent).toBe(0);
  });

  test('of fewer than four figures nothing is said', () => {
    expect(judged([1, 99, 1]).doubtPercent).toBe(0);
    expect(judged([1, 99, 1, 99]).doubtPercent).toBeGreaterThan(0);
  });

  test('the doubt grows as the figures scatter, and less with the more of them that are smoothed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 4, maxLength: 10 }),
        fc.double({ min: 1, max: 20, noNaN: true }),
        (scatter, times) => {
          const around = (by: number): number[] => scatter.map((each) => 50 + by * each);
          const little = judged(around(1)).doubtPercent;
          expect(judged(around(times)).doubtPercent).toBeCloseTo(times * little, 6);
          expect(judged(around(1), 0.2).doubtPercent).toBeLessThanOrEqual(little);
        },
      ),
    );
  });

  test('of figures that scatter by 6 points the smoothed one is within its doubt nine times in ten', () => {
    // The sum of twelve even chances is normal, as near as matters.
    const chance = fc.noBias(fc.integer({ min: 0, max: 1_000_000 })).map((number) => number / 1_000_000);
    const normal = fc
      .array(chance, { minLength: 12, maxLength: 12 })
      .map((chances) => 50 + 6 * (chances.reduce((sum, each) => sum + each, 0) - 6));
    const rows = fc.sample(fc.array(normal, { minLength: 10, maxLength: 10 }), { numRuns: 1_000, seed: 1 });
    const within = rows
      .map((figures) => judged(figures))
      .filter(({ percent, doubtPercent }) => {
        return Math.abs(percent - 50) <= doubtPercent;
      });
    expect(within.length / rows.length).toBeGreaterThan(0.85);
  });
});

test('an hour of figures that are off by up to 10 points moves next to nothing in a fleet that is even', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seed) => {
      const believed = movesInAnHour(seed, true);
      expect(believed).toBeLessThanOrEqual(20);
      expect(movesInAnHour(seed, false)).toBeGreaterThan(5 * believed);
    }),
    { numRuns: 5 },
  );
});

/** 400 leases that carry the same on 20 workers, in 60 runs with two more figures each; without doubt every figure is believed. */
function movesInAnHour(seed: number, doubts: boolean): number {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const workerIds = Array.from({ length: 20 }, (_, index) => `w${index}`);
  const figures = new Map<string, number[]>(workerIds.map((workerId) => [workerId, []]));
  let leases: AssignableLease[] = Array.from({ length: 400 }, (_, index) => {
    const owner = workerIds[index % 20];
    return { leaseKey: `s${index}`, owner, available: false, movable: true, throughputKBps: 100 };
  });
  const rules = {
    strategy: 'utilization',
    balances: true,
    maxLeasesForWorker: 1_000,
    maxThroughputPerHostKBps: 1e9,
    reBalanceThresholdPercentage: 10,
    dampeningPercentage: 60,
    allowThroughputOvershoot: true,
  } as const;
  const report = (): void => {
    for (const [workerId, row] of figures) {
      const count = leases.filter(({ owner }) => owner === workerId).length;
      row.push(4 + 2 * count + 10 * (2 * random() - 1));
      row.splice(0, row.length - 10);
    }
  };
  for (let index = 0; index < 10; index += 1) report();
  let moveCount = 0;
  for (let run = 0; run < 60; run += 1) {
    report();
    report();
    const workers = workerIds.map((workerId) => {
      const metrics = metricsOf({ stats: { C: figures.get(workerId) ?? [] }, operatingRange: { C: [100] } }, 0.5);
      return { workerId, metrics: metrics.map((metric) => (doubts ? metric : { ...metric, doubtPercent: 0 })) };
    });
    const to = new Map(planByUtilization(leases, workers, rules).map((move) => [move.leaseKey, move.to]));
    moveCount += to.size;
    leases = leases.map((lease) => ({ ...lease, owner: to.get(lease.leaseKey) ?? lease.owner }));
  }
  return moveCount;
}

test('a row is sound when each metric has a limit and was measured the last time', () => {
  expect(isSound(row([10, -1, 20]))).toBe(true);
  expect(isSound(row([10, 20, -1]))).toBe(false);
  expect(isSound(row([10], 0))).toBe(false);
  expect(isSound({ stats: { C: [10] }, operatingRange: {} })).toBe(false);
});

test('the median is one of the values, the lower one of two in the middle', () => {
  expect(median([])).toBe(0);
  expect(median([7])).toBe(7);
  expect(median([9, 1, 5])).toBe(5);
  expect(median([9, 1, 5, 4])).toBe(4);
});

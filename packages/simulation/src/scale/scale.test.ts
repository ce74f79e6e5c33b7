import { describe, expect, test } from 'vitest';
import { kclCost, total } from './kcl-cost.ts';
import { simulateKclDecider } from './kcl-decider.ts';
import { simulateScale } from './scale.ts';

test.each([
  { strategy: 'count', shards: 500, workers: 25 },
  { strategy: 'utilization', shards: 240, workers: 12 },
] as const)(
  'by $strategy, $shards shards on $workers workers are served and at rest after a start, a loss and a doubling',
  (fleet) => {
    const { phases, minute, kclMinute, failures } = simulateScale({ ...fleet, seed: 1 });
    expect(failures).toEqual([]);
    expect(phases.map(({ workers }) => workers)).toEqual([
      fleet.workers,
      fleet.workers - Math.floor(fleet.workers / 3),
      2 * (fleet.workers - Math.floor(fleet.workers / 3)),
    ]);
    for (const { servedSeconds } of phases) expect(servedSeconds).toBeLessThan(60);
    expect(minute.writeUnits).toBeGreaterThan(0);
    expect(minute.writeUnits).toBeLessThan(kclMinute.writeUnits);
  },
);

test('a fleet that cannot take all leases is told of', () => {
  const { failures } = simulateScale({ strategy: 'count', shards: 30, workers: 3, seed: 1, maxLeasesForWorker: 5 });
  expect(failures[0]).toBe('count, cold start: the fleet did not come to rest within 30 minutes');
});

test("the KCL's rules renew 1,000 leases 18,136 times a minute", () => {
  const rules = kclCost({ leaseCount: 1_000, workerCount: 10, failoverTimeMs: 10_000, checkpointEveryMs: 60_000 });
  expect(Math.round(rules[0]?.use.writes ?? 0)).toBe(18_136);
  expect(Math.round(total(rules).writes)).toBe(18_136 + 1_000 + 20 + 2);
});

describe("the KCL's decider", () => {
  const fleet = { seed: 1, shards: 400, workers: 20, maxLeasesForWorker: 45, usualCpuPercent: 40, idleCpuPercent: 4 };

  test('with figures that stand still comes to rest near the threshold, and moves what it must', () => {
    const [cold, loss, doubled] = simulateKclDecider({ ...fleet, cpuNoisePercent: 0 });
    expect(cold?.moves).toBeGreaterThanOrEqual(fleet.shards);
    for (const phase of [cold, loss, doubled]) {
      expect(phase?.movesInLastTenMinutes).toBe(0);
      expect(phase?.load.leastPercent).toBeGreaterThan(80);
      expect(phase?.load.mostPercent).toBeLessThan(120);
    }
    expect([cold, loss, doubled].map((phase) => phase?.workers)).toEqual([20, 14, 28]);
    // A third of the leases were of the dead ones.
    expect(loss?.moves).toBeGreaterThan(fleet.shards / 5);
    expect(doubled?.moves).toBeGreaterThan(fleet.shards / 5);
  });

  test('gives nobody more than maxLeasesForWorker: what finds no place waits', () => {
    const [cold] = simulateKclDecider({ ...fleet, cpuNoisePercent: 0, maxLeasesForWorker: 15 });
    expect(cold?.moves).toBe(20 * 15);
  });
});

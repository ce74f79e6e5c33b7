import { expect, test } from 'vitest';
import { kclCost, total } from './kcl-cost.ts';
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

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AssignableLease, AssignableWorker, Assignment, AssignmentRules } from './assignment.ts';
import { planByUtilization } from './by-utilization.ts';

const rules: AssignmentRules = {
  strategy: 'utilization',
  balances: true,
  maxLeasesForWorker: 1000,
  maxThroughputPerHostKBps: Number.POSITIVE_INFINITY,
  reBalanceThresholdPercentage: 10,
  dampeningPercentage: 60,
  allowThroughputOvershoot: true,
};

function held(leaseKey: string, owner: string, throughputKBps: number | undefined): AssignableLease {
  return { leaseKey, owner, available: false, movable: true, throughputKBps };
}

function free(leaseKey: string, throughputKBps?: number): AssignableLease {
  return { leaseKey, owner: undefined, available: true, movable: false, throughputKBps };
}

function worker(workerId: string, cpuPercent?: number, limitPercent = 100, doubtPercent = 0): AssignableWorker {
  const metrics = cpuPercent === undefined ? [] : [{ name: 'C', percent: cpuPercent, limitPercent, doubtPercent }];
  return { workerId, metrics };
}

/** What the table looks like once every move has been carried out. */
function after(leases: readonly AssignableLease[], moves: readonly Assignment[]): AssignableLease[] {
  const to = new Map(moves.map((move) => [move.leaseKey, move.to]));
  return leases.map((lease) => {
    const owner = to.get(lease.leaseKey) ?? lease.owner;
    return { ...lease, owner, available: owner === undefined, movable: owner !== undefined };
  });
}

function loadOf(leases: readonly AssignableLease[], workerId: string): number {
  return leases.reduce((sum, { owner, throughputKBps = 0 }) => sum + (owner === workerId ? throughputKBps : 0), 0);
}

const workerIds = ['w1', 'w2', 'w3', 'w4', 'w5'];
const kBps = fc.option(fc.double({ min: 0, max: 2048, noNaN: true }), { nil: undefined });
const arbitraryFleet = fc.record({
  workers: fc.uniqueArray(
    fc.record({
      workerId: fc.constantFrom(...workerIds),
      cpu: fc.option(fc.double({ min: 0, max: 100, noNaN: true }), { nil: undefined }),
    }),
    { minLength: 1, selector: ({ workerId }) => workerId },
  ),
  leases: fc.array(
    fc.record({
      owner: fc.option(fc.constantFrom(...workerIds, 'gone'), { nil: undefined }),
      kBps,
      movable: fc.boolean(),
    }),
    { maxLength: 60 },
  ),
});
type ArbitraryFleet = typeof arbitraryFleet extends fc.Arbitrary<infer T> ? T : never;

function viewOf(fleet: ArbitraryFleet): { leases: AssignableLease[]; workers: AssignableWorker[] } {
  const leases = fleet.leases.map(({ owner, kBps: throughputKBps, movable }, index) => ({
    leaseKey: `shard-${String(index).padStart(2, '0')}`,
    owner,
    available: owner === undefined,
    movable: movable && owner !== undefined,
    throughputKBps,
  }));
  return { leases, workers: fleet.workers.map(({ workerId, cpu }) => worker(workerId, cpu)) };
}

test('what a worker gave up goes to another one, though it has the most room, and back only where it is alone', () => {
  const left = { ...free('x', 10), leftBy: 'w1' };
  const moves = planByUtilization([left], [worker('w1', 10), worker('w2', 60), worker('w3', 40)], {
    ...rules,
    balances: false,
  });
  expect(moves).toEqual([{ leaseKey: 'x', to: 'w3', kind: 'assign' }]);
  expect(planByUtilization([left], [worker('w1', 10)], rules)).toEqual([{ leaseKey: 'x', to: 'w1', kind: 'assign' }]);
});

describe('planByUtilization', () => {
  test('gives a worker on trial one lease at the most, and none if it has one', () => {
    fc.assert(
      fc.property(arbitraryFleet, fc.subarray(workerIds), (fleet, onTrial) => {
        const seen = viewOf(fleet);
        const judged = seen.workers.map((each) => ({ ...each, isOnTrial: onTrial.includes(each.workerId) }));
        const moves = planByUtilization(seen.leases, judged, rules);
        for (const workerId of onTrial) {
          const got = moves.filter(({ to }) => to === workerId).length;
          const had = seen.leases.filter(({ owner, available }) => owner === workerId && !available).length;
          expect(got === 0 || got + had === 1).toBe(true);
        }
      }),
    );
  });

  test('each lease moves once at most, available ones are assigned, held ones handed off, and only to live workers', () => {
    fc.assert(
      fc.property(arbitraryFleet, (fleet) => {
        const { leases, workers } = viewOf(fleet);
        const moves = planByUtilization(leases, workers, rules);
        expect(new Set(moves.map(({ leaseKey }) => leaseKey)).size).toBe(moves.length);
        for (const { leaseKey, to, kind } of moves) {
          const lease = leases.find((each) => each.leaseKey === leaseKey);
          expect(kind === 'assign' ? lease?.available : lease?.movable && lease.owner !== to).toBe(true);
          expect(workers.some(({ workerId }) => workerId === to)).toBe(true);
        }
        for (const lease of leases) {
          if (lease.available) expect(moves.some(({ leaseKey }) => leaseKey === lease.leaseKey)).toBe(true);
        }
      }),
    );
  });

  test('nobody is given more leases than maxLeasesForWorker; what finds no place stays available', () => {
    fc.assert(
      fc.property(arbitraryFleet, fc.integer({ min: 1, max: 5 }), (fleet, maxLeasesForWorker) => {
        const { leases, workers } = viewOf(fleet);
        const moves = planByUtilization(leases, workers, { ...rules, maxLeasesForWorker });
        for (const { workerId } of workers) {
          const before = leases.filter(({ owner }) => owner === workerId).length;
          const count = after(leases, moves).filter(({ owner }) => owner === workerId).length;
          expect(count).toBeLessThanOrEqual(Math.max(before, maxLeasesForWorker));
        }
      }),
    );
  });

  test('a worker whose leases carry more than maxThroughputPerHostKBps gets no further one', () => {
    const leases = [held('a', 'w1', 500), held('b', 'w2', 900), free('c', 10), free('d', 10)];
    const workers = [worker('w1', 50), worker('w2', 1)];
    const moves = planByUtilization(leases, workers, { ...rules, balances: false, maxThroughputPerHostKBps: 600 });
    expect(moves.map(({ to }) => to)).toEqual(['w1', 'w1']);
  });

  test('a fleet judged by throughput comes to rest within a few runs, and nobody is left without a lease', () => {
    fc.assert(
      fc.property(arbitraryFleet, (fleet) => {
        const workers = fleet.workers.map(({ workerId }) => worker(workerId));
        let { leases } = viewOf(fleet);
        leases = leases
          .filter(({ owner }) => owner !== 'gone')
          .map((lease) => ({ ...lease, movable: !lease.available }));
        leases = leases.filter(
          ({ owner }) => owner === undefined || workers.some(({ workerId }) => workerId === owner),
        );
        let runs = 0;
        for (; runs < 40; runs++) {
          const moves = planByUtilization(leases, workers, rules);
          if (moves.length === 0) break;
          leases = after(leases, moves);
        }
        expect(runs).toBeLessThan(40);
        for (const { workerId } of leases.length < workers.length ? [] : workers) {
          expect(leases.some(({ owner }) => owner === workerId)).toBe(true);
        }
      }),
    );
  });

  test('even leases on one worker of four spread until each carries its share, within the threshold or one lease', () => {
    const workers = ['w1', 'w2', 'w3', 'w4'].map((workerId) => worker(workerId));
    let leases = Array.from({ length: 40 }, (_, index) => held(`s${String(index).padStart(2, '0')}`, 'w1', 100));
    for (let run = 0; run < 20; run++) leases = after(leases, planByUtilization(leases, workers, rules));
    for (const { workerId } of workers) {
      expect(loadOf(leases, workerId)).toBeGreaterThanOrEqual(900);
      expect(loadOf(leases, workerId)).toBeLessThanOrEqual(1200);
    }
  });

  test('without any throughput known, leases spread by their number', () => {
    const leases = Array.from({ length: 10 }, (_, index) => free(`s${index}`));
    const moves = planByUtilization(leases, [worker('w1'), worker('w2')], rules);
    expect(moves.filter(({ to }) => to === 'w1')).toHaveLength(5);
    expect(moves.filter(({ to }) => to === 'w2')).toHaveLength(5);
  });

  test('an idle fleet with its leases spread evenly is at rest, however many it has: no lease goes to and fro', () => {
    for (let workerCount = 1; workerCount <= 12; workerCount += 1) {
      const workers = Array.from({ length: workerCount }, (_, index) => worker(`w${String(index).padStart(2, '0')}`));
      for (let leaseCount = 1; leaseCount <= 40; leaseCount += 1) {
        const leases = Array.from({ length: leaseCount }, (_, index) =>
          held(
            `s${String(index).padStart(2, '0')}`,
            (workers[index % workerCount] as AssignableWorker).workerId,
            0.001,
          ),
        );
        expect(planByUtilization(leases, workers, rules), `${leaseCount} on ${workerCount}`).toEqual([]);
      }
    }
  });

  test('the busiest worker gives, by its CPU, a damped part of what it carries above the average', () => {
    const leases = [
      ...Array.from({ length: 10 }, (_, index) => held(`a${index}`, 'hot', 100)),
      ...Array.from({ length: 10 }, (_, index) => held(`b${index}`, 'cold', 100)),
    ];
    const moves = planByUtilization(leases, [worker('hot', 80), worker('cold', 40)], rules);
    // The average is 60: 25 % of 1,000 KB/s is too much, 60 % of that moves, and no lease is cut.
    expect(moves).toEqual([{ leaseKey: 'a0', to: 'cold', kind: 'handOff' }]);
    const more = planByUtilization(leases, [worker('hot', 90), worker('cold', 10)], rules);
    expect(more.length).toBe(2);
    for (const { to } of more) expect(to).toBe('cold');
  });

  test('within the threshold nothing moves, unless a worker is above its own limit', () => {
    const leases = [held('a', 'w1', 150), held('b', 'w1', 10), held('c', 'w2', 140)];
    const near = [worker('w1', 52), worker('w2', 48)];
    expect(planByUtilization(leases, near, rules)).toEqual([]);
    const limited = [worker('w1', 52, 50), worker('w2', 42)];
    expect(planByUtilization(leases, limited, { ...rules, reBalanceThresholdPercentage: 20 })).toHaveLength(1);
  });

  test('what is within the doubt of a figure moves nothing: neither above the threshold or the limit, nor below', () => {
    const leases = [...'abcdefghij'].map((key, index) => held(key, index < 5 ? 'w1' : 'w2', 10));
    const plan = (first: number, second: number, doubt: number, limit = 100): number => {
      const workers = [worker('w1', first, limit, doubt), worker('w2', second, 100, doubt)];
      return planByUtilization(leases, workers, { ...rules, reBalanceThresholdPercentage: 15 }).length;
    };
    expect(plan(60, 40, 0)).toBe(1);
    expect(plan(60, 40, 1)).toBe(1);
    expect(plan(60, 40, 3)).toBe(0);
    expect(plan(52, 40, 1, 50)).toBe(1);
    expect(plan(52, 40, 3, 50)).toBe(0);
    // One of three far below the average, the others hardly above it.
    const three = (doubt: number): AssignableWorker[] =>
      [54, 54, 42].map((cpu, index) => worker(`w${index + 1}`, cpu, 100, doubt));
    expect(planByUtilization(leases, three(0), rules)).toHaveLength(1);
    expect(planByUtilization(leases, three(5), rules)[0]?.to).not.toBe('w1');
    const served = [...leases, held('k', 'w3', 17), held('l', 'w3', 17), held('m', 'w3', 16)];
    expect(planByUtilization(served, three(0), rules)).toHaveLength(1);
    expect(planByUtilization(served, three(5), rules)).toEqual([]);
  });

  test('figures that happen to stand still are believed no more than those of the other workers', () => {
    const leases = [...'abcdefghijklmno'].map((key, index) => held(key, `w${(index % 3) + 1}`, 10));
    const cpus = [60, 46, 44];
    const fleet = (doubts: readonly number[]): AssignableWorker[] =>
      cpus.map((cpu, index) => worker(`w${index + 1}`, cpu, 100, doubts[index]));
    expect(planByUtilization(leases, fleet([0, 0, 0]), rules)).toHaveLength(1);
    expect(planByUtilization(leases, fleet([0, 8, 8]), rules)).toEqual([]);
    expect(planByUtilization(leases, fleet([0, 0, 8]), rules)).toHaveLength(1);
  });

  test('a worker with little to do that has as many leases as it may is waited for by nobody', () => {
    const cpus = { full: 34, w1: 50, w2: 50, w3: 51, w4: 50 };
    const workers = Object.entries(cpus).map(([workerId, cpu]) => worker(workerId, cpu));
    const leases = Object.keys(cpus).flatMap((owner) =>
      Array.from({ length: owner === 'full' ? 12 : 10 }, (_, index) => held(`${owner}-${index}`, owner, 10 * index)),
    );
    // Whoever happened to be the busiest gave a lease away in every run, and to one that was no less busy.
    expect(planByUtilization(leases, workers, { ...rules, maxLeasesForWorker: 12 })).toEqual([]);
    const roomy = planByUtilization(leases, workers, { ...rules, maxLeasesForWorker: 13 });
    expect(roomy.map(({ to }) => to)).toEqual(['full']);
  });

  test('a worker exactly at the threshold is within it: 11 leases of an average of 10 stay, 12 do not', () => {
    const workers = [worker('w1'), worker('w2')];
    const leases = (most: number): AssignableLease[] =>
      Array.from({ length: 20 }, (_, index) => held(`s${index}`, index < most ? 'w1' : 'w2', undefined));
    expect(planByUtilization(leases(11), workers, rules)).toEqual([]);
    expect(planByUtilization(leases(12), workers, rules)).toHaveLength(1);
  });

  test('a single lease larger than the excess moves only if overshooting is allowed', () => {
    const leases = [held('a', 'w1', 300), held('b', 'w1', 300), held('c', 'w2', 10)];
    const workers = [worker('w1', 70), worker('w2', 10)];
    expect(planByUtilization(leases, workers, { ...rules, allowThroughputOvershoot: false })).toEqual([]);
    expect(planByUtilization(leases, workers, rules)).toEqual([{ leaseKey: 'b', to: 'w2', kind: 'handOff' }]);
  });

  test('a newcomer gets a lease although its CPU says that it is as busy as the others', () => {
    const leases = [held('a', 'w1', 5), held('b', 'w1', 1), held('c', 'w2', 5)];
    const moves = planByUtilization(leases, [worker('w1', 30), worker('w2', 30), worker('new', 30)], rules);
    expect(moves).toEqual([{ leaseKey: 'b', to: 'new', kind: 'handOff' }]);
  });

  test('nobody gives its last lease away', () => {
    const leases = [held('a', 'hot', 900), held('b', 'cold', 1), held('c', 'cold', 1)];
    expect(planByUtilization(leases, [worker('hot', 95), worker('cold', 1)], rules)).toEqual([]);
  });

  test('live leases stay where they are in a run that does not balance', () => {
    const leases = [held('a', 'w1', 900), held('b', 'w1', 900)];
    expect(planByUtilization(leases, [worker('w1'), worker('w2')], { ...rules, balances: false })).toEqual([]);
  });

  test.each([
    ['idle', 1],
    ['busy', 50],
  ])('a worker without figures, with nothing yet, is given its share beside %s ones; KCL: everything', (_, percent) => {
    const leases = Array.from({ length: 12 }, (__, index) => free(`s${index}`));
    const moves = planByUtilization(leases, [worker('w1', percent), worker('w2', percent), worker('mute')], rules);
    const given = moves.filter(({ to }) => to === 'mute').length;
    expect(given).toBeGreaterThanOrEqual(4);
    expect(given).toBeLessThanOrEqual(6);
  });

  test('a metric that only some workers have is averaged over those', () => {
    const leases = [held('a', 'w1', 100), held('b', 'w1', 100), held('c', 'w2', 200)];
    const mixed = [worker('w1', 50), worker('w2')];
    expect(planByUtilization(leases, mixed, rules)).toEqual([]);
  });
});

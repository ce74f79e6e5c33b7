// What the leader does with the leases in each of its runs (KCL LeaseAssignmentManager, VarianceBasedLeaseAssignmentDecider,
// LeaseCountBasedLeaseAssignmentDecider), seen in the table and in what it asks for. One worker of ours leads; the others are of
// another kind, renew their leases and report.
import { describe, expect, test } from 'vitest';
import { type Lease, NOTHING_MEASURED, type Utilization } from '../../src/coordination/lease.ts';
import type { WorkerOptions } from '../../src/coordination/worker.ts';
import { resolveOptions } from '../../src/options.ts';
import { assignmentMs, Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

const cpu = (percent: number, limit = 100): Utilization => ({
  stats: { C: [percent] },
  operatingRange: { C: [limit] },
});

interface Scene {
  readonly fleet: Fleet;
  readonly lead: Member;
}

/** The first of these workers is ours and begins to lead them; their leases are as given: by owner, the throughputs. */
function leading(
  workers: Readonly<Record<string, Utilization>>,
  leases: Readonly<Record<string, readonly (number | undefined)[]>>,
  options: Partial<WorkerOptions> = {},
): Scene {
  const fleet = new Fleet();
  const [first = ''] = Object.keys(workers);
  for (const [workerId, utilization] of Object.entries(workers)) {
    const other = fleet.other(workerId, utilization);
    if (workerId === first) other.silence();
  }
  let count = 0;
  for (const [owner, throughputs] of Object.entries(leases)) {
    for (const throughputKBps of throughputs) {
      count += 1;
      const leaseKey = `lease-${String(count).padStart(3, '0')}`;
      fleet.put(leaseKey, { leaseOwner: owner === 'nobody' ? undefined : owner, throughputKBps });
      fleet.shards.push(shardOf(leaseKey));
    }
  }
  const lead = fleet.make(first, options);
  lead.utilization = workers[first] ?? NOTHING_MEASURED;
  lead.tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
  lead.tell({ kind: 'start' });
  return { fleet, lead };
}

const mute = NOTHING_MEASURED;
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const utilization = { assignmentStrategy: 'utilization' } as const;
const everyRun = { ...utilization, varianceBalancingFrequency: 1 } as const;
const handedOff = ({ fleet }: Scene): string[] =>
  fleet.of('handOffLease').map(({ effect }) => `${effect.from} > ${effect.to}`);
const movedKBps = ({ fleet }: Scene): number =>
  fleet.of('handOffLease').reduce((sum, { effect }) => sum + (fleet.lease(effect.leaseKey).throughputKBps ?? 0), 0);

describe('a run', () => {
  test('follows the other every leaseAssignmentIntervalMs, as long as failoverTimeMs; KCL: twice', () => {
    const { fleet } = leading({ x: mute }, { x: [1] });
    fleet.pass(3 * assignmentMs);
    const runs = fleet.of('readTable').map(({ at }) => at - 1_000_000);
    expect(runs).toEqual([0, 1, 2, 3].map((n) => n * assignmentMs));
  });

  test('that changed something is followed by the next after an eighth of that, and one that made leases at once; KCL: as ever', () => {
    const { fleet } = leading({ x: mute }, { x: [1] });
    fleet.pass(secondMs);
    fleet.put('free');
    const assigned = () => fleet.of('assignLease').length > 0;
    fleet.passUntil(assigned, 2 * assignmentMs);
    const changedAt = fleet.of('assignLease')[0]?.at ?? 0;
    fleet.pass(assignmentMs);
    expect(fleet.of('readTable', changedAt).map(({ at }) => at - changedAt)).toEqual([0, assignmentMs / 8]);
    fleet.shards.push(shardOf('new'));
    fleet.passUntil(() => fleet.table.leases.has('new'), 2 * 60 * secondMs);
    const madeAt = fleet.of('createLease')[0]?.at;
    expect(fleet.of('readTable').filter(({ at }) => at === madeAt)).toHaveLength(2);
  });

  describe.each([0.5, 0.6, 1, 1.2, 2])('every %d failoverTimeMs', (intervals) => {
    const leaseAssignmentIntervalMs = intervals * failoverMs;

    const withVictim = (): { fleet: Fleet; lead: Member; victim: ReturnType<Fleet['other']> } => {
      const fleet = new Fleet();
      const victim = fleet.other('victim');
      fleet.put('a', { leaseOwner: 'victim' });
      fleet.shards.push(shardOf('a'));
      return { fleet, victim, lead: fleet.start('lead', { leaseAssignmentIntervalMs }) };
    };

    test('comes once in an interval or failoverTimeMs, whichever is less, while every worker renews its leases', () => {
      const { fleet } = withVictim();
      fleet.pass(60 * failoverMs);
      expect(fleet.of('readTable')).toHaveLength(1 + 60 / Math.min(1, intervals));
    });

    test('comes, too, when a lease runs out before the next: a dead worker waits for one interval; KCL: for two', () => {
      for (let diesAfter = 0; diesAfter < leaseAssignmentIntervalMs; diesAfter += secondMs) {
        const { fleet, lead, victim } = withVictim();
        fleet.pass(4 * leaseAssignmentIntervalMs + diesAfter);
        victim.silence();
        const heldMs = fleet.passUntil(() => lead.view.leases.length === 1, 5 * failoverMs, 50);
        // One discovery, and a step.
        expect(heldMs).toBeLessThanOrEqual(failoverMs + leaseAssignmentIntervalMs + 500 + 50);
      }
    });
  });

  test('is made by the leader alone', () => {
    const { fleet } = leading({ x: mute }, { nobody: [1] });
    fleet.start('follower');
    fleet.pass(5 * assignmentMs);
    const readers = fleet.of('readTable').filter(({ effect }) => effect.for === 'leader');
    expect(new Set(readers.map(({ worker }) => worker))).toEqual(new Set(['x']));
  });

  test('gives leases of nobody and expired ones away first, with an assignment and no handoff, to whoever has the most room', () => {
    const scene = leading({ x: mute, y: mute }, { x: [1, 1, 1], nobody: [1, 1] });
    expect(scene.fleet.counts()).toEqual({ x: 3, y: 2 });
    expect(scene.fleet.of('assignLease')).toHaveLength(2);
    expect(handedOff(scene)).toEqual([]);
  });

  test('gives a lease of nobody or of a silent owner away on condition of its counter, so that an owner who comes back keeps it; KCL: on condition of the owners alone', () => {
    const { fleet, lead } = leading({ x: mute }, { silent: [1] });
    lead.held.add('assignLease');
    fleet.pass(2 * assignmentMs);
    const { effect } = fleet.of('assignLease')[0] ?? {};
    expect(effect).toMatchObject({ seenOwner: 'silent', seenCounter: 0, newOwner: 'x' });
    fleet.put('lease-001', { ...fleet.lease('lease-001'), leaseCounter: 1 });
    lead.carryOut('assignLease');
    expect(fleet.lease('lease-001').leaseOwner).toBe('silent');
  });

  test('leaves what no worker has room for with nobody', () => {
    const scene = leading({ x: mute }, { nobody: [1, 1, 1] }, { maxLeasesForWorker: 2 });
    expect(scene.fleet.counts()).toEqual({ x: 2, nobody: 1 });
  });

  test('leaves finished leases where they are, whoever has them; KCL: gives those of a dead owner to a live one, whose queue cleans them up', () => {
    const { fleet } = leading({ x: mute }, {});
    const checkpoint = { sequenceNumber: 'SHARD_END', subSequenceNumber: 0 } as const;
    fleet.put('a', { leaseOwner: 'dead', checkpoint, childShardIds: ['b'] });
    fleet.pass(3 * assignmentMs);
    expect(fleet.lease('a').leaseOwner).toBe('dead');
  });

  test('moves no lease of a worker whose row is missing or stale before the lease itself has expired', () => {
    const { fleet } = leading({ x: mute }, { mute: [1, 1, 1, 1] });
    fleet.every(3 * secondMs, () => {
      for (const lease of fleet.table.leases.values()) {
        if (lease.leaseOwner === 'mute') fleet.put(lease.leaseKey, { ...lease, leaseCounter: lease.leaseCounter + 1 });
      }
    });
    fleet.pass(5 * 60 * secondMs);
    expect(fleet.counts()).toEqual({ mute: 4 });
  });
});

describe('by count (the default; KCL: by utilization is)', () => {
  test('is what a consumer does that is not told otherwise', () => {
    const base = { application: 'spec', stream: 'orders' };
    expect(resolveOptions(base, 'h').leaseAssignmentStrategy).toBe('count');
  });

  test('each worker is filled up from the least loaded on', () => {
    const { fleet } = leading({ x: mute, y: mute, z: mute }, { x: [1, 1], nobody: times(7, 1) });
    expect(fleet.counts()).toEqual({ x: 3, y: 3, z: 3 });
  });

  test('leases move from the most to the least loaded worker until no two differ by more than one; no more move than have to', () => {
    const scene = leading({ x: mute, y: mute, z: mute }, { x: times(9, 1), y: [1] });
    expect(handedOff(scene).sort()).toEqual(['x > y', 'x > y', 'x > z', 'x > z', 'x > z']);
    expect(scene.fleet.counts()).toEqual({ x: 4, y: 3, z: 3 });
  });

  test('what a worker reports of itself changes nothing but whether it may have leases', () => {
    const scene = leading({ x: cpu(99), y: cpu(1) }, { x: [900], y: [1] });
    expect(handedOff(scene)).toEqual([]);
  });
});

describe('by utilization', () => {
  test('leases of nobody go to the worker that is furthest below the average of its busiest metric', () => {
    const scene = leading({ x: cpu(80), y: cpu(20) }, { x: [10], y: [10], nobody: [10] }, utilization);
    expect(scene.fleet.counts()).toEqual({ x: 1, y: 2 });
  });

  test('each lease that is given adds to what its worker carries, so that many leases spread', () => {
    const scene = leading({ x: cpu(10), y: cpu(10) }, { nobody: times(8, 10) }, utilization);
    expect(scene.fleet.counts()).toEqual({ x: 4, y: 4 });
  });

  test('a lease whose throughput nobody has measured counts as the mean of the others', () => {
    const scene = leading({ x: mute, y: mute }, { x: [30, 30], y: [30, undefined] }, everyRun);
    scene.fleet.pass(2 * secondMs);
    expect(handedOff(scene)).toEqual([]);
  });

  test('a worker that measures nothing is judged by the throughput of its leases', () => {
    const scene = leading({ x: mute, y: mute }, { x: times(4, 100), y: [100] }, everyRun);
    expect(new Set(handedOff(scene))).toEqual(new Set(['x > y']));
  });

  test('live leases move in the first run, and then no sooner than after three intervals and two reports of the workers, 60 s; KCL: in every third run', () => {
    const { fleet } = leading({ x: cpu(50), y: cpu(50) }, { x: [10, 10], y: [10, 10] }, utilization);
    fleet.pass(secondMs);
    // From now on x is far too busy, and says so.
    fleet.every(secondMs, () => {
      const row = fleet.table.workers.get('x');
      if (row !== undefined) fleet.table.workers.set('x', { ...row, utilization: cpu(95) });
    });
    fleet.pass(2 * 60 * secondMs);
    const first = (fleet.of('handOffLease')[0]?.at ?? 0) - 1_000_000;
    expect(first).toBeGreaterThanOrEqual(60 * secondMs);
    expect(first).toBeLessThanOrEqual(60 * secondMs + assignmentMs);
  });

  test.each([
    [54, []],
    [57, ['x > y']],
  ])('nothing moves while every worker is within 10% of the average; at %i of 50 percent %j', (percent, moves) => {
    const scene = leading({ x: cpu(percent), y: cpu(100 - percent) }, { x: times(20, 10), y: times(20, 10) }, everyRun);
    expect([...new Set(handedOff(scene))]).toEqual(moves);
  });

  test('a worker above its own limit gives, although the fleet is even', () => {
    const scene = leading({ x: cpu(50, 40), y: cpu(50) }, { x: times(20, 10), y: times(20, 10) }, everyRun);
    // To the average, and y is there already: it takes none beyond what x had.
    expect(handedOff(scene).every((move) => move === 'x > y')).toBe(true);
    expect(scene.lead.notices.filter(({ kind }) => kind === 'leasesPlanned').length).toBeLessThanOrEqual(1);
  });

  test('of what a worker carries above the average, 60% moves at once', () => {
    const scene = leading({ x: cpu(75), y: cpu(25) }, { x: times(30, 10), y: times(10, 10) }, everyRun);
    // A third of 300 kB/s is above the average; 60% of that are 60 kB/s.
    expect(movedKBps(scene)).toBe(60);
  });

  test('a single lease that is more than that moves only where allowThroughputOvershoot says so, as it does by default', () => {
    const fleetOf = (allowThroughputOvershoot: boolean) =>
      leading({ x: cpu(60), y: cpu(20) }, { x: [100, 100], y: [] }, { ...everyRun, allowThroughputOvershoot });
    expect(handedOff(fleetOf(true))).toEqual(['x > y']);
    // y has no lease at all, so it is given one in any case; a third worker with leases would not be.
    const withThird = (allowThroughputOvershoot: boolean) =>
      leading({ x: cpu(60), y: cpu(20) }, { x: [100, 100], y: [1] }, { ...everyRun, allowThroughputOvershoot });
    expect(handedOff(withThird(true))).toEqual(['x > y']);
    expect(handedOff(withThird(false))).toEqual([]);
    expect(resolveOptions({ application: 'spec', stream: 'orders' }, 'h').allowThroughputOvershoot).toBe(true);
  });

  test('a receiver may pass the average as long as it stays below what the giver had; KCL: may not, and a large lease too many stays where it is', () => {
    const scene = leading({ x: mute, y: mute }, { x: [60, 100], y: [60] }, everyRun);
    scene.fleet.pass(assignmentMs);
    // 160 and 60, on average 110: after the move 100 and 120.
    expect(handedOff(scene)).toEqual(['x > y']);
    expect(scene.fleet.lease(scene.fleet.of('handOffLease')[0]?.effect.leaseKey ?? '').throughputKBps).toBe(60);
  });

  test('a receiver stays below its limit', () => {
    const scene = leading({ x: cpu(80), y: cpu(20, 21) }, { x: times(10, 10), y: times(10, 10) }, everyRun);
    expect(handedOff(scene)).toEqual([]);
  });

  test('nobody gives its last lease away; KCL: it may', () => {
    const scene = leading({ x: cpu(90), y: cpu(10) }, { x: [100], y: [1] }, everyRun);
    expect(handedOff(scene)).toEqual([]);
  });

  test('a worker with no lease is given one in a balancing run, whatever its figures say; KCL: only if they say that it is less busy', () => {
    const scene = leading({ x: cpu(50), y: cpu(50) }, { x: times(4, 10) }, everyRun);
    expect(handedOff(scene)).toEqual(['x > y']);
  });

  test('no worker is given a lease beyond maxLeasesForWorker, nor one whose leases carry more than maxThroughputPerHostKBps', () => {
    const limits = { ...utilization, maxLeasesForWorker: 3, maxThroughputPerHostKBps: 50 };
    const scene = leading({ x: cpu(1), y: cpu(1) }, { x: [40, 40], nobody: times(6, 1) }, limits);
    expect(scene.fleet.counts()).toEqual({ x: 2, y: 3, nobody: 3 });
  });

  test('of the figures of a worker the last one counts half, those before it the other half, and those that could not be measured nothing', () => {
    const history = (...values: number[]): Utilization => ({ stats: { C: values }, operatingRange: { C: [100] } });
    // x: 40 and 80 make 60, near enough to 64.
    const even = leading({ x: history(40, -1, 80), y: history(64) }, { x: times(20, 10), y: times(20, 10) }, everyRun);
    expect(handedOff(even)).toEqual([]);
    const uneven = leading({ x: history(80, 80), y: history(60) }, { x: times(20, 10), y: times(20, 10) }, everyRun);
    expect(new Set(handedOff(uneven))).toEqual(new Set(['x > y']));
  });
});

test('whoever is given a lease, no lease moves once the fleet is balanced', () => {
  const fleet = new Fleet();
  fleet.shards = times(12, 0).map((_, n) => shardOf(`shard-${String(n).padStart(2, '0')}`));
  for (const id of ['a', 'b', 'c']) fleet.start(id);
  fleet.pass(3 * 60 * secondMs);
  const owners = fleet.owners();
  expect(fleet.counts()).toEqual({ a: 4, b: 4, c: 4 });
  const since = fleet.now;
  fleet.pass(10 * 60 * secondMs);
  expect(fleet.owners()).toEqual(owners);
  expect([...fleet.of('handOffLease', since), ...fleet.of('assignLease', since)]).toEqual([]);
});

test('a lease has its row as its only home: a lease moved is the same lease, with its checkpoint', () => {
  const fleet = new Fleet();
  const checkpoint = { sequenceNumber: 'LATEST', subSequenceNumber: 0 } as const satisfies Lease['checkpoint'];
  fleet.put('a', { checkpoint });
  fleet.start('x');
  expect(fleet.lease('a')).toMatchObject({ checkpoint });
});

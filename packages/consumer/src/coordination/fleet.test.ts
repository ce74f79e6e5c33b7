import { MAX_HASH_KEY, MIN_HASH_KEY, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { Fleet } from './fleet.ts';
import { type Lease, NOTHING_MEASURED, newLease, type WorkerRow } from './lease.ts';

const options = {
  workerId: 'me',
  failoverTimeMs: 1000,
  leaseFindingMs: 125,
  gracefulLeaseHandoffTimeoutMs: 3000,
  completedLeaseCleanupIntervalMs: 5000,
  workerStaleMs: 2000,
  staleWorkerMetricsEntryCleanupDurationMs: 10_000,
  workerMetricsEMAAlpha: 0.5,
};

function lease(change: Partial<Lease>): Lease {
  const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
  return { ...newLease({ shardId: 'a', parentShardIds: [], hashKeyRange }, TRIM_HORIZON), leaseOwner: 'w1', ...change };
}

const row = (workerId: string, lastUpdateSeconds: number, ageMs = 0): WorkerRow => ({
  workerId,
  lastUpdateSeconds,
  ageMs,
  utilization: NOTHING_MEASURED,
  process: undefined,
});

const activeIds = (fleet: Fleet): string[] =>
  fleet
    .activeWorkers()
    .map(({ workerId }) => workerId)
    .sort();

describe('Fleet', () => {
  test('a worker is gone when its row is old enough by its own time and has stood still here for workerStaleMs', () => {
    const fleet = new Fleet(options);
    const goneAt = (now: number, lastUpdateSeconds = 7): unknown => {
      fleet.observe([], [row('w1', lastUpdateSeconds, 10_001), row('w2', now), row('me', 7, 10_001)], now, now);
      return fleet.goneWorkers([]);
    };
    // A clock that is hours behind looks so, too.
    expect(goneAt(0)).toEqual([]);
    expect(goneAt(1999)).toEqual([]);
    expect(goneAt(2000)).toEqual([{ workerId: 'w1', lastUpdateSeconds: 7 }]);
    expect(goneAt(2001, 8)).toEqual([]);
    expect(goneAt(12_001, 8)).toEqual([]);
    expect(goneAt(12_002, 8)).toEqual([{ workerId: 'w1', lastUpdateSeconds: 8 }]);
  });

  test('a worker is not gone while an unfinished lease names it', () => {
    const fleet = new Fleet(options);
    for (const now of [0, 2000]) fleet.observe([], [row('w1', 7, 20_000)], now, now);
    expect(fleet.goneWorkers([lease({ leaseOwner: 'w1' })])).toEqual([]);
    expect(fleet.goneWorkers([lease({ leaseOwner: 'w2', checkpointOwner: 'w1' })])).toEqual([]);
    const ended = lease({ leaseOwner: 'w1', checkpoint: SHARD_END });
    expect(fleet.goneWorkers([ended])).toMatchObject([{ workerId: 'w1' }]);
  });

  test('a lease is expired when its counter stood still for more than failoverTimeMs as seen here', () => {
    const fleet = new Fleet(options);
    fleet.observe([lease({ leaseCounter: 1 })], [], 0, 5);
    expect(fleet.judge([lease({ leaseCounter: 1 })])[0]?.available).toBe(false);
    fleet.observe([lease({ leaseCounter: 1 })], [], 1005, 1010);
    expect(fleet.judge([lease({ leaseCounter: 1 })])[0]?.available).toBe(false);
    fleet.observe([lease({ leaseCounter: 1 })], [], 1006, 1010);
    expect(fleet.judge([lease({ leaseCounter: 1 })])[0]?.available).toBe(true);
  });

  test('a lease is waited for from the last change that was seen, but not one that its owner was given and has not renewed yet', () => {
    const fleet = new Fleet(options);
    const expiryAt = (leaseCounter: number, leaseOwner: string | undefined, now: number): number => {
      fleet.observe([lease({ leaseCounter, leaseOwner })], [], now - 5, now);
      return fleet.nextExpiryAt;
    };
    expect(expiryAt(1, undefined, 0)).toBe(Number.POSITIVE_INFINITY);
    expect(expiryAt(2, 'w1', 100)).toBe(Number.POSITIVE_INFINITY);
    expect(expiryAt(2, 'w1', 300)).toBe(Number.POSITIVE_INFINITY);
    expect(expiryAt(3, 'w1', 500)).toBe(1501);
    expect(expiryAt(3, 'w1', 700)).toBe(1501);
    expect(expiryAt(4, 'w2', 800)).toBe(Number.POSITIVE_INFINITY);
    expect(new Fleet(options).nextExpiryAt).toBe(Number.POSITIVE_INFINITY);
    // One of ours that was given it finds it soon.
    const given = new Fleet(options);
    const ours = { ...row('w2', 1), process: { id: 'p', sinceSeconds: 1 } };
    given.observe([lease({ leaseCounter: 4 })], [ours], 0, 5);
    given.observe([lease({ leaseCounter: 5, leaseOwner: 'w2' })], [ours], 300, 305);
    expect(given.nextExpiryAt).toBe(1306);
    // A new leader can't tell.
    const anew = new Fleet(options);
    anew.observe([lease({ leaseCounter: 4 })], [], 0, 5);
    expect(anew.nextExpiryAt).toBe(1006);
  });

  test('a reading that took long makes nothing look older than it is', () => {
    const fleet = new Fleet(options);
    fleet.observe([lease({ leaseCounter: 1 })], [], 0, 5);
    fleet.observe([lease({ leaseCounter: 1 })], [], 100, 9000);
    expect(fleet.judge([lease({ leaseCounter: 1 })])[0]?.available).toBe(false);
  });

  test('an unassigned lease is available at once, a new owner gets a full failoverTimeMs', () => {
    const fleet = new Fleet(options);
    const unowned = lease({ leaseOwner: undefined });
    fleet.observe([unowned], [], 0, 1);
    expect(fleet.judge([unowned])[0]?.available).toBe(true);
    const owned = lease({ leaseOwner: 'w2', leaseCounter: 1 });
    fleet.observe([owned], [], 5000, 5001);
    expect(fleet.judge([owned])[0]).toEqual({
      leaseKey: 'a',
      owner: 'w2',
      available: false,
      movable: false,
      throughputKBps: undefined,
    });
  });

  test('a lease is moved only once its owner has found it: seen to write it, or for one of ours long enough there', () => {
    const ours = { ...row('w2', 1), process: { id: 'p', sinceSeconds: 1 } };
    const fleet = new Fleet(options);
    const look = (change: Partial<Lease>, now: number): unknown => {
      const leases = [lease({ leaseOwner: 'w2', ...change })];
      fleet.observe(leases, [ours], now, now);
      return [fleet.judge(leases)[0]?.movable, fleet.isSettling];
    };
    // A new leader goes by whether there was a checkpoint since.
    expect(look({ ownerSwitchesSinceCheckpoint: 1 }, 0)).toEqual([false, true]);
    expect(look({ leaseCounter: 1, ownerSwitchesSinceCheckpoint: 1 }, 10)).toEqual([true, false]);
    expect(look({ leaseOwner: 'w1', leaseCounter: 2 }, 20)).toEqual([false, true]);
    expect(look({ leaseOwner: 'w1', leaseCounter: 2 }, 1_000)).toEqual([false, true]);
    expect(look({ leaseOwner: 'w1', leaseCounter: 3 }, 1_010)).toEqual([true, false]);
    expect(look({ leaseCounter: 4 }, 1_020)).toEqual([false, true]);
    expect(look({ leaseCounter: 4 }, 1_144)).toEqual([false, true]);
    expect(look({ leaseCounter: 4 }, 1_145)).toEqual([true, false]);
    // What it gave away itself the leader knows from then on.
    expect(look({ leaseOwner: undefined, leaseCounter: 5 }, 1_150)).toEqual([false, false]);
    fleet.gave('a', 'w2', 6, 1_160);
    expect(look({ leaseCounter: 6 }, 1_284)).toEqual([false, true]);
    const other = new Fleet(options);
    const looked = (change: Partial<Lease>, now: number): unknown => {
      const leases = [lease(change)];
      other.observe(leases, [ours], now, now);
      return other.judge(leases)[0]?.movable;
    };
    expect(looked({ leaseOwner: undefined }, 0)).toBe(false);
    other.gave('a', 'w2', 1, 10);
    expect(looked({ leaseOwner: 'w2', leaseCounter: 1 }, 135)).toBe(true);
    // Unless that one may have handed it on meanwhile, and got it back.
    expect(looked({ leaseOwner: undefined, leaseCounter: 2 }, 140)).toBe(false);
    other.gave('a', 'w2', 3, 150);
    expect(looked({ leaseOwner: 'w2', leaseCounter: 5 }, 300)).toBe(false);
    expect(looked({ leaseOwner: 'w2', leaseCounter: 5 }, 425)).toBe(true);
  });

  test('an unassigned lease is known by who gave it up, until it is somebody’s again', () => {
    const fleet = new Fleet(options);
    fleet.observe([lease({ leaseOwner: 'w1' })], [], 0, 1);
    const unowned = lease({ leaseOwner: undefined, leaseCounter: 1 });
    for (const now of [100, 200]) {
      fleet.observe([unowned], [], now, now);
      expect(fleet.judge([unowned])[0]).toMatchObject({ available: true, leftBy: 'w1' });
    }
    const owned = lease({ leaseOwner: 'w2', leaseCounter: 2 });
    fleet.observe([owned], [], 300, 300);
    expect(fleet.judge([owned])[0]).toMatchObject({ leftBy: undefined });
  });

  test('a lease in a handoff is not moved, and is taken when the handoff is overdue', () => {
    const fleet = new Fleet(options);
    let counter = 1;
    const handoff = () => lease({ leaseOwner: 'w2', checkpointOwner: 'w1', leaseCounter: counter++ });
    for (const now of [0, 900, 1800, 2700, 3600]) fleet.observe([handoff()], [], now, now);
    expect(fleet.judge([handoff()])[0]).toMatchObject({ available: false, movable: false });
    fleet.observe([handoff()], [], 4001, 4001);
    expect(fleet.judge([handoff()])[0]).toMatchObject({ available: true });
    expect(fleet.isLive(handoff())).toBe(true);
  });

  test('a worker gets leases while its metric row changes; this one always does', () => {
    const fleet = new Fleet(options);
    fleet.observe([], [row('w1', 100), row('w2', 40, 60_000)], 0, 0);
    expect(activeIds(fleet)).toEqual(['me', 'w1']);
    fleet.observe([], [row('w1', 100), row('w2', 41)], 2000, 2000);
    expect(activeIds(fleet)).toEqual(['me', 'w2']);
  });

  test('a worker that let a lease expire gets none until it gives a sign of life', () => {
    const fleet = new Fleet(options);
    fleet.observe([lease({})], [row('w1', 100)], 0, 0);
    fleet.observe([lease({})], [row('w1', 100)], 1500, 1500);
    expect(activeIds(fleet)).toEqual(['me']);
    fleet.observe([lease({})], [row('w1', 101)], 1600, 1600);
    // Its lease is still expired, so it is suspected anew.
    expect(activeIds(fleet)).toEqual(['me']);
    const taken = lease({ leaseOwner: 'me', leaseCounter: 1 });
    fleet.observe([taken], [row('w1', 102)], 1700, 1700);
    expect(activeIds(fleet)).toEqual(['me', 'w1']);
  });

  test('a worker lives when its row came or changed, or a lease of its was written, since this leader looks, or it has just reported', () => {
    const lastSeen = (fleet: Fleet): unknown =>
      fleet.activeWorkers().find(({ workerId }) => workerId === 'w1')?.lastSeen;
    const seen = (...looks: (readonly [ageMs: number | undefined, change?: Partial<Lease>])[]): unknown => {
      const fleet = new Fleet(options);
      for (const [index, [ageMs, change]] of looks.entries()) {
        const now = 100 * index;
        // A row that stands still was written at one time.
        const rows = ageMs === undefined ? [] : [row('w1', 100 - ageMs, ageMs + now)];
        fleet.observe(change === undefined ? [] : [lease(change)], rows, now, now);
      }
      return lastSeen(fleet);
    };
    expect(seen([999])).toBe('alive');
    expect(seen([1000])).toBe('longAgo');
    expect(seen([1999], [1999])).toBe(undefined);
    expect(seen([1500], [1500])).toBe('longAgo');
    expect(seen([1500], [1400])).toBe('alive');
    expect(seen([undefined], [1500])).toBe('alive');
    // Who owns a lease may have died just before.
    expect(seen([1500, { leaseCounter: 1 }], [1500, { leaseCounter: 1 }])).toBe('lately');
    expect(seen([1500, { leaseCounter: 1 }], [1500, { leaseCounter: 2 }])).toBe('alive');
    expect(seen([1500, { leaseCounter: 1, leaseOwner: 'w2' }], [1500, { leaseCounter: 2 }])).toBe('lately');
    const rarely = new Fleet({ ...options, workerStaleMs: 6000 });
    rarely.observe([], [row('w1', 7, 2999)], 0, 0);
    expect(lastSeen(rarely)).toBe('lately');
    rarely.observe([], [row('w1', 7, 3000)], 1, 1);
    expect(lastSeen(rarely)).toBe('longAgo');
  });

  test('a worker that lets run out what it never wrote is on trial, until it writes a lease or is another process', () => {
    const fleet = new Fleet(options);
    const process = (id: string) => ({ id, sinceSeconds: 1 });
    let second = 1;
    const look = (change: Partial<Lease>, now: number, id = 'p'): unknown => {
      second += 1;
      const worker = { ...row('w2', second), process: process(id) };
      fleet.observe([lease(change)], [worker], now, now);
      return fleet.activeWorkers().find(({ workerId }) => workerId === 'w2')?.isOnTrial;
    };
    const runsOut = (leaseCounter: number, from: number, id?: string): unknown[] => [
      look({ leaseOwner: undefined, leaseCounter: leaseCounter - 1 }, from, id),
      look({ leaseOwner: 'w2', leaseCounter }, from + 1, id),
      look({ leaseOwner: 'w2', leaseCounter }, from + 1002, id),
      look({ leaseOwner: undefined, leaseCounter: leaseCounter + 1 }, from + 1003, id),
    ];
    expect(runsOut(2, 0)).toEqual([false, false, undefined, true]);
    // The second in a row: its reports are no sign of life for two seconds.
    expect(runsOut(4, 2000)).toEqual([true, true, undefined, undefined]);
    expect(look({ leaseOwner: undefined, leaseCounter: 5 }, 5001)).toBeUndefined();
    expect(look({ leaseOwner: undefined, leaseCounter: 5 }, 5002)).toBe(true);
    expect(look({ leaseOwner: undefined, leaseCounter: 5 }, 5003, 'q')).toBe(false);
    expect(runsOut(6, 6000, 'q')).toEqual([false, false, undefined, true]);
    expect(look({ leaseOwner: 'w2', leaseCounter: 8 }, 7004, 'q')).toBe(true);
    expect(look({ leaseOwner: 'w2', leaseCounter: 9 }, 7005, 'q')).toBe(false);
    // One that has written it and falls silent was alive: a death is no trial.
    expect(look({ leaseOwner: 'w2', leaseCounter: 9 }, 8100, 'q')).toBeUndefined();
    expect(look({ leaseOwner: undefined, leaseCounter: 10 }, 8101, 'q')).toBe(false);
  });

  test('a worker that holds a lease is not on trial for another one, and one that nobody has room for fails it but once', () => {
    let second = 1;
    /** `left` ran out in its name, and stays there: nobody has room for it. */
    const look = (fleet: Fleet, now: number, held: readonly Partial<Lease>[]): boolean | undefined => {
      second += 1;
      // Nobody knows whether it has found what it has: it may be of the leader before.
      const leases = [{ leaseKey: 'left', leaseCounter: 7 }, ...held].map((each) =>
        lease({ ...each, leaseOwner: 'w2', ownerSwitchesSinceCheckpoint: 1 }),
      );
      fleet.observe(leases, [row('w2', second)], now, now);
      return fleet.activeWorkers().find(({ workerId }) => workerId === 'w2')?.isOnTrial;
    };
    const times = [0, 500, 1001, 1500, 2002, 2500];
    const holder = new Fleet(options);
    const held = (leaseCounter: number) => [{ leaseKey: 'held', leaseCounter }];
    expect(times.map((now, index) => look(holder, now, held(index)))).not.toContain(true);
    const idle = new Fleet(options);
    for (const now of times) look(idle, now, []);
    // It counts once: the second time in a row would make it wait for two seconds.
    idle.observe([], [row('w2', 1000)], 2501, 2501);
    expect(idle.activeWorkers()).toMatchObject([{ workerId: 'w2', isOnTrial: true }, { workerId: 'me' }]);
  });

  test('who gave a lease away is told to have carried it while his figures were measured, and its heir not to have, until they report', () => {
    const fleet = new Fleet(options);
    const measured = (workerId: string, reports: number): WorkerRow => ({
      ...row(workerId, reports),
      utilization: { stats: { C: [40, 40] }, operatingRange: { C: [100] } },
    });
    const look = (change: Partial<Lease>, reports: number, now: number): unknown => {
      const rows = [measured('w1', reports), measured('w2', reports)];
      fleet.observe([lease({ throughputKBps: 100, leaseCounter: now, ...change })], rows, now, now);
      const outdated = new Map(fleet.activeWorkers().map((worker) => [worker.workerId, worker.outdatedKBps]));
      return [outdated.get('w1'), outdated.get('w2')];
    };
    expect(look({}, 1, 0)).toEqual([0, 0]);
    expect(look({ leaseOwner: 'w2', checkpointOwner: 'w1' }, 1, 100)).toEqual([100, -100]);
    expect(look({ leaseOwner: 'w2' }, 1, 150)).toEqual([100, -100]);
    expect(look({ leaseOwner: 'w2' }, 2, 300)).toEqual([75, -75]);
    expect(look({ leaseOwner: 'w2' }, 3, 400)).toEqual([25, -25]);
    expect(look({ leaseOwner: 'w2' }, 4, 500)).toEqual([0, 0]);
  });

  test('a lease carries the mean of what this leader saw at its first looks, and follows slowly after that', () => {
    const fleet = new Fleet(options);
    const seen = (throughputKBps: number | undefined, now: number): unknown => {
      const leases = [lease({ throughputKBps, leaseCounter: now })];
      fleet.observe(leases, [], now, now);
      return fleet.judge(leases)[0]?.throughputKBps;
    };
    expect(seen(undefined, 1)).toBeUndefined();
    expect([90, 110, 130, 70, 100, 200].map((kBps, index) => seen(kBps, 2 + index))).toEqual([
      90, 100, 110, 100, 100, 120,
    ]);
  });

  test('finished leases are nobody’s to assign, and may be cleaned up after a while', () => {
    const fleet = new Fleet(options);
    const ended = lease({ checkpoint: SHARD_END });
    fleet.observe([ended], [], 0, 10);
    expect(fleet.judge([ended])).toEqual([]);
    expect(fleet.mayCleanUp('a')).toBe(false);
    fleet.observe([ended], [], 5010, 5011);
    expect(fleet.mayCleanUp('a')).toBe(true);
  });
});

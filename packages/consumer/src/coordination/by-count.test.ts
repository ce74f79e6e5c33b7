import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AssignableLease, Assignment } from './assignment.ts';
import { planByCount } from './by-count.ts';

const workers = ['w1', 'w2', 'w3', 'w4', 'w5'];

function plan(leases: readonly AssignableLease[], ids: readonly string[], maxLeasesForWorker: number): Assignment[] {
  return planByCount(leases, ids, { maxLeasesForWorker, maxThroughputPerHostKBps: Number.POSITIVE_INFINITY }, true);
}

function keyOf(number: number): string {
  return `shard-${String(number).padStart(2, '0')}`;
}

/** Leases of live workers, of vanished ones, of nobody. */
const arbitraryFleet = fc.record({
  workers: fc.uniqueArray(fc.constantFrom(...workers), { minLength: 1 }),
  leases: fc.uniqueArray(
    fc.record({
      leaseKey: fc.integer({ min: 0, max: 60 }).map(keyOf),
      owner: fc.option(fc.constantFrom(...workers, 'gone'), { nil: undefined }),
      expired: fc.boolean(),
      handoff: fc.boolean(),
    }),
    { selector: (lease) => lease.leaseKey },
  ),
});

function view({
  owner,
  expired,
  handoff,
  leaseKey,
}: {
  owner: string | undefined;
  expired: boolean;
  handoff: boolean;
  leaseKey: string;
}): AssignableLease {
  const available = owner === undefined || expired;
  return { leaseKey, owner, available, movable: !available && !handoff, throughputKBps: undefined };
}

/** What the table looks like once every move has been carried out. */
function after(leases: readonly AssignableLease[], moves: readonly Assignment[]): AssignableLease[] {
  const to = new Map(moves.map((move) => [move.leaseKey, move.to]));
  return leases.map((lease) => {
    const owner = to.get(lease.leaseKey);
    return owner === undefined ? lease : { ...lease, owner, available: false, movable: true };
  });
}

describe('planByCount', () => {
  test('what a worker gave up goes to another one, though it has the fewest leases, and back only where nobody else has room', () => {
    const lease = { leaseKey: 'x', owner: undefined, available: true, movable: false, throughputKBps: undefined };
    const busy = view({ leaseKey: 'a', owner: 'w2', expired: false, handoff: true });
    const left = { ...lease, leftBy: 'w1' };
    expect(plan([left, busy], ['w1', 'w2'], 10)).toEqual([{ leaseKey: 'x', to: 'w2', kind: 'assign' }]);
    expect(plan([left, busy], ['w1', 'w2'], 1)).toEqual([{ leaseKey: 'x', to: 'w1', kind: 'assign' }]);
    expect(plan([left], ['w1'], 10)).toEqual([{ leaseKey: 'x', to: 'w1', kind: 'assign' }]);
    const two = [left, { ...lease, leaseKey: 'y' }];
    expect(plan([...two, busy], ['w1', 'w2', 'w3'], 10).map(({ to }) => to)).toEqual(['w3', 'w1']);
  });

  test('gives a worker on trial one lease at the most, and none if it has one, in place of which others have room', () => {
    const limits = { maxLeasesForWorker: 100, maxThroughputPerHostKBps: Number.POSITIVE_INFINITY };
    fc.assert(
      fc.property(arbitraryFleet, fc.subarray(workers), (fleet, onTrial) => {
        const leases = fleet.leases.map(view);
        const moves = planByCount(leases, fleet.workers, limits, true, { onTrial: new Set(onTrial) });
        for (const worker of onTrial) {
          const got = moves.filter(({ to }) => to === worker).length;
          const had = leases.filter(({ owner, available }) => owner === worker && !available).length;
          expect(got === 0 || got + had === 1).toBe(true);
        }
        const available = leases.filter((lease) => lease.available).length;
        const isOneThere = fleet.workers.some((worker) => !onTrial.includes(worker));
        if (isOneThere) expect(moves.filter(({ kind }) => kind === 'assign').length).toBe(available);
      }),
    );
  });

  test('gives every available lease to a live worker and moves each lease once at most', () => {
    fc.assert(
      fc.property(arbitraryFleet, (fleet) => {
        const leases = fleet.leases.map(view);
        const moves = plan(leases, fleet.workers, Number.POSITIVE_INFINITY);
        expect(new Set(moves.map((move) => move.leaseKey)).size).toBe(moves.length);
        for (const move of moves) expect(fleet.workers).toContain(move.to);
        for (const lease of after(leases, moves)) expect(lease.available).toBe(false);
      }),
    );
  });

  test('hands off only live leases that are in no other handoff', () => {
    fc.assert(
      fc.property(arbitraryFleet, (fleet) => {
        const leases = new Map(fleet.leases.map((lease) => [lease.leaseKey, view(lease)]));
        for (const move of plan([...leases.values()], fleet.workers, 100)) {
          const lease = leases.get(move.leaseKey);
          expect(move.kind === 'handOff' ? lease?.movable : lease?.available).toBe(true);
          expect(move.kind === 'handOff' && move.to === lease?.owner).toBe(false);
        }
      }),
    );
  });

  test('a fleet that was balanced gets no moves', () => {
    fc.assert(
      fc.property(arbitraryFleet, (fleet) => {
        const leases = fleet.leases.map(view);
        const balanced = after(leases, plan(leases, fleet.workers, Number.POSITIVE_INFINITY));
        expect(plan(balanced, fleet.workers, Number.POSITIVE_INFINITY)).toEqual([]);
      }),
    );
  });

  test('no two workers differ by more than one where everything may move', () => {
    fc.assert(
      fc.property(arbitraryFleet, (fleet) => {
        const leases = fleet.leases.map((lease) =>
          view({ ...lease, handoff: false, owner: lease.owner === 'gone' ? undefined : lease.owner }),
        );
        const owned = leases.filter((lease) => lease.available || fleet.workers.includes(lease.owner as string));
        const counts = new Map(fleet.workers.map((worker) => [worker, 0]));
        for (const lease of after(owned, plan(owned, fleet.workers, Number.POSITIVE_INFINITY))) {
          counts.set(lease.owner as string, (counts.get(lease.owner as string) ?? 0) + 1);
        }
        expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('moves no more leases than balance needs', () => {
    const leases = ['a', 'b', 'c', 'd', 'e', 'f'].map((leaseKey) => ({
      leaseKey,
      owner: 'w1',
      available: false,
      movable: true,
      throughputKBps: undefined,
    }));
    const moves = plan(leases, ['w1', 'w2', 'w3'], 100);
    expect(moves.map(({ to, kind }) => `${kind} ${to}`).sort()).toEqual([
      'handOff w2',
      'handOff w2',
      'handOff w3',
      'handOff w3',
    ]);
  });

  test('one that declines all of what another has keeps nobody else from it', () => {
    const leases = Array.from({ length: 40 }, (_, index) =>
      view({ leaseKey: `shard-${index}`, owner: 'w2', expired: false, handoff: false }),
    );
    const declined = new Map([['w1', new Set(leases.map(({ leaseKey }) => leaseKey))]]);
    const limits = { maxLeasesForWorker: 100, maxThroughputPerHostKBps: Number.POSITIVE_INFINITY };
    const moves = planByCount(leases, ['w1', 'w2', 'w3'], limits, true, { declined });
    expect(moves.map(({ to }) => to)).toEqual(Array.from({ length: 20 }, () => 'w3'));
  });

  test('comes to rest whatever is declined, and then nobody has two more than one that has room and wants any of them', () => {
    const maxLeasesForWorker = fc.integer({ min: 1, max: 30 });
    // Whose leases each one declines.
    const declines = fc.array(fc.subarray([...workers, 'gone']), {
      minLength: workers.length,
      maxLength: workers.length,
    });
    fc.assert(
      fc.property(arbitraryFleet, declines, maxLeasesForWorker, (fleet, owners, most) => {
        const keysOf = (index: number): string[] =>
          fleet.leases.flatMap(({ owner = 'gone', leaseKey }) => (owners[index]?.includes(owner) ? [leaseKey] : []));
        const declined = new Map(workers.map((worker, index) => [worker, new Set(keysOf(index))] as const));
        const limits = { maxLeasesForWorker: most, maxThroughputPerHostKBps: Number.POSITIVE_INFINITY };
        let leases = fleet.leases.map(view);
        for (let run = 0; ; run += 1) {
          const moves = planByCount(leases, fleet.workers, limits, true, { declined });
          if (moves.length === 0) break;
          expect(run).toBeLessThan(10);
          leases = after(leases, moves);
        }
        const heldBy = (worker: string): AssignableLease[] =>
          leases.filter(({ owner, available }) => owner === worker && !available);
        for (const giver of fleet.workers) {
          for (const receiver of fleet.workers) {
            const count = heldBy(receiver).length;
            if (heldBy(giver).length - count < 2 || count >= most) continue;
            for (const { leaseKey, movable } of heldBy(giver))
              expect(movable && declined.get(receiver)?.has(leaseKey) === false).toBe(false);
          }
        }
      }),
    );
  });

  test('leaves what no worker has room for', () => {
    const leases = ['a', 'b', 'c'].map((leaseKey) => ({
      leaseKey,
      owner: undefined,
      available: true,
      movable: false,
      throughputKBps: undefined,
    }));
    expect(plan(leases, ['w1', 'w2'], 1).map((move) => move.leaseKey)).toEqual(['a', 'b']);
  });

  test('leaves a live lease of a worker that may receive none where it is', () => {
    const leases = [{ leaseKey: 'a', owner: 'stale', available: false, movable: true, throughputKBps: undefined }];
    expect(plan(leases, ['w1'], 100)).toEqual([]);
  });
});

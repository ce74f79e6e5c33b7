// Who should own which lease: one pure decision over a view of the fleet, taken by the leader only
// (KCL 3.x: LeaseAssignmentManager with the count-based decider). Available leases go to the least loaded worker first; then
// leases move, one at a time, from the most to the least loaded until no two workers differ by more than one.
// Invariant: a balanced fleet gets no moves, so leases do not wander.

/** A lease that has not ended, as the leader sees it. */
export interface AssignableLease {
  readonly leaseKey: string;
  /** Who owns it or is about to (`leaseOwner`). */
  readonly owner: string | undefined;
  /** Nobody holds it: unassigned, expired, or its handoff is overdue. */
  readonly available: boolean;
  /** A handoff of it may begin: it is live and in nobody's handoff. */
  readonly movable: boolean;
}

export interface Assignment {
  readonly leaseKey: string;
  readonly to: string;
  /** `assign` takes an available lease, `handOff` asks a live owner to give it up. */
  readonly kind: 'assign' | 'handOff';
}

/**
 * Decides the moves of one run.
 * @param workers those that may receive leases, distinct.
 * @param maxLeasesForWorker no worker gets more; what then finds no place stays available.
 */
export function planAssignment(
  leases: readonly AssignableLease[],
  workers: readonly string[],
  maxLeasesForWorker: number,
): Assignment[] {
  const held = new Map<string, AssignableLease[]>([...workers].sort().map((worker) => [worker, []]));
  const waiting: AssignableLease[] = [];
  for (const lease of [...leases].sort(byKey)) {
    if (lease.available) waiting.push(lease);
    // A live lease of a worker that may not receive any stays where it is, and out of the count.
    else if (lease.owner !== undefined) held.get(lease.owner)?.push(lease);
  }

  const moves: Assignment[] = [];
  for (const lease of waiting) {
    const to = leastLoaded(held);
    if (to === undefined || to.leases.length >= maxLeasesForWorker) break;
    to.leases.push({ ...lease, available: false, movable: false });
    moves.push({ leaseKey: lease.leaseKey, to: to.worker, kind: 'assign' });
  }

  for (;;) {
    const from = mostLoaded(held);
    const to = leastLoaded(held);
    if (from === undefined || to === undefined || from.leases.length - to.leases.length < 2) break;
    if (to.leases.length >= maxLeasesForWorker) break;
    const index = from.leases.findLastIndex((lease) => lease.movable);
    if (index === -1) break;
    const [lease] = from.leases.splice(index, 1) as [AssignableLease];
    to.leases.push({ ...lease, movable: false });
    moves.push({ leaseKey: lease.leaseKey, to: to.worker, kind: 'handOff' });
  }
  return moves;
}

interface Load {
  readonly worker: string;
  readonly leases: AssignableLease[];
}

function leastLoaded(held: ReadonlyMap<string, AssignableLease[]>): Load | undefined {
  let least: Load | undefined;
  for (const [worker, leases] of held) {
    if (least === undefined || leases.length < least.leases.length) least = { worker, leases };
  }
  return least;
}

/** The most loaded worker that still has something movable. */
function mostLoaded(held: ReadonlyMap<string, AssignableLease[]>): Load | undefined {
  let most: Load | undefined;
  for (const [worker, leases] of held) {
    if (most !== undefined && leases.length <= most.leases.length) continue;
    if (leases.some((lease) => lease.movable)) most = { worker, leases };
  }
  return most;
}

function byKey(a: AssignableLease, b: AssignableLease): number {
  return a.leaseKey < b.leaseKey ? -1 : a.leaseKey > b.leaseKey ? 1 : 0;
}

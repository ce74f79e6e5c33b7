// Assignment by the number of leases (KCL LeaseCountBasedLeaseAssignmentDecider): available ones go to the least loaded worker
// first; then leases move, one at a time, from the most to the least loaded until no two workers differ by more than one.
import type { AssignableLease, Assignment, AssignmentLimits } from './assignment.ts';

/** @param balances whether live leases may move. */
export function planByCount(
  leases: readonly AssignableLease[],
  workers: readonly string[],
  limits: AssignmentLimits,
  balances: boolean,
): Assignment[] {
  const held = new Map<string, Load>([...workers].sort().map((worker) => [worker, { worker, leases: [], kBps: 0 }]));
  const waiting: AssignableLease[] = [];
  for (const lease of [...leases].sort(byKey)) {
    if (lease.available) waiting.push(lease);
    // A live lease of a worker that may not receive any stays where it is, and out of the count.
    else if (lease.owner !== undefined) give(held.get(lease.owner), lease);
  }

  const moves: Assignment[] = [];
  for (const lease of waiting) {
    const to = leastLoaded(held, limits);
    if (to === undefined) break;
    give(to, { ...lease, available: false, movable: false });
    moves.push({ leaseKey: lease.leaseKey, to: to.worker, kind: 'assign' });
  }

  while (balances) {
    const from = mostLoaded(held);
    const to = leastLoaded(held, limits);
    if (from === undefined || to === undefined || from.leases.length - to.leases.length < 2) break;
    const index = from.leases.findLastIndex((lease) => lease.movable);
    const [lease] = from.leases.splice(index, 1) as [AssignableLease];
    from.kBps -= lease.throughputKBps ?? 0;
    give(to, { ...lease, movable: false });
    moves.push({ leaseKey: lease.leaseKey, to: to.worker, kind: 'handOff' });
  }
  return moves;
}

interface Load {
  readonly worker: string;
  readonly leases: AssignableLease[];
  kBps: number;
}

function give(load: Load | undefined, lease: AssignableLease): void {
  if (load === undefined) return;
  load.leases.push(lease);
  load.kBps += lease.throughputKBps ?? 0;
}

/** Among those that may still receive. */
function leastLoaded(held: ReadonlyMap<string, Load>, limits: AssignmentLimits): Load | undefined {
  let least: Load | undefined;
  for (const load of held.values()) {
    const hasRoom = load.leases.length < limits.maxLeasesForWorker && load.kBps <= limits.maxThroughputPerHostKBps;
    if (hasRoom && (least === undefined || load.leases.length < least.leases.length)) least = load;
  }
  return least;
}

/** The most loaded worker that still has something movable. */
function mostLoaded(held: ReadonlyMap<string, Load>): Load | undefined {
  let most: Load | undefined;
  for (const load of held.values()) {
    if (most !== undefined && load.leases.length <= most.leases.length) continue;
    if (load.leases.some((lease) => lease.movable)) most = load;
  }
  return most;
}

function byKey(a: AssignableLease, b: AssignableLease): number {
  return a.leaseKey < b.leaseKey ? -1 : a.leaseKey > b.leaseKey ? 1 : 0;
}

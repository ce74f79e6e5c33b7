// Who takes over when a worker leaves in good order: one pure decision, taken by the worker that leaves, over one look at the
// table. It assigns its leases itself, so that a deploy moves a shard at once whoever leads; a KCL leaves its leases to expire.
// Invariant: only live workers are named, as far as one look can tell; a lease without one is left to nobody and the leader.
import { planAssignment } from './assignment.ts';
import { actualOwner, isEnded, type Lease, type WorkerRow } from './lease.ts';

export interface SuccessionRules {
  readonly leaving: string;
  /** A worker whose metric row is older gets nothing. By the reader's clock: one look can't see it change. */
  readonly workerStaleMs: number;
  readonly maxLeasesForWorker: number;
}

/** The heir of each unfinished lease of the worker that leaves; no entry: nobody has room, or nobody is there. */
export function planSuccession(
  leases: readonly Lease[],
  workers: readonly WorkerRow[],
  { leaving, workerStaleMs, maxLeasesForWorker }: SuccessionRules,
): ReadonlyMap<string, string> {
  const heirs = workers
    .filter(({ workerId, ageMs }) => workerId !== leaving && ageMs < workerStaleMs)
    .map(({ workerId }) => workerId);
  const assignable = leases
    .filter((lease) => !isEnded(lease))
    .map((lease) => ({
      leaseKey: lease.leaseKey,
      owner: lease.leaseOwner,
      available: actualOwner(lease) === leaving && lease.checkpointOwner === undefined,
      movable: false,
    }));
  const moves = planAssignment(assignable, heirs, maxLeasesForWorker);
  return new Map(moves.map(({ leaseKey, to }) => [leaseKey, to]));
}

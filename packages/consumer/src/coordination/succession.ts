// Who takes over when a worker leaves in good order: one pure decision, taken by the worker that leaves, over one look at the
// table. It assigns its leases itself, so that a deploy moves a shard at once whoever leads; a KCL leaves its leases to expire.
// Invariant: only live workers are named, as far as one look can tell; a lease without one is left to nobody and the leader.
import type { AssignmentLimits } from './assignment.ts';
import { planByCount } from './by-count.ts';
import { actualOwner, isEnded, type Lease, type WorkerRow } from './lease.ts';
import { isSound } from './utilization.ts';

export interface SuccessionRules extends AssignmentLimits {
  readonly leaving: string;
  /** A worker whose metric row is older gets nothing. By the reader's clock: one look can't see it change. */
  readonly workerStaleMs: number;
}

/** The heir of each unfinished lease of the worker that leaves; no entry: nobody has room, or nobody is there. */
export function planSuccession(
  leases: readonly Lease[],
  workers: readonly WorkerRow[],
  rules: SuccessionRules,
): ReadonlyMap<string, string> {
  const { leaving, workerStaleMs } = rules;
  const heirs = workers
    .filter(({ workerId, ageMs, utilization }) => workerId !== leaving && ageMs < workerStaleMs && isSound(utilization))
    .map(({ workerId }) => workerId);
  const assignable = leases
    .filter((lease) => !isEnded(lease))
    .map((lease) => ({
      leaseKey: lease.leaseKey,
      owner: lease.leaseOwner,
      available: actualOwner(lease) === leaving && lease.checkpointOwner === undefined,
      movable: false,
      throughputKBps: lease.throughputKBps,
    }));
  const moves = planByCount(assignable, heirs, rules, false);
  return new Map(moves.map(({ leaseKey, to }) => [leaseKey, to]));
}

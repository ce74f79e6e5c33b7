// Whose leases a run of the leader gives away because their holder fell silent: what an operator wants to know first of all after a
// worker has died. Between what the leader saw of the fleet (fleet.ts) and what it is about to write (leader-plan.ts). Pure.
// Invariant: it names nobody who renews: a handoff that is merely overdue, and a lease of nobody, are no sign of a death.
import type { Assignment } from './assignment.ts';
import type { Fleet } from './fleet.ts';
import { actualOwner, type Lease } from './lease.ts';

/** A worker that let its leases expire, and who gets them. */
export interface SilentWorker {
  readonly workerId: string;
  /** For how long none of these leases was written, as this leader saw it. */
  readonly silentMs: number;
  /** In the order in which they are assigned. */
  readonly leases: readonly { readonly leaseKey: string; readonly to: string }[];
}

/** Those whose leases are among `moves`, the one with the most of them first. */
export function silentWorkers(
  moves: readonly Assignment[],
  leaseOf: (leaseKey: string) => Lease | undefined,
  fleet: Pick<Fleet, 'silentMs'>,
): SilentWorker[] {
  const silent = new Map<string, { workerId: string; silentMs: number; leases: { leaseKey: string; to: string }[] }>();
  for (const { leaseKey, to } of moves) {
    const lease = leaseOf(leaseKey);
    const workerId = lease && actualOwner(lease);
    const silentMs = lease && fleet.silentMs(lease);
    if (workerId === undefined || silentMs === undefined) continue;
    const worker = silent.get(workerId) ?? { workerId, silentMs, leases: [] };
    worker.silentMs = Math.min(worker.silentMs, silentMs);
    worker.leases.push({ leaseKey, to });
    silent.set(workerId, worker);
  }
  return [...silent.values()].sort((a, b) => b.leases.length - a.leases.length);
}

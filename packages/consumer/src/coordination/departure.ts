// A lease on its way to another worker because an operator said so: who gets it, and until when it is read here. The steps are held-lease.ts's.
// Pure. Invariant: a shard is read on for a bounded time, whether or not the row could be written that tells the heir.
import type { DiscoveryOptions } from './discovery.ts';
import { type LeavingLease, noticeMs } from './leaving.ts';

/** How a lease is to go. */
export interface HandOffHow {
  readonly heir: string;
  /** Of the operator's word. */
  readonly requestId: number;
  /** By a handoff in the row; else it is just given away. */
  readonly isTold: boolean;
  /** The heir looks often for what it is told is on its way. */
  readonly isAlert: boolean;
}

export interface Departure extends Omit<HandOffHow, 'isTold'> {
  /** The row is not waited for longer. */
  readonly tellsBy: number;
  /** The handler has had its time by then; undefined while the shard is read. */
  abortAt?: number;
}

/** Until when a shard is read: until its heir was told by the row, and had the time to notice. */
export function departsAt(
  { isAlert, tellsBy, abortAt }: Departure,
  lease: LeavingLease,
  options: Pick<DiscoveryOptions, 'leaseDiscoveryIntervalMs'>,
  now: number,
): number {
  const { holder } = lease;
  if (abortAt !== undefined || !holder.isFresh(now)) return now;
  if (holder.isAnnounced) {
    lease.leavesAt ??= now + (isAlert ? noticeMs(options) : 0);
    return lease.leavesAt;
  }
  // A leader was first: it has begun a handoff of its own.
  if (holder.successor !== undefined) return now;
  return holder.announces ? tellsBy : now;
}

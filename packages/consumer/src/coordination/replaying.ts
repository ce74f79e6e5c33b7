// A shard that an operator wants read again from an earlier place: which places may be meant, and what is kept of it until it is done. The
// lease stays with its worker: its tenure ends as for a handoff, the earlier checkpoint is written, and another tenure begins there, with
// a greater fencing token. Pure. Invariant: this is the only act by which a checkpoint goes back, and it never goes forward by it.
import { compareExtended, type ExtendedSequenceNumber } from '@shardline/common';
import type { Effect, ReplayRequested, Tell } from './effects.ts';
import { isEnded } from './lease.ts';
import type { LeaseHolder } from './lease-holder.ts';

/**
 * `ahead`: the place is behind what was handled, records would be passed over. `ended`: the shard is at SHARD_END. `underWay`: another replay
 * of it is. `notHeld`: this worker does not hold the lease, or is about to give it up. `leaseLost`: it was given up before it was done.
 */
export type ReplayOutcome = 'replayed' | 'ahead' | 'ended' | 'underWay' | 'notHeld' | 'leaseLost';

export interface Replay {
  readonly position: ExtendedSequenceNumber;
  readonly requestId: number;
  /** The handler has had its time. */
  readonly abortAt: number;
}

/** Why a lease is not to be read again from there; undefined: it may be. */
export function refusalOf(holder: LeaseHolder, position: ExtendedSequenceNumber): ReplayOutcome | undefined {
  if (holder.gone !== undefined || !holder.claimed || holder.successor !== undefined) return 'notHeld';
  if (isEnded(holder.lease)) return 'ended';
  return isAhead(position, holder.position) ? 'ahead' : undefined;
}

/** Of a shard of which nothing was handled yet only the beginning is no later place. */
function isAhead(position: ExtendedSequenceNumber, at: ExtendedSequenceNumber): boolean {
  if (position.sequenceNumber === 'TRIM_HORIZON') return false;
  return typeof at.sequenceNumber !== 'bigint' || compareExtended(position, at) > 0;
}

export function settleReplay(
  { requestId, leaseKey, position }: Pick<ReplayRequested, 'requestId' | 'leaseKey' | 'position'>,
  outcome: ReplayOutcome,
  out: (Effect | Tell)[],
): void {
  out.push({ kind: 'tell', notice: { kind: 'replaySettled', requestId, leaseKey, position, outcome } });
}

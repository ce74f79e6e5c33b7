// What an operator sees of a worker and its leases: for health, for `view()`, and for nothing that decides. Made of what the parts
// of the core say of themselves at the time of the question. Invariant: looking changes nothing.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { Tenure } from './effects.ts';
import { isEnded } from './lease.ts';
import type { LeaseHolder } from './lease-holder.ts';
import type { Pauses } from './pauses.ts';
import type { Amount } from './room.ts';
import type { ShardConsumer, ShardPhase } from './shard-consumer.ts';
import type { StallVerdict, Watchdog } from './watchdog.ts';

/** What an operator sees of a worker. */
export interface WorkerView {
  readonly workerId: string;
  readonly leader: boolean;
  readonly stopping: boolean;
  /** Since when all leases are paused, by the clock of `now`. */
  readonly pausedSince: number | undefined;
  /** Leases that it wants none of since it handed them off, or no further one at all. */
  readonly declines: 'all' | readonly string[] | undefined;
  readonly leases: readonly LeaseView[];
  /** Of all of them, read and not handled. */
  readonly held: Amount;
}

export interface LeaseView {
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly leaseCounter: number;
  /** 0: claiming. */
  readonly fencingToken: number;
  readonly checkpoint: ExtendedSequenceNumber;
  /** `ended`: finished, kept until it is cleaned up. `claiming`: not confirmed yet. */
  readonly phase: ShardPhase | 'claiming' | 'ended';
  readonly fresh: boolean;
  /**
   * Of a lease that could not be renewed in time: when its last renewal had begun. That is not one whose first write is under way, nor one that is
   * lost: renewals are due three times within the time for which a lease is fresh, so one that is stale has missed them all.
   */
  readonly staleSince: number | undefined;
  readonly pendingBatchCount: number;
  /** Above 1: the handler keeps throwing. */
  readonly handlerAttempt: number;
  readonly handingOffTo: string | undefined;
  /** By the clock of `now`; undefined: it is not paused. */
  readonly pausedSince: number | undefined;
  /** When it was last seen to get on; undefined before the first look. */
  readonly progressAt: number | undefined;
  /** What the watchdog told last, while that holds, as old as it is now. */
  readonly stall: StallVerdict | undefined;
}

export function leaseView(
  { holder, consumer }: { readonly holder: LeaseHolder; readonly consumer: ShardConsumer | undefined },
  watchdog: Watchdog,
  pauses: Pauses,
  now: number,
): LeaseView {
  return {
    leaseKey: holder.lease.leaseKey,
    tenure: holder.tenure,
    leaseCounter: holder.lease.leaseCounter,
    fencingToken: holder.fencingToken,
    checkpoint: holder.lease.checkpoint,
    phase: consumer?.phase ?? (isEnded(holder.lease) ? 'ended' : 'claiming'),
    fresh: holder.isFresh(now),
    staleSince: holder.gone === undefined && !holder.isFresh(now) ? holder.confirmedAt : undefined,
    pendingBatchCount: consumer?.pendingBatchCount ?? 0,
    handlerAttempt: consumer?.handlerAttempt ?? 0,
    handingOffTo: holder.successor,
    pausedSince: pauses.since(holder.lease.leaseKey),
    progressAt: watchdog.progressAt(holder.tenure),
    stall: watchdog.stallOf(holder.tenure, now),
  };
}

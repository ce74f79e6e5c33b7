// What a worker tells without being asked: for whoever watches it, and for the runtime where a promise of the user's waits
// for it. On the way out of the core only; no answer comes back. Invariant: a notice decides nothing, so a runtime that
// dropped those on leases, leaders and failures would read and checkpoint all the same.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { ClientVersion } from './client-version.ts';
import type { CloseReason, Control, Effect, Tenure } from './effects.ts';
import type { RowCounts } from './fleet.ts';
import type { HandOffOutcome } from './handing-off.ts';
import type { ReplayOutcome } from './replaying.ts';
import type { SilentWorker } from './silence.ts';
import type { StreamCounts } from './stream-sync.ts';
import type { TakeCounts } from './taker.ts';
import type { StallVerdict } from './watchdog.ts';
import type { Rival } from './worker-id.ts';

/** A checkpoint that was asked for is not within it. */
export interface CheckpointRange {
  /** The newest that was vouched for. */
  readonly from: ExtendedSequenceNumber;
  /** The last that was given to the handler. */
  readonly to: ExtendedSequenceNumber;
}

export type Notice =
  | {
      readonly kind: 'leaseBegun';
      readonly leaseKey: string;
      readonly tenure: Tenure;
      readonly fencingToken: number;
      readonly checkpoint: ExtendedSequenceNumber;
    }
  | {
      readonly kind: 'leaseEnded';
      readonly leaseKey: string;
      readonly tenure: Tenure;
      readonly reason: CloseReason;
      /** Set when the reason is `leaseLost`. */
      readonly loss: LeaseLoss | undefined;
    }
  | {
      readonly kind: 'checkpointed';
      readonly leaseKey: string;
      readonly tenure: Tenure;
      readonly checkpoint: ExtendedSequenceNumber;
    }
  | {
      readonly kind: 'checkpointSettled';
      readonly requestId: number;
      readonly outcome: 'done' | 'leaseLost' | CheckpointRange;
    }
  | {
      readonly kind: 'handlerFailed';
      readonly leaseKey: string;
      readonly attempt: number;
      /** Infinite: no more in this tenure. */
      readonly retryInMs: number;
      readonly error: unknown;
    }
  | {
      readonly kind: 'effectFailed';
      readonly effect: Effect['kind'];
      readonly leaseKey: string | undefined;
      readonly retryInMs: number;
      readonly error: unknown;
    }
  /** A lease does not get on, or does again. */
  | ({
      readonly kind: 'stall';
      readonly leaseKey: string;
      readonly tenure: Tenure;
      /** Behind which it reads, up to which the handler was given records, or which is not written. */
      readonly position: ExtendedSequenceNumber;
      /** In the handler. */
      readonly batch: { readonly recordCount: number; readonly byteCount: number } | undefined;
      readonly holdsLease: boolean;
    } & StallVerdict)
  | {
      readonly kind: 'replaySettled';
      readonly requestId: number;
      readonly leaseKey: string;
      /** Behind which it is to be read. */
      readonly position: ExtendedSequenceNumber;
      readonly outcome: ReplayOutcome;
    }
  | {
      readonly kind: 'handOffSettled';
      readonly requestId: number;
      readonly leaseKey: string;
      readonly outcome: HandOffOutcome;
      /** Who got it. */
      readonly to: string | undefined;
    }
  /** A lease that this worker declines was given to it all the same. */
  | { readonly kind: 'handedBack'; readonly leaseKey: string }
  /** An operator's word was heeded. `retry`: these are tried again; else undefined: all. */
  | {
      readonly kind: 'controlled';
      readonly what: Control['kind'];
      readonly leaseKeys: readonly string[] | undefined;
    }
  | { readonly kind: 'waitingForParents'; readonly leaseKey: string; readonly parents: readonly string[] }
  /** At the end of a shard that was merged: its child waits for the lease of the other parent. */
  | { readonly kind: 'waitingForOtherParent'; readonly leaseKey: string }
  /** Another process has this worker's id; this one ends. */
  | ({ readonly kind: 'workerIdInUse' } & Rival)
  /** Another worker leads, or did: its row is followed once it has stood still for so long. */
  | { readonly kind: 'leaderSeen'; readonly workerId: string; readonly leaseDurationMs: number }
  | { readonly kind: 'leadershipGained' }
  | { readonly kind: 'leadershipLost' }
  | {
      readonly kind: 'leasesPlanned';
      readonly created: number;
      readonly assigned: number;
      readonly handedOff: number;
      readonly deleted: number;
    }
  /** What the leader has seen in a run, and moves; in each run. */
  | {
      readonly kind: 'runPlanned';
      readonly leaseCount: number;
      readonly workerCount: number;
      /** Of nobody, or not renewed in time. */
      readonly availableCount: number;
      /** To be assigned or to begin to be handed off: so many writes follow. */
      readonly movedCount: number;
      /** Of these, live ones, to even the load out; undefined: a run that does not look for any. */
      readonly balancedCount: number | undefined;
      readonly unplacedCount: number;
      readonly unreadableCount: number;
      /** False: workers take leases themselves, and this run gives none. */
      readonly assigns: boolean;
      readonly rows: RowCounts;
      readonly streams: StreamCounts;
    }
  /** The leader's run is over: each of its writes was answered or has failed, or could not be begun in time. */
  | { readonly kind: 'runEnded' }
  /** The leader could not read the table for so long that it lets another one try. */
  | { readonly kind: 'leadershipForfeited'; readonly failingForMs: number }
  /** The leader gives away the leases of a worker that has not renewed them. */
  | ({ readonly kind: 'workerSilent' } & SilentWorker)
  /** No worker has room for these leases, which nobody holds; none: all have a worker again. */
  | {
      readonly kind: 'leasesUnplaced';
      readonly leaseKeys: readonly string[];
      /** Until it is told again, while it lasts. */
      readonly againInMs: number;
    }
  /** This worker is about to take leases itself. */
  | { readonly kind: 'leasesTaken'; readonly taken: number; readonly stolen: number }
  /** What it has seen, and wants to take; in each of its runs. */
  | ({ readonly kind: 'takesPlanned' } & TakeCounts)
  /** Each of these takes was answered or has failed, or what it was to be made by could not be read. */
  | { readonly kind: 'takesEnded' }
  /** Whether every owner of a lease shows a metric row, so that a leader could assign; in each run of a leader that waits for it. */
  | { readonly kind: 'fleetReadiness'; readonly isReady: boolean }
  /** The fleet speaks another protocol from now on. */
  | {
      readonly kind: 'clientVersionChanged';
      readonly from: ClientVersion;
      readonly to: ClientVersion;
      readonly by: string;
    }
  /** Workers of the KCL 2.x hold leases of a fleet that a leader assigns. `goesBack`: so it won't any more. */
  | { readonly kind: 'workersOf2x'; readonly workerIds: readonly string[]; readonly goesBack: boolean }
  | { readonly kind: 'hole'; readonly text: string }
  /** These leases are of an earlier stream of the same name, or of another one. */
  | {
      readonly kind: 'streamReplaced';
      readonly streamId: string | undefined;
      readonly leaseKeys: readonly string[];
      /** Others, of shards that the stream never had. */
      readonly strayKeys: readonly string[];
      /** How many leases begin anew. */
      readonly anewCount: number;
      /** How many of `strayKeys` are deleted, now or once the others have begun. */
      readonly toDeleteCount: number;
      /** Who renews some of them and does not say what he reads: Java workers, of this fleet or of another stream's. */
      readonly renewedBy: readonly string[];
      /** Until it is told again, while nothing changes. */
      readonly againInMs: number;
    }
  /** The stream is another one than this process began to read, and all of its leases are of it. */
  | { readonly kind: 'streamSettled'; readonly streamId: string | undefined }
  | { readonly kind: 'stopped'; readonly abandoned: readonly string[] };

/** What became of a lease that was lost. */
export type LeaseLoss =
  /** The row is gone: the leader cleaned it up, or somebody deleted it by hand. */
  | { readonly how: 'deleted' }
  /** The row is there, but another hand has made it unreadable. */
  | { readonly how: 'unreadable' }
  /** `by` undefined: it was taken away, and nobody has it yet. */
  | { readonly how: 'taken'; readonly by: string | undefined }
  /** The leader waited no longer for a handoff to be completed. */
  | { readonly how: 'handedOver'; readonly to: string }
  /** It was written in this worker's own name: freed and given back by a leader, or renewed by a second process under the id. */
  | { readonly how: 'ownId' };

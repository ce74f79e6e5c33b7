// The language between the pure core and the world: what a worker asks for (effects) and what it is told (events).
// Every effect is answered by exactly one event: `done` with the result that belongs to its kind, or `failed`, which never
// says whether the effect was applied. The answer carries the effect itself, so nothing has to be remembered to understand
// it. Notices are the exception: they are told, not answered.
// Ordering contract: the runtime starts the effects of one step in list order; answers come in any order.
import type { ExtendedSequenceNumber, HashKeyRange } from '@shardline/common';
import type { ClientVersion } from './client-version.ts';
import type { LeaderRow, Lease, PendingCheckpoint, Utilization, WorkerSign } from './lease.ts';
import type { Notice } from './notice.ts';
import type { Results } from './results.ts';
import type { Amount } from './room.ts';
import type { InitialPosition } from './shard-sync.ts';

/** A lease's uninterrupted time in this worker's hands; numbers are never reused within a process. */
export type Tenure = number;

// --- Effects on the lease table. Conditions are those of the KCL's DynamoDBLeaseRefresher. ---

/** All rows, read consistently: for a run of the leader's or the taker's, or for a worker that leaves, or hands off, and looks for successors. */
export interface ReadTable {
  readonly kind: 'readTable';
  readonly for: 'leader' | 'succession' | 'handOff' | 'taker';
}
/** The leases whose `leaseOwner` is `owner`, by the owner index, each then read by its key; those in `held` are left out. */
export interface DiscoverLeases {
  readonly kind: 'discoverLeases';
  readonly owner: string;
  readonly held: readonly string[];
  /** Only these leases, without the index. */
  readonly among?: readonly string[] | undefined;
}
/** Some leases, read consistently; absent ones are left out of the answer. */
export interface ReadLeases {
  readonly kind: 'readLeases';
  readonly leaseKeys: readonly string[];
  /** Whose question it is. */
  readonly leaseKey: string;
  /** Undefined: the taker's. */
  readonly tenure: Tenure | undefined;
}
/** Puts the row if its key is absent. */
export interface CreateLease {
  readonly kind: 'createLease';
  readonly lease: Lease;
  /** The tenure that waits for it (a shard's end), or undefined for the leader's shard sync. */
  readonly tenure: Tenure | undefined;
  readonly leaseKey: string;
}
/** Condition: leaseCounter as given and, unless `handoffKnown`, no checkpointOwner. Sets leaseCounter + 1. */
export interface RenewLease {
  readonly kind: 'renewLease';
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly leaseCounter: number;
  readonly handoffKnown: boolean;
  /** Writes `latestSince`, too, the table's clock giving the time, unless the row has one. */
  readonly beginsAtLatest?: boolean;
  /** Written too when it was measured. */
  readonly throughputKBps: number | undefined;
}
/**
 * Condition: leaseCounter as given. Sets leaseCounter + 1; the checkpoint, if there is one, and with it ownerSwitches 0 and no
 * latestSince; the
 * pending checkpoint as given, so that it is removed where none is (KCL DynamoDBCheckpointer, setCheckpoint and prepareCheckpoint).
 */
export interface CheckpointLease {
  readonly kind: 'checkpointLease';
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly leaseCounter: number;
  /** Undefined: stays, and only `pendingCheckpoint` is written. */
  readonly checkpoint: ExtendedSequenceNumber | undefined;
  readonly pendingCheckpoint: PendingCheckpoint | undefined;
  /** Written too when known (at the shard's end). */
  readonly childShardIds: readonly string[] | undefined;
  /** Written too when it was measured: a checkpoint is a renewal as well. */
  readonly throughputKBps: number | undefined;
}
/**
 * Condition: row exists, leaseOwner and checkpointOwner as seen, and the counter too when one is given. Sets the owner, removes
 * checkpointOwner, adds 1 to the counter. The KCL gives no counter. Our leader does when it takes a lease from nobody or from a
 * silent owner, so that an owner which comes back between its look and its write keeps the lease; our holder does when it
 * completes a handoff or leaves the lease to a successor, so that one of these which lingers can't end a later tenure.
 */
export interface AssignLease {
  readonly kind: 'assignLease';
  readonly leaseKey: string;
  readonly seenOwner: string | undefined;
  readonly seenCheckpointOwner: string | undefined;
  readonly seenCounter: number | undefined;
  readonly newOwner: string;
  /** The holder's own tenure when it gives the lease away, undefined for the leader. */
  readonly tenure: Tenure | undefined;
}
/**
 * Condition: leaseCounter as given. Sets the owner and leaseCounter + 1, removes checkpointOwner: how a worker of the KCL 2.x takes a
 * lease from nobody or from another worker, which learns of it by its next write.
 */
export interface TakeLease {
  readonly kind: 'takeLease';
  readonly leaseKey: string;
  readonly leaseCounter: number;
  /** Whether this is a switch of owners follows from these two. */
  readonly seenOwner: string | undefined;
  readonly seenCheckpointOwner: string | undefined;
  readonly newOwner: string;
}
/**
 * Begins a graceful handoff. Condition: leaseOwner = from, no checkpointOwner, and the counter if one is given. The counter stays, so
 * `from` goes on renewing. The leader asks its owner so; a holder that is about to leave tells its heir so, and gives its counter.
 */
export interface HandOffLease {
  readonly kind: 'handOffLease';
  readonly leaseKey: string;
  readonly from: string;
  readonly to: string;
  readonly seenCounter?: number | undefined;
  /** The holder's own tenure; undefined: the leader's. */
  readonly tenure?: Tenure | undefined;
}
/**
 * Condition: row exists, owner as seen, no checkpointOwner, and the counter if one is given. Removes the owner, adds 1 to the
 * counter. The holder gives its counter, as with all its writes: one that lingers must not end a later tenure of its own worker.
 * The leader evicts whoever reads what is to be read later; the holder learns of it by its next write.
 */
export interface EvictLease {
  readonly kind: 'evictLease';
  readonly leaseKey: string;
  readonly seenOwner: string;
  readonly seenCounter: number | undefined;
  /** The holder's own tenure; undefined: the leader's. */
  readonly tenure: Tenure | undefined;
}
/**
 * Deletes a completed lease, one of a stream that is no longer read, or one of a shard that the stream never had. The row as it was seen,
 * not one that was made anew under its key meanwhile: that one counts from 0 (the KCL asks nothing). A completed one has nobody who would
 * count on.
 */
export interface DeleteLease {
  readonly kind: 'deleteLease';
  readonly leaseKey: string;
  /** Condition: the checkpoint is SHARD_END and the counter is as seen; otherwise: the counter is no lower than seen. */
  readonly onlyEnded: boolean;
  readonly seenCounter: number;
  /** Given: counter and checkpoint are as seen. */
  readonly seenCheckpoint?: ExtendedSequenceNumber;
}
/**
 * Fills in what the row of an older fleet lacks (KCL updateLeaseWithMetaInfo); `undefined`: not this. Condition: row exists, and what
 * is to be filled in is absent. The counter stays, so the holder's writes go on.
 */
export interface FillLease {
  readonly kind: 'fillLease';
  readonly leaseKey: string;
  readonly hashKeyRange: HashKeyRange | undefined;
  /** Not empty. */
  readonly childShardIds: readonly string[] | undefined;
}
/**
 * Has a lease of a stream that was deleted begin anew on the shard that has its name now: at TRIM_HORIZON, of nobody. Condition:
 * counter and checkpoint as seen. Whoever held it learns of it by its next write, as from any other assignment.
 */
export interface ResetLease {
  readonly kind: 'resetLease';
  readonly leaseKey: string;
  readonly seenCounter: number;
  readonly seenCheckpoint: ExtendedSequenceNumber;
  readonly parentShardIds: readonly string[];
  readonly hashKeyRange: HashKeyRange;
}
export interface ReadLeader {
  readonly kind: 'readLeader';
}
/** Condition: the row is absent (`expectedVersion` undefined) or has that recordVersionNumber. */
export interface WriteLeader {
  readonly kind: 'writeLeader';
  readonly leader: LeaderRow;
  readonly expectedVersion: string | undefined;
}
/** Condition: owner and recordVersionNumber as given. */
export interface DeleteLeader {
  readonly kind: 'deleteLeader';
  readonly leader: LeaderRow;
}
/**
 * Writes this worker's metric row; the table's clock fills in the time. Condition: there is none, or it is this process's, or still
 * as it was seen in `over`, the question in it included. The KCL writes it unconditionally: ours is the lock on the worker id.
 */
export interface ReportWorker {
  readonly kind: 'reportWorker';
  readonly workerId: string;
  /** Nothing, as the core asks for it; the runtime, which measures, fills it in. */
  readonly utilization: Utilization;
  /** The table adds when this process first reported, and where it runs. */
  readonly processId: string;
  readonly over?: WorkerSign | undefined;
  /** The process that asked. */
  readonly answers?: string | undefined;
  /** It is stopping, gets no more leases, and has the id until its last handler has returned. */
  readonly leaves?: true | undefined;
  /** It works on, and wants none of these leases, or no further one at all. */
  readonly declines?: 'all' | readonly string[] | undefined;
}
/**
 * Looks who has the worker id; with `ask` it also asks that process for a sign of life. Condition of asking: the id is still that
 * one's, and the question in its row is still that of `after`, or nobody's.
 */
export interface LookAtWorker {
  readonly kind: 'lookAtWorker';
  readonly workerId: string;
  readonly ask: { readonly by: string; readonly of: string; readonly after: string | undefined } | undefined;
}
/** Deletes this worker's metric row. Condition: it is this process's. */
export interface ForgetWorker {
  readonly kind: 'forgetWorker';
  readonly workerId: string;
  readonly processId: string;
}
/** Deletes another worker's metric row, wherever it stands. Condition: `lut` as it was seen (KCL WorkerMetricStatsDAO, deleteMetrics). */
export interface DeleteWorker {
  readonly kind: 'deleteWorker';
  readonly workerId: string;
  readonly lastUpdateSeconds: number;
}
/** The row that says which protocol the fleet speaks. */
export interface ReadClientVersion {
  readonly kind: 'readClientVersion';
}
/** Condition: the row says `from`; and to go over to `3X_WITH_ROLLBACK`, the owner index is there and ACTIVE. */
export interface ChangeClientVersion {
  readonly kind: 'changeClientVersion';
  readonly from: ClientVersion;
  readonly to: ClientVersion;
  readonly workerId: string;
}

// --- Effects on Kinesis and on the user's handler ---

/** `initial`: with the ShardFilter of the initial position, for an empty table. `all`: closed shards included. */
export interface ListShards {
  readonly kind: 'listShards';
  /** As in the leases. */
  readonly streamId: string | undefined;
  readonly filter: 'initial' | 'all';
}
/** Calls the handler's `initialize`. */
export interface OpenShard {
  readonly kind: 'openShard';
  readonly leaseKey: string;
  readonly streamId: string | undefined;
  readonly shardId: string;
  /** By which strays are told; undefined: the row does not say. */
  readonly hashKeyRange: HashKeyRange | undefined;
  readonly tenure: Tenure;
  /** As in the holder. */
  readonly fencingToken: number;
  readonly checkpoint: ExtendedSequenceNumber;
  /** What a former holder of the lease had prepared. */
  readonly pendingCheckpoint: PendingCheckpoint | undefined;
  /** When a former tenure began to read at LATEST, where the checkpoint is still that; ms since 1970. */
  readonly latestSince: number | undefined;
}
/** Reads on after `after`, once, at the source's own pace; nothing at or before `after` is returned. One in flight a tenure. */
export interface FetchBatch {
  readonly kind: 'fetchBatch';
  readonly leaseKey: string;
  readonly shardId: string;
  readonly tenure: Tenure;
  readonly after: ExtendedSequenceNumber;
  /** About so many bytes are read, and no more than so many user records of them are a batch; a single Kinesis record may hold more. */
  readonly most: Amount;
}
/** Gives a fetched batch to the handler; done means that the handler has finished it. One in flight a tenure. */
export interface DeliverBatch {
  readonly kind: 'deliverBatch';
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly batchId: number;
  /** From 1; grows while the handler throws. */
  readonly attempt: number;
  /** Somebody asked for it: what is unfinished of it begins with fresh tries, also where it was not to be tried again. */
  readonly anew?: true;
}
/** Calls the handler's `shutdownRequested`: the last chance to checkpoint. */
export interface DrainShard {
  readonly kind: 'drainShard';
  readonly leaseKey: string;
  readonly tenure: Tenure;
}
/** Calls the handler's `shardEnded`, after its last record was handled. */
export interface EndShard {
  readonly kind: 'endShard';
  readonly leaseKey: string;
  readonly tenure: Tenure;
}
/** Aborts the tenure's signal, drops what was fetched, waits for a handler still running. Done: nothing of the tenure runs any more. */
export interface CloseShard {
  readonly kind: 'closeShard';
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly reason: CloseReason;
}
export type CloseReason = 'leaseLost' | 'shardEnded' | 'handedOff' | 'stopping' | 'stalled' | 'replaying';

/** Told, not answered. */
export interface Tell {
  readonly kind: 'tell';
  readonly notice: Notice;
}

export type TableEffect =
  | ReadTable
  | DiscoverLeases
  | ReadLeases
  | CreateLease
  | RenewLease
  | CheckpointLease
  | AssignLease
  | TakeLease
  | HandOffLease
  | EvictLease
  | DeleteLease
  | FillLease
  | ResetLease
  | ReadLeader
  | WriteLeader
  | DeleteLeader
  | ReportWorker
  | LookAtWorker
  | ForgetWorker
  | DeleteWorker
  | ReadClientVersion
  | ChangeClientVersion;

export type ShardEffect = OpenShard | FetchBatch | DeliverBatch | DrainShard | EndShard | CloseShard;

/** Every effect that is answered. */
export type Effect = TableEffect | ListShards | ShardEffect;

export type ResultOf<E extends Effect> = Results[E['kind']];

/** An effect with its result, paired by kind. */
export type Done = {
  [K in Effect['kind']]: {
    readonly kind: 'done';
    readonly effect: Extract<Effect, { kind: K }>;
    readonly result: Results[K];
  };
}[Effect['kind']];

/** Tells which effect an answer belongs to, and so the type of its result. */
export function answers<K extends Effect['kind']>(
  event: Done,
  kind: K,
): event is Extract<Done, { effect: { kind: K } }> {
  return event.effect.kind === kind;
}

export interface Failed {
  readonly kind: 'failed';
  readonly effect: Effect;
  readonly error: unknown;
}

/** A stream that the application reads. */
export interface TrackedStream {
  /** Undefined in an application that reads one stream. */
  readonly streamId: string | undefined;
  readonly initialPosition: InitialPosition;
}

/** The handler asks to checkpoint `position`, or to prepare that; answered by the notice `checkpointSettled`. */
export interface CheckpointRequested {
  readonly kind: 'checkpointRequested';
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly position: ExtendedSequenceNumber;
  /** Set: only the first of two phases, with the application's own bytes. */
  readonly prepare: { readonly state: Uint8Array | undefined } | undefined;
  readonly requestId: number;
}

/** An operator wants a shard read again from an earlier place: behind `position`. Answered by the notice `replaySettled`. */
export interface ReplayRequested {
  readonly kind: 'replay';
  readonly leaseKey: string;
  /** A number, or TRIM_HORIZON. */
  readonly position: ExtendedSequenceNumber;
  readonly requestId: number;
}

/**
 * An operator wants other workers to have these leases, and this one none of them for `awayMs`, nor any other if `areAll`. Answered, for each
 * lease, by the notice `handOffSettled`.
 */
export interface HandOffRequested {
  readonly kind: 'handOff';
  readonly leases: readonly { readonly leaseKey: string; readonly requestId: number }[];
  readonly areAll: boolean;
  readonly awayMs: number;
}

/** An operator's word about some leases by their keys; undefined: about all, and for a pause those that come later, too. */
export interface Control {
  readonly kind: 'pause' | 'resume' | 'retry' | 'accept';
  readonly leaseKeys: readonly string[] | undefined;
}

export type Event =
  /** The first event: begin to work, in a fleet of that version. Default: `3X`. */
  | { readonly kind: 'start'; readonly clientVersion?: ClientVersion }
  /** Time has passed `deadline()`. */
  | { readonly kind: 'tick' }
  /** These are the streams to read from now on; told before `start` and whenever they change. */
  | {
      readonly kind: 'streams';
      readonly streams: readonly TrackedStream[];
      /** Of the streams that are read no longer, those whose leases may be deleted: none, all, or these. Default all. */
      readonly former?: 'none' | 'all' | readonly string[];
    }
  /** Give up all leases in good order; ends with the notice `stopped`. */
  | { readonly kind: 'stop' }
  | Control
  | ReplayRequested
  | HandOffRequested
  | CheckpointRequested
  | Done
  | Failed;

// The language between the pure core and the world: what a worker asks for (effects) and what it is told (events).
// Every effect is answered by exactly one event: `done` with the result that belongs to its kind, or `failed`, which never
// says whether the effect was applied. The answer carries the effect itself, so nothing has to be remembered to understand
// it. Notices are the exception: they are told, not answered.
// Ordering contract: the runtime starts the effects of one step in list order; answers come in any order.
import type { ExtendedSequenceNumber, HashKeyRange, SequenceNumber } from '@shardline/common';
import type { ClientVersion, ClientVersionRow } from './client-version.ts';
import type {
  ChildShard,
  LeaderRow,
  Lease,
  PendingCheckpoint,
  Shard,
  Utilization,
  WorkerProcess,
  WorkerRow,
  WorkerSign,
} from './lease.ts';
import type { InitialPosition } from './shard-sync.ts';
import type { StallVerdict } from './watchdog.ts';
import type { Rival } from './worker-id.ts';

/** A lease's uninterrupted time in this worker's hands; numbers are never reused within a process. */
export type Tenure = number;

/** What became of a conditional write. A refused one is an event, not an error; `lease` is the row as it is now. */
export type LeaseWrite =
  | { readonly applied: true; readonly lease: Lease }
  | {
      readonly applied: false;
      readonly lease: Lease | undefined;
      /** The SDK sent it more than once by itself: an earlier sending may have been applied. */
      readonly repeated?: boolean;
    };

export type LeaderWrite =
  | { readonly applied: true }
  | { readonly applied: false; readonly leader: LeaderRow | undefined };

// --- Effects on the lease table. Conditions are those of the KCL's DynamoDBLeaseRefresher. ---

/** All rows, read consistently: for a run of the leader's or the taker's, or for a worker that leaves and looks for successors. */
export interface ReadTable {
  readonly kind: 'readTable';
  readonly for: 'leader' | 'succession' | 'taker';
}
/** The leases whose `leaseOwner` is `owner`, by the owner index, each then read by its key; those in `held` are left out. */
export interface DiscoverLeases {
  readonly kind: 'discoverLeases';
  readonly owner: string;
  readonly held: readonly string[];
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
/** Begins a graceful handoff. Condition: leaseOwner = from, no checkpointOwner. The counter stays, so `from` goes on renewing. */
export interface HandOffLease {
  readonly kind: 'handOffLease';
  readonly leaseKey: string;
  readonly from: string;
  readonly to: string;
}
/**
 * Condition: row exists, owner as seen, no checkpointOwner, and the counter if one is given. Removes the owner, adds 1 to the
 * counter. The holder gives its counter, as with all its writes: one that lingers must not end a later tenure of its own worker.
 */
export interface EvictLease {
  readonly kind: 'evictLease';
  readonly leaseKey: string;
  readonly seenOwner: string;
  readonly seenCounter: number | undefined;
  readonly tenure: Tenure;
}
/** Deletes a completed lease, or one of a stream that is no longer read. */
export interface DeleteLease {
  readonly kind: 'deleteLease';
  readonly leaseKey: string;
  /** Condition: the checkpoint is SHARD_END. */
  readonly onlyEnded: boolean;
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
 * as it was seen in `over`. The KCL writes it unconditionally: ours is the lock on the worker id.
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
}
/** Looks who has the worker id; with `ask` it also asks that process for a sign of life. Condition of asking: it is still that one's. */
export interface LookAtWorker {
  readonly kind: 'lookAtWorker';
  readonly workerId: string;
  readonly ask: { readonly by: string; readonly of: string } | undefined;
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
}
/** Gives a fetched batch to the handler; done means that the handler has finished it. One in flight a tenure. */
export interface DeliverBatch {
  readonly kind: 'deliverBatch';
  readonly leaseKey: string;
  readonly tenure: Tenure;
  readonly batchId: number;
  /** From 1; grows while the handler throws. */
  readonly attempt: number;
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
/** What became of a lease that was lost. */
export type LeaseLoss =
  /** The row is gone: the leader cleaned it up, or somebody deleted it by hand. */
  | { readonly how: 'deleted' }
  /** `by` undefined: it was taken away, and nobody has it yet. */
  | { readonly how: 'taken'; readonly by: string | undefined }
  /** The leader waited no longer for a handoff to be completed. */
  | { readonly how: 'handedOver'; readonly to: string }
  /** Somebody wrote it in this worker's own name. */
  | { readonly how: 'ownId' };

export type CloseReason = 'leaseLost' | 'shardEnded' | 'handedOff' | 'stopping' | 'stalled';

/** Told, not answered. */
export interface Tell {
  readonly kind: 'tell';
  readonly notice: Notice;
}

export type Notice =
  | {
      readonly kind: 'leaseBegun';
      readonly leaseKey: string;
      readonly tenure: Tenure;
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
      readonly outcome: 'done' | 'leaseLost' | 'outOfRange';
    }
  | {
      readonly kind: 'handlerFailed';
      readonly leaseKey: string;
      readonly attempt: number;
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
  | { readonly kind: 'waitingForParents'; readonly leaseKey: string; readonly parents: readonly string[] }
  /** Another process has this worker's id; this one ends. */
  | ({ readonly kind: 'workerIdInUse' } & Rival)
  | { readonly kind: 'leadershipGained' }
  | { readonly kind: 'leadershipLost' }
  | {
      readonly kind: 'leasesPlanned';
      readonly created: number;
      readonly assigned: number;
      readonly handedOff: number;
      readonly deleted: number;
    }
  /** This worker is about to take leases itself. */
  | { readonly kind: 'leasesTaken'; readonly taken: number; readonly stolen: number }
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
  /** These leases are of an earlier stream of the same name. */
  | {
      readonly kind: 'streamReplaced';
      readonly streamId: string | undefined;
      readonly leaseKeys: readonly string[];
      /** How many leases begin anew. */
      readonly anewCount: number;
      /** Who renews some of them and does not say what he reads: Java workers, of this fleet or of another stream's. */
      readonly renewedBy: readonly string[];
      /** Until it is told again, while nothing changes. */
      readonly againInMs: number;
    }
  | { readonly kind: 'stopped'; readonly abandoned: readonly string[] };

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

/** What a batch is to the core: a handle and its bounds. The records stay with the runtime. */
export interface BatchBounds {
  readonly batchId: number;
  /** User records in it; 0 when only its position moved on. */
  readonly recordCount: number;
  readonly byteCount: number;
  /** Of the first Kinesis record that user records of it are from; undefined without user records. */
  readonly first?: SequenceNumber | undefined;
  /** Position of its last record. */
  readonly last: ExtendedSequenceNumber;
}

export interface Fetched {
  readonly batch: BatchBounds | undefined;
  /** No record will ever follow. */
  readonly atShardEnd: boolean;
  /** At the end: the children; empty only if the stream is gone. */
  readonly childShards: readonly ChildShard[];
}

/** The result that belongs to each kind of effect. */
export interface Results {
  readTable: { readonly leases: readonly Lease[]; readonly workers: readonly WorkerRow[] };
  discoverLeases: { readonly leases: readonly Lease[] };
  readLeases: { readonly leases: readonly Lease[] };
  /** False: it was there already. */
  createLease: { readonly created: boolean };
  renewLease: LeaseWrite;
  checkpointLease: LeaseWrite;
  assignLease: LeaseWrite;
  takeLease: LeaseWrite;
  handOffLease: LeaseWrite;
  evictLease: LeaseWrite;
  deleteLease: { readonly deleted: boolean };
  fillLease: LeaseWrite;
  resetLease: LeaseWrite;
  readLeader: { readonly leader: LeaderRow | undefined };
  writeLeader: LeaderWrite;
  deleteLeader: LeaderWrite;
  /** Refused: what the row says that stands in the way. */
  reportWorker:
    | { readonly applied: true; readonly process: WorkerProcess }
    | { readonly applied: false; readonly sign: WorkerSign };
  /** Undefined: there is no row. After a question that was put, with the question. */
  lookAtWorker: { readonly sign: WorkerSign | undefined };
  forgetWorker: undefined;
  deleteWorker: { readonly deleted: boolean };
  /** Undefined: somebody has deleted it. */
  readClientVersion: { readonly row: ClientVersionRow | undefined };
  /** The row as it is now, whether or not the change was applied. */
  changeClientVersion: { readonly row: ClientVersionRow | undefined };
  /** `isAnother`: the stream was deleted and made again since this process began to read it. */
  listShards: { readonly shards: readonly Shard[]; readonly isAnother?: boolean };
  openShard: undefined;
  fetchBatch: Fetched;
  /** What the handler vouches for by returning: the batch's end, or undefined when checkpoints are made by hand. */
  deliverBatch: { readonly checkpoint: ExtendedSequenceNumber | undefined };
  drainShard: undefined;
  endShard: undefined;
  closeShard: undefined;
}

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
  | CheckpointRequested
  | Done
  | Failed;

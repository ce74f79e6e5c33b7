// What effects bring back: the result that belongs to each kind, in the event `done`. Between the world, which makes them
// (lease table, retrieval, delivery), and the core, which reads them. Plain values: a condition that was refused is a result,
// an error is not. Invariant: a result says what was found or done, never what to do about it.
import type { ExtendedSequenceNumber, SequenceNumber } from '@shardline/common';
import type { ClientVersionRow } from './client-version.ts';
import type { ChildShard, LeaderRow, Lease, Shard, WorkerProcess, WorkerRow, WorkerSign } from './lease.ts';
import type { LeastBytes } from './room.ts';

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
  /** What the source still holds: it is in no batch yet. Default 0. */
  readonly heldBytes?: number;
  /** What the next read takes at least; more than `most` said: that is why nothing was read. Default 0: not known. */
  readonly leastBytes?: LeastBytes;
}

/** The result that belongs to each kind of effect. */
export interface Results {
  /** `unreadable`: keys of rows that are there and say nothing that could be understood. */
  readTable: {
    readonly leases: readonly Lease[];
    readonly workers: readonly WorkerRow[];
    readonly unreadable?: readonly string[];
  };
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
  deliverBatch: Delivered;
  drainShard: undefined;
  endShard: undefined;
  closeShard: undefined;
}

/** What the handler made of a batch. */
export interface Delivered {
  /** What it vouches for: the batch's end, or what it finished of it; undefined when checkpoints are made by hand. */
  readonly checkpoint: ExtendedSequenceNumber | undefined;
  /** It is not done with the batch, which is delivered to it again: from its first unfinished record on. */
  readonly rest?: RestOfBatch;
}

export type RestOfBatch =
  /** At once: this is only to say how far it is. */
  | { readonly kind: 'goesOn' }
  | {
      readonly kind: 'threw';
      /** How often the first unfinished record was tried. */
      readonly attempt: number;
      readonly error: unknown;
      /** It will not be tried again in this tenure. */
      readonly stops: boolean;
    };

/** What became of a conditional write. A refused one is an event, not an error; `lease` is the row as it is now. */
export type LeaseWrite =
  | { readonly applied: true; readonly lease: Lease }
  | {
      readonly applied: false;
      readonly lease: Lease | undefined;
      /** The SDK sent it more than once by itself: an earlier sending may have been applied. */
      readonly repeated?: boolean;
      /** The row is there and cannot be read, whether or not the write was applied. */
      readonly unreadable?: boolean;
    };

export type LeaderWrite =
  | { readonly applied: true }
  | { readonly applied: false; readonly leader: LeaderRow | undefined };

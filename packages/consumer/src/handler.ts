// What an application writes and what it is given: the handler in its two forms, the batch, the context. Types only; the
// rules they stand for are kept by runtime/delivery.ts and the core.
import type { HashKey, Logger } from '@shardline/common';

/** A user record: a plain Kinesis record, or one of the records that a producer aggregated into one. */
export interface UserRecord {
  readonly partitionKey: string;
  /** Present only where the producer gave one and the record was aggregated; Kinesis does not return it for plain records. */
  readonly explicitHashKey?: HashKey;
  /** A view of what was received, not a copy: keep a copy if you keep it long. */
  readonly data: Uint8Array;
  /** Decimal; that of the Kinesis record, so the user records of one aggregate share it. */
  readonly sequenceNumber: string;
  /** From 0 within one aggregated record; 0 for a plain one. */
  readonly subSequenceNumber: number;
  readonly approximateArrivalTimestamp: Date;
  /** It came in an aggregated record. */
  readonly aggregated: boolean;
}

/** What the handler gets at once: at least one record, in the shard's order. */
export interface Batch {
  /** Of the stream that it comes from. */
  readonly streamName: string;
  readonly shardId: string;
  readonly records: readonly UserRecord[];
  /** How far the read was from the shard's tip, ms; undefined when Kinesis didn't say. */
  readonly millisBehindLatest: number | undefined;
  /** From 1; above 1 when the handler threw on this very batch before. */
  readonly attempt: number;
}

/** A place in a shard; every user record is one. */
export interface Position {
  /** Decimal. */
  readonly sequenceNumber: string;
  /** Default 0. */
  readonly subSequenceNumber?: number;
}

export interface ShardContext {
  readonly streamName: string;
  readonly shardId: string;
  readonly leaseKey: string;
  /** Aborted when the lease is lost or patience at the end has run out: from then on another worker may have the shard. */
  readonly signal: AbortSignal;
  /** Carries application, worker and shard. */
  readonly logger: Logger;
  /**
   * Resolves once everything up to `position` (this included) is written as handled; without `position`, everything given to
   * the handler in this call or finished before it. At the end of a shard that is the end itself.
   * @throws OperatingError LEASE_LOST when another worker has the shard; UsageError for a position before the checkpoint, past
   * what the handler was given, or that is no position.
   */
  checkpoint(position?: Position): Promise<void>;
}

/** Handles one batch; returning vouches for it (unless checkpoints are made by hand), throwing brings it again after a while. */
export type BatchHandler = (batch: Batch, context: ShardContext) => unknown;

/** The KCL's five words (ShardRecordProcessor). One object serves all shards: tell them apart by `context.shardId`. */
export interface ShardHandler {
  /** Before a shard's first batch in this worker's hands; throwing brings it again. `position`: where reading begins. */
  initialize?(
    position: { readonly sequenceNumber: string; readonly subSequenceNumber: number },
    context: ShardContext,
  ): unknown;
  processRecords: BatchHandler;
  /** The shard is over, all its records were handled. Returning vouches for that; throwing brings it again. */
  shardEnded?(context: ShardContext): unknown;
  /** The lease goes to another worker in good order: the last chance to checkpoint. */
  shutdownRequested?(context: ShardContext): unknown;
  /** The shard is no longer this worker's; nothing can be checkpointed. Also after `shutdownRequested`, as in the KCL. */
  leaseLost?(context: ShardContext): unknown;
}

export type Handler = BatchHandler | ShardHandler;

// What an application writes and what it is given: the handler in its forms, the batch, the context. Types only; the
// rules they stand for are kept by runtime/delivery.ts and the core.
import type { HashKey, Logger } from '@shardline/common';
import type { HandlingOptions } from './handling/handling-options.ts';
import type { PartialResult } from './handling/partial-result.ts';

/** A user record: a plain Kinesis record, or one of the records that a producer aggregated into one. */
export interface UserRecord {
  /**
   * Empty where the producer gave none, as it may for streams of RecordDistributionStrategy AUTO: Kinesis takes no empty key, so it can
   * mean nothing else (the KCL's `partitionKey()` is null there). Keyless records have no order among each other that anybody chose.
   */
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

/** Of the tumbling window that a call is about (`tumblingWindow`). */
export interface BatchWindow {
  readonly start: Date;
  /** The first moment that is not in it. */
  readonly end: Date;
  /** What the call before returned as `state`, by way of JSON; `{}` in the first of a window. A copy: it may be changed. */
  readonly state: unknown;
  /** The last call of the window, without records. The state that it returns is dropped. */
  readonly isFinal: boolean;
  /** The state has grown past its limit: a call without records, after which the window goes on with `{}`. */
  readonly isTerminatedEarly: boolean;
}

/** What a handler of tumbling windows returns. */
export interface WindowResult extends PartialResult {
  /**
   * Plain JSON, given to the next call of the window: text, finite numbers, true, false, null, and lists and plain objects of these. What JSON
   * would turn into something else (a Map, a class's instance, NaN) is refused; what has a toJSON, as a Date has, is what that returns. Of records that `batchItemFailures` names, and of those behind, it holds nothing.
   */
  readonly state: unknown;
}

/** What the handler gets at once: at least one record, in the shard's order; none in the calls that end a tumbling window. */
export interface Batch {
  /** Of the stream that it comes from. */
  readonly streamName: string;
  readonly shardId: string;
  /** In order. The list is this call's own; the records in it are those that a next try is given, so leave them as they are. */
  readonly records: readonly UserRecord[];
  /** How far the read was from the shard's tip, ms; undefined when Kinesis didn't say. */
  readonly millisBehindLatest: number | undefined;
  /** From 1; above 1 when the handler threw on these very records before. */
  readonly attempt: number;
  /** With `tumblingWindow` alone. */
  readonly window?: BatchWindow;
}

/** A place in a shard; every user record is one. */
export interface Position {
  /** Decimal. */
  readonly sequenceNumber: string;
  /** Default 0. */
  readonly subSequenceNumber?: number;
}

/** What a handler prepared and didn't settle; KCL: pendingCheckpointSequenceNumber and pendingCheckpointState. */
export interface PendingCheckpoint extends Required<Position> {
  /** The application's own bytes, where it gave some. */
  readonly state?: Uint8Array;
}

/** A pending checkpoint that is written. */
export interface PreparedCheckpointer {
  readonly pendingCheckpoint: Required<Position>;
  /**
   * Makes it the checkpoint: the second phase.
   * @throws as `ShardContext.checkpoint` does: UsageError when the shard was checkpointed past it in the meantime.
   */
  checkpoint(): Promise<void>;
}

export interface ShardContext {
  readonly streamName: string;
  readonly shardId: string;
  readonly leaseKey: string;
  /**
   * Of this tenure, a safe integer: greater than that of every earlier tenure of `leaseKey` on any worker, and the same as long as this one
   * lasts. A sink that remembers the greatest it was shown, and refuses what comes with a smaller one, is written to by one worker at a time,
   * however late another one learns that its lease is lost: see docs/control.md. Begins anew only where the lease's row was deleted.
   */
  readonly fencingToken: number;
  /** Aborted when the lease is lost or patience at the end has run out: from then on another worker may have the shard. */
  readonly signal: AbortSignal;
  /** Carries application, worker and shard. */
  readonly logger: Logger;
  /**
   * What was prepared and not settled when this worker opened the shard: by a worker that died between the two phases, or that
   * left it so. Undefined: nothing.
   */
  readonly pendingCheckpoint: PendingCheckpoint | undefined;
  /**
   * Resolves once everything up to a position (this included) is written as handled; without one, everything given to the
   * handler in this call or finished before it, or what was asked for before, if that is more. At the end of a shard that is the end itself. A user record is a position, and
   * its sub-sequence number counts (the KCL's checkpoint(record) takes 0 for it). Calls need not be awaited one by one: what
   * waits is written at once, the newest of all.
   * @throws OperatingError LEASE_LOST when another worker has the shard; UsageError for a position before the checkpoint, past
   * what the handler was given, or that is no position, as a sub-sequence number that a record of the batch in hand does not have.
   */
  checkpoint(): Promise<void>;
  checkpoint(position: Position): Promise<void>;
  checkpoint(sequenceNumber: string, subSequenceNumber?: number): Promise<void>;
  /**
   * The first of two phases: resolves once the position is written as pending, beside the checkpoint, which stays; with it,
   * `applicationState`, 1 to 262144 bytes of your own. Whoever opens the shard before it is settled is told both. A position that
   * is checkpointed already needs no preparation and writes nothing. Any checkpoint removes what is pending, those included that
   * `checkpointing: 'auto'` makes when the handler returns.
   * @throws as `checkpoint`.
   */
  prepareCheckpoint(): Promise<PreparedCheckpointer>;
  prepareCheckpoint(applicationState: Uint8Array): Promise<PreparedCheckpointer>;
  prepareCheckpoint(position: Position, applicationState?: Uint8Array): Promise<PreparedCheckpointer>;
  prepareCheckpoint(sequenceNumber: string, applicationState?: Uint8Array): Promise<PreparedCheckpointer>;
  prepareCheckpoint(
    sequenceNumber: string,
    subSequenceNumber: number,
    applicationState?: Uint8Array,
  ): Promise<PreparedCheckpointer>;
}

/**
 * Handles one batch; returning vouches for it (unless checkpoints are made by hand), throwing brings it again after a while. What it
 * returns counts only if it is a `PartialResult`, or with `tumblingWindow` a `WindowResult`; what is almost a `PartialResult` has failed.
 */
export type BatchHandler = (batch: Batch, context: ShardContext) => unknown;

/**
 * The KCL's five words (ShardRecordProcessor). Given to `run` itself, one object serves all shards: tell them apart by `context.shardId`.
 * One for each shard is made by a `HandlerFactory`.
 */
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
  /** How it is to be given records, and what becomes of those that it never finishes; what is said to `run` comes first. */
  readonly handling?: HandlingOptions;
}

/** The same for one record at a time: what was handled is finished, whatever becomes of those behind it. */
export interface RecordHandler extends Omit<ShardHandler, 'processRecords'> {
  processRecord(record: UserRecord, context: ShardContext): unknown;
}

/**
 * A handler for each shard (KCL: ShardRecordProcessorFactory), so that it may keep what it knows of the shard in itself:
 *
 * ```ts
 * await consumer.run({ createHandler: ({ shardId }) => new OrderHandler(shardId) });
 * ```
 */
export interface HandlerFactory {
  /**
   * Called once in a tenure, before `initialize`: a shard that comes back to this worker, or is replayed, gets a new handler, and so do
   * the children of one that was split. While it throws, or returns anything but a handler (a promise, for one), it is called again after a
   * while, and nothing of the shard is read. Nobody tells the handler when its shard is lost before `initialize` has returned: what has to
   * be given back is best taken there, which also is awaited.
   */
  createHandler(context: ShardContext): BatchHandler | ShardHandler | RecordHandler;
  /** Of all handlers that it makes, which have none of their own; what is said to `run` comes first. */
  readonly handling?: HandlingOptions;
}

export type Handler = BatchHandler | ShardHandler | RecordHandler | HandlerFactory;

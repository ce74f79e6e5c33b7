// One tenure of one shard in delivery's hands: what was fetched and is not handled yet, the handler call under way, how far the
// handler has come, and the context that it is given. A process has thousands that rest, so what a shard at rest has no use for is
// made when it is wanted: an AbortSignal alone would take as much as all the rest. It neither reads nor calls the handler.
// Invariants: `finishedTo` never goes back; once the shard has ended its signal is aborted, one that is asked for later too.
import { compareExtended, type ExtendedSequenceNumber, invariant, type Logger } from '@shardline/common';
import type { OpenShard as OpenShardEffect, Tenure } from '../coordination/effects.ts';
import type { Amount } from '../coordination/room.ts';
import type { ShardContext, UserRecord } from '../handler.ts';
import type { Handling } from '../handling/batch-handling.ts';
import type { TenureHandler } from '../handling/read-handler.ts';
import type { ShardWindow } from '../handling/shard-window.ts';
import type { ShardSource, SourceBatch, SourceRead } from '../retrieval/source.ts';
import { asPendingCheckpoint } from './checkpoint-arguments.ts';
import type { CheckpointedShard, Checkpointer } from './checkpointer.ts';
import type { ReportedShard } from './delivery-report.ts';
import type { HandlerCall } from './event-loop.ts';
import type { Thrown } from './handler-threw.ts';

const NO_CHILDREN: readonly string[] = [];

/** In a context: whose it is. */
const SHARD: unique symbol = Symbol('shard');
/** What any context has that is made when it is asked for. The context's own and enumerable, so that it is there in `{ ...context }` as well. */
const made: Record<'signal' | 'checkpoint' | 'prepareCheckpoint', PropertyDescriptor> = {
  signal: madeBy((shard) => shard.signal),
  checkpoint: madeBy((shard) => shard.calls.checkpoint),
  prepareCheckpoint: madeBy((shard) => shard.calls.prepareCheckpoint),
};

function madeBy<T>(make: (shard: OpenShard) => T): PropertyDescriptor {
  return {
    enumerable: true,
    get(this: { readonly [SHARD]: OpenShard }): T {
      return make(this[SHARD]);
    },
  };
}

interface HeldBatch {
  readonly batch: SourceBatch;
  readonly since: number;
  /** How far the handler is with it; undefined: it was not given to it yet. */
  handling: Handling | undefined;
}

export interface LastCall extends Omit<HandlerCall, 'synchronousMs'> {
  synchronousMs: number;
  /** Undefined: it is under way. */
  endedAt: number | undefined;
}

export class OpenShard implements ReportedShard, CheckpointedShard {
  readonly tenure: Tenure;
  readonly leaseKey: string;
  readonly shardId: string;
  readonly source: ShardSource;
  readonly logger: Logger;
  readonly context: ShardContext;
  /** Undefined: there are no tumbling windows. */
  readonly window: ShardWindow | undefined;
  /** Undefined until the tenure has one. */
  called: TenureHandler | undefined;
  /** `initialize` has returned. */
  opened = false;
  /** The handler call under way; never rejects. */
  call: Promise<void> | undefined;
  /** The last one, as long as anybody may ask what ran when the event loop was held up; it may be under way. */
  lastCall: LastCall | undefined;
  /** Handled and finished up to here, or checkpointed by hand. */
  finishedTo: ExtendedSequenceNumber;
  /** What `checkpoint()` without a position means in the call under way. */
  givenTo: (() => ExtendedSequenceNumber | undefined) | undefined;
  /** The same, until the batch is done with. */
  reach: OpenShard['givenTo'];
  /** What the batch that the handler was last given failed by; undefined once it has finished it. */
  thrown: Thrown | undefined;
  /** At which records the shard stands still in this tenure, and why, in words. */
  stopped: string | undefined;
  /** How far behind its tip the last read was. */
  #behindAtRead: number | undefined;
  /** Known at the shard's end. */
  childShardIds: readonly string[] = NO_CHILDREN;
  /** Why nothing of it counts any more. */
  endedBy: unknown;
  readonly #checkpointer: Checkpointer;
  /** Undefined until the handler asks for one. */
  #calls: ReturnType<Checkpointer['callsFor']> | undefined;
  /** Of the handler's signal; undefined until that is asked for. */
  #controller: AbortController | undefined;
  /** Of the read under way. */
  #reading: AbortController | undefined;
  /** Undefined: none. */
  #batches: Map<number, HeldBatch> | undefined;
  #batchCount = 0;

  constructor(
    effect: OpenShardEffect,
    source: ShardSource,
    logger: Logger,
    checkpointer: Checkpointer,
    window?: ShardWindow,
  ) {
    const { tenure, leaseKey, shardId, fencingToken, checkpoint, pendingCheckpoint } = effect;
    const { streamName } = source;
    this.tenure = tenure;
    this.leaseKey = leaseKey;
    this.shardId = shardId;
    this.source = source;
    this.window = window;
    this.logger = logger;
    this.finishedTo = checkpoint;
    this.#checkpointer = checkpointer;
    const context: Omit<ShardContext, keyof typeof made> = {
      streamName,
      shardId,
      leaseKey,
      fencingToken,
      logger,
      pendingCheckpoint: asPendingCheckpoint(pendingCheckpoint),
    };
    this.context = Object.defineProperties(context, { [SHARD]: { value: this }, ...made }) as ShardContext;
  }

  /** The handler's. */
  get calls(): ReturnType<Checkpointer['callsFor']> {
    this.#calls ??= this.#checkpointer.callsFor(this);
    return this.#calls;
  }

  /** The handler's. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.endedBy !== undefined) this.#controller.abort(this.endedBy);
    return this.#controller.signal;
  }

  async fetch(after: ExtendedSequenceNumber, most?: Amount): Promise<SourceRead> {
    this.#reading = new AbortController();
    try {
      return await this.source.fetch(after, this.#reading.signal, most);
    } finally {
      this.#reading = undefined;
    }
  }

  /** An answer without records says how far behind the shard is, too. */
  read(millisBehindLatest: number | undefined): void {
    this.#behindAtRead = millisBehindLatest;
  }

  /**
   * How far behind its tip the shard is, ms: as the last read said, and no less than the first batch that is not handled yet was when
   * it was read and has waited since. A shard whose records are all handled is where its last read left it.
   */
  millisBehindLatest(now: number): number | undefined {
    const [oldest] = this.#batches?.values() ?? [];
    if (oldest === undefined) return this.#behindAtRead;
    const { batch, since } = oldest;
    return Math.max(this.#behindAtRead ?? 0, (batch.millisBehindLatest ?? 0) + Math.round(now - since));
  }

  /** @returns its id, by which it is delivered. */
  hold(batch: SourceBatch, now: number): number {
    this.#batchCount += 1;
    // A batch without records only moves the position, and nobody will ask for it, unless it ends a tumbling window. One of a shard that has ended neither.
    if ((batch.recordCount > 0 || batch.endsWindow === true) && this.endedBy === undefined) {
      this.#batches ??= new Map();
      this.#batches.set(this.#batchCount, { batch, since: now, handling: undefined });
    }
    return this.#batchCount;
  }

  /** @param begin is called when it is asked for first. */
  handlingOf(batchId: number, begin: (batch: SourceBatch) => Handling): Handling {
    const held = this.#batches?.get(batchId);
    invariant(held !== undefined, `batch ${batchId} of ${this.leaseKey} is delivered but not held`);
    held.handling ??= begin(held.batch);
    return held.handling;
  }

  /** Something was read that the handler has not finished. */
  get isWaiting(): boolean {
    return this.#batches !== undefined;
  }

  /**
   * The handler has finished it. The records go at once: a promise that was long waited for, as a read's is with many shards, is old to the collector,
   * and what it brought would be kept, moved and marked, for all that nobody wants it.
   */
  finish(batchId: number): void {
    const held = this.#batches?.get(batchId);
    if (held !== undefined) held.batch.records.length = 0;
    this.#batches?.delete(batchId);
    if (this.#batches?.size === 0) this.#batches = undefined;
    this.thrown = undefined;
    this.reach = undefined;
  }

  newest(): ExtendedSequenceNumber {
    return this.givenTo?.() ?? this.finishedTo;
  }

  get ceiling(): ExtendedSequenceNumber | undefined {
    // What was handled of an open window is not finished, between two batches neither.
    if (this.window?.start !== undefined) return this.window.finishedTo ?? this.finishedTo;
    return this.reach && (this.reach() ?? this.finishedTo);
  }

  lastSubOf(sequenceNumber: bigint): number | undefined {
    const [inHand] = this.#batches?.values() ?? [];
    const records = inHand?.batch.records ?? [];
    // Behind the last record that is not behind it.
    let [from, to] = [0, records.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (BigInt((records[middle] as UserRecord).sequenceNumber) > sequenceNumber) to = middle;
      else from = middle + 1;
    }
    const record = records[from - 1];
    return record !== undefined && BigInt(record.sequenceNumber) === sequenceNumber
      ? record.subSequenceNumber
      : undefined;
  }

  written(position: ExtendedSequenceNumber): void {
    if (compareExtended(position, this.finishedTo) > 0) this.finishedTo = position;
  }

  /** Ends a read under way and drops what is held; the handler is asked to stop. */
  end(reason: unknown): void {
    this.endedBy = reason;
    this.#controller?.abort(reason);
    this.#reading?.abort(reason);
    this.source.close();
    this.#batches = undefined;
  }
}

// A source that says of which tumbling window each record is, and when the open one is over: a record of a later one says so by itself,
// and so does the shard's end; else a read at the shard's tip that brings nothing once the window's time has passed. The outermost source:
// what it says is about what comes out last. It delays nothing, and holds nothing.
// Invariants: after the end of a window no record of it follows, as far as Kinesis answers in order; each window that a record opened
// comes to its end, be it with a batch that has no records.
import type { Clock, ExtendedSequenceNumber } from '@shardline/common';
import type { Amount } from '../coordination/room.ts';
import type { ShardSource, SourceBatch, SourceRead } from './source.ts';
import { SourceAround } from './source-around.ts';
import { WindowCutter } from './window-cutter.ts';

export interface WindowedSourceOptions {
  readonly lengthMs: number;
  /** So long after a window's end, by this machine's clock, a read at the tip ends it. */
  readonly graceMs: number;
}

/**
 * Reads that follow each other without a longer pause than this for this long: what a socket had kept back before is read by then, and
 * an empty event is about the present.
 */
const STEADY_MS = 1_000;

export class WindowedSource extends SourceAround {
  readonly #cutter: WindowCutter;
  readonly #graceMs: number;
  readonly #clock: Clock;
  #steadySince: number | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(source: ShardSource, { lengthMs, graceMs }: WindowedSourceOptions, clock: Clock) {
    super(source);
    this.#cutter = new WindowCutter(lengthMs);
    this.#graceMs = graceMs;
    this.#clock = clock;
  }

  override async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    const isSteady = this.#isSteady(after);
    const startedAt = this.#clock.wallNow();
    const read = await super.fetch(after, signal, most);
    this.#readAt = this.#clock.now();
    const { batch, atShardEnd } = read;
    const runs = batch && this.#cutter.cut(batch.records, batch.passing);
    const cut = batch && runs && { ...batch, windowRuns: runs };
    const { endsAt } = this.#cutter;
    const isOver =
      endsAt !== undefined && (atShardEnd || (isSteady && isTip(read) && startedAt >= endsAt + this.#graceMs));
    if (!isOver) return cut === undefined ? read : { ...read, batch: cut };
    this.#cutter.close();
    return { ...read, batch: { ...(cut ?? nothingAfter(after, read)), endsWindow: true } };
  }

  /** Whether reading has gone on without being held back: a subscription's events wait in the socket then, those that say "nothing new", too. */
  #isSteady(after: ExtendedSequenceNumber): boolean {
    const now = this.#clock.now();
    if (now - Math.max(this.#readAt, this.dueAt(after)) > STEADY_MS) this.#steadySince = now;
    this.#steadySince ??= now;
    return now - this.#steadySince >= STEADY_MS;
  }
}

/** It asked Kinesis, and there is nothing that it did not bring. */
function isTip({ batch, millisBehindLatest, isOld }: SourceRead): boolean {
  return batch === undefined && millisBehindLatest === 0 && isOld !== true;
}

function nothingAfter(last: ExtendedSequenceNumber, { millisBehindLatest }: SourceRead): SourceBatch {
  const counts = { kinesisRecordCount: 0, corruptCount: 0, strayCount: 0 };
  const nothing = { records: [], recordCount: 0, first: undefined, byteCount: 0 };
  return { ...nothing, windowRuns: [], last, millisBehindLatest, ...counts, gap: undefined };
}

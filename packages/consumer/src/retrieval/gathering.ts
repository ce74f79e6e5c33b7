// A source that gathers: it answers with records only once there are enough for a call of the handler, or the first of them has waited
// for the whole batch window. Around polling.ts or fan-out.ts, so that to the core a window is but a read that takes longer: what is
// gathered lies in the room that this read was granted, and a shard that is left drops it unread, with no checkpoint behind it.
// Invariants: no record is left out, none repeated; none waits here longer than the window; what a read is granted is not exceeded
// but by what the source itself exceeds it by; at most one read of the source is under way.
import { type Clock, compareExtended, delay, type ExtendedSequenceNumber } from '@shardline/common';
import type { Amount } from '../coordination/room.ts';
import type { ShardSource, SourceBatch, SourceRead } from './source.ts';
import { SourceAround } from './source-around.ts';

export interface GatheringOptions {
  /** From the first record that is gathered on. */
  readonly windowMs: number;
  /** Enough records that pass the filter; infinite: all that come in the window. */
  readonly recordCount: number;
}

/** Enough data: what a Lambda function is given at once at the most. */
export const ENOUGH_BYTES: number = 6 * 1024 * 1024;
const ALL: Amount = { bytes: Number.POSITIVE_INFINITY, recordCount: Number.POSITIVE_INFINITY };

/** Of one fetch. */
interface Gathered {
  batch: SourceBatch | undefined;
  /** Records that count. */
  count: number;
  endsAt: number;
}

interface Reading {
  readonly read: Promise<SourceRead>;
  readonly controller: AbortController;
}

export class GatheringSource extends SourceAround {
  readonly #source: ShardSource;
  readonly #options: GatheringOptions;
  readonly #clock: Clock;
  /** The read under way. It may outlive the window in which it was begun: the next fetch takes what it brings. */
  #reading: Reading | undefined;

  constructor(source: ShardSource, options: GatheringOptions, clock: Clock) {
    super(source);
    this.#source = source;
    this.#options = options;
    this.#clock = clock;
  }

  override dueAt(after: ExtendedSequenceNumber): number {
    return this.#reading === undefined ? this.#source.dueAt(after) : Number.NEGATIVE_INFINITY;
  }

  override async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most: Amount = ALL): Promise<SourceRead> {
    const gathered: Gathered = { batch: undefined, count: 0, endsAt: Number.POSITIVE_INFINITY };
    const onAbort = (): void => this.#reading?.controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let last: SourceRead | undefined;
    try {
      for (;;) {
        signal.throwIfAborted();
        const read = await this.#readOnce(gathered.batch?.last ?? after, gathered, most, signal);
        if (read === undefined) break;
        last = read;
        if (read.batch !== undefined) this.#add(gathered, read.batch);
        if (read.atShardEnd || this.#isEnough(gathered, read, most)) break;
      }
    } catch (error) {
      // What is there is there; the next read will say it again, if it is still so.
      if (gathered.batch === undefined || signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    const nothing: SourceRead = { batch: undefined, atShardEnd: false, childShards: [], millisBehindLatest: undefined };
    return { ...(last ?? nothing), batch: gathered.batch };
  }

  override close(): void {
    this.#reading?.controller.abort();
    this.#source.close();
  }

  /** @returns undefined: the window is over. */
  async #readOnce(
    from: ExtendedSequenceNumber,
    { batch, endsAt }: Gathered,
    most: Amount,
    signal: AbortSignal,
  ): Promise<SourceRead | undefined> {
    if (this.#reading === undefined) {
      const dueAt = batch === undefined ? Number.NEGATIVE_INFINITY : this.#source.dueAt(from);
      if (dueAt > this.#clock.now()) await delay(this.#clock, Math.min(dueAt, endsAt) - this.#clock.now(), signal);
      if (this.#clock.now() >= endsAt) return undefined;
      this.#reading = this.#begin(from, {
        bytes: Math.max(0, most.bytes - (batch?.byteCount ?? 0)),
        recordCount: Math.max(1, most.recordCount - (batch?.recordCount ?? 0)),
      });
    }
    const { read } = this.#reading;
    if (endsAt !== Number.POSITIVE_INFINITY && !(await this.#settles(read, endsAt))) return undefined;
    try {
      return await read;
    } finally {
      this.#reading = undefined;
    }
  }

  #begin(from: ExtendedSequenceNumber, most: Amount): Reading {
    const controller = new AbortController();
    const read = this.#source.fetch(from, controller.signal, most);
    // Whoever takes it is told.
    read.catch(() => undefined);
    return { read, controller };
  }

  /** @returns false: the time came first. A read that is aborted is settled. */
  #settles(read: Promise<unknown>, by: number): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(() => resolve(false), by - this.#clock.now());
      const settled = (): void => {
        cancel();
        resolve(true);
      };
      read.then(settled, settled);
    });
  }

  #add(gathered: Gathered, next: SourceBatch): void {
    const { windowMs } = this.#options;
    if (gathered.batch === undefined || gathered.batch.recordCount === 0)
      gathered.endsAt = this.#clock.now() + windowMs;
    gathered.batch = gathered.batch === undefined ? next : joined(gathered.batch, next);
    gathered.count += next.passing?.length ?? next.recordCount;
  }

  #isEnough({ batch, count }: Gathered, { batch: last }: SourceRead, most: Amount): boolean {
    // Nothing waits: a position that moved on is for the core to know.
    if (batch === undefined || batch.recordCount === 0) return true;
    if (count >= this.#options.recordCount || batch.byteCount >= ENOUGH_BYTES) return true;
    const { leastBytes } = this.#source;
    const isRefused =
      last === undefined && leastBytes !== 0 && (leastBytes === 'unseen' || batch.byteCount + leastBytes > most.bytes);
    return isRefused || batch.byteCount >= most.bytes || batch.recordCount >= most.recordCount;
  }
}

/** Both are let go. */
function joined(a: SourceBatch, b: SourceBatch): SourceBatch {
  const passing = joinedPassing(a, b);
  const records = [...a.records, ...b.records];
  a.records.length = 0;
  b.records.length = 0;
  return {
    records,
    recordCount: a.recordCount + b.recordCount,
    first: a.first ?? b.first,
    passing,
    byteCount: a.byteCount + b.byteCount,
    last: compareExtended(b.last, a.last) > 0 ? b.last : a.last,
    millisBehindLatest: b.millisBehindLatest,
    kinesisRecordCount: a.kinesisRecordCount + b.kinesisRecordCount,
    corruptCount: a.corruptCount + b.corruptCount,
    strayCount: a.strayCount + b.strayCount,
    droppedCount: (a.droppedCount ?? 0) + (b.droppedCount ?? 0),
    gap: a.gap ?? b.gap,
  };
}

function joinedPassing(a: SourceBatch, b: SourceBatch): SourceBatch['passing'] {
  if (a.passing === undefined && b.passing === undefined) return undefined;
  const placesOf = ({ passing, records }: SourceBatch): Iterable<number> => passing ?? records.keys();
  return [...placesOf(a), ...[...placesOf(b)].map((place) => a.recordCount + place)];
}

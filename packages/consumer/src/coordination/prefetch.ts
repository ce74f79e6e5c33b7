// The batches of one tenure that were fetched and are not handled yet: between the source, which is asked for the next one while
// there is room, in the shard's own bounds and in the worker's (room.ts), and the handler, which is given the first. One fetch under
// way at a time, tried again with back-off; in what order batches are delivered, and whether one may be, is the shard consumer's to say.
// Invariants: batches leave in the order they came; a fetch goes on from the last batch that came; whatever is held, the room knows of.
import { type BackoffOptions, backoffMs, type ExtendedSequenceNumber, isShardlineError } from '@shardline/common';
import type { BatchBounds, Fetched } from './results.ts';
import type { Amount, LeastBytes, Share } from './room.ts';

export interface PrefetchOptions {
  /** Batches fetched and not yet handled, the one in the handler included. */
  readonly maxPendingBatchCount: number;
  /** Stop fetching ahead once so many bytes wait. */
  readonly maxPendingBytes: number;
  readonly fetchBackoff: BackoffOptions;
}

export class Prefetch {
  readonly #options: PrefetchOptions;
  readonly #share: Share;
  #queue: BatchBounds[] = [];
  #fetching = false;
  #retryAt = 0;
  #attempt = 0;
  #fetchedTo: ExtendedSequenceNumber;
  #end: Fetched | undefined;
  /** Answers so far: what the watchdog goes by. */
  #readCount = 0;
  #throttled = false;
  /** What the source holds of its last answer, and what its next one takes at least. */
  #heldBytes = 0;
  #leastBytes: LeastBytes = 0;

  /** @param from behind which the shard is read. @param share of the worker's room. */
  constructor(from: ExtendedSequenceNumber, options: PrefetchOptions, share: Share) {
    this.#fetchedTo = from;
    this.#options = options;
    this.#share = share;
  }

  /** Behind which the next fetch reads. */
  get fetchedTo(): ExtendedSequenceNumber {
    return this.#fetchedTo;
  }

  /** The batch to be handled next, or in the handler. */
  get first(): BatchBounds | undefined {
    return this.#queue[0];
  }

  get count(): number {
    return this.#queue.length;
  }

  /** What came last, once no record will ever follow. */
  get end(): Fetched | undefined {
    return this.#end;
  }

  /** Grows with each answer while one is waited for; a fetch that failed and is tried again still is, but not while it waits for room. */
  get awaited(): number | undefined {
    const retries = this.#attempt > 0 && !this.#throttled && !this.#share.isInLine;
    return this.#fetching || retries ? this.#readCount : undefined;
  }

  /** When the next fetch may begin. */
  deadline(): number {
    return this.#hasRoom() && !this.#share.isInLine ? this.#retryAt : Number.POSITIVE_INFINITY;
  }

  /** @returns how much is to be fetched now, which is under way then; undefined: nothing. */
  begin(now: number): Amount | undefined {
    if (!this.#hasRoom() || now < this.#retryAt) return undefined;
    const isHeld = this.#heldBytes > 0;
    const leastBytes = isHeld ? 0 : this.#leastBytes;
    const granted = this.#share.ask({ leastBytes, isHeld, isAhead: this.#queue.length > 0 });
    this.#fetching = granted !== undefined;
    return granted;
  }

  /** @param keeps whether the batch will be handled. */
  fetched(fetched: Fetched, keeps: boolean): void {
    this.#fetching = false;
    this.#readCount += 1;
    this.#attempt = 0;
    this.#retryAt = 0;
    if (keeps) {
      this.#heldBytes = fetched.heldBytes ?? 0;
      this.#leastBytes = fetched.leastBytes ?? 0;
      if (fetched.batch !== undefined) {
        this.#queue.push(fetched.batch);
        this.#fetchedTo = fetched.batch.last;
      }
      if (fetched.atShardEnd) this.#end = fetched;
    }
    this.#share.read(this.#held());
  }

  /** The fetch under way failed. */
  failed(error: unknown): void {
    this.#fetching = false;
    this.#share.read(this.#held());
    // Throttled, or not to be had, is an answer: the shard is read by others as well, and that is no stall.
    this.#throttled = isShardlineError(error) && (error.code === 'THROTTLED' || error.code === 'SHARD_IN_USE');
    if (this.#throttled) this.#readCount += 1;
  }

  /** @returns in how many ms the fetch that failed is tried again. */
  retry(now: number, random: number): number {
    this.#attempt += 1;
    const retryInMs = backoffMs(this.#attempt, random, this.#options.fetchBackoff);
    this.#retryAt = now + retryInMs;
    return retryInMs;
  }

  /** The first batch is handled, or needs no handler. */
  shift(): void {
    this.#queue.shift();
    this.#share.holds(this.#held());
  }

  /** Nothing will be delivered any more. @param handling whether the first batch is in the handler. */
  clear(handling: boolean): void {
    // What the handler has it keeps until it returns.
    this.#queue = handling ? this.#queue.slice(0, 1) : [];
    this.#heldBytes = 0;
    this.#share.read(this.#held());
    this.#queue = [];
  }

  #held(): Amount {
    let bytes = this.#heldBytes;
    let recordCount = 0;
    for (const batch of this.#queue) {
      bytes += batch.byteCount;
      recordCount += batch.recordCount;
    }
    return { bytes, recordCount };
  }

  #hasRoom(): boolean {
    const { maxPendingBatchCount, maxPendingBytes } = this.#options;
    if (this.#fetching || this.#end !== undefined || this.#queue.length >= maxPendingBatchCount) return false;
    const waiting = this.#queue.reduce((sum, batch) => sum + batch.byteCount, 0);
    return this.#queue.length === 0 || waiting < maxPendingBytes;
  }
}

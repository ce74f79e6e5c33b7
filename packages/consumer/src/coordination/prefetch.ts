// The batches of one tenure that were fetched and are not handled yet: between the source, which is asked for the next one while
// there is room, and the handler, which is given the first. One fetch under way at a time, tried again with back-off; in what
// order batches are delivered, and whether one may be, is the shard consumer's to say.
// Invariants: batches leave in the order they came; a fetch goes on from the last batch that came; one batch is always fetched.
import { type BackoffOptions, backoffMs, type ExtendedSequenceNumber, isShardlineError } from '@shardline/common';
import type { BatchBounds, Fetched } from './results.ts';

export interface PrefetchOptions {
  /** Batches fetched and not yet handled, the one in the handler included. */
  readonly maxPendingBatchCount: number;
  /** Stop fetching ahead once so many bytes wait; one batch is always fetched. */
  readonly maxPendingBytes: number;
  readonly fetchBackoff: BackoffOptions;
}

export class Prefetch {
  readonly #options: PrefetchOptions;
  #queue: BatchBounds[] = [];
  #fetching = false;
  #retryAt = 0;
  #attempt = 0;
  #fetchedTo: ExtendedSequenceNumber;
  #end: Fetched | undefined;
  /** Answers so far: what the watchdog goes by. */
  #readCount = 0;
  #throttled = false;

  /** @param from behind which the shard is read. */
  constructor(from: ExtendedSequenceNumber, options: PrefetchOptions) {
    this.#fetchedTo = from;
    this.#options = options;
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

  /** Grows with each answer while one is waited for; a fetch that failed and is tried again still is. */
  get awaited(): number | undefined {
    const retries = this.#attempt > 0 && !this.#throttled;
    return this.#fetching || retries ? this.#readCount : undefined;
  }

  /** When the next fetch may begin. */
  deadline(): number {
    return this.#hasRoom() ? this.#retryAt : Number.POSITIVE_INFINITY;
  }

  /** Whether a fetch is to begin now; it is under way then. */
  begin(now: number): boolean {
    if (!this.#hasRoom() || now < this.#retryAt) return false;
    this.#fetching = true;
    return true;
  }

  /** @param keeps whether the batch will be handled. */
  fetched(fetched: Fetched, keeps: boolean): void {
    this.#fetching = false;
    this.#readCount += 1;
    this.#attempt = 0;
    this.#retryAt = 0;
    if (!keeps) return;
    if (fetched.batch !== undefined) {
      this.#queue.push(fetched.batch);
      this.#fetchedTo = fetched.batch.last;
    }
    if (fetched.atShardEnd) this.#end = fetched;
  }

  /** The fetch under way failed. */
  failed(error: unknown): void {
    this.#fetching = false;
    // Throttled is an answer: the shard is read by others as well, and that is no stall.
    this.#throttled = isShardlineError(error) && error.code === 'THROTTLED';
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
  }

  clear(): void {
    this.#queue = [];
  }

  #hasRoom(): boolean {
    const { maxPendingBatchCount, maxPendingBytes } = this.#options;
    if (this.#fetching || this.#end !== undefined || this.#queue.length >= maxPendingBatchCount) return false;
    const waiting = this.#queue.reduce((sum, batch) => sum + batch.byteCount, 0);
    return this.#queue.length === 0 || waiting < maxPendingBytes;
  }
}

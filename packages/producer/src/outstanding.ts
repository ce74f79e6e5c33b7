// The producer's bound: what is put and not settled, counted over all its streams. `put` asks here whether there is room, and who
// waits for it asks beforehand (room-queue.ts). Beside the records' way; it holds no record. Pure.
// Invariant: not more is outstanding than the bounds allow.
import type { Failure } from './put.ts';

export interface OutstandingOptions {
  readonly maxOutstandingRecordCount: number;
  readonly maxOutstandingBytes: number;
}

/** Share of the bounds from which on the application is to wait. */
const READY_SHARE = 0.5;
/** What is left, a record later, of the size that the next one is expected to have at most: a large one is forgotten after some thousands. */
const EXPECTED_SHARE = 0.999;

export class Outstanding {
  readonly #maxRecordCount: number;
  readonly #maxBytes: number;
  #recordCount = 0;
  #bytes = 0;
  #expectedBytes = 0;
  /** Somebody waits for room. */
  isAwaited = false;

  constructor({ maxOutstandingRecordCount, maxOutstandingBytes }: OutstandingOptions) {
    this.#maxRecordCount = maxOutstandingRecordCount;
    this.#maxBytes = maxOutstandingBytes;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Half of a bound is used, or somebody waits for more than is free. */
  get isPressed(): boolean {
    return this.isAwaited || this.#isHalfUsed(0);
  }

  /**
   * Whether one more may come, of this size, else of the largest that is to be expected, without using more than half of a bound or going past one.
   * `promisedCount`: that many have been told so and are still to come.
   */
  isFree(promisedCount: number, sizeBytes: number = this.#expectedBytes): boolean {
    if (this.#isHalfUsed(promisedCount)) return false;
    return this.#bytes + promisedCount * this.#expectedBytes + sizeBytes <= this.#maxBytes;
  }

  /** Why there is no room for a record of this size; undefined when there is. */
  refusal(sizeBytes: number): Failure | undefined {
    this.#expectedBytes = Math.max(sizeBytes, this.#expectedBytes * EXPECTED_SHARE);
    const tooMany = this.#recordCount >= this.#maxRecordCount;
    if (!tooMany && this.#bytes + sizeBytes <= this.#maxBytes) return undefined;
    const reached = tooMany
      ? `${this.#recordCount} user records are outstanding, as many as maxOutstandingRecordCount allows`
      : `${this.#bytes} bytes are outstanding, which leaves no room for ${sizeBytes} more: maxOutstandingBytes is ${this.#maxBytes}`;
    return { code: 'BUFFER_FULL', message: `${reached}; await producer.ready`, retryable: true };
  }

  add(sizeBytes: number): void {
    this.#recordCount++;
    this.#bytes += sizeBytes;
  }

  /** A record has settled. */
  remove(sizeBytes: number): void {
    this.#recordCount--;
    this.#bytes -= sizeBytes;
  }

  #isHalfUsed(promisedCount: number): boolean {
    return (
      this.#recordCount + promisedCount >= this.#maxRecordCount * READY_SHARE ||
      this.#bytes >= this.#maxBytes * READY_SHARE
    );
  }
}

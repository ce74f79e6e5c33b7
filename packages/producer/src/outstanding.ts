// The producer's bound: what is put and not settled, counted over all its streams. `put` asks here whether there is room. Beside the
// records' way; it holds no record. Pure.
// Invariant: not more is outstanding than the bounds allow.
import type { Failure } from './user-record.ts';

export interface OutstandingOptions {
  readonly maxOutstandingRecordCount: number;
  readonly maxOutstandingBytes: number;
}

/** Share of the bounds from which on the application is to wait. */
const READY_SHARE = 0.5;

export class Outstanding {
  readonly #maxRecordCount: number;
  readonly #maxBytes: number;
  #recordCount = 0;
  #bytes = 0;

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

  /** Half of a bound is used. */
  get isPressed(): boolean {
    return this.#recordCount >= this.#maxRecordCount * READY_SHARE || this.#bytes >= this.#maxBytes * READY_SHARE;
  }

  /** Why there is no room for a record of this size; undefined when there is. */
  refusal(sizeBytes: number): Failure | undefined {
    const tooMany = this.#recordCount >= this.#maxRecordCount;
    if (!tooMany && this.#bytes + sizeBytes <= this.#maxBytes) return undefined;
    const which = tooMany
      ? `maxOutstandingRecordCount, ${this.#maxRecordCount}`
      : `maxOutstandingBytes, ${this.#maxBytes}`;
    return { code: 'BUFFER_FULL', message: `${which}, is reached: await producer.ready`, retryable: true };
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
}

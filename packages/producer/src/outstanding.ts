// The producer's bound: what is put and not settled, counted over all of it. `put` asks here whether there is room, `ready` waits here
// until there is. Beside the records' way; it holds no record.
// Invariants: not more is outstanding than the bounds allow; `ready` never rejects, and waits only while half of a bound is used.
import { invariant } from '@shardline/common';
import type { Failure } from './user-record.ts';

export interface OutstandingOptions {
  readonly maxOutstandingRecordCount: number;
  readonly maxOutstandingBytes: number;
}

/** Share of the bounds from which on `ready` waits. */
const READY_SHARE = 0.5;

export class Outstanding {
  readonly #maxRecordCount: number;
  readonly #maxBytes: number;
  #recordCount = 0;
  #bytes = 0;
  #ready: Deferred | undefined;

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

  get ready(): Promise<void> {
    if (!this.isPressed) return Promise.resolve();
    this.#ready ??= deferred();
    return this.#ready.promise;
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
    if (this.#ready === undefined || this.isPressed) return;
    this.#ready.resolve();
    this.#ready = undefined;
  }
}

export interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export function deferred(): Deferred {
  let resolve: (() => void) | undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  invariant(resolve !== undefined, 'a promise calls its executor at once');
  return { promise, resolve };
}

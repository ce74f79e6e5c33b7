// The other faces of `put`: by callback, and for whole sources of user records, `putAll` for an iterable, the write stream for what
// is written to it. The latter two put in turn with all who wait for room, and take no more until they have. They decide nothing else.
// Invariants: no failure is lost: it goes to `onFailure`, or it is what the whole ends with, the first one first; neither ends
// before everything it has put has settled.
import { Writable } from 'node:stream';
import { checkNames, describe, UsageError } from '@shardline/common';
import type { Listener, OnSettled, PutError, PutResult, Settle, UserRecordInput } from './put.ts';

export interface PutAllOptions {
  /** Takes a record that failed, instead of ending with its error. What it throws ends with that. */
  readonly onFailure?: (error: PutError) => void;
}

export interface PutAllResult {
  /** In the stream now. */
  readonly succeededCount: number;
  /** Given to `onFailure`. */
  readonly failedCount: number;
}

/** What is needed of a producer. */
export interface Puts {
  /** Puts a record once there is room for it, which the promise waits for; undefined: at once. Throws or rejects for one that can't be put. */
  putInTurn(input: UserRecordInput, onSettled: OnSettled): Promise<void> | undefined;
  flush(): Promise<void>;
}

export async function putAll(
  puts: Puts,
  source: AsyncIterable<UserRecordInput> | Iterable<UserRecordInput>,
  options: PutAllOptions = {},
): Promise<PutAllResult> {
  if (!isIterable(source)) throw new UsageError('source', 'an iterable or async iterable of records', describe(source));
  const tally = new Tally(options);
  try {
    for await (const input of source) {
      if (tally.failure !== undefined) break;
      await tally.put(puts, input);
    }
  } catch (error) {
    tally.fail(error);
  }
  await tally.settled(puts);
  if (tally.failure !== undefined) throw tally.failure.reason;
  const { succeededCount, failedCount } = tally;
  return { succeededCount, failedCount };
}

export function createPutStream(puts: Puts, options: PutAllOptions = {}): Writable {
  const tally = new Tally(options);
  const stream = new Writable({
    objectMode: true,
    write: (input: UserRecordInput, _, callback) => {
      void tally.put(puts, input).then(
        () => callback(),
        (error) => callback(toError(error)),
      );
    },
    final: (callback) => {
      void tally.settled(puts).then(() => callback(tally.error));
    },
    // Whoever hears of the failure is to know that nothing is under way any more.
    destroy: (error, callback) => {
      void tally.settled(puts).then(() => callback(error));
    },
  });
  // A failure ends the stream when it comes, not with the next write.
  tally.onFirstFailure = () => stream.destroy(tally.error ?? undefined);
  return stream;
}

/**
 * Tells a callback, which may be one for each record: so it has no closures of its own. The callback is never called before `put` returns, and what it throws becomes an uncaught exception, as with any
 * callback: it is no bug of the producer's.
 */
export class CallbackSettle implements Listener {
  readonly #onSettled: OnSettled;

  constructor(onSettled: OnSettled) {
    this.#onSettled = onSettled;
  }

  onSuccess(result: PutResult): void {
    try {
      this.#onSettled(undefined, result);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  onFailure(error: PutError): void {
    queueMicrotask(() => this.#onSettled(error, undefined));
  }
}

/** Resolves a promise; with one that is rejected when the put failed. So this is all that is kept of it, a million times over. */
export type ResolvePut = (end: PutResult | PromiseLike<PutResult>) => void;

export function tellSuccess(settle: Settle, result: PutResult): void {
  if (typeof settle === 'function') (settle as ResolvePut)(result);
  else settle.onSuccess(result);
}

export function tellFailure(settle: Settle, error: PutError): void {
  if (typeof settle === 'function') (settle as ResolvePut)(Promise.reject(error));
  else settle.onFailure(error);
}

/** Counts what became of the records, and keeps the first failure that nobody took. */
class Tally {
  readonly #onFailure: PutAllOptions['onFailure'];
  succeededCount = 0;
  failedCount = 0;
  failure: { readonly reason: unknown } | undefined;
  onFirstFailure: () => void = () => undefined;
  #unsettledCount = 0;
  #settled: Promise<void> | undefined;
  #onSettled: () => void = () => undefined;

  constructor(options: PutAllOptions) {
    checkNames(options, ['onFailure']);
    const { onFailure } = options;
    if (onFailure !== undefined && typeof onFailure !== 'function') {
      throw new UsageError('onFailure', 'a function', describe(onFailure));
    }
    this.#onFailure = onFailure;
  }

  /** As streams want it. */
  get error(): Error | null {
    return this.failure === undefined ? null : toError(this.failure.reason);
  }

  /** Resolves when it has been put. A put that had to wait counts from its beginning, so that the whole does not end before. */
  async put(puts: Puts, input: UserRecordInput): Promise<void> {
    this.#unsettledCount++;
    try {
      await puts.putInTurn(input, this.#settle);
    } catch (error) {
      this.#uncount();
      throw error;
    }
  }

  fail(reason: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = { reason };
    this.onFirstFailure();
  }

  /** Sends what waits; resolves when everything that was put has settled, whatever others put meanwhile. */
  settled(puts: Puts): Promise<void> {
    if (this.#unsettledCount === 0) return Promise.resolve();
    void puts.flush();
    this.#settled ??= new Promise((resolve) => {
      this.#onSettled = resolve;
    });
    return this.#settled;
  }

  readonly #settle: OnSettled = (error) => {
    if (error === undefined) this.succeededCount++;
    else this.#failed(error);
    this.#uncount();
  };

  #uncount(): void {
    this.#unsettledCount--;
    if (this.#unsettledCount > 0) return;
    this.#onSettled();
    this.#settled = undefined;
  }

  #failed(error: PutError): void {
    this.failedCount++;
    if (this.#onFailure === undefined) {
      this.fail(error);
      return;
    }
    try {
      this.#onFailure(error);
    } catch (thrown) {
      this.fail(thrown);
    }
  }
}

/** As streams want it. */
function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

function isIterable(source: unknown): boolean {
  if (typeof source !== 'object' || source === null) return false;
  return Symbol.asyncIterator in source || Symbol.iterator in source;
}

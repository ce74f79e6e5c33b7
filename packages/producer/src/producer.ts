// The producer that applications use: the beginning and the end of a user record's way. It admits records within the bounds,
// drives the pure pipeline with the clock's time (one timer), carries out its effects, and settles the promises. No decision
// about delivery is made here.
// Invariants: every promise of `put` settles exactly once; not more is outstanding than the bounds allow; after `close` no timer,
// no request and, if it made the client itself, no socket is left.
import type { Writable } from 'node:stream';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createKinesisClient, describe, invariant, type Logger, UsageError, unreachable } from '@shardline/common';
import type { Entry, Request } from './batch.ts';
import type { Effect, Place } from './effects.ts';
import {
  type ProducerName,
  publishAttempt,
  publishPut,
  publishRequest,
  publishSettle,
  publishShardMap,
  publishThrottle,
} from './events.ts';
import { createPutStream, type PutAllOptions, type PutAllResult, putAll, settleBy } from './faces.ts';
import { type ProducerOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { Pipeline } from './pipeline.ts';
import { Sender } from './sender.ts';
import { StreamReader } from './stream-reader.ts';
import type { StrategyState } from './stream-strategy.ts';
import {
  checkUserRecord,
  type Failure,
  inputOf,
  type OnSettled,
  type PutResult,
  putError,
  putResult,
  type Settle,
  type UserRecord,
  type UserRecordInput,
} from './user-record.ts';

/** How `close` ends. */
export interface CloseOptions {
  /** How long to wait for what is outstanding. Default: until all has settled, which recordTtlMs and requestTimeoutMs bound. */
  readonly timeoutMs?: number;
}

interface Waiter {
  /** Records put after this one are not waited for. */
  readonly sequence: number;
  remainingCount: number;
  readonly resolve: () => void;
}

/** Share of the bounds from which on `ready` waits. */
const READY_SHARE = 0.5;
/** Kinesis records that are due within this time of one that leaves go with it; at most a fifth of the buffered time (as the KPL's collector). */
const TOGETHER_MS = 50;
const TOGETHER_SHARE = 0.2;

/** What is asked about the stream, and what it means that there is no answer. */
const failedQuestions = {
  ListShards: 'ListShards failed: records travel alone until it succeeds',
  DescribeStreamSummary:
    "DescribeStreamSummary failed: until it succeeds nothing is aggregated, unless it has succeeded before. If kinesis:DescribeStreamSummary is not to be allowed, say how the stream spreads its records: recordDistributionStrategyDefault: 'USER_PARTITION_KEY'",
} as const;
type Question = keyof typeof failedQuestions;

let madeCount = 0;

/**
 * Puts user records into one stream.
 *
 * ```ts
 * await using producer = new Producer({ stream: 'orders' });
 * const { shardId, sequenceNumber } = await producer.put({ partitionKey: order.id, data });
 * ```
 */
export class Producer implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #name: ProducerName;
  readonly #log: Logger;
  readonly #client: KinesisClient;
  readonly #pipeline: Pipeline;
  readonly #sender: Sender;
  readonly #reader: StreamReader;
  readonly #times: { readonly bufferedTimeMs: number; readonly recordTtlMs: number };

  #lastSequence = 0;
  #outstandingCount = 0;
  #outstandingBytes = 0;
  readonly #waiters = new Set<Waiter>();
  #ready: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #closed: Promise<void> | undefined;
  #broken: unknown;
  /** What a question about the stream threw last, until it is answered. */
  readonly #askingErrors = new Map<Question, unknown>();
  /** Nothing drives the pipeline any more. */
  #stopped = false;

  #stopTimer: (() => void) | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #timerKeepsAlive = false;

  /** Reads the list of shards at once. @throws UsageError naming the option. */
  constructor(options: ProducerOptions) {
    const resolved = resolveOptions(options);
    const { stream, clock, maxRequestsInFlight, requestTimeoutMs, recordMaxBufferedTimeMs, recordTtlMs } = resolved;
    this.#options = resolved;
    this.#name = { producer: `producer-${++madeCount}`, stream: stream.streamName };
    this.#log = resolved.logger.child({ producer: this.#name.producer });
    this.#client = resolved.client ?? makeClient(resolved);
    this.#sender = new Sender({ client: this.#client, stream, clock, maxRequestsInFlight, requestTimeoutMs });
    this.#reader = new StreamReader({ client: this.#client, stream, clock, requestTimeoutMs });
    const bufferedTimeMs = Math.min(recordMaxBufferedTimeMs, recordTtlMs / 2);
    this.#times = { bufferedTimeMs, recordTtlMs };
    const togetherMs = Math.min(TOGETHER_MS, bufferedTimeMs * TOGETHER_SHARE);
    this.#pipeline = new Pipeline({ ...resolved, togetherMs });
    this.#onTimer();
  }

  /** User records put and not settled. */
  get outstandingRecordCount(): number {
    return this.#outstandingCount;
  }

  /** Their bytes, data and partition keys. */
  get outstandingBytes(): number {
    return this.#outstandingBytes;
  }

  /** Resolves when there is room for more: less than half of the outstanding bounds is used. Never rejects. */
  get ready(): Promise<void> {
    if (!this.#isPressed()) return Promise.resolve();
    this.#ready ??= deferred();
    return this.#ready.promise;
  }

  /**
   * Puts a user record; its data is copied. Resolves when it is in the stream, rejects with a PutError, which holds the
   * record: `BUFFER_FULL` (retryable, at once), `EXPIRED`, `THROTTLED` (with failIfThrottled), `REQUEST_FAILED`, `STREAM_NOT_FOUND`,
   * `ACCESS_DENIED`, `CLOSED`.
   * @throws UsageError at the call, for a record that can't be put.
   */
  put(input: UserRecordInput): Promise<PutResult>;
  /**
   * The same, and tells the callback instead of a promise: for whom a promise a record is too dear. The callback is called
   * once, never before the call returns; what it throws is an uncaught exception, as with any callback.
   */
  put(input: UserRecordInput, onSettled: OnSettled): void;
  put(input: UserRecordInput, onSettled?: OnSettled): Promise<PutResult> | undefined {
    const record = this.#check(input, onSettled);
    if (onSettled === undefined)
      return new Promise((onSuccess, onFailure) => this.#admit(record, { onSuccess, onFailure }));
    this.#admit(record, settleBy(onSettled));
    return undefined;
  }

  /**
   * Puts what comes, waiting for room in between, then flushes. Resolves when all of it is in the stream. A record that fails
   * ends it when the next one is read, unless `onFailure` takes it: the promise rejects with its PutError once what was put has settled.
   * What the source throws, or a UsageError for one of its records, rejects it in the same way.
   */
  putAll(
    source: AsyncIterable<UserRecordInput> | Iterable<UserRecordInput>,
    options?: PutAllOptions,
  ): Promise<PutAllResult> {
    return putAll(this, source, options);
  }

  /** A Writable of user records, in object mode: it takes no more while there is no room, and its end waits until all has settled. */
  createWriteStream(options?: PutAllOptions): Writable {
    return createPutStream(this, options);
  }

  /** Sends what waits for company. Resolves when every record put before the call has settled, however. Never rejects. */
  flush(): Promise<void> {
    const settled = this.#settledSoFar();
    if (this.#outstandingCount > 0) this.#drive(() => this.#pipeline.flush(this.#options.clock.now()));
    return settled;
  }

  /**
   * Takes no more records, delivers what is outstanding, and resolves when nothing is left: no timer, no request. After
   * `timeoutMs` what is left is rejected with `CLOSED`, each record in its error's hand. Later calls join the first.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const { timeoutMs } = options;
    if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
      throw new UsageError('timeoutMs', 'a number from 0', describe(timeoutMs));
    }
    this.#closed ??= this.#close(timeoutMs);
    return this.#closed;
  }

  /** Flushes, then closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(input: UserRecordInput, onSettled: OnSettled | undefined): UserRecord {
    if (onSettled !== undefined && typeof onSettled !== 'function') {
      throw new UsageError('onSettled', 'a function', describe(onSettled));
    }
    const record = checkUserRecord(input, this.#options.maxUserRecordSizeBytes);
    if (!record.hasKey && this.#pipeline.strategy === 'USER_PARTITION_KEY') {
      throw new UsageError('partitionKey', 'one, since the stream is not AUTO', 'none');
    }
    return record;
  }

  #admit(record: UserRecord, settle: Settle): void {
    const refusal = this.#refusal(record.sizeBytes);
    if (refusal !== undefined) {
      settle.onFailure(putError(refusal, inputOf(record)));
      return;
    }
    record.settle = settle;
    const nowMs = this.#options.clock.now();
    record.admit(++this.#lastSequence, nowMs, this.#times);
    this.#outstandingCount++;
    this.#outstandingBytes += record.sizeBytes;
    publishPut(this.#name, record);
    try {
      this.#pipeline.pressed = this.#isPressed();
      this.#perform(this.#pipeline.put(record, nowMs));
      this.#setTimer();
    } catch (error) {
      this.#break(error);
    }
  }

  async #close(timeoutMs: number | undefined): Promise<void> {
    const { clock } = this.#options;
    const flushed = this.flush();
    const timeout = deferred();
    const stopTimer = timeoutMs === undefined ? undefined : clock.setTimer(timeout.resolve, timeoutMs);
    await Promise.race([flushed, timeout.promise]);
    stopTimer?.();
    if (this.#outstandingCount > 0) {
      const message = `the producer was closed before the record was delivered, after timeoutMs, ${timeoutMs}`;
      this.#perform(this.#pipeline.abandon({ code: 'CLOSED', message, retryable: true }));
    }
    this.#stop();
    if (this.#options.client === undefined) this.#client.destroy();
  }

  #stop(): void {
    this.#stopped = true;
    this.#stopTimer?.();
    this.#sender.abort();
    this.#reader.abort();
  }

  #refusal(sizeBytes: number): Failure | undefined {
    if (this.#broken !== undefined) {
      const message = 'the producer has stopped because of a bug in itself: see cause';
      return { code: 'CLOSED', message, retryable: false, cause: this.#broken };
    }
    if (this.#closed !== undefined) return { code: 'CLOSED', message: 'the producer is closed', retryable: false };
    const { maxOutstandingRecordCount, maxOutstandingBytes } = this.#options;
    const tooMany = this.#outstandingCount >= maxOutstandingRecordCount;
    if (!tooMany && this.#outstandingBytes + sizeBytes <= maxOutstandingBytes) return undefined;
    const which = tooMany
      ? `maxOutstandingRecordCount, ${maxOutstandingRecordCount}`
      : `maxOutstandingBytes, ${maxOutstandingBytes}`;
    return { code: 'BUFFER_FULL', message: `${which}, is reached: await producer.ready`, retryable: true };
  }

  #isPressed(): boolean {
    const { maxOutstandingRecordCount, maxOutstandingBytes } = this.#options;
    return (
      this.#outstandingCount >= maxOutstandingRecordCount * READY_SHARE ||
      this.#outstandingBytes >= maxOutstandingBytes * READY_SHARE
    );
  }

  /** Resolves when all records put before now have settled. */
  #settledSoFar(): Promise<void> {
    if (this.#outstandingCount === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.add({ sequence: this.#lastSequence, remainingCount: this.#outstandingCount, resolve });
    });
  }

  /** The way into the pipeline: tells it whether the application waits, does what it says, sets the timer. */
  #drive(step: () => readonly Effect[]): void {
    if (this.#stopped) return;
    try {
      this.#pipeline.pressed = this.#isPressed();
      this.#perform(step());
      this.#setTimer();
    } catch (error) {
      this.#break(error);
    }
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send':
          void this.#send(effect.request);
          break;
        case 'list-shards':
          void this.#listShards();
          break;
        case 'describe-stream':
          void this.#describeStream();
          break;
        case 'delivered':
          this.#succeed(effect.kinesisRecord.records, effect.place);
          break;
        case 'failed':
          for (const record of effect.records) this.#fail(record, effect.failure);
          break;
        case 'shard-map-changed':
          publishShardMap(
            this.#name,
            effect,
            effect.state === 'failed' ? this.#askingErrors.get('ListShards') : undefined,
          );
          break;
        case 'strategy-changed':
          this.#strategyChanged(effect.state);
          break;
        case 'throttled':
          publishThrottle(this.#name, effect);
          break;
        default:
          unreachable(effect);
      }
    }
  }

  async #send(request: Request): Promise<void> {
    const { clock, random } = this.#options;
    let beganAtMs = 0;
    let entries: readonly Entry[] = [];
    const answer = await this.#sender.send(() => {
      beganAtMs = clock.now();
      this.#drive(() => {
        const begun = this.#pipeline.begin(request, beganAtMs);
        entries = begun.entries;
        return begun.effects;
      });
      if (entries.length > 0) publishRequest(this.#name, request);
      return entries;
    });
    if (answer === undefined) return;
    const endedAtMs = clock.now();
    publishAttempt(this.#name, request.requestId, entries.length, answer, endedAtMs - beganAtMs);
    this.#drive(() => this.#pipeline.answered(request.requestId, answer, endedAtMs, random.next()));
  }

  #listShards(): Promise<void> {
    return this.#ask(
      'ListShards',
      () => this.#reader.listShards(),
      (shards, nowMs) => this.#pipeline.shardsListed(shards, nowMs),
      (nowMs) => this.#pipeline.listingFailed(nowMs),
    );
  }

  #describeStream(): Promise<void> {
    return this.#ask(
      'DescribeStreamSummary',
      () => this.#reader.describe(),
      (summary, nowMs) => this.#pipeline.described(summary, nowMs),
      (nowMs) => this.#pipeline.describingFailed(nowMs),
    );
  }

  /** One warning until the question is answered, not one for every try: a missing permission is no news the second time. */
  async #ask<Answer>(
    question: Question,
    read: () => Promise<Answer>,
    answered: (answer: Answer, nowMs: number) => readonly Effect[],
    failed: (nowMs: number) => readonly Effect[],
  ): Promise<void> {
    const { clock } = this.#options;
    try {
      const answer = await read();
      this.#askingErrors.delete(question);
      this.#drive(() => answered(answer, clock.now()));
    } catch (error) {
      if (this.#stopped) return;
      this.#log[this.#askingErrors.has(question) ? 'debug' : 'warn']({ err: error }, failedQuestions[question]);
      this.#askingErrors.set(question, error);
      this.#drive(() => failed(clock.now()));
    }
  }

  #strategyChanged(state: StrategyState): void {
    if (state === 'AUTO')
      this.#log.info({ strategy: state }, 'the stream is AUTO: nothing is aggregated, no order is kept');
    else this.#log.debug({ strategy: state }, "the stream's record distribution strategy");
  }

  #setTimer(): void {
    const dueAtMs = this.#pipeline.deadline();
    const keepsAlive = this.#outstandingCount > 0;
    // A timer that fires early finds nothing due and sets the next; so it is only replaced by an earlier one.
    if (this.#stopTimer !== undefined && dueAtMs >= this.#timerAtMs && keepsAlive === this.#timerKeepsAlive) return;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    if (dueAtMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#options;
    this.#timerAtMs = dueAtMs;
    this.#timerKeepsAlive = keepsAlive;
    this.#stopTimer = clock.setTimer(this.#onTimer, Math.max(0, dueAtMs - clock.now()), keepsAlive);
  }

  readonly #onTimer = (): void => {
    this.#stopTimer = undefined;
    this.#drive(() => this.#pipeline.expire(this.#options.clock.now()));
  };

  #succeed(records: readonly UserRecord[], place: Place): void {
    const aggregated = records.length > 1;
    let subSequenceNumber = 0;
    for (const record of records) {
      const result = putResult(record, place, aggregated ? subSequenceNumber++ : undefined);
      publishSettle(this.#name, record, place.endedAtMs - record.putAtMs, result);
      // Before the callback, which may put again.
      this.#forget(record);
      record.settle.onSuccess(result);
    }
  }

  #fail(record: UserRecord, failure: Failure): void {
    const error = putError(failure, inputOf(record), record.attempts, record.mayBeWritten);
    publishSettle(this.#name, record, this.#options.clock.now() - record.putAtMs, error);
    this.#forget(record);
    record.settle.onFailure(error);
  }

  /** The record has settled: it counts no more. */
  #forget(record: UserRecord): void {
    this.#outstandingCount--;
    this.#outstandingBytes -= record.sizeBytes;
    for (const waiter of this.#waiters) {
      if (record.sequence > waiter.sequence || --waiter.remainingCount > 0) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
    if (this.#ready !== undefined && !this.#isPressed()) {
      this.#ready.resolve();
      this.#ready = undefined;
    }
  }

  /** A bug of ours: stop, and let nobody wait for ever. */
  #break(error: unknown): void {
    this.#broken = error;
    this.#log.error({ err: error }, 'the producer has stopped because of a bug in itself');
    this.#stop();
    const message = 'the producer has stopped because of a bug in itself: see cause';
    this.#perform(this.#pipeline.abandon({ code: 'CLOSED', message, retryable: false, cause: error }));
  }
}

function makeClient({ stream, maxRequestsInFlight, requestTimeoutMs }: ResolvedOptions): KinesisClient {
  const region = stream.region === undefined ? {} : { region: stream.region };
  return createKinesisClient({ ...region, maxAttempts: 1, maxSockets: maxRequestsInFlight + 1, requestTimeoutMs });
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: (() => void) | undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  invariant(resolve !== undefined, 'a promise calls its executor at once');
  return { promise, resolve };
}

// The producer that applications use: the beginning of a user record's way. It checks and admits records within the bounds and hands
// them to the stream's driver, which settles them. No decision about delivery is made here.
// Invariants: every promise of `put` settles exactly once; not more is outstanding than the bounds allow; after `close` no timer,
// no request and, if it made the client itself, no socket is left.
import type { Writable } from 'node:stream';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createKinesisClient, describe, type Logger, type MetricsSink, UsageError } from '@shardline/common';
import { type ProducerName, publishPut } from './events.ts';
import { createPutStream, type PutAllOptions, type PutAllResult, putAll, settleBy } from './faces.ts';
import { type MetricsQuery, MetricsReport, type ProducerMetric } from './metrics-report.ts';
import { MetricsUpload } from './metrics-upload.ts';
import { type ProducerOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { deferred, Outstanding } from './outstanding.ts';
import { Sender } from './sender.ts';
import { StreamDriver } from './stream-driver.ts';
import { StreamReader } from './stream-reader.ts';
import {
  checkUserRecord,
  type Failure,
  inputOf,
  type OnSettled,
  type PutResult,
  putError,
  type Settle,
  type Times,
  timesOf,
  type UserRecord,
  type UserRecordInput,
} from './user-record.ts';

/** How `close` ends. */
export interface CloseOptions {
  /** How long to wait for what is outstanding. Default: until all has settled, which recordTtlMs and requestTimeoutMs bound. */
  readonly timeoutMs?: number;
}

/** Kinesis records that are due within this time of one that leaves go with it; at most a fifth of the buffered time (as the KPL's collector). */
const TOGETHER_MS = 50;
const TOGETHER_SHARE = 0.2;

/** Records put within this time share theirs, and are of one age. */
const SAME_TIME_MS = 1;

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
  readonly #sender: Sender;
  readonly #outstanding: Outstanding;
  readonly #driver: StreamDriver;
  readonly #metrics: MetricsReport;
  readonly #upload: MetricsUpload | undefined;
  readonly #times: { readonly bufferedTimeMs: number; readonly recordTtlMs: number };
  #lastSequence = 0;
  #lastTimes: Times;
  /** Most programs use one callback for all records. */
  #lastCallback: OnSettled | undefined;
  #lastSettle: Settle | undefined;
  #closed: Promise<void> | undefined;
  #broken: unknown;

  /** Reads the list of shards at once. @throws UsageError naming the option. */
  constructor(options: ProducerOptions) {
    const resolved = resolveOptions(options);
    const { stream, clock, random, maxRequestsInFlight, requestTimeoutMs, recordMaxBufferedTimeMs, recordTtlMs } =
      resolved;
    this.#options = resolved;
    this.#name = { producer: `producer-${++madeCount}`, stream: stream.streamName };
    this.#log = resolved.logger.child({ producer: this.#name.producer });
    this.#client = resolved.client ?? makeClient(resolved);
    this.#outstanding = new Outstanding(resolved);
    this.#sender = new Sender({ client: this.#client, stream, clock, maxRequestsInFlight, requestTimeoutMs });
    const bufferedTimeMs = Math.min(recordMaxBufferedTimeMs, recordTtlMs / 2);
    this.#times = { bufferedTimeMs, recordTtlMs };
    this.#lastTimes = timesOf(clock.now(), this.#times);
    this.#metrics = new MetricsReport(resolved, clock.now());
    this.#upload = resolved.metrics && makeUpload(this.#metrics, resolved.metrics, resolved);
    const togetherMs = Math.min(TOGETHER_MS, bufferedTimeMs * TOGETHER_SHARE);
    this.#driver = new StreamDriver({
      name: this.#name,
      options: { ...resolved, togetherMs },
      clock,
      random,
      log: this.#log,
      sender: this.#sender,
      reader: new StreamReader({ client: this.#client, stream, clock, requestTimeoutMs }),
      outstanding: this.#outstanding,
      metrics: this.#metrics.stream(stream.streamName),
      onBroken: (error) => this.#break(error),
    });
  }

  /** User records put and not settled. */
  get outstandingRecordCount(): number {
    return this.#outstanding.recordCount;
  }

  /** Their bytes, data and partition keys. */
  get outstandingBytes(): number {
    return this.#outstanding.bytes;
  }

  /** Resolves when there is room for more: less than half of the outstanding bounds is used. Never rejects. */
  get ready(): Promise<void> {
    return this.#outstanding.ready;
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
    this.#admit(record, this.#settleBy(onSettled));
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

  /**
   * What has been counted (the KPL's getMetrics), since the start or in the last seconds: `metrics({ windowSeconds: 5 })`; one
   * metric by `{ name }`. @throws UsageError naming the member of the query.
   */
  metrics(query: MetricsQuery = {}): ProducerMetric[] {
    const nowMs = this.#options.clock.now();
    this.#driver.look(nowMs);
    return this.#metrics.read(query, nowMs);
  }

  /** Sends what waits for company. Resolves when every record put before the call has settled, however. Never rejects. */
  flush(): Promise<void> {
    return this.#driver.flush();
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
    if (!record.hasKey && this.#driver.strategy === 'USER_PARTITION_KEY') {
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
    record.admit(++this.#lastSequence, this.#timesAt(nowMs));
    this.#outstanding.add(record.sizeBytes);
    publishPut(this.#name, record);
    this.#driver.put(record, nowMs);
  }

  #settleBy(onSettled: OnSettled): Settle {
    if (onSettled === this.#lastCallback && this.#lastSettle !== undefined) return this.#lastSettle;
    this.#lastCallback = onSettled;
    this.#lastSettle = settleBy(onSettled);
    return this.#lastSettle;
  }

  /** Those of the last record, if it was put less than a millisecond before. */
  #timesAt(nowMs: number): Times {
    if (!(Math.abs(nowMs - this.#lastTimes.putAtMs) < SAME_TIME_MS)) this.#lastTimes = timesOf(nowMs, this.#times);
    return this.#lastTimes;
  }

  #refusal(sizeBytes: number): Failure | undefined {
    if (this.#broken !== undefined) return brokenFailure(this.#broken);
    if (this.#closed !== undefined) return { code: 'CLOSED', message: 'the producer is closed', retryable: false };
    return this.#outstanding.refusal(sizeBytes);
  }

  async #close(timeoutMs: number | undefined): Promise<void> {
    const { clock } = this.#options;
    const flushed = this.flush();
    const timeout = deferred();
    const stopTimer = timeoutMs === undefined ? undefined : clock.setTimer(timeout.resolve, timeoutMs);
    await Promise.race([flushed, timeout.promise]);
    stopTimer?.();
    if (this.outstandingRecordCount > 0) {
      const message = `the producer was closed before the record was delivered, after timeoutMs, ${timeoutMs}`;
      this.#driver.abandon({ code: 'CLOSED', message, retryable: true });
    }
    this.#stop();
    if (this.#options.client === undefined) this.#client.destroy();
  }

  #stop(): void {
    this.#driver.look(this.#options.clock.now());
    this.#driver.stop();
    this.#sender.abort();
    this.#upload?.stop();
  }

  /** A bug of ours: stop, and let nobody wait for ever. */
  #break(error: unknown): void {
    this.#broken = error;
    this.#log.error({ err: error }, 'the producer has stopped because of a bug in itself');
    this.#stop();
    this.#driver.abandon(brokenFailure(error));
  }
}

function makeUpload(report: MetricsReport, sink: MetricsSink, options: ResolvedOptions): MetricsUpload {
  const { metricsUploadDelayMs: delayMs, clock, logger: log } = options;
  return new MetricsUpload({ report, sink, delayMs, clock, log });
}

function makeClient({ stream, maxRequestsInFlight, requestTimeoutMs }: ResolvedOptions): KinesisClient {
  const region = stream.region === undefined ? {} : { region: stream.region };
  return createKinesisClient({ ...region, maxAttempts: 1, maxSockets: maxRequestsInFlight + 1, requestTimeoutMs });
}

function brokenFailure(cause: unknown): Failure {
  const message = 'the producer has stopped because of a bug in itself: see cause';
  return { code: 'CLOSED', message, retryable: false, cause };
}

// The producer that applications use: the beginning of a user record's way. It checks and admits records within the bounds, over all
// streams, and hands each to its stream's driver, which settles it. No decision about delivery is made here.
// Invariants: every promise of `put` settles exactly once; not more is outstanding than the bounds allow; after `close` no timer,
// no request and, if it made the client itself, no socket is left.
import type { Writable } from 'node:stream';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  ChunkMemory,
  checkNames,
  createKinesisClient,
  describe,
  invariant,
  type Logger,
  type MetricsSink,
  regionOf,
  type StreamIdentifier,
  UsageError,
} from '@shardline/common';
import { publishPut } from './events.ts';
import {
  CallbackSettle,
  createPutStream,
  type PutAllOptions,
  type PutAllResult,
  type Puts,
  putAll,
  type ResolvePut,
  tellFailure,
} from './faces.ts';
import { type MetricsQuery, MetricsReport, type ProducerMetric } from './metrics-report.ts';
import { MetricsUpload } from './metrics-upload.ts';
import { type ProducerOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { Outstanding } from './outstanding.ts';
import {
  type Failure,
  type OnSettled,
  type PutResult,
  putError,
  type Settle,
  type UserRecordInput,
  unheard,
} from './put.ts';
import { RoomQueue } from './room-queue.ts';
import { Sender } from './sender.ts';
import { SentMemory } from './sent-memory.ts';
import { StreamDriver } from './stream-driver.ts';
import { StreamReader } from './stream-reader.ts';
import { Streams } from './streams.ts';
import { SpareRecord, type Times, timesOf, type UserRecord } from './user-record.ts';
import { checkUserRecord, inputOf } from './user-record-input.ts';

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

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

let madeCount = 0;

/**
 * Puts user records into one stream, or several.
 *
 * ```ts
 * await using producer = new Producer({ stream: 'orders' });
 * const { shardId, sequenceNumber } = await producer.put({ partitionKey: order.id, data });
 * await producer.put({ stream: 'clicks', partitionKey: visitor.id, data });
 * ```
 */
export class Producer implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #id: string;
  readonly #log: Logger;
  readonly #client: KinesisClient;
  readonly #sender: Sender;
  readonly #outstanding: Outstanding;
  readonly #room: RoomQueue;
  readonly #puts: Puts = {
    putInTurn: (input, onSettled) => this.#putInTurn(input, onSettled),
    flush: () => this.flush(),
  };
  readonly #streams: Streams<StreamDriver>;
  readonly #defaultStream: string | undefined;
  readonly #metrics: MetricsReport;
  readonly #upload: MetricsUpload | undefined;
  readonly #memory = new ChunkMemory();
  readonly #lender: SentMemory;
  readonly #spares = new SpareRecord();
  readonly #times: { readonly bufferedTimeMs: number; readonly recordTtlMs: number };
  #lastSequence = 0;
  #lastTimes: Times;
  /** Most programs use one callback for all records. */
  #lastCallback: OnSettled | undefined;
  #lastSettle: Settle | undefined;
  /** Of the promise made last: by a function that is made once, where each put would make one. */
  #resolveOfPromise: Settle = unheard;
  readonly #keepResolve = (resolve: ResolvePut): void => {
    this.#resolveOfPromise = resolve;
  };
  #closed: Promise<void> | undefined;
  #broken: unknown;

  /** Reads the list of shards of `stream` at once. @throws UsageError naming the option. */
  constructor(options: ProducerOptions) {
    const resolved = resolveOptions(options);
    const { clock, maxRequestsInFlight, maxStreamCount, requestTimeoutMs, recordMaxBufferedTimeMs, recordTtlMs } =
      resolved;
    this.#options = resolved;
    this.#id = `producer-${++madeCount}`;
    this.#log = resolved.logger.child({ producer: this.#id });
    this.#client = resolved.client ?? makeClient(resolved);
    this.#lender = new SentMemory(this.#client);
    this.#outstanding = new Outstanding(resolved);
    this.#room = new RoomQueue(this.#outstanding, clock);
    this.#sender = new Sender({
      client: this.#client,
      memory: this.#lender,
      clock,
      maxRequestsInFlight,
      requestTimeoutMs,
      log: this.#log,
    });
    this.#times = { bufferedTimeMs: Math.min(recordMaxBufferedTimeMs, recordTtlMs / 2), recordTtlMs };
    this.#lastTimes = timesOf(clock.now(), this.#times);
    this.#metrics = new MetricsReport(resolved, clock.now());
    this.#upload = resolved.metrics && makeUpload(this.#metrics, resolved.metrics, resolved);
    this.#streams = new Streams({
      defaultStream: options.stream,
      maxStreamCount,
      make: (stream) => this.#makeDriver(stream),
      onForgotten: (driver) => this.#forgetMetrics(driver.stream),
    });
    this.#defaultStream = options.stream;
    if (options.stream !== undefined) this.#startDefault(options.stream);
    regionOf('client', this.#client).then(
      (region) => {
        if (region !== undefined) this.#streams.regionIs(region);
      },
      (error: UsageError) => {
        this.#log.error({ err: error }, 'nothing can be sent: the client has no region');
        this.#streams.hasNoRegion(error.message);
      },
    );
  }

  /** User records put and not settled. */
  get outstandingRecordCount(): number {
    return this.#outstanding.recordCount;
  }

  /** Their bytes, data and partition keys. */
  get outstandingBytes(): number {
    return this.#outstanding.bytes;
  }

  /**
   * Resolves when there is room for one more record as large as those before it: less than half of the outstanding bounds is used. Those
   * who wait at once go on one by one, in the order in which they came. Never rejects.
   */
  get ready(): Promise<void> {
    return this.#room.take() ? Promise.resolve() : new Promise((resolve) => this.#room.wait(resolve));
  }

  /**
   * Puts a user record; its data is copied. Resolves when it is in the stream, rejects with a PutError, which holds the
   * record: `BUFFER_FULL` (retryable, at once), `EXPIRED`, `THROTTLED` (with failIfThrottled), `REQUEST_FAILED`, `STREAM_NOT_FOUND`,
   * `ACCESS_DENIED`, `KEY_UNUSABLE`, `CLOSED`.
   * @throws UsageError at the call, for a record that can't be put, or a stream that can't be one of this producer's.
   */
  put(input: UserRecordInput): Promise<PutResult>;
  /**
   * The same, and tells the callback instead of a promise: for whom a promise a record is too dear. The callback is called
   * once, never before the call returns; what it throws is an uncaught exception, as with any callback.
   */
  put(input: UserRecordInput, onSettled: OnSettled): void;
  put(input: UserRecordInput, onSettled?: OnSettled): Promise<PutResult> | undefined {
    if (onSettled !== undefined && typeof onSettled !== 'function') {
      throw new UsageError('onSettled', 'a function', describe(onSettled));
    }
    const record = this.#check(input);
    const driver = this.#driverFor(record);
    if (onSettled === undefined) {
      const promise = new Promise<PutResult>(this.#keepResolve);
      this.#admit(record, driver, this.#resolveOfPromise);
      return promise;
    }
    this.#admit(record, driver, this.#settleBy(onSettled));
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
    return putAll(this.#puts, source, options);
  }

  /** A Writable of user records, in object mode: it takes no more while there is no room, and its end waits until all has settled. */
  createWriteStream(options?: PutAllOptions): Writable {
    return createPutStream(this.#puts, options);
  }

  /**
   * What has been counted (the KPL's getMetrics), since the start or in the last seconds: `metrics({ windowSeconds: 5 })`; one
   * metric by `{ name }`. A stream that was forgotten for `maxStreamCount` counts no more. @throws UsageError naming the member of the query.
   */
  metrics(query: MetricsQuery = {}): ProducerMetric[] {
    const nowMs = this.#options.clock.now();
    for (const driver of this.#streams.all()) driver.look(nowMs);
    return this.#metrics.read(query, nowMs);
  }

  /**
   * Sends what waits for company, of one stream (name or ARN) or of all. Resolves when every record put before the call has settled,
   * however. Never rejects.
   * @throws UsageError at the call, for what can't be a stream.
   */
  flush(stream?: string): Promise<void> {
    const drivers = stream === undefined ? this.#streams.all() : this.#streams.of(stream);
    const [only] = drivers;
    if (drivers.length === 1 && only !== undefined) return only.flush();
    return Promise.all(drivers.map((driver) => driver.flush())).then(() => undefined);
  }

  /**
   * Takes no more records, delivers what is outstanding, and resolves when nothing is left: no timer, no request. After
   * `timeoutMs` what is left is rejected with `CLOSED`, each record in its error's hand. Later calls join the first.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkNames(options, ['timeoutMs']);
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

  #startDefault(stream: string): void {
    const driver = this.#streams.driverOf(stream);
    invariant(driver instanceof StreamDriver, 'there is room for the first stream');
    driver.start();
  }

  #makeDriver(stream: StreamIdentifier): StreamDriver {
    const { clock, random, requestTimeoutMs } = this.#options;
    const { streamName, streamArn } = stream;
    const name = { producer: this.#id, stream: streamName, ...(streamArn === undefined ? {} : { streamArn }) };
    return new StreamDriver({
      stream,
      name,
      options: {
        ...this.#options,
        memory: this.#memory,
        lender: this.#lender,
        bufferedTimeMs: this.#times.bufferedTimeMs,
        togetherMs: Math.min(TOGETHER_MS, this.#times.bufferedTimeMs * TOGETHER_SHARE),
      },
      clock,
      random,
      log: this.#log.child({ stream: streamArn ?? streamName }),
      sender: this.#sender,
      reader: new StreamReader({ client: this.#client, stream, clock, requestTimeoutMs }),
      outstanding: this.#outstanding,
      metrics: this.#metrics.stream(streamName),
      onSettled: () => this.#room.settled(),
      onArn: (arn) => this.#streams.arnIs(stream, arn),
      onBroken: (error) => this.#break(error),
    });
  }

  #forgetMetrics({ streamName }: StreamIdentifier): void {
    // Streams of one name in two accounts are counted as one, as the KPL's dimensions have it.
    if (this.#streams.all().some(({ stream }) => stream.streamName === streamName)) return;
    this.#upload?.upload();
    this.#metrics.forget(streamName);
  }

  /** Undefined: the record was put at once. Otherwise it is put in turn, as soon as there is room. */
  #putInTurn(input: UserRecordInput, onSettled: OnSettled): Promise<void> | undefined {
    const record = this.#check(input);
    const put = (): void => this.#admit(record, this.#driverFor(record), this.#settleBy(onSettled));
    if (this.#room.take(record.sizeBytes)) {
      put();
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const putAndGoOn = (): void => {
        try {
          put();
          resolve();
        } catch (error) {
          reject(error);
        }
      };
      this.#room.wait(putAndGoOn, record.sizeBytes);
    });
  }

  #check(input: UserRecordInput): UserRecord {
    const record = checkUserRecord(input, this.#options.maxUserRecordSizeBytes, this.#spares);
    record.stream = input.stream;
    return record;
  }

  /** Or why there is none. @throws UsageError for a record that its stream can't take. */
  #driverFor(record: UserRecord): StreamDriver | Failure {
    const driver = this.#refusal(record.sizeBytes) ?? this.#streams.driverOf(record.stream);
    if (!record.hasKey && driver instanceof StreamDriver && driver.strategy === 'USER_PARTITION_KEY') {
      throw new UsageError('partitionKey', 'one, since the stream is not AUTO', 'none');
    }
    return driver;
  }

  #admit(record: UserRecord, driver: StreamDriver | Failure, settle: Settle): void {
    if (!(driver instanceof StreamDriver)) {
      const stream = record.stream ?? this.#defaultStream ?? '';
      tellFailure(settle, putError(driver, stream, inputOf(record)));
      return;
    }
    record.settle = settle;
    const nowMs = this.#options.clock.now();
    record.admit(++this.#lastSequence, this.#timesAt(nowMs));
    this.#outstanding.add(record.sizeBytes);
    this.#room.put();
    publishPut(driver.name, record);
    driver.put(record, nowMs);
    this.#spares.giveBack(record);
  }

  #settleBy(onSettled: OnSettled): Settle {
    if (onSettled === this.#lastCallback && this.#lastSettle !== undefined) return this.#lastSettle;
    this.#lastCallback = onSettled;
    this.#lastSettle = new CallbackSettle(onSettled);
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
      for (const driver of this.#streams.all()) driver.abandon({ code: 'CLOSED', message, retryable: true });
    }
    this.#stop();
    await flushed;
    if (this.#options.client === undefined) this.#client.destroy();
  }

  #stop(): void {
    for (const driver of this.#streams.all()) driver.stop();
    this.#sender.abort();
    this.#upload?.stop();
    this.#room.stop();
  }

  /** A bug of ours: stop, and let nobody wait for ever. */
  #break(error: unknown): void {
    this.#broken = error;
    this.#log.error({ err: error }, 'the producer has stopped because of a bug in itself');
    this.#stop();
    for (const driver of this.#streams.all()) {
      try {
        driver.abandon(brokenFailure(error));
      } catch (another) {
        // Those of the other streams are told all the same.
        this.#log.error({ err: another, stream: driver.name.stream }, 'records are left without an outcome');
      }
    }
  }
}

function makeUpload(report: MetricsReport, sink: MetricsSink, options: ResolvedOptions): MetricsUpload {
  const { metricsUploadDelayMs: delayMs, clock, logger: log } = options;
  return new MetricsUpload({ report, sink, delayMs, clock, log });
}

function makeClient({ stream, maxRequestsInFlight, requestTimeoutMs }: ResolvedOptions): KinesisClient {
  const region = stream?.region === undefined ? {} : { region: stream.region };
  return createKinesisClient({ ...region, maxAttempts: 1, maxSockets: maxRequestsInFlight + 1, requestTimeoutMs });
}

function brokenFailure(cause: unknown): Failure {
  const message = 'the producer has stopped because of a bug in itself: see cause';
  return { code: 'CLOSED', message, retryable: false, cause };
}

function deferred(): Deferred {
  let resolve: (() => void) | undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  invariant(resolve !== undefined, 'a promise calls its executor at once');
  return { promise, resolve };
}

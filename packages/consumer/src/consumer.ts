// The consumer as an application sees it: made, run with a handler, stopped. It puts the parts together and takes them down;
// it does no work by itself. Invariant: whatever way `run` ends, no timer, socket or promise of ours is left behind it, but for
// a handler that does not come back.
import { hostname } from 'node:os';
import {
  type BackoffOptions,
  backoffMs,
  createDynamoDBClient,
  createFanOutClient,
  createKinesisClient,
  delay,
  formatExtended,
  isShardlineError,
  OperatingError,
  type RegionOwner,
  regionOf,
  UsageError,
} from '@shardline/common';
import type { ConsumerOptions } from './consumer-options.ts';
import { control, type LeaseKeys } from './control.ts';
import { Worker } from './coordination/worker.ts';
import type { LeaseView } from './coordination/worker-view.ts';
import { deregister } from './deregister.ts';
import { type HandedOffShard, type HandOffOptions, handOff } from './hand-off.ts';
import type { Handler } from './handler.ts';
import { type BatchInHand, batchesOf } from './handling/batches.ts';
import type { HandlingOptions } from './handling/handling-options.ts';
import { type ReadHandler, readHandler } from './handling/read-handler.ts';
import { type ConsumerHealth, healthOf } from './health.ts';
import { DynamoDBLeaseTable } from './lease-table/dynamodb.ts';
import { optionNames, type ResolvedOptions, resolveOptions } from './options.ts';
import { type ReplayedShard, type ReplayOptions, replay } from './replay.ts';
import { Streams } from './retrieval/streams.ts';
import { Failures } from './runtime/failures.ts';
import { Runtime } from './runtime/runtime.ts';
import { WorkerMetrics } from './runtime/worker-metrics.ts';
import { workerOptions, workerStaleMsOf } from './worker-options.ts';

export type ConsumerState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped';

/** What an operator sees. Plain data, fit for JSON. */
export interface ConsumerView {
  readonly application: string;
  /** Names or ARNs, as the options gave them; of a list that is asked for, what it said last: `account:name:epoch`. */
  readonly streams: readonly string[];
  readonly workerId: string;
  readonly state: ConsumerState;
  /** This worker looks after the table for the whole application. */
  readonly leader: boolean;
  /** Data bytes and user records of all shards that are read and not handled; `maxPendingBytesForWorker` bounds them. */
  readonly pendingBytes: number;
  readonly pendingRecordCount: number;
  /** Since when all shards are paused. */
  readonly pausedSince: Date | undefined;
  /** Leases that it wants none of since it handed them off, `all`: no further one. Undefined: it takes what it is given. */
  readonly declines: 'all' | readonly string[] | undefined;
  readonly shards: readonly ShardView[];
}

/** One lease in this worker's hands. */
export interface ShardView {
  readonly leaseKey: string;
  readonly phase: LeaseView['phase'];
  /** As last written: a sequence number with `:sub`, or a sentinel. */
  readonly checkpoint: string;
  readonly leaseCounter: number;
  /** As in the handler's context; 0 until the lease is claimed. */
  readonly fencingToken: number;
  readonly pendingBatchCount: number;
  /** Above 1: the handler keeps throwing. */
  readonly handlerAttempt: number;
  /** As in `ShardHealth`. */
  readonly millisBehindLatest: number | undefined;
  /** As in `ShardHealth`. */
  readonly lastProgressAt: Date | undefined;
  readonly handingOffTo: string | undefined;
  /** Undefined: it is not paused. */
  readonly pausedSince: Date | undefined;
}

/** What was made for one run, and has to be taken down after it. */
interface Parts {
  readonly runtime: Runtime;
  readonly table: DynamoDBLeaseTable;
  readonly streams: Streams;
  readonly failures: Failures;
  readonly workerMetrics: WorkerMetrics | undefined;
  /** By the options that they can be given as. */
  readonly clients: readonly (readonly [string, RegionOwner])[];
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  readonly close: () => Promise<void>;
}

const OPENING_ATTEMPTS = 20;
const OPENING_BACKOFF: BackoffOptions = { baseMs: 200, maxMs: 2_000 };

/**
 * One worker of an application.
 *
 * ```ts
 * await using consumer = new Consumer({ application: 'billing', stream: 'orders' });
 * await consumer.run(async (batch, { signal }) => {
 *   for (const record of batch.records) await bill(record, { signal });
 * });
 * ```
 */
export class Consumer implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  #state: ConsumerState = 'idle';
  #parts: Parts | undefined;
  #running: Promise<void> | undefined;
  /** What `run` rejected with. */
  #failure: unknown;

  /** @throws UsageError naming the option. */
  constructor(options: ConsumerOptions) {
    this.#options = resolveOptions(options, hostname());
  }

  get workerId(): string {
    return this.#options.workerId;
  }

  /**
   * Works until `stop`, then resolves. Once only.
   * @param handler one for all shards, or a factory that makes one for each.
   * @param handling how the handler is given records, and what becomes of those that it never finishes. Default: tried for ever.
   * @throws UsageError for something that is no handler, and for a client without a region; OperatingError STREAM_NOT_FOUND, STREAMS_UNLISTED, LEASE_TABLE_FORMAT,
   * LEASE_TABLE_UNAVAILABLE, CREDENTIALS_UNAVAILABLE or ACCESS_DENIED (naming action and resource) when work can't begin, or the table is another stream's, CLOSED after `stop` or a former `run`;
   * InvariantError for a bug of ours, when everything was given up.
   */
  async run(handler: Handler, handling: HandlingOptions = {}): Promise<void> {
    await this.#begin(handler, handling);
  }

  /** @throws at once what is wrong, and then nothing has begun. */
  #begin(handler: Handler, handling: HandlingOptions): Promise<void> {
    const { checkpointing, stallWarningMs } = this.#options;
    const read = readHandler(handler, handling, checkpointing, stallWarningMs, optionNames);
    if (this.#state !== 'idle') {
      const text = `a consumer runs once, and this one is ${this.#state}`;
      throw new OperatingError('CLOSED', text, { retryable: false });
    }
    this.#state = 'starting';
    this.#running = this.#work(read);
    return this.#running;
  }

  /**
   * `run` as a loop: `for await (const batch of consumer.batches())`, one batch at a time of all shards. Asking for the next one vouches for
   * the last; leaving the loop, by `break` or by a throw, is no failure: it vouches for nothing more, so that the batch in hand is given again
   * but for what was checkpointed by hand, and stops the consumer. After `stop` the loop goes on
   * to the end of what is in hand, and ends. Its body must not await `stop`: that waits for the body.
   * @throws as `run`, in the loop, CLOSED for a second loop or one beside `run`, which goes on; OperatingError TIMEOUT when the consumer has stopped without the batch in hand.
   */
  batches(): AsyncGenerator<BatchInHand, void, undefined> {
    return batchesOf(
      (handler) => this.#begin(handler, {}),
      () => this.stop(),
    );
  }

  /**
   * Lets handlers finish, checkpoints, gives the leases up at once and resolves when nothing is left; handlers that don't return
   * in `shutdownGraceMs` have their signals aborted. May be called again and joins. Not to be awaited inside a handler.
   */
  async stop(): Promise<void> {
    if (this.#state === 'idle') this.#state = 'stopped';
    else if (this.#state === 'starting') {
      this.#state = 'stopping';
      // Whatever opening waits for ends with its port.
      await this.#parts?.close();
    } else if (this.#state === 'running') {
      this.#state = 'stopping';
      this.#parts?.runtime.stop();
    }
    // How it ended is told to the one who called `run`.
    await this.#running?.catch(() => undefined);
  }

  /**
   * From its return on no call of the handler begins on these shards, on none without keys, until `resume`; a call under way is finished, and
   * checkpointed. Their leases are kept and renewed, reads end once `maxPendingBatchCount` or the bytes are full, a shard is handed over or
   * stopped as ever (`shutdownRequested`, `leaseLost`). It is about keys in this process: a lease that leaves and comes back is still paused,
   * one that goes to another worker is read there.
   * @param leaseKeys as `view()` has them, held or not: of one stream the shard ids. Default: all, those that come later among them.
   * @throws UsageError for other things, and unless it runs.
   */
  pause(leaseKeys?: LeaseKeys): void {
    control(this.#parts?.runtime, this.#state, 'pause', leaseKeys);
  }

  /** Ends what `pause` began. @param leaseKeys default: all. While all are paused, these go on alone. @throws as `pause`. */
  resume(leaseKeys?: LeaseKeys): void {
    control(this.#parts?.runtime, this.#state, 'resume', leaseKeys);
  }

  /**
   * Tries at once what waits for its next try; and what is tried no more, since a limit stopped the shard and there is no `onFailure`, from
   * that record on with fresh attempts. A shard for which nothing waits goes on as it does.
   * @param leaseKeys default: all.
   * @throws as `pause`, and for a lease that this worker does not hold.
   */
  retry(leaseKeys?: LeaseKeys): void {
    control(this.#parts?.runtime, this.#state, 'retry', leaseKeys);
  }

  /**
   * Reads shards that this worker holds again from an earlier place. Of each the batch in hand is finished and checkpointed, in
   * `shutdownGraceMs` at most before its signal is aborted, the handler is told `shutdownRequested` and `leaseLost`; then the earlier
   * checkpoint is written on condition of the lease counter, and a tenure begins there, with `initialize` and a greater fencing token.
   * Nothing is passed over: a later place is refused. Not to be awaited inside a handler of these shards.
   * @returns what became of each: of named leases that others hold, by whom.
   * @throws UsageError unless it runs, for what is no place or a number of another shard, and of named leases for one that has ended and for a place ahead of what was
   * handled; OperatingError what Kinesis says while a time is looked for, TIMEOUT after a minute.
   */
  replay(options: ReplayOptions): Promise<readonly ReplayedShard[]> {
    const { clock, workerId } = this.#options;
    return replay({ runtime: this.#parts?.runtime, state: this.#state, workerId, clock }, options);
  }

  /**
   * Drains shards of this worker while it works on: for each another worker is looked for, the handler finishes what it has begun, in
   * `shutdownGraceMs` at most before its signal is aborted, is told `shutdownRequested` and `leaseLost`, and that worker has the lease at once.
   * It is not to come back for `awayMs`: leaders of Shardline heed that where another worker has room, a Java leader does so where all were
   * handed off. What comes back all the same is read here again. Not to be awaited inside a handler of these shards.
   * @returns what became of each. A shard for which nobody is found stays and is read on: `noHeir`.
   * @throws UsageError unless it runs, for what are no lease keys, more than 100 of them, or no time.
   */
  async handOff(options?: HandOffOptions): Promise<readonly HandedOffShard[]> {
    return handOff(this.#parts?.runtime, this.#state, options);
  }

  /**
   * Takes back what `handOff` said of the time to come back: these leases may be given to this worker again.
   * @param leaseKeys default: all, and any other.
   * @throws as `pause`, and for single leases while all are declined, since `handOff` was called without keys.
   */
  accept(leaseKeys?: LeaseKeys): void {
    control(this.#parts?.runtime, this.#state, 'accept', leaseKeys);
  }

  /**
   * Deregisters the registered consumer of enhanced fan-out, of several streams each one's, which AWS charges for by the hour: for an
   * application that will not read by it again. Only while this consumer does not run, and after all other workers of the application have
   * stopped: one that still reads by it registers it again. Nothing else ever deregisters it. One that is not there is no error.
   * @throws UsageError while it runs, and when `retrievalMode` is not `fanout`; OperatingError STREAM_NOT_FOUND for a stream that is not
   * there, ACCESS_DENIED (kinesis:DeregisterStreamConsumer), THROTTLED and others.
   */
  async deregisterStreamConsumer(): Promise<void> {
    if (this.#state !== 'idle' && this.#state !== 'stopped') {
      const why =
        'a consumer that does not run, as are all other workers of the application: those that do register it again';
      throw new UsageError('deregisterStreamConsumer', why, `one that is ${this.#state}`);
    }
    await deregister(this.#options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  view(): ConsumerView {
    const { application, from, workerId } = this.#options;
    const base = {
      application,
      streams:
        typeof from === 'function'
          ? (this.#parts?.streams.tracked ?? []).flatMap(({ streamId }) => streamId ?? [])
          : [from.stream.streamArn ?? from.stream.streamName],
      workerId,
      state: this.#state,
    };
    const runtime = this.#parts?.runtime;
    if (runtime === undefined)
      return {
        ...base,
        leader: false,
        pendingBytes: 0,
        pendingRecordCount: 0,
        pausedSince: undefined,
        declines: undefined,
        shards: [],
      };
    const { leader, leases, held, ...view } = runtime.view();
    const timeOf = (now: number | undefined): Date | undefined =>
      now === undefined ? undefined : this.#wallTimeOf(now);
    const shards = leases.map(
      (lease): ShardView => ({
        leaseKey: lease.leaseKey,
        phase: lease.phase,
        checkpoint: formatExtended(lease.checkpoint),
        leaseCounter: lease.leaseCounter,
        fencingToken: lease.fencingToken,
        pendingBatchCount: lease.pendingBatchCount,
        handlerAttempt: lease.handlerAttempt,
        millisBehindLatest: runtime.millisBehindLatest(lease.tenure),
        lastProgressAt: timeOf(lease.progressAt),
        handingOffTo: lease.handingOffTo,
        pausedSince: timeOf(lease.pausedSince),
      }),
    );
    const pending = { pendingBytes: held.bytes, pendingRecordCount: held.recordCount };
    return { ...base, leader, ...pending, pausedSince: timeOf(view.pausedSince), declines: view.declines, shards };
  }

  /** For probes: whether this consumer works, and if not, why. Asks nobody, so it may be called at any time. */
  health(): ConsumerHealth {
    const { runtime, failures, table } = this.#parts ?? {};
    const gaveUp = runtime?.failure;
    const isRunning = this.#state === 'running' || this.#state === 'stopping';
    return healthOf({
      state: gaveUp === undefined ? this.#state : 'stopping',
      failure: gaveUp ?? this.#failure,
      view: isRunning ? runtime?.view() : undefined,
      troubles: failures?.troubles() ?? [],
      tableTroubles: table?.troubles ?? [],
      givenUp: runtime?.givenUp ?? [],
      millisBehindLatest: (tenure) => runtime?.millisBehindLatest(tenure),
      wordOf: (tenure) => runtime?.wordOf(tenure),
      thrownOf: (tenure) => runtime?.thrownOf(tenure),
      stoppedOf: (tenure) => runtime?.stoppedOf(tenure),
      wallTimeOf: (now) => this.#wallTimeOf(now),
    });
  }

  #wallTimeOf(now: number): Date {
    const { clock } = this.#options;
    return new Date(clock.wallNow() - (clock.now() - now));
  }

  async #work(handler: ReadHandler): Promise<void> {
    const parts = this.#build(handler);
    this.#parts = parts;
    try {
      for (const [field, client] of parts.clients) await regionOf(field, client);
      await this.#open(parts);
      this.#initialized(true);
      if (this.#state === 'starting') {
        this.#state = 'running';
        await parts.runtime.run();
      }
    } catch (error) {
      // `stop` while opening ends what was being waited for; that is no failure of `run`.
      const stopped = this.#state === 'stopping' && error instanceof OperatingError && error.code === 'CLOSED';
      if (!stopped) {
        if (this.#state === 'starting') this.#initialized(false);
        this.#failure = error;
        throw error;
      }
    } finally {
      this.#parts = undefined;
      this.#state = 'stopped';
      await parts.close();
    }
  }

  /** KCL Scheduler.run. */
  #initialized(succeeded: boolean): void {
    this.#options.metrics.count('Initialize.Success', succeeded ? 1 : 0, { Operation: 'Scheduler:Initialize' });
  }

  /** Nothing is held yet, so what may pass is tried again, as often as the KCL tries (maxInitializationAttempts). */
  async #open({ table, streams, failures, workerMetrics, closing }: Parts): Promise<void> {
    // What becomes of it is told when the work begins.
    workerMetrics?.find().catch(() => undefined);
    const { clock, random } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const errors: unknown[] = [];
      // The one may fail while the other still waits, for a table to be made: that is told before it has.
      const failed = (error: unknown): void => {
        errors.push(error);
        if (isPassing(error)) failures.failed('opening', undefined, error, OPENING_BACKOFF.maxMs);
      };
      await Promise.all([table.open().catch(failed), streams.refresh().catch(failed)]);
      if (errors.length === 0) await this.#admit(table, streams).catch(failed);
      if (errors.length === 0) {
        failures.worked('opening', undefined);
        return;
      }
      const lasting = errors.find((error) => !isPassing(error));
      if (lasting !== undefined || attempt >= OPENING_ATTEMPTS) throw lasting ?? errors[0];
      await delay(clock, backoffMs(attempt, random.next(), OPENING_BACKOFF), closing);
    }
  }

  /** Which stream it is, and what the table holds, are known by now. */
  async #admit(table: DynamoDBLeaseTable, streams: Streams): Promise<void> {
    const findForeign = streams.findForeign.bind(streams);
    await table.admit(streams.reads, workerStaleMsOf(this.#options), findForeign);
  }

  #build(handler: ReadHandler): Parts {
    const options = this.#options;
    const { clock, logger } = options;
    // A third of the time in which a lease can still be renewed.
    const failures = new Failures({ clock, logger, patienceMs: options.failoverTimeMs / 3 });
    // The core tries again by itself, with back-off.
    const kinesis = options.kinesisClient ?? createKinesisClient({ maxAttempts: 1 });
    const dynamoDB = options.dynamoDBClient ?? createDynamoDBClient();
    const fanOutClient =
      options.fanOut?.client ?? (options.fanOut && createFanOutClient({ like: kinesis, maxAttempts: 1 }));
    const streams = new Streams({
      ...options,
      client: kinesis,
      fanOut: options.fanOut && fanOutClient && { ...options.fanOut, client: fanOutClient },
      requestTimeoutMs: options.kinesisRequestTimeoutMs,
    });
    const table = new DynamoDBLeaseTable({
      client: dynamoDB,
      tableName: options.tableName,
      coordinatorStateTableName: options.coordinatorStateTableName,
      workerMetricsTableName: options.workerMetricsTableName,
      layout: options.leaseTableLayout,
      settings: options.tableSettings,
      clientVersionConfig: options.clientVersionConfig,
      workerId: options.workerId,
      host: `${hostname()}, pid ${process.pid}`,
      failoverTimeMs: options.failoverTimeMs,
      logger,
      metrics: options.metrics,
      clock,
      requestTimeoutMs: options.dynamoDBRequestTimeoutMs,
      tableTimeoutMs: options.tableTimeoutMs,
    });
    const workerMetrics = options.disableWorkerMetrics ? undefined : workerMetricsOf(options);
    const runtime = new Runtime({
      ...options,
      failures,
      worker: new Worker(workerOptions(options)),
      table,
      streams,
      handler,
      workerMetrics,
    });
    const controller = new AbortController();
    const close = async (): Promise<void> => {
      controller.abort(new OperatingError('CLOSED', 'the consumer was stopped', { retryable: false }));
      streams.close();
      await table.close();
      if (options.kinesisClient === undefined) kinesis.destroy();
      if (options.fanOut?.client === undefined) fanOutClient?.destroy();
      if (options.dynamoDBClient === undefined) dynamoDB.destroy();
    };
    const clients: Parts['clients'] = [
      ['kinesisClient', kinesis],
      ['dynamoDBClient', dynamoDB],
      ...(fanOutClient === undefined ? [] : [['fanOutClient', fanOutClient] as const]),
    ];
    return { runtime, table, streams, failures, workerMetrics, clients, closing: controller.signal, close };
  }
}

function isPassing(error: unknown): boolean {
  return isShardlineError(error) && error.retryable;
}

function workerMetricsOf(options: ResolvedOptions): WorkerMetrics {
  return new WorkerMetrics({
    clock: options.clock,
    logger: options.logger,
    metrics: options.metrics,
    sampleIntervalMs: options.inMemoryWorkerMetricsCaptureFrequencyMs,
    maxUtilizationPercent: options.cpuMaxUtilizationPercentage,
  });
}

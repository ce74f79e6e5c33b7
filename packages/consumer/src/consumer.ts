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
  describe,
  formatExtended,
  isShardlineError,
  OperatingError,
  UsageError,
} from '@shardline/common';
import type { ConsumerOptions } from './consumer-options.ts';
import { Worker } from './coordination/worker.ts';
import type { LeaseView } from './coordination/worker-view.ts';
import type { Handler, ShardHandler } from './handler.ts';
import { type ConsumerHealth, healthOf } from './health.ts';
import { DynamoDBLeaseTable } from './lease-table/dynamodb.ts';
import { type ResolvedOptions, resolveOptions } from './options.ts';
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
  readonly shards: readonly ShardView[];
}

/** One lease in this worker's hands. */
export interface ShardView {
  readonly leaseKey: string;
  readonly phase: LeaseView['phase'];
  /** As last written: a sequence number with `:sub`, or a sentinel. */
  readonly checkpoint: string;
  readonly leaseCounter: number;
  readonly pendingBatchCount: number;
  /** Above 1: the handler keeps throwing. */
  readonly handlerAttempt: number;
  /** As in `ShardHealth`. */
  readonly millisBehindLatest: number | undefined;
  /** As in `ShardHealth`. */
  readonly lastProgressAt: Date | undefined;
  readonly handingOffTo: string | undefined;
}

/** What was made for one run, and has to be taken down after it. */
interface Parts {
  readonly runtime: Runtime;
  readonly table: DynamoDBLeaseTable;
  readonly streams: Streams;
  readonly failures: Failures;
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
   * @throws UsageError for something that is no handler; OperatingError STREAM_NOT_FOUND, LEASE_TABLE_FORMAT,
   * LEASE_TABLE_UNAVAILABLE, CREDENTIALS_UNAVAILABLE or ACCESS_DENIED (naming action and resource) when work can't begin, or the table is another stream's, CLOSED after `stop` or a former `run`;
   * InvariantError for a bug of ours, when everything was given up.
   */
  async run(handler: Handler): Promise<void> {
    const shardHandler = readHandler(handler);
    if (this.#state !== 'idle') {
      const text = `a consumer runs once, and this one is ${this.#state}`;
      throw new OperatingError('CLOSED', text, { retryable: false });
    }
    this.#state = 'starting';
    this.#running = this.#work(shardHandler);
    await this.#running;
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
    if (runtime === undefined) return { ...base, leader: false, shards: [] };
    const { leader, leases } = runtime.view();
    const shards = leases.map(
      (lease): ShardView => ({
        leaseKey: lease.leaseKey,
        phase: lease.phase,
        checkpoint: formatExtended(lease.checkpoint),
        leaseCounter: lease.leaseCounter,
        pendingBatchCount: lease.pendingBatchCount,
        handlerAttempt: lease.handlerAttempt,
        millisBehindLatest: runtime.millisBehindLatest(lease.tenure),
        lastProgressAt: lease.progressAt === undefined ? undefined : this.#wallTimeOf(lease.progressAt),
        handingOffTo: lease.handingOffTo,
      }),
    );
    return { ...base, leader, shards };
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
      millisBehindLatest: (tenure) => runtime?.millisBehindLatest(tenure),
      wordOf: (tenure) => runtime?.wordOf(tenure),
      thrownOf: (tenure) => runtime?.thrownOf(tenure),
      wallTimeOf: (now) => this.#wallTimeOf(now),
    });
  }

  #wallTimeOf(now: number): Date {
    const { clock } = this.#options;
    return new Date(clock.wallNow() - (clock.now() - now));
  }

  async #work(handler: ShardHandler): Promise<void> {
    const parts = this.#build(handler);
    this.#parts = parts;
    try {
      await this.#open(parts);
      if (this.#state === 'starting') {
        this.#state = 'running';
        await parts.runtime.run();
      }
    } catch (error) {
      // `stop` while opening ends what was being waited for; that is no failure of `run`.
      const stopped = this.#state === 'stopping' && error instanceof OperatingError && error.code === 'CLOSED';
      if (!stopped) {
        this.#failure = error;
        throw error;
      }
    } finally {
      this.#parts = undefined;
      this.#state = 'stopped';
      await parts.close();
    }
  }

  /** Nothing is held yet, so what may pass is tried again, as often as the KCL tries (maxInitializationAttempts). */
  async #open({ table, streams, failures, closing }: Parts): Promise<void> {
    const { clock, random } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const outcomes = await Promise.allSettled([table.open(), streams.refresh()]);
      const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
      if (errors.length === 0) await this.#admit(table, streams).catch((error: unknown) => errors.push(error));
      if (errors.length === 0) {
        failures.worked('opening', undefined);
        return;
      }
      const lasting = errors.find((error) => !isShardlineError(error) || !error.retryable);
      if (lasting !== undefined || attempt >= OPENING_ATTEMPTS) throw lasting ?? errors[0];
      const retryInMs = backoffMs(attempt, random.next(), OPENING_BACKOFF);
      failures.failed('opening', undefined, errors[0], retryInMs);
      await delay(clock, retryInMs, closing);
    }
  }

  /** Which stream it is, and what the table holds, are known by now. */
  async #admit(table: DynamoDBLeaseTable, streams: Streams): Promise<void> {
    const findForeign = streams.findForeign.bind(streams);
    await table.admit(streams.reads, workerStaleMsOf(this.#options), findForeign);
  }

  #build(handler: ShardHandler): Parts {
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
      clock,
      requestTimeoutMs: options.dynamoDBRequestTimeoutMs,
      tableTimeoutMs: options.tableTimeoutMs,
    });
    const runtime = new Runtime({
      ...options,
      failures,
      worker: new Worker(workerOptions(options)),
      table,
      streams,
      handler,
      workerMetrics: options.disableWorkerMetrics ? undefined : workerMetricsOf(options),
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
    return { runtime, table, streams, failures, closing: controller.signal, close };
  }
}

function workerMetricsOf(options: ResolvedOptions): WorkerMetrics {
  return new WorkerMetrics({
    clock: options.clock,
    logger: options.logger,
    sampleIntervalMs: options.inMemoryWorkerMetricsCaptureFrequencyMs,
    maxUtilizationPercent: options.cpuMaxUtilizationPercentage,
  });
}

const optionalMethods = ['initialize', 'shardEnded', 'shutdownRequested', 'leaseLost'] as const;

/** A function handles batches; an object has at least `processRecords`. */
function readHandler(handler: Handler): ShardHandler {
  if (typeof handler === 'function') return { processRecords: handler };
  if (typeof handler !== 'object' || handler === null || typeof handler.processRecords !== 'function') {
    throw new UsageError('handler', 'a function, or an object with a function processRecords', describe(handler));
  }
  for (const name of optionalMethods) {
    if (handler[name] !== undefined && typeof handler[name] !== 'function') {
      throw new UsageError(`handler.${name}`, 'a function', describe(handler[name]));
    }
  }
  return handler;
}

// The consumer's options: the KCL's names in camelCase with the unit, defaults and bounds. Read once, when the consumer is
// made; what is wrong with them is a UsageError that names the option. Transport settings belong to the SDK clients.
// Invariant: past this file every option has a valid value.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  checkFlag,
  checkPort,
  checkWord,
  describe,
  type Logger,
  MAX_RECORDS_PER_GET_RECORDS,
  type MetricsSink,
  nearestName,
  parseMultiStream,
  parseStream,
  type Random,
  resolveLogger,
  resolveMetrics,
  systemClock,
  systemRandom,
  UsageError,
} from '@shardline/common';
import { JAVA_SEES_VERSION_MS } from './coordination/client-version.ts';
import type { WorkerOptions } from './coordination/worker.ts';
import { type FormerStreamsOptions, readFormerStreams } from './former-streams.ts';
import type { ClientVersionConfig } from './lease-table/client-version.ts';
import type { TableSettings } from './lease-table/control.ts';
import { CLIENT_VERSION_KEY, LEADER_KEY, TABLE_MIGRATION_KEY } from './lease-table/item.ts';
import type { LeaseTableLayout } from './lease-table/layout.ts';
import type { ListedStream, StartOfStream, StreamsOptions } from './retrieval/streams.ts';
import { type LeaseTableOptions, readTableSettings, tableOptionNames } from './table-options.ts';

/** Where an application begins on shards that it has never read. */
export type InitialPosition = 'TRIM_HORIZON' | 'LATEST' | { readonly timestamp: Date };

/** A stream of several: its name, its ARN or the KCL's `account:name:epoch`. */
export type StreamConfig =
  | string
  | {
      readonly stream: string;
      /** Default: the consumer's. */
      readonly initialPosition?: InitialPosition;
    };

/** What `new Consumer` takes; `application` and one of `stream` and `streams` are required. */
export interface ConsumerOptions extends LeaseTableOptions, FormerStreamsOptions {
  /** The KCL's applicationName: workers of one application share the stream's shards. */
  readonly application: string;
  /** Name or ARN. Either this or `streams`. */
  readonly stream?: string;
  /**
   * The streams of an application that reads several, or a function that lists them, asked every `streamsIntervalMs`. Such an
   * application keeps other lease keys than one with `stream`: one table can't serve both.
   */
  readonly streams?: readonly StreamConfig[] | (() => readonly StreamConfig[] | Promise<readonly StreamConfig[]>);
  /** From 1000, default 60000. */
  readonly streamsIntervalMs?: number;
  /** The lease table. Default: the application's name, as in the KCL. */
  readonly tableName?: string;
  /**
   * Where the rows stand that are not leases. `auto` (the default): where the tables say that the fleet has them. `three`: in the
   * tables of the KCL 3.0 to 3.4 beside the lease table, which are made if need be. `single`: in the lease table, as in the KCL
   * 3.5; in a fleet that comes from three tables this is the KCL's `migrateAllEntitiesToLeaseTable`.
   */
  readonly leaseTableLayout?: LeaseTableLayout;
  /**
   * What becomes of a table of the KCL 1.x or 2.x. `auto` (the default): this worker takes leases as those of the KCL 2.x do, beside
   * them if any live, and once none is left the fleet goes over to a leader, on its own. `compatible-with-2x`: so on a new table,
   * too (the KCL's CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X). `3x`: a leader at once, for good; a table whose workers of the KCL 2.x
   * live is refused (CLIENT_VERSION_CONFIG_3X). A fleet that has said in its row `Migration3.0` what it speaks is joined as it is.
   */
  readonly clientVersionConfig?: ClientVersionConfig;
  /** Of the KCL 3.0 to 3.4. Default: the application's name and `-CoordinatorState`, as in the KCL. */
  readonly coordinatorStateTableName?: string;
  /** Of the KCL 3.0 to 3.4. Default: the application's name and `-WorkerMetricStats`, as in the KCL. */
  readonly workerMetricsTableName?: string;
  /** Must differ between live workers. Default: the host's name and a fresh UUID. */
  readonly workerId?: string;
  /**
   * Default TRIM_HORIZON, which leaves nothing out; the KCL's is LATEST. Only for shards without a checkpoint. With LATEST and with a
   * timestamp, the first record that is read becomes the place where every later worker begins, handled or not, Java workers
   * included. Before there is one, a worker of ours that follows another at LATEST begins when that one did, with 5 s to spare for
   * clocks that differ; a Java worker there, and ours behind a Java worker, begin at LATEST anew, as Java workers do among
   * themselves. With a timestamp that is another one at each start, so does every worker.
   */
  readonly initialPosition?: InitialPosition;
  /**
   * `auto`: what the handler has returned from is checkpointed, at most every `checkpointIntervalMs`. `manual`: only
   * `context.checkpoint` does, and a shard's end. Default `auto`.
   */
  readonly checkpointing?: 'auto' | 'manual';
  /** Stays yours. Default: `createKinesisClient` of `@shardline/common` from the environment, destroyed at the end. */
  readonly kinesisClient?: KinesisClient;
  /** Stays yours. Default: `createDynamoDBClient` of `@shardline/common` from the environment, destroyed at the end. */
  readonly dynamoDBClient?: DynamoDBClient;
  /** Any pino-shaped logger. Default: silent, unless the environment's SHARDLINE_LOG_LEVEL says otherwise. */
  readonly logger?: Logger;
  /** Default: none. */
  readonly metrics?: MetricsSink;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: the system's. */
  readonly random?: Random;

  /** How long a lease stays with a worker that no longer renews it: from 100, default 10000. Equal for all workers. */
  readonly failoverTimeMs?: number;
  /**
   * How often the leader looks at the table and balances, or a worker looks for leases to take: from 50, default 1.2 times
   * `failoverTimeMs` (KCL: twice), so that a dead worker's leases are seen to stand still after 2.4 times that at most. After a run
   * of the leader's that changed something the next one comes sooner.
   */
  readonly leaseAssignmentIntervalMs?: number;
  /**
   * How often a worker looks for leases that it was given: from 50, default 500. One query of the owner index each time, of as
   * many rows as the worker has leases. It bounds how long a shard rests while a worker hands it to another.
   */
  readonly leaseDiscoveryIntervalMs?: number;
  /** How long the leader's row lasts without a heartbeat: from 100, default three times `failoverTimeMs`. */
  readonly leaderLeaseDurationMs?: number;
  /** How often the leader looks for shards without lease: from 100, default 60000. */
  readonly shardSyncIntervalMs?: number;
  /** How often a child looks whether its parents are finished: from 50, default 2000. */
  readonly parentShardPollIntervalMs?: number;
  /** With `auto`: from 0, default 5000. */
  readonly checkpointIntervalMs?: number;
  /** How long a finished lease is kept once its children have begun: from 0, default 300000. */
  readonly completedLeaseCleanupIntervalMs?: number;
  /** From 1, default unlimited. */
  readonly maxLeasesForWorker?: number;
  /** Of a worker that has more than its share, in a fleet whose workers take leases themselves: from 1, default 1. */
  readonly maxLeasesToStealAtOneTime?: number;
  /**
   * How long the workers of the KCL 2.x must be gone before the fleet goes over to assignment by a leader: from 0, default 600000, the
   * KCL's. Until then, and after, they may come back.
   */
  readonly flipTo3xStabilizerTimeMs?: number;
  /** A worker whose leases carry more than this gets no further one: from 1, default unlimited. */
  readonly maxThroughputPerHostKBps?: number;
  /**
   * What the leader balances by: `count` (the default), the number of leases; `utilization` (the KCL's default), how busy each
   * worker says it is, or the throughput of its leases where it says nothing. Count comes to rest in one plan; utilization evens
   * uneven shards out, but where the CPU is not the worker's own (a process a core, busy neighbours) it keeps moving leases.
   */
  readonly leaseAssignmentStrategy?: 'count' | 'utilization';
  /** By utilization: how far from the average a worker may be before leases move, percent of it: 1 to 100, default 10. */
  readonly reBalanceThresholdPercentage?: number;
  /** By utilization: how much of a worker's excess moves at once, percent: 1 to 100, default 60. */
  readonly dampeningPercentage?: number;
  /** By utilization: whether a single lease may move that is more than the excess. Default true. */
  readonly allowThroughputOvershoot?: boolean;
  /**
   * By utilization: leases that are held move once in so many times `leaseAssignmentIntervalMs`, but not before every worker has
   * reported twice: from 1, default 3.
   */
  readonly varianceBalancingFrequency?: number;
  /** By utilization: the weight of a worker's last figure against those before it, percent: 1 to 100, default 50. */
  readonly workerMetricsEMAAlphaPercentage?: number;
  /** How long an old owner may finish after the leader gave the lease to another: from 0, default 30000. */
  readonly gracefulLeaseHandoffTimeoutMs?: number;
  /** Age of the metric row of a worker that is gone at which the leader deletes it, ms. Default 86400000, a day. */
  readonly staleWorkerMetricsEntryCleanupDurationMs?: number;
  /** How often a worker shows that it lives; twice that long unchanged, it gets no leases: from 100, default 30000. */
  readonly workerMetricsReportIntervalMs?: number;
  /** Whether the worker's row says nothing of its CPU; then a leader that goes by utilization takes its throughput. Default false. */
  readonly disableWorkerMetrics?: boolean;
  /** How often the CPU is looked at; a report is the mean: from 100, default 1000. */
  readonly inMemoryWorkerMetricsCaptureFrequencyMs?: number;
  /** By utilization: the CPU that the worker should stay below, percent: 1 to 100, default 100. */
  readonly cpuMaxUtilizationPercentage?: number;
  /** Batches fetched and not yet handled, a shard: from 1, default 4. */
  readonly maxPendingBatchCount?: number;
  /** Data bytes of them, a shard, beyond which nothing is fetched ahead: from 1, default 8388608. */
  readonly maxPendingBytes?: number;
  /** How long `stop` waits for handlers before it aborts their signals, and again before it gives up: from 0, default 30000. */
  readonly shutdownGraceMs?: number;
  /**
   * A lease that does not get on for so long (no read answered, no return of the handler, no checkpoint written that is due) is
   * told of, and again each time that has doubled: from 100, at least twice `idleTimeBetweenReadsMs`, default 60000. Only time in
   * which this process ran counts.
   */
  readonly stallWarningMs?: number;
  /**
   * A lease that does not get on for so long is given up: the handler's signal is aborted, and the lease goes as soon as the
   * handler has returned. From 100, at least twice `idleTimeBetweenReadsMs`, default for ever, because only the application knows how long a batch may take: one that is
   * aborted begins again from the last checkpoint. A handler that ignores its signal keeps the lease until the process ends.
   */
  readonly stallLimitMs?: number;
  /** Bound of the wait after a handler's first throw, doubled each time, with full jitter: from 1, default 500. */
  readonly handlerBackoffBaseMs?: number;
  /** Bound of the longest of those waits: from 1, default 30000. */
  readonly handlerBackoffMaxMs?: number;
  /** Kinesis records a read, and user records a batch (a single aggregate may hold more): 1 to 10000, default 10000. */
  readonly maxRecordsPerRead?: number;
  /** The pause between reads at the tip of a shard: from 200, default 1000 (KCL: 1500). Behind it, reads follow every 200 ms. */
  readonly idleTimeBetweenReadsMs?: number;
  /** One call to Kinesis: from 10, default 30000. */
  readonly kinesisRequestTimeoutMs?: number;
  /** One call to DynamoDB: from 10, default half of `failoverTimeMs` but 1000 to 10000 (KCL: 60000). */
  readonly dynamoDBRequestTimeoutMs?: number;
  /** Until a table that is being made is ACTIVE: from 100, default 600000. */
  readonly tableTimeoutMs?: number;
}

interface Bounds {
  /** By default, given the failover time. */
  readonly byDefault: (failoverTimeMs: number) => number;
  readonly min: number;
  readonly max?: number;
}

const always = (value: number) => (): number => value;

/** The options that are numbers. */
type NumberName = {
  [K in keyof ConsumerOptions]-?: NonNullable<ConsumerOptions[K]> extends number ? K : never;
}[keyof ConsumerOptions];

const numbers: Readonly<Record<NumberName, Bounds>> = {
  failoverTimeMs: { byDefault: always(10_000), min: 100 },
  leaseAssignmentIntervalMs: {
    // Long enough for a lease that was seen to change and then stood still to be expired at the next look.
    byDefault: (failoverTimeMs) => Math.ceil(1.2 * failoverTimeMs),
    min: 50,
  },
  leaseDiscoveryIntervalMs: { byDefault: always(500), min: 50 },
  leaderLeaseDurationMs: { byDefault: (failoverTimeMs) => 3 * failoverTimeMs, min: 100 },
  shardSyncIntervalMs: { byDefault: always(60_000), min: 100 },
  streamsIntervalMs: { byDefault: always(60_000), min: 1_000 },
  formerStreamsWaitMs: { byDefault: always(Number.MAX_SAFE_INTEGER), min: 0 },
  parentShardPollIntervalMs: { byDefault: always(2_000), min: 50 },
  checkpointIntervalMs: { byDefault: always(5_000), min: 0 },
  completedLeaseCleanupIntervalMs: { byDefault: always(300_000), min: 0 },
  maxLeasesForWorker: { byDefault: always(Number.MAX_SAFE_INTEGER), min: 1 },
  maxLeasesToStealAtOneTime: { byDefault: always(1), min: 1 },
  flipTo3xStabilizerTimeMs: { byDefault: always(600_000), min: 0 },
  maxThroughputPerHostKBps: { byDefault: always(Number.MAX_SAFE_INTEGER), min: 1 },
  reBalanceThresholdPercentage: { byDefault: always(10), min: 1, max: 100 },
  dampeningPercentage: { byDefault: always(60), min: 1, max: 100 },
  varianceBalancingFrequency: { byDefault: always(3), min: 1 },
  workerMetricsEMAAlphaPercentage: { byDefault: always(50), min: 1, max: 100 },
  gracefulLeaseHandoffTimeoutMs: { byDefault: always(30_000), min: 0 },
  staleWorkerMetricsEntryCleanupDurationMs: { byDefault: always(86_400_000), min: 60_000 },
  workerMetricsReportIntervalMs: { byDefault: always(30_000), min: 100 },
  inMemoryWorkerMetricsCaptureFrequencyMs: { byDefault: always(1_000), min: 100 },
  cpuMaxUtilizationPercentage: { byDefault: always(100), min: 1, max: 100 },
  maxPendingBatchCount: { byDefault: always(4), min: 1 },
  maxPendingBytes: { byDefault: always(8 * 1024 * 1024), min: 1 },
  shutdownGraceMs: { byDefault: always(30_000), min: 0 },
  stallWarningMs: { byDefault: always(60_000), min: 100 },
  stallLimitMs: { byDefault: always(Number.MAX_SAFE_INTEGER), min: 100 },
  handlerBackoffBaseMs: { byDefault: always(500), min: 1 },
  handlerBackoffMaxMs: { byDefault: always(30_000), min: 1 },
  maxRecordsPerRead: { byDefault: always(MAX_RECORDS_PER_GET_RECORDS), min: 1, max: MAX_RECORDS_PER_GET_RECORDS },
  idleTimeBetweenReadsMs: { byDefault: always(1_000), min: 200 },
  kinesisRequestTimeoutMs: { byDefault: always(30_000), min: 10 },
  dynamoDBRequestTimeoutMs: {
    // A call that hangs must not cost the lease.
    byDefault: (failoverTimeMs) => Math.min(10_000, Math.max(1_000, Math.floor(failoverTimeMs / 2))),
    min: 10,
  },
  tableTimeoutMs: { byDefault: always(600_000), min: 100 },
  initialLeaseTableReadCapacity: { byDefault: always(10), min: 1 },
  initialLeaseTableWriteCapacity: { byDefault: always(10), min: 1 },
};

/** The options with every value filled in. */
export interface ResolvedOptions extends Readonly<Record<NumberName, number>> {
  readonly application: string;
  readonly from: StreamsOptions['from'];
  readonly former: StreamsOptions['former'];
  readonly tableName: string;
  readonly leaseTableLayout: LeaseTableLayout;
  readonly tableSettings: TableSettings;
  readonly clientVersionConfig: ClientVersionConfig;
  readonly coordinatorStateTableName: string;
  readonly workerMetricsTableName: string;
  readonly workerId: string;
  readonly checkpointing: 'auto' | 'manual';
  readonly leaseAssignmentStrategy: 'count' | 'utilization';
  readonly allowThroughputOvershoot: boolean;
  readonly disableWorkerMetrics: boolean;
  readonly kinesisClient: KinesisClient | undefined;
  readonly dynamoDBClient: DynamoDBClient | undefined;
  readonly logger: Logger;
  readonly metrics: MetricsSink;
  readonly clock: Clock;
  readonly random: Random;
}

const otherNames = [
  'application',
  'stream',
  'streams',
  'formerStreamsLeasesDeletionStrategy',
  'formerStreams',
  'tableName',
  'leaseTableLayout',
  'clientVersionConfig',
  'coordinatorStateTableName',
  'workerMetricsTableName',
  'workerId',
  'initialPosition',
  'checkpointing',
  'leaseAssignmentStrategy',
  'allowThroughputOvershoot',
  'disableWorkerMetrics',
  'kinesisClient',
  'dynamoDBClient',
  'logger',
  'metrics',
  'clock',
  'random',
] as const;
const knownNames: readonly string[] = [...otherNames, ...tableOptionNames, ...Object.keys(numbers)];

/** A fleet that was rolled back has been seen as such by every Java worker after so long. */
const ROLL_FORWARD_MS = 2 * JAVA_SEES_VERSION_MS;
/** Waits after a call to Kinesis that failed, and between looks at the table that did. */
const FETCH_BACKOFF = { baseMs: 200, maxMs: 10_000 };
const TABLE_BACKOFF = { baseMs: 100, maxMs: 5_000 };

/**
 * @param hostName for the default worker id.
 * @throws UsageError naming the option, what it must be and what it is.
 */
export function resolveOptions(options: ConsumerOptions, hostName: string): ResolvedOptions {
  if (typeof options !== 'object' || options === null) throw new UsageError('options', 'an object', describe(options));
  for (const name of Object.keys(options)) {
    if (!knownNames.includes(name)) {
      throw new UsageError(name, 'a known option', `an unknown one${nearestName(name, knownNames)}`);
    }
  }
  const application = text('application', options.application);
  const random = checkPort('random', options.random, ['next', 'uuid']) ?? systemRandom;
  const workerId = options.workerId === undefined ? `${hostName}:${random.uuid()}` : readWorkerId(options.workerId);
  const from = readStreams(options);
  const numbersRead = readNumbers(options);
  return {
    ...numbersRead,
    application,
    from,
    former: readFormerStreams(options),
    tableName: readTableName('tableName', options.tableName, application),
    leaseTableLayout: checkWord('leaseTableLayout', options.leaseTableLayout, ['auto', 'single', 'three']) ?? 'auto',
    tableSettings: readTableSettings(options, {
      readCapacity: numbersRead.initialLeaseTableReadCapacity,
      writeCapacity: numbersRead.initialLeaseTableWriteCapacity,
    }),
    clientVersionConfig:
      checkWord('clientVersionConfig', options.clientVersionConfig, ['auto', 'compatible-with-2x', '3x']) ?? 'auto',
    coordinatorStateTableName: readTableName(
      'coordinatorStateTableName',
      options.coordinatorStateTableName,
      application,
      '-CoordinatorState',
    ),
    workerMetricsTableName: readTableName(
      'workerMetricsTableName',
      options.workerMetricsTableName,
      application,
      '-WorkerMetricStats',
    ),
    workerId,
    checkpointing: checkWord('checkpointing', options.checkpointing, ['auto', 'manual']) ?? 'auto',
    leaseAssignmentStrategy:
      checkWord('leaseAssignmentStrategy', options.leaseAssignmentStrategy, ['count', 'utilization']) ?? 'count',
    allowThroughputOvershoot: checkFlag('allowThroughputOvershoot', options.allowThroughputOvershoot, true),
    disableWorkerMetrics: checkFlag('disableWorkerMetrics', options.disableWorkerMetrics, false),
    kinesisClient: checkPort('kinesisClient', options.kinesisClient, ['send', 'destroy']),
    dynamoDBClient: checkPort('dynamoDBClient', options.dynamoDBClient, ['send', 'destroy']),
    logger: resolveLogger(options.logger, { application, worker: workerId }),
    metrics: resolveMetrics(options.metrics),
    clock: checkPort('clock', options.clock, ['now', 'wallNow', 'setTimer']) ?? systemClock,
    random,
  };
}

/** What of the options is the core's. */
export function workerOptions(options: ResolvedOptions): WorkerOptions {
  const { failoverTimeMs, handlerBackoffBaseMs, handlerBackoffMaxMs } = options;
  return {
    workerId: options.workerId,
    incarnation: options.random.uuid(),
    failoverTimeMs,
    leaseAssignmentIntervalMs: options.leaseAssignmentIntervalMs,
    leaseDiscoveryIntervalMs: options.leaseDiscoveryIntervalMs,
    leaderLeaseDurationMs: options.leaderLeaseDurationMs,
    shardSyncIntervalMs: options.shardSyncIntervalMs,
    formerStreamsWaitMs: options.formerStreamsWaitMs,
    parentShardPollIntervalMs: options.parentShardPollIntervalMs,
    checkpointIntervalMs: options.checkpointIntervalMs,
    completedLeaseCleanupIntervalMs: options.completedLeaseCleanupIntervalMs,
    maxLeasesForWorker: options.maxLeasesForWorker,
    maxThroughputPerHostKBps: options.maxThroughputPerHostKBps,
    assignmentStrategy: options.leaseAssignmentStrategy,
    reBalanceThresholdPercentage: options.reBalanceThresholdPercentage,
    dampeningPercentage: options.dampeningPercentage,
    allowThroughputOvershoot: options.allowThroughputOvershoot,
    varianceBalancingFrequency: options.varianceBalancingFrequency,
    workerMetricsEMAAlpha: options.workerMetricsEMAAlphaPercentage / 100,
    gracefulLeaseHandoffTimeoutMs: options.gracefulLeaseHandoffTimeoutMs,
    staleWorkerMetricsEntryCleanupDurationMs: options.staleWorkerMetricsEntryCleanupDurationMs,
    maxLeasesToStealAtOneTime: options.maxLeasesToStealAtOneTime,
    flipTo3xStabilizerTimeMs: options.flipTo3xStabilizerTimeMs,
    rollForwardMs: ROLL_FORWARD_MS,
    // A worker that leaves has no row any more, and holds leases for so long at most.
    strangerMs: 2 * (options.workerMetricsReportIntervalMs + options.shutdownGraceMs),
    workerMetricsReportIntervalMs: options.workerMetricsReportIntervalMs,
    // KCL: a metric row twice as old as the reporting interval is stale.
    workerStaleMs: 2 * options.workerMetricsReportIntervalMs,
    maxPendingBatchCount: options.maxPendingBatchCount,
    maxPendingBytes: options.maxPendingBytes,
    shutdownGraceMs: options.shutdownGraceMs,
    // A read at the tip of a shard is answered after the pause before it.
    stallWarningMs: Math.max(options.stallWarningMs, 2 * options.idleTimeBetweenReadsMs),
    stallLimitMs: Math.max(options.stallLimitMs, 2 * options.idleTimeBetweenReadsMs),
    // A lost answer must leave several tries before the lease runs out.
    retryMs: Math.min(1_000, failoverTimeMs / 10),
    handlerBackoff: { baseMs: handlerBackoffBaseMs, maxMs: handlerBackoffMaxMs },
    fetchBackoff: FETCH_BACKOFF,
    tableBackoff: TABLE_BACKOFF,
  };
}

function readNumbers(options: ConsumerOptions): Record<NumberName, number> {
  const read = (name: NumberName, failoverTimeMs: number): number => {
    const { byDefault, min, max = Number.MAX_SAFE_INTEGER }: Bounds = numbers[name];
    const given = options[name];
    const value = given === undefined ? byDefault(failoverTimeMs) : given;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? 'on' : `to ${max}`;
    throw new UsageError(name, `a whole number from ${min} ${upTo}`, describe(value));
  };
  const failoverTimeMs = read('failoverTimeMs', 0);
  const values = Object.keys(numbers).map((name) => [name, read(name as NumberName, failoverTimeMs)] as const);
  return Object.fromEntries(values) as Record<NumberName, number>;
}

function readStreams({ stream, streams, initialPosition }: ConsumerOptions): StreamsOptions['from'] {
  const position = readPosition(initialPosition);
  if (streams === undefined) return { stream: parseStream(stream as string), ...position };
  if (stream !== undefined) throw new UsageError('streams', 'either stream or streams', 'both');
  const read = (listed: unknown): ListedStream[] => readListed(listed, position);
  if (typeof streams === 'function') return async () => read(await streams());
  const listed = read(streams);
  if (listed.length === 0) throw new UsageError('streams', 'at least one stream', 'none');
  const names = new Set<string>();
  for (const [index, { stream: name }] of listed.entries()) {
    if (names.has(name)) throw new UsageError(`streams[${index}]`, 'each stream once', describe(name));
    names.add(name);
  }
  return async () => listed;
}

function readListed(listed: unknown, otherwise: StartOfStream): ListedStream[] {
  if (!Array.isArray(listed))
    throw new UsageError('streams', 'an array, or a function that gives one', describe(listed));
  return listed.map((each: unknown, index): ListedStream => {
    const { stream, initialPosition } = typeof each === 'string' ? { stream: each } : ((each ?? {}) as Listed);
    const field = `streams[${index}]`;
    for (const name of typeof each === 'string' ? [] : Object.keys(each ?? {})) {
      if (!listedNames.includes(name)) {
        throw new UsageError(`${field}.${name}`, 'a known option', `an unknown one${nearestName(name, listedNames)}`);
      }
    }
    if (typeof stream !== 'string')
      throw new UsageError(field, 'a stream, or { stream, initialPosition }', describe(each));
    if (stream.split(':').length === 3) parseMultiStream(stream, field);
    else parseStream(stream, field);
    return { stream, ...(initialPosition === undefined ? otherwise : readPosition(initialPosition)) };
  });
}

const listedNames = ['stream', 'initialPosition'];

interface Listed {
  readonly stream?: unknown;
  readonly initialPosition?: InitialPosition;
}

function readPosition(position: InitialPosition = 'TRIM_HORIZON'): StartOfStream {
  if (position === 'TRIM_HORIZON' || position === 'LATEST') return { initialPosition: position, timestamp: undefined };
  const timestamp = typeof position === 'object' && position !== null ? position.timestamp : undefined;
  if (timestamp instanceof Date && !Number.isNaN(timestamp.getTime())) {
    return { initialPosition: 'AT_TIMESTAMP', timestamp };
  }
  throw new UsageError('initialPosition', "'TRIM_HORIZON', 'LATEST' or { timestamp: Date }", describe(position));
}

/** Its metric row stands among the leases under this key, so it must not be the key of another row. */
function readWorkerId(given: unknown): string {
  const workerId = text('workerId', given);
  const isTaken =
    /^(.*:)?shardId-\d{12}$/.test(workerId) || [LEADER_KEY, CLIENT_VERSION_KEY, TABLE_MIGRATION_KEY].includes(workerId);
  if (!isTaken) return workerId;
  throw new UsageError('workerId', 'a name that no row of the lease table has', describe(workerId));
}

/** API_CreateTable, TableName: as given, or the application's name and a suffix. */
function readTableName(field: string, given: string | undefined, application: string, suffix = ''): string {
  const name = given === undefined ? application + suffix : given;
  if (typeof name === 'string' && /^[a-zA-Z0-9_.-]{3,255}$/.test(name)) return name;
  const culprit = given === undefined ? 'application' : field;
  const expected = `a DynamoDB table name (3 to 255 of a-z A-Z 0-9 _ . -)`;
  throw new UsageError(culprit, expected, describe(name));
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(name, 'a string that is not empty', describe(value));
}

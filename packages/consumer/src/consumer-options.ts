// What an application may say of a consumer: the KCL's names in camelCase with the unit, defaults and bounds. Types alone; `options.ts`
// reads them. The options about tables that are made, and about streams that are read no longer, stand in files of their own.
// Transport settings belong to the SDK clients.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import type { Clock, Logger, Random } from '@shardline/common';
import type { RetrievalOptions } from './fan-out-options.ts';
import type { FormerStreamsOptions } from './former-streams.ts';
import type { ClientVersionConfig } from './lease-table/client-version.ts';
import type { LeaseTableLayout } from './lease-table/layout.ts';
import type { MetricsOptions } from './metrics-selection.ts';
import type { LeaseTableOptions } from './table-options.ts';

/** Where an application begins on shards that it has never read. */
export type InitialPosition = 'TRIM_HORIZON' | 'LATEST' | { readonly timestamp: Date };

/** A stream of several: its name, its ARN or the KCL's `account:name:epoch`. */
export type StreamConfig =
  | string
  | {
      readonly stream: string;
      /** Default: the consumer's. */
      readonly initialPosition?: InitialPosition;
      /** With `retrievalMode: 'fanout'`; needed for a stream of another account. */
      readonly consumerArn?: string;
    };

/** What `new Consumer` takes; `application` and one of `stream` and `streams` are required. */
export interface ConsumerOptions extends LeaseTableOptions, FormerStreamsOptions, RetrievalOptions, MetricsOptions {
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
  /**
   * Must differ between live processes: a second one under the id of one that lives is refused (WORKER_ID_IN_USE). One that is started
   * again under its id after a crash waits 1.5 s, to be sure of that, and takes its leases up again. Default: the host's name and
   * a fresh UUID, which spares looks and waiting.
   */
  readonly workerId?: string;
  /**
   * Default TRIM_HORIZON, which leaves nothing out; the KCL's is LATEST. Only for shards without a checkpoint. With LATEST and with a
   * timestamp, the first record that is read becomes the place where every later worker begins, handled or not, Java workers
   * included. Before there is one, a worker of ours that follows another at LATEST begins when that one did, with 5 s to spare for
   * clocks that differ; a Java worker there, and ours behind a Java worker, begin at LATEST anew, as Java workers do among
   * themselves. With a timestamp that is another one at each start, so does every worker. One that is more than 5 minutes ahead is refused.
   */
  readonly initialPosition?: InitialPosition;
  /**
   * What happens when `stream` was deleted and made again under its name, so that the leases are of a stream that is gone. `stop` (the
   * default): none of its records is read; `health()` is not ready and says so, until a consumer runs with the other word. `begin-anew`:
   * the leases begin at TRIM_HORIZON of the new stream, whatever `initialPosition` says, so that nothing in it is passed over; the
   * leader does it, so say it to all workers, and only until it is done: under the application name of another stream it would begin
   * that one's leases anew. Leases of shards that the new stream never had are deleted then; with `stop` they are told of, and stay. A lease
   * that a Java worker renews is left alone. (Of `streams` each is known by its age,
   * and one that is made again is another stream, which begins by itself, at TRIM_HORIZON, too.)
   */
  readonly onStreamRecreated?: 'stop' | 'begin-anew';
  /**
   * `auto`: what the handler has returned from is checkpointed, at most every `checkpointIntervalMs`. `manual`: only
   * `context.checkpoint` does, and a shard's end. Default `auto`.
   */
  readonly checkpointing?: 'auto' | 'manual';
  /**
   * A producer may have put records of another shard into an aggregated record, as when it aggregates by an outdated list of shards.
   * `deliver` (the default): every record is delivered, by the worker of the shard it lies on; order by key is not kept for such. `kcl`:
   * the whole aggregated record is left out, the records that do belong to the shard included, as the KCL does. It is for producers
   * that send it again themselves (KPL, `@shardline/producer`), so that nothing comes twice; from others it loses records. Both are
   * counted (`StrayRecords`, `DroppedRecords`) and warned of, once a tenure of the shard.
   */
  readonly strayRecords?: 'deliver' | 'kcl';
  /** Stays yours. Default: `createKinesisClient` of `@shardline/common` from the environment, destroyed at the end. */
  readonly kinesisClient?: KinesisClient;
  /** Stays yours. Default: `createDynamoDBClient` of `@shardline/common` from the environment, destroyed at the end. */
  readonly dynamoDBClient?: DynamoDBClient;
  /** Any pino-shaped logger. Default: silent, unless the environment's SHARDLINE_LOG_LEVEL says otherwise. */
  readonly logger?: Logger;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: the system's. */
  readonly random?: Random;

  /** How long a lease stays with a worker that no longer renews it: from 100, default 10000. Equal for all workers. */
  readonly failoverTimeMs?: number;
  /**
   * How often the leader looks at the table and balances, or a worker looks for leases to take: from 50, default `failoverTimeMs`
   * (KCL: twice that; a leader looks no less often than every `failoverTimeMs`). A dead worker's leases are given away after
   * `failoverTimeMs` and this at most: when they run out before the next look, the leader looks then, too. After a run of the
   * leader's that changed something the next one comes sooner.
   */
  readonly leaseAssignmentIntervalMs?: number;
  /**
   * How often a worker looks for leases that it was given: from 50, default 500. One query of the owner index each time, of as
   * many rows as the worker has leases. It bounds how long a shard rests while a worker hands it to another.
   */
  readonly leaseDiscoveryIntervalMs?: number;
  /** How long the leader's row lasts without a heartbeat: from `failoverTimeMs`, default three times that. */
  readonly leaderLeaseDurationMs?: number;
  /** How often the leader looks for shards without lease: from 100, default 60000. */
  readonly shardSyncIntervalMs?: number;
  /** How often a child looks whether its parents are finished: from 50, default 2000. */
  readonly parentShardPollIntervalMs?: number;
  /** With `auto`: from 0, default 5000. */
  readonly checkpointIntervalMs?: number;
  /** How long a finished lease is kept once its children have begun: from 0, default 300000. */
  readonly completedLeaseCleanupIntervalMs?: number;
  /** Of any worker, as long as this one leads; give all of a fleet the same. From 1, default unlimited. */
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
  /**
   * Data bytes that all shards of this worker hold, read and not handled: from 1, default 134217728. Half is split evenly: so much each
   * shard may always hold. The other half is lent, first to shards that hold nothing. GetRecords is asked for fewer records as room gets
   * scarce, and an event that is pushed waits in its socket. A shard that holds nothing and whose next record alone is larger than what is left is
   * let in all the same, one at a time; others after 10 s in which no handler got on. (The KCL bounds each shard alone.)
   */
  readonly maxPendingBytesForWorker?: number;
  /** User records of them, shared out in the same way: from 1, default 250000. One aggregated record may pass it. */
  readonly maxPendingRecordCountForWorker?: number;
  /** How long `stop` waits for handlers before it aborts their signals, and again before it gives up: from 0, default 30000. */
  readonly shutdownGraceMs?: number;
  /**
   * A lease that does not get on for so long (no read answered, no return of the handler, no checkpoint written that is due) is
   * told of, and again each time that has doubled: from twice `idleTimeBetweenReadsMs`, with enhanced fan-out from 10000, since a shard at rest is
   * answered no more often; default 60000 or `stallLimitMs` if that is less. Only time in which this process ran counts.
   */
  readonly stallWarningMs?: number;
  /**
   * A lease that does not get on for so long is given up: the handler's signal is aborted, and the lease goes as soon as the
   * handler has returned. From `stallWarningMs` and what that is from, default for ever, because only the application knows how long a batch may take: one that is
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
  /** One call to DynamoDB: from 10 to `failoverTimeMs`, default half of `failoverTimeMs` but 1000 to 10000 (KCL: 60000). */
  readonly dynamoDBRequestTimeoutMs?: number;
  /** Until a table that is being made is ACTIVE: from 100, default 600000. */
  readonly tableTimeoutMs?: number;
}

// The consumer's options, read once, when the consumer is made: what `consumer-options.ts` lets an application say, checked and with
// every value filled in. What is wrong is a UsageError that names the option.
// Invariant: past this file every option has a valid value.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  checkFlag,
  checkNames,
  checkPort,
  checkWord,
  describe,
  type Logger,
  type MetricsSink,
  type Random,
  resolveLogger,
  systemClock,
  systemRandom,
  UsageError,
} from '@shardline/common';
import type { ConsumerOptions } from './consumer-options.ts';
import { refuseContradictions } from './contradictions.ts';
import { type ReadFanOut, readFanOut, retrievalOptionNames } from './fan-out-options.ts';
import { readFormerStreams } from './former-streams.ts';
import { handlingOptionNames } from './handling/handling-options.ts';
import type { ClientVersionConfig } from './lease-table/client-version.ts';
import type { TableSettings } from './lease-table/control.ts';
import { CLIENT_VERSION_KEY, LEADER_KEY, TABLE_MIGRATION_KEY } from './lease-table/item.ts';
import type { LeaseTableLayout } from './lease-table/layout.ts';
import { readMetrics } from './metrics-selection.ts';
import { type NumberName, numberOptions, readNumbers } from './number-options.ts';
import type { StreamsOptions } from './retrieval/streams.ts';
import { readStreams } from './stream-options.ts';
import { readTableSettings, tableOptionNames } from './table-options.ts';

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
  /** It was made up for this process. */
  readonly hasOwnWorkerId: boolean;
  readonly checkpointing: 'auto' | 'manual';
  readonly strayRecords: 'deliver' | 'kcl';
  readonly onStreamRecreated: 'stop' | 'begin-anew';
  readonly leaseAssignmentStrategy: 'count' | 'utilization';
  readonly allowThroughputOvershoot: boolean;
  readonly disableWorkerMetrics: boolean;
  /** Undefined: polling. */
  readonly fanOut: ReadFanOut | undefined;
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
  'strayRecords',
  'onStreamRecreated',
  'leaseAssignmentStrategy',
  'allowThroughputOvershoot',
  'disableWorkerMetrics',
  'kinesisClient',
  'dynamoDBClient',
  'logger',
  'metrics',
  'metricsLevel',
  'metricsEnabledDimensions',
  'clock',
  'random',
] as const;
/** Every option. */
export const optionNames: readonly string[] = [
  ...otherNames,
  ...tableOptionNames,
  ...retrievalOptionNames,
  ...Object.keys(numberOptions),
];

const hints: Readonly<Record<string, string>> = {
  ...Object.fromEntries(handlingOptionNames.map((name) => [name, 'it is an option of run(handler, options)'])),
  handler: 'it is given to run(handler, options)',
  applicationName: 'did you mean application?',
  streamName: 'did you mean stream?',
  streamArn: 'did you mean stream?',
  region: "it is the clients': kinesisClient and dynamoDBClient",
};

/**
 * @param hostName for the default worker id.
 * @throws UsageError naming the option, what it must be and what it is.
 */
export function resolveOptions(options: ConsumerOptions, hostName: string): ResolvedOptions {
  checkNames(options, optionNames, { hints });
  const application = text('application', options.application);
  const random = checkPort('random', options.random, ['next', 'uuid']) ?? systemRandom;
  const workerId = options.workerId === undefined ? `${hostName}:${random.uuid()}` : readWorkerId(options.workerId);
  const clock = checkPort('clock', options.clock, ['now', 'wallNow', 'setTimer']) ?? systemClock;
  const from = readStreams(options, clock);
  const numbersRead = readNumbers(options);
  const tables = {
    tableName: readTableName('tableName', options, ''),
    coordinatorStateTableName: readTableName('coordinatorStateTableName', options, '-CoordinatorState'),
    workerMetricsTableName: readTableName('workerMetricsTableName', options, '-WorkerMetricStats'),
  };
  refuseContradictions(options, { ...numbersRead, ...tables });
  return {
    ...numbersRead,
    ...tables,
    application,
    from,
    former: readFormerStreams(options),
    fanOut: readFanOut(options, {
      application,
      subscriptionTimeoutMs: numbersRead.subscriptionTimeoutMs,
      stream: typeof from === 'function' ? undefined : from.stream,
    }),
    leaseTableLayout: checkWord('leaseTableLayout', options.leaseTableLayout, ['auto', 'single', 'three']) ?? 'auto',
    tableSettings: readTableSettings(options, {
      readCapacity: numbersRead.initialLeaseTableReadCapacity,
      writeCapacity: numbersRead.initialLeaseTableWriteCapacity,
    }),
    clientVersionConfig:
      checkWord('clientVersionConfig', options.clientVersionConfig, ['auto', 'compatible-with-2x', '3x']) ?? 'auto',
    workerId,
    hasOwnWorkerId: options.workerId === undefined,
    checkpointing: checkWord('checkpointing', options.checkpointing, ['auto', 'manual']) ?? 'auto',
    strayRecords: checkWord('strayRecords', options.strayRecords, ['deliver', 'kcl']) ?? 'deliver',
    onStreamRecreated: checkWord('onStreamRecreated', options.onStreamRecreated, ['stop', 'begin-anew']) ?? 'stop',
    leaseAssignmentStrategy:
      checkWord('leaseAssignmentStrategy', options.leaseAssignmentStrategy, ['count', 'utilization']) ?? 'count',
    allowThroughputOvershoot: checkFlag('allowThroughputOvershoot', options.allowThroughputOvershoot, true),
    disableWorkerMetrics: checkFlag('disableWorkerMetrics', options.disableWorkerMetrics, false),
    kinesisClient: checkPort('kinesisClient', options.kinesisClient, ['send', 'destroy']),
    dynamoDBClient: checkPort('dynamoDBClient', options.dynamoDBClient, ['send', 'destroy']),
    logger: resolveLogger(options.logger, { application, worker: workerId }),
    metrics: readMetrics(options),
    clock,
    random,
  };
}

/** Its metric row stands among the leases under this key, so it must not be the key of another row. */
function readWorkerId(given: unknown): string {
  const workerId = text('workerId', given);
  const isTaken =
    /^(.*:)?shardId-\d{12}$/.test(workerId) || [LEADER_KEY, CLIENT_VERSION_KEY, TABLE_MIGRATION_KEY].includes(workerId);
  if (!isTaken) return workerId;
  throw new UsageError('workerId', 'a name that no row of the lease table has', describe(workerId));
}

/** API_CreateTable, TableName: as given, or the application's name and a suffix, which then has to make one. */
function readTableName(
  field: 'tableName' | 'coordinatorStateTableName' | 'workerMetricsTableName',
  options: ConsumerOptions,
  suffix: string,
): string {
  const given = options[field];
  const name = given === undefined ? options.application + suffix : given;
  if (typeof name === 'string' && /^[a-zA-Z0-9_.-]{3,255}$/.test(name)) return name;
  const expected = 'a DynamoDB table name (3 to 255 of a-z A-Z 0-9 _ . -)';
  if (given !== undefined) throw new UsageError(field, expected, describe(name));
  throw new UsageError('application', `${expected}, or one to be given as ${field}`, describe(name));
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(name, 'a string that is not empty', describe(value));
}

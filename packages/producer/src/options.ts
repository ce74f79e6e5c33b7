// The producer's options: their names (the KPL's, in camelCase with the unit), defaults and bounds (KPL 1.1 configuration). Read
// once, when the producer is made; what is wrong with them is a UsageError that names the option. Transport settings belong to
// the SDK client.
// Invariant: past this file every option has a valid value.
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  checkFlag,
  checkNames,
  checkPort,
  checkWholeNumber,
  checkWord,
  DEFAULT_MAX_RECORD_BYTES,
  describe,
  type Logger,
  MAX_PUT_RECORDS_BYTES,
  MAX_RECORD_BYTES,
  MAX_RECORDS_PER_PUT_RECORDS,
  type MetricsSink,
  parseStream,
  type Random,
  resolveLogger,
  resolveMetrics,
  type StreamIdentifier,
  systemClock,
  systemRandom,
  UsageError,
} from '@shardline/common';
import type { MetricsGranularity, MetricsLevel } from './metrics.ts';
import type { RecordDistributionStrategy } from './stream-strategy.ts';

/** What `new Producer` takes. */
export interface ProducerOptions {
  /** Name or ARN of the stream for puts that name none. Default: none, so each put must name its own. */
  readonly stream?: string;
  /**
   * Streams that the producer knows at once: 1 to 10000, default 100. For one more it forgets the one that was put to longest ago
   * and has no record outstanding; while there is none such, `put` rejects with `BUFFER_FULL`.
   */
  readonly maxStreamCount?: number;
  /**
   * The SDK client to use. It stays yours: the producer does not destroy it. Make it with `createKinesisClient` of
   * `@shardline/common` (the SDK's own opens a connection for every request) and with `maxAttempts: 1` (the producer does the
   * retrying). Default: one of that kind, made from the environment and destroyed by `close`.
   */
  readonly client?: KinesisClient;
  /** Any pino-shaped logger. Default: silent, unless the environment's SHARDLINE_LOG_LEVEL says otherwise. */
  readonly logger?: Logger;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: the system's. */
  readonly random?: Random;

  /**
   * `per-key`: the first copies of one key's records are in the order of their puts, whatever is tried again; at most one Kinesis
   * record of a key is under way, so a single hot key moves at one a round trip. `none`: nothing waits for another record,
   * and records of one key may overtake each other, as with the KPL. Default per-key.
   */
  readonly ordering?: 'per-key' | 'none';
  /**
   * How every stream gives records to shards, taken for granted. Default: DescribeStreamSummary says it of each; without that
   * permission nothing is aggregated.
   */
  readonly recordDistributionStrategyDefault?: RecordDistributionStrategy;
  /** How often to ask for a stream's strategy again, as long as it has records: from 1, default 300000. */
  readonly describeStreamSummaryIntervalMs?: number;
  /** Default true. */
  readonly aggregationEnabled?: boolean;
  /** User records in one Kinesis record: 1 to 2^53 − 1, default 4294967295. */
  readonly aggregationMaxCount?: number;
  /** Of one aggregated record, all included: 64 to 10485760, default 51200. */
  readonly aggregationMaxSizeBytes?: number;
  /** Kinesis records in one request: 1 to 500, default 500. */
  readonly collectionMaxCount?: number;
  /** Of one request, partition keys included: 52224 to 10485760, default 5242880. A lone larger record still goes. */
  readonly collectionMaxSizeBytes?: number;
  /** How long a user record waits for company, at most half of `recordTtlMs`: from 0, default 100. */
  readonly recordMaxBufferedTimeMs?: number;
  /** How long after its put an attempt to deliver a user record may begin: from 100, default 30000. */
  readonly recordTtlMs?: number;
  /** Share of a shard's write quota that this producer uses: from 1, default 150. */
  readonly rateLimitPercent?: number;
  /** A throttled record fails at once instead of being tried again. Default false. */
  readonly failIfThrottled?: boolean;
  /** Of one user record, data and partition key: 64 to 10485760, default 1048576. */
  readonly maxUserRecordSizeBytes?: number;
  /** How long a request may take: 100 to 600000, default 6000. */
  readonly requestTimeoutMs?: number;
  /** Requests open at once, over all streams, which take turns: 1 to 256, default 24 (the KPL's MaxConnections). */
  readonly maxRequestsInFlight?: number;
  /** Which of the KPL's metrics are counted, for `metrics()` and the sink. Default detailed: all of them. */
  readonly metricsLevel?: MetricsLevel;
  /** How far they are told apart: `global`, by `stream`, or by stream and `shard`. Default shard. */
  readonly metricsGranularity?: MetricsGranularity;
  /** Is given the metrics every `metricsUploadDelayMs`, as sums (`samples`), and a last time by `close`. Default: none. */
  readonly metrics?: MetricsSink;
  /** How often: from 1 to 60000, default 60000. */
  readonly metricsUploadDelayMs?: number;
  /** User records put and not settled, over all streams; beyond it `put` rejects, from half of it on `ready` waits: from 1, default 100000. */
  readonly maxOutstandingRecordCount?: number;
  /** The same in bytes, data and partition keys: from `maxUserRecordSizeBytes`, default 67108864. */
  readonly maxOutstandingBytes?: number;
}

/** The options with every value filled in. */
export interface ResolvedOptions
  extends Required<Omit<ProducerOptions, 'stream' | 'client' | 'metrics' | 'recordDistributionStrategyDefault'>> {
  readonly stream: StreamIdentifier | undefined;
  readonly recordDistributionStrategyDefault: RecordDistributionStrategy | undefined;
  readonly client: KinesisClient | undefined;
  readonly metrics: MetricsSink | undefined;
}

const DEFAULT_MAX_OUTSTANDING_BYTES: number = 64 * 1024 * 1024;

interface Bounds {
  readonly byDefault: number;
  readonly min: number;
  readonly max: number;
}

const numbers = {
  aggregationMaxCount: { byDefault: 4_294_967_295, min: 1, max: Number.MAX_SAFE_INTEGER },
  aggregationMaxSizeBytes: { byDefault: 51_200, min: 64, max: MAX_RECORD_BYTES },
  collectionMaxCount: { byDefault: MAX_RECORDS_PER_PUT_RECORDS, min: 1, max: MAX_RECORDS_PER_PUT_RECORDS },
  collectionMaxSizeBytes: { byDefault: 5_242_880, min: 52_224, max: MAX_PUT_RECORDS_BYTES },
  recordMaxBufferedTimeMs: { byDefault: 100, min: 0, max: Number.MAX_SAFE_INTEGER },
  recordTtlMs: { byDefault: 30_000, min: 100, max: Number.MAX_SAFE_INTEGER },
  rateLimitPercent: { byDefault: 150, min: 1, max: Number.MAX_SAFE_INTEGER },
  maxUserRecordSizeBytes: { byDefault: DEFAULT_MAX_RECORD_BYTES, min: 64, max: MAX_RECORD_BYTES },
  requestTimeoutMs: { byDefault: 6_000, min: 100, max: 600_000 },
  maxRequestsInFlight: { byDefault: 24, min: 1, max: 256 },
  metricsUploadDelayMs: { byDefault: 60_000, min: 1, max: 60_000 },
  maxStreamCount: { byDefault: 100, min: 1, max: 10_000 },
  describeStreamSummaryIntervalMs: { byDefault: 300_000, min: 1, max: Number.MAX_SAFE_INTEGER },
  maxOutstandingRecordCount: { byDefault: 100_000, min: 1, max: Number.MAX_SAFE_INTEGER },
  maxOutstandingBytes: { byDefault: DEFAULT_MAX_OUTSTANDING_BYTES, min: 1, max: Number.MAX_SAFE_INTEGER },
} as const satisfies Record<string, Bounds>;

type NumberName = keyof typeof numbers;

const otherNames = [
  ...['stream', 'client', 'logger', 'clock', 'random', 'aggregationEnabled', 'failIfThrottled'],
  ...['ordering', 'recordDistributionStrategyDefault', 'metricsLevel', 'metricsGranularity', 'metrics'],
];
const knownNames: readonly string[] = [...otherNames, ...Object.keys(numbers)];
const ofTheClient = "it is the client's: client: createKinesisClient({ … }) of @shardline/common";
/** What the SDK, the KPL or other producers have by these names. */
const hints: Readonly<Record<string, string>> = {
  streamName: 'did you mean stream?',
  streamArn: 'did you mean stream?',
  streamARN: 'did you mean stream?',
  maxConnections: 'did you mean maxRequestsInFlight?',
  maxSockets: 'did you mean maxRequestsInFlight?',
  region: ofTheClient,
  credentials: ofTheClient,
  credentialsProvider: ofTheClient,
  endpoint: ofTheClient,
  kinesisEndpoint: ofTheClient,
  connectTimeout: ofTheClient,
};

/** Checks the options and fills in the defaults. @throws UsageError naming the option. */
export function resolveOptions(options: ProducerOptions): ResolvedOptions {
  checkNames(options, knownNames, { hints });
  const { client } = options;
  if (client !== undefined && typeof Reflect.get(Object(client), 'send') !== 'function') {
    throw new UsageError('client', 'a KinesisClient of @aws-sdk/client-kinesis', describe(client));
  }
  const maxUserRecordSizeBytes = readNumber(options, 'maxUserRecordSizeBytes');
  const maxOutstandingBytes = readNumber(options, 'maxOutstandingBytes');
  if (maxOutstandingBytes < maxUserRecordSizeBytes) {
    const expected = `at least maxUserRecordSizeBytes, ${maxUserRecordSizeBytes}, or a large record could never be put`;
    throw new UsageError('maxOutstandingBytes', expected, describe(maxOutstandingBytes));
  }
  const stream = options.stream === undefined ? undefined : parseStream(options.stream);
  return {
    stream,
    client,
    logger: resolveLogger(options.logger, {}),
    clock: checkPort('clock', options.clock, ['now', 'wallNow', 'setTimer']) ?? systemClock,
    random: checkPort('random', options.random, ['next', 'uuid']) ?? systemRandom,
    ordering: checkWord('ordering', options.ordering, ['per-key', 'none']) ?? 'per-key',
    recordDistributionStrategyDefault: checkWord(
      'recordDistributionStrategyDefault',
      options.recordDistributionStrategyDefault,
      ['AUTO', 'USER_PARTITION_KEY'],
    ),
    metricsLevel: checkWord('metricsLevel', options.metricsLevel, ['none', 'summary', 'detailed']) ?? 'detailed',
    metricsGranularity:
      checkWord('metricsGranularity', options.metricsGranularity, ['global', 'stream', 'shard']) ?? 'shard',
    metrics: options.metrics === undefined ? undefined : resolveMetrics(options.metrics),
    metricsUploadDelayMs: readNumber(options, 'metricsUploadDelayMs'),
    maxStreamCount: readNumber(options, 'maxStreamCount'),
    describeStreamSummaryIntervalMs: readNumber(options, 'describeStreamSummaryIntervalMs'),
    aggregationEnabled: checkFlag('aggregationEnabled', options.aggregationEnabled, true),
    aggregationMaxCount: readNumber(options, 'aggregationMaxCount'),
    aggregationMaxSizeBytes: readNumber(options, 'aggregationMaxSizeBytes'),
    collectionMaxCount: readNumber(options, 'collectionMaxCount'),
    collectionMaxSizeBytes: readNumber(options, 'collectionMaxSizeBytes'),
    recordMaxBufferedTimeMs: readNumber(options, 'recordMaxBufferedTimeMs'),
    recordTtlMs: readNumber(options, 'recordTtlMs'),
    rateLimitPercent: readNumber(options, 'rateLimitPercent'),
    failIfThrottled: checkFlag('failIfThrottled', options.failIfThrottled, false),
    maxUserRecordSizeBytes,
    requestTimeoutMs: readNumber(options, 'requestTimeoutMs'),
    maxRequestsInFlight: readNumber(options, 'maxRequestsInFlight'),
    maxOutstandingRecordCount: readNumber(options, 'maxOutstandingRecordCount'),
    maxOutstandingBytes,
  };
}

function readNumber(options: ProducerOptions, name: NumberName): number {
  const { byDefault, min, max }: Bounds = numbers[name];
  return checkWholeNumber(name, options[name], min, max) ?? byDefault;
}

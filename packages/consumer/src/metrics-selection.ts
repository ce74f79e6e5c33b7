// Which of the consumer's metrics reach the application's sink: the KCL's levels and dimensions (MetricsConfig, metricsLevel and
// metricsEnabledDimensions). Between those who count and the sink; it adds nothing up.
// Invariant: with both at their defaults the sink itself is used, and nothing stands between.
import {
  checkWord,
  describe,
  guardMetrics,
  type MetricDimensions,
  type MetricsSink,
  noMetrics,
  resolveMetrics,
  UsageError,
} from '@shardline/common';

/** The KCL's dimensions. `StreamId` is there where the lease keys name the stream, in an application that reads several. */
export type MetricsDimension = 'Operation' | 'ShardId' | 'StreamId' | 'WorkerIdentifier';

export interface MetricsOptions {
  /** Where numbers go, under the KCL's names and dimensions: docs/metrics.md. Default: nowhere. */
  readonly metrics?: MetricsSink;
  /** `none`; `summary`: without calls one by one to Kinesis and DynamoDB, as the KCL has it; `detailed`: all. Default `detailed`. */
  readonly metricsLevel?: 'none' | 'summary' | 'detailed';
  /** Others are left out, and what they told apart comes as one. Default: all. (KCL: metricsEnabledDimensions, ALL.) */
  readonly metricsEnabledDimensions?: readonly MetricsDimension[];
}

const dimensionNames: readonly MetricsDimension[] = ['Operation', 'ShardId', 'StreamId', 'WorkerIdentifier'];

/** Of the KCL's level DETAILED, by operation; all others are SUMMARY. Without `.Success` and `.Time` where a name stands for a call. */
const detailedNames: Readonly<Record<string, ReadonlySet<string>>> = {
  ProcessTask: new Set(['KinesisDataFetcher.getRecords', 'KinesisDataFetcher.getShardIterator', 'UpdateLease']),
  ShutdownTask: new Set(['UpdateLease', 'CreateLease']),
  ShardSyncTask: new Set(['SyncShards', 'CreateLease']),
  RenewAllLeases: new Set(['RenewLease']),
  LeaseRenewerInitialize: new Set(['Fault']),
  LeaseDiscovery: new Set(['ListLeaseKeysForWorker', 'FetchNewLeases', 'NewLeasesDiscovered', 'OwnerMismatch']),
  TakeLeases: new Set(['ListLeases', 'TakeLease', 'TotalLeases', 'NeededLeases', 'LeasesToTake']),
  LeaseAssignmentManager: new Set(['LeaseAndWorkerMetricsLoad', 'ParallelyAssignLeases', 'FailedAssignmentCount']),
  LeaderDecider: new Set(['LeaderDecider:IsLeader']),
};

/** @throws UsageError naming the option. */
export function readMetrics({ metrics, metricsLevel, metricsEnabledDimensions }: MetricsOptions): MetricsSink {
  const given = resolveMetrics(metrics);
  const sink = given === noMetrics ? given : guardMetrics(given);
  const level = checkWord('metricsLevel', metricsLevel, ['none', 'summary', 'detailed']) ?? 'detailed';
  const kept = readDimensions(metricsEnabledDimensions);
  if (sink === noMetrics || level === 'none') return noMetrics;
  if (level === 'detailed' && kept === undefined) return sink;
  return new SelectedMetrics(sink, level === 'detailed', kept);
}

function readDimensions(given: MetricsOptions['metricsEnabledDimensions']): readonly string[] | undefined {
  if (given === undefined) return undefined;
  const known = dimensionNames.join(', ');
  if (!Array.isArray(given)) throw new UsageError('metricsEnabledDimensions', `an array of ${known}`, describe(given));
  for (const name of given as readonly unknown[]) {
    if (!dimensionNames.some((each) => each === name))
      throw new UsageError('metricsEnabledDimensions', `some of ${known}`, describe(name));
  }
  return given as readonly string[];
}

class SelectedMetrics implements MetricsSink {
  readonly #sink: MetricsSink;
  readonly #hasDetails: boolean;
  readonly #kept: readonly string[] | undefined;

  constructor(sink: MetricsSink, hasDetails: boolean, kept: readonly string[] | undefined) {
    this.#sink = sink;
    this.#hasDetails = hasDetails;
    this.#kept = kept;
  }

  count(...[name, value, dimensions]: Parameters<MetricsSink['count']>): void {
    if (this.#has(name, dimensions)) this.#sink.count(name, value, this.#keep(dimensions));
  }

  sample(...[name, value, unit, dimensions]: Parameters<MetricsSink['sample']>): void {
    if (this.#has(name, dimensions)) this.#sink.sample(name, value, unit, this.#keep(dimensions));
  }

  samples(...[name, statistics, unit, dimensions]: Parameters<MetricsSink['samples']>): void {
    if (this.#has(name, dimensions)) this.#sink.samples(name, statistics, unit, this.#keep(dimensions));
  }

  gauge(...[name, value, dimensions]: Parameters<MetricsSink['gauge']>): void {
    if (this.#has(name, dimensions)) this.#sink.gauge(name, value, this.#keep(dimensions));
  }

  #has(name: string, dimensions: MetricDimensions = {}): boolean {
    if (this.#hasDetails) return true;
    const detailed = detailedNames[dimensions['Operation'] ?? ''];
    // How a new lease begins is told in the name: `CreateLease_TRIM_HORIZON.Success`.
    return detailed === undefined || !detailed.has(name.replace(/(_[A-Z_]+)?(\.(Success|Time))?$/, ''));
  }

  #keep(dimensions: MetricDimensions = {}): MetricDimensions {
    const kept = this.#kept;
    if (kept === undefined) return dimensions;
    return Object.fromEntries(Object.entries(dimensions).filter(([name]) => kept.includes(name)));
  }
}

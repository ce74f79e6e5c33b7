// The options that are numbers: what each is by default, and its bounds. Part of `options.ts`.
// Invariant: what is read here is a whole number within its bounds.
import { checkWholeNumber, MAX_RECORDS_PER_GET_RECORDS } from '@shardline/common';
import type { ConsumerOptions } from './consumer-options.ts';

interface Bounds {
  /** By default, given the failover time and what else was said. */
  readonly byDefault: (failoverTimeMs: number, given: ConsumerOptions) => number;
  readonly min: number;
  readonly max?: number;
}

const always = (value: number) => (): number => value;

/** The options that are numbers. */
export type NumberName = {
  [K in keyof ConsumerOptions]-?: NonNullable<ConsumerOptions[K]> extends number ? K : never;
}[keyof ConsumerOptions];

/** By name. */
export const numberOptions: Readonly<Record<NumberName, Bounds>> = {
  failoverTimeMs: { byDefault: always(10_000), min: 100 },
  leaseAssignmentIntervalMs: { byDefault: (failoverTimeMs) => failoverTimeMs, min: 50 },
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
  maxPendingBytesForWorker: { byDefault: always(128 * 1024 * 1024), min: 1 },
  maxPendingRecordCountForWorker: { byDefault: always(250_000), min: 1 },
  shutdownGraceMs: { byDefault: always(30_000), min: 0 },
  // Before what follows from it, so that it is named itself where it is out of bounds.
  stallLimitMs: { byDefault: always(Number.MAX_SAFE_INTEGER), min: 100 },
  stallWarningMs: {
    // Nobody who gives a lease up sooner wants to be warned of it later.
    byDefault: (_, { stallLimitMs = 60_000 }) => Math.min(60_000, stallLimitMs),
    min: 100,
  },
  handlerBackoffBaseMs: { byDefault: always(500), min: 1 },
  handlerBackoffMaxMs: { byDefault: always(30_000), min: 1 },
  maxRecordsPerRead: { byDefault: always(MAX_RECORDS_PER_GET_RECORDS), min: 1, max: MAX_RECORDS_PER_GET_RECORDS },
  idleTimeBetweenReadsMs: { byDefault: always(1_000), min: 200 },
  subscriptionTimeoutMs: { byDefault: always(15_000), min: 100 },
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

/** @throws UsageError naming the option, what it must be and what it is. */
export function readNumbers(options: ConsumerOptions): Record<NumberName, number> {
  const read = (name: NumberName, failoverTimeMs: number): number => {
    const { byDefault, min, max }: Bounds = numberOptions[name];
    const given = options[name];
    const value = given === undefined ? byDefault(failoverTimeMs, options) : given;
    return checkWholeNumber(name, value, min, max) as number;
  };
  const failoverTimeMs = read('failoverTimeMs', 0);
  const values = Object.keys(numberOptions).map((name) => [name, read(name as NumberName, failoverTimeMs)] as const);
  return Object.fromEntries(values) as Record<NumberName, number>;
}

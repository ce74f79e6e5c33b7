// Options of the pure core for its tests: the consumer's defaults where time does not matter to the test, which sets the others.
import type { LeaderOptions } from '../src/coordination/leader.ts';

/** How leases are shared out. */
export const assignmentRules = {
  maxThroughputPerHostKBps: Number.POSITIVE_INFINITY,
  assignmentStrategy: 'count',
  reBalanceThresholdPercentage: 10,
  dampeningPercentage: 60,
  allowThroughputOvershoot: true,
  varianceBalancingFrequency: 3,
  workerMetricsEMAAlpha: 0.5,
} as const;

export const leaderOptions: LeaderOptions = {
  ...assignmentRules,
  workerId: 'me',
  incarnation: '00000000-0000-4000-8000-000000000001',
  formerStreamsWaitMs: Number.POSITIVE_INFINITY,
  failoverTimeMs: 10_000,
  leaseAssignmentIntervalMs: 10_000,
  leaderLeaseDurationMs: 30_000,
  shardSyncIntervalMs: 60_000,
  completedLeaseCleanupIntervalMs: 300_000,
  leaseFindingMs: 1_250,
  gracefulLeaseHandoffTimeoutMs: 30_000,
  workerMetricsReportIntervalMs: 30_000,
  workerStaleMs: 60_000,
  staleWorkerMetricsEntryCleanupDurationMs: 86_400_000,
  maxLeasesForWorker: 1_000,
  retryMs: 100,
};

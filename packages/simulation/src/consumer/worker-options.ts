// What the workers of a simulated world are told: times a tenth or less of the usual ones, and limits that do not bind.
import type { WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import { leaseFindingMsOf } from '../../../consumer/dist/worker-options.js';
import { WIDE } from './crowded-rooms.ts';
import type { Plan } from './swarm.ts';

export const TIMES = {
  failoverTimeMs: 1000,
  leaseAssignmentIntervalMs: 600,
  leaderLeaseDurationMs: 2400,
  shardSyncIntervalMs: 2000,
  // Longer than the latest of late requests (process.ts).
  completedLeaseCleanupIntervalMs: 4000,
  gracefulLeaseHandoffTimeoutMs: 2000,
  workerMetricsReportIntervalMs: 900,
  workerStaleMs: 2000,
  staleWorkerMetricsEntryCleanupDurationMs: 5000,
  flipTo3xStabilizerTimeMs: 2500,
  rollForwardMs: 2000,
  // Longer than a worker that stops may take.
  strangerMs: 7000,
  checkpointIntervalMs: 200,
  parentShardPollIntervalMs: 300,
  shutdownGraceMs: 3000,
  retryMs: 100,
  workerIdLookIntervalMs: 100,
  // Longer than an answer that is lost is waited for.
  workerIdPatienceMs: 600,
} as const;
export const VARIANCE_BALANCING_FREQUENCY = 3;
export const REBALANCE_THRESHOLD_PERCENT = 10;

/** As the worker's own options say: workers of ours look for their leases so often. */
export function findingMsOf({ leaseDiscoveryIntervalMs }: Plan): number {
  return leaseFindingMsOf({ failoverTimeMs: TIMES.failoverTimeMs, leaseDiscoveryIntervalMs });
}

/** Field by field: spreading the times into the rest took 20 µs and more for each process. */
export function workerOptions(
  plan: Plan,
  workerId: string,
  processId: number,
  maxPendingBatchCount: number,
  beginsAnew: boolean,
): WorkerOptions {
  return {
    failoverTimeMs: TIMES.failoverTimeMs,
    leaseAssignmentIntervalMs: TIMES.leaseAssignmentIntervalMs,
    leaseFindingMs: findingMsOf(plan),
    leaderLeaseDurationMs: TIMES.leaderLeaseDurationMs,
    shardSyncIntervalMs: TIMES.shardSyncIntervalMs,
    completedLeaseCleanupIntervalMs: TIMES.completedLeaseCleanupIntervalMs,
    gracefulLeaseHandoffTimeoutMs: TIMES.gracefulLeaseHandoffTimeoutMs,
    workerMetricsReportIntervalMs: TIMES.workerMetricsReportIntervalMs,
    workerStaleMs: TIMES.workerStaleMs,
    staleWorkerMetricsEntryCleanupDurationMs: TIMES.staleWorkerMetricsEntryCleanupDurationMs,
    flipTo3xStabilizerTimeMs: TIMES.flipTo3xStabilizerTimeMs,
    rollForwardMs: TIMES.rollForwardMs,
    strangerMs: TIMES.strangerMs,
    checkpointIntervalMs: TIMES.checkpointIntervalMs,
    parentShardPollIntervalMs: TIMES.parentShardPollIntervalMs,
    shutdownGraceMs: TIMES.shutdownGraceMs,
    stallWarningMs: Number.POSITIVE_INFINITY,
    stallLimitMs: Number.POSITIVE_INFINITY,
    retryMs: TIMES.retryMs,
    // Only where two processes share an id is there anything to see.
    workerIdLookIntervalMs: Number.POSITIVE_INFINITY,
    workerIdPatienceMs: TIMES.workerIdPatienceMs,
    leaseDiscoveryIntervalMs: plan.leaseDiscoveryIntervalMs,
    workerId,
    // Its first half is that of the versions that it writes.
    incarnation: `${processId.toString(16).padStart(8, '0')}-0000-4000-8000-${processId.toString(16).padStart(12, '0')}`,
    formerStreamsWaitMs: Number.POSITIVE_INFINITY,
    beginsAnew,
    maxLeasesForWorker: 1000,
    maxLeasesToStealAtOneTime: 1,
    maxThroughputPerHostKBps: Number.POSITIVE_INFINITY,
    assignmentStrategy: plan.strategy,
    reBalanceThresholdPercentage: REBALANCE_THRESHOLD_PERCENT,
    dampeningPercentage: 60,
    allowThroughputOvershoot: true,
    varianceBalancingFrequency: VARIANCE_BALANCING_FREQUENCY,
    workerMetricsEMAAlpha: 0.5,
    maxPendingBatchCount,
    maxPendingBytes: 1000,
    maxPendingBytesForWorker: WIDE.maxPendingBytesForWorker,
    maxPendingRecordCountForWorker: WIDE.maxPendingRecordCountForWorker,
    roomPatienceMs: WIDE.roomPatienceMs,
    handlerBackoff: { baseMs: 20, maxMs: 200 },
    fetchBackoff: { baseMs: 20, maxMs: 200 },
    tableBackoff: { baseMs: 20, maxMs: 200 },
  };
}

// What of the options is the core's, and the times that follow from them. Nothing is checked here; `options.ts` did.
import { JAVA_SEES_VERSION_MS } from './coordination/client-version.ts';
import type { WorkerOptions } from './coordination/worker.ts';
import type { ResolvedOptions } from './options.ts';

/** A fleet that was rolled back has been seen as such by every Java worker after so long. */
const ROLL_FORWARD_MS = 2 * JAVA_SEES_VERSION_MS;
/** Waits after a call to Kinesis that failed, and between looks at the table that did. */
const FETCH_BACKOFF = { baseMs: 200, maxMs: 10_000 };
/** Handlers that give back none of the worker's room for so long are slow, or hang. */
const ROOM_PATIENCE_MS = 10_000;
const TABLE_BACKOFF = { baseMs: 100, maxMs: 5_000 };

/** KCL: a metric row twice as old as the reporting interval is stale. */
export function workerStaleMsOf({ workerMetricsReportIntervalMs }: ResolvedOptions): number {
  return 2 * workerMetricsReportIntervalMs;
}

/** A worker of ours finds what it was given within this part of `failoverTimeMs`: by default within a twentieth. */
const FINDING = 1 / 8;
/** So many looks for leases it may take, of a worker with our own options: one may have begun just before, or show an older state. */
const LOOKS_TO_FIND = 2;

/** When a worker of ours has found what it was given, whether or not its writes show it. */
export function leaseFindingMsOf({
  failoverTimeMs,
  leaseDiscoveryIntervalMs,
}: Pick<ResolvedOptions, 'failoverTimeMs' | 'leaseDiscoveryIntervalMs'>): number {
  return Math.max(failoverTimeMs * FINDING, LOOKS_TO_FIND * leaseDiscoveryIntervalMs);
}

/** How often a process with a worker id that was given to it looks whether another one asks for it. */
const WORKER_ID_LOOK_MS = 500;
/** So many looks it may miss. */
const LOOKS_OF_PATIENCE = 3;

/** With a very short failover time a lease would expire before anybody is done asking. */
function workerIdLookMs(failoverTimeMs: number): number {
  return Math.min(WORKER_ID_LOOK_MS, failoverTimeMs / (2 * LOOKS_OF_PATIENCE));
}

/** What of the options is the core's. */
export function workerOptions(options: ResolvedOptions): WorkerOptions {
  const polls = options.fanOut?.fallbackToPolling !== false;
  const leastStallMs = polls ? 2 * options.idleTimeBetweenReadsMs : 0;
  const { failoverTimeMs, handlerBackoffBaseMs, handlerBackoffMaxMs } = options;
  return {
    workerId: options.workerId,
    incarnation: options.random.uuid(),
    failoverTimeMs,
    workerIdLookIntervalMs: options.hasOwnWorkerId ? Number.POSITIVE_INFINITY : workerIdLookMs(failoverTimeMs),
    workerIdPatienceMs: LOOKS_OF_PATIENCE * workerIdLookMs(failoverTimeMs),
    leaseAssignmentIntervalMs: options.leaseAssignmentIntervalMs,
    leaseDiscoveryIntervalMs: options.leaseDiscoveryIntervalMs,
    leaseFindingMs: leaseFindingMsOf(options),
    leaderLeaseDurationMs: options.leaderLeaseDurationMs,
    shardSyncIntervalMs: options.shardSyncIntervalMs,
    formerStreamsWaitMs: options.formerStreamsWaitMs,
    beginsAnew: options.onStreamRecreated === 'begin-anew',
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
    workerStaleMs: workerStaleMsOf(options),
    maxPendingBatchCount: options.maxPendingBatchCount,
    maxPendingBytes: options.maxPendingBytes,
    maxPendingBytesForWorker: options.maxPendingBytesForWorker,
    maxPendingRecordCountForWorker: options.maxPendingRecordCountForWorker,
    roomPatienceMs: ROOM_PATIENCE_MS,
    shutdownGraceMs: options.shutdownGraceMs,
    // A read at the tip of a shard is answered after the pause before it. What was given is no less (contradictions.ts).
    stallWarningMs: Math.max(options.stallWarningMs, leastStallMs),
    stallLimitMs: Math.max(options.stallLimitMs, leastStallMs),
    // A lost answer must leave several tries before the lease runs out.
    retryMs: Math.min(1_000, failoverTimeMs / 10),
    handlerBackoff: { baseMs: handlerBackoffBaseMs, maxMs: handlerBackoffMaxMs },
    fetchBackoff: FETCH_BACKOFF,
    tableBackoff: TABLE_BACKOFF,
  };
}

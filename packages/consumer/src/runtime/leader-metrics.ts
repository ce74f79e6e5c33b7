// Counts what the KCL counts of its leader (LeaseAssignmentManager, MigrationAwareLAMDataManager, PeriodicShardSyncManager, the
// MultiStreamTracker of its Scheduler): each run from the reading of the table to the last of the assignments that it planned, or
// to its end where some of them could not be begun in time.
// Beside the runtime, told by effect-metrics.ts. Invariant: a run is told once, and what it planned belongs to no other.
import type { Notice } from '../coordination/notice.ts';
import type { KclMetrics } from './kcl-metrics.ts';

type RunPlanned = Extract<Notice, { kind: 'runPlanned' }>;

const assignment = { Operation: 'LeaseAssignmentManager' } as const;
const audit = { Operation: 'PeriodicShardSyncManager' } as const;
const tracker = { Operation: 'MultiStreamTracker' } as const;

export class LeaderMetrics {
  readonly #kcl: KclMetrics;
  #startedAt = 0;
  #loadMs = 0;
  /** As of the last run. */
  #assigns = true;
  /** Assignments that are planned and not answered yet. */
  #round: { leftCount: number; failedCount: number; isWhole: boolean; readonly startedAt: number } | undefined;

  constructor(kcl: KclMetrics) {
    this.#kcl = kcl;
  }

  /** A run begins with this reading. */
  read(startedAt: number, tookMs: number, succeeded: boolean): void {
    this.#startedAt = startedAt;
    this.#loadMs = tookMs;
    if (succeeded) return;
    this.#kcl.ran(false, tookMs, audit);
    if (!this.#assigns) return;
    this.#kcl.timed('LeaseAndWorkerMetricsLoad', tookMs, assignment);
    this.#kcl.ran(false, tookMs, assignment);
  }

  planned(run: RunPlanned): void {
    const { sink, clock } = this.#kcl;
    const { partialCount, toSyncCount, skippedCount, several } = run.streams;
    sink.gauge('NumStreamsWithPartialLeases', partialCount, audit);
    sink.gauge('NumStreamsToSync', toSyncCount, audit);
    sink.gauge('NumSkippedShardSyncTask', skippedCount, audit);
    this.#kcl.ran(true, clock.now() - this.#startedAt, audit);
    if (several !== undefined) {
      sink.gauge('ActiveStreams.Count', several.activeCount, tracker);
      sink.gauge('StreamsPendingDeletion.Count', several.pendingDeletionCount, tracker);
      sink.count('DeletedStreams.Count', several.deletedCount, tracker);
    }
    this.#assigns = run.assigns;
    if (!run.assigns) return;
    const { invalidCount, failingCount, minSupportCode } = run.rows;
    this.#kcl.timed('LeaseAndWorkerMetricsLoad', this.#loadMs, assignment);
    sink.gauge('TotalLeases', run.leaseCount, assignment);
    sink.gauge('NumWorkers', run.workerCount, assignment);
    sink.gauge('NumWorkersWithInvalidEntry', invalidCount, assignment);
    sink.gauge('NumWorkersWithFailingWorkerMetric', failingCount, assignment);
    sink.gauge('ExpiredLeases', run.availableCount, assignment);
    sink.gauge('LeaseSpillover', run.unplacedCount, assignment);
    sink.gauge('LeaseDeserializationFailureCount', run.unreadableCount, assignment);
    if (run.balancedCount !== undefined) sink.count('NumOfLeasesReassignment', run.balancedCount, assignment);
    if (minSupportCode !== undefined) sink.gauge('FleetMinSupportCode', minSupportCode, { Operation: 'WorkerMetrics' });
    this.#round = { leftCount: run.movedCount, failedCount: 0, isWhole: true, startedAt: clock.now() };
    if (run.movedCount === 0) this.#endRound();
  }

  /** One of the assignments was answered, or failed. @param applied undefined: it failed. */
  assigned(applied: boolean | undefined): void {
    const round = this.#round;
    if (round === undefined) return;
    round.leftCount -= 1;
    if (applied === undefined) round.isWhole = false;
    if (applied !== true) round.failedCount += 1;
    if (round.leftCount === 0) this.#endRound();
  }

  /** The run is over. What it could not begin any more is planned anew. */
  ended(): void {
    if (this.#round !== undefined) this.#round.isWhole = false;
    this.#endRound();
  }

  forfeited(): void {
    this.#kcl.sink.count('ForceLeaderRelease', 1, assignment);
  }

  #endRound(): void {
    if (this.#round === undefined) return;
    const { failedCount, isWhole, startedAt } = this.#round;
    this.#round = undefined;
    const now = this.#kcl.clock.now();
    this.#kcl.sink.count('FailedAssignmentCount', failedCount, assignment);
    this.#kcl.called('ParallelyAssignLeases', isWhole, now - startedAt, assignment);
    this.#kcl.ran(isWhole, now - this.#startedAt, assignment);
  }
}

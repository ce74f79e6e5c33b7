// Counts what the KCL counts of a worker's steps, under its names and dimensions (its metrics of level SUMMARY and DETAILED, without
// those of records, which delivery-report.ts counts, and of reads, which polling.ts does). Beside the runtime: it is shown each
// effect as it begins and ends, and each notice; it decides nothing.
// Invariant: nothing is kept but the round of renewals under way and what the leader saw since its last run.
import { type Clock, type MetricDimensions, type MetricsSink, noMetrics } from '@shardline/common';
import type { CreateLease, Effect } from '../coordination/effects.ts';
import type { Notice } from '../coordination/notice.ts';
import type { Results } from '../coordination/results.ts';

export interface EffectMetricsOptions {
  readonly workerId: string;
  readonly metrics: MetricsSink;
  readonly clock: Clock;
  /** How many streams the application reads. */
  readonly streamCount: () => number;
}

type Outcome = { readonly result: Results[Effect['kind']] } | undefined;

/** The KCL's dimensions of what is about a shard. Of several streams the lease key says which, before the shard. */
export function shardDimensions(Operation: string, leaseKey: string): MetricDimensions {
  const at = leaseKey.lastIndexOf(':');
  if (at < 0) return { Operation, ShardId: leaseKey };
  return { Operation, ShardId: leaseKey.slice(at + 1), StreamId: leaseKey.slice(0, at) };
}

export class EffectMetrics {
  readonly #options: EffectMetricsOptions;
  readonly #isOn: boolean;
  #leaseCount = 0;
  #isLeader = false;
  #renewingCount = 0;
  #round = { startedAt: 0, isWhole: true };
  #runStartedAt = 0;
  #holeCount = 0;

  constructor(options: EffectMetricsOptions) {
    this.#options = options;
    this.#isOn = options.metrics !== noMetrics;
  }

  began(effect: Effect): void {
    if (!this.#isOn || effect.kind !== 'renewLease') return;
    // What is renewed at once is the KCL's RenewAllLeases.
    if (this.#renewingCount === 0) this.#round = { startedAt: this.#options.clock.now(), isWhole: true };
    this.#renewingCount += 1;
  }

  /** @param outcome undefined: it failed. */
  ended(effect: Effect, startedAt: number, outcome: Outcome): void {
    if (!this.#isOn) return;
    const tookMs = this.#options.clock.now() - startedAt;
    const succeeded = outcome !== undefined;
    switch (effect.kind) {
      case 'renewLease':
        this.#called('RenewLease', succeeded, tookMs, this.#ofWorker('RenewAllLeases'));
        this.#renewed(succeeded);
        return;
      case 'checkpointLease': {
        const operation = effect.childShardIds === undefined ? 'ProcessTask' : 'ShutdownTask';
        this.#called('UpdateLease', succeeded, tookMs, shardDimensions(operation, effect.leaseKey));
        return;
      }
      case 'createLease':
        this.#called('CreateLease', succeeded, tookMs, creationDimensions(effect));
        return;
      case 'openShard':
        this.#timed('RecordProcessor.initialize.Time', tookMs, shardDimensions('InitializeTask', effect.leaseKey));
        return;
      case 'deliverBatch': {
        const result = outcome?.result as Results['deliverBatch'] | undefined;
        const handled = result !== undefined && result.rest?.kind !== 'threw';
        this.#ran(handled, tookMs, shardDimensions('ProcessTask', effect.leaseKey));
        return;
      }
      case 'drainShard':
      case 'endShard':
        this.#timed('RecordProcessor.shutdown.Time', tookMs, shardDimensions('ShutdownTask', effect.leaseKey));
        return;
      case 'discoverLeases':
        this.#discovered(outcome?.result as Results['discoverLeases'] | undefined, tookMs);
        return;
      case 'readTable':
        if (effect.for === 'leader') this.#read(startedAt, tookMs, succeeded);
        else if (effect.for === 'taker') {
          const dimensions = this.#ofWorker('TakeLeases');
          this.#called('ListLeases', succeeded, tookMs, dimensions);
          const result = outcome?.result as Results['readTable'] | undefined;
          if (result !== undefined) this.#options.metrics.gauge('TotalLeases', result.leases.length, dimensions);
        }
        return;
      case 'takeLease':
        this.#called('TakeLease', succeeded, tookMs, this.#ofWorker('TakeLeases'));
        return;
      case 'assignLease':
      case 'handOffLease':
        if (effect.tenure !== undefined) return;
        this.#called('ParallelyAssignLeases', succeeded, tookMs, assignment);
        if (!succeeded) this.#options.metrics.count('FailedAssignmentCount', 1, assignment);
        return;
      case 'listShards':
        this.#options.metrics.count('SyncShards.Success', succeeded ? 1 : 0, { Operation: 'ShardSyncTask' });
        return;
      case 'reportWorker':
        this.#ran(succeeded, tookMs, this.#ofWorker('WorkerMetricStatsReporter'));
        this.#options.metrics.gauge('LeaderDecider:IsLeader', this.#isLeader ? 1 : 0, { Operation: 'LeaderDecider' });
        return;
      default:
    }
  }

  told(notice: Notice): void {
    if (!this.#isOn) return;
    const { metrics } = this.#options;
    switch (notice.kind) {
      case 'leaseBegun':
        this.#leaseCount += 1;
        this.#held();
        return;
      case 'leaseEnded':
        this.#leaseCount -= 1;
        if (notice.reason === 'leaseLost') metrics.count('LostLeases', 1, this.#ofWorker('RenewAllLeases'));
        this.#held();
        return;
      case 'leasesTaken':
        metrics.count('TakenLeases', notice.taken + notice.stolen, this.#ofWorker('TakeLeases'));
        return;
      case 'leadershipGained':
      case 'leadershipLost':
        this.#isLeader = notice.kind === 'leadershipGained';
        metrics.gauge('LeaderDecider:IsLeader', this.#isLeader ? 1 : 0, { Operation: 'LeaderDecider' });
        return;
      case 'hole':
        this.#holeCount += 1;
        return;
      case 'runPlanned':
        this.#planned(notice);
        return;
      default:
    }
  }

  #held(): void {
    this.#options.metrics.gauge('CurrentLeases', this.#leaseCount, this.#ofWorker('RenewAllLeases'));
  }

  #renewed(succeeded: boolean): void {
    this.#renewingCount -= 1;
    if (!succeeded) this.#round.isWhole = false;
    if (this.#renewingCount > 0) return;
    const { clock, metrics } = this.#options;
    const dimensions = this.#ofWorker('RenewAllLeases');
    this.#ran(this.#round.isWhole, clock.now() - this.#round.startedAt, dimensions);
    // As the KCL does: a round without a lost lease says so.
    metrics.count('LostLeases', 0, dimensions);
    this.#held();
  }

  #discovered(result: Results['discoverLeases'] | undefined, tookMs: number): void {
    const dimensions = this.#ofWorker('LeaseDiscovery');
    this.#ran(result !== undefined, tookMs, dimensions);
    if (result !== undefined) this.#options.metrics.count('NewLeasesDiscovered', result.leases.length, dimensions);
  }

  /** A run of the leader begins with this reading. */
  #read(startedAt: number, tookMs: number, succeeded: boolean): void {
    this.#runStartedAt = startedAt;
    this.#holeCount = 0;
    this.#timed('LeaseAndWorkerMetricsLoad.Time', tookMs, assignment);
    if (!succeeded) this.#ran(false, tookMs, assignment);
  }

  #planned(run: Extract<Notice, { kind: 'runPlanned' }>): void {
    const { metrics, clock, streamCount } = this.#options;
    this.#ran(true, clock.now() - this.#runStartedAt, assignment);
    metrics.gauge('TotalLeases', run.leaseCount, assignment);
    metrics.gauge('NumWorkers', run.workerCount, assignment);
    metrics.gauge('ExpiredLeases', run.availableCount, assignment);
    metrics.gauge('LeaseSpillover', run.unplacedCount, assignment);
    metrics.count('NumOfLeasesReassignment', run.movedCount, assignment);
    metrics.gauge('LeaseDeserializationFailureCount', run.unreadableCount, assignment);
    metrics.gauge('NumStreamsWithPartialLeases', this.#holeCount, { Operation: 'PeriodicShardSyncManager' });
    metrics.gauge('ActiveStreams.Count', streamCount(), { Operation: 'MultiStreamTracker' });
  }

  #called(name: string, succeeded: boolean, tookMs: number, dimensions: MetricDimensions): void {
    this.#options.metrics.count(`${name}.Success`, succeeded ? 1 : 0, dimensions);
    this.#timed(`${name}.Time`, tookMs, dimensions);
  }

  #ran(succeeded: boolean, tookMs: number, dimensions: MetricDimensions): void {
    this.#options.metrics.count('Success', succeeded ? 1 : 0, dimensions);
    this.#timed('Time', tookMs, dimensions);
  }

  #timed(name: string, tookMs: number, dimensions: MetricDimensions): void {
    this.#options.metrics.sample(name, tookMs, 'Milliseconds', dimensions);
  }

  #ofWorker(Operation: string): MetricDimensions {
    return { Operation, WorkerIdentifier: this.#options.workerId };
  }
}

const assignment: MetricDimensions = { Operation: 'LeaseAssignmentManager' };

/** The children of a shard at its end are made by the one who read it, all others by the leader's look at the shards. */
function creationDimensions({ tenure }: CreateLease): MetricDimensions {
  return { Operation: tenure === undefined ? 'ShardSyncTask' : 'ShutdownTask' };
}

// Counts what the KCL counts of a worker's steps, under its names and dimensions (its metrics of level SUMMARY and DETAILED, without
// those of records, which delivery-report.ts counts, and of reads, which polling.ts does). Beside the runtime: it is shown each
// effect as it begins and ends, and each notice; it decides nothing. The leader's runs are told by leader-metrics.ts, those of a worker
// that takes leases by taker-metrics.ts.
// Invariant: nothing is kept but the round of renewals under way.
import { type Clock, type MetricDimensions, type MetricsSink, noMetrics } from '@shardline/common';
import { takesLeases } from '../coordination/client-version.ts';
import type { CreateLease, Effect } from '../coordination/effects.ts';
import type { Notice } from '../coordination/notice.ts';
import type { Results } from '../coordination/results.ts';
import { KclMetrics } from './kcl-metrics.ts';
import { LeaderMetrics } from './leader-metrics.ts';
import { TakerMetrics } from './taker-metrics.ts';

export interface EffectMetricsOptions {
  readonly workerId: string;
  readonly metrics: MetricsSink;
  readonly clock: Clock;
}

type Outcome = { readonly result: Results[Effect['kind']] } | undefined;

/** The KCL's dimensions of what is about a shard. Of several streams the lease key says which, before the shard. */
export function shardDimensions(Operation: string, leaseKey: string): MetricDimensions {
  const at = leaseKey.lastIndexOf(':');
  if (at < 0) return { Operation, ShardId: leaseKey };
  return { Operation, ShardId: leaseKey.slice(at + 1), StreamId: leaseKey.slice(0, at) };
}

export class EffectMetrics {
  readonly #kcl: KclMetrics;
  readonly #isOn: boolean;
  readonly #leader: LeaderMetrics;
  readonly #taker: TakerMetrics;
  #leaseCount = 0;
  #isLeader = false;
  #renewingCount = 0;
  #round = { startedAt: 0, isWhole: true };
  #hasLooked = false;

  constructor(options: EffectMetricsOptions) {
    this.#kcl = new KclMetrics(options);
    this.#isOn = options.metrics !== noMetrics;
    this.#leader = new LeaderMetrics(this.#kcl);
    this.#taker = new TakerMetrics(this.#kcl);
  }

  began(effect: Effect): void {
    if (!this.#isOn || effect.kind !== 'renewLease') return;
    // What is renewed at once is the KCL's RenewAllLeases.
    if (this.#renewingCount === 0) this.#round = { startedAt: this.#kcl.clock.now(), isWhole: true };
    this.#renewingCount += 1;
  }

  /** @param outcome undefined: it failed. */
  ended(effect: Effect, startedAt: number, outcome: Outcome): void {
    if (!this.#isOn) return;
    const kcl = this.#kcl;
    const tookMs = kcl.clock.now() - startedAt;
    const succeeded = outcome !== undefined;
    switch (effect.kind) {
      case 'renewLease':
        kcl.called('RenewLease', succeeded, tookMs, kcl.ofWorker('RenewAllLeases'));
        this.#renewed(succeeded);
        return;
      case 'checkpointLease': {
        const operation = effect.childShardIds === undefined ? 'ProcessTask' : 'ShutdownTask';
        kcl.called('UpdateLease', succeeded, tookMs, shardDimensions(operation, effect.leaseKey));
        return;
      }
      case 'createLease':
        this.#created(effect, succeeded, tookMs);
        return;
      case 'openShard':
        kcl.timed('RecordProcessor.initialize', tookMs, { Operation: 'InitializeTask' });
        return;
      case 'deliverBatch': {
        const result = outcome?.result as Results['deliverBatch'] | undefined;
        const handled = result !== undefined && result.rest?.kind !== 'threw';
        kcl.ran(handled, tookMs, shardDimensions('ProcessTask', effect.leaseKey));
        return;
      }
      case 'endShard':
        kcl.timed('RecordProcessor.shutdown', tookMs, { Operation: 'ShutdownTask' });
        return;
      case 'discoverLeases':
        this.#discovered(outcome?.result as Results['discoverLeases'] | undefined, tookMs);
        return;
      case 'readTable':
        if (effect.for === 'leader') this.#leader.read(startedAt, tookMs, succeeded);
        else if (effect.for === 'taker') this.#taker.read(startedAt, tookMs, succeeded);
        return;
      case 'readLeases':
        if (effect.tenure === undefined && !succeeded) this.#taker.rereadFailed();
        return;
      case 'takeLease':
        this.#taker.took(tookMs, outcome?.result as Results['takeLease'] | undefined);
        return;
      case 'assignLease':
      case 'handOffLease':
        // One that leaves gives its leases away, too.
        if (effect.tenure === undefined)
          this.#leader.assigned((outcome?.result as Results['assignLease'] | undefined)?.applied);
        return;
      case 'listShards':
        kcl.sink.count('SyncShards.Success', succeeded ? 1 : 0, shardSync);
        kcl.ran(succeeded, tookMs, shardSync);
        return;
      case 'reportWorker':
        kcl.ran(succeeded, tookMs, kcl.ofWorker('WorkerMetricStatsReporter'));
        this.#tellLead();
        return;
      case 'readClientVersion':
      case 'changeClientVersion':
        this.#versionSeen(effect, outcome?.result as Results['readClientVersion'] | undefined);
        return;
      default:
    }
  }

  told(notice: Notice): void {
    if (!this.#isOn) return;
    const { sink } = this.#kcl;
    switch (notice.kind) {
      case 'leaseBegun':
        this.#leaseCount += 1;
        this.#held();
        return;
      case 'leaseEnded':
        this.#leaseCount -= 1;
        if (notice.reason === 'leaseLost') sink.count('LostLeases', 1, this.#kcl.ofWorker('RenewAllLeases'));
        this.#held();
        return;
      case 'waitingForOtherParent':
        sink.count('MissingMergeParentLease', 1, { Operation: 'ShutdownTask' });
        return;
      case 'takesPlanned':
        this.#taker.planned(notice);
        return;
      case 'takesEnded':
        this.#taker.ended();
        return;
      case 'leadershipGained':
      case 'leadershipLost':
        this.#isLeader = notice.kind === 'leadershipGained';
        this.#tellLead();
        return;
      case 'leadershipForfeited':
        this.#leader.forfeited();
        return;
      case 'runPlanned':
        this.#leader.planned(notice);
        return;
      case 'runEnded':
        this.#leader.ended();
        return;
      case 'fleetReadiness':
        sink.gauge('WorkerMetricsReadyStatus', notice.isReady ? 1 : 0, migration);
        return;
      default:
    }
  }

  #tellLead(): void {
    this.#kcl.sink.gauge('LeaderDecider:IsLeader', this.#isLeader ? 1 : 0, { Operation: 'LeaderDecider' });
  }

  #held(): void {
    this.#kcl.sink.gauge('CurrentLeases', this.#leaseCount, this.#kcl.ofWorker('RenewAllLeases'));
  }

  #renewed(succeeded: boolean): void {
    this.#renewingCount -= 1;
    if (!succeeded) this.#round.isWhole = false;
    if (this.#renewingCount > 0) return;
    const dimensions = this.#kcl.ofWorker('RenewAllLeases');
    this.#kcl.ran(this.#round.isWhole, this.#kcl.clock.now() - this.#round.startedAt, dimensions);
    // As the KCL does: a round without a lost lease says so.
    this.#kcl.sink.count('LostLeases', 0, dimensions);
    this.#held();
  }

  /** The children of a shard at its end are made by the one who read it, all others by the leader's look at the shards. */
  #created({ tenure, lease }: CreateLease, succeeded: boolean, tookMs: number): void {
    const dimensions = tenure === undefined ? shardSync : { Operation: 'ShutdownTask' };
    this.#kcl.called('CreateLease', succeeded, tookMs, dimensions);
    const { sequenceNumber } = lease.checkpoint;
    const begins = typeof sequenceNumber === 'string' ? sequenceNumber : 'SEQUENCE_NUMBER';
    this.#kcl.sink.count(`CreateLease_${begins}.Success`, 1, dimensions);
  }

  #discovered(result: Results['discoverLeases'] | undefined, tookMs: number): void {
    const dimensions = this.#kcl.ofWorker('LeaseDiscovery');
    this.#kcl.ran(result !== undefined, tookMs, dimensions);
    if (result !== undefined) this.#kcl.sink.count('NewLeasesDiscovered', result.leases.length, dimensions);
    // The first look is for the leases that the id had before.
    if (this.#hasLooked) return;
    this.#hasLooked = result !== undefined;
    this.#kcl.sink.count('Fault', this.#hasLooked ? 0 : 1, { Operation: 'LeaseRenewerInitialize' });
  }

  #versionSeen(effect: Effect, result: Results['readClientVersion'] | undefined): void {
    const { sink } = this.#kcl;
    const version = result?.row?.version;
    if (effect.kind === 'changeClientVersion') {
      if (result === undefined) sink.count('Fault', 1, migration);
      // The table goes over only when its owner index is ACTIVE.
      else if (effect.to === '3X_WITH_ROLLBACK')
        sink.gauge('GsiReadyStatus', version === effect.from ? 0 : 1, migration);
    } else if (version !== undefined && version !== '3X') {
      const takes = takesLeases(version);
      sink.gauge('CurrentState:3xWorker', takes ? 0 : 1, migration);
      sink.gauge('CurrentState:2xCompatibleWorker', takes ? 1 : 0, migration);
    }
  }
}

const shardSync: MetricDimensions = { Operation: 'ShardSyncTask' };
const migration: MetricDimensions = { Operation: 'Migration' };

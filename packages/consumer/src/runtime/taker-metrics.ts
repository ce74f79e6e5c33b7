// Counts what the KCL 2.x counts of a worker that takes leases itself (DynamoDBLeaseTaker, DynamoDBLeaseCoordinator): each run from
// its look at the table to the last of its takes. Beside the runtime, told by effect-metrics.ts.
// Invariant: a run is told once.
import type { Results } from '../coordination/results.ts';
import type { TakeCounts } from '../coordination/taker.ts';
import type { KclMetrics } from './kcl-metrics.ts';

export class TakerMetrics {
  readonly #kcl: KclMetrics;
  #startedAt = 0;
  #takenCount = 0;
  #untakenCount = 0;
  #isWhole = true;

  constructor(kcl: KclMetrics) {
    this.#kcl = kcl;
  }

  /** A run begins with this reading. */
  read(startedAt: number, tookMs: number, succeeded: boolean): void {
    const dimensions = this.#kcl.ofWorker('TakeLeases');
    this.#startedAt = startedAt;
    this.#takenCount = 0;
    this.#untakenCount = 0;
    this.#isWhole = true;
    this.#kcl.called('ListLeases', succeeded, tookMs, dimensions);
    if (!succeeded) this.#kcl.ran(false, tookMs, dimensions);
  }

  planned(counts: TakeCounts): void {
    const { sink } = this.#kcl;
    const dimensions = this.#kcl.ofWorker('TakeLeases');
    sink.gauge('TotalLeases', counts.leaseCount, dimensions);
    sink.gauge('NumWorkers', counts.workerCount, dimensions);
    sink.gauge('ExpiredLeases', counts.availableCount, dimensions);
    sink.gauge('VeryOldLeases', counts.veryOldCount, dimensions);
    sink.gauge('LeaseSpillover', counts.spilloverCount, dimensions);
    sink.gauge('NeededLeases', counts.neededCount, dimensions);
    sink.gauge('LeasesToTake', counts.toTakeCount, dimensions);
  }

  /** What it was about to steal could not be read again, and the run is over. */
  rereadFailed(): void {
    this.#isWhole = false;
  }

  /** @param outcome undefined: the take failed. */
  took(tookMs: number, outcome: Results['takeLease'] | undefined): void {
    this.#kcl.called('TakeLease', outcome !== undefined, tookMs, this.#kcl.ofWorker('TakeLeases'));
    if (outcome?.applied) this.#takenCount += 1;
    else if (outcome !== undefined) this.#untakenCount += 1;
    else this.#isWhole = false;
  }

  ended(): void {
    const { sink, clock } = this.#kcl;
    const dimensions = this.#kcl.ofWorker('TakeLeases');
    sink.count('TakenLeases', this.#takenCount, dimensions);
    sink.count('UntakenLeases', this.#untakenCount, dimensions);
    this.#kcl.ran(this.#isWhole, clock.now() - this.#startedAt, dimensions);
  }
}

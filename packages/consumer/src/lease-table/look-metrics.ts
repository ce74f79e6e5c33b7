// Counts the two halves of a look for leases that were given to this worker, as the KCL does (DynamoDBLeaseDiscoverer): the owner
// index, and the leases that it names. Beside dynamodb.ts; the look as a whole is counted by the runtime.
// Invariant: nothing is kept.
import { type Clock, type MetricDimensions, type MetricsSink, noMetrics } from '@shardline/common';

export interface LookMetricsOptions {
  readonly metrics?: MetricsSink | undefined;
  readonly clock: Clock;
  readonly workerId: string;
}

export class LookMetrics {
  readonly #metrics: MetricsSink;
  readonly #clock: Clock;
  readonly #dimensions: MetricDimensions;

  constructor({ metrics = noMetrics, clock, workerId }: LookMetricsOptions) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#dimensions = { Operation: 'LeaseDiscovery', WorkerIdentifier: workerId };
  }

  /** Times it, whatever becomes of it. */
  async timed<T>(name: 'ListLeaseKeysForWorker' | 'FetchNewLeases', call: () => Promise<T>): Promise<T> {
    const startedAt = this.#clock.now();
    try {
      return await call();
    } finally {
      this.#metrics.sample(`${name}.Time`, this.#clock.now() - startedAt, 'Milliseconds', this.#dimensions);
    }
  }

  /** So many leases belong to another worker by now: the index lags behind. */
  mismatched(count: number): void {
    if (count > 0) this.#metrics.count('OwnerMismatch', count, this.#dimensions);
  }

  /** So many leases could not be read. */
  unread(count: number): void {
    if (count > 0) this.#metrics.count('GetLease:Error', count, this.#dimensions);
  }
}

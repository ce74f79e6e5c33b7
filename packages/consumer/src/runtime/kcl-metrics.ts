// The KCL's ways of counting a call and a run (its MetricsUtil), over the port for numbers. Between those who watch the worker
// (effect-metrics.ts, leader-metrics.ts, taker-metrics.ts) and the sink.
// Invariant: nothing is kept.
import type { Clock, MetricDimensions, MetricsSink } from '@shardline/common';

export interface KclMetricsOptions {
  readonly workerId: string;
  readonly metrics: MetricsSink;
  readonly clock: Clock;
}

export class KclMetrics {
  readonly sink: MetricsSink;
  readonly clock: Clock;
  readonly #workerId: string;

  constructor({ workerId, metrics, clock }: KclMetricsOptions) {
    this.sink = metrics;
    this.clock = clock;
    this.#workerId = workerId;
  }

  /** Of a call: `Name.Success` and `Name.Time`. */
  called(name: string, succeeded: boolean, tookMs: number, dimensions: MetricDimensions): void {
    this.sink.count(`${name}.Success`, succeeded ? 1 : 0, dimensions);
    this.timed(name, tookMs, dimensions);
  }

  /** Of a whole run: `Success` and `Time`. */
  ran(succeeded: boolean, tookMs: number, dimensions: MetricDimensions): void {
    this.sink.count('Success', succeeded ? 1 : 0, dimensions);
    this.sink.sample('Time', tookMs, 'Milliseconds', dimensions);
  }

  /** `Name.Time`. */
  timed(name: string, tookMs: number, dimensions: MetricDimensions): void {
    this.sink.sample(`${name}.Time`, tookMs, 'Milliseconds', dimensions);
  }

  ofWorker(Operation: string): MetricDimensions {
    return { Operation, WorkerIdentifier: this.#workerId };
  }
}

// Gives the metrics to the application's sink now and then, and a last time at the end. Beside the records' way: what a sink
// throws is logged once and changes nothing.
// Invariant: its timer never keeps the process alive, and is gone after `stop`.
import type { Clock, Logger, MetricsSink } from '@shardline/common';
import type { MetricsReport } from './metrics-report.ts';

export interface MetricsUploadParts {
  readonly report: MetricsReport;
  readonly sink: MetricsSink;
  readonly delayMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class MetricsUpload {
  readonly #parts: MetricsUploadParts;
  #stopTimer: () => void = () => undefined;
  #hasFailed = false;

  constructor(parts: MetricsUploadParts) {
    this.#parts = parts;
    this.#wait();
  }

  /** Uploads what is left. Idempotent. */
  stop(): void {
    this.#stopTimer();
    this.upload();
  }

  #wait(): void {
    const { clock, delayMs } = this.#parts;
    const onTimer = (): void => {
      this.upload();
      this.#wait();
    };
    this.#stopTimer = clock.setTimer(onTimer, delayMs, false);
  }

  /** Gives the sink what has come since the last time. */
  upload(): void {
    const { report, sink, log } = this.#parts;
    try {
      report.giveTo(sink);
      this.#hasFailed = false;
    } catch (error) {
      log[this.#hasFailed ? 'debug' : 'warn']({ err: error }, 'the metrics sink threw: what it was given is lost');
      this.#hasFailed = true;
    }
  }
}

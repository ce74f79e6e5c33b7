// What this worker says of itself in its metric row: how busy its CPU was in the last reporting periods (KCL
// WorkerMetricStatsManager, WorkerMetricStatsReporter). A Node worker has one thread: it can be at its end while its container
// looks idle, so the figure is the larger one of the CPU's and the event loop's. Owns one timer, between start and stop.
import { performance } from 'node:perf_hooks';
import { type Clock, type Logger, type MetricsSink, noMetrics } from '@shardline/common';
import { NOTHING_MEASURED, type Utilization } from '../coordination/lease.ts';
import { type CpuGauge, findCpuGauge, systemCpuSources } from './cpu.ts';

export interface WorkerMetricsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two samples; a report is their mean. */
  readonly sampleIntervalMs: number;
  /** The percentage that the worker should stay below. */
  readonly maxUtilizationPercent: number;
  /** Where samples that fail are counted. Default: nowhere. */
  readonly metrics?: MetricsSink | undefined;
  /** Default: what this machine offers. */
  readonly findGauge?: (() => Promise<CpuGauge | undefined>) | undefined;
  /** How busy the event loop was since the last call, 0 to 1. Default: this process's. */
  readonly eventLoop?: (() => number) | undefined;
}

/** Averages kept in the row, and samples kept between two reports (KCL: 10 and 300). */
const MAX_AVERAGES = 10;
const MAX_SAMPLES = 300;
/**
 * What a worker says before its first figure. It has just begun, and is as free as can be; what its CPU does while it starts says
 * nothing of that (KCL: the mean of a 0 and of the second after it). Not 0: in a fleet whose figures are all 0 the KCL's rule gives
 * every lease to the first worker, since no lease seems to make it busier. Not -1, a failure, for which it would be given nothing.
 */
const IDLE = 1;
/** A sample that failed, and the average of a period in which none was taken. */
const FAILED = -1;

export class WorkerMetrics {
  readonly #options: WorkerMetricsOptions;
  readonly #averages: number[] = [];
  #samples: number[] = [];
  #gauge: CpuGauge | undefined;
  #found: Promise<void> | undefined;
  #eventLoop: () => number = () => 0;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(options: WorkerMetricsOptions) {
    this.#options = options;
  }

  /** Finds out what can be measured here: while the worker opens its table, so that the first row need not wait for it. Once. */
  find(): Promise<void> {
    const { clock, findGauge = () => findCpuGauge(systemCpuSources(clock)) } = this.#options;
    this.#found ??= findGauge().then((gauge) => {
      this.#gauge = gauge;
    });
    return this.#found;
  }

  /** Samples until `stop`. Without anything to measure it stays silent. */
  async start(): Promise<void> {
    await this.find();
    if (this.#gauge === undefined)
      this.#options.logger.info({}, 'no CPU figure here: the leader judges this worker by its throughput');
    else {
      this.#eventLoop = this.#options.eventLoop ?? eventLoopUtilization();
      this.#plan();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /**
   * What the next row says: one more average, over the samples since the last report. Waits until it is known what can be measured: a
   * first row without a word of it is that of a worker that measures nothing, which a leader of the KCL by utilization, in a fleet that
   * measures its CPU, would compare with nobody, and give every lease that is free.
   */
  async report(): Promise<Utilization> {
    await this.find().catch(() => undefined);
    if (this.#gauge === undefined) return NOTHING_MEASURED;
    const good = this.#samples.filter((sample) => sample !== FAILED);
    const isFailing = good.length === 0 && this.#samples.length > 0;
    if (this.#samples.length > 0) {
      const mean = good.reduce((sum, sample) => sum + sample, 0) / Math.max(1, good.length);
      this.#averages.push(isFailing ? FAILED : Math.round(mean * 1e6) / 1e6);
      this.#averages.splice(0, this.#averages.length - MAX_AVERAGES);
      this.#samples = [];
    }
    const stats = this.#averages.length === 0 ? [IDLE] : [...this.#averages];
    return { stats: { C: stats }, operatingRange: { C: [this.#options.maxUtilizationPercent] } };
  }

  #plan(): void {
    if (this.#stopped) return;
    const sample = (): void => void this.#sample().then(() => this.#plan());
    this.#cancel = this.#options.clock.setTimer(sample, this.#options.sampleIntervalMs, false);
  }

  async #sample(): Promise<void> {
    let sample: number | undefined = FAILED;
    try {
      const cpu = await this.#gauge?.();
      sample = cpu === undefined ? undefined : Math.max(cpu, 100 * this.#eventLoop());
    } catch (error) {
      const { metrics = noMetrics } = this.#options;
      metrics.count('InMemoryMetricStatsReporterFailure', 1, { Operation: 'WorkerMetricStatsReporter' });
      this.#options.logger.debug({ err: error }, 'the CPU could not be measured');
    }
    if (sample !== undefined) this.#samples.push(sample);
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }
}

function eventLoopUtilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return Number.isFinite(utilization) ? utilization : 0;
  };
}

// What a program reads of a producer's metrics, and what its sink is given: the samples of all streams, summed up under the KPL's
// dimensions. Beside the records' way, when somebody asks or a sink is due. Pure: `now` is an argument.
// Invariants: a sample counts at every level of the report (KPL: none, StreamName, ShardId, with the ErrorCode in front), and
// once in what the sink is given.
import {
  checkNames,
  describe,
  type MetricDimensions,
  type MetricsSink,
  type MetricUnit,
  UsageError,
} from '@shardline/common';
import {
  type MetricsGranularity,
  type MetricsLevel,
  metricKinds,
  metricNames,
  type ProducerMetricName,
  type StreamMetric,
  StreamMetrics,
} from './metrics.ts';
import { LONGEST_WINDOW_SECONDS, mergeStatistics } from './statistics.ts';

/** Which metrics, and of which time. */
export interface MetricsQuery {
  /** Default: all. */
  readonly name?: ProducerMetricName;
  /** The last seconds, the running one included: 1 to 60. Default: since the producer was made. */
  readonly windowSeconds?: number;
}

/** A metric with its dimensions (KPL Metric). Those without a sample are left out. */
export interface ProducerMetric {
  readonly name: ProducerMetricName;
  readonly unit: MetricUnit;
  /** Any of `ErrorCode`, `StreamName` and `ShardId`, in this order; none: the whole producer. */
  readonly dimensions: MetricDimensions;
  readonly sampleCount: number;
  readonly sum: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** The time that was looked at, ms. */
  readonly durationMs: number;
}

export interface MetricsReportOptions {
  readonly metricsLevel: MetricsLevel;
  readonly metricsGranularity: MetricsGranularity;
}

export class MetricsReport {
  readonly #options: MetricsReportOptions;
  readonly #startedAtMs: number;
  readonly #streams = new Map<string, StreamMetrics>();

  constructor(options: MetricsReportOptions, nowMs: number) {
    this.#options = options;
    this.#startedAtMs = nowMs;
  }

  /** Where the stream's samples go. */
  stream(streamName: string): StreamMetrics {
    let metrics = this.#streams.get(streamName);
    if (metrics === undefined) {
      metrics = new StreamMetrics(this.#options.metricsLevel, this.#options.metricsGranularity);
      this.#streams.set(streamName, metrics);
    }
    return metrics;
  }

  /** The producer has nothing to do with the stream any more: what it counted is gone, from the sums too. */
  forget(streamName: string): void {
    this.#streams.delete(streamName);
  }

  /** @throws UsageError naming the member of the query. */
  read(query: MetricsQuery, nowMs: number): ProducerMetric[] {
    const { name, windowSeconds } = checkQuery(query);
    const sinceStartMs = nowMs - this.#startedAtMs;
    const durationMs = windowSeconds === undefined ? sinceStartMs : Math.min(sinceStartMs, windowSeconds * 1000);
    const whole = new Map<string, StreamMetric>();
    const report: ProducerMetric[] = [];
    for (const [streamName, metrics] of this.#streams) {
      for (const metric of metrics.read(windowSeconds, nowMs)) {
        if (name !== undefined && metric.name !== name) continue;
        if (metric.shardId === undefined) addUp(whole, metric);
        if (this.#options.metricsGranularity !== 'global') report.push(reported(metric, streamName, durationMs));
      }
    }
    return [...[...whole.values()].map((metric) => reported(metric, undefined, durationMs)), ...report];
  }

  /** Gives the sink what has come since it was given something last, under the finest dimensions only: it can sum up. */
  giveTo(sink: MetricsSink): void {
    const { metricsGranularity } = this.#options;
    for (const [streamName, metrics] of this.#streams) {
      const named = metricsGranularity === 'global' ? undefined : streamName;
      for (const metric of metrics.take()) {
        sink.samples(metric.name, metric.statistics, metricKinds[metric.name].unit, dimensionsOf(metric, named));
      }
    }
  }
}

function addUp(sums: Map<string, StreamMetric>, metric: StreamMetric): void {
  const key = `${metric.name} ${metric.errorCode ?? ''}`;
  const statistics = mergeStatistics(sums.get(key)?.statistics, metric.statistics) ?? metric.statistics;
  sums.set(key, { ...metric, statistics });
}

function reported(metric: StreamMetric, streamName: string | undefined, durationMs: number): ProducerMetric {
  const { name, statistics } = metric;
  const mean = statistics.sum / statistics.sampleCount;
  return {
    ...{ name, unit: metricKinds[name].unit, dimensions: dimensionsOf(metric, streamName) },
    ...statistics,
    ...{ mean, durationMs },
  };
}

function dimensionsOf({ errorCode, shardId }: StreamMetric, streamName: string | undefined): MetricDimensions {
  return {
    ...(errorCode === undefined ? {} : { ErrorCode: errorCode }),
    ...(streamName === undefined ? {} : { StreamName: streamName }),
    ...(shardId === undefined ? {} : { ShardId: shardId }),
  };
}

function checkQuery(query: MetricsQuery): MetricsQuery {
  checkNames(query, ['name', 'windowSeconds'], { expected: 'a known member', owner: 'query', self: 'query' });
  const { name, windowSeconds } = query;
  if (name !== undefined && !metricNames.includes(name)) {
    throw new UsageError('query.name', `one of ${metricNames.join(', ')}`, describe(name));
  }
  const isWindow =
    Number.isInteger(windowSeconds) && Number(windowSeconds) >= 1 && Number(windowSeconds) <= LONGEST_WINDOW_SECONDS;
  if (windowSeconds !== undefined && !isWindow) {
    const expected = `a whole number from 1 to ${LONGEST_WINDOW_SECONDS}`;
    throw new UsageError('query.windowSeconds', expected, describe(windowSeconds));
  }
  return query;
}

// A metrics sink over OpenTelemetry's Meter, under the names, units and attributes of the KCL 3.5's own (OtelMetricNameTransformer,
// OtelMetricsScope). Beside the records' way; the Meter adds up and exports.
// Invariants: an instrument is made once; a gauge that nobody sets any more is not observed; the number of its series is bounded.
import type { Attributes, Counter, Histogram, Meter, ObservableResult } from '@opentelemetry/api';
import { type Clock, systemClock } from './clock.ts';
import { describe, UsageError } from './errors.ts';
import { isLevel, isSum, unitOf } from './metric-names.ts';
import type { MetricDimensions, MetricsSink, MetricUnit, Statistics } from './metrics.ts';
import { checkNames, checkPort, checkWholeNumber } from './option-checks.ts';

export interface OpenTelemetryMetricsOptions {
  /** Before every name. Default `aws.kinesis.client.`, the KCL's; for a producer `aws.kinesis.producer.` goes well beside it. */
  readonly prefix?: string;
  /** On all metrics. Default: none. */
  readonly attributes?: Attributes;
  /** A gauge that was not set for so long is not observed, until it is set again: from 1000, default 300000. */
  readonly staleAfterMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** Of a gauge with its attributes. */
interface Level {
  readonly attributes: Attributes;
  value: number;
  setAt: number;
}

const units = { Count: '1', Bytes: 'By', Milliseconds: 'ms', None: '1' } as const;
/** KCL OtelMetricNameTransformer. */
const renamed: Readonly<Record<string, string>> = {
  MillisBehindLatest: 'consumer.lag.duration',
  DataBytesProcessed: 'records.size',
  'ActiveStreams.Count': 'streams.active',
  'StreamsPendingDeletion.Count': 'streams.pending_deletion',
  'NonExistingStreamDelete.Count': 'streams.deleted_nonexistent',
  'DeletedStreams.Count': 'streams.deleted',
  NumStreamsToSync: 'streams.pending_sync',
  NumWorkers: 'workers',
  NumWorkersWithInvalidEntry: 'workers.invalid_entry',
  NumWorkersWithFailingWorkerMetric: 'workers.failing_worker_metric',
};
/** KCL OtelMetricsScope; the last two are the producer's. */
const attributeNames: Readonly<Record<string, string>> = {
  Operation: 'aws.kinesis.operation',
  ShardId: 'aws.kinesis.shard.id',
  StreamId: 'aws.kinesis.stream_name',
  WorkerIdentifier: 'aws.kinesis.consumer.name',
  StreamName: 'aws.kinesis.stream_name',
  ErrorCode: 'error.type',
};
const knownNames: readonly (keyof OpenTelemetryMetricsOptions)[] = ['prefix', 'attributes', 'staleAfterMs', 'clock'];
/** Series of one gauge; beyond them those not set for longest are forgotten. The Meter bounds the others (its cardinality limit). */
const MOST_LEVELS = 2_000;

/**
 * Counts are counters, times, sizes and how far a shard is behind are histograms, as in the KCL; levels are observed gauges. Of the
 * producer's distributions, which come added up, there are `.count` and `.sum` as counters, `.min` and `.max` of the last upload as gauges.
 * @throws UsageError naming the option.
 */
export function openTelemetryMetrics(meter: Meter, options: OpenTelemetryMetricsOptions = {}): MetricsSink {
  if (typeof meter?.createCounter !== 'function')
    throw new UsageError('meter', "OpenTelemetry's Meter", describe(meter));
  checkNames(options, knownNames);
  return new MeterSink(meter, options);
}

class MeterSink implements MetricsSink {
  readonly #meter: Meter;
  readonly #prefix: string;
  readonly #attributes: Attributes;
  readonly #staleAfterMs: number;
  readonly #clock: Clock;
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #gauges = new Map<string, Map<string, Level>>();

  constructor(
    meter: Meter,
    { prefix = 'aws.kinesis.client.', attributes = {}, ...options }: OpenTelemetryMetricsOptions,
  ) {
    this.#meter = meter;
    this.#prefix = prefix;
    this.#attributes = attributes;
    this.#staleAfterMs = checkWholeNumber('staleAfterMs', options.staleAfterMs, 1_000) ?? 300_000;
    this.#clock = checkPort('clock', options.clock, ['now', 'wallNow', 'setTimer']) ?? systemClock;
  }

  count(name: string, value: number, dimensions: MetricDimensions = {}): void {
    const unit = unitOf(name);
    if (unit === 'Count') this.#add(name, value, unit, dimensions);
    else this.sample(name, value, unit, dimensions);
  }

  sample(name: string, value: number, unit: MetricUnit, dimensions: MetricDimensions = {}): void {
    let histogram = this.#histograms.get(name);
    if (histogram === undefined) {
      histogram = this.#meter.createHistogram(this.#nameOf(name), { unit: units[unit] });
      this.#histograms.set(name, histogram);
    }
    histogram.record(value, this.#attributesOf(dimensions));
  }

  samples(name: string, statistics: Statistics, unit: MetricUnit, dimensions: MetricDimensions = {}): void {
    const { sampleCount, sum, min, max } = statistics;
    if (isSum(name)) this.#add(name, sum, unit, dimensions);
    else if (isLevel(name)) this.gauge(name, sum / sampleCount, dimensions);
    else {
      this.#add(`${name}.count`, sampleCount, 'Count', dimensions);
      this.#add(`${name}.sum`, sum, unit, dimensions);
      this.#set(`${name}.min`, min, unit, dimensions);
      this.#set(`${name}.max`, max, unit, dimensions);
    }
  }

  gauge(name: string, value: number, dimensions: MetricDimensions = {}): void {
    const unit = unitOf(name);
    if (unit === 'Count' || unit === 'None') this.#set(name, value, unit, dimensions);
    else this.sample(name, value, unit, dimensions);
  }

  #add(name: string, value: number, unit: MetricUnit, dimensions: MetricDimensions): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = this.#meter.createCounter(this.#nameOf(name), { unit: units[unit] });
      this.#counters.set(name, counter);
    }
    counter.add(value, this.#attributesOf(dimensions));
  }

  #set(name: string, value: number, unit: MetricUnit, dimensions: MetricDimensions): void {
    let levels = this.#gauges.get(name);
    if (levels === undefined) {
      levels = new Map();
      this.#gauges.set(name, levels);
      const gauge = this.#meter.createObservableGauge(this.#nameOf(name), { unit: units[unit] });
      gauge.addCallback((result) => this.#observe(name, result));
    }
    const key = JSON.stringify(dimensions);
    const attributes = levels.get(key)?.attributes ?? this.#attributesOf(dimensions);
    // Behind all the others: the first is the one not set for longest.
    levels.delete(key);
    levels.set(key, { attributes, value, setAt: this.#clock.now() });
    if (levels.size <= MOST_LEVELS) return;
    const [oldest] = levels.keys();
    if (oldest !== undefined) levels.delete(oldest);
  }

  #observe(name: string, result: ObservableResult): void {
    const levels = this.#gauges.get(name) ?? new Map<string, Level>();
    for (const [key, { attributes, value, setAt }] of levels) {
      if (this.#clock.now() - setAt > this.#staleAfterMs) levels.delete(key);
      else result.observe(value, attributes);
    }
  }

  #attributesOf(dimensions: MetricDimensions): Attributes {
    const attributes: Attributes = { ...this.#attributes };
    for (const [name, value] of Object.entries(dimensions)) attributes[attributeNames[name] ?? name] = value;
    return attributes;
  }

  #nameOf(name: string): string {
    return this.#prefix + (renamed[name] ?? splitName(name));
  }
}

/** `RecordProcessor.processRecords.Time` → `record_processor.process_records.duration` (KCL OtelMetricNameTransformer). */
function splitName(name: string): string {
  return name
    .replaceAll(':', '.')
    .replace(/\.Time$/, '.duration')
    .replace(/\.Count$/, '')
    .replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '_')
    .toLowerCase();
}

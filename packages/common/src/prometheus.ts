// Metrics for Prometheus: kept added up in this process, told as text when it is asked. It serves nothing by itself: the application's
// HTTP server does. Beside the records' way; a call of the port costs one look into a map.
// Invariants: the text is valid OpenMetrics 1.0; the number of series of a metric is bounded; a gauge that nobody sets any more, as of a
// shard that another worker has, is not told for ever.
import { type Clock, systemClock } from './clock.ts';
import { describe, UsageError } from './errors.ts';
import { isLevel, isSum } from './metric-names.ts';
import type { MetricDimensions, MetricsSink, MetricUnit, Statistics } from './metrics.ts';
import { checkNames, checkPort, checkWholeNumber, checkWord } from './option-checks.ts';
import { labelOf, metricOf, type PrometheusKind, type PrometheusMetric } from './prometheus-names.ts';

export interface PrometheusMetricsOptions {
  /** Upper bounds of the buckets of times, in seconds, ascending. Default: 18 from a millisecond to two hours. */
  readonly bucketsSeconds?: readonly number[];
  /** Different labels of one metric: from 10, default 2000. Of more, counters count as `other`, and gauges are left out. */
  readonly maxSeriesPerMetric?: number;
  /** A gauge that was not set for so long is left out, until it is set again: from 1000, default 300000. */
  readonly staleAfterMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** `openmetrics`: OpenMetrics 1.0. `text`: the older exposition format 0.0.4, for what reads nothing else. */
export type PrometheusFormat = 'openmetrics' | 'text';

interface Series {
  readonly labels: string;
  /** Counter and gauge: the value; histogram and summary: the sum. */
  value: number;
  count: number;
  min: number;
  max: number;
  readonly buckets: Float64Array | undefined;
  touchedAt: number;
}

interface Family {
  readonly metric: PrometheusMetric;
  /** By the labels as text. */
  readonly series: Map<string, Series>;
}

const DEFAULT_BUCKETS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200],
];
/** Told apart by shard, a histogram would have twenty series a shard. */
const NOT_IN_HISTOGRAMS: ReadonlySet<string> = new Set(['shard']);
/**
 * What a metric says of itself: the same label of the user's would be on those metrics alone that do not. `stream` may be given, as the
 * stream that all of them are of.
 */
const TAKEN_LABELS: ReadonlySet<string> = new Set(['operation', 'shard', 'error_code', 'le', 'quantile']);
const contentTypes = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  text: 'text/plain; version=0.0.4; charset=utf-8',
} as const;
const knownNames: readonly (keyof PrometheusMetricsOptions)[] = [
  'bucketsSeconds',
  'maxSeriesPerMetric',
  'staleAfterMs',
  'clock',
];

/**
 * ```ts
 * const prometheus = new PrometheusMetrics();
 * const consumer = new Consumer({ application: 'billing', stream: 'orders', metrics: prometheus.consumer({ application: 'billing' }) });
 * createServer((_, response) => {
 *   response.setHeader('content-type', prometheus.contentType()).end(prometheus.metricsText());
 * }).listen(9464);
 * ```
 */
export class PrometheusMetrics {
  readonly #buckets: readonly number[];
  readonly #maxSeries: number;
  readonly #staleAfterMs: number;
  readonly #clock: Clock;
  /** By their names. */
  readonly #families = new Map<string, Family>();

  /** @throws UsageError naming the option. */
  constructor(options: PrometheusMetricsOptions = {}) {
    checkNames(options, knownNames);
    const { bucketsSeconds = DEFAULT_BUCKETS } = options;
    const ascends = (bound: number, index: number): boolean =>
      Number.isFinite(bound) && bound > (bucketsSeconds[index - 1] ?? Number.NEGATIVE_INFINITY);
    if (!Array.isArray(bucketsSeconds) || !bucketsSeconds.every(ascends))
      throw new UsageError('bucketsSeconds', 'an array of ascending numbers', describe(bucketsSeconds));
    this.#buckets = [...bucketsSeconds];
    this.#maxSeries = checkWholeNumber('maxSeriesPerMetric', options.maxSeriesPerMetric, 10) ?? 2_000;
    this.#staleAfterMs = checkWholeNumber('staleAfterMs', options.staleAfterMs, 1_000) ?? 300_000;
    this.#clock = checkPort('clock', options.clock, ['now', 'wallNow', 'setTimer']) ?? systemClock;
  }

  /** What a `Producer` takes as `metrics`: `shardline_producer_…`. @param labels on all of its metrics. */
  producer(labels: Readonly<Record<string, string>> = {}): MetricsSink {
    return this.sink('shardline_producer', labels);
  }

  /** What a `Consumer` takes as `metrics`: `shardline_consumer_…`. @param labels on all of its metrics: `{ application, stream }`. */
  consumer(labels: Readonly<Record<string, string>> = {}): MetricsSink {
    return this.sink('shardline_consumer', labels);
  }

  /** The same under a prefix of your own. @throws UsageError for a prefix or label that Prometheus does not allow, or that metrics have themselves. */
  sink(prefix: string, labels: Readonly<Record<string, string>> = {}): MetricsSink {
    for (const name of [prefix, ...Object.keys(labels)]) {
      if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name))
        throw new UsageError(name === prefix ? 'prefix' : 'labels', 'names of a-z A-Z 0-9 _', describe(name));
    }
    for (const [name, value] of Object.entries(labels)) {
      if (TAKEN_LABELS.has(name))
        throw new UsageError(`labels.${name}`, 'another name: the metrics themselves have this label', describe(value));
      if (typeof value !== 'string') throw new UsageError(`labels.${name}`, 'a string', describe(value));
    }
    const place = (kind: PrometheusKind, name: string, dimensions: MetricDimensions, unit?: MetricUnit) =>
      this.#place(metricOf(prefix, kind, name, unit), labels, dimensions);
    return {
      count: (name, value, dimensions = {}) =>
        place('counter', name, dimensions)?.((series, divisor) => grow(series, value / divisor)),
      gauge: (name, value, dimensions = {}) =>
        place('gauge', name, dimensions)?.((series, divisor) => set(series, value / divisor)),
      sample: (name, value, unit, dimensions = {}) =>
        place('histogram', name, dimensions, unit)?.((series, divisor) => this.#observe(series, value / divisor)),
      samples: (name, statistics, unit, dimensions = {}) => {
        const { sum, sampleCount } = statistics;
        if (isSum(name)) place('counter', name, dimensions, unit)?.((series, divisor) => grow(series, sum / divisor));
        else if (isLevel(name))
          place('gauge', name, dimensions, unit)?.((series, divisor) => set(series, sum / sampleCount / divisor));
        else place('summary', name, dimensions, unit)?.((series, divisor) => addUp(series, statistics, divisor));
      },
    };
  }

  /** Of `metricsText` in the same format. @throws UsageError for another one. */
  contentType(format?: PrometheusFormat): string {
    return contentTypes[readFormat(format)];
  }

  /** @throws UsageError for another format. */
  metricsText(given?: PrometheusFormat): string {
    const format = readFormat(given);
    const lines: string[] = [];
    for (const family of this.#families.values()) this.#tell(family, format, lines);
    if (format === 'openmetrics') lines.push('# EOF');
    return `${lines.join('\n')}\n`;
  }

  #place(
    metric: PrometheusMetric,
    labels: Readonly<Record<string, string>>,
    dimensions: MetricDimensions,
  ): ((change: (series: Series, divisor: number) => void) => void) | undefined {
    const family = this.#familyOf(metric);
    const series = this.#seriesOf(family, labels, dimensions);
    if (series === undefined) return undefined;
    return (change) => {
      change(series, metric.divisor);
      series.touchedAt = this.#clock.now();
    };
  }

  /** A name that is another kind's already, of a sink of somebody else, gets its kind behind it. */
  #familyOf(metric: PrometheusMetric): Family {
    const known = this.#families.get(metric.name);
    if (known?.metric.kind === metric.kind) return known;
    if (known !== undefined)
      return this.#familyOf({ ...metric, name: `${metric.name}_${metric.kind}`, unit: undefined });
    const family: Family = { metric, series: new Map() };
    this.#families.set(metric.name, family);
    return family;
  }

  #seriesOf(
    family: Family,
    labels: Readonly<Record<string, string>>,
    dimensions: MetricDimensions,
  ): Series | undefined {
    const { metric, series } = family;
    const key = labelsText(metric, labels, dimensions, false);
    const known = series.get(key);
    if (known !== undefined) return known;
    // One is kept free for all the others.
    if (series.size >= this.#maxSeries - 1) this.#forgetStale(family);
    if (series.size >= this.#maxSeries - 1) {
      if (metric.kind === 'gauge') return undefined;
      const other = labelsText(metric, labels, dimensions, true);
      return series.get(other) ?? this.#make(family, other);
    }
    return this.#make(family, key);
  }

  #make({ metric, series }: Family, labels: string): Series {
    const buckets = metric.kind === 'histogram' ? new Float64Array(this.#buckets.length + 1) : undefined;
    const made = { labels, value: 0, count: 0, min: 0, max: 0, buckets, touchedAt: this.#clock.now() };
    series.set(labels, made);
    return made;
  }

  /** Of shards that were split or merged long ago nobody asks any more. */
  #forgetStale({ series }: Family): void {
    for (const [key, each] of series) if (this.#isStale(each)) series.delete(key);
  }

  #isStale({ touchedAt }: Series): boolean {
    return this.#clock.now() - touchedAt > this.#staleAfterMs;
  }

  #observe(series: Series, value: number): void {
    if (!Number.isFinite(value) || series.buckets === undefined) return;
    const at = this.#buckets.findIndex((bound) => value <= bound);
    const bucket = at < 0 ? this.#buckets.length : at;
    series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1;
    series.value += value;
    series.count += 1;
  }

  #tell({ metric, series }: Family, format: PrometheusFormat, lines: string[]): void {
    const { name, kind, unit, help } = metric;
    const told = [...series.values()].filter((each) => kind !== 'gauge' || !this.#isStale(each));
    if (told.length === 0) return;
    const counted = kind === 'counter' ? `${name}_total` : name;
    const family = format === 'text' ? counted : name;
    lines.push(`# HELP ${family} ${help}`, `# TYPE ${family} ${kind}`);
    if (format === 'openmetrics' && unit !== undefined) lines.push(`# UNIT ${family} ${unit}`);
    for (const each of told) {
      if (kind === 'histogram') this.#tellBuckets(name, each, lines);
      // Least and greatest of the last samples: quantiles as exact as they come.
      else if (kind === 'summary') {
        lines.push(
          line(name, each.labels, each.min, 'quantile="0"'),
          line(name, each.labels, each.max, 'quantile="1"'),
        );
      } else {
        lines.push(line(counted, each.labels, each.value));
        continue;
      }
      lines.push(line(`${name}_sum`, each.labels, each.value), line(`${name}_count`, each.labels, each.count));
    }
  }

  #tellBuckets(name: string, { labels, buckets = new Float64Array() }: Series, lines: string[]): void {
    let count = 0;
    for (const [index, inBucket] of buckets.entries()) {
      count += inBucket;
      const bound = this.#buckets[index];
      const le = bound === undefined ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
      lines.push(line(`${name}_bucket`, labels, count, `le="${le}"`));
    }
  }
}

function readFormat(format: PrometheusFormat | undefined): PrometheusFormat {
  return checkWord('format', format, ['openmetrics', 'text']) ?? 'openmetrics';
}

function grow(series: Series, value: number): void {
  if (value > 0 && Number.isFinite(value)) series.value += value;
}

function set(series: Series, value: number): void {
  if (Number.isFinite(value)) series.value = value;
}

function addUp(series: Series, { sampleCount, sum, min, max }: Statistics, divisor: number): void {
  if (![sampleCount, sum, min, max].every(Number.isFinite)) return;
  series.value += sum / divisor;
  series.count += sampleCount;
  series.min = min / divisor;
  series.max = max / divisor;
}

function labelsText(
  { kind }: PrometheusMetric,
  labels: Readonly<Record<string, string>>,
  dimensions: MetricDimensions,
  asOther: boolean,
): string {
  const found = new Map(Object.entries(labels));
  for (const [dimension, value] of Object.entries(dimensions)) {
    const label = labelOf(dimension);
    if (label === undefined || (kind === 'histogram' && NOT_IN_HISTOGRAMS.has(label))) continue;
    found.set(label, asOther && label !== 'operation' ? 'other' : value);
  }
  return [...found].map(([label, value]) => `${label}="${escaped(value)}"`).join(',');
}

function line(name: string, labels: string, value: number, more = ''): string {
  const all = [labels, more].filter((part) => part !== '').join(',');
  return all === '' ? `${name} ${value}` : `${name}{${all}} ${value}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`));
}

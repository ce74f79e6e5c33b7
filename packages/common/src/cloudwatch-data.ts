// Adds samples up into the data of CloudWatch's PutMetricData, and packs data into requests. Between the port's words (cloudwatch.ts)
// and the sender. Pure: the time is an argument.
// Invariants: no datum and no request passes a limit of API_PutMetricData; what is kept is bounded by `maxSeries`, and what had no room
// is counted.
import type { MetricDimensions, MetricUnit, Statistics } from './metrics.ts';

/** Of PutMetricData's MetricData. */
export interface CloudWatchDatum {
  MetricName: string;
  Dimensions: { Name: string; Value: string }[];
  Timestamp: Date;
  Unit: MetricUnit;
  StatisticValues?: { SampleCount: number; Sum: number; Minimum: number; Maximum: number };
  Values?: number[];
  Counts?: number[];
}

/** API_PutMetricData: "no more than 1000 different metrics". */
export const MAX_DATA_PER_REQUEST = 1_000;
/** API_PutMetricData: "1 MB in size for HTTP POST requests"; with room for the rest of the request. */
export const MAX_REQUEST_BYTES = 1_000_000;
/** API_MetricDatum, Values: "up to 150 unique numbers". */
const MAX_VALUES = 150;
/** API_PutMetricData: "up to 30 dimensions per metric". */
const MAX_DIMENSIONS = 30;
/** API_Dimension, Value. */
const MAX_DIMENSION_LENGTH = 1_024;
/** API_PutMetricData: "in the range of -2^360 to 2^360". */
const GREATEST_VALUE = 2 ** 360;
/** Of a series, beyond which its values are told to two digits, of which there are 90 a decade. */
const MAX_PRECISE_VALUES = 1_500;

export interface SeriesOptions {
  /** Dimensions that are taken away one after the other, the first first; each time it counts once more under what is left. */
  readonly rollUp: readonly string[];
  /** Added to every metric, in front. */
  readonly dimensions: MetricDimensions;
  /** Single samples are kept as values, of which CloudWatch can tell percentiles. */
  readonly keepsValues: boolean;
  readonly maxSeries: number;
}

interface Series {
  readonly name: string;
  readonly unit: MetricUnit;
  readonly dimensions: MetricDimensions;
  statistics: { sampleCount: number; sum: number; min: number; max: number } | undefined;
  values: Map<number, number> | undefined;
  digits: number;
}

export class MetricSeries {
  readonly #options: SeriesOptions;
  readonly #series = new Map<string, Series>();
  /** By what was said: the series in which it counts. */
  readonly #places = new Map<string, readonly Series[]>();
  #refusedCount = 0;

  constructor(options: SeriesOptions) {
    this.#options = options;
  }

  /** One sample. */
  add(name: string, value: number, unit: MetricUnit, dimensions: MetricDimensions): void {
    for (const series of this.#placesOf(name, unit, dimensions)) {
      if (!isSendable(value)) this.#refusedCount += 1;
      else if (this.#options.keepsValues) addValue(series, value);
      else addStatistics(series, 1, value, value, value);
    }
  }

  addMany(
    name: string,
    { sampleCount, sum, min, max }: Statistics,
    unit: MetricUnit,
    dimensions: MetricDimensions,
  ): void {
    for (const series of this.#placesOf(name, unit, dimensions)) {
      if ([sampleCount, sum, min, max].every(isSendable) && sampleCount > 0)
        addStatistics(series, sampleCount, sum, min, max);
      else this.#refusedCount += 1;
    }
  }

  /** What has been added since it was last taken. */
  take(now: Date): { readonly data: CloudWatchDatum[]; readonly refusedCount: number } {
    const data = [...this.#series.values()].flatMap((series) => dataOf(series, now));
    const refusedCount = this.#refusedCount;
    this.#series.clear();
    this.#places.clear();
    this.#refusedCount = 0;
    return { data, refusedCount };
  }

  #placesOf(name: string, unit: MetricUnit, dimensions: MetricDimensions): readonly Series[] {
    const key = keyOf(name, unit, dimensions);
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const found = this.#levels(dimensions).flatMap((level) => this.#seriesOf(name, unit, level) ?? []);
    if (found.length > 0) this.#places.set(key, found);
    else this.#refusedCount += 1;
    return found;
  }

  #levels(given: MetricDimensions): MetricDimensions[] {
    const levels = [{ ...this.#options.dimensions, ...given }];
    for (const name of this.#options.rollUp) {
      const { [name]: removed, ...rest } = levels.at(-1) ?? {};
      if (removed !== undefined) levels.push(rest);
    }
    return levels;
  }

  #seriesOf(name: string, unit: MetricUnit, dimensions: MetricDimensions): Series | undefined {
    const key = keyOf(name, unit, dimensions);
    const known = this.#series.get(key);
    if (known !== undefined || this.#series.size >= this.#options.maxSeries) return known;
    const fresh: Series = { name, unit, dimensions, statistics: undefined, values: undefined, digits: 3 };
    this.#series.set(key, fresh);
    return fresh;
  }
}

/** The first of the data that go into one request: `most` at most, and at least one. */
export function requestOf(data: readonly CloudWatchDatum[], most: number): CloudWatchDatum[] {
  let bytes = 0;
  let count = 0;
  for (const datum of data) {
    bytes += sizeOf(datum);
    if (count > 0 && (bytes > MAX_REQUEST_BYTES || count >= Math.min(most, MAX_DATA_PER_REQUEST))) break;
    count += 1;
  }
  return data.slice(0, count);
}

/** At least what it takes in any of the SDK's protocols; the Query form, where each number has a long name, takes most. */
export function sizeOf({ MetricName, Dimensions, Values }: CloudWatchDatum): number {
  const dimensionBytes = Dimensions.reduce((sum, { Name, Value }) => sum + 130 + 3 * (Name.length + Value.length), 0);
  return 600 + 3 * MetricName.length + dimensionBytes + 160 * (Values?.length ?? 0);
}

function addStatistics(series: Series, sampleCount: number, sum: number, min: number, max: number): void {
  const { statistics } = series;
  if (statistics === undefined) {
    series.statistics = { sampleCount, sum, min, max };
    return;
  }
  statistics.sampleCount += sampleCount;
  statistics.sum += sum;
  if (min < statistics.min) statistics.min = min;
  if (max > statistics.max) statistics.max = max;
}

function addValue(series: Series, value: number): void {
  series.values ??= new Map();
  const rounded = Number(value.toPrecision(series.digits));
  series.values.set(rounded, (series.values.get(rounded) ?? 0) + 1);
  if (series.values.size <= MAX_PRECISE_VALUES || series.digits < 3) return;
  series.digits = 2;
  const coarse = new Map<number, number>();
  for (const [each, count] of series.values) {
    const key = Number(each.toPrecision(2));
    coarse.set(key, (coarse.get(key) ?? 0) + count);
  }
  series.values = coarse;
}

function dataOf(series: Series, Timestamp: Date): CloudWatchDatum[] {
  const { name, unit, statistics, values } = series;
  const base = { MetricName: name, Dimensions: dimensionsOf(series.dimensions), Timestamp, Unit: unit };
  const data: CloudWatchDatum[] = [];
  if (statistics !== undefined) {
    const { sampleCount: SampleCount, sum: Sum, min: Minimum, max: Maximum } = statistics;
    data.push({ ...base, StatisticValues: { SampleCount, Sum, Minimum, Maximum } });
  }
  const entries = [...(values ?? [])];
  for (let at = 0; at < entries.length; at += MAX_VALUES) {
    const part = entries.slice(at, at + MAX_VALUES);
    data.push({ ...base, Values: part.map(([value]) => value), Counts: part.map(([, count]) => count) });
  }
  return data;
}

/** API_Dimension: ASCII without control characters, not empty, not led by a colon. */
function dimensionsOf(dimensions: MetricDimensions): CloudWatchDatum['Dimensions'] {
  return Object.entries(dimensions)
    .slice(0, MAX_DIMENSIONS)
    .map(([Name, given]) => {
      const plain = given
        .replace(/[^\x20-\x7e]/g, '?')
        .replace(/^:/, '_')
        .slice(0, MAX_DIMENSION_LENGTH);
      return { Name, Value: plain.trim() === '' ? '-' : plain };
    });
}

function isSendable(value: number): boolean {
  return Math.abs(value) <= GREATEST_VALUE;
}

function keyOf(name: string, unit: MetricUnit, dimensions: MetricDimensions): string {
  let key = `${name}\n${unit}`;
  for (const each in dimensions) key += `\n${each}\n${dimensions[each]}`;
  return key;
}

// Sums up samples so that each costs a few additions and none is kept: of several metrics at once, since the start, since they
// were last taken, and by seconds for the last minute (the KPL's getMetrics looks at such windows). Beside the records' way.
// Pure: the second is an argument.
// Invariants: memory does not grow with the number of samples; every sample counts in each of the three.
import type { Statistics } from '@shardline/common';

/** The longest window, s (KPL: 60 buckets of a second). */
export const LONGEST_WINDOW_SECONDS = 60;

/** Of a metric lie side by side: samples, sum, least, greatest. */
const FIELDS = 4;

export class StatisticsGroup {
  readonly #size: number;
  readonly #keepsWindows: boolean;
  #second = Number.NEGATIVE_INFINITY;
  /** The running second, not yet in the others. */
  readonly #running: Float64Array;
  readonly #total: Float64Array;
  readonly #period: Float64Array;
  /** By second modulo the longest window; made when a second has something. */
  readonly #seconds: { second: number; readonly values: Float64Array }[] = [];

  /** `metricCount` metrics, numbered from 0. Without windows it is some 60 times smaller. */
  constructor(metricCount: number, keepsWindows: boolean) {
    this.#size = metricCount * FIELDS;
    this.#keepsWindows = keepsWindows;
    this.#running = new Float64Array(this.#size);
    this.#total = new Float64Array(this.#size);
    this.#period = new Float64Array(this.#size);
  }

  /** The last second that had a sample. */
  get usedInSecond(): number {
    return this.#second;
  }

  /** One sample. */
  add(metric: number, value: number, second: number): void {
    this.addMany(metric, 1, value, value, value, second);
  }

  addMany(metric: number, sampleCount: number, sum: number, min: number, max: number, second: number): void {
    // A clock that steps back only makes a second longer.
    if (second > this.#second) this.#turn(second);
    addTo(this.#running, metric * FIELDS, sampleCount, sum, min, max);
  }

  /** Takes over all that another one has counted, as if it had come this second. */
  absorb(other: StatisticsGroup, second: number): void {
    for (let metric = 0; metric * FIELDS < this.#size; metric++) {
      const found = other.total(metric);
      if (found === undefined) continue;
      addTo(this.#total, metric * FIELDS, found.sampleCount, found.sum, found.min, found.max);
      const taken = other.takePeriod(metric);
      if (taken !== undefined) {
        addTo(this.#period, metric * FIELDS, taken.sampleCount, taken.sum, taken.min, taken.max);
      }
    }
    if (second > this.#second) this.#turn(second);
  }

  /** Since the start. */
  total(metric: number): Statistics | undefined {
    return merge([this.#total, this.#running], metric * FIELDS);
  }

  /** In the last `seconds` seconds, the running one included: 1 to LONGEST_WINDOW_SECONDS. */
  window(metric: number, seconds: number, nowSecond: number): Statistics | undefined {
    const inWindow = (second: number): boolean => second > nowSecond - seconds && second <= nowSecond;
    const parts = this.#seconds.filter(({ second }) => inWindow(second)).map(({ values }) => values);
    if (inWindow(this.#second)) parts.push(this.#running);
    return merge(parts, metric * FIELDS);
  }

  /** Since it was last taken. */
  takePeriod(metric: number): Statistics | undefined {
    this.#settle();
    const taken = merge([this.#period], metric * FIELDS);
    this.#period.fill(0, metric * FIELDS, (metric + 1) * FIELDS);
    return taken;
  }

  #turn(second: number): void {
    this.#settle();
    this.#second = second;
  }

  /** Books what the running second has so far. */
  #settle(): void {
    const running = this.#running;
    const kept = this.#keepsWindows ? this.#slot(this.#second) : undefined;
    for (let at = 0; at < this.#size; at += FIELDS) {
      const [sampleCount = 0, sum = 0, min = 0, max = 0] = running.subarray(at, at + FIELDS);
      if (sampleCount === 0) continue;
      addTo(this.#total, at, sampleCount, sum, min, max);
      addTo(this.#period, at, sampleCount, sum, min, max);
      if (kept !== undefined) addTo(kept, at, sampleCount, sum, min, max);
    }
    running.fill(0);
  }

  #slot(second: number): Float64Array | undefined {
    if (second === Number.NEGATIVE_INFINITY) return undefined;
    const kept = this.#seconds.find((slot) => slot.second === second);
    if (kept !== undefined) return kept.values;
    const oldest = this.#seconds.find((slot) => slot.second <= second - LONGEST_WINDOW_SECONDS);
    if (oldest === undefined) {
      const values = new Float64Array(this.#size);
      this.#seconds.push({ second, values });
      return values;
    }
    oldest.second = second;
    oldest.values.fill(0);
    return oldest.values;
  }
}

/** Both together; undefined when neither has a sample. */
export function mergeStatistics(a: Statistics | undefined, b: Statistics | undefined): Statistics | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return {
    sampleCount: a.sampleCount + b.sampleCount,
    sum: a.sum + b.sum,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
  };
}

function addTo(values: Float64Array, at: number, sampleCount: number, sum: number, min: number, max: number): void {
  const before = values[at] as number;
  values[at] = before + sampleCount;
  values[at + 1] = (values[at + 1] as number) + sum;
  if (before === 0 || min < (values[at + 2] as number)) values[at + 2] = min;
  if (before === 0 || max > (values[at + 3] as number)) values[at + 3] = max;
}

function merge(parts: readonly Float64Array[], at: number): Statistics | undefined {
  return parts.reduce<Statistics | undefined>((merged, values) => {
    const [sampleCount = 0, sum = 0, min = 0, max = 0] = values.subarray(at, at + FIELDS);
    return sampleCount === 0 ? merged : mergeStatistics(merged, { sampleCount, sum, min, max });
  }, undefined);
}

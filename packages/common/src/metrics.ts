// The one sink port for numbers. The SDKs say what happened, a sink decides where it goes (CloudWatch, OpenTelemetry,
// Prometheus live behind subpaths of their own). Calls are made on the hot path: a sink must return at once, hold what it
// keeps bounded, and not throw.
import { describe, UsageError } from './errors.ts';
import { passOver } from './pass-over.ts';

/** What a sample of a distribution measures; `None` is a bare number, as a version. */
export type MetricUnit = 'Count' | 'Bytes' | 'Milliseconds' | 'None';

/** Names a time series further: `{ StreamName, ShardId, ErrorCode }`, in the KPL's and KCL's spelling. Few values each. */
export type MetricDimensions = Readonly<Record<string, string>>;

/** Many samples in four numbers, as CloudWatch's StatisticSet; the mean is `sum / sampleCount`. */
export interface Statistics {
  /** More than 0. */
  readonly sampleCount: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** Where numbers go. Names are the KPL's and the KCL's where they have one (`UserRecordsPut`, `MillisBehindLatest`). */
export interface MetricsSink {
  /** Adds to a counter; 0 counts too (it keeps an average honest). */
  count(name: string, value: number, dimensions?: MetricDimensions): void;
  /** One sample of a distribution: a latency, a size, a batch's length. */
  sample(name: string, value: number, unit: MetricUnit, dimensions?: MetricDimensions): void;
  /** Many samples of a distribution at once, of which the single ones are not known any more. */
  samples(name: string, statistics: Statistics, unit: MetricUnit, dimensions?: MetricDimensions): void;
  /** The present value of something that goes up and down: records pending, leases held. */
  gauge(name: string, value: number, dimensions?: MetricDimensions): void;
}

/** Keeps nothing. The default. */
export const noMetrics: MetricsSink = {
  count: () => undefined,
  sample: () => undefined,
  samples: () => undefined,
  gauge: () => undefined,
};

/** The sink to use: `given` once checked, else one that keeps nothing. @throws UsageError when a method is missing. */
export function resolveMetrics(given: MetricsSink | undefined, field = 'metrics'): MetricsSink {
  if (given === undefined) return noMetrics;
  const complete =
    typeof given === 'object' &&
    given !== null &&
    typeof given.count === 'function' &&
    typeof given.sample === 'function' &&
    typeof given.samples === 'function' &&
    typeof given.gauge === 'function';
  if (!complete)
    throw new UsageError(field, 'an object with the methods count, sample, samples, gauge', describe(given));
  return given;
}

/** What the sink throws ends nothing: it is told once, as a warning of the process, and that number is lost. */
export function guardMetrics(sink: MetricsSink): MetricsSink {
  const kept = (call: () => void): void => passOver('metrics sink', call);
  return {
    count: (name, value, dimensions) => kept(() => sink.count(name, value, dimensions)),
    sample: (name, value, unit, dimensions) => kept(() => sink.sample(name, value, unit, dimensions)),
    samples: (name, statistics, unit, dimensions) => kept(() => sink.samples(name, statistics, unit, dimensions)),
    gauge: (name, value, dimensions) => kept(() => sink.gauge(name, value, dimensions)),
  };
}

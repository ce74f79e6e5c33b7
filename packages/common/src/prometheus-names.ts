// The KPL's and the KCL's metrics in the words of Prometheus: snake case, base units, `_total` behind what only grows. Between the
// port and prometheus.ts. Pure.
// Invariant: one name never stands for two kinds of metric (`metricOf` is told the kind, and answers with it).
import { unitOf, wordsOf } from './metric-names.ts';
import type { MetricUnit } from './metrics.ts';

export type PrometheusKind = 'counter' | 'gauge' | 'histogram' | 'summary';

export interface PrometheusMetric {
  /** With the unit, without `_total`. */
  readonly name: string;
  readonly kind: PrometheusKind;
  readonly unit: 'seconds' | 'bytes' | undefined;
  /** What a value is divided by: ms by 1000. */
  readonly divisor: number;
  readonly help: string;
}

const suffixes = { Count: undefined, Bytes: 'bytes', Milliseconds: 'seconds', None: undefined } as const;

/** Where the words of the name would say the unit twice, or nothing by themselves. */
const stems: Readonly<Record<string, string>> = {
  'gauge MillisBehindLatest': 'behind_latest',
  'histogram MillisBehindLatest': 'application_behind_latest',
  'histogram Time': 'operation_duration',
  'counter Success': 'operation_success',
  'counter DataBytesProcessed': 'data_processed',
};

const labels: Readonly<Record<string, string>> = {
  Operation: 'operation',
  ShardId: 'shard',
  StreamId: 'stream',
  StreamName: 'stream',
  ErrorCode: 'error_code',
};

export function metricOf(
  prefix: string,
  kind: PrometheusKind,
  name: string,
  unit: MetricUnit = unitOf(name),
): PrometheusMetric {
  const suffix = suffixes[unit];
  const stem = stems[`${kind} ${name}`] ?? stemOf(name);
  return {
    name: [prefix, stem, suffix].filter((part) => part !== undefined && part !== '').join('_'),
    kind,
    unit: suffix,
    divisor: unit === 'Milliseconds' ? 1_000 : 1,
    help: `The KPL's or KCL's ${name}`,
  };
}

/** Undefined: the label is left out. Prometheus itself knows which process it asked (`instance`), and a worker's id is new at each start. */
export function labelOf(dimension: string): string | undefined {
  return dimension === 'WorkerIdentifier'
    ? undefined
    : (labels[dimension] ?? wordsOf(dimension).join('_').toLowerCase());
}

/** `RecordProcessor.processRecords.Time` → `record_processor_process_records`: the unit says that it is a time. */
function stemOf(name: string): string {
  const stem = name.replace(/\.(Time|Count)$/, '').replace(/(?<=[a-z])Count$/, '');
  return wordsOf(stem).join('_').toLowerCase();
}

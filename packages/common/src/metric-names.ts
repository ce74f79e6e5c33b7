// What the port's words do not say of the KPL's and the KCL's metrics, and exporters have to know: the unit of counts and gauges, and
// which of the producer's samples are counts or levels. Between the port and the exporters; a name that is not here is a plain number.
// Invariant: one entry per name, and both SDKs' names of a kind together.
import type { MetricUnit } from './metrics.ts';

const units: Readonly<Record<string, MetricUnit>> = {
  DataBytesProcessed: 'Bytes',
  MillisBehindLatest: 'Milliseconds',
  FleetMinSupportCode: 'None',
};

/** Of a metric that is counted or set. */
export function unitOf(name: string): MetricUnit {
  return units[name] ?? 'Count';
}

/** The producer gives everything as samples, as the KPL does; of these the sum is what one asks for. */
const sums: ReadonlySet<string> = new Set([
  ...['UserRecordsReceived', 'UserRecordsPut', 'UserRecordsDataPut', 'KinesisRecordsPut', 'KinesisRecordsDataPut'],
  ...['ErrorsByCode', 'AllErrors', 'UserRecordExpired'],
]);

/** Whether samples of this name are counts: their sum is the metric, by what it grows. */
export function isSum(name: string): boolean {
  return sums.has(name);
}

/** Whether samples of this name are looks at something that goes up and down: their mean is the metric. */
export function isLevel(name: string): boolean {
  return name === 'UserRecordsPending';
}

/** `RecordProcessor.processRecords.Time` → `['Record', 'Processor', 'process', 'Records', 'Time']`; `:` and `.` part words, too. */
export function wordsOf(name: string): string[] {
  return name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+[a-z]*/g) ?? [];
}

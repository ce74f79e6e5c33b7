// From what a contender says of itself to the figures of the table and of the last line.
import type { Leg } from './contenders.ts';
import type { Outcome } from './settings.ts';
import type { SinkCounts } from './sink.ts';

export interface Figures {
  readonly recordsPerSecond: number;
  /** Of the user records' data. */
  readonly megabytesPerSecond: number;
  readonly cpuMicrosPerRecord: number;
  /** The part of it that was a child process's. */
  readonly childCpuMicrosPerRecord: number;
  readonly cpuMicrosPerKinesisRecord: number;
  readonly recordsPerKinesisRecord: number;
  readonly residentMB: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The median of records that were put one after another, each alone. */
  readonly loneMs: number;
  readonly failed: number;
}

const MEGABYTE = 1_000_000;

export function figuresOf(
  outcome: Outcome,
  { records, warmUpRecords, size, loneRecords }: Leg,
  counts: SinkCounts,
): Figures {
  const { failed, seconds, cpuSeconds, childCpuSeconds, residentBytes, latencyMs, loneLatencyMs } = outcome;
  const cpuMicrosPerRecord = (cpuSeconds * 1e6) / records;
  // Those of the warm-up are among them, and two that were put before.
  const recordsPerKinesisRecord = (records + warmUpRecords) / (counts.kinesisRecords - loneRecords - 2);
  return {
    recordsPerSecond: Math.round(records / seconds),
    megabytesPerSecond: (records * size) / MEGABYTE / seconds,
    cpuMicrosPerRecord,
    childCpuMicrosPerRecord: (childCpuSeconds * 1e6) / records,
    cpuMicrosPerKinesisRecord: cpuMicrosPerRecord * recordsPerKinesisRecord,
    recordsPerKinesisRecord,
    residentMB: residentBytes / MEGABYTE,
    p50Ms: quantile(latencyMs, 0.5),
    p99Ms: quantile(latencyMs, 0.99),
    loneMs: quantile(loneLatencyMs, 0.5),
    failed,
  };
}

/** Each figure's median; of two the lower. */
export function medianOf(rounds: readonly Figures[]): Figures {
  const [first] = rounds;
  if (first === undefined) throw new Error('no round was run');
  const names = Object.keys(first) as (keyof Figures)[];
  return Object.fromEntries(
    names.map((name) => [
      name,
      quantile(
        rounds.map((round) => round[name]),
        0.5,
      ),
    ]),
  ) as unknown as Figures;
}

export function printTable(title: string, outcomes: Readonly<Partial<Record<string, Figures>>>): void {
  console.log(`\n${title}`);
  console.log(
    '             records/s    MB/s  CPU µs a record (child)  a Kinesis record  of so many  resident MB   p50 ms   p99 ms  lone ms',
  );
  for (const [name, figures] of Object.entries(outcomes)) {
    if (figures === undefined) continue;
    const child = figures.childCpuMicrosPerRecord === 0 ? '' : `(${figures.childCpuMicrosPerRecord.toFixed(1)})`;
    console.log(
      [
        (name === 'kpl' ? 'KPL' : `by ${name}`).padEnd(12),
        String(figures.recordsPerSecond).padStart(9),
        figures.megabytesPerSecond.toFixed(1).padStart(7),
        `${figures.cpuMicrosPerRecord.toFixed(2)} ${child.padStart(7)}`.padStart(24),
        figures.cpuMicrosPerKinesisRecord.toFixed(0).padStart(17),
        figures.recordsPerKinesisRecord.toFixed(1).padStart(11),
        figures.residentMB.toFixed(0).padStart(12),
        ...[figures.p50Ms, figures.p99Ms, figures.loneMs].map((ms) =>
          (Number.isNaN(ms) ? '-' : ms.toFixed(1)).padStart(8),
        ),
        figures.failed === 0 ? '' : `${figures.failed} FAILED`,
      ].join(' '),
    );
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
}

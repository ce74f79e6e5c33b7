// From what the contenders of the consumers' race say of themselves to the figures of its table and of its last line.
import type { Contender } from './contenders.ts';
import type { Outcome } from './settings.ts';

export interface Figures {
  readonly recordsPerSecond: number;
  /** Of the user records' data. */
  readonly megabytesPerSecond: number;
  readonly cpuMicrosPerRecord: number;
  /** In the end, and at the most. */
  readonly residentMB: number;
  readonly peakResidentMB: number;
  /** From the put to the handler, at a low rate; null where it was not measured. */
  readonly latencyMs: { readonly p50: number; readonly p99: number } | null;
}

/** Ours to theirs; above 1 is more. */
export interface Ratio {
  readonly rate: number;
  readonly recordsPerCpuSecond: number;
  readonly memory: number;
  readonly peakMemory: number;
}

export type Results = Partial<Record<Contender, Figures>>;

const MEGABYTE = 1_000_000;

export function figuresOf(outcome: Outcome, timed: Outcome | undefined): Figures {
  const { records, bytes, seconds, cpuSeconds, residentBytes, peakResidentBytes } = outcome;
  return {
    recordsPerSecond: Math.round(records / seconds),
    megabytesPerSecond: rounded(bytes / MEGABYTE / seconds),
    cpuMicrosPerRecord: rounded((cpuSeconds * 1e6) / records),
    residentMB: rounded(residentBytes / MEGABYTE),
    peakResidentMB: rounded(peakResidentBytes / MEGABYTE),
    latencyMs:
      timed === undefined
        ? null
        : { p50: rounded(quantile(timed.latencyMs, 0.5)), p99: rounded(quantile(timed.latencyMs, 0.99)) },
  };
}

/** Each figure's median; of two the lower. */
export function medianOf(rounds: readonly Figures[]): Figures {
  const [first] = rounds;
  if (first === undefined) throw new Error('no round was run');
  const middle = (of: (figures: Figures) => number): number => quantile(rounds.map(of), 0.5);
  return {
    recordsPerSecond: middle(({ recordsPerSecond }) => recordsPerSecond),
    megabytesPerSecond: middle(({ megabytesPerSecond }) => megabytesPerSecond),
    cpuMicrosPerRecord: middle(({ cpuMicrosPerRecord }) => cpuMicrosPerRecord),
    residentMB: middle(({ residentMB }) => residentMB),
    peakResidentMB: middle(({ peakResidentMB }) => peakResidentMB),
    latencyMs: first.latencyMs && {
      p50: middle(({ latencyMs }) => latencyMs?.p50 ?? Number.NaN),
      p99: middle(({ latencyMs }) => latencyMs?.p99 ?? Number.NaN),
    },
  };
}

/** The median of the rounds' own ratios: what a busy machine does to one round, it does to both of its sides. */
export function ratioOf(ours: readonly Figures[] | undefined, theirs: readonly Figures[] | undefined): Ratio | null {
  if (ours === undefined || theirs === undefined) return null;
  const middle = (of: (figures: Figures) => number): number => {
    const rounds = ours.flatMap((own, round) => {
      const other = theirs[round];
      return other === undefined ? [] : [of(own) / of(other)];
    });
    return rounded(quantile(rounds, 0.5));
  };
  return {
    rate: middle(({ recordsPerSecond }) => recordsPerSecond),
    recordsPerCpuSecond: middle(({ cpuMicrosPerRecord }) => 1 / cpuMicrosPerRecord),
    memory: middle(({ residentMB }) => residentMB),
    peakMemory: middle(({ peakResidentMB }) => peakResidentMB),
  };
}

export function printTable(title: string, results: Results): void {
  console.log(`\n${title}`);
  console.log('       records/s     MB/s   CPU µs a record   resident MB   at the most   p50 ms   p99 ms');
  for (const [name, figures] of Object.entries(results)) {
    const { recordsPerSecond, megabytesPerSecond, cpuMicrosPerRecord, residentMB, peakResidentMB, latencyMs } = figures;
    console.log(
      [
        name.padEnd(5),
        String(recordsPerSecond).padStart(10),
        megabytesPerSecond.toFixed(1).padStart(8),
        String(cpuMicrosPerRecord).padStart(17),
        residentMB.toFixed(0).padStart(13),
        peakResidentMB.toFixed(0).padStart(13),
        ...[latencyMs?.p50, latencyMs?.p99].map((ms) => (ms === undefined ? '-' : ms.toFixed(1)).padStart(8)),
      ].join(' '),
    );
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
}

/** Three digits say all that a shared machine knows. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

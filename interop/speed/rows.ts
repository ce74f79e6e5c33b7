// Figures as rows of a table, each beside what it may be at most.
import { loadavg } from 'node:os';
import { quantile } from '../fleet/moves.ts';

export interface Row {
  readonly what: string;
  /** Of shards that moved, or of starts. */
  readonly count: number;
  /** Null: nothing was measured. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly longestMs: number | null;
  /** What the p99 should not pass; null: nothing is promised. */
  readonly boundMs: number | null;
  /** Of the machine in the minute before the last of these, processes that could run. */
  readonly load: number;
}

/** @param valuesMs in any order. */
export function rowOf(what: string, valuesMs: readonly number[], boundMs: number | null): Row {
  const sorted = [...valuesMs].sort((a, b) => a - b);
  const at = (share: number): number | null => (sorted.length === 0 ? null : Math.round(quantile(sorted, share)));
  const load = Math.round(loadavg()[0] ?? 0);
  return { what, count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1), boundMs, load };
}

export function printRows(rows: readonly Row[]): void {
  const line = (what: string, ...cells: readonly unknown[]): string =>
    [what.padEnd(46), ...cells.map((cell) => String(cell ?? '').padStart(8))].join('');
  console.log(line('ms', 'count', 'p50', 'p99', 'longest', 'bound', 'load'));
  for (const { what, count, p50Ms, p99Ms, longestMs, boundMs, load } of rows) {
    console.log(line(what, count, p50Ms, p99Ms, longestMs, boundMs, load));
  }
}

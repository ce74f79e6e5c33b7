// What was counted, as rates and as money, and the table of it.
import type { Count } from './counting-proxy.ts';

/** DynamoDB on demand in us-east-1, dollars for a million request units, since November 2024. */
const DOLLARS_A_MILLION = { write: 0.625, read: 0.125 };
const HOURS_A_MONTH = 730;

export interface Summary {
  readonly fleet: string;
  /** To the lease row, an hour. */
  readonly writesABusyLease: number;
  readonly writesAnIdleLease: number;
  /** An hour, of the whole fleet. */
  readonly leaderWrites: number;
  readonly workerWrites: number;
  readonly queries: number;
  readonly scans: number;
  readonly gets: number;
  /** All of them, an hour and lease. */
  readonly writesALeaseHour: number;
  readonly readsALeaseHour: number;
  readonly readUnitsALeaseHour: number;
  readonly dollarsAMonth: { readonly writes: number; readonly reads: number };
}

export function summaryOf(
  fleet: string,
  counts: readonly Count[],
  { hours, busy, leases }: { readonly hours: number; readonly busy: ReadonlySet<string>; readonly leases: number },
): Summary {
  const anHour = (which: (count: Count) => boolean, of: 'requests' | 'units' = 'requests'): number =>
    counts.filter(which).reduce((sum, count) => sum + count[of], 0) / hours;
  const isWrite = ({ isWrite }: Count): boolean => isWrite;
  const isRead = ({ isWrite }: Count): boolean => !isWrite;
  const isBusy = (count: Count): boolean => count.shardId !== undefined && busy.has(count.shardId);
  const dollars = (units: number, price: number): number =>
    Math.round(((units * HOURS_A_MONTH * price) / 1_000_000) * 100) / 100;
  const about = (subject: Count['subject']) => (count: Count) => count.isWrite && count.subject === subject;
  const reads = (operation: string) => (count: Count) => count.operation === operation;
  const idle = leases - busy.size;
  return {
    fleet,
    writesABusyLease: Math.round(anHour((it) => about('lease')(it) && isBusy(it)) / busy.size),
    writesAnIdleLease: Math.round(anHour((it) => about('lease')(it) && !isBusy(it)) / idle),
    leaderWrites: Math.round(anHour(about('leader'))),
    workerWrites: Math.round(anHour(about('worker'))),
    queries: Math.round(anHour(reads('Query'))),
    scans: Math.round(anHour(reads('Scan'))),
    gets: Math.round(anHour(reads('GetItem'))),
    writesALeaseHour: Math.round(anHour(isWrite) / leases),
    readsALeaseHour: Math.round(anHour(isRead) / leases),
    readUnitsALeaseHour: Math.round(anHour(isRead, 'units') / leases),
    dollarsAMonth: {
      writes: dollars(anHour(isWrite, 'units'), DOLLARS_A_MILLION.write),
      reads: dollars(anHour(isRead, 'units'), DOLLARS_A_MILLION.read),
    },
  };
}

const lines: readonly (readonly [string, (summary: Summary) => number])[] = [
  ['writes to the row of a busy lease', (it) => it.writesABusyLease],
  ['writes to the row of an idle lease', (it) => it.writesAnIdleLease],
  ['writes to the Leader row', (it) => it.leaderWrites],
  ["writes to workers' rows", (it) => it.workerWrites],
  ['queries of the owner index', (it) => it.queries],
  ['pages of scans', (it) => it.scans],
  ['reads of single rows', (it) => it.gets],
  ['all writes, a lease', (it) => it.writesALeaseHour],
  ['all reads, a lease', (it) => it.readsALeaseHour],
  ['read units, a lease', (it) => it.readUnitsALeaseHour],
  ['dollars a month for writes', (it) => it.dollarsAMonth.writes],
  ['dollars a month for reads', (it) => it.dollarsAMonth.reads],
];

export function printTable(
  summaries: readonly Summary[],
  { workers, shards, busy }: { readonly workers: number; readonly shards: number; readonly busy: number },
): void {
  console.log(`${workers} workers, ${shards} leases, ${busy} of them busy; an hour, extrapolated`);
  console.log(''.padEnd(36) + summaries.map(({ fleet }) => fleet.padStart(14)).join(''));
  for (const [label, of] of lines) {
    console.log(label.padEnd(36) + summaries.map((summary) => String(of(summary)).padStart(14)).join(''));
  }
}

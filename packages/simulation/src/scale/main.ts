// `npm run simulate:scale [-- --shards N --workers N --seed S]`: a large fleet by both strategies of assignment, in virtual time.
// Prints what each phase took, what a minute at rest asks of the lease table beside what the KCL's rules would, and last a line of
// JSON. Exit code 1 when a fleet did not come to rest, moved too much, or gave a worker more than its limit.
import { parseArgs } from 'node:util';
import { runCommand } from '../arguments.ts';
import { simulateInChild } from './child.ts';
import { type KclPhase, simulateKclDecider } from './kcl-decider.ts';
import { CPU, mostLeases, type PhaseResult, type ScaleResult } from './scale.ts';
import type { TableUse } from './table.ts';

const USAGE = 'usage: npm run simulate:scale -- [--shards N] [--workers N] [--seed S] [--noise PERCENT]';

interface Given {
  readonly shards: number;
  readonly workers: number;
  readonly seed: number;
  readonly cpuNoisePercent: number;
}

async function main(given: Given): Promise<number> {
  const strategies = ['count', 'utilization'] as const;
  const underWay = strategies.map((strategy) => simulateInChild({ ...given, strategy }));
  const kclPhases = simulateKclDecider({ ...given, ...CPU, maxLeasesForWorker: mostLeases(given) });
  const results: ScaleResult[] = [];
  for (const { result, cpuSeconds } of await Promise.all(underWay)) {
    results.push(result);
    const [seconds, by] = [cpuSeconds.toFixed(0), result.strategy];
    console.log(
      `\n${given.shards} shards, ${given.workers} workers, by ${by} (simulated in ${seconds} s of a core):\n`,
    );
    printTable(
      ['', 'workers', 'served s', 'balanced s', 'moves', 'fewest', 'leases', 'load %', 'plans', 'CPU ms', 'most'],
      result.phases.map(phaseRow),
    );
  }
  console.log("\nthe KCL's decider by utilization in a loop of its own, half an hour a phase:\n");
  printTable(
    ['', 'workers', 'last move s', 'moves', 'of these in the last 10 min', 'balancing runs that moved', 'load %'],
    kclPhases.map(kclRow),
  );
  const [first] = results as [ScaleResult, ...ScaleResult[]];
  console.log('\na minute at rest, every shard with records and checkpointed at the same interval:\n');
  printTable(
    ['', 'reads', 'read units', 'writes', 'write units'],
    [
      ...results.map(({ strategy, minute }) => useRow(`by ${strategy}, metered`, minute)),
      useRow("the KCL's rules", first.kclMinute),
      ...first.kclRules.map(({ what, source, use }) => useRow(`  ${what} (${source})`, use)),
    ],
  );
  const failures = results.flatMap((result) => result.failures);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  const byStrategy = Object.fromEntries(results.map(({ strategy, phases, minute }) => [strategy, { phases, minute }]));
  console.log(JSON.stringify({ ...given, ...byStrategy, kclPhases, kclMinute: rounded(first.kclMinute), failures }));
  return failures.length === 0 ? 0 : 1;
}

function readArguments(): Given {
  const { values } = parseArgs({
    options: {
      shards: { type: 'string', default: '10000' },
      workers: { type: 'string', default: '500' },
      seed: { type: 'string', default: '1' },
      noise: { type: 'string', default: '3' },
    },
  });
  return {
    shards: wholeNumber('--shards', values.shards, 1, 100_000),
    workers: wholeNumber('--workers', values.workers, 3, 10_000),
    seed: wholeNumber('--seed', values.seed, 0, 999_999_999),
    cpuNoisePercent: wholeNumber('--noise', values.noise, 0, 100),
  };
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const number = Number(text);
  if (/^\d{1,9}$/.test(text) && number >= min && number <= max) return number;
  throw new Error(`${option}: expected a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`);
}

function phaseRow(result: PhaseResult): string[] {
  const { phase, workers, servedSeconds, balancedSeconds, moves, fewestMoves, leases, load, planCpuMs } = result;
  return [
    phase,
    String(workers),
    String(servedSeconds ?? 'never'),
    String(balancedSeconds ?? 'never'),
    String(moves),
    String(fewestMoves),
    `${leases.least} to ${leases.most}`,
    `${load.leastPercent} to ${load.mostPercent}`,
    String(planCpuMs.count),
    String(planCpuMs.median),
    String(planCpuMs.most),
  ];
}

function kclRow({ phase, workers, lastMoveSeconds, moves, movesInLastTenMinutes, runs, load }: KclPhase): string[] {
  const numbers = [workers, lastMoveSeconds, moves, movesInLastTenMinutes, runs].map(String);
  return [phase, ...numbers, `${load.leastPercent} to ${load.mostPercent}`];
}

function useRow(name: string, use: TableUse): string[] {
  const { reads, readUnits, writes, writeUnits } = rounded(use);
  return [name, ...[reads, readUnits, writes, writeUnits].map((value) => value.toLocaleString('en-US'))];
}

function rounded({ reads, readUnits, writes, writeUnits }: TableUse): TableUse {
  return {
    reads: Math.round(reads),
    readUnits: Math.round(readUnits),
    writes: Math.round(writes),
    writeUnits: Math.round(writeUnits),
  };
}

function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  for (const row of all) {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    console.log(`  ${cells.join('  ')}`.trimEnd());
  }
}

await runCommand(readArguments, USAGE, main);

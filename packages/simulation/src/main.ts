// `npm run simulate -- --schedules N [--seed S] [--transcript]`: the worlds of seed S on, then every planted bug. The last line is
// JSON: schedules, violations, schedulesPerSecond, plantedBugs. Exit code 1 on a violation or a bug that was not found.
import { parseArgs } from 'node:util';
import { simulateWorld } from './consumer/world.ts';
import { findPlantedBugs, simulateMany } from './simulate.ts';

const USAGE = 'usage: npm run simulate -- --schedules N [--seed S] [--bug-seeds N] [--transcript]';

interface Arguments {
  readonly schedules: number;
  readonly seed: number;
  readonly bugSeeds: number;
  readonly transcript: boolean;
}

function main(): number {
  let args: Arguments;
  try {
    args = readArguments();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (args.transcript) return printTranscript(args.seed);

  const startedAt = performance.now();
  const result = simulateMany(args.seed, args.schedules);
  const seconds = (performance.now() - startedAt) / 1000;
  for (const { world, seed, violations } of result.failures.slice(0, 10)) {
    console.log(`${world} seed ${seed}: ${violations[0]}`);
  }
  if (result.failures.some((failure) => failure.world === 'consumer')) {
    console.log('Read one with: npm run simulate -- --transcript --seed SEED');
  }

  const bugs = findPlantedBugs(args.seed, args.bugSeeds);
  for (const { world, name, mistake, seeds } of bugs) {
    const outcome = seeds === undefined ? 'NOT FOUND' : `found after ${seeds} seeds`;
    console.log(`${outcome}: ${world} ${name} (${mistake})`);
  }
  const found = bugs.filter((bug) => bug.seeds !== undefined).length;
  const summary = {
    schedules: result.schedules,
    violations: result.failures.length,
    schedulesPerSecond: Math.round(result.schedules / seconds),
    plantedBugs: { found, total: bugs.length },
    firstSeed: args.seed,
  };
  console.log(JSON.stringify(summary));
  return result.failures.length === 0 && found === bugs.length ? 0 : 1;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      schedules: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      'bug-seeds': { type: 'string', default: '2000' },
      transcript: { type: 'boolean', default: false },
    },
  });
  return {
    schedules: wholeNumber('--schedules', values.schedules),
    seed: wholeNumber('--seed', values.seed),
    bugSeeds: wholeNumber('--bug-seeds', values['bug-seeds']),
    transcript: values.transcript,
  };
}

function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new Error(`${option}: expected a whole number up to 999999999, got ${JSON.stringify(text)}`);
  return Number(text);
}

function printTranscript(seed: number): number {
  const { transcript, violations } = simulateWorld(seed, { transcript: true });
  for (const line of transcript) console.log(line);
  for (const violation of violations) console.log(`VIOLATION: ${violation}`);
  return violations.length === 0 ? 0 : 1;
}

process.exitCode = main();

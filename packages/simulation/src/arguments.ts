// What the commands of the simulator can be told, read and checked once; and how they begin and end.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { WORLDS, type WorldChoice } from './simulate.ts';

export interface Arguments {
  readonly schedules: number;
  /** Undefined: not given. */
  readonly seed: number | undefined;
  readonly world: WorldChoice;
  readonly jobs: number;
  /** 0: no planted bug is looked for. */
  readonly bugSeeds: number;
  readonly transcript: boolean;
  /** The planted bug that the transcript is to have; undefined: none. */
  readonly bug: string | undefined;
  readonly hours: number;
  readonly violations: number;
  readonly failures: string;
}

export const USAGE = `usage: npm run simulate -- [--schedules N] [--world small|large|producer|mix] [--seed S] [--jobs J] [--bug-seeds N, 0: none looked for]
       npm run simulate -- --transcript --seed S [--world small|large|producer] [--bug NAME]
       npm run simulate:nightly -- [--hours H] [--world W] [--seed S] [--jobs J] [--violations N] [--failures FILE]
a line of a transcript: virtual ms since the beginning; ! where something goes wrong, X where a rule is broken; who; what happened`;

/** A generator's state is 32 bits wide. */
const HIGHEST_SEED = 2 ** 32 - 1;

/** Runs a command: its result is the exit code; what its arguments say wrong goes to stderr with the usage, exit code 2. `--help` is the usage alone. */
export async function runCommand<Given>(
  read: () => Given,
  usage: string,
  main: (given: Given) => number | Promise<number>,
): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  let given: Given;
  try {
    given = read();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
    process.exitCode = 2;
    return;
  }
  process.exitCode = await main(given);
}

/** @throws Error that names the option, what was expected and what was got */
export function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      schedules: { type: 'string', default: '2000' },
      seed: { type: 'string' },
      world: { type: 'string', default: 'mix' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      'bug-seeds': { type: 'string' },
      transcript: { type: 'boolean', default: false },
      bug: { type: 'string' },
      hours: { type: 'string', default: '8' },
      violations: { type: 'string', default: '10' },
      failures: { type: 'string', default: 'simulation-failures.txt' },
    },
  });
  if (values.bug !== undefined && !values.transcript)
    throw new Error('--bug: expected with --transcript, got it alone');
  const schedules = wholeNumber('--schedules', values.schedules);
  return {
    schedules,
    seed: values.seed === undefined ? undefined : wholeNumber('--seed', values.seed),
    world: worldNamed(values.world),
    jobs: Math.max(1, wholeNumber('--jobs', values.jobs)),
    // Who runs one seed wants to know about that seed.
    bugSeeds: wholeNumber('--bug-seeds', values['bug-seeds'] ?? (schedules === 1 ? '0' : '2000')),
    transcript: values.transcript,
    bug: values.bug,
    hours: positiveNumber('--hours', values.hours),
    violations: Math.max(1, wholeNumber('--violations', values.violations)),
    failures: values.failures,
  };
}

export function wholeNumber(option: string, text: string): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (number <= HIGHEST_SEED) return number;
  throw new Error(`${option}: expected a whole number up to ${HIGHEST_SEED}, got ${JSON.stringify(text)}`);
}

function positiveNumber(option: string, text: string): number {
  const number = Number(text);
  if (text !== '' && number > 0 && number < Number.POSITIVE_INFINITY) return number;
  throw new Error(`${option}: expected a number above 0, got ${JSON.stringify(text)}`);
}

function worldNamed(text: string): WorldChoice {
  const choice = [...WORLDS, 'mix' as const].find((world) => world === text);
  if (choice !== undefined) return choice;
  throw new Error(`--world: expected ${WORLDS.join(', ')} or mix, got ${JSON.stringify(text)}`);
}

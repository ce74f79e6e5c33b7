// `npm run simulate`: the schedules of seed S on, then every planted bug. What it prints comes in the order of seeds, however many
// threads ran them, and as soon as it is known: a run that is broken off has said what it found. The last line is JSON: schedules,
// violations, schedulesPerSecond, plantedBugs, and the figures of each world. Exit code 1 on a violation or a bug not found.
import { type Arguments, readArguments, runCommand, USAGE } from './arguments.ts';
import { FailurePrinter, Heartbeat, perCpuSecond, Tally } from './report.ts';
import {
  type Piece,
  PLANTED_BUG_COUNT,
  plantedBugNamed,
  plantedBugNames,
  simulate,
  type WorldChoice,
  worldOf,
} from './simulate.ts';
import { perform } from './threads.ts';

/** A piece of work: short enough to keep all threads busy to the end. */
const PIECE_SEEDS = 50;

async function main(args: Arguments): Promise<number> {
  if (args.transcript) return printTranscript(args.world, args.seed ?? 1, args.bug);

  const { seed = 1, jobs } = args;
  if (args.schedules > 0) {
    console.log(`world ${args.world}, seeds ${seed} to ${seed + args.schedules - 1}, ${jobs} threads`);
  }
  const tally = new Tally();
  const startedAt = performance.now();
  const cpuAtStart = process.cpuUsage();
  const printer = new FailurePrinter((line) => console.log(line));
  const heartbeat = new Heartbeat((line) => process.stderr.write(`${line}\n`), startedAt);
  for await (const done of perform(inPieces(args.world, seed, args.schedules), jobs)) {
    tally.add(done);
    for (const failure of done.failures) printer.print(failure);
    heartbeat.beat(tally, performance.now());
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const { failures, schedules, worlds } = tally;
  const schedulesPerCpuSecond = perCpuSecond(schedules, cpuAtStart);

  let found = 0;
  const total = args.bugSeeds === 0 ? 0 : PLANTED_BUG_COUNT;
  if (total === 0) console.log('no planted bug was looked for');
  for await (const { world, name, mistake, seeds } of perform(plantedBugSearches(total, seed, args.bugSeeds), jobs)) {
    if (seeds !== undefined) found += 1;
    const outcome = seeds === undefined ? `NOT FOUND in ${args.bugSeeds} seeds` : `found after ${seeds} seeds`;
    console.log(`${outcome}: ${world} world, ${name} (${mistake})`);
  }
  const summary = {
    schedules,
    violations: failures.length,
    schedulesPerSecond: Math.round(schedules / seconds),
    schedulesPerCpuSecond,
    plantedBugs: { found, total },
    firstSeed: seed,
    world: args.world,
    jobs,
    worlds,
  };
  console.log(JSON.stringify(summary));
  return failures.length === 0 && found === total ? 0 : 1;
}

function* inPieces(world: WorldChoice, first: number, count: number): Generator<Piece & { kind: 'seeds' }> {
  for (let done = 0; done < count; done += PIECE_SEEDS) {
    yield { kind: 'seeds', world, first: first + done, count: Math.min(PIECE_SEEDS, count - done) };
  }
}

function* plantedBugSearches(count: number, first: number, most: number): Generator<Piece & { kind: 'bug' }> {
  for (let bug = 0; bug < count; bug += 1) yield { kind: 'bug', bug, first, most };
}

/** Of a planted bug the world is the one that it is planted in, unless a consumer's is to be in a large one. */
function printTranscript(choice: WorldChoice, seed: number, bug: string | undefined): number {
  const named = bug === undefined ? undefined : plantedBugNamed(bug);
  if (bug !== undefined && named === undefined) {
    process.stderr.write(`--bug: expected one of ${plantedBugNames().join(', ')}, got ${JSON.stringify(bug)}\n`);
    return 2;
  }
  const chosen = worldOf(choice, seed);
  const isFit = named === undefined || (named.world === 'producer') === (chosen === 'producer');
  const world = isFit ? chosen : (named?.world ?? chosen);
  const { transcript, violations } = named?.simulate(world, seed) ?? simulate(world, seed, true);
  for (const line of transcript) console.log(line);
  const planted = bug === undefined ? '' : ` with ${bug}`;
  console.log(`${world} world, seed ${seed}${planted}: ${violations[0] ?? 'no violation'}`);
  return violations.length === 0 ? 0 : 1;
}

await runCommand(readArguments, USAGE, main);

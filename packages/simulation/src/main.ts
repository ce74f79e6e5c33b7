// `npm run simulate`: the schedules of seed S on, then every planted bug. What it prints comes in the order of seeds, however many
// threads ran them. The last line is JSON: schedules, violations, schedulesPerSecond, plantedBugs, and the figures of each world.
// Exit code 1 on a violation or a bug that was not found.
import { type Arguments, readArguments, runCommand, USAGE } from './arguments.ts';
import { describeFailure, perCpuSecond, Tally } from './report.ts';
import { type Piece, PLANTED_BUG_COUNT, simulate, type WorldChoice, worldOf } from './simulate.ts';
import { perform } from './threads.ts';

/** A piece of work: short enough to keep all threads busy to the end. */
const PIECE_SEEDS = 50;
const MOST_SHOWN = 3;

async function main(args: Arguments): Promise<number> {
  if (args.transcript) return printTranscript(args.world, args.seed ?? 1);

  const { seed = 1, jobs } = args;
  const tally = new Tally();
  const startedAt = performance.now();
  const cpuAtStart = process.cpuUsage();
  for await (const done of perform(inPieces(args.world, seed, args.schedules), jobs)) tally.add(done);
  const seconds = (performance.now() - startedAt) / 1000;
  const { failures, schedules, worlds } = tally;
  const schedulesPerCpuSecond = perCpuSecond(schedules, cpuAtStart);
  for (const failure of failures.slice(0, MOST_SHOWN)) for (const line of describeFailure(failure)) console.log(line);
  for (const { world, seed: failed, violations } of failures.slice(MOST_SHOWN)) {
    console.log(`${world} world, seed ${failed}: ${violations[0]}`);
  }

  let found = 0;
  for await (const { world, name, mistake, seeds } of perform(plantedBugSearches(seed, args.bugSeeds), jobs)) {
    if (seeds !== undefined) found += 1;
    const outcome = seeds === undefined ? `NOT FOUND in ${args.bugSeeds} seeds` : `found after ${seeds} seeds`;
    console.log(`${outcome}: ${world} world, ${name} (${mistake})`);
  }
  const summary = {
    schedules,
    violations: failures.length,
    schedulesPerSecond: Math.round(schedules / seconds),
    schedulesPerCpuSecond,
    plantedBugs: { found, total: PLANTED_BUG_COUNT },
    firstSeed: seed,
    world: args.world,
    jobs,
    worlds,
  };
  console.log(JSON.stringify(summary));
  return failures.length === 0 && found === PLANTED_BUG_COUNT ? 0 : 1;
}

function* inPieces(world: WorldChoice, first: number, count: number): Generator<Piece & { kind: 'seeds' }> {
  for (let done = 0; done < count; done += PIECE_SEEDS) {
    yield { kind: 'seeds', world, first: first + done, count: Math.min(PIECE_SEEDS, count - done) };
  }
}

function* plantedBugSearches(first: number, most: number): Generator<Piece & { kind: 'bug' }> {
  for (let bug = 0; bug < PLANTED_BUG_COUNT; bug += 1) yield { kind: 'bug', bug, first, most };
}

function printTranscript(choice: WorldChoice, seed: number): number {
  const world = worldOf(choice, seed);
  const { transcript, violations } = simulate(world, seed, true);
  console.log(`${world} world, seed ${seed}`);
  for (const line of transcript) console.log(line);
  return violations.length === 0 ? 0 : 1;
}

await runCommand(readArguments, USAGE, main);

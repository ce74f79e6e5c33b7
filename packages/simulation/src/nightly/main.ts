// `npm run simulate:nightly`: schedules without end, other seeds each day. Stops after --hours or at --violations, adds each failing
// seed to a file, and ends with the same line of figures as `npm run simulate`, without the planted bugs.
import { appendFileSync } from 'node:fs';
import { type Arguments, readArguments, runCommand, USAGE } from '../arguments.ts';
import { describeFailure, perCpuSecond, Tally } from '../report.ts';
import type { Piece, WorldChoice } from '../simulate.ts';
import { perform } from '../threads.ts';

const DAY_MS = 86_400_000;
/** More than a day's schedules, so that no two days of a season share a seed. */
const SEEDS_A_DAY = 40_000_000;
const PIECE_SEEDS = 200;
const REPORT_MS = 60_000;

async function main(args: Arguments): Promise<number> {
  const firstSeed = args.seed ?? seedOfDay(Date.now());
  console.log(`${args.hours} hours, world ${args.world}, from seed ${firstSeed}, ${args.jobs} threads`);
  const tally = new Tally();
  const startedAt = performance.now();
  const cpuAtStart = process.cpuUsage();
  const endsAt = startedAt + args.hours * 3_600_000;
  let reportAt = startedAt + REPORT_MS;
  for await (const done of perform(withoutEnd(args.world, firstSeed), args.jobs)) {
    tally.add(done);
    for (const failure of done.failures) {
      appendFileSync(args.failures, `${failure.world} ${failure.seed} ${failure.violations[0]}\n`);
      for (const line of describeFailure(failure)) console.log(line);
    }
    const now = performance.now();
    if (now >= endsAt || tally.failures.length >= args.violations) break;
    if (now < reportAt) continue;
    reportAt = now + REPORT_MS;
    console.log(`${tally.schedules} schedules, ${tally.failures.length} violations`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const { schedules, failures, worlds } = tally;
  const schedulesPerSecond = Math.round(schedules / seconds);
  const schedulesPerCpuSecond = perCpuSecond(schedules, cpuAtStart);
  const figures = { schedules, violations: failures.length, schedulesPerSecond, schedulesPerCpuSecond };
  console.log(JSON.stringify({ ...figures, firstSeed, world: args.world, jobs: args.jobs, worlds }));
  return failures.length === 0 ? 0 : 1;
}

function* withoutEnd(world: WorldChoice, firstSeed: number): Generator<Piece & { kind: 'seeds' }> {
  for (let first = firstSeed; ; first += PIECE_SEEDS) yield { kind: 'seeds', world, first, count: PIECE_SEEDS };
}

function seedOfDay(now: number): number {
  return (Math.floor(now / DAY_MS) % 100) * SEEDS_A_DAY + 1;
}

await runCommand(readArguments, USAGE, main);

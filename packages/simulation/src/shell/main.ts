// `npm run simulate:shell`: the worlds of seed S on, then every planted bug. One process and one world at a time, since worlds share the event
// loop; a failing seed is printed with the end of its transcript. The last line is JSON: schedules, violations, schedulesPerSecond,
// plantedBugs. Exit code 1 on a violation or a bug not found.
import { parseArgs } from 'node:util';
import { runCommand, wholeNumber } from '../arguments.ts';
import { type PlantedBug, shellPlantedBugs } from './planted-bugs.ts';
import { simulateShell } from './world.ts';

const USAGE = `usage: npm run simulate:shell -- [--schedules N, 200] [--seed S, 1] [--bug-seeds N, 100; 0: no planted bug is looked for]
       npm run simulate:shell -- --transcript --seed S [--bug NAME]
a line of a transcript: virtual ms since the beginning; ! where something goes wrong, X where a rule is broken; who; what happened`;

/** Lines of a transcript that are printed with a failure. */
const LAST_LINES = 40;

interface Arguments {
  readonly schedules: number;
  readonly seed: number;
  readonly bugSeeds: number;
  readonly transcript: boolean;
  readonly bug: PlantedBug | undefined;
}

/** @throws Error that names the option, what was expected and what was got */
function readShellArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      schedules: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      'bug-seeds': { type: 'string', default: '100' },
      transcript: { type: 'boolean', default: false },
      bug: { type: 'string' },
    },
  });
  const bug = shellPlantedBugs.find(({ name }) => name === values.bug);
  const names = shellPlantedBugs.map(({ name }) => name).join(', ');
  if (values.bug !== undefined && bug === undefined)
    throw new Error(`--bug: expected one of ${names}, got ${JSON.stringify(values.bug)}`);
  if (bug !== undefined && !values.transcript) throw new Error('--bug: expected with --transcript, got it alone');
  return {
    schedules: wholeNumber('--schedules', values.schedules),
    seed: wholeNumber('--seed', values.seed),
    bugSeeds: wholeNumber('--bug-seeds', values['bug-seeds']),
    transcript: values.transcript,
    bug,
  };
}

async function main({ schedules, seed: first, bugSeeds, transcript, bug }: Arguments): Promise<number> {
  if (transcript) return printTranscript(first, bug);
  const startedAt = performance.now();
  let violations = 0;
  for (let seed = first; seed < first + schedules; seed += 1) {
    if ((await simulateShell(seed)).violations.length === 0) continue;
    violations += 1;
    await printFailure(seed);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  let found = 0;
  const wanted = bugSeeds === 0 ? [] : shellPlantedBugs;
  for (const planted of wanted) {
    const seeds = await seedsUntilFound(planted, first, bugSeeds);
    if (seeds !== undefined) found += 1;
    const outcome = seeds === undefined ? `NOT FOUND in ${bugSeeds} seeds` : `found after ${seeds} seeds`;
    console.log(`${outcome}: ${planted.name} (${planted.mistake})`);
  }
  const schedulesPerSecond = Math.round((10 * schedules) / seconds) / 10;
  const plantedBugs = { found, total: wanted.length };
  console.log(JSON.stringify({ schedules, violations, schedulesPerSecond, plantedBugs, firstSeed: first }));
  return violations === 0 && found === wanted.length ? 0 : 1;
}

async function seedsUntilFound(bug: PlantedBug, first: number, most: number): Promise<number | undefined> {
  for (let tried = 1; tried <= most; tried += 1)
    if ((await simulateShell(first + tried - 1, { bug })).violations.length > 0) return tried;
  return undefined;
}

async function printFailure(seed: number): Promise<void> {
  const { transcript, violations } = await simulateShell(seed, { transcript: true });
  console.log(`seed ${seed}: ${violations[0]}`);
  for (const line of transcript.slice(-LAST_LINES)) console.log(line);
  console.log(`All of it: npm run simulate:shell -- --transcript --seed ${seed}`);
}

async function printTranscript(seed: number, bug: PlantedBug | undefined): Promise<number> {
  const { transcript, violations } = await simulateShell(seed, { bug, transcript: true });
  for (const line of transcript) console.log(line);
  console.log(`seed ${seed}${bug === undefined ? '' : ` with ${bug.name}`}: ${violations[0] ?? 'no violation'}`);
  return violations.length === 0 ? 0 : 1;
}

await runCommand(readShellArguments, USAGE, main);

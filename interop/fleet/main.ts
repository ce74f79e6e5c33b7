// `npm run interop [-- NAME …] [--at-once N]`: plays the scenarios, or those named, so many at once; prints what each one showed, and
// last a line of JSON. The exit code is 1 when one of them is not ok, 2 for a wrong command line.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { type DynamoDBLocal, startDynamoDBLocal } from '../dynamodb-local/dynamodb-local.ts';
import { buildJava } from '../java/build.ts';
import type { Outcome } from './fleet.ts';
import { describeMoves, type Move } from './moves.ts';
import { type Scenario, scenarios } from './scenarios.ts';

// It runs on Node 20 as well; the SDK's advice to upgrade would be its first output.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
process.exitCode = await main();

async function main(): Promise<number> {
  const wanted = readArguments();
  if (typeof wanted === 'string') {
    console.error(wanted);
    return 2;
  }
  const absent = ['java', 'javac', 'mvn'].filter((program) => {
    const { error, status } = spawnSync(program, ['--version'], { stdio: 'ignore' });
    return error !== undefined || status !== 0;
  });
  if (absent.length > 0) {
    console.error(`${absent.join(' and ')} cannot be run: this needs a JDK (17 or later) and Maven on the PATH`);
    return 1;
  }

  // All that Maven has to bring is there before the first scenario begins.
  for (const program of new Set(wanted.played.flatMap(({ programs }) => programs))) await buildJava(program);
  const kinesis: LocalKinesis = await startLocalKinesis();
  let dynamoDB: DynamoDBLocal | undefined;
  try {
    dynamoDB = await startDynamoDBLocal();
    const outcomes = await playAll(wanted.played, wanted.atOnce, { kinesis, dynamoDBEndpoint: dynamoDB.endpoint });
    conclude(outcomes);
    return outcomes.every(({ ok }) => ok) ? 0 : 1;
  } finally {
    await dynamoDB?.close();
    await kinesis.close();
  }
}

/** @returns what is wrong with the command line. */
function readArguments(): { readonly played: readonly Scenario[]; readonly atOnce: number } | string {
  const names = scenarios.map(({ name }) => name);
  try {
    const options = { 'at-once': { type: 'string', default: '2' } } as const;
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const unknown = positionals.filter((name) => !names.includes(name));
    if (unknown.length > 0) return `no scenario is called ${unknown.join(', ')}; there are ${names.join(', ')}`;
    const atOnce = Number(values['at-once']);
    if (!Number.isInteger(atOnce) || atOnce < 1)
      return `--at-once: expected a whole number from 1, got ${values['at-once']}`;
    const played = scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
    return { played, atOnce };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function playAll(
  played: readonly Scenario[],
  atOnce: number,
  setting: Parameters<Scenario['play']>[0],
): Promise<Outcome[]> {
  const waiting = [...played];
  const outcomes: Outcome[] = [];
  const playOn = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const startedAt = performance.now();
      const outcome = await next.play(setting, next.name);
      show(next, outcome, performance.now() - startedAt);
      outcomes.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, playOn));
  return played.flatMap(({ name }) => outcomes.filter((outcome) => outcome.name === name));
}

function show({ name, title }: Scenario, { ok, faults, moves, ...counts }: Outcome, tookMs: number): void {
  const { records, handled, skipped, duplicates } = counts;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}: ${title} (${(tookMs / 1000).toFixed(0)} s)`);
  console.log(`     ${records} records, ${handled} handled, ${skipped} skipped, ${duplicates} duplicates`);
  for (const line of describeMoves(moves)) console.log(`     ${line}`);
  for (const fault of faults) console.log(`     ! ${fault}`);
}

function conclude(outcomes: readonly Outcome[]): void {
  const all: readonly Move[] = outcomes.flatMap(({ moves }) => moves);
  console.log('\nall together');
  for (const line of describeMoves(all)) console.log(`     ${line}`);
  console.log(
    JSON.stringify({
      scenarios: outcomes.map(({ name, records, handled, skipped, duplicates, ok }) => {
        return { name, records, handled, skipped, duplicates, ok };
      }),
    }),
  );
}

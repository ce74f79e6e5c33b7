// `npm run bench:fleet [-- STAGE …] [--moves N] [--kills N] [--starts N]`: how long a worker takes to its first record, and how long
// shards rest when workers are replaced and when they are killed: ours and those of the real Java KCL 3.5.1 in one run, on one local
// Kinesis and one DynamoDB Local. A stage is named by how its name begins. Stages of Java workers, which take tens of seconds to
// whatever they do, are played side by side, those of Node workers one after the other. Prints a table, with what bounds each figure
// beside it, and last a line of JSON. The exit code is 1 when a record was skipped or a history shows a fault, 2 for a wrong command line.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { startLocalKinesis } from '@shardline/local';
import { startDynamoDBLocal } from '../dynamodb-local/dynamodb-local.ts';
import { buildJava } from '../java/build.ts';
import { deployAcross, deployNode } from './deploys.ts';
import { kills } from './kills.ts';
import { printRows } from './rows.ts';
import type { Played, Stage } from './stage.ts';
import { starts } from './starts.ts';

interface Counts {
  /** Shards that Node workers leave, under a leader of either kind. */
  readonly moves: number;
  /** Of a worker, and as many of a leader. */
  readonly kills: number;
  readonly starts: number;
}

interface Part {
  readonly name: string;
  readonly isJava: boolean;
  readonly play: (stage: Stage, counts: Counts) => Promise<Played>;
}

const PARTS: readonly Part[] = [
  { name: 'starts-node', isJava: false, play: (stage, counts) => starts(stage, 'node', counts.starts) },
  { name: 'deploys-java-leads', isJava: false, play: (stage, counts) => deployNode(stage, 'java', counts.moves) },
  { name: 'deploys-node-leads', isJava: false, play: (stage, counts) => deployNode(stage, 'node', counts.moves) },
  { name: 'kills-node', isJava: false, play: (stage, counts) => kills(stage, 'node', counts.kills) },
  { name: 'starts-java', isJava: true, play: (stage) => starts(stage, 'java', 1) },
  { name: 'deploys-across', isJava: true, play: (stage) => deployAcross(stage, 1) },
  { name: 'kills-java', isJava: true, play: (stage) => kills(stage, 'java', 1) },
];
const PULSE_MS = 50;

// It runs on Node 20 as well; the SDK's advice to upgrade would be its first output.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
process.exitCode = await main();

async function main(): Promise<number> {
  const wanted = readArguments();
  if (typeof wanted === 'string') {
    console.error(wanted);
    return 2;
  }
  const { parts, counts } = wanted;
  await buildJava('kcl');
  const kinesis = await startLocalKinesis({ limits: false });
  const dynamoDB = await startDynamoDBLocal();
  const played: Played[] = [];
  try {
    const setting = { kinesis, dynamoDBEndpoint: dynamoDB.endpoint };
    const play = async (part: Part): Promise<void> => {
      const startedAt = performance.now();
      played.push(await part.play({ setting, program: 'kcl', pulseMs: PULSE_MS }, counts));
      console.error(`${part.name}: ${Math.round((performance.now() - startedAt) / 1_000)} s`);
    };
    for (const part of parts.filter(({ isJava }) => !isJava)) await play(part);
    await Promise.all(parts.filter(({ isJava }) => isJava).map(play));
  } finally {
    await dynamoDB.close();
    await kinesis.close();
  }
  return conclude(played);
}

/** @returns what is wrong with the command line. */
function readArguments(): { readonly parts: readonly Part[]; readonly counts: Counts } | string {
  try {
    const number = (byDefault: string) => ({ type: 'string', default: byDefault }) as const;
    const options = { moves: number('60'), kills: number('2'), starts: number('3') };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    for (const [name, value] of Object.entries(values)) {
      if (!/^[1-9]\d*$/.test(value)) return `--${name}: expected a whole number from 1, got ${value}`;
    }
    const begins = ({ name }: Part): boolean => positionals.some((positional) => name.startsWith(positional));
    const parts = PARTS.filter((part) => positionals.length === 0 || begins(part));
    const unknown = positionals.filter((positional) => !PARTS.some(({ name }) => name.startsWith(positional)));
    if (unknown.length > 0) {
      return `no stage is called ${unknown.join(', ')}; there are ${PARTS.map(({ name }) => name).join(', ')}`;
    }
    return { parts, counts: { moves: +values.moves, kills: +values.kills, starts: +values.starts } };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function conclude(played: readonly Played[]): number {
  const rows = played.flatMap((each) => each.rows);
  const outcomes = played.flatMap((each) => each.outcomes);
  console.log(`a record in each shard every ${PULSE_MS} ms, reads every 200 ms; ${cpus().length} processors\n`);
  printRows(rows);
  for (const { name, faults } of outcomes) for (const fault of faults) console.log(`! ${name}: ${fault}`);
  const counted = outcomes.map(({ name, records, handled, skipped, duplicates, ok }) => {
    return { name, records, handled, skipped, duplicates, ok };
  });
  console.log(JSON.stringify({ rows, outcomes: counted }));
  return outcomes.every(({ ok }) => ok) ? 0 : 1;
}

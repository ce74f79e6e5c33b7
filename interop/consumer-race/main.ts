// `npm run race:consumer`: our consumer, the Java KCL 3.5.1 and a loop over the AWS SDK, one after the other against the same stream, each a
// process of its own. Processor time and memory are the contender's own process's. Prints a table and, last, a line of JSON with the
// medians of the rounds. Needs Java and Maven (for the KCL, and for DynamoDB Local, in which both keep their leases): without them
// it says so and exits with 1.
//   --mode polling|fanout --records 2000000 --size 100 --shards 4 [--aggregated] --rounds 1 --contenders ours,kcl,sdk
//   --latencies 400: of so many records the way from the put to the handler is timed, on a stream that little comes into (0: none)
//   --matrix: sizes × shards × modes instead of one leg
import { randomUUID } from 'node:crypto';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type DynamoDBLocal, startDynamoDBLocal } from '../dynamodb-local/dynamodb-local.ts';
import { type Contender, race, StreamServer } from './contenders.ts';
import { type Figures, figuresOf, medianOf, printTable, type Ratio, ratioOf } from './figures.ts';
import { Puts } from './puts.ts';
import type { Mode, Outcome, Settings } from './settings.ts';
import { type StreamContents, userRecordCount } from './written-records.ts';

interface Leg extends StreamContents {
  readonly mode: Mode;
  readonly records: number;
}

interface Summary extends Partial<Record<Contender, Figures>> {
  readonly ratio: Ratio | null;
  readonly ratioToSdk: Ratio | null;
}

const { values } = parseArgs({
  options: {
    mode: { type: 'string', default: 'polling' },
    records: { type: 'string', default: '2000000' },
    size: { type: 'string', default: '100' },
    shards: { type: 'string', default: '4' },
    aggregated: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '1' },
    contenders: { type: 'string', default: 'ours,kcl,sdk' },
    latencies: { type: 'string', default: '400' },
    matrix: { type: 'boolean', default: false },
  },
});
const CONTENDERS: readonly Contender[] = ['ours', 'kcl', 'sdk'];
const MODES: readonly Mode[] = ['polling', 'fanout'];
/** Of the records, before them. */
const WARM_UP_SHARE = 0.5;
const LONGEST_SECONDS = 20;
/** Of data, in a leg of the matrix; at the most `--records`. */
const MATRIX_BYTES = 2_000_000_000;

const contenders = wordsOf('contenders', values.contenders.split(','), CONTENDERS);
const latencyCount = wholeNumber('latencies', 0);
const rounds = wholeNumber('rounds', 1);

await using dynamoDB = await leaseTables();
if (dynamoDB !== undefined) {
  if (values.matrix) await matrix(dynamoDB.endpoint);
  else await single(dynamoDB.endpoint);
}

async function single(tables: string): Promise<void> {
  const [mode = 'polling'] = wordsOf('mode', [values.mode], MODES);
  const { aggregated } = values;
  const leg = { mode, aggregated, ...counts(), size: wholeNumber('size', 1) };
  console.log(JSON.stringify(await run(leg, tables)));
}

async function matrix(tables: string): Promise<void> {
  const legs = [];
  const { records: most } = counts();
  for (const mode of MODES) {
    for (const { size, aggregated } of [
      { size: 100, aggregated: false },
      { size: 100, aggregated: true },
      { size: 1_000, aggregated: false },
      { size: 50_000, aggregated: false },
    ]) {
      for (const shards of [4, 64]) {
        const leg = { mode, size, aggregated, shards, records: Math.min(most, Math.ceil(MATRIX_BYTES / size)) };
        legs.push({ ...leg, ...(await run(leg, tables)) });
      }
    }
  }
  console.log(JSON.stringify({ legs }));
}

/** In turns, so that a busy machine slows all. */
async function run(leg: Leg, tables: string): Promise<Summary> {
  const found = new Map<Contender, Figures[]>();
  const missing = new Set<Contender>();
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) {
      if (missing.has(contender)) continue;
      const figures = await raced(contender, leg, tables);
      if (figures === undefined) missing.add(contender);
      else found.set(contender, [...(found.get(contender) ?? []), figures]);
    }
  }
  const results = Object.fromEntries([...found].map(([contender, figures]) => [contender, medianOf(figures)]));
  printTable(titleOf(leg), results);
  const ours = found.get('ours');
  const ratio = ratioOf(ours, found.get('kcl'));
  return { ...results, ratio, ratioToSdk: ratioOf(ours, found.get('sdk')) };
}

async function raced(contender: Contender, leg: Leg, dynamoDBEndpoint: string): Promise<Figures | undefined> {
  try {
    const full = await throughput(contender, leg, dynamoDBEndpoint);
    return figuresOf(full, latencyCount === 0 ? undefined : await latency(contender, leg, dynamoDBEndpoint));
  } catch (error) {
    if (contender !== 'kcl') throw error;
    console.error(`The Java KCL could not take part: it needs a JDK (17 or later) and Maven. ${String(error)}`);
    process.exitCode = 1;
    return undefined;
  }
}

async function throughput(contender: Contender, leg: Leg, dynamoDBEndpoint: string): Promise<Outcome> {
  await using server = await StreamServer.start(leg);
  const endpoints = { kinesis: server.endpoint, dynamoDB: dynamoDBEndpoint };
  return await server.outlast(race(contender, settingsOf(leg, 0), endpoints));
}

async function latency(contender: Contender, leg: Leg, dynamoDBEndpoint: string): Promise<Outcome> {
  await using puts = await Puts.start(leg.shards);
  return await race(contender, settingsOf(leg, latencyCount), { kinesis: puts.endpoint, dynamoDB: dynamoDBEndpoint });
}

/** Each leg has leases of its own. */
function settingsOf(leg: Leg, latencies: number): Settings {
  const { mode, shards, records } = leg;
  return {
    mode,
    application: `race-${randomUUID()}`,
    shards,
    warmUpRecords: Math.ceil(records * WARM_UP_SHARE),
    records,
    longestSeconds: LONGEST_SECONDS,
    userRecordCount: userRecordCount(leg),
    latencyCount: latencies,
  };
}

async function leaseTables(): Promise<(DynamoDBLocal & AsyncDisposable) | undefined> {
  try {
    const local = await startDynamoDBLocal();
    return { ...local, [Symbol.asyncDispose]: () => local.close() };
  } catch (error) {
    console.error(
      `There is no DynamoDB Local for the leases: it needs a JDK (17 or later) and Maven. ${String(error)}`,
    );
    process.exitCode = 1;
    return undefined;
  }
}

function titleOf({ mode, records, size, aggregated, shards }: Leg): string {
  const what = `${records} records of ${size} B${aggregated ? ', aggregated' : ''}`;
  const load = loadavg().map((mean) => mean.toFixed(1));
  return `${mode}: ${what}, ${shards} shards (${rounds} rounds; load ${load.join(' ')})`;
}

function counts(): { records: number; shards: number } {
  return { records: wholeNumber('records', 1), shards: wholeNumber('shards', 1) };
}

function wordsOf<W extends string>(name: string, given: readonly string[], known: readonly W[]): readonly W[] {
  const unknown = given.find((word) => !(known as readonly string[]).includes(word));
  if (unknown !== undefined) throw new Error(`--${name}: of ${known.join(', ')}, not ${unknown}`);
  return given as readonly W[];
}

function wholeNumber(name: 'records' | 'size' | 'shards' | 'rounds' | 'latencies', least: number): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name}: a whole number from ${least}`);
  return value;
}

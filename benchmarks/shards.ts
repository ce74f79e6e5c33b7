// `npm run bench:shards [-- --shards LIST --rounds N --size B --company N]`: what a user record costs the producer as shards grow, with the
// same company for each, `company` (100) buffered records a shard and 10,000 in all at the least. No network: requests are answered in the
// process, so that what is seen is the producer's own. Each size is a process of its own, and all of them take turns, since a
// busy machine slows what comes later. Beside it a floor (shards-floor.ts): a bare loop that keeps as many records as long. Prints processor time, of
// all threads, a user record and a Kinesis record, the median of the rounds; last a line of JSON.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Cost, Face, Leg } from './shards-cost.ts';

interface Row extends Cost {
  readonly face: Face;
  readonly shards: number;
  readonly outstanding: number;
  /** Of the microseconds of the fewest shards, by the same face. */
  readonly growth: number;
}

const FACES: readonly Face[] = ['callback', 'promise', 'floor'];
/** Outstanding in all. */
const FEWEST_OUTSTANDING = 10_000;
const FEWEST_RECORDS = 400_000;
/** What is measured is so often as much as is outstanding at once. */
const FILLINGS = 2;
const LONGEST_LEG_MS = 600_000;

const programs: Readonly<Record<Face, string>> = {
  callback: fileURLToPath(new URL('./shards-producer.js', import.meta.url)),
  promise: fileURLToPath(new URL('./shards-producer.js', import.meta.url)),
  floor: fileURLToPath(new URL('./shards-floor.js', import.meta.url)),
};

const { values } = parseArgs({
  options: {
    shards: { type: 'string', default: '4,10,1000,10000' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '100' },
    company: { type: 'string', default: '100' },
    faces: { type: 'string', default: FACES.join() },
  },
});

const faces = FACES.filter((face) => values.faces.split(',').includes(face));
const shardCounts = values.shards.split(',').map((text) => wholeNumber('shards', text));
const rounds = wholeNumber('rounds', values.rounds);
const size = wholeNumber('size', values.size);
const company = wholeNumber('company', values.company);

const found = new Map<string, Cost[]>();
for (let round = 1; round <= rounds; round += 1) {
  for (const shards of shardCounts) {
    for (const face of faces) {
      console.error(`round ${round} of ${rounds}: ${shards} shards, ${face}`);
      const key = `${face} ${shards}`;
      found.set(key, [...(found.get(key) ?? []), await run(legOf(face, shards))]);
    }
  }
}

const rows = shardCounts.flatMap((shards) => faces.map((face) => rowOf(face, shards)));
console.table(
  rows.map((row) => ({
    shards: row.shards,
    outstanding: row.outstanding,
    face: row.face,
    'µs a record': row.microsPerRecord.toFixed(2),
    growth: row.growth.toFixed(2),
    'µs a Kinesis record': row.microsPerKinesisRecord.toFixed(0),
    'records in it': row.userRecordsPerKinesisRecord.toFixed(0),
    'resident MB': row.residentMB.toFixed(0),
  })),
);
console.log(JSON.stringify({ rows }));

function legOf(face: Face, shards: number): Leg {
  const outstanding = Math.max(FEWEST_OUTSTANDING, company * shards);
  return { face, shards, outstanding, records: Math.max(FEWEST_RECORDS, FILLINGS * outstanding), size };
}

async function run(leg: Leg): Promise<Cost> {
  const child = spawn(process.execPath, [programs[leg.face]], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LONGEST_LEG_MS,
    env: { ...process.env, LEG: JSON.stringify(leg) },
  });
  let printed = '';
  for await (const text of child.stdout.setEncoding('utf8')) printed += text;
  const last = printed.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{'))
    throw new Error(`${leg.face} on ${leg.shards} shards: expected a line of JSON, got ${last}`);
  return JSON.parse(last) as Cost;
}

function rowOf(face: Face, shards: number): Row {
  const fewest = Math.min(...shardCounts);
  const cost = medianOf(face, shards);
  const growth = cost.microsPerRecord / medianOf(face, fewest).microsPerRecord;
  return { face, shards, outstanding: legOf(face, shards).outstanding, growth, ...cost };
}

function medianOf(face: Face, shards: number): Cost {
  const costs = (found.get(`${face} ${shards}`) ?? []).sort((a, b) => a.microsPerRecord - b.microsPerRecord);
  return costs[(costs.length - 1) >> 1] as Cost;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name}: a whole number from 1, got ${text}`);
  return value;
}

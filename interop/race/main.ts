// `npm run race:producer`: our producer and the native KPL 1.1.1 with its best settings, in turns against the same sink, each a
// process of its own. Processor time is that of the whole process with its children; residence is its peak. Prints a table and,
// last, a line of JSON with the medians of the rounds. Needs Java and Maven for the KPL: without them it says so and exits with 1.
//   --records 1000000 --size 100 --keys 0 (0: unique) --shards 4 --outstanding 10000 --face promise|callback|both --rounds 1
//   --warm-up 500000: records that each puts before, which do not count: V8 goes on compiling what is called for a request for half a
//   million of them; no more than half of `--records`
//   --matrix: sizes × keys × shards instead of one leg
//   --growth: ours alone, on 1 to 10,000 shards, with 100 buffered records a shard, and with no more than `--outstanding` in all
import { parseArgs } from 'node:util';
import { type Leg, raceKpl, raceOurs, Sink, Track } from './contenders.ts';
import { type Figures, figuresOf, medianOf, printTable } from './figures.ts';
import type { Face } from './settings.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    size: { type: 'string', default: '100' },
    keys: { type: 'string', default: '0' },
    shards: { type: 'string', default: '4' },
    outstanding: { type: 'string', default: '10000' },
    face: { type: 'string', default: 'both' },
    rounds: { type: 'string', default: '1' },
    'warm-up': { type: 'string', default: '500000' },
    matrix: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
  },
});
const BUFFERED_MS = 100;
const LONE_RECORDS = 20;
/** Of data, in a leg of the matrix, and of it outstanding; at the most `--records` and `--outstanding`. */
const MATRIX_BYTES = 1_000_000_000;
const MATRIX_OUTSTANDING_BYTES = 50_000_000;
/** With a longer wait every record finds company, so that what grows with the shards is all that differs. */
const GROWTH = { shards: [1, 10, 1_000, 10_000], recordsPerShard: 100, bufferedMs: 60_000, fewestFillings: 2 } as const;

type Contender = Face | 'kpl';
type Outcomes = Partial<Record<Contender, Figures>>;

await using track = await Track.prepare();
const faces = facesOf(values.face);
const given: Leg & { readonly shards: number } = {
  records: wholeNumber('records', 1),
  warmUpRecords: warmUpOf(wholeNumber('records', 1)),
  size: wholeNumber('size', 0),
  keys: wholeNumber('keys', 0),
  shards: wholeNumber('shards', 1),
  outstanding: wholeNumber('outstanding', 1),
  bufferedMs: BUFFERED_MS,
  loneRecords: LONE_RECORDS,
};

if (values.growth) await growth();
else if (values.matrix) await matrix();
else await race();

async function race(): Promise<void> {
  const outcomes = await leg(given, wholeNumber('rounds', 1));
  printTable(titleOf(given), outcomes);
  console.log(JSON.stringify(summaryOf(outcomes)));
}

async function matrix(): Promise<void> {
  const legs = [];
  for (const size of [100, 1_000, 50_000]) {
    for (const keys of [0, 1_000]) {
      for (const shards of [4, 1_000]) {
        const records = Math.min(given.records, Math.ceil(MATRIX_BYTES / size));
        const outstanding = Math.min(given.outstanding, MATRIX_OUTSTANDING_BYTES / size);
        const each = { ...given, records, warmUpRecords: warmUpOf(records), outstanding, size, keys, shards };
        const outcomes = await leg(each, 1);
        printTable(titleOf(each), outcomes);
        legs.push({ size, keys, shards, records, ...summaryOf(outcomes) });
      }
    }
  }
  console.log(JSON.stringify({ legs }));
}

async function growth(): Promise<void> {
  const legs = [];
  for (const shards of GROWTH.shards) {
    const enough = shards * GROWTH.recordsPerShard;
    const full = { outstanding: Math.max(given.outstanding, enough), bufferedMs: GROWTH.bufferedMs };
    const sparse = { outstanding: given.outstanding, bufferedMs: BUFFERED_MS };
    for (const filled of enough > given.outstanding ? [full, sparse] : [full]) {
      const records = Math.max(given.records, GROWTH.fewestFillings * filled.outstanding);
      const each = { ...given, ...filled, shards, records, loneRecords: 0 };
      const outcomes = await leg(each, 1, false);
      printTable(titleOf(each), outcomes);
      legs.push({ shards, records, ...filled, ...outcomes });
    }
  }
  console.log(JSON.stringify({ legs }));
}

/** In turns, so that a busy machine slows all. */
async function leg(settings: Leg & { shards: number }, rounds: number, withKpl = true): Promise<Outcomes> {
  const found = new Map<Contender, Figures[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of [...faces, ...(withKpl ? (['kpl'] as const) : [])]) {
      await using sink = await Sink.start(track, settings.shards);
      const figures = await raced(contender, settings, sink);
      if (figures !== undefined) found.set(contender, [...(found.get(contender) ?? []), figures]);
    }
  }
  return Object.fromEntries([...found].map(([contender, figures]) => [contender, medianOf(figures)]));
}

async function raced(contender: Contender, settings: Leg, sink: Sink): Promise<Figures | undefined> {
  try {
    const outcome = await (contender === 'kpl'
      ? raceKpl(settings, sink, track)
      : raceOurs(contender, settings, sink, track));
    return figuresOf(outcome, settings, await sink.counts());
  } catch (error) {
    if (contender !== 'kpl') throw error;
    console.error(
      `The native KPL could not take part: it needs Linux, a JDK (17 or later) and Maven. ${String(error)}`,
    );
    process.exitCode = 1;
    return undefined;
  }
}

/** Ours is the callback's, unless only the promise's was asked for. Every ratio is ours to the KPL's. */
function summaryOf({ callback, promise, kpl }: Outcomes): object {
  const ours = callback ?? promise;
  return {
    ours,
    ...(callback !== undefined && promise !== undefined && { oursByPromise: promise }),
    kpl: kpl ?? null,
    ratio: ratioOf(ours, kpl),
    ...(callback !== undefined && promise !== undefined && { ratioByPromise: ratioOf(promise, kpl) }),
  };
}

function warmUpOf(records: number): number {
  return Math.min(wholeNumber('warm-up', 0), Math.floor(records / 2));
}

function ratioOf(ours: Figures | undefined, kpl: Figures | undefined): object | null {
  if (ours === undefined || kpl === undefined) return null;
  return {
    rate: ours.recordsPerSecond / kpl.recordsPerSecond,
    cpu: ours.cpuMicrosPerRecord / kpl.cpuMicrosPerRecord,
    memory: ours.residentMB / kpl.residentMB,
  };
}

function titleOf({ records, size, keys, shards, outstanding }: Leg & { shards: number }): string {
  const which = keys === 0 ? 'unique keys' : `${keys} keys`;
  return `${records} records of ${size} B, ${which}, ${shards} shards, at most ${outstanding} outstanding`;
}

function facesOf(word: string): readonly Face[] {
  if (word === 'both') return ['callback', 'promise'];
  if (word === 'promise' || word === 'callback') return [word];
  throw new Error(`--face: promise, callback or both, not ${word}`);
}

type Count = 'records' | 'warm-up' | 'size' | 'keys' | 'shards' | 'outstanding' | 'rounds';

function wholeNumber(name: Count, least: number): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name}: a whole number from ${least}`);
  return value;
}

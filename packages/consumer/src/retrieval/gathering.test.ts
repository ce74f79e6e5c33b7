// A batch window over a source of which each read is written down beforehand: what comes when, in whole, in order, and how long it waited.
import { compareExtended, type ExtendedSequenceNumber, parseSequenceNumber, TRIM_HORIZON } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Amount, LeastBytes } from '../coordination/room.ts';
import type { UserRecord } from '../handler.ts';
import { FilteredSource } from './filtered.ts';
import { ENOUGH_BYTES, GatheringSource } from './gathering.ts';
import type { ShardSource, SourceBatch, SourceRead } from './source.ts';

interface Turn {
  /** Records that have come by then, since the turn before. */
  readonly count: number;
  readonly takesMs: number;
  readonly fails: boolean;
}

const PAUSE_MS = 200;
const RECORD_BYTES = 10;

function recordOf(index: number, bytes: number): UserRecord {
  return {
    partitionKey: `key${index % 3}`,
    data: new Uint8Array(bytes),
    sequenceNumber: String(1_000 + index),
    subSequenceNumber: 0,
    approximateArrivalTimestamp: new Date(0),
    aggregated: false,
  };
}

function batchOf(records: UserRecord[]): SourceBatch {
  const sequenceNumber = parseSequenceNumber(records.at(-1)?.sequenceNumber ?? '');
  return {
    records,
    recordCount: records.length,
    first: records[0] && parseSequenceNumber(records[0].sequenceNumber),
    byteCount: records.reduce((sum, { data }) => sum + data.length, 0),
    last: { sequenceNumber, subSequenceNumber: 0 },
    millisBehindLatest: 0,
    kinesisRecordCount: records.length,
    corruptCount: 0,
    strayCount: 0,
    gap: undefined,
  };
}

/** Reads as they are written down; after the last one the shard has ended. */
class ScriptedSource implements ShardSource {
  readonly streamName = 'orders';
  readonly heldBytes = 0;
  leastBytes: LeastBytes = 0;
  readonly readAt = new Map<string, number>();
  readonly granted: Amount[] = [];
  readonly #clock: ManualClock;
  readonly #turns: readonly Turn[];
  readonly #recordBytes: number;
  #turn = 0;
  #given = 0;
  #dueAt = 0;
  #isReading = false;
  #arrived = 0;
  failures = 0;

  constructor(clock: ManualClock, turns: readonly Turn[], recordBytes: number = RECORD_BYTES) {
    this.#clock = clock;
    this.#turns = turns;
    this.#recordBytes = recordBytes;
  }

  dueAt(): number {
    return this.#dueAt;
  }

  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    expect(this.#isReading).toBe(false);
    expect(this.#clock.now()).toBeGreaterThanOrEqual(this.#dueAt);
    if (most !== undefined) this.granted.push(most);
    const turn = this.#turns[this.#turn];
    this.#turn += 1;
    this.#isReading = true;
    this.#dueAt = this.#clock.now() + PAUSE_MS;
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#clock.setTimer(resolve, turn?.takesMs ?? 0);
    }).finally(() => {
      this.#isReading = false;
    });
    if (turn?.fails === true) {
      this.failures += 1;
      throw new Error('Kinesis has a bad day');
    }
    this.#arrived += turn?.count ?? 0;
    // A read that failed, or that nobody took, is read again.
    this.#given = after.sequenceNumber === 'TRIM_HORIZON' ? 0 : Number(after.sequenceNumber) - 999;
    const until = Math.min(this.#arrived, this.#given + (most?.recordCount ?? Number.POSITIVE_INFINITY));
    const records = Array.from({ length: until - this.#given }, (_, n) => recordOf(this.#given + n, this.#recordBytes));
    for (const { sequenceNumber } of records) this.readAt.set(sequenceNumber, this.#clock.now());
    const isEnd = turn === undefined && until === this.#arrived;
    const batch = records.length === 0 ? undefined : batchOf(records);
    return { batch, atShardEnd: isEnd, childShards: [], millisBehindLatest: 0 };
  }

  close(): void {}
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Moves the time on until it is done. */
async function inTime<T>(clock: ManualClock, done: Promise<T>): Promise<T> {
  let isDone = false;
  const end = (): void => {
    isDone = true;
  };
  done.then(end, end);
  for (let step = 0; step < 20_000; step += 1) {
    await settled();
    if (isDone) return done;
    clock.advance(10);
  }
  throw new Error('nothing came in 200 s of virtual time');
}

interface Given {
  readonly records: readonly UserRecord[];
  readonly at: number;
  readonly failures: number;
}

/** As the core reads: one fetch after the other, when it is due, each from where the last one ended. */
async function readAll(
  clock: ManualClock,
  source: ScriptedSource,
  gathering: GatheringSource,
  most?: Amount,
): Promise<Given[]> {
  const given: Given[] = [];
  let after: ExtendedSequenceNumber = TRIM_HORIZON;
  const { signal } = new AbortController();
  for (;;) {
    while (gathering.dueAt(after) > clock.now()) clock.advance(10);
    const failures = source.failures;
    const read: SourceRead | undefined = await inTime(clock, gathering.fetch(after, signal, most)).catch(
      () => undefined,
    );
    if (read?.batch !== undefined) {
      expect(after.sequenceNumber === 'TRIM_HORIZON' || compareExtended(read.batch.last, after) > 0).toBe(true);
      after = read.batch.last;
      const { records } = read.batch;
      expect(read.batch.byteCount).toBe(records.reduce((sum, { data }) => sum + data.length, 0));
      given.push({ records, at: clock.now(), failures: source.failures - failures });
    }
    if (read?.atShardEnd) return given;
  }
}

const turns = fc.array(
  fc.record({
    count: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.integer({ min: 1, max: 7 }) }),
    takesMs: fc.constantFrom(0, 10, 50, 500),
    fails: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  }),
  { minLength: 1, maxLength: 25 },
);

test('each record comes once, in order, no later than the window, and sooner only with enough of them or a reason', async () => {
  const options = fc.record({
    windowMs: fc.constantFrom(50, 300, 1_000, 3_000),
    recordCount: fc.integer({ min: 1, max: 20 }),
  });
  const grants = fc.option(
    fc.record({ bytes: fc.integer({ min: 10, max: 200 }), recordCount: fc.integer({ min: 1, max: 20 }) }),
    {
      nil: undefined,
    },
  );
  await fc.assert(
    fc.asyncProperty(turns, options, grants, async (script, { windowMs, recordCount }, most) => {
      const clock = new ManualClock();
      const source = new ScriptedSource(clock, script);
      const given = await readAll(clock, source, new GatheringSource(source, { windowMs, recordCount }, clock), most);
      const total = script.reduce((sum, { count, fails }) => sum + (fails ? 0 : count), 0);
      const all = given.flatMap(({ records }) => records.map(({ sequenceNumber }) => Number(sequenceNumber)));
      expect(all).toEqual(Array.from({ length: total }, (_, n) => 1_000 + n));
      const last = given.at(-1);
      for (const each of given) {
        const { records, at, failures } = each;
        const waited = at - (source.readAt.get(records[0]?.sequenceNumber ?? '') ?? Number.NaN);
        // The clock goes in steps of 10 ms.
        expect(waited).toBeLessThanOrEqual(windowMs + 10);
        const isFull = records.length >= Math.min(recordCount, most?.recordCount ?? recordCount);
        const isLarge = records.length * RECORD_BYTES >= (most?.bytes ?? ENOUGH_BYTES);
        expect(waited >= windowMs || isFull || isLarge || failures > 0 || each === last).toBe(true);
        if (most !== undefined) expect(records.length).toBeLessThanOrEqual(most.recordCount);
      }
    }),
    { numRuns: 150 },
  );
}, 60_000);

const turn = (count: number, takesMs = 0): Turn => ({ count, takesMs, fails: false });
const sizesOf = (given: readonly Given[]): number[] => given.map(({ records }) => records.length);

describe('a window', () => {
  async function gather(
    script: readonly Turn[],
    recordCount: number,
    more: { filter?: () => boolean; recordBytes?: number } = {},
  ): Promise<number[]> {
    const clock = new ManualClock();
    const { filter = () => true, recordBytes } = more;
    const source = new ScriptedSource(clock, script, recordBytes);
    const filtered = new FilteredSource(source, filter);
    const gathering = new GatheringSource(filtered, { windowMs: 1_000, recordCount }, clock);
    return sizesOf(await readAll(clock, source, gathering));
  }

  test('ends with enough records, as soon as they are there', async () => {
    expect(await gather([turn(3), turn(3), turn(4), turn(1)], 10)).toEqual([10, 1]);
  });

  test('ends when its time is over, with what there is', async () => {
    expect(await gather([turn(1), turn(0), turn(1), turn(0), turn(0), turn(0), turn(5)], 10)).toEqual([2, 5]);
  });

  test('begins with the first record, not with a read that brought none', async () => {
    expect(await gather([turn(0), turn(0), turn(0), turn(0), turn(1), turn(1), turn(1), turn(1), turn(1)], 5)).toEqual([
      5,
    ]);
  });

  test('counts what passes the filter', async () => {
    let seen = 0;
    const everyThird = (): boolean => {
      seen += 1;
      return seen % 3 === 0;
    };
    expect(await gather([turn(3), turn(3), turn(3), turn(3)], 2, { filter: everyThird })).toEqual([6, 6]);
    // Each was looked at once.
    expect(seen).toBe(12);
  });

  test('ends with 6 MiB of data', async () => {
    expect(await gather([turn(1), turn(1), turn(1), turn(1)], 100, { recordBytes: 2 * 1024 * 1024 })).toEqual([3, 1]);
  });

  test('that ends in the midst of a read gives what there is, and what the read brings to the next', async () => {
    expect(await gather([turn(2), turn(3, 5_000), turn(1)], 10)).toEqual([2, 4]);
  });
});

test('a shard that is left drops what is gathered, and its read, at once', async () => {
  const clock = new ManualClock();
  const source = new ScriptedSource(clock, [turn(1), turn(1, 60_000)]);
  const gathering = new GatheringSource(source, { windowMs: 10_000, recordCount: 10 }, clock);
  const controller = new AbortController();
  const fetched = gathering.fetch(TRIM_HORIZON, controller.signal);
  const refused = expect(fetched).rejects.toThrow('lease lost');
  for (let step = 0; step < 50; step += 1) {
    await settled();
    clock.advance(10);
  }
  controller.abort(new Error('lease lost'));
  gathering.close();
  await refused;
});

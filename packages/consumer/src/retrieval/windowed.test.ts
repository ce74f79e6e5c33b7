// When a tumbling window is over, by what a source answers and by the time, over answers that are written down beforehand.
import { type ExtendedSequenceNumber, parseSequenceNumber } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { describe, expect, test } from 'vitest';
import type { ShardSource, SourceBatch, SourceRead } from './source.ts';
import { WindowedSource } from './windowed.ts';

const START_MS = 1_700_000_000_000;
const LENGTH_MS = 10_000;
const GRACE_MS = 2_000;

/** One record that arrived so long after the start of a window. */
function batchAt(number: number, afterMs: number): SourceBatch {
  const record = {
    partitionKey: 'a',
    data: new Uint8Array(1),
    sequenceNumber: String(number),
    subSequenceNumber: 0,
    approximateArrivalTimestamp: new Date(START_MS + afterMs),
    aggregated: false,
  };
  const sequenceNumber = parseSequenceNumber(String(number));
  return {
    records: [record],
    recordCount: 1,
    first: sequenceNumber,
    byteCount: 1,
    last: { sequenceNumber, subSequenceNumber: 0 },
    millisBehindLatest: 0,
    kinesisRecordCount: 1,
    corruptCount: 0,
    strayCount: 0,
    gap: undefined,
  };
}

const answer = (batch: SourceBatch | undefined, more: Partial<SourceRead> = {}): SourceRead => ({
  batch,
  atShardEnd: false,
  childShards: [],
  millisBehindLatest: 0,
  ...more,
});

class Stage {
  readonly clock = new ManualClock(START_MS);
  answers: SourceRead[] = [];
  readonly #source: WindowedSource;
  #after: ExtendedSequenceNumber = { sequenceNumber: parseSequenceNumber('1'), subSequenceNumber: 0 };

  constructor(dueAt: () => number = () => Number.NEGATIVE_INFINITY) {
    const inner: ShardSource = {
      streamName: 'orders',
      heldBytes: 0,
      leastBytes: 0,
      dueAt,
      fetch: async () => this.answers.shift() ?? answer(undefined),
      close: () => undefined,
    };
    this.#source = new WindowedSource(inner, { lengthMs: LENGTH_MS, graceMs: GRACE_MS }, this.clock);
  }

  /** Reads each 500 ms up to `untilMs` after the start. @returns at which times the window was said to be over. */
  async read(untilMs: number): Promise<number[]> {
    const ends: number[] = [];
    for (; this.clock.now() <= START_MS + untilMs; this.clock.advance(500)) {
      if ((await this.one())?.endsWindow) ends.push(this.clock.now() - START_MS);
    }
    return ends;
  }

  async one(next?: SourceRead): Promise<SourceBatch | undefined> {
    if (next !== undefined) this.answers = [next];
    const { batch } = await this.#source.fetch(this.#after, new AbortController().signal);
    if (batch !== undefined) this.#after = batch.last;
    return batch;
  }
}

describe('a window is over', () => {
  test('with the first read at the tip that begins the grace after its end, which then brings a batch without records', async () => {
    const stage = new Stage();
    stage.answers = [answer(batchAt(7, 100))];
    expect(await stage.read(30_000)).toEqual([LENGTH_MS + GRACE_MS]);
  });

  test('and that batch stands where the last record stood', async () => {
    const stage = new Stage();
    stage.answers = [answer(batchAt(7, 100))];
    await stage.read(11_500);
    expect(await stage.one()).toMatchObject({
      records: [],
      byteCount: 0,
      last: batchAt(7, 100).last,
      endsWindow: true,
      windowRuns: [],
    });
    expect(await stage.one()).toBeUndefined();
  });

  test('not as long as the shard is behind, whatever time it is', async () => {
    const stage = new Stage();
    stage.answers = [
      answer(batchAt(7, 100)),
      ...Array.from({ length: 60 }, () => answer(undefined, { millisBehindLatest: 5 })),
    ];
    expect(await stage.read(29_500)).toEqual([]);
    expect(await stage.read(31_000)).toEqual([30_000 + 500]);
  });

  test('not by an answer that Kinesis gave before, as of a subscription that has just ended', async () => {
    const stage = new Stage();
    stage.answers = [answer(batchAt(7, 100)), ...Array.from({ length: 60 }, () => answer(undefined, { isOld: true }))];
    expect(await stage.read(29_500)).toEqual([]);
  });

  test('not by what may have waited in the socket: reading was held back, so a second of it has to go by', async () => {
    const stage = new Stage();
    await stage.one(answer(batchAt(7, 100)));
    // The handler was slow, or the shard paused.
    stage.clock.advance(60_000);
    // An event from before, then a record of the window, then what is new.
    expect(await stage.one()).toBeUndefined();
    const late = await stage.one(answer(batchAt(8, 9_000)));
    expect([late?.windowRuns?.[0]?.start, late?.endsWindow]).toEqual([START_MS, undefined]);
    stage.clock.advance(999);
    expect(await stage.one()).toBeUndefined();
    stage.clock.advance(1);
    expect((await stage.one())?.endsWindow).toBe(true);
  });

  test('a shard that is read when it is due, however rarely that is, is not held back', async () => {
    let dueAt = START_MS;
    const stage = new Stage(() => dueAt);
    await stage.one(answer(batchAt(7, 100)));
    for (let reads = 0; reads < 3; reads += 1) {
      dueAt += 4_000;
      stage.clock.advance(4_000);
      expect((await stage.one())?.endsWindow).toBe(reads === 2 ? true : undefined);
    }
  });

  test("at the shard's end, with its last records or without any", async () => {
    const withRecords = await new Stage().one(answer(batchAt(7, 100), { atShardEnd: true }));
    expect([withRecords?.records.length, withRecords?.endsWindow]).toEqual([1, true]);
    const stage = new Stage();
    await stage.one(answer(batchAt(7, 100)));
    const without = await stage.one(answer(undefined, { atShardEnd: true }));
    expect([without?.records.length, without?.endsWindow]).toEqual([0, true]);
  });

  test('by a record of a later one, which its run says', async () => {
    const stage = new Stage();
    await stage.one(answer(batchAt(7, 100)));
    const later = await stage.one(answer(batchAt(8, 10_000)));
    expect([later?.windowRuns?.[0]?.start, later?.endsWindow]).toEqual([START_MS + LENGTH_MS, undefined]);
  });
});

test('a shard with no open window is left as it is', async () => {
  expect(await new Stage().read(30_000)).toEqual([]);
  const filteredOut = { ...batchAt(7, 100), passing: [] };
  const stage = new Stage();
  stage.answers = [answer(filteredOut)];
  expect(await stage.read(30_000)).toEqual([]);
  expect((await stage.one(answer(undefined, { atShardEnd: true })))?.endsWindow).toBeUndefined();
});

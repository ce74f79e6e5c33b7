// Tumbling windows as a whole, source and handling: any records at any times, in any batches, with calls that fail and workers that are
// killed at any call. What a handler has taken is judged by what was in the stream.
import {
  compareExtended,
  type ExtendedSequenceNumber,
  parseSequenceNumber,
  silentLogger,
  TRIM_HORIZON,
} from '@shardline/common';
import { ManualClock } from '@shardline/local';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Batch, ShardContext, UserRecord } from '../handler.ts';
import { FilteredSource } from '../retrieval/filtered.ts';
import type { ShardSource, SourceRead } from '../retrieval/source.ts';
import { WindowedSource } from '../retrieval/windowed.ts';
import type { HandledShard, HandlingReport, Progress } from './batch-handling.ts';
import { type Failure, type HandlingOptions, readHandling } from './handling-options.ts';
import { ShardWindow } from './shard-window.ts';
import { WindowedHandling } from './windowed-handling.ts';

const START_MS = 1_700_000_000_000;
const NOTHING_COUNTS = { corruptCount: 0, strayCount: 0, gap: undefined };

const indexOf = ({ sequenceNumber }: UserRecord): number => Number(sequenceNumber) - 100;
const positionOf = (index: number): ExtendedSequenceNumber => ({
  sequenceNumber: parseSequenceNumber(String(100 + index)),
  subSequenceNumber: 0,
});
const indexAt = ({ sequenceNumber }: ExtendedSequenceNumber): number =>
  typeof sequenceNumber === 'bigint' ? Number(sequenceNumber) - 100 : -1;

interface World {
  /** Arrival times, ms since the start, in the order of the shard. */
  readonly arrivals: readonly number[];
  readonly lengthMs: number;
  readonly hidden: boolean;
  readonly maxBatchSize: number;
  readonly maxStateBytes: number;
  readonly readSizes: readonly number[];
  /** By the number of a call, over and over. */
  readonly fates: readonly ('fine' | 'throws' | 'reports' | 'forgets')[];
  /** Calls in which the worker is killed: before the function does anything, or when it is done. */
  readonly kills: ReadonlyMap<number, 'before' | 'after'>;
  readonly poison: ReadonlySet<number>;
  readonly endsByReshard: boolean;
}

/** What a handler was given to keep: in the last call of a window, or in an early one. */
interface Taken {
  readonly tenure: number;
  readonly start: number;
  readonly seen: readonly number[];
  readonly isFinal: boolean;
}

class Killed extends Error {}

class Run {
  readonly taken: Taken[] = [];
  readonly handedOver: { readonly tenure: number; readonly index: number }[] = [];
  readonly #world: World;
  readonly #clock = new ManualClock(START_MS);
  readonly #records: readonly UserRecord[];
  #checkpoint: ExtendedSequenceNumber = TRIM_HORIZON;
  #tenure = 0;
  #calls = 0;
  #reads = 0;

  constructor(world: World) {
    this.#world = world;
    this.#records = world.arrivals.map((arrival, index) => ({
      partitionKey: world.hidden && index % 3 === 0 ? 'hidden' : 'seen',
      data: new Uint8Array(1),
      sequenceNumber: String(100 + index),
      subSequenceNumber: 0,
      approximateArrivalTimestamp: new Date(START_MS + arrival),
      aggregated: false,
    }));
  }

  isHidden(index: number): boolean {
    return this.#records[index]?.partitionKey === 'hidden';
  }

  /** Tenure after tenure until one gets to the end of the shard. */
  async toEnd(): Promise<void> {
    for (this.#tenure = 1; this.#tenure < 50; this.#tenure += 1) {
      try {
        await this.#read();
        return;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
    }
    throw new Error('fifty tenures, and no end');
  }

  async #read(): Promise<void> {
    const { lengthMs, maxStateBytes, maxBatchSize, hidden } = this.#world;
    const filter = { Filters: [{ Pattern: { partitionKey: ['seen'] } }] };
    const options: HandlingOptions = {
      tumblingWindow: { lengthMs, maxStateBytes, graceMs: 500 },
      maxBatchSize,
      maxRetryAttempts: 8,
      onFailure: ({ records }: Failure) => {
        for (const record of records) this.handedOver.push({ tenure: this.#tenure, index: indexOf(record) });
      },
      ...(hidden && { filter }),
    };
    const handling = readHandling(options, { checkpointing: 'auto', eachRecord: false });
    const { filter: passes = () => true, tumblingWindow = { lengthMs, maxStateBytes, graceMs: 500 } } = handling;
    const source = new WindowedSource(new FilteredSource(this.#source(), passes), tumblingWindow, this.#clock);
    const window = new ShardWindow(tumblingWindow);
    const { signal } = new AbortController();
    for (let after = this.#checkpoint; ; ) {
      const { batch, atShardEnd } = await source.fetch(after, signal);
      if (batch === undefined) this.#clock.advance(250);
      else {
        after = batch.last;
        // As delivery does: without anything to handle only the position moves on.
        if (batch.records.length > 0 || batch.endsWindow) {
          const context = { streamName: 'orders', shardId: 's', logger: silentLogger } as Partial<ShardContext>;
          const shard: HandledShard = {
            shardId: 's',
            context: context as ShardContext,
            endedBy: () => undefined,
            calls: () => undefined,
            gives: (position) => this.#judge(position()),
            isPaused: () => false,
            ranFor: () => undefined,
          };
          const parts = {
            ...handling,
            handler: { processRecords: this.#handler },
            application: 'app',
            clock: this.#clock,
          };
          await this.#deliver(new WindowedHandling(shard, batch, noReport, parts, window));
        }
      }
      if (!atShardEnd) continue;
      // The window's end came first.
      expect(window.start).toBeUndefined();
      return;
    }
  }

  async #deliver(handling: WindowedHandling): Promise<void> {
    for (let tries = 0; tries < 1_000; tries += 1) {
      const { finishedTo, rest }: Progress = await handling.run();
      // A killed worker calls nobody any more: what it had not said by then is lost.
      const isKilled = rest?.kind === 'threw' && (rest.error as { thrown?: unknown }).thrown instanceof Killed;
      if (isKilled) throw new Killed();
      this.#judge(finishedTo);
      if (finishedTo !== undefined && compareExtended(finishedTo, this.#checkpoint) > 0) this.#checkpoint = finishedTo;
      if (rest === undefined) return;
    }
    throw new Error('a thousand tries, and no end');
  }

  /** Nothing that counts as finished is missing from what the handler was given to keep. */
  #judge(finishedTo: ExtendedSequenceNumber | undefined): void {
    if (finishedTo === undefined) return;
    const known = new Set([...this.taken.flatMap(({ seen }) => seen), ...this.handedOver.map(({ index }) => index)]);
    for (let index = 0; index <= indexAt(finishedTo); index += 1)
      if (!this.isHidden(index)) expect(known.has(index), `record ${index}`).toBe(true);
  }

  readonly #handler = async ({ records, window }: Batch): Promise<unknown> => {
    const { fates, kills, poison } = this.#world;
    const call = this.#calls;
    this.#calls += 1;
    const { state, isFinal, isTerminatedEarly, start } = window as NonNullable<typeof window>;
    const { seen = [] } = state as { seen?: readonly number[] };
    const kill = kills.get(call);
    if (kill === 'before') throw new Killed();
    const fate = fates[call % fates.length];
    if (fate === 'throws' || (fate === 'forgets' && !isFinal && !isTerminatedEarly)) {
      if (fate === 'throws') throw new Error('not today');
      return {};
    }
    const indexes = records.map(indexOf);
    if (indexes.some((index) => poison.has(index))) throw new Error('poison');
    if (isFinal || isTerminatedEarly) {
      expect(records).toEqual([]);
      this.taken.push({ tenure: this.#tenure, start: start.getTime() - START_MS, seen, isFinal });
    }
    if (kill === 'after') throw new Killed();
    const bad = fate === 'reports' && indexes.length > 0 ? Math.floor(indexes.length / 2) : indexes.length;
    const itemIdentifier = records[bad]?.sequenceNumber;
    return {
      state: { seen: [...seen, ...indexes.slice(0, bad)] },
      batchItemFailures: itemIdentifier === undefined ? [] : [{ itemIdentifier }],
    };
  };

  /** Gives what has arrived, in reads of any size; the shard ends, or rests until its last window is over. */
  #source(): ShardSource {
    const { arrivals, readSizes, endsByReshard } = this.#world;
    const clock = this.#clock;
    const fetch = async (after: ExtendedSequenceNumber): Promise<SourceRead> => {
      const from = indexAt(after) + 1;
      const size = readSizes[this.#reads % readSizes.length] as number;
      this.#reads += 1;
      if (this.#reads > 20_000) throw new Error('twenty thousand reads, and no end');
      // A record can be read once all before it can.
      let readable = from;
      while (readable < arrivals.length && START_MS + (arrivals[readable] as number) <= clock.now()) readable += 1;
      const records = this.#records.slice(from, Math.min(readable, from + size));
      const isAll = from + records.length === arrivals.length;
      const last = Math.max(0, ...arrivals);
      const isOver = isAll && (endsByReshard || clock.now() > START_MS + last + 3 * this.#world.lengthMs + 5_000);
      const millisBehindLatest = from + records.length === readable ? 0 : 1;
      const read = { atShardEnd: isOver, childShards: [], millisBehindLatest };
      if (records.length === 0) return { ...read, batch: undefined };
      const counts = { ...NOTHING_COUNTS, kinesisRecordCount: records.length, millisBehindLatest };
      const first = parseSequenceNumber(String(100 + from));
      const bounds = {
        recordCount: records.length,
        first,
        byteCount: records.length,
        last: positionOf(from + records.length - 1),
      };
      return { ...read, batch: { records, ...bounds, ...counts } };
    };
    const dueAt = (): number => Number.NEGATIVE_INFINITY;
    return { streamName: 'orders', heldBytes: 0, leastBytes: 0, dueAt, fetch, close: () => undefined };
  }
}

const noReport: HandlingReport = {
  leftOut: () => undefined,
  threw: () => undefined,
  gaveUp: () => undefined,
  endedEarly: () => undefined,
};

const worlds = (jitterMs: number): fc.Arbitrary<World> =>
  fc.record({
    arrivals: fc
      .array(fc.record({ gapMs: fc.oneof(fc.nat(300), fc.nat(4_000)), lateMs: fc.nat(jitterMs) }), { maxLength: 30 })
      .map((gaps) => {
        let at = jitterMs;
        return gaps.map(({ gapMs, lateMs }) => {
          at += gapMs;
          return at - lateMs;
        });
      }),
    lengthMs: fc.constantFrom(100, 1_000, 7_000),
    hidden: fc.boolean(),
    maxBatchSize: fc.integer({ min: 1, max: 8 }),
    maxStateBytes: fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 20),
    readSizes: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
    // Now and then a call succeeds, or no record would be handled.
    fates: fc
      .array(fc.constantFrom('fine', 'fine', 'fine', 'throws', 'reports', 'forgets'), { maxLength: 12 })
      .map((fates): World['fates'] => [...(fates as World['fates']), 'fine']),
    kills: fc
      .array(fc.tuple(fc.nat(80), fc.constantFrom('before' as const, 'after' as const)), { maxLength: 6 })
      .map((kills) => new Map(kills)),
    poison: fc.oneof(fc.constant([]), fc.uniqueArray(fc.nat(30), { maxLength: 3 })).map((poison) => new Set(poison)),
    endsByReshard: fc.boolean(),
  });

test('each record is in exactly one taken state a tenure, in order; what counts as finished was taken', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1_500).chain(worlds), async (world) => {
      const run = new Run(world);
      await run.toEnd();
      const everything = [...world.arrivals.keys()].filter((index) => !run.isHidden(index));
      const known = [...run.taken.flatMap(({ seen }) => seen), ...run.handedOver.map(({ index }) => index)];
      expect([...new Set(known)].sort((a, b) => a - b)).toEqual(everything);
      for (const tenure of new Set(run.taken.map((taken) => taken.tenure))) {
        const taken = run.taken.filter((each) => each.tenure === tenure);
        const seen = taken.flatMap((each) => each.seen);
        // In order, none twice.
        expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
        expect(taken.map(({ start }) => start)).toEqual(taken.map(({ start }) => start).sort((a, b) => a - b));
      }
    }),
    { numRuns: 400 },
  );
}, 120_000);

test('each window that completes, after however many kills, has all of its records', async () => {
  const complete = worlds(0).map((world) => ({ ...world, maxStateBytes: Number.MAX_SAFE_INTEGER }));
  await fc.assert(
    fc.asyncProperty(complete, async (world) => {
      const run = new Run(world);
      await run.toEnd();
      const windows = new Map<number, number[]>();
      for (const [index, arrival] of world.arrivals.entries()) {
        // Lengths divide no start exactly: windows are aligned to 1970, not to the start.
        const start = Math.floor((START_MS + arrival) / world.lengthMs) * world.lengthMs - START_MS;
        if (!run.isHidden(index)) windows.set(start, [...(windows.get(start) ?? []), index]);
      }
      for (const { tenure, start, seen } of run.taken) {
        const handedOver = run.handedOver.filter((each) => each.tenure === tenure).map(({ index }) => index);
        expect(seen).toEqual(windows.get(start)?.filter((index) => !handedOver.includes(index)));
      }
      const last = new Set(run.taken.filter(({ isFinal }) => isFinal).map(({ start }) => start));
      expect([...last].sort((a, b) => a - b)).toEqual([...windows.keys()]);
    }),
    { numRuns: 400 },
  );
}, 120_000);

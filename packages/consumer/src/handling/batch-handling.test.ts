// A batch on its way through a handler, with every order in which calls may return: what is handled, in which order, and that nothing
// unfinished is ever called finished.
import {
  type Clock,
  compareExtended,
  type ExtendedSequenceNumber,
  parseSequenceNumber,
  silentLogger,
  systemClock,
} from '@shardline/common';
import { ManualClock } from '@shardline/local';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FilterCriteria } from '../filtering/record-filter.ts';
import type { BatchHandler, ShardContext, UserRecord } from '../handler.ts';
import { filtered } from '../retrieval/filtered.ts';
import type { SourceBatch } from '../retrieval/source.ts';
import { thrownBy } from '../runtime/handler-threw.ts';
import { BatchHandling, type HandledShard, type Progress } from './batch-handling.ts';
import { type Failure, type HandlingOptions, readHandling } from './handling-options.ts';

const positionOf = ({ sequenceNumber, subSequenceNumber }: UserRecord): ExtendedSequenceNumber => ({
  sequenceNumber: parseSequenceNumber(sequenceNumber),
  subSequenceNumber,
});

function batchOf(keys: readonly number[]): SourceBatch {
  const records = keys.map(
    (key, index): UserRecord => ({
      partitionKey: `key${key}`,
      data: Uint8Array.of(index),
      // Three user records in each Kinesis record.
      sequenceNumber: String(100 + Math.floor(index / 3)),
      subSequenceNumber: index % 3,
      approximateArrivalTimestamp: new Date(),
      aggregated: true,
    }),
  );
  return {
    records,
    recordCount: records.length,
    first: parseSequenceNumber('100'),
    byteCount: records.length,
    last: positionOf(records.at(-1) as UserRecord),
    millisBehindLatest: 0,
    kinesisRecordCount: Math.ceil(records.length / 3),
    corruptCount: 0,
    strayCount: 0,
    gap: undefined,
  };
}

interface Stage {
  readonly handling: BatchHandling;
  readonly given: (ExtendedSequenceNumber | undefined)[];
  readonly words: string[];
  readonly gaveUp: { readonly failure: Failure; readonly outcome: string }[];
  readonly threw: number[];
  readonly leftOut: number[];
  end(reason: unknown): void;
}

function stage(
  batch: SourceBatch,
  processRecords: BatchHandler,
  options: HandlingOptions,
  clock: Clock = systemClock,
): Stage {
  let endedBy: unknown;
  const given: (ExtendedSequenceNumber | undefined)[] = [];
  const words: string[] = [];
  const gaveUp: { failure: Failure; outcome: string }[] = [];
  const threw: number[] = [];
  const leftOut: number[] = [];
  const context = { streamName: 'orders', shardId: 's', logger: silentLogger } as Partial<ShardContext> as ShardContext;
  const shard: HandledShard = {
    shardId: 's',
    context,
    endedBy: () => endedBy,
    calls: (word) => void words.push(word),
    gives: (position) => void given.push(position()),
    isPaused: () => false,
    ranFor: () => undefined,
  };
  const report = {
    leftOut: (recordCount: number) => void leftOut.push(recordCount),
    threw: (recordCount: number) => void threw.push(recordCount),
    gaveUp: (failure: Failure, outcome: string) => void gaveUp.push({ failure, outcome }),
    endedEarly: () => undefined,
  };
  const read = readHandling(options, { checkpointing: 'auto', eachRecord: false });
  const handling = new BatchHandling(shard, read.filter ? filtered(batch, read.filter) : batch, report, {
    ...read,
    handler: { processRecords },
    application: 'app',
    clock,
  });
  const end = (reason: unknown): void => {
    endedBy = reason;
  };
  return { handling, given, words, gaveUp, threw, leftOut, end };
}

/** As the core does: again and again, with no wait in between, until the batch is done with or the shard stops. */
async function deliver(
  handling: BatchHandling,
  seen: (progress: Progress) => void = () => undefined,
): Promise<Progress> {
  for (;;) {
    const progress = await handling.run();
    seen(progress);
    if (progress.rest === undefined || (progress.rest.kind === 'threw' && progress.rest.stops)) return progress;
  }
}

const indexOf = ({ data }: UserRecord): number => data[0] as number;

const cases = fc.record({
  keys: fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 40 }),
  concurrency: fc.integer({ min: 1, max: 5 }),
  maxRetryAttempts: fc.integer({ min: 0, max: 2 }),
  maxBatchSize: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
  poison: fc.uniqueArray(fc.nat(39), { maxLength: 8 }),
  hidden: fc.uniqueArray(fc.nat(7), { maxLength: 8 }),
  /** What the handler does with the list that it is given. */
  spoil: fc.constantFrom<((records: UserRecord[]) => unknown)[]>(
    () => undefined,
    (records) => records.splice(0, 2),
    (records) => records.reverse(),
    (records) => records.push(records[0] as UserRecord),
  ),
  scheduler: fc.scheduler(),
});

describe('whatever the keys, the poison and the order in which calls return', () => {
  test('each record is handled, or handed over, keys in order, and what is called finished has nothing unfinished before it', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ keys, poison, hidden, spoil, scheduler, maxBatchSize, ...options }) => {
        const batch = batchOf(keys);
        const isHidden = (index: number): boolean => hidden.includes(keys[index] as number);
        const bad = new Set(poison.filter((index) => index < keys.length && !isHidden(index)));
        const finished = new Set<number>();
        const order = new Map<string, number[]>();
        const running = new Map<string, number>();
        let calls = 0;
        let mostCalls = 0;
        const finish = (records: readonly UserRecord[]): void => {
          for (const record of records) {
            finished.add(indexOf(record));
            const ofKey = order.get(record.partitionKey) ?? [];
            order.set(record.partitionKey, [...ofKey, indexOf(record)]);
          }
        };
        const { handling, given, gaveUp, leftOut } = stage(
          batch,
          async (given) => {
            calls += 1;
            const records = [...given.records];
            spoil(given.records as UserRecord[]);
            expect(records.length).toBeGreaterThan(0);
            expect(records.some((record) => isHidden(indexOf(record)))).toBe(false);
            mostCalls = Math.max(mostCalls, calls);
            const ofCall = new Set(records.map(({ partitionKey }) => partitionKey));
            for (const key of ofCall) {
              expect(running.get(key) ?? 0).toBe(0);
              running.set(key, 1);
            }
            await scheduler.schedule(Promise.resolve(), 'the handler');
            for (const key of ofCall) running.set(key, 0);
            calls -= 1;
            if (records.some((record) => bad.has(indexOf(record)))) throw new Error('poison');
            finish(records);
          },
          {
            ...options,
            ...(maxBatchSize !== undefined && { maxBatchSize }),
            ...(hidden.length > 0 && { filter: without(hidden) }),
            onFailure: async ({ records }) => {
              await scheduler.schedule(Promise.resolve(), 'onFailure');
              finish(records);
              spoil(records as UserRecord[]);
            },
          },
        );
        const noneBefore = (position: ExtendedSequenceNumber | undefined): void => {
          if (position === undefined) return;
          for (const record of batch.records)
            if (compareExtended(positionOf(record), position) <= 0 && !isHidden(indexOf(record)))
              expect(finished.has(indexOf(record))).toBe(true);
        };
        const progress = await scheduler.waitFor(deliver(handling, ({ finishedTo }) => noneBefore(finishedTo)));
        expect(progress.rest).toBeUndefined();
        expect(progress.finishedTo).toEqual(batch.last);
        const hiddenCount = keys.filter((_, index) => isHidden(index)).length;
        expect(finished.size).toBe(keys.length - hiddenCount);
        expect(leftOut).toEqual(hiddenCount === 0 ? [] : [hiddenCount]);
        const handedOver = gaveUp.flatMap(({ failure }) => failure.records.map(indexOf));
        expect([...handedOver].sort((a, b) => a - b)).toEqual([...bad].sort((a, b) => a - b));
        for (const ofKey of order.values()) expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b));
        expect(mostCalls).toBeLessThanOrEqual(options.concurrency);
        // What a checkpoint by hand may mean in a call of keys side by side was finished before it.
        if (options.concurrency > 1) given.forEach(noneBefore);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});

/** All records but those of some keys. */
function without(keys: readonly number[]): FilterCriteria {
  return { Filters: [{ Pattern: { partitionKey: [{ 'anything-but': keys.map((key) => `key${key}`) }] } }] };
}

describe('with a filter', () => {
  const six = batchOf([1, 2, 1, 3, 1, 2]);

  test('a checkpoint by hand reaches up to the next record that passes, and past the last to the end of the batch', async () => {
    const { handling, given } = stage(six, () => undefined, { maxBatchSize: 1, filter: without([1]) });
    const { handledCount, handledBytes, finishedTo } = await handling.run();
    const [, , third, , fifth] = six.records as readonly UserRecord[];
    expect(given).toEqual([positionOf(third as UserRecord), positionOf(fifth as UserRecord), six.last]);
    expect({ handledCount, handledBytes, finishedTo }).toEqual({
      handledCount: 3,
      handledBytes: 3,
      finishedTo: six.last,
    });
  });

  test('that nothing passes, the batch is finished and the handler is not called', async () => {
    const { handling, words, leftOut } = stage(six, () => undefined, { filter: without([1, 2, 3]) });
    expect(await handling.run()).toEqual({ handledCount: 0, handledBytes: 0, finishedTo: six.last, rest: undefined });
    expect([words, leftOut]).toEqual([[], [6]]);
  });

  test('a record is looked at once, however often the batch is tried', async () => {
    let throws = 2;
    const { handling, leftOut } = stage(
      six,
      () => {
        throws -= 1;
        if (throws >= 0) throw new Error('not yet');
      },
      { filter: without([1]) },
    );
    await deliver(handling);
    expect(leftOut).toEqual([3]);
  });
});

describe('one call after the other', () => {
  const six = batchOf([1, 2, 3, 4, 5, 6]);

  test('a checkpoint by hand means the part that was given, and before that what was finished', async () => {
    const { handling, given } = stage(six, () => undefined, { maxBatchSize: 4 });
    await handling.run();
    expect(given).toEqual([positionOf(six.records[3] as UserRecord), six.last]);
  });

  test('nothing is called any more once the shard has ended', async () => {
    const reason = new Error('lease lost');
    let calls = 0;
    const { handling, end } = stage(
      six,
      () => {
        calls += 1;
        if (calls === 2) end(reason);
      },
      { maxBatchSize: 1 },
    );
    await expect(handling.run()).rejects.toBe(reason);
    expect(calls).toBe(2);
  });

  test('while onFailure throws nothing behind is handled, and it gets the same records again', async () => {
    const failures: Failure[] = [];
    const handled: number[] = [];
    const boom = new Error('the third is bad');
    const { handling, words, gaveUp } = stage(
      six,
      ({ records }) => {
        if (records.some((record) => indexOf(record) === 2)) throw boom;
        handled.push(...records.map(indexOf));
      },
      {
        maxRetryAttempts: 0,
        onFailure: (failure) => {
          failures.push(failure);
          expect(handled).toEqual([0, 1]);
          if (failures.length < 3) throw new Error('the queue is away');
        },
      },
    );
    const first = await handling.run();
    expect(first).toMatchObject({
      finishedTo: positionOf(six.records[1] as UserRecord),
      handledCount: 2,
      handledBytes: 2,
      rest: { attempt: 1, stops: false, error: { word: 'onFailure', thrown: { message: 'the queue is away' } } },
    });
    expect(await handling.run()).toMatchObject({ handledCount: 0, rest: { attempt: 2 } });
    expect(await handling.run()).toMatchObject({ handledCount: 3, finishedTo: six.last, rest: undefined });
    expect(handled).toEqual([0, 1, 3, 4, 5]);
    expect(words.at(-1)).toBe('processRecords');
    expect(new Set(failures.map(({ records }) => records.map(indexOf).join()))).toEqual(new Set(['2']));
    expect(failures[0]).toMatchObject({
      application: 'app',
      streamName: 'orders',
      shardId: 's',
      attempts: 1,
      limit: 'attempts',
    });
    expect(failures[0]?.error).toBe(boom);
    expect(gaveUp).toMatchObject([{ outcome: 'handedOver' }]);
  });

  test('without onFailure the shard stops at the record, what is before it is finished, and the handler is left alone', async () => {
    let calls = 0;
    const { handling, gaveUp } = stage(
      six,
      ({ records }) => {
        calls += 1;
        if (records.some((record) => indexOf(record) === 2)) throw new Error('bad');
      },
      { maxRetryAttempts: 1 },
    );
    const stopped = await deliver(handling);
    expect(stopped).toMatchObject({
      finishedTo: positionOf(six.records[1] as UserRecord),
      rest: { stops: true, attempt: 2 },
    });
    const before = calls;
    expect(await handling.run()).toMatchObject({ rest: { stops: true } });
    expect(calls).toBe(before);
    expect(gaveUp).toMatchObject([{ outcome: 'stopped', failure: { attempts: 2 } }]);
  });

  test('an answer that almost says so is a failure of the handler, until it is given up', async () => {
    const { handling, gaveUp } = stage(six, () => ({ batchItemFailure: [] }), { maxRetryAttempts: 0 });
    expect(await handling.run()).toMatchObject({ handledCount: 0, finishedTo: undefined, rest: { stops: true } });
    expect(gaveUp[0]?.failure.error).toMatchObject({
      code: 'RECORD_FAILED',
      message: expect.stringContaining('the handler returned batchItemFailure, did you mean batchItemFailures?'),
    });
  });

  test('batchItemFailures finish what is before them, and the named record is tried by its own count', async () => {
    const seen: string[] = [];
    const { handling, threw } = stage(
      six,
      ({ records, attempt }) => {
        seen.push(`${records.map(indexOf).join()} #${attempt}`);
        const named = records.find((record) => indexOf(record) === 3);
        return (
          named && { batchItemFailures: [{ itemIdentifier: `${named.sequenceNumber}:${named.subSequenceNumber}` }] }
        );
      },
      { maxRetryAttempts: 2, onFailure: () => undefined },
    );
    const first = await handling.run();
    expect(first).toMatchObject({ handledCount: 3, rest: { attempt: 1, stops: false } });
    expect(first.rest?.kind === 'threw' && thrownBy(first.rest.error).text).toContain('itemIdentifier 101:0');
    await deliver(handling);
    expect(seen).toEqual(['0,1,2,3,4,5 #1', '3,4,5 #2', '3,4,5 #3', '4,5 #1']);
    expect(threw).toEqual([6, 3, 3]);
  });
});

describe('a batch that takes long', () => {
  const indexesAt = (position: ExtendedSequenceNumber | undefined, batch: SourceBatch): number =>
    batch.records.filter((record) => position !== undefined && compareExtended(positionOf(record), position) <= 0)
      .length;

  test('is told of each second, between two calls, and goes on where it was', async () => {
    const clock = new ManualClock();
    const batch = batchOf([1, 2, 3, 4, 5, 6, 7]);
    const seen: number[] = [];
    const { handling } = stage(
      batch,
      ({ records }) => {
        seen.push(...records.map(indexOf));
        clock.advance(400);
      },
      { maxBatchSize: 1 },
      clock,
    );
    const progress: unknown[] = [];
    await deliver(handling, ({ finishedTo, handledCount, rest }) => {
      progress.push([indexesAt(finishedTo, batch), handledCount, rest?.kind]);
    });
    expect(progress).toEqual([
      [3, 3, 'goesOn'],
      [6, 3, 'goesOn'],
      [7, 1, undefined],
    ]);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('has one call a time at least, however long that takes', async () => {
    const clock = new ManualClock();
    let calls = 0;
    const { handling } = stage(
      batchOf([1, 2]),
      () => {
        calls += 1;
        clock.advance(60_000);
      },
      { maxBatchSize: 1 },
      clock,
    );
    expect(await handling.run()).toMatchObject({ handledCount: 1, rest: { kind: 'goesOn' } });
    expect(await handling.run()).toMatchObject({ handledCount: 1, rest: undefined });
    expect(calls).toBe(2);
  });

  test('of keys side by side one that can go on does not wait for one that is tried again', async () => {
    const clock = new ManualClock();
    const batch = batchOf([1, 2, 2, 2]);
    const { handling } = stage(
      batch,
      ({ records: [first] }) => {
        if (first?.partitionKey === 'key1') throw new Error('not yet');
        clock.advance(3_000);
      },
      { maxBatchSize: 1, concurrency: 2 },
      clock,
    );
    expect(await handling.run()).toMatchObject({ handledCount: 2, rest: { kind: 'goesOn' } });
    expect(await handling.run()).toMatchObject({ handledCount: 1, finishedTo: undefined, rest: { attempt: 2 } });
  });
});

test('keys side by side: one that fails waits, the others go on to the end of the batch', async () => {
  const batch = batchOf([1, 2, 1, 2, 3, 3]);
  const handled: number[] = [];
  let failures = 0;
  const { handling } = stage(
    batch,
    async ({ records }) => {
      const [first] = records;
      if (first?.partitionKey === 'key1' && failures++ < 2) throw new Error('not yet');
      handled.push(...records.map(indexOf));
    },
    { concurrency: 3 },
  );
  expect(await handling.run()).toMatchObject({ handledCount: 4, finishedTo: undefined, rest: { attempt: 1 } });
  expect(await handling.run()).toMatchObject({ handledCount: 0, finishedTo: undefined, rest: { attempt: 2 } });
  expect(await handling.run()).toMatchObject({ handledCount: 2, finishedTo: batch.last, rest: undefined });
  expect(handled.slice(-2)).toEqual([0, 2]);
});

test('keys side by side: finished is what lies before the first record that is not, in whichever lane that is', async () => {
  const batch = batchOf([1, 1, 2, 1]);
  const { handling } = stage(
    batch,
    ({ records: [first] }) => {
      if (first?.partitionKey === 'key2') throw new Error('bad');
    },
    { concurrency: 2, maxRetryAttempts: 0 },
  );
  const finishedTo = positionOf(batch.records[1] as UserRecord);
  expect(await handling.run()).toMatchObject({ handledCount: 3, finishedTo, rest: { stops: true } });
});

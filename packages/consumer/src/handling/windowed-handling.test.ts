// Tumbling windows on their way through a handler: the rules one by one, then all of them together over any records, failures and crashes.
import { compareExtended, type ExtendedSequenceNumber, parseSequenceNumber, silentLogger } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { describe, expect, test } from 'vitest';
import type { Batch, BatchHandler, BatchWindow, ShardContext, UserRecord } from '../handler.ts';
import { filtered } from '../retrieval/filtered.ts';
import type { SourceBatch } from '../retrieval/source.ts';
import { WindowCutter } from '../retrieval/window-cutter.ts';
import { thrownBy } from '../runtime/handler-threw.ts';
import type { HandledShard, HandlingReport, Progress } from './batch-handling.ts';
import { type Failure, type HandlingOptions, readHandling } from './handling-options.ts';
import { ShardWindow } from './shard-window.ts';
import { WindowedHandling } from './windowed-handling.ts';

const LENGTH_MS = 100;

/** A record for each arrival time; its data is its number, from `from` on. */
function batchAt(times: readonly number[], from = 0, more: Partial<SourceBatch> = {}): SourceBatch {
  const records = times.map(
    (time, index): UserRecord => ({
      partitionKey: `key${(from + index) % 2}`,
      data: Uint8Array.of(from + index),
      sequenceNumber: String(100 + from + index),
      subSequenceNumber: 0,
      approximateArrivalTimestamp: new Date(time),
      aggregated: false,
    }),
  );
  return {
    records,
    recordCount: records.length,
    first: parseSequenceNumber(String(100 + from)),
    byteCount: records.length,
    last: positionOf(from + times.length - 1),
    millisBehindLatest: 0,
    kinesisRecordCount: records.length,
    corruptCount: 0,
    strayCount: 0,
    gap: undefined,
    ...more,
  };
}

const positionOf = (index: number): ExtendedSequenceNumber => ({
  sequenceNumber: parseSequenceNumber(String(100 + index)),
  subSequenceNumber: 0,
});

const indexOf = ({ data }: UserRecord): number => data[0] as number;

/** One line a call: what it was given, and what for. */
function lineOf({ records, window }: Batch): string {
  const { start, state, isFinal, isTerminatedEarly } = window ?? {};
  const flag = isFinal ? ' final' : isTerminatedEarly ? ' early' : '';
  return `${start?.getTime()}${flag}: ${JSON.stringify(state)} + ${records.map(indexOf).join()}`;
}

/** The fold that these tests make: the numbers of a window's records. */
const gathers = ({ records, window }: Batch): { state: { seen: number[] } } => {
  const { seen = [] } = (window as BatchWindow).state as { seen?: number[] };
  return { state: { seen: [...seen, ...records.map(indexOf)] } };
};

class Stage {
  readonly lines: string[] = [];
  readonly given: (ExtendedSequenceNumber | undefined)[] = [];
  readonly threw: unknown[] = [];
  readonly gaveUp: Failure[] = [];
  readonly endedEarly: number[] = [];
  readonly clock = new ManualClock();
  readonly window: ShardWindow;
  readonly #cutter = new WindowCutter(LENGTH_MS);
  readonly #handler: BatchHandler;
  readonly #options: ReturnType<typeof readHandling>;
  isPaused = false;
  endedBy: unknown;

  constructor(
    handler: BatchHandler = gathers,
    { maxStateBytes = 1_000, ...options }: HandlingOptions & { maxStateBytes?: number } = {},
  ) {
    const tumblingWindow = { lengthMs: LENGTH_MS, maxStateBytes };
    this.window = new ShardWindow(tumblingWindow);
    this.#options = readHandling({ ...options, tumblingWindow }, { checkpointing: 'auto', eachRecord: false });
    this.#handler = (batch, context) => {
      this.lines.push(lineOf(batch));
      return handler(batch, context);
    };
  }

  begin(batch: SourceBatch): WindowedHandling {
    const { filter } = this.#options;
    const known = filter === undefined ? batch : filtered(batch, filter);
    const windowRuns = this.#cutter.cut(known.records, known.passing);
    if (known.endsWindow === true) this.#cutter.close();
    const context = { streamName: 'orders', shardId: 's', logger: silentLogger } as Partial<ShardContext>;
    const shard: HandledShard = {
      shardId: 's',
      context: context as ShardContext,
      endedBy: () => this.endedBy,
      calls: () => undefined,
      gives: (position) => void this.given.push(position()),
      isPaused: () => this.isPaused,
      ranFor: () => undefined,
    };
    const report: HandlingReport = {
      leftOut: () => undefined,
      threw: (_count, _ms, cause) => void this.threw.push(cause),
      gaveUp: (failure) => void this.gaveUp.push(failure),
      endedEarly: (bytes) => void this.endedEarly.push(bytes),
    };
    const options = {
      ...this.#options,
      handler: { processRecords: this.#handler },
      application: 'app',
      clock: this.clock,
    };
    return new WindowedHandling(shard, { ...known, windowRuns }, report, options, this.window);
  }

  /** Until the batch is done with, or its shard stops. */
  async deliver(batch: SourceBatch): Promise<Progress> {
    const handling = this.begin(batch);
    for (let tries = 0; tries < 100; tries += 1) {
      const progress = await handling.run();
      if (progress.rest === undefined || (progress.rest.kind === 'threw' && progress.rest.stops)) return progress;
    }
    throw new Error('a hundred tries, and no end');
  }
}

describe('the calls of a window', () => {
  test('hand its state on, from {} on, over any number of batches, and the last has no records', async () => {
    const stage = new Stage();
    await stage.deliver(batchAt([200, 210]));
    await stage.deliver(batchAt([250, 299, 300], 2));
    await stage.deliver(batchAt([], 5, { endsWindow: true, last: positionOf(4) }));
    expect(stage.lines).toEqual([
      '200: {} + 0,1',
      '200: {"seen":[0,1]} + 2,3',
      '200 final: {"seen":[0,1,2,3]} + ',
      '300: {} + 4',
      '300 final: {"seen":[4]} + ',
    ]);
  });

  test('are of maxBatchSize records at the most, and of one window', async () => {
    const stage = new Stage(gathers, { maxBatchSize: 2 });
    await stage.deliver(batchAt([200, 210, 220, 300, 310], 0, { endsWindow: true }));
    expect(stage.lines).toEqual([
      '200: {} + 0,1',
      '200: {"seen":[0,1]} + 2',
      '200 final: {"seen":[0,1,2]} + ',
      '300: {} + 3,4',
      '300 final: {"seen":[3,4]} + ',
    ]);
  });

  test('do not come for windows without a record, nor for those without one that passes the filter', async () => {
    const filter = { Filters: [{ Pattern: { partitionKey: ['key0'] } }] };
    const stage = new Stage(gathers, { filter });
    await stage.deliver(batchAt([200, 310, 900, 1_000, 1_010], 0, { endsWindow: true }));
    expect(stage.lines).toEqual([
      '200: {} + 0',
      '200 final: {"seen":[0]} + ',
      '900: {} + 2',
      '900 final: {"seen":[2]} + ',
      '1000: {} + 4',
      '1000 final: {"seen":[4]} + ',
    ]);
  });

  test('have a copy of the state: what a call that failed did to it is undone', async () => {
    let failures = 0;
    const stage = new Stage((batch) => {
      const { state } = batch.window as { state: { seen?: number[] } };
      state.seen = [...(state.seen ?? []), ...batch.records.map(indexOf)];
      if (state.seen.length > 1 && failures++ < 2) throw new Error('not yet');
      return { state };
    });
    await stage.deliver(batchAt([200]));
    await stage.deliver(batchAt([210], 1, { endsWindow: true }));
    const second = '200: {"seen":[0]} + 1';
    expect(stage.lines).toEqual(['200: {} + 0', second, second, second, '200 final: {"seen":[0,1]} + ']);
  });

  test('that return no state have failed, as in Lambda, but for the last', async () => {
    let calls = 0;
    const stage = new Stage((batch) => {
      calls += 1;
      if (batch.window?.isFinal) return undefined;
      return calls === 1 ? { batchItemFailures: [] } : gathers(batch);
    });
    const progress = await stage.deliver(batchAt([200], 0, { endsWindow: true }));
    expect(stage.lines).toEqual(['200: {} + 0', '200: {} + 0', '200 final: {"seen":[0]} + ']);
    expect(stage.threw.map((error) => thrownBy(error).text)).toEqual([
      expect.stringContaining('the handler returned no state'),
    ]);
    expect(progress.handledCount).toBe(1);
  });

  test('that return what JSON cannot say have failed', async () => {
    let calls = 0;
    const stage = new Stage((batch) => {
      calls += 1;
      return calls === 1 ? { state: 1n } : gathers(batch);
    });
    await stage.deliver(batchAt([200]));
    expect(stage.threw.map((error) => thrownBy(error).text)).toEqual([expect.stringContaining('BigInt')]);
    expect(stage.lines).toEqual(['200: {} + 0', '200: {} + 0']);
  });
});

describe('of an open window nothing counts as finished', () => {
  test('what lies before its first record does, and all once its last call has succeeded', async () => {
    const stage = new Stage();
    expect((await stage.deliver(batchAt([200, 210]))).finishedTo).toBeUndefined();
    expect((await stage.deliver(batchAt([310, 320], 2))).finishedTo).toEqual(positionOf(1));
    const end = batchAt([], 4, { endsWindow: true, last: positionOf(3) });
    expect((await stage.deliver(end)).finishedTo).toEqual(positionOf(3));
  });

  test('a checkpoint by hand means what lies before it, in all of its calls', async () => {
    const stage = new Stage();
    await stage.deliver(batchAt([200, 310, 320], 0, { endsWindow: true }));
    expect(stage.given).toEqual([undefined, undefined, positionOf(0), positionOf(0)]);
  });

  test('what no filter lets pass does between two windows', async () => {
    const stage = new Stage(gathers, { filter: { Filters: [{ Pattern: { partitionKey: ['key0'] } }] } });
    expect((await stage.deliver(batchAt([200, 310]))).finishedTo).toEqual(positionOf(1));
    expect((await stage.deliver(batchAt([320], 3))).finishedTo).toEqual(positionOf(3));
    expect((await stage.deliver(batchAt([330], 4))).finishedTo).toEqual(positionOf(3));
  });
});

describe('a call that fails', () => {
  test('the last of a window is tried until it succeeds, whatever the limits, and nothing behind it is handled before', async () => {
    let failures = 0;
    const stage = new Stage(
      (batch) => {
        if (batch.window?.isFinal && failures++ < 5) throw new Error('the sink is away');
        return gathers(batch);
      },
      { maxRetryAttempts: 0, onFailure: () => undefined },
    );
    const handling = stage.begin(batchAt([200, 310]));
    for (let tries = 1; tries <= 5; tries += 1) {
      expect(await handling.run()).toMatchObject({ finishedTo: undefined, rest: { attempt: tries, stops: false } });
    }
    expect(stage.lines.at(-1)).toBe('200 final: {"seen":[0]} + ');
    expect(await handling.run()).toMatchObject({ finishedTo: positionOf(0), rest: undefined });
    expect(stage.lines.at(-1)).toBe('300: {} + 1');
    expect(stage.gaveUp).toEqual([]);
  });

  test('batchItemFailures: the state that comes with them is of the records before the one named, which comes again', async () => {
    let failures = 0;
    const stage = new Stage((batch) => {
      const bad = batch.records.findIndex((record) => indexOf(record) === 2);
      if (bad === -1 || failures++ >= 2) return gathers(batch);
      const itemIdentifier = batch.records[bad]?.sequenceNumber;
      return {
        ...gathers({ ...batch, records: batch.records.slice(0, bad) }),
        batchItemFailures: [{ itemIdentifier }],
      };
    });
    await stage.deliver(batchAt([200, 210, 220, 230], 0, { endsWindow: true }));
    expect(stage.lines).toEqual([
      '200: {} + 0,1,2,3',
      '200: {"seen":[0,1]} + 2,3',
      '200: {"seen":[0,1]} + 2,3',
      '200 final: {"seen":[0,1,2,3]} + ',
    ]);
  });

  test('batchItemFailures that name the first record: nothing was finished, so the state is as it was before', async () => {
    let failures = 0;
    const stage = new Stage((batch) => {
      if (failures++ > 0) return gathers(batch);
      const itemIdentifier = batch.records[0]?.sequenceNumber;
      return { state: { seen: [99] }, batchItemFailures: [{ itemIdentifier }] };
    });
    await stage.deliver(batchAt([200, 210]));
    expect(stage.lines).toEqual(['200: {} + 0,1', '200: {} + 0,1']);
  });

  test('a record that is handed over is in no state, and the window goes on', async () => {
    const stage = new Stage(
      (batch) => {
        if (batch.records.some((record) => indexOf(record) === 1)) throw new Error('poison');
        return gathers(batch);
      },
      { maxRetryAttempts: 0, onFailure: () => undefined },
    );
    await stage.deliver(batchAt([200, 210, 220], 0, { endsWindow: true }));
    expect(stage.gaveUp.flatMap(({ records }) => records.map(indexOf))).toEqual([1]);
    expect(stage.lines.at(-1)).toBe('200 final: {"seen":[0,2]} + ');
  });

  test('a shard that stops at a record leaves its window open: whoever has it next begins it anew', async () => {
    const stage = new Stage(
      (batch) => {
        if (batch.records.some((record) => indexOf(record) === 2)) throw new Error('poison');
        return gathers(batch);
      },
      { maxRetryAttempts: 0 },
    );
    const progress = await stage.deliver(batchAt([200, 310, 320]));
    expect(progress).toMatchObject({ finishedTo: positionOf(0), rest: { stops: true } });
  });

  test('nothing is called any more once the shard has ended', async () => {
    const reason = new Error('lease lost');
    const stage: Stage = new Stage((batch) => {
      stage.endedBy = reason;
      return gathers(batch);
    });
    await expect(stage.deliver(batchAt([200, 310]))).rejects.toBe(reason);
    expect(stage.lines).toEqual(['200: {} + 0']);
  });
});

describe('a state that grows past its limit', () => {
  test('ends the window early: a call without records takes it, then the window goes on with {}, and what was taken is finished', async () => {
    const stage = new Stage(gathers, { maxBatchSize: 2, maxStateBytes: 14 });
    const progress = await stage.deliver(batchAt([200, 210, 220, 230, 240]));
    expect(stage.lines).toEqual([
      '200: {} + 0,1',
      '200: {"seen":[0,1]} + 2,3',
      '200 early: {"seen":[0,1,2,3]} + ',
      '200: {} + 4',
    ]);
    expect(stage.endedEarly).toEqual([18]);
    expect(progress.finishedTo).toEqual(positionOf(3));
    await stage.deliver(batchAt([], 5, { endsWindow: true, last: positionOf(4) }));
    expect(stage.lines.at(-1)).toBe('200 final: {"seen":[4]} + ');
  });

  test('is taken at once, not when the next record comes', async () => {
    const stage = new Stage(gathers, { maxStateBytes: 12 });
    const progress = await stage.deliver(batchAt([200, 210]));
    expect(stage.lines).toEqual(['200: {} + 0,1', '200 early: {"seen":[0,1]} + ']);
    expect(progress.finishedTo).toEqual(positionOf(1));
  });

  test('is taken by the last call where the window is over anyway', async () => {
    const stage = new Stage(gathers, { maxStateBytes: 12 });
    await stage.deliver(batchAt([200, 210], 0, { endsWindow: true }));
    expect(stage.lines).toEqual(['200: {} + 0,1', '200 final: {"seen":[0,1]} + ']);
  });

  test('the call that takes it is tried until it succeeds', async () => {
    let failures = 0;
    const stage = new Stage(
      (batch) => {
        if (batch.window?.isTerminatedEarly && failures++ < 3) throw new Error('the sink is away');
        return gathers(batch);
      },
      { maxStateBytes: 12, maxRetryAttempts: 0, onFailure: () => undefined },
    );
    await stage.deliver(batchAt([200, 210]));
    expect(stage.lines.filter((line) => line === '200 early: {"seen":[0,1]} + ')).toHaveLength(4);
    expect(stage.endedEarly).toEqual([14]);
  });
});

describe('a batch of many windows', () => {
  test('is told of each second, between two calls, and goes on where it was', async () => {
    const stage: Stage = new Stage((batch) => {
      stage.clock.advance(400);
      return gathers(batch);
    });
    const handling = stage.begin(batchAt([200, 300, 400]));
    const seen: unknown[] = [];
    for (;;) {
      const { rest, handledCount, finishedTo } = await handling.run();
      seen.push([rest?.kind, handledCount, finishedTo && Number(finishedTo.sequenceNumber) - 100]);
      if (rest === undefined) break;
    }
    expect(seen).toEqual([
      ['goesOn', 2, 0],
      [undefined, 1, 1],
    ]);
  });

  test('waits between two calls while its shard is paused', async () => {
    const stage: Stage = new Stage((batch) => {
      stage.isPaused = true;
      return gathers(batch);
    });
    const handling = stage.begin(batchAt([200, 300]));
    expect(await handling.run()).toMatchObject({ handledCount: 1, rest: { kind: 'goesOn' } });
    expect(stage.lines).toEqual(['200: {} + 0']);
  });

  test('counts each record and its bytes once', async () => {
    const stage = new Stage();
    const progress = await stage.deliver(batchAt([200, 300, 310, 400]));
    expect(progress).toMatchObject({ handledCount: 4, handledBytes: 4 });
    expect(progress.finishedTo && compareExtended(progress.finishedTo, positionOf(2))).toBe(0);
  });
});

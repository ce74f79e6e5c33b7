import { UsageError } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Handler, ShardContext } from '../handler.ts';
import { type HandlingOptions, readHandling } from './handling-options.ts';
import { readHandler } from './read-handler.ts';

const batches = { checkpointing: 'auto', eachRecord: false } as const;
const sink = (): undefined => undefined;
const context = { shardId: 'shardId-0' } as ShardContext;

test('by default a batch is tried as it is, for ever, one call at a time', () => {
  expect(readHandling({}, batches)).toEqual({
    rules: { maxTries: Infinity, maxAgeMs: Infinity, bisecting: 'after-retries', maxSize: Infinity },
    onFailure: undefined,
    concurrency: 1,
  });
});

test('retries are tries after the first', () => {
  expect(readHandling({ maxRetryAttempts: 0 }, batches).rules.maxTries).toBe(1);
});

test.each<[HandlingOptions, string, string]>([
  [{ maxRetryAttempts: -1 }, 'maxRetryAttempts', 'a whole number from 0 on'],
  [{ maxRecordAgeMs: 0 }, 'maxRecordAgeMs', 'a whole number from 1 on'],
  [{ maxBatchSize: 1.5 }, 'maxBatchSize', 'a whole number from 1 on'],
  [{ concurrency: 1_001 }, 'concurrency', 'a whole number from 1 to 1000'],
  [{ bisectBatch: true as never }, 'bisectBatch', "'after-retries', 'at-once' or 'never'"],
  [{ onFailure: 'queue' as never }, 'onFailure', 'a function of a failure'],
  [{ onFailure: sink }, 'onFailure', 'maxRetryAttempts or maxRecordAgeMs beside it'],
  [{ bisectBatch: 'never' }, 'bisectBatch', "maxRetryAttempts or maxRecordAgeMs beside 'never': without a limit"],
  [{ bisectBatch: 'after-retries' }, 'bisectBatch', "maxRecordAgeMs beside 'after-retries': without a limit"],
  [{ filter: { Filters: [{ Pattern: { key: ['a'] } }] } }, 'filter.Filters[0].Pattern: key', 'a field of a record'],
  [{ batchWindowMs: 300_001 }, 'batchWindowMs', 'a whole number from 0 to 300000'],
  [{ maxRetries: 3 } as never, 'maxRetries', 'did you mean'],
])('%o is refused: %s', (options, field, expected) => {
  expect(() => readHandling(options, batches)).toThrow(UsageError);
  expect(() => readHandling(options, batches)).toThrow(expect.objectContaining({ field }));
  if (field !== 'maxRetries') expect(() => readHandling(options, batches)).toThrow(expected);
});

test('how a batch is bisected is said beside a limit, which run may give; at once without one', () => {
  expect(readHandling({ bisectBatch: 'at-once' }, batches).rules.bisecting).toBe('at-once');
  expect(readHandling({ bisectBatch: 'never', maxRecordAgeMs: 5 }, batches).rules.bisecting).toBe('never');
  const handler: Handler = { processRecords: sink, handling: { bisectBatch: 'never' } };
  expect(() => readHandler(handler, {}, 'auto')).toThrow('bisectBatch');
  expect(readHandler(handler, { maxRetryAttempts: 0 }, 'auto').handling.rules.bisecting).toBe('never');
});

test('calls side by side and checkpoints by hand do not go together, nor records one at a time and a size of batches', () => {
  const manual = { checkpointing: 'manual', eachRecord: false } as const;
  expect(() => readHandling({ concurrency: 2 }, manual)).toThrow("1 with checkpointing 'manual'");
  expect(readHandling({ concurrency: 1 }, manual).concurrency).toBe(1);
  expect(() => readHandling({ maxBatchSize: 2 }, { ...batches, eachRecord: true })).toThrow('maxBatchSize');
});

test('a window waits for as many records as the calls at once take', () => {
  expect(readHandling({ batchWindowMs: 0, maxBatchSize: 5 }, batches).gathering).toBeUndefined();
  const { gathering } = readHandling({ batchWindowMs: 50, maxBatchSize: 5, concurrency: 4 }, batches);
  expect(gathering).toEqual({ windowMs: 50, recordCount: 20 });
  expect(readHandling({ batchWindowMs: 50 }, batches).gathering?.recordCount).toBe(Infinity);
});

test('a window is not for records one at a time, nor for longer than the watchdog has patience', () => {
  expect(() => readHandling({ batchWindowMs: 50 }, { ...batches, eachRecord: true })).toThrow('batchWindowMs');
  const given = { ...batches, stallWarningMs: 60_000 };
  expect(readHandling({ batchWindowMs: 45_000 }, given).gathering?.windowMs).toBe(45_000);
  expect(() => readHandling({ batchWindowMs: 45_001 }, given)).toThrow('three quarters of stallWarningMs, 60000');
});

describe('the faces of a handler', () => {
  test('one that takes a record is given batches of one, and keeps its other words and its this', async () => {
    class Ledger {
      readonly seen: string[] = [];
      processRecord({ partitionKey }: { readonly partitionKey: string }): void {
        this.seen.push(partitionKey);
      }
      shardEnded(): void {
        this.seen.push('end');
      }
    }
    const ledger = new Ledger();
    const { handler, handling } = readHandler(ledger, {}, 'auto').forTenure(context);
    expect(handling.rules.maxSize).toBe(1);
    await handler.processRecords({ records: [{ partitionKey: 'a' }] } as never, {} as never);
    await handler.shardEnded?.({} as never);
    expect([ledger.seen, handler.leaseLost]).toEqual([['a', 'end'], undefined]);
  });

  test('what is said to run comes before what the handler says of itself', () => {
    const handler: Handler = { processRecords: sink, handling: { maxRetryAttempts: 1, concurrency: 4 } };
    const { handling } = readHandler(handler, { concurrency: 2 }, 'auto');
    expect([handling.rules.maxTries, handling.concurrency]).toEqual([2, 2]);
  });

  test.each([
    [undefined, 'handler'],
    [{}, 'handler'],
    [{ processRecords: sink, processRecord: sink }, 'handler'],
    [{ processRecord: sink, leaseLost: 1 }, 'handler.leaseLost'],
    [{ processRecrods: sink }, 'handler.processRecrods'],
    [{ createHandlers: sink }, 'handler.createHandlers'],
    [{ processRecords: sink, intialize: sink }, 'handler.intialize'],
    [{ processRecords: sink, shardEnd: sink }, 'handler.shardEnd'],
    [{ processRecords: sink, onShardEnded: sink }, 'handler.onShardEnded'],
    [
      new (class {
        processRecords = sink;
        leaselost(): void {}
      })(),
      'handler.leaselost',
    ],
    [
      class {
        processRecords(): void {}
      },
      'handler',
    ],
  ])('%o is none', (given, field) => {
    expect(() => readHandler(given as never, {}, 'auto')).toThrow(expect.objectContaining({ field, code: 'USAGE' }));
  });
});

test.each([null, 5, 'never', () => ({})])('%s in the place of handling is refused, not passed over', (wrong) => {
  const expected = 'expected an object like { maxRetryAttempts: 3 }';
  expect(() => readHandler(sink, wrong as never, 'auto')).toThrow(`handling: ${expected}`);
  const handler = { processRecords: sink, handling: wrong as never };
  expect(() => readHandler(handler, {}, 'auto')).toThrow(`handler.handling: ${expected}`);
});

describe('a factory of handlers', () => {
  const read = (createHandler: unknown, options: HandlingOptions = {}) =>
    readHandler({ createHandler } as Handler, options, 'auto');

  test('makes one of any face for each tenure, called as that face is, with what is said beside it', async () => {
    const seen: string[] = [];
    class Ledger {
      processRecord({ partitionKey }: { readonly partitionKey: string }): void {
        seen.push(partitionKey);
      }
    }
    const { handling, forTenure } = read(() => new Ledger(), { maxRetryAttempts: 2 });
    expect(handling.rules).toMatchObject({ maxTries: 3, maxSize: Infinity });
    const [first, second] = [forTenure(context), forTenure(context)];
    expect(first.handler).not.toBe(second.handler);
    expect(first.handling.rules).toMatchObject({ maxTries: 3, maxSize: 1 });
    await first.handler.processRecords({ records: [{ partitionKey: 'a' }] } as never, context);
    expect(seen).toEqual(['a']);
    const factory = {
      handling: { maxBatchSize: 5 },
      createHandler: ({ shardId }: ShardContext) => {
        return () => void seen.push(shardId);
      },
    };
    const tenure = readHandler(factory, { maxRetryAttempts: 1 }, 'auto').forTenure(context);
    expect(tenure.handling.rules).toMatchObject({ maxTries: 2, maxSize: 5 });
    await tenure.handler.processRecords({} as never, context);
    expect(seen).toEqual(['a', 'shardId-0']);
  });

  test.each<[unknown, string, string]>([
    [{ createHandler: new Map() }, 'handler.createHandler', 'a function, got an object (Map)'],
    [{ createHandler: sink, processRecords: sink }, 'handler.processRecords', 'a word of what createHandler returns'],
    [{ createHandler: sink, leaseLost: sink }, 'handler.leaseLost', 'a word of what createHandler returns'],
    [{ createHandler: sink, handling: { maxRetries: 1 } }, 'maxRetries', 'an option of handling'],
  ])('%o is none', (given, field, text) => {
    expect(() => readHandler(given as never, {}, 'auto')).toThrow(expect.objectContaining({ field, code: 'USAGE' }));
    expect(() => readHandler(given as never, {}, 'auto')).toThrow(text);
  });

  test.each<[() => unknown, string, string]>([
    [sink, 'createHandler()', 'processRecords or processRecord, got undefined'],
    [() => ({ createHandler: sink }), 'createHandler()', 'processRecords or processRecord, got an object'],
    [
      () => Promise.reject(new Error('later')),
      'createHandler()',
      'takes its time belongs into initialize, got a promise',
    ],
    [() => ({ processRecords: sink, leaseLost: 1 }), 'createHandler().leaseLost', 'a function, got 1'],
    [() => ({ processRecords: sink, shardEnd: sink }), 'createHandler().shardEnd', 'did you mean shardEnded?'],
    [
      () => ({ processRecords: sink, handling: {} }),
      'createHandler().handling',
      'handling stands beside createHandler',
    ],
  ])('%s makes none, and is told so whenever it is called', (make, field, text) => {
    const { forTenure } = read(make);
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      expect(() => forTenure(context)).toThrow(
        expect.objectContaining({
          word: 'createHandler',
          thrown: expect.objectContaining({ field, message: expect.stringContaining(text) }),
        }),
      );
    }
  });

  test('of records one at a time is told what does not go together with them', () => {
    const { forTenure } = read(() => ({ processRecord: sink }), { maxBatchSize: 5 });
    expect(() => forTenure(context)).toThrow(
      expect.objectContaining({ thrown: expect.objectContaining({ field: 'maxBatchSize' }) }),
    );
  });
});

test("members of its own and words beside the right one are the handler's affair", () => {
  const given = { processRecords: sink, initialize: sink, initialise: sink, initialized: true, flush: sink };
  expect(readHandler(given, {}, 'auto').forTenure(context).handler).toBe(given);
});

test("a tumbling window has Lambda's limits by default", () => {
  const { tumblingWindow } = readHandling({ tumblingWindow: { lengthMs: 60_000 } }, batches);
  expect(tumblingWindow).toEqual({ lengthMs: 60_000, graceMs: 2_000, maxStateBytes: 1_048_576 });
});

test('a tumbling window is not for records one at a time, nor for calls side by side, nor for checkpoints by hand', () => {
  const tumblingWindow = { lengthMs: 60_000 };
  const read = (options: HandlingOptions, given: Partial<Parameters<typeof readHandling>[1]> = {}): unknown =>
    readHandling({ tumblingWindow, ...options }, { ...batches, ...given });
  expect(() => read({}, { eachRecord: true })).toThrow('tumblingWindow: expected a handler with processRecords');
  expect(() => read({ concurrency: 2 })).toThrow('tumblingWindow: expected concurrency 1 beside it');
  expect(() => read({}, { checkpointing: 'manual' })).toThrow(
    "tumblingWindow: expected checkpointing 'auto' beside it",
  );
});

test.each<[unknown, string]>([
  [60_000, 'tumblingWindow: expected an object like { lengthMs: 60_000 }, got 60000'],
  [{}, 'tumblingWindow.lengthMs: expected a whole number from 1 to 900000, got undefined'],
  [{ lengthMs: 900_001 }, 'tumblingWindow.lengthMs: expected a whole number from 1 to 900000, got 900001'],
  [{ lengthMs: 1, graceMs: -1 }, 'tumblingWindow.graceMs: expected a whole number from 0 to 60000, got -1'],
  [{ lengthMs: 1, maxStateBytes: 0 }, 'tumblingWindow.maxStateBytes: expected a whole number from 1'],
  [{ lengthMs: 1, maxState: 0 }, 'maxState: expected an option of tumblingWindow, got an unknown one'],
])('a tumbling window of %o is refused', (tumblingWindow, message) => {
  expect(() => readHandling({ tumblingWindow } as HandlingOptions, batches)).toThrow(message);
});

import { UsageError } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Handler } from '../handler.ts';
import { type HandlingOptions, readHandling } from './handling-options.ts';
import { readHandler } from './read-handler.ts';

const batches = { checkpointing: 'auto', eachRecord: false } as const;
const sink = (): undefined => undefined;

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
  [{ filter: { Filters: [{ Pattern: { key: ['a'] } }] } }, 'filter.Filters[0].Pattern: key', 'a field of a record'],
  [{ batchWindowMs: 300_001 }, 'batchWindowMs', 'a whole number from 0 to 300000'],
  [{ maxRetries: 3 } as never, 'maxRetries', 'did you mean'],
])('%o is refused: %s', (options, field, expected) => {
  expect(() => readHandling(options, batches)).toThrow(UsageError);
  expect(() => readHandling(options, batches)).toThrow(expect.objectContaining({ field }));
  if (field !== 'maxRetries') expect(() => readHandling(options, batches)).toThrow(expected);
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
    const { handler, handling } = readHandler(ledger, {}, 'auto');
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

test("members of its own and words beside the right one are the handler's affair", () => {
  const given = { processRecords: sink, initialize: sink, initialise: sink, initialized: true, flush: sink };
  expect(readHandler(given, {}, 'auto').handler).toBe(given);
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

import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Batch, BatchWindow, ShardContext, UserRecord } from '../handler.ts';
import type { LambdaContext, LambdaKinesisEvent, LambdaKinesisWindowEvent } from './lambda-event.ts';
import { type LambdaFunction, type LambdaOptions, type LambdaWindowResult, lambdaHandler } from './lambda-handler.ts';
import { readPartialResult } from './partial-result.ts';
import { readHandler } from './read-handler.ts';

const warnings: unknown[][] = [];
const context = { logger: { warn: (...line: unknown[]) => warnings.push(line) } } as unknown as ShardContext;
const sequenceNumber = '49590338271490256608559692538361571095921575989136588898';
const record: UserRecord = {
  partitionKey: '1',
  data: Buffer.from('Hello, this is a test.'),
  sequenceNumber,
  subSequenceNumber: 0,
  approximateArrivalTimestamp: new Date(1_545_084_650_987),
  aggregated: false,
};
const batch: Batch = {
  streamName: 'lambda-stream',
  shardId: 'shardId-000000000006',
  records: [record],
  millisBehindLatest: 0,
  attempt: 1,
};
const reporting: LambdaOptions = { functionResponseTypes: ['ReportBatchItemFailures'] };
const call = (handler: LambdaFunction, options?: LambdaOptions): Promise<unknown> =>
  Promise.resolve(lambdaHandler(handler, options).processRecords(batch, context));

test("the event is that of the Lambda developer guide's example, field by field", async () => {
  let event: LambdaKinesisEvent | undefined;
  const names = {
    eventSourceARN: 'arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream',
    invokeIdentityArn: 'arn:aws:iam::123456789012:role/lambda-role',
  };
  await call(async (given) => {
    event = given;
  }, names);
  expect(JSON.parse(JSON.stringify(event))).toEqual({
    Records: [
      {
        kinesis: {
          kinesisSchemaVersion: '1.0',
          partitionKey: '1',
          sequenceNumber,
          data: 'SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==',
          approximateArrivalTimestamp: 1545084650.987,
        },
        eventSource: 'aws:kinesis',
        eventVersion: '1.0',
        eventID: `shardId-000000000006:${sequenceNumber}`,
        eventName: 'aws:kinesis:record',
        invokeIdentityArn: 'arn:aws:iam::123456789012:role/lambda-role',
        awsRegion: 'us-east-2',
        eventSourceARN: 'arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream',
      },
    ],
  });
});

test("the event of a tumbling window is that of the guide's example of a time window, field by field", async () => {
  let event: LambdaKinesisWindowEvent | undefined;
  const names = {
    tumblingWindowInSeconds: 120,
    eventSourceARN: 'arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream',
    invokeIdentityArn: 'arn:aws:iam::123456789012:role/lambda-kinesis-role',
  };
  const window: BatchWindow = {
    start: new Date('2020-12-09T07:04:00Z'),
    end: new Date('2020-12-09T07:06:00Z'),
    state: { '1': 282, '2': 715 },
    isFinal: false,
    isTerminatedEarly: false,
  };
  const records = [{ ...record, approximateArrivalTimestamp: new Date(1_607_497_475_000) }];
  const { processRecords } = lambdaHandler(async (given: LambdaKinesisWindowEvent) => {
    event = given;
    return { state: given.state };
  }, names);
  expect(await processRecords({ ...batch, records, window }, context)).toEqual({ state: { '1': 282, '2': 715 } });
  expect(JSON.parse(JSON.stringify(event))).toEqual({
    Records: [
      {
        kinesis: {
          kinesisSchemaVersion: '1.0',
          partitionKey: '1',
          sequenceNumber,
          data: 'SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==',
          approximateArrivalTimestamp: 1607497475,
        },
        eventSource: 'aws:kinesis',
        eventVersion: '1.0',
        eventID: `shardId-000000000006:${sequenceNumber}`,
        eventName: 'aws:kinesis:record',
        invokeIdentityArn: 'arn:aws:iam::123456789012:role/lambda-kinesis-role',
        awsRegion: 'us-east-1',
        eventSourceARN: 'arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream',
      },
    ],
    window: { start: '2020-12-09T07:04:00Z', end: '2020-12-09T07:06:00Z' },
    state: { '1': 282, '2': 715 },
    shardId: 'shardId-000000000006',
    eventSourceARN: 'arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream',
    isFinalInvokeForWindow: false,
    isWindowTerminatedEarly: false,
  });
});

test('of what a function of windows returns the state counts always, batchItemFailures if it reports them', async () => {
  const result = { state: { n: 1 }, batchItemFailures: [{ itemIdentifier: sequenceNumber }] };
  const [start, end] = [new Date(0), new Date(60_000)];
  const window: BatchWindow = { start, end, state: {}, isFinal: true, isTerminatedEarly: false };
  const seen: unknown[] = [];
  const end60 = async ({ isFinalInvokeForWindow, Records }: LambdaKinesisWindowEvent): Promise<LambdaWindowResult> => {
    seen.push([isFinalInvokeForWindow, Records]);
    return result;
  };
  const given = { ...batch, records: [], window };
  const windowed = { tumblingWindowInSeconds: 60 };
  expect(await lambdaHandler(end60, windowed).processRecords(given, context)).toEqual({ state: { n: 1 } });
  expect(await lambdaHandler(end60, { ...reporting, ...windowed }).processRecords(given, context)).toEqual(result);
  expect(seen).toEqual([
    [true, []],
    [true, []],
  ]);
});

test('user records of one aggregate have event ids of their own, and the number of the Kinesis record', async () => {
  const records = [0, 1].map((subSequenceNumber) => ({ ...record, subSequenceNumber, aggregated: true }));
  let event: LambdaKinesisEvent | undefined;
  const { processRecords } = lambdaHandler(async (given) => {
    event = given;
  });
  await processRecords({ ...batch, records }, context);
  expect(event?.Records.map(({ eventID, kinesis }) => [eventID, kinesis.sequenceNumber])).toEqual([
    [`shardId-000000000006:${sequenceNumber}:0`, sequenceNumber],
    [`shardId-000000000006:${sequenceNumber}:1`, sequenceNumber],
  ]);
});

test('without an ARN the stream is made one of its name, the region and no account', async () => {
  let seen: unknown[] = [];
  await call(
    async ({ Records: [first] }, { invokedFunctionArn }) => {
      seen = [first?.eventSourceARN, first?.awsRegion, invokedFunctionArn];
    },
    { awsRegion: 'eu-west-1', functionName: 'bill' },
  );
  expect(seen).toEqual([
    'arn:aws:kinesis:eu-west-1:000000000000:stream/lambda-stream',
    'eu-west-1',
    'arn:aws:lambda:eu-west-1:000000000000:function:bill',
  ]);
});

test('the context names the function and each call, and counts its time down', async () => {
  const contexts: LambdaContext[] = [];
  async function bill(_event: LambdaKinesisEvent, given: LambdaContext): Promise<void> {
    contexts.push(given);
  }
  const { processRecords } = lambdaHandler(bill, { timeoutSeconds: 30 });
  await processRecords(batch, context);
  await processRecords(batch, context);
  const [first, second] = contexts;
  expect(first).toMatchObject({ functionName: 'bill', functionVersion: '$LATEST', logGroupName: '/aws/lambda/bill' });
  expect(first?.awsRequestId).toMatch(/^[0-9a-f-]{36}$/);
  expect(second?.awsRequestId).not.toBe(first?.awsRequestId);
  expect(first?.getRemainingTimeInMillis()).toBeGreaterThan(20_000);
  expect(first?.getRemainingTimeInMillis()).toBeLessThanOrEqual(30_000);
});

describe('every way in which a Lambda function ends is one', () => {
  const result = { batchItemFailures: [{ itemIdentifier: sequenceNumber }] };
  test.each<[string, LambdaFunction]>([
    ['a promise', async () => result],
    ['a callback', (_event, _context, callback) => callback(null, result)],
    ['a callback later', (_event, _context, callback) => void setImmediate(() => callback(undefined, result))],
    ['a promise of one that takes a callback', async (_event, _context, _callback) => result],
    ['context.succeed', (_event, { succeed }, _callback) => succeed(result)],
    ['context.done', (_event, { done }, _callback) => done(undefined, result)],
    ['context.succeed of one that declares no callback', (_event, { succeed }) => succeed(result)],
    ['context.done later', (_event, { done }) => void setImmediate(() => done(undefined, result))],
  ])('%s', async (_, handler) => {
    expect(await call(handler, reporting)).toEqual(result);
  });

  const failure = new Error('not today');
  const ended = (): void => undefined;
  test.each<[string, LambdaFunction]>([
    ['a rejection', () => Promise.reject(failure)],
    [
      'a throw',
      () => {
        throw failure;
      },
    ],
    ['a callback', (_event, _context, callback) => callback(failure)],
    ['context.fail', (_event, { fail }, _callback) => fail(failure)],
    ['context.done', (_event, { done }, _callback) => done(failure)],
    ['context.fail later', (_event, { fail }) => void setImmediate(() => fail(failure))],
    ['context.done later', (_event, { done }) => void setImmediate(() => done(failure))],
    ['a callback by a rest later', (...given) => void setImmediate(() => given[2](failure))],
    [
      'a callback with a default later',
      (_event, _context, callback = ended) => void setImmediate(() => callback(failure)),
    ],
    [
      'a callback among the arguments later',
      function () {
        // biome-ignore lint/complexity/noArguments: what is tested.
        const callback = arguments[2];
        setImmediate(() => callback(failure));
      },
    ],
    ['a callback before its promise', async (_event, _context, callback) => callback(failure)],
  ])('%s fails', async (_, handler) => {
    await expect(call(handler, reporting)).rejects.toBe(failure);
  });

  test.each<[string, LambdaFunction, unknown]>([
    ['an empty text', (_event, _context, callback) => callback(''), ''],
    ['0', (_event, { done }) => done(0 as never), 0],
    ['no error', (_event, { fail }) => fail(undefined as never), 'handled'],
  ])('one that fails with %s has failed, as in Lambda', async (_, handler, error) => {
    await expect(call(handler)).rejects.toBe(error);
  });

  describe('one that returns no promise, and says nothing more', () => {
    const useFakeTimers = (): void => {
      vi.useFakeTimers();
      onTestFinished(() => void vi.useRealTimers());
      warnings.length = 0;
    };

    test.each<[string, LambdaFunction]>([
      ['no value, and goes on', () => void Promise.resolve()],
      ['no value, and has a context', (_event, { awsRequestId }) => void awsRequestId],
      ['a value, which Lambda ignores', (_event, { awsRequestId }) => `${awsRequestId} ${result}` as never],
    ])('%s: its call has not ended, is told of once, and has failed when its time is over', async (_, handler) => {
      useFakeTimers();
      const { processRecords } = lambdaHandler(handler, { ...reporting, timeoutSeconds: 60, functionName: 'bill' });
      const said: unknown[] = [];
      for (const shard of [1, 2])
        Promise.resolve(processRecords(batch, context)).then(
          () => said.push(shard),
          (error) => said.push(error),
        );
      await vi.advanceTimersByTimeAsync(59_999);
      expect(said).toEqual([]);
      expect(warnings).toEqual([
        [{ timeoutMs: 60_000 }, expect.stringMatching(/bill returned 10 s ago, without a promise.*made async/)],
      ]);
      await vi.advanceTimersByTimeAsync(1);
      const error = expect.objectContaining({
        code: 'TIMEOUT',
        message: expect.stringMatching(
          /^the Lambda function bill returned no promise.* in 60 s .*: async \(event\) => …/,
        ),
      });
      expect(said).toEqual([error, error]);
      expect(vi.getTimerCount()).toBe(0);
    });

    test("has ended when nothing can come of it any more, as AWS's own example", async () => {
      useFakeTimers();
      const seen: string[] = [];
      const example: LambdaFunction = (event, _context) => {
        for (const { kinesis } of event.Records) seen.push(kinesis.partitionKey);
      };
      expect(await call(example)).toBeUndefined();
      expect(seen).toEqual(['1']);
      expect(vi.getTimerCount()).toBe(0);
    });

    test('of one that declares a callback nobody is told before its time is over', async () => {
      useFakeTimers();
      const calling = call((_event, _context, _callback) => undefined);
      const said = expect(calling).rejects.toThrow('has not called back in 900 s (timeoutSeconds)');
      await vi.advanceTimersByTimeAsync(900_000);
      await said;
      expect(warnings).toEqual([]);
    });

    test('of one that has called back no timer is left', async () => {
      useFakeTimers();
      const calling = call((_event, { succeed }) => void setImmediate(() => succeed(undefined)));
      await vi.advanceTimersByTimeAsync(0);
      await calling;
      expect(vi.getTimerCount()).toBe(0);
    });
  });

  test('what it returns is ignored unless it reports batchItemFailures, as in Lambda', async () => {
    expect(await call(async () => result)).toBeUndefined();
    const misspelt = { batchItemFailure: result.batchItemFailures, failures: result.batchItemFailures };
    const returned = await call(async () => misspelt as never, reporting);
    expect(readPartialResult(misspelt, batch.records)).toMatchObject({ index: 0 });
    expect(readPartialResult(returned, batch.records)).toBeUndefined();
  });
});

describe('the settings of the event source mapping', () => {
  const sink = (): undefined => undefined;
  const handlingOf = (options: LambdaOptions): unknown => lambdaHandler(async () => undefined, options).handling;

  test("by default they are Lambda's: 100 records, for ever, one batch at a time, not bisected", () => {
    expect(handlingOf({})).toEqual({ maxBatchSize: 100, concurrency: 1 });
    expect(handlingOf({ maximumRetryAttempts: -1, maximumRecordAgeInSeconds: -1 })).toEqual(handlingOf({}));
    expect(handlingOf({ maximumRetryAttempts: 0 })).toMatchObject({ maxRetryAttempts: 0, bisectBatch: 'never' });
    const { forTenure } = readHandler(
      lambdaHandler(async () => undefined),
      {},
      'auto',
    );
    expect(forTenure({} as never).handling.rules.maxTries).toBe(Infinity);
  });

  test('become those of a handler', () => {
    const options: LambdaOptions = {
      batchSize: 500,
      maximumBatchingWindowInSeconds: 5,
      filterCriteria: { Filters: [] },
      bisectBatchOnFunctionError: true,
      maximumRetryAttempts: 3,
      maximumRecordAgeInSeconds: 60,
      parallelizationFactor: 10,
      onFailure: sink,
    };
    expect(handlingOf(options)).toEqual({
      maxBatchSize: 500,
      batchWindowMs: 5_000,
      filter: { Filters: [] },
      bisectBatch: 'at-once',
      maxRetryAttempts: 3,
      maxRecordAgeMs: 60_000,
      concurrency: 10,
      onFailure: sink,
    });
  });

  test('a tumbling window becomes that of a handler; 0 seconds are none', () => {
    const options = { tumblingWindowInSeconds: 900, tumblingWindowGraceMs: 5_000, maxWindowStateBytes: 1_000 };
    expect(handlingOf(options)).toMatchObject({
      tumblingWindow: { lengthMs: 900_000, graceMs: 5_000, maxStateBytes: 1_000 },
    });
    expect(handlingOf({ tumblingWindowInSeconds: 60 })).toMatchObject({ tumblingWindow: { lengthMs: 60_000 } });
    expect(handlingOf({ ...options, tumblingWindowInSeconds: 0 })).toEqual(handlingOf({}));
  });

  test.each<[unknown, string]>([
    [{ tumblingWindowInSeconds: 901 }, 'tumblingWindowInSeconds: expected a whole number from 0 to 900, got 901'],
    [
      { tumblingWindowInSeconds: 60, parallelizationFactor: 2 },
      'tumblingWindowInSeconds: expected parallelizationFactor 1 beside it',
    ],
    [{ tumblingWindowGraceMs: 60_001 }, 'tumblingWindowGraceMs: expected a whole number from 0 to 60000'],
    [{ maxWindowStateBytes: 0 }, 'maxWindowStateBytes: expected a whole number from 1'],
    [{ batchSize: 10_001 }, 'batchSize: expected a whole number from 1 to 10000, got 10001'],
    [
      { maximumBatchingWindowInSeconds: 301 },
      'maximumBatchingWindowInSeconds: expected a whole number from 0 to 300, got 301',
    ],
    [
      { filterCriteria: { Filters: [{ Pattern: '{}' }] } },
      'filterCriteria.Filters[0].Pattern: pattern: expected at least one field',
    ],
    [{ parallelizationFactor: 11 }, 'parallelizationFactor: expected a whole number from 1 to 10, got 11'],
    [{ maximumRetryAttempts: -2 }, 'maximumRetryAttempts: expected -1 or a whole number from 0 on, got -2'],
    [{ bisectBatchOnFunctionError: 1 }, 'bisectBatchOnFunctionError: expected true or false'],
    [{ functionResponseTypes: ['Report'] }, "functionResponseTypes: expected ['ReportBatchItemFailures']"],
    [{ onFailure: sink }, 'onFailure: expected maximumRetryAttempts or maximumRecordAgeInSeconds beside it'],
    [{ awsRegion: '' }, 'awsRegion: expected a string that is not empty'],
    [{ BatchSize: 5 }, 'BatchSize: expected an option of lambdaHandler, got an unknown one; did you mean batchSize?'],
  ])('%o is refused', (options, message) => {
    expect(() => handlingOf(options as LambdaOptions)).toThrow(message);
  });

  test('what is no function is refused', () => {
    expect(() => lambdaHandler('index.handler' as never)).toThrow('handler: expected a Lambda function');
  });
});

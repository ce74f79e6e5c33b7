import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHashKey, UsageError } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ShardContext, UserRecord } from '../handler.ts';
import { deadLettersOf, parseDeadLetter } from './dead-letter.ts';
import {
  type BucketObject,
  deadLetterBucket,
  deadLetterFile,
  deadLetterQueue,
  deadLetterStream,
  type QueueMessage,
} from './dead-letter-sinks.ts';
import type { Failure, OnFailure } from './handling-options.ts';

const record = (
  text: string,
  sequenceNumber = '49590338271490256608559692538361571095921575989136588898',
): UserRecord => ({
  partitionKey: 'order-1',
  data: Buffer.from(text),
  sequenceNumber,
  subSequenceNumber: 3,
  approximateArrivalTimestamp: new Date(1_700_000_000_123),
  aggregated: true,
});
const failureOf = (...records: UserRecord[]): Failure => ({
  application: 'billing',
  streamName: 'orders',
  shardId: 'shardId-000000000001',
  records,
  error: new TypeError('no such column'),
  attempts: 4,
  limit: 'attempts',
  failedAt: new Date(1_700_000_009_000),
});
const context = {} as ShardContext;
const give = async (sink: OnFailure, failure: Failure): Promise<void> => void (await sink(failure, context));

test('a dead letter is read back into the record that it was, whatever its bytes and keys', () => {
  const records = fc.record({
    partitionKey: fc.string({ minLength: 1, maxLength: 40 }),
    data: fc.uint8Array({ maxLength: 200 }),
    sequenceNumber: fc.bigInt({ min: 0n, max: 2n ** 186n }).map(String),
    subSequenceNumber: fc.nat(1_000),
    approximateArrivalTimestamp: fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }),
    aggregated: fc.boolean(),
    explicitHashKey: fc.option(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(toHashKey), { nil: undefined }),
  });
  fc.assert(
    fc.property(records, ({ explicitHashKey, ...rest }) => {
      const given: UserRecord = { ...rest, ...(explicitHashKey !== undefined && { explicitHashKey }) };
      const [letter] = deadLettersOf(failureOf(given));
      const { record: read } = parseDeadLetter(Buffer.from(JSON.stringify(letter)));
      expect(Buffer.compare(read.data, given.data)).toBe(0);
      expect({ ...read, data: undefined }).toEqual({ ...given, data: undefined });
    }),
  );
});

test('a dead letter says who failed, where, how often and with what', () => {
  expect(deadLettersOf(failureOf(record('bad')))).toEqual([
    expect.objectContaining({
      application: 'billing',
      streamName: 'orders',
      shardId: 'shardId-000000000001',
      error: { name: 'TypeError', message: 'no such column', stack: expect.stringContaining('dead-letter.test') },
      attempts: 4,
      limit: 'attempts',
      failedAt: '2023-11-14T22:13:29.000Z',
      data: 'YmFk',
    }),
  ]);
  const [letter] = deadLettersOf({ ...failureOf(record('bad')), error: 'just words' });
  expect(letter?.error).toEqual({ name: 'string', message: '"just words"' });
});

test.each([undefined, null, 7, { data: '' }])('%j is neither text nor bytes', (given) => {
  expect(() => parseDeadLetter(given as never)).toThrow(
    'deadLetter: expected the JSON of a dead letter, as text or bytes',
  );
});

test.each(['', 'no JSON', '{}', 'null', '{"data":1}'])('%j is no dead letter', (text) => {
  expect(() => parseDeadLetter(text)).toThrow('deadLetter: expected the JSON of a dead letter');
});

test('a line that is cut off says that a crash may have done it; one that never was JSON does not', () => {
  const whole = JSON.stringify(deadLettersOf(failureOf(record('bad')))[0]);
  const text = /^deadLetter: .*, which is no whole JSON: a line of a file that a crash has cut off may be left out/;
  expect(() => parseDeadLetter(whole.slice(0, -20))).toThrow(text);
  expect(() => parseDeadLetter(whole.slice(0, 30))).toThrow(text);
  expect(() => parseDeadLetter('no JSON')).toThrow(/got "no JSON", which is no JSON$/);
  expect(() => parseDeadLetter('{"data":1}')).toThrow(/sequenceNumber, got "{\\"data\\":1}"$/);
});

describe('a file', () => {
  const fresh = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'dead-letters-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    return join(folder, 'letters.ndjson');
  };
  const textsOf = (path: string): string[] =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => Buffer.from(parseDeadLetter(line).record.data).toString());

  test('gets a line a record, in the order in which they were given, those of two sinks too', async () => {
    const path = fresh();
    const [first, second] = [deadLetterFile(path), deadLetterFile(path)];
    await Promise.all([give(first, failureOf(record('a'), record('b'))), give(first, failureOf(record('c')))]);
    await give(second, failureOf(record('d')));
    expect(textsOf(path)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('whose last line a crash cut off gets the next on a line of its own', async () => {
    const path = fresh();
    writeFileSync(path, '{"application":"bil');
    await give(deadLetterFile(path), failureOf(record('a')));
    const [cutOff, next = ''] = readFileSync(path, 'utf8').split('\n');
    expect(cutOff).toBe('{"application":"bil');
    expect(Buffer.from(parseDeadLetter(next).record.data).toString()).toBe('a');
  });

  test('that cannot be written to rejects, and is written to once it can', async () => {
    const path = join(fresh(), 'nowhere', 'letters.ndjson');
    const sink = deadLetterFile(path);
    await expect(give(sink, failureOf(record('a')))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(give(sink, failureOf(record('a')))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a stream', () => {
  test("gets each record's letter under the record's partition key, and one that has none under its number", async () => {
    const puts: { partitionKey: string; data: string }[] = [];
    const sink = deadLetterStream({ put: async (put) => void puts.push(put) });
    await give(sink, failureOf(record('a'), { ...record('b', '77'), partitionKey: '' }));
    expect(puts.map(({ partitionKey }) => partitionKey)).toEqual(['order-1', '77']);
    expect(puts.map(({ data }) => Buffer.from(parseDeadLetter(data).record.data).toString())).toEqual(['a', 'b']);
  });

  test('that refuses one of them rejects when all are settled', async () => {
    let puts = 0;
    const put = async (): Promise<void> => {
      puts += 1;
      if (puts === 1) throw new Error('throttled');
    };
    await expect(give(deadLetterStream({ put }), failureOf(record('a'), record('b')))).rejects.toThrow('throttled');
    expect(puts).toBe(2);
  });
});

describe('a queue', () => {
  const queueUrl = 'https://sqs.eu-west-1.amazonaws.com/1/dead';

  test('gets a message a record; one of FIFO its group and an id that is the same for the same record', async () => {
    const sent: QueueMessage[] = [];
    const send = async (message: QueueMessage): Promise<void> => void sent.push(message);
    await give(deadLetterQueue({ send, queueUrl }), failureOf(record('a')));
    expect(sent).toEqual([{ QueueUrl: queueUrl, MessageBody: expect.stringContaining('"data":"YQ=="') }]);
    const fifo = deadLetterQueue({ send, queueUrl: `${queueUrl}.fifo` });
    for (const text of ['a', 'a']) await give(fifo, failureOf(record(text)));
    await give(fifo, failureOf(record('a', '77')));
    const ids = sent
      .slice(1)
      .map(({ MessageGroupId, MessageDeduplicationId }) => [MessageGroupId, MessageDeduplicationId]);
    expect(ids[0]).toEqual(['shardId-000000000001', expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]?.[1]).not.toBe(ids[0]?.[1]);
  });

  test('is not given what is too large for it: that goes elsewhere, or is refused with the sizes', async () => {
    const sent: QueueMessage[] = [];
    const large: Failure[] = [];
    const send = async (message: QueueMessage): Promise<void> => void sent.push(message);
    const failure = failureOf(record('small'), record('x'.repeat(4_000)), record('small too'));
    const options = { send, queueUrl, maxMessageBytes: 4_000 };
    await give(deadLetterQueue({ ...options, tooLarge: (each) => void large.push(each) }), failure);
    expect(sent).toHaveLength(2);
    expect(large.map(({ records }) => records)).toEqual([[failure.records[1]]]);
    await expect(give(deadLetterQueue(options), failure)).rejects.toThrow(
      /:3 makes a message of \d{4} bytes, and 4000 are/,
    );
  });
});

test("a bucket gets an object a record, whose key is the record's place", async () => {
  const objects: BucketObject[] = [];
  const send = async (object: BucketObject): Promise<void> => void objects.push(object);
  await give(deadLetterBucket({ send, bucket: 'dead', prefix: 'letters/' }), failureOf(record('a', '77')));
  expect(objects).toMatchObject([
    { Bucket: 'dead', Key: 'letters/billing/orders/shardId-000000000001/77-3.json', ContentType: 'application/json' },
  ]);
  expect(parseDeadLetter(objects[0]?.Body ?? '').record.data).toEqual(Buffer.from('a'));
});

test('what cannot send is refused when the sink is made', () => {
  expect(() => deadLetterFile('')).toThrow('path: expected');
  expect(() => deadLetterFile(undefined as never)).toThrow("path: expected a file's path, got undefined");
  expect(() => deadLetterStream(undefined as never)).toThrow('producer: expected a producer: put, got undefined');
  expect(() => deadLetterStream({} as never)).toThrow('producer: expected');
  expect(() => deadLetterQueue({ queueUrl: 'q' } as never)).toThrow('send: expected');
  expect(() => deadLetterQueue({ send: async () => undefined, queueUrl: '' })).toThrow('queueUrl: expected');
  expect(() => deadLetterBucket({ send: async () => undefined, bucket: '' })).toThrow('bucket: expected');
  const prefixed = { send: async () => undefined, bucket: 'b', prefix: 7 as never };
  expect(() => deadLetterBucket(prefixed)).toThrow('prefix: expected text, got 7');
});

test.each([
  ['deadLetterQueue', deadLetterQueue],
  ['deadLetterBucket', deadLetterBucket],
])('%s says what it was given in the place of its options, and which of them it does not know', (name, make) => {
  for (const [given, got] of [
    [undefined, 'undefined'],
    [null, 'null'],
    ['https://queue', '"https://queue"'],
  ])
    expect(() => make(given as never)).toThrow(new UsageError('options', 'an object', `${got}`));
  expect(() => make({ send: async () => undefined, url: 'q' } as never)).toThrow(
    `url: expected an option of ${name}, got an unknown one; known are send`,
  );
});

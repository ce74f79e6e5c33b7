// Reading one shard by SubscribeToShard from the local Kinesis over HTTP/2: where it begins, how it goes on from one subscription
// to the next whatever ended the first, how a slow reader holds back the server, and the shard's end. Time is a clock that the
// test moves, the server's and the source's in one.
import {
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  type KinesisClient,
  ListStreamConsumersCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import {
  AT_TIMESTAMP,
  createFanOutClient,
  createKinesisClient,
  type ExtendedSequenceNumber,
  encodeAggregatedRecord,
  evenRanges,
  type HashKeyRange,
  LATEST,
  MAX_HASH_KEY,
  parseCheckpoint,
  parseStream,
  silentLogger,
  TRIM_HORIZON,
} from '@shardline/common';
import { type FaultRule, type LocalKinesis, ManualClock, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FanOutSource, type FanOutSourceOptions } from '../src/retrieval/fan-out.ts';
import type { SourceRead } from '../src/retrieval/source.ts';
import { StreamConsumer, type StreamConsumerOptions } from '../src/retrieval/stream-consumer.ts';

const SHARD = 'shardId-000000000000';
const SILENCE_MS = 15_000;
/** A second subscription of one consumer to one shard is refused before that. */
const SUBSCRIBE_INTERVAL_MS = 5_000;
const stream = parseStream('orders');
const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/orders';
const never = new AbortController().signal;

let clock: ManualClock;
let local: LocalKinesis;
let client: KinesisClient;
let fanOut: KinesisClient;
let consumer: StreamConsumer;
const sources: FanOutSource[] = [];

beforeEach(async () => {
  clock = new ManualClock();
  local = await startLocalKinesis({ clock, streams: [{ name: 'orders', shardCount: 1 }], registerConsumerMs: 0 });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  fanOut = createFanOutClient({ ...local.clientConfig, maxAttempts: 1 });
  consumer = consumerOf();
});
afterEach(async () => {
  for (const source of sources.splice(0)) source.close();
  consumer.close();
  client.destroy();
  fanOut.destroy();
  await local.close();
});

function consumerOf(options: Partial<StreamConsumerOptions> = {}): StreamConsumer {
  return new StreamConsumer({
    client,
    stream,
    consumerName: 'billing',
    consumerArn: undefined,
    requestTimeoutMs: 30_000,
    clock,
    logger: silentLogger,
    ...options,
  });
}

function sourceOf(options: Partial<FanOutSourceOptions> = {}): FanOutSource {
  const source = new FanOutSource({
    client: fanOut,
    stream,
    consumer,
    shardId: SHARD,
    hashKeyRange: evenRanges(1)[0] as HashKeyRange,
    timestamp: undefined,
    maxRecordsPerBatch: 10_000,
    requestTimeoutMs: 30_000,
    silenceTimeoutMs: SILENCE_MS,
    clock,
    ...options,
  });
  sources.push(source);
  return source;
}

/** While it is waited for, time goes on: a new subscription waits for its turn. */
async function inTime<T>(waiting: Promise<T>): Promise<T> {
  const turn = setInterval(() => clock.advance(1_000), 1);
  try {
    return await waiting;
  } finally {
    clearInterval(turn);
  }
}

/** Reads until there are `count` user records; what failed on the way is noted, and time goes on after it. */
async function readTexts(
  source: FanOutSource,
  after: ExtendedSequenceNumber,
  count: number,
): Promise<{ texts: string[]; last: ExtendedSequenceNumber; failures: string[] }> {
  const texts: string[] = [];
  const failures: string[] = [];
  let last = after;
  for (let tries = 0; texts.length < count; tries += 1) {
    if (tries > 100)
      throw new Error(`${texts.length} of ${count} records after ${tries} tries: ${failures.join('; ')}`);
    try {
      const read = await inTime(source.fetch(last, never));
      texts.push(...textsOf(read));
      last = read.batch?.last ?? last;
    } catch (error) {
      failures.push((error as { code: string }).code);
    }
  }
  return { texts, last, failures };
}

async function put(data: Uint8Array | string, partitionKey = 'key'): Promise<ExtendedSequenceNumber> {
  const command = new PutRecordCommand({ StreamName: 'orders', PartitionKey: partitionKey, Data: Buffer.from(data) });
  const { SequenceNumber } = await client.send(command);
  return parseCheckpoint(SequenceNumber as string);
}

const aggregate = (...texts: string[]): Uint8Array =>
  encodeAggregatedRecord(texts.map((text) => ({ partitionKey: text, data: Buffer.from(text) })));

const textsOf = (read: SourceRead): string[] =>
  (read.batch?.records ?? []).map((record) => Buffer.from(record.data).toString());

describe('where reading begins (KCL FanOutRecordsPublisher, IteratorBuilder)', () => {
  it('TRIM_HORIZON: with the oldest record', async () => {
    await put('a');
    const last = await put('b');
    expect(await readTexts(sourceOf(), TRIM_HORIZON, 2)).toEqual({ texts: ['a', 'b'], last, failures: [] });
  });

  it('LATEST: with what comes after the subscription', async () => {
    await put('a');
    const source = sourceOf();
    expect((await source.fetch(LATEST, never)).batch).toBeUndefined();
    await put('b');
    expect((await readTexts(source, LATEST, 1)).texts).toEqual(['b']);
  });

  it('AT_TIMESTAMP: with the first record of that time or later', async () => {
    await put('a');
    clock.advance(10_000);
    const timestamp = new Date(clock.wallNow());
    await put('b');
    expect((await readTexts(sourceOf({ timestamp }), AT_TIMESTAMP, 1)).texts).toEqual(['b']);
  });

  it('AT_TIMESTAMP: of a time that is still to come the refusal names the option', async () => {
    const timestamp = new Date(clock.wallNow() + 60_000);
    const named = `is to begin at ${timestamp.toISOString()}, as initialPosition (of a replay: from) says`;
    await expect(sourceOf({ timestamp }).fetch(AT_TIMESTAMP, never)).rejects.toThrow(named);
  });

  it('a number and a sub-sequence number: with the rest of the aggregate', async () => {
    const { sequenceNumber } = await put(aggregate('a', 'b', 'c', 'd'));
    await put('e');
    const { texts } = await readTexts(sourceOf(), { sequenceNumber, subSequenceNumber: 1 }, 3);
    expect(texts).toEqual(['c', 'd', 'e']);
  });

  it('a number whose record the stream has dropped: with the oldest that is left, and the bounds of the gap', async () => {
    const handled = await put('a');
    clock.advance(25 * 3_600_000);
    const next = await put('c');
    const read = await sourceOf().fetch(handled, never);
    expect(textsOf(read)).toEqual(['c']);
    expect(read.batch?.gap).toEqual({ cause: 'away', after: handled.sequenceNumber, before: next.sequenceNumber });
  });

  it('a number behind which no record is left of a shard that was closed: with its end, and the gap', async () => {
    const handled = await put('a');
    clock.advance(2 * 3_600_000);
    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    clock.advance(23 * 3_600_000);
    const source = sourceOf();
    let read = await inTime(source.fetch(handled, never));
    while (!read.atShardEnd) read = await inTime(source.fetch(handled, never));
    expect(read).toMatchObject({
      batch: undefined,
      gap: { cause: 'away', after: handled.sequenceNumber, before: undefined },
    });
    expect(await inTime(source.fetch(handled, never))).not.toHaveProperty('gap');
  });
});

describe('from one subscription to the next', () => {
  it('a subscription that ends after five minutes is followed by another, without a gap or a repeat', async () => {
    const source = sourceOf();
    await put('a');
    let { last } = await readTexts(source, TRIM_HORIZON, 1);
    for (const text of ['b', 'c']) {
      const idle = source.fetch(last, never);
      clock.advance(301_000);
      await idle.catch(() => undefined);
      await put(text);
      const read = await readTexts(source, last, 1);
      expect(read.texts).toEqual([text]);
      last = read.last;
    }
  });

  const faults: [string, FaultRule][] = [
    ['a connection cut in the midst of an event', { kind: 'cutEvents', afterBytes: 300, count: 4 }],
    ['an event stream that ends early', { kind: 'endEvents', afterEvents: 1, count: 4 }],
    ['a broken checksum', { kind: 'corruptEvents', afterEvents: 1, count: 4 }],
    [
      'an exception in the event stream',
      { kind: 'failEvents', type: 'InternalFailureException', afterEvents: 1, count: 4 },
    ],
    ['a connection that goes silent, half open', { kind: 'stallEvents', afterEvents: 1, count: 4 }],
    ['a subscription refused', { kind: 'error', type: 'InternalFailure', operation: 'SubscribeToShard', count: 4 }],
    ['a subscription whose connection breaks', { kind: 'dropConnection', operation: 'SubscribeToShard', count: 4 }],
  ];
  it.each(faults)('%s costs no record and repeats none', async (_what, rule) => {
    local.faults.add(rule);
    const source = sourceOf();
    const expected: string[] = [];
    const got: string[] = [];
    let last: ExtendedSequenceNumber = TRIM_HORIZON;
    for (let round = 0; round < 8; round += 1) {
      for (let n = 0; n < 3; n += 1) {
        expected.push(`${round}.${n}`);
        await put(n === 1 ? aggregate(`${round}.${n}`) : `${round}.${n}`);
      }
      const read = await readTexts(source, last, 3);
      got.push(...read.texts);
      last = read.last;
    }
    expect(got).toEqual(expected);
    expect(local.faults.list()[0]?.applied).toBeGreaterThan(0);
  });

  it.each<[string, FaultRule]>([
    ['ends before its first event', { kind: 'endEvents', afterEvents: 0, count: 2 }],
    ['breaks in the midst of its first event', { kind: 'cutEvents', afterBytes: 300, count: 2 }],
  ])('a subscription that %s has failed: whoever would try again for ever is told', async (_what, rule) => {
    const text = 'x'.repeat(1_000);
    await put(text);
    local.faults.add(rule);
    const source = sourceOf();
    for (const _ of [1, 2]) {
      const error = await inTime(source.fetch(TRIM_HORIZON, never)).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'REQUEST_FAILED', retryable: true, action: 'kinesis:SubscribeToShard' });
      expect((error as Error).message).toContain('the subscription ended before its first event');
    }
    expect((await readTexts(source, TRIM_HORIZON, 1)).texts).toEqual([text]);
  });

  it('of LATEST that broke before its first event, begins where LATEST was', async () => {
    const cut = local.faults.add({ kind: 'cutEvents', afterBytes: 0, count: 1 });
    const source = sourceOf();
    await source.fetch(LATEST, never).catch(() => undefined);
    expect(cut.applied).toBe(1);
    clock.advance(1);
    await put('b');
    expect((await readTexts(source, LATEST, 1)).texts).toEqual(['b']);
  });

  it('silence ends a subscription after `silenceTimeoutMs`, with a timeout that can be retried', async () => {
    local.faults.add({ kind: 'stallEvents', afterEvents: 0, count: 1 });
    const reading = expect(sourceOf().fetch(TRIM_HORIZON, never)).rejects.toMatchObject({
      code: 'TIMEOUT',
      retryable: true,
    });
    await inTime(reading);
  });

  it('a shard that another connection has just subscribed to is not read yet: the error can be retried', async () => {
    const command = { ShardId: SHARD, StartingPosition: { Type: 'TRIM_HORIZON' } } as const;
    const controller = new AbortController();
    const ConsumerARN = await consumer.arn();
    await fanOut.send(new SubscribeToShardCommand({ ConsumerARN, ...command }), { abortSignal: controller.signal });
    const source = sourceOf();
    const refused = { code: 'SHARD_IN_USE', retryable: true, resource: ConsumerARN };
    await expect(source.fetch(TRIM_HORIZON, never)).rejects.toMatchObject(refused);
    clock.advance(SUBSCRIBE_INTERVAL_MS);
    await put('a');
    expect((await readTexts(source, TRIM_HORIZON, 1)).texts).toEqual(['a']);
    controller.abort();
  });

  it('ends at once when its tenure is aborted, and when it is closed', async () => {
    const controller = new AbortController();
    const source = sourceOf();
    await source.fetch(TRIM_HORIZON, controller.signal);
    const aborted = expect(source.fetch(TRIM_HORIZON, controller.signal)).rejects.toThrow('lost');
    controller.abort(new Error('lost'));
    await aborted;
    source.close();
    await expect(source.fetch(TRIM_HORIZON, never)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

it('a reader that does not come back holds back the server: it is pushed no more than the windows hold', async () => {
  const data = Buffer.alloc(100_000, 'x');
  for (let n = 0; n < 20; n += 1) {
    const Records = Array.from({ length: 10 }, (_, index) => ({ PartitionKey: `${index}`, Data: data }));
    await client.send(new PutRecordsCommand({ StreamName: 'orders', Records }));
    clock.advance(1_000);
  }
  const source = sourceOf();
  const before = process.memoryUsage();
  const first = await source.fetch(TRIM_HORIZON, never);
  // Twenty megabytes wait; time enough to push them goes by, turn by turn.
  for (let turn = 0; turn < 200; turn += 1) {
    clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { arrayBuffers } = process.memoryUsage();
  expect(arrayBuffers - before.arrayBuffers).toBeLessThan(8e6);
  let count = first.batch?.records.length ?? 0;
  let last = first.batch?.last ?? TRIM_HORIZON;
  while (count < 200) {
    const read = await readTexts(source, last, 1);
    count += read.texts.length;
    last = read.last;
  }
  expect(count).toBe(200);
});

describe("the shard's end", () => {
  it('comes with the children, after the last record, and stays', async () => {
    await put('a');
    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    const source = sourceOf();
    const { last } = await readTexts(source, TRIM_HORIZON, 1);
    let read = await inTime(source.fetch(last, never));
    while (!read.atShardEnd) read = await inTime(source.fetch(last, never));
    const [low, high] = evenRanges(2);
    expect(read).toEqual({
      batch: undefined,
      atShardEnd: true,
      childShards: [
        { shardId: 'shardId-000000000001', parentShardIds: [SHARD], hashKeyRange: low },
        { shardId: 'shardId-000000000002', parentShardIds: [SHARD], hashKeyRange: high },
      ],
      millisBehindLatest: 0,
    });
    expect(await inTime(source.fetch(last, never))).toEqual(read);
    // A tenure that begins at the end sees it as well.
    clock.advance(SUBSCRIBE_INTERVAL_MS);
    const later = sourceOf();
    let again = await inTime(later.fetch(last, never));
    while (!again.atShardEnd) again = await inTime(later.fetch(last, never));
    expect(again).toEqual(read);
  });

  it('is not taken for reached when somebody deregistered the consumer: it is registered again, and nothing is lost', async () => {
    const source = sourceOf();
    await put('a');
    const { last } = await readTexts(source, TRIM_HORIZON, 1);
    await client.send(new DeregisterStreamConsumerCommand({ StreamARN, ConsumerName: 'billing' }));
    clock.advance(1_000);
    await put('b');
    const read = await readTexts(source, last, 1);
    expect(read.texts).toEqual(['b']);
    const { Consumers } = await client.send(new ListStreamConsumersCommand({ StreamARN }));
    expect(Consumers).toHaveLength(1);
  });
});

describe('the registered consumer (KCL FanOutConsumerRegistration)', () => {
  const slowToRegister = (): Promise<LocalKinesis> =>
    startLocalKinesis({ clock, streams: [{ name: 'orders', shardCount: 1 }], registerConsumerMs: 3_000 });

  it('is registered when there is none, found when there is one, and waited for until it is ACTIVE', async () => {
    await using slow = await slowToRegister();
    const own = createKinesisClient({ ...slow.clientConfig, maxAttempts: 1 });
    const first = consumerOf({ client: own });
    const arn = await inTime(first.arn());
    const { ConsumerDescription } = await own.send(new DescribeStreamConsumerCommand({ ConsumerARN: arn }));
    expect(ConsumerDescription).toMatchObject({ ConsumerName: 'billing', ConsumerStatus: 'ACTIVE' });
    expect(await consumerOf({ client: own }).arn()).toBe(arn);
    expect(await consumerOf({ client: own, consumerArn: arn }).arn()).toBe(arn);
    own.destroy();
  });

  it('counts as gone while it is DELETING: whose subscription ended with it must not take that for the end of the shard', async () => {
    await using slow = await slowToRegister();
    const own = createKinesisClient({ ...slow.clientConfig, maxAttempts: 1 });
    const first = consumerOf({ client: own });
    const arn = await inTime(first.arn());
    expect(await first.check(arn)).toBe(true);
    await own.send(new DeregisterStreamConsumerCommand({ ConsumerARN: arn }));
    expect(await first.check(arn)).toBe(false);
    const another = await inTime(first.arn());
    expect(another).not.toBe(arn);
    // Who subscribed by the first one hears of it only now.
    expect(await first.check(arn)).toBe(false);
    expect(first.activeArn).toBe(another);
    own.destroy();
  });

  it('of two workers that register it at once, one is enough', async () => {
    const [one, other] = await Promise.all([consumerOf().arn(), consumerOf().arn()]);
    expect(one).toBe(other);
  });

  it('a `consumerArn` that is not there is told of, not registered', async () => {
    const consumerArn = `${StreamARN}/consumer/absent:1700000000`;
    const error = { code: 'STREAM_NOT_FOUND', retryable: false, message: expect.stringContaining(consumerArn) };
    await expect(consumerOf({ consumerArn }).arn()).rejects.toMatchObject(error);
  });

  it('the twenty-first of a stream is told of with what to do', async () => {
    for (let n = 0; n < 20; n += 1) {
      await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: `other-${n}` }));
      clock.advance(1_000);
    }
    const message = expect.stringContaining('deregister one that nobody reads by, ask AWS for more');
    const error = { code: 'TOO_MANY_CONSUMERS', retryable: true, message };
    await expect(consumer.arn()).rejects.toMatchObject(error);
  });

  it('is deregistered on request, and it does no harm if it is gone already', async () => {
    await consumer.arn();
    await consumer.deregister();
    await consumer.deregister();
    const { Consumers } = await client.send(new ListStreamConsumersCommand({ StreamARN }));
    expect((Consumers ?? []).filter(({ ConsumerStatus }) => ConsumerStatus !== 'DELETING')).toEqual([]);
  });
});

// SubscribeToShard, sentence by sentence. How it is pushed, to slow readers and to those that go away, is in ../subscribe.test.ts; dry
// runs are in dry-run.test.ts, calls a second in control-limits.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { beforeEach, expect, test } from 'vitest';
import { expectRefusal, first, hourMs, middle, StreamARN, second, specScene, textsOf } from './spec-scene.ts';

const scene = specScene();
let ConsumerARN: string;

beforeEach(async () => {
  ConsumerARN = await register('reader');
});

async function register(ConsumerName: string): Promise<string> {
  const command = new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName });
  return (await scene.client.send(command)).Consumer?.ConsumerARN ?? '';
}

interface Events {
  /** Undefined at the end. */
  next(): Promise<kinesis.SubscribeToShardEvent | undefined>;
  /** The texts of the next event that holds records. */
  texts(): Promise<string[]>;
}

async function subscribe(
  StartingPosition: kinesis.StartingPosition = { Type: 'TRIM_HORIZON' },
  input: Partial<kinesis.SubscribeToShardCommandInput> = {},
): Promise<Events> {
  const command = new kinesis.SubscribeToShardCommand({ ConsumerARN, ShardId: first, StartingPosition, ...input });
  const { EventStream = [] } = await scene.client.send(command);
  const iterator = (EventStream as AsyncIterable<kinesis.SubscribeToShardEventStream>)[Symbol.asyncIterator]();
  const next = async (): Promise<kinesis.SubscribeToShardEvent | undefined> =>
    (await iterator.next()).value?.SubscribeToShardEvent;
  const texts = async (): Promise<string[]> => {
    for (;;) {
      const event = await next();
      if (event === undefined) throw new Error('the subscription ended');
      if (event.Records?.length) return textsOf(event.Records);
    }
  };
  return { next, texts };
}

test('"After the connection is successfully established, Kinesis Data Streams pushes records from the shard to the consumer over this connection", of that shard alone', async () => {
  const events = await subscribe();
  await scene.put('of the other one', middle);
  await scene.put('a');
  expect(await events.texts()).toEqual(['a']);
  await scene.put('b');
  expect(await events.texts()).toEqual(['b']);
});

test('"your consumer starts receiving events of type SubscribeToShardEvent over the HTTP/2 connection for up to 5 minutes, after which time you need to call SubscribeToShard again to renew the subscription if you want to continue to receive records"', async () => {
  const events = await subscribe();
  let last = await events.next();
  for (let seconds = 5; seconds < 300; seconds += 5) {
    scene.clock.advance(5000);
    last = await events.next();
  }
  expect(last?.ContinuationSequenceNumber).toMatch(/^\d+$/);
  scene.clock.advance(5000);
  expect(await events.next()).toBeUndefined();
  await scene.put('after the end');
  const SequenceNumber = last?.ContinuationSequenceNumber;
  expect(await (await subscribe({ Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber })).texts()).toEqual(['after the end']);
});

test('"If you call SubscribeToShard again with the same ConsumerARN and ShardId within 5 seconds of a successful call, you\'ll get a ResourceInUseException"', async () => {
  await subscribe();
  scene.clock.advance(4999);
  await expectRefusal(
    subscribe(),
    kinesis.ResourceInUseException,
    `Another active subscription exists for this consumer: reader on ${first}`,
  );
  await subscribe(undefined, { ShardId: second });
  await subscribe(undefined, { ConsumerARN: await register('another') });
});

test('"If you call SubscribeToShard 5 seconds or more after a successful call, the second call takes over the subscription and the previous connection expires or fails with a ResourceInUseException"', async () => {
  const one = await subscribe();
  await one.next();
  scene.clock.advance(5000);
  const two = await subscribe();
  // What was sent before the end may come first.
  const untilEnd = async (): Promise<void> => {
    while ((await one.next()) !== undefined);
  };
  await expect(untilEnd()).rejects.toThrow(kinesis.ResourceInUseException);
  await scene.put('a');
  expect(await two.texts()).toEqual(['a']);
});

test('AT_SEQUENCE_NUMBER: "from the position denoted by the sequence number"; AFTER_SEQUENCE_NUMBER: "right after the position denoted by the sequence number"', async () => {
  await scene.put('a');
  const { SequenceNumber } = await scene.put('b');
  await scene.put('c');
  expect(await (await subscribe({ Type: 'AT_SEQUENCE_NUMBER', SequenceNumber })).texts()).toEqual(['b', 'c']);
  scene.clock.advance(5000);
  expect(await (await subscribe({ Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber })).texts()).toEqual(['c']);
});

test('AT_TIMESTAMP: "If a record with this exact time stamp does not exist, records will be streamed from the next (later) record"; older than the trim horizon, "from the oldest untrimmed data record"', async () => {
  await scene.put('a');
  scene.clock.advance(1000);
  await scene.put('b');
  const at = (ms: number): Promise<Events> => subscribe({ Type: 'AT_TIMESTAMP', Timestamp: new Date(ms) });
  expect(await (await at(scene.clock.wallNow() - 999)).texts()).toEqual(['b']);
  scene.clock.advance(24 * hourMs);
  expect(await (await at(scene.clock.wallNow() - 48 * hourMs)).texts()).toEqual(['b']);
});

test('TRIM_HORIZON: "the last untrimmed record in the shard, which is the oldest data record"; LATEST: "just after the most recent record in the shard"', async () => {
  await scene.put('a');
  const oldest = await subscribe({ Type: 'TRIM_HORIZON' });
  const latest = await subscribe({ Type: 'LATEST' }, { ConsumerARN: await register('another') });
  expect(await oldest.texts()).toEqual(['a']);
  await scene.put('b');
  expect(await latest.texts()).toEqual(['b']);
});

test('ContinuationSequenceNumber: "Use this as SequenceNumber in the next call to SubscribeToShard, with StartingPosition set to AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER"; "it captures your shard progress even when no data is written to the shard"', async () => {
  await scene.put('a');
  let events = await subscribe();
  let last = await events.next();
  expect(textsOf(last?.Records)).toEqual(['a']);
  for (const Type of ['AT_SEQUENCE_NUMBER', 'AFTER_SEQUENCE_NUMBER'] as const) {
    scene.clock.advance(5000);
    events = await subscribe({ Type, SequenceNumber: last?.ContinuationSequenceNumber });
    last = await events.next();
    expect(last?.Records).toEqual([]);
    await scene.put(Type);
    last = await events.next();
    expect(textsOf(last?.Records)).toEqual([Type]);
  }
});

test('MillisBehindLatest: "how far behind current time the consumer is. A value of zero indicates that record processing is caught up"', async () => {
  const half = 'x'.repeat(512 * 1024 - 1);
  await scene.put(half);
  scene.clock.advance(1000);
  await scene.put(half);
  const events = await subscribe();
  expect((await events.next())?.MillisBehindLatest).toBe(1000);
  expect((await events.next())?.MillisBehindLatest).toBe(0);
});

test('ChildShards: "The list of the child shards of the current shard, returned only at the end of the current shard"', async () => {
  const events = await subscribe();
  expect((await events.next())?.ChildShards).toBeUndefined();
  await scene.put('a');
  expect((await events.next())?.ChildShards).toBeUndefined();
  await scene.merge();
  const last = await events.next();
  expect([last?.Records, last?.ContinuationSequenceNumber]).toEqual([[], undefined]);
  expect(last?.ChildShards).toEqual([
    {
      ShardId: 'shardId-000000000002',
      ParentShards: [first, second],
      HashKeyRange: { StartingHashKey: '0', EndingHashKey: String(2n ** 128n - 1n) },
    },
  ]);
  expect(await events.next()).toBeUndefined();
});

test('RegisterStreamConsumer: "at a rate of up to 2 MiB per second for every shard you subscribe to. This rate is unaffected by the total number of consumers that read from the same stream"', async () => {
  const mebibyte = 1024 * 1024;
  for (let nth = 0; nth < 4; nth++) {
    await scene.put('x'.repeat(mebibyte - 1));
    scene.clock.advance(1000);
  }
  const arns = [ConsumerARN, await register('another')];
  for (const arn of arns) {
    const events = await subscribe(undefined, { ConsumerARN: arn });
    // Two are there at once, and one more into debt.
    for (let nth = 0; nth < 3; nth++) expect(await events.texts()).toHaveLength(1);
  }
});

test('"Before you call this operation, call RegisterStreamConsumer"; ResourceNotFoundException: "The requested resource could not be found"', async () => {
  await expectRefusal(
    subscribe(undefined, { ConsumerARN: `${StreamARN}/consumer/nobody:1700000000` }),
    kinesis.ResourceNotFoundException,
    'Consumer nobody, account 000000000000 not found.',
  );
  await expectRefusal(subscribe(undefined, { ShardId: 'shardId-000000000099' }), kinesis.ResourceNotFoundException);
});

test('StartingPosition: InvalidArgumentException, "A specified parameter exceeds its restrictions, is not supported, or can\'t be used"', async () => {
  const { SequenceNumber } = await scene.put('x', middle);
  for (const position of [
    { Type: 'AT_SEQUENCE_NUMBER' },
    { Type: 'AT_TIMESTAMP' },
    { Type: 'AT_SEQUENCE_NUMBER', SequenceNumber },
  ] as const) {
    await expectRefusal(subscribe(position), kinesis.InvalidArgumentException);
  }
});

// SubscribeToShard as a push, read by the AWS SDK for JavaScript. Time is the test's own: what takes five minutes on AWS takes
// none here, and what arrives does so because of a put, not of a tick.
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:http2';
import {
  KinesisClient,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  SplitShardCommand,
  type StartingPosition,
  SubscribeToShardCommand,
  type SubscribeToShardEvent,
  type SubscribeToShardEventStream,
} from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const first = 'shardId-000000000000';
const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;

let clock: ManualClock;
let local: LocalKinesis;
let client: KinesisClient;
let consumer: string;

beforeEach(async () => {
  clock = new ManualClock();
  local = await startLocalKinesis({ clock, streams: [{ name: StreamName, shardCount: 1 }], reshardMs: 50 });
  client = new KinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' }));
  consumer = Consumer?.ConsumerARN ?? '';
});
afterEach(async () => {
  client.destroy();
  await local.close();
});

/** The events of a subscription, one at a time. */
class Events {
  readonly #iterator: AsyncIterator<SubscribeToShardEventStream>;

  constructor(stream: AsyncIterable<SubscribeToShardEventStream>) {
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  /** The next event; undefined at the end. */
  async next(): Promise<SubscribeToShardEvent | undefined> {
    const { value, done } = await this.#iterator.next();
    return done ? undefined : (value as SubscribeToShardEventStream).SubscribeToShardEvent;
  }

  /** The texts of the next event that holds records. */
  async texts(): Promise<string[]> {
    for (;;) {
      const event = await this.next();
      if (event === undefined) throw new Error('the subscription ended');
      const texts = (event.Records ?? []).map(({ Data }) => Buffer.from(Data ?? []).toString());
      if (texts.length > 0) return texts;
    }
  }
}

async function subscribe(
  position: StartingPosition,
  ShardId: string = first,
  by: KinesisClient = client,
): Promise<Events> {
  const command = new SubscribeToShardCommand({ ConsumerARN: consumer, ShardId, StartingPosition: position });
  const { EventStream } = await by.send(command);
  if (EventStream === undefined) throw new Error('no event stream');
  return new Events(EventStream);
}

async function put(...texts: string[]): Promise<void> {
  const Records = texts.map((text) => ({ PartitionKey: 'k', Data: Buffer.from(text) }));
  await client.send(new PutRecordsCommand({ StreamName, Records }));
}

test.each(['HTTP/2', 'HTTP/1.1'])('a put arrives while time stands still, over %s', async (protocol) => {
  const reader = protocol === 'HTTP/2' ? client : createKinesisClient(local.clientConfig);
  await put('before');
  const events = await subscribe({ Type: 'LATEST' }, first, reader);
  expect(await events.next()).toMatchObject({ Records: [], MillisBehindLatest: 0 });
  await put('a', 'b');
  expect(await events.texts()).toEqual(['a', 'b']);
  await put('c');
  expect(await events.texts()).toEqual(['c']);
  reader.destroy();
});

test('a split ends the subscription with the rest, ChildShards and no ContinuationSequenceNumber; the children go on', async () => {
  const events = await subscribe({ Type: 'TRIM_HORIZON' });
  await put('a');
  expect(await events.texts()).toEqual(['a']);
  await client.send(new SplitShardCommand({ StreamName, ShardToSplit: first, NewStartingHashKey: String(2n ** 127n) }));
  await put('b');
  expect(await events.texts()).toEqual(['b']);
  // The end comes when the split is due, without anybody asking.
  clock.advance(50);
  const last = await events.next();
  expect(last?.ChildShards?.map(({ ShardId, ParentShards }) => [ShardId, ParentShards])).toEqual([
    ['shardId-000000000001', [first]],
    ['shardId-000000000002', [first]],
  ]);
  expect([last?.Records, last?.ContinuationSequenceNumber]).toEqual([[], undefined]);
  expect(await events.next()).toBeUndefined();
  await put('c');
  const children = ['shardId-000000000001', 'shardId-000000000002'];
  const { shards } = local.model.listShards({ streamName: StreamName }, clock.wallNow());
  const holder = shards.find(({ id, log }) => children.includes(id) && log.sizeBytes > 0)?.id;
  expect(await (await subscribe({ Type: 'TRIM_HORIZON' }, holder)).texts()).toEqual(['c']);
});

test('an empty event every 5 seconds, and the end after 5 minutes; ContinuationSequenceNumber reads on', async () => {
  const events = await subscribe({ Type: 'TRIM_HORIZON' });
  await events.next();
  await put('a');
  let last = await events.next();
  for (let seconds = 5; seconds < 300; seconds += 5) {
    clock.advance(5_000);
    last = await events.next();
    expect(last).toMatchObject({ Records: [], MillisBehindLatest: 0 });
  }
  clock.advance(5_000);
  expect(await events.next()).toBeUndefined();
  await put('b');
  const SequenceNumber = last?.ContinuationSequenceNumber;
  expect(await (await subscribe({ Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber })).texts()).toEqual(['b']);
});

test('a second subscription within 5 seconds is refused before the stream, a later one takes over', async () => {
  const one = await subscribe({ Type: 'TRIM_HORIZON' });
  await one.next();
  await expect(subscribe({ Type: 'TRIM_HORIZON' })).rejects.toThrow(ResourceInUseException);
  clock.advance(5_000);
  await one.next();
  const two = await subscribe({ Type: 'TRIM_HORIZON' });
  await expect(one.next()).rejects.toThrow(ResourceInUseException);
  await put('a');
  expect(await two.texts()).toEqual(['a']);
});

test('reset ends the subscriptions and brings the initial streams back empty', async () => {
  await put('old');
  const events = await subscribe({ Type: 'LATEST' });
  await events.next();
  local.reset();
  await expect(events.next()).rejects.toThrow(ResourceNotFoundException);
  await expect(subscribe({ Type: 'LATEST' })).rejects.toThrow(ResourceNotFoundException);
  expect(local.model.stream(StreamName, clock.wallNow()).shard(first)?.log.sizeBytes).toBe(0);
});

test('a consumer gets 2 MiB a second of a shard, the rest when its time has come', async () => {
  const half = 'x'.repeat(512 * 1024 - 1);
  for (let i = 0; i < 12; i++) {
    await put(half);
    clock.advance(1_000);
  }
  const events = await subscribe({ Type: 'TRIM_HORIZON' });
  let got = 0;
  // 2 MiB at once and one event into debt; then one event a quarter second.
  for (; got < 5; got++) expect(await events.texts()).toEqual([half]);
  const shard = local.model.stream(StreamName, clock.wallNow()).shard(first);
  expect(shard?.log.nextCounter).toBe(13);
  for (; got < 12; got++) {
    clock.advance(250);
    expect(await events.texts()).toEqual([half]);
  }
});

test('a reader that does not read holds up nobody, and what waits for it stays in the shard', async () => {
  const slow = await subscribe({ Type: 'TRIM_HORIZON' });
  await slow.next();
  const big = 'x'.repeat(1024 * 1024 - 1);
  for (let i = 0; i < 30; i++) {
    clock.advance(1_000);
    await put(big);
  }
  let got = 0;
  while (got < 30) {
    for (const text of await slow.texts()) expect(text.length).toBe(big.length);
    got++;
    clock.advance(1_000);
  }
  await put('last');
  expect(await slow.texts()).toEqual(['last']);
});

test.each(['HTTP/2', 'HTTP/1.1'])('a client that goes away leaves nothing behind, over %s', async (protocol) => {
  const shard = local.model.stream(StreamName, clock.wallNow()).shard(first);
  const body = JSON.stringify({ ConsumerARN: consumer, ShardId: first, StartingPosition: { Type: 'LATEST' } });
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.SubscribeToShard' };
  let leave: () => void;
  if (protocol === 'HTTP/2') {
    const session = connect(local.endpoint);
    const stream = session.request({ ':method': 'POST', ...headers });
    stream.end(body);
    await once(stream, 'data');
    leave = () => session.destroy();
  } else {
    const sent = request(local.endpoint, { method: 'POST', headers });
    sent.end(body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    await once(answer, 'data');
    leave = () => sent.destroy();
  }
  expect(shard?.watchers.size).toBe(1);
  leave();
  await expect.poll(() => shard?.watchers.size, { timeout: 10_000 }).toBe(0);
  await put('a');
});

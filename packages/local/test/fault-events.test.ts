// Faults of SubscribeToShard's event stream as the AWS SDK sees them: broken off between events and in the midst of one, half
// open, ended with an exception or early, falsified. The SDK's own events tell what arrived before.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import {
  InternalFailureException,
  type KinesisClient,
  KMSThrottlingException,
  LimitExceededException,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
  type SubscribeToShardEvent,
  type SubscribeToShardEventStream,
} from '@aws-sdk/client-kinesis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FaultRule } from '../src/index.ts';
import { errorOf, eventually, IMPATIENT_MS, protocols, put, Scene, StreamName, shardIds } from './fault-scene.ts';

let scene: Scene;
let consumerArn: string;
beforeEach(async () => {
  scene = new Scene();
  await scene.start();
  const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
  const command = new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' });
  consumerArn = (await scene.client('HTTP/1.1').send(command)).Consumer?.ConsumerARN ?? '';
});
afterEach(() => scene.close());

const position = { Type: 'TRIM_HORIZON' } as const;

async function subscribe(
  client: KinesisClient,
  abortSignal: AbortSignal = new AbortController().signal,
): Promise<AsyncIterator<SubscribeToShardEventStream>> {
  const command = new SubscribeToShardCommand({
    ConsumerARN: consumerArn,
    ShardId: shardIds[0],
    StartingPosition: position,
  });
  const { EventStream } = await client.send(command, { abortSignal });
  if (EventStream === undefined) throw new Error('no event stream');
  return EventStream[Symbol.asyncIterator]();
}

async function next(events: AsyncIterator<SubscribeToShardEventStream>): Promise<SubscribeToShardEvent | undefined> {
  const { value, done } = await events.next();
  return done ? undefined : (value as SubscribeToShardEventStream).SubscribeToShardEvent;
}

function watcherCount(): number {
  return scene.local.model.stream(StreamName, scene.clock.wallNow()).shard(shardIds[0])?.watchers.size ?? -1;
}

/** A subscription without the SDK: the bytes of the event stream as they come, and how it ended. */
class RawSubscription {
  bytes = 0;
  readonly session: ClientHttp2Session = connect(scene.local.endpoint);
  readonly stream: ClientHttp2Stream;

  constructor() {
    this.session.on('error', () => undefined);
    this.stream = this.session.request({
      ':method': 'POST',
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'Kinesis_20131202.SubscribeToShard',
    });
    this.stream.on('error', () => undefined);
    this.stream.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
    });
    const input = { ConsumerARN: consumerArn, ShardId: shardIds[0], StartingPosition: position };
    this.stream.end(JSON.stringify(input));
  }

  async closed(of: 'stream' | 'session'): Promise<void> {
    await new Promise<void>((resolve) => void this[of].once('close', resolve));
  }
}

describe.each(protocols)('over %s', (protocol) => {
  test.each(['session', 'stream'] as const)(
    'cutEvents by %s after n events: they arrive, then the connection is gone',
    async (by) => {
      scene.local.faults.add({ kind: 'cutEvents', by, afterEvents: 2 });
      const client = scene.client(protocol);
      const events = await subscribe(client);
      expect((await next(events))?.Records).toEqual([]);
      const second = next(events);
      await scene.client('HTTP/1.1').send(put('a'));
      expect((await second)?.Records).toHaveLength(1);
      // The SDK shows some breaks as an error and some as the end of the iteration; more events there are none.
      const end = await next(events).then(
        (event) => event,
        (error: unknown) => error,
      );
      expect(end === undefined || end instanceof Error).toBe(true);
      await eventually(watcherCount).toBe(0);
    },
  );

  test.each<[FaultRule, new (...given: never[]) => Error]>([
    [{ kind: 'failEvents', type: 'InternalFailureException', afterEvents: 1 }, InternalFailureException],
    [{ kind: 'failEvents', type: 'KMSThrottlingException', message: 'slow', afterEvents: 1 }, KMSThrottlingException],
  ])('%o is raised in the iteration, after the events before it', async (rule, raised) => {
    scene.local.faults.add(rule);
    const events = await subscribe(scene.client(protocol));
    expect((await next(events))?.Records).toEqual([]);
    await expect(events.next()).rejects.toThrow(raised);
    await eventually(watcherCount).toBe(0);
  });

  test('endEvents ends the iteration early, without an error', async () => {
    scene.local.faults.add({ kind: 'endEvents', afterEvents: 1 });
    const events = await subscribe(scene.client(protocol));
    expect((await next(events))?.ContinuationSequenceNumber).toBeDefined();
    expect(await next(events)).toBeUndefined();
    await eventually(watcherCount).toBe(0);
  });

  test('corruptEvents is an error of the checksum', async () => {
    scene.local.faults.add({ kind: 'corruptEvents', afterEvents: 1 });
    const events = await subscribe(scene.client(protocol));
    expect((await next(events))?.Records).toEqual([]);
    await scene.client('HTTP/1.1').send(put('a'));
    expect((await errorOf(events.next())).message).toMatch(/checksum/i);
  });

  test('stallEvents is silence, not even heartbeats come, until the client gives up', async () => {
    scene.local.faults.add({ kind: 'stallEvents', afterEvents: 1 });
    const client = scene.client(protocol, IMPATIENT_MS);
    const events = await subscribe(client);
    expect((await next(events))?.Records).toEqual([]);
    const end = next(events).then(
      (event) => event,
      (error: unknown) => error,
    );
    await scene.client('HTTP/1.1').send(put('a'));
    scene.clock.advance(60_000);
    expect(watcherCount()).toBe(1);
    // The record was sent into the silence; the client's own patience ends it.
    const ended = await end;
    expect(ended === undefined || ended instanceof Error).toBe(true);
    client.destroy();
    await eventually(watcherCount).toBe(0);
  });

  test('a stalled subscription outlasts its 5 minutes, and ends with the server at once', async () => {
    scene.local.faults.add({ kind: 'stallEvents' });
    const events = await subscribe(scene.client(protocol));
    const end = next(events).then(
      (event) => event,
      (error: unknown) => error,
    );
    let isOver = false;
    void end.then(() => {
      isOver = true;
    });
    scene.clock.advance(300_000);
    await scene.client('HTTP/1.1').send(put('a'));
    expect(isOver).toBe(false);
    await scene.local.close();
    await end;
  });

  test('before the stream: an error, and a lost answer that counts as a successful call', async () => {
    const client = scene.client(protocol);
    using throttle = scene.local.faults.add({
      kind: 'throttle',
      operation: 'SubscribeToShard',
      shardId: shardIds[0],
      count: 1,
    });
    expect(await errorOf(subscribe(client))).toBeInstanceOf(LimitExceededException);
    expect(throttle.applied).toBe(1);
    scene.local.faults.add({ kind: 'loseAnswer', by: 'stream', count: 1 });
    await errorOf(subscribe(client));
    await eventually(watcherCount).toBe(0);
    // Within 5 s of it another one is refused.
    expect((await errorOf(subscribe(client))).name).toBe('ResourceInUseException');
  });

  test('a client that goes while its subscription is delayed leaves nothing behind', async () => {
    const delay = scene.local.faults.add({ kind: 'delay', operation: 'SubscribeToShard', beforeAnswerMs: 1_000 });
    const gone = new AbortController();
    const refused = errorOf(subscribe(scene.client(protocol), gone.signal));
    await eventually(() => delay.applied).toBe(1);
    expect(watcherCount()).toBe(1);
    gone.abort();
    await refused;
    // The client's end is on its way; a later request of another is behind it.
    await scene.client('HTTP/1.1').send(put('a'));
    scene.clock.advance(1_000);
    await eventually(watcherCount).toBe(0);
  });
});

test('cutEvents in bytes cuts at that byte, also in the midst of an event', async () => {
  for (const afterBytes of [0, 1, 50, 130, 150]) {
    scene.clock.advance(5_000);
    using fault = scene.local.faults.add({ kind: 'cutEvents', by: 'stream', afterBytes });
    const raw = new RawSubscription();
    await raw.closed('stream');
    expect([raw.bytes, raw.stream.rstCode]).toEqual([afterBytes, constants.NGHTTP2_INTERNAL_ERROR]);
    expect([fault.applied, raw.session.closed]).toEqual([1, false]);
    raw.session.destroy();
  }
});

test('cutEvents by session takes the whole connection', async () => {
  scene.local.faults.add({ kind: 'cutEvents', afterBytes: 140 });
  const raw = new RawSubscription();
  await raw.closed('session');
  expect([raw.bytes, raw.session.destroyed]).toEqual([140, true]);
});

test('stallEvents in bytes stops in the midst of an event, and the connection stays', async () => {
  scene.local.faults.add({ kind: 'stallEvents', afterBytes: 140 });
  const raw = new RawSubscription();
  await eventually(() => raw.bytes).toBe(140);
  await scene.client('HTTP/1.1').send(put('a'));
  await new Promise((resolve) => raw.session.ping(resolve));
  expect([raw.bytes, raw.stream.closed]).toEqual([140, false]);
  raw.session.destroy();
});

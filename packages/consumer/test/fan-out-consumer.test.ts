// The whole consumer by enhanced fan-out, over real sockets: what it registers, what it does while it can't be pushed to, and how
// one worker follows another on a shard.
import { ListStreamConsumersCommand, PutRecordsCommand, RegisterStreamConsumerCommand } from '@aws-sdk/client-kinesis';
import { evenRanges } from '@shardline/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cloud, handleInTest, runInTest, Scene, startCloud, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const arnOf = (stream: string): string => `arn:aws:kinesis:us-east-1:000000000000:stream/${stream}`;

async function consumerNames(stream: string): Promise<(string | undefined)[]> {
  const { Consumers = [] } = await cloud.kinesis.send(new ListStreamConsumersCommand({ StreamARN: arnOf(stream) }));
  return Consumers.map(({ ConsumerName }) => ConsumerName);
}

it('registers a consumer of the application’s name and is pushed what comes; what it stops at, the next worker goes on after', async () => {
  const scene = new Scene(cloud, 'pushed', 2);
  const first = scene.consumer({ workerId: 'f1', retrievalMode: 'fanout' });
  const handled = handleInTest(first);
  await scene.put('a 1', 'b 1', 'c 1', 'd 1');
  await until(() => expect(handled.toSorted()).toEqual(['a 1', 'b 1', 'c 1', 'd 1']));
  await scene.put('a 2', 'b 2');
  await until(() => expect(handled).toHaveLength(6));
  expect(await consumerNames('pushed')).toEqual(['pushed']);
  await first.stop();
  const { logger, texts } = listen();
  const next = scene.consumer({ workerId: 'f2', retrievalMode: 'fanout', logger });
  const later = handleInTest(next);
  await scene.put('a 3', 'b 3');
  // Its shards rest until the first one's subscriptions are 5 s old: nobody has to see to that.
  await until(() => expect(texts('info').join()).toContain('the shard rests until its last subscription is 5 s old'));
  await until(() => {
    const { state, reasons } = next.health();
    if (state === 'running') expect.soft(reasons).toEqual([]);
    expect(later.toSorted()).toEqual(['a 3', 'b 3']);
  });
  expect(texts('warn', 'error')).toEqual([]);
  // It is left registered: another worker may read by it.
  expect(await consumerNames('pushed')).toEqual(['pushed']);
});

it('a worker that polls and one that is pushed to share a stream', async () => {
  const scene = new Scene(cloud, 'mixed', 4);
  const pushed = handleInTest(scene.consumer({ workerId: 'm1', retrievalMode: 'fanout' }));
  const polled = handleInTest(scene.consumer({ workerId: 'm2' }));
  const texts = Array.from({ length: 40 }, (_, n) => `${n} x`);
  await until(async () => {
    const owners = new Set((await scene.rows()).map((row) => row['leaseOwner']?.S).filter(Boolean));
    expect(owners).toEqual(new Set(['m1', 'm2']));
  });
  await scene.put(...texts);
  await until(() => expect(new Set([...pushed, ...polled])).toEqual(new Set(texts)));
  expect(pushed.length).toBeGreaterThan(0);
  expect(polled.length).toBeGreaterThan(0);
});

it('polls while it can have no registered consumer, if it may, and says why', async () => {
  const scene = new Scene(cloud, 'fallback');
  const refusal = { kind: 'error', type: 'LimitExceededException', operation: 'RegisterStreamConsumer' } as const;
  using _full = cloud.kinesisServer.faults.add({ ...refusal, stream: 'fallback' });
  const { logger, texts } = listen();
  const handled = handleInTest(scene.consumer({ retrievalMode: 'fanout', fallbackToPolling: true, logger }));
  await scene.put('a 1');
  await until(() => expect(handled).toEqual(['a 1']));
  const told = 'there is no registered consumer to read by: the shard is polled';
  await until(() => expect(texts('warn')).toContain(told));
});

it('polls until its registered consumer is ACTIVE, and is pushed to from there on: nothing twice, nothing left out', async () => {
  const scene = new Scene(cloud, 'switch');
  const { logger, texts } = listen();
  const handled = handleInTest(scene.consumer({ retrievalMode: 'fanout', fallbackToPolling: true, logger }));
  const put: string[] = [];
  await until(async () => {
    put.push(`a ${put.length}`);
    await scene.put(put.at(-1) as string);
    expect(texts('info')).toContain('the shard is subscribed to');
  });
  expect(texts('info')).toContain('the shard is polled until it can be subscribed to');
  await scene.put('a last');
  await until(() => expect(handled).toEqual([...put, 'a last']));
});

it('a consumer that cannot be registered ends run() after its tries, with what to do', async () => {
  const scene = new Scene(cloud, 'crowded');
  const consumerArn = `${arnOf('crowded')}/consumer/absent:1700000000`;
  await expect(scene.consumer({ retrievalMode: 'fanout', consumerArn }).run(() => undefined)).rejects.toMatchObject({
    code: 'STREAM_NOT_FOUND',
    message: expect.stringContaining('leave consumerArn out'),
  });
});

it('reads by the consumer whose ARN it is given', async () => {
  const scene = new Scene(cloud, 'given');
  const command = new RegisterStreamConsumerCommand({ StreamARN: arnOf('given'), ConsumerName: 'theirs' });
  const { Consumer } = await cloud.kinesis.send(command);
  const consumerArn = Consumer?.ConsumerARN as string;
  const handled = handleInTest(scene.consumer({ retrievalMode: 'fanout', consumerArn }));
  await scene.put('a 1');
  await until(() => expect(handled).toEqual(['a 1']));
  expect(await consumerNames('given')).toEqual(['theirs']);
});

it('what slow handlers have no room for stays in the sockets of all shards together, and comes once they have', async () => {
  const SHARDS = 8;
  const RECORDS = 7;
  const data = Buffer.alloc(100_000, 'x');
  const scene = new Scene(cloud, 'no-room-left', SHARDS);
  for (const [shard, { start }] of evenRanges(SHARDS).entries()) {
    const record = { PartitionKey: `${shard}`, ExplicitHashKey: String(start), Data: data };
    const Records = Array.from({ length: RECORDS }, () => record);
    await cloud.kinesis.send(new PutRecordsCommand({ StreamName: scene.name, Records }));
  }
  const maxPendingBytesForWorker = 4 * 1024 * 1024;
  const consumer = scene.consumer({ retrievalMode: 'fanout', maxPendingBytesForWorker });
  const handled = new Map<string, number>();
  const waiting: (() => void)[] = [];
  let isOpen = false;
  let mostBytes = 0;
  const look = (): void => {
    mostBytes = Math.max(mostBytes, consumer.view().pendingBytes);
  };
  runInTest(consumer, async ({ shardId, records }) => {
    look();
    if (!isOpen) await new Promise<void>((resolve) => waiting.push(resolve));
    handled.set(shardId, (handled.get(shardId) ?? 0) + records.length);
  });
  await until(() => {
    look();
    expect(consumer.view().pendingBytes).toBeGreaterThan(maxPendingBytesForWorker / 2);
    expect(consumer.view().shards.filter(({ phase }) => phase === 'processing')).toHaveLength(SHARDS);
  });
  isOpen = true;
  for (const release of waiting) release();
  await until(() => expect([...handled.values()]).toEqual(Array.from({ length: SHARDS }, () => RECORDS)));
  // One that holds nothing is let in all the same.
  expect(mostBytes).toBeLessThan(maxPendingBytesForWorker + RECORDS * data.length);
  await until(() => expect(consumer.view()).toMatchObject({ pendingBytes: 0, pendingRecordCount: 0 }));
});

it('is deregistered on request alone, once nobody reads by it: after that there is none, and a second request does no harm', async () => {
  const scene = new Scene(cloud, 'leaving');
  const consumer = scene.consumer({ retrievalMode: 'fanout' });
  const handled = handleInTest(consumer);
  await scene.put('a 1');
  await until(() => expect(handled).toEqual(['a 1']));
  await expect(consumer.deregisterStreamConsumer()).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringMatching(/does not run.*one that is running/),
  });
  await consumer.stop();
  expect(await consumerNames('leaving')).toEqual(['leaving']);
  await consumer.deregisterStreamConsumer();
  await until(async () => expect(await consumerNames('leaving')).toEqual([]));
  await consumer.deregisterStreamConsumer();
  // Nothing was lost with it: whoever reads again registers it again.
  const later = handleInTest(scene.consumer({ retrievalMode: 'fanout' }));
  await scene.put('a 2');
  await until(() => expect(later).toEqual(['a 2']));
  expect(await consumerNames('leaving')).toEqual(['leaving']);
});

it('of several streams the registered consumer of each is deregistered, and by its ARN the one that is given', async () => {
  const [first, second] = [new Scene(cloud, 'several-1'), new Scene(cloud, 'several-2')];
  const command = new RegisterStreamConsumerCommand({ StreamARN: arnOf('several-2'), ConsumerName: 'theirs' });
  const consumerArn = (await cloud.kinesis.send(command)).Consumer?.ConsumerARN as string;
  await cloud.kinesis.send(new RegisterStreamConsumerCommand({ StreamARN: arnOf('several-1'), ConsumerName: 'app' }));
  await cloud.kinesis.send(new RegisterStreamConsumerCommand({ StreamARN: arnOf('several-1'), ConsumerName: 'other' }));
  const streams = [first.name, { stream: second.name, consumerArn }];
  const consumer = first.consumer({ application: 'app', streams, retrievalMode: 'fanout' });
  await consumer.deregisterStreamConsumer();
  await until(async () => expect(await consumerNames('several-2')).toEqual([]));
  await until(async () => expect(await consumerNames('several-1')).toEqual(['other']));
});

it('where shards are polled, nothing is registered that could be deregistered', async () => {
  const scene = new Scene(cloud, 'polled-only');
  await expect(scene.consumer().deregisterStreamConsumer()).rejects.toMatchObject({
    message: expect.stringContaining('retrievalMode'),
  });
});

// An application that reads several streams, over real sockets: one lease table, streams that come and go, shards of the same
// id in each of them.
import { deepStrictEqual } from 'node:assert';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StreamConfig } from '../src/consumer-options.ts';
import type { Batch } from '../src/handler.ts';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** What each stream's handler saw, in order. */
class Seen {
  readonly texts: Map<string, string[]> = new Map();
  readonly handler = (batch: Batch): void => {
    const texts = this.texts.get(batch.streamName) ?? [];
    this.texts.set(batch.streamName, [...texts, ...batch.records.map(textOf)]);
  };

  has(streamName: string, ...texts: string[]): void {
    deepStrictEqual(this.texts.get(streamName), texts);
  }
}

/** `account:name:epoch` */
function identifierOf(scene: Scene): string {
  const { createdMs } = scene.model.stream(scene.name, Date.now());
  return `000000000000:${scene.name}:${Math.floor(createdMs / 1000)}`;
}

it('shards of the same id in two streams have leases, checkpoints and records of their own, through a split', async () => {
  const first = new Scene(cloud, 'multi-first');
  const second = new Scene(cloud, 'multi-second');
  await first.put('a 1', 'a 2');
  await second.put('b 1');
  const seen = new Seen();
  await using consumer = first.consumer({ streams: ['multi-first', identifierOf(second)] });
  void consumer.run(seen.handler);
  await until(() => seen.has('multi-first', 'a 1', 'a 2'));
  await until(() => seen.has('multi-second', 'b 1'));

  const leaseKey = `${identifierOf(second)}:${SHARD(0)}`;
  await until(async () => expect((await first.row(leaseKey))?.['checkpoint']?.S).toMatch(/^\d{56}$/));
  expect(await first.row(leaseKey)).toMatchObject({
    entityType: { S: 'LEASE' },
    streamName: { S: identifierOf(second) },
    shardId: { S: SHARD(0) },
  });

  second.split(0, 2n ** 127n);
  await second.put('b 2', 'c 3');
  await until(() => expect(seen.texts.get('multi-second')?.toSorted()).toEqual(['b 1', 'b 2', 'c 3']));
  const child = await first.row(`${identifierOf(second)}:${SHARD(1)}`);
  expect(child).toMatchObject({ parentShardId: { SS: [SHARD(0)] }, shardId: { S: SHARD(1) } });
  seen.has('multi-first', 'a 1', 'a 2');
  expect([...consumer.view().streams].sort()).toEqual([identifierOf(first), identifierOf(second)].sort());
});

it('a stream that is added is read, one that is taken away goes on for those who hold it, and its leases go in time', async () => {
  const first = new Scene(cloud, 'changing-first');
  const second = new Scene(cloud, 'changing-second');
  let streams: StreamConfig[] = ['changing-first'];
  await first.put('a 1');
  await second.put('b 1');
  const seen = new Seen();
  const options = { streams: () => streams, streamsIntervalMs: 1000, formerStreamsWaitMs: 0 };
  await using consumer = first.consumer(options);
  void consumer.run(seen.handler);
  await until(() => seen.has('changing-first', 'a 1'));
  expect(seen.texts.has('changing-second')).toBe(false);

  streams = ['changing-first', { stream: 'changing-second', initialPosition: 'TRIM_HORIZON' }];
  await until(() => seen.has('changing-second', 'b 1'));

  streams = ['changing-first'];
  const leaseKey = `${identifierOf(second)}:${SHARD(0)}`;
  await until(async () => expect(await first.row(leaseKey)).toBeUndefined());
  await until(() => expect(consumer.view().shards.map((shard) => shard.leaseKey)).not.toContain(leaseKey));
  await first.put('a 2');
  await until(() => seen.has('changing-first', 'a 1', 'a 2'));
});

it('a stream that is not there does not hold the others up; when none is there, run() says so', async () => {
  const first = new Scene(cloud, 'lonely');
  await first.put('a 1');
  const seen = new Seen();
  await using consumer = first.consumer({ streams: ['nowhere', 'lonely'] });
  void consumer.run(seen.handler);
  await until(() => seen.has('lonely', 'a 1'));

  const lost = first.consumer({ application: 'lost', streams: ['nowhere'] });
  await expect(lost.run(() => undefined)).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
});

it('a list that throws is told of by name: at the start run() rejects, later what it said last goes on', async () => {
  const first = new Scene(cloud, 'unlisted');
  await first.put('a 1');
  const seen = new Seen();
  const thrown = new TypeError('no registry');
  let isDown = true;
  const streams = async (): Promise<StreamConfig[]> => {
    if (isDown) throw thrown;
    return ['unlisted'];
  };
  const options = { streams, streamsIntervalMs: 1000 };
  const text = 'the function given as streams threw TypeError: no registry';
  await expect(first.consumer(options).run(seen.handler)).rejects.toMatchObject({
    code: 'STREAMS_UNLISTED',
    message: text,
    retryable: false,
    cause: thrown,
  });
  const formerStreams = (): never => {
    throw new Error('gone');
  };
  const former = {
    streams: () => ['unlisted'],
    formerStreams,
    formerStreamsWaitMs: 0,
    formerStreamsLeasesDeletionStrategy: 'PROVIDED_STREAMS_DEFERRED_DELETION',
  } as const;
  await expect(first.consumer(former).run(seen.handler)).rejects.toThrow(
    'the function given as formerStreams threw Error: gone',
  );

  isDown = false;
  await using consumer = first.consumer(options);
  const running = consumer.run(seen.handler);
  await until(() => seen.has('unlisted', 'a 1'));
  isDown = true;
  await until(() => expect(consumer.health().reasons).toEqual([expect.stringContaining(text)]));
  await first.put('a 2');
  await until(() => seen.has('unlisted', 'a 1', 'a 2'));
  isDown = false;
  await until(() => expect(consumer.health().reasons).toEqual([]));
  await consumer.stop();
  await running;
});

it('a list that is empty is told of: at the start run() rejects, later what it said last goes on, and no lease is deleted', async () => {
  const first = new Scene(cloud, 'emptied');
  await first.put('a 1');
  const seen = new Seen();
  let list: string[] = [];
  const { logger, texts } = listen();
  const options = { streams: () => list, streamsIntervalMs: 1000, formerStreamsWaitMs: 0, logger };
  const text = 'the function given as streams listed no stream';
  await expect(first.consumer(options).run(seen.handler)).rejects.toMatchObject({
    code: 'STREAMS_UNLISTED',
    message: text,
    retryable: false,
  });
  list = ['emptied'];
  await using consumer = first.consumer(options);
  const running = consumer.run(seen.handler);
  await until(() => seen.has('emptied', 'a 1'));
  const { streams } = consumer.view();
  list = [];
  const goesOn = `${text}; what it listed last goes on, and it is asked again`;
  await until(() =>
    expect(consumer.health()).toMatchObject({ ready: false, reasons: [expect.stringContaining(goesOn)] }),
  );
  expect(consumer.view().streams).toEqual(streams);
  await first.put('a 2');
  await until(() => seen.has('emptied', 'a 1', 'a 2'));
  expect(texts('error').filter((line) => line.includes(text))).toHaveLength(1);
  list = ['emptied'];
  await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
  await consumer.stop();
  await running;
});

it('a list that does not come does not keep a consumer from stopping, before its work and in it', async () => {
  const first = new Scene(cloud, 'unanswered');
  await first.put('a 1');
  const never = new Promise<StreamConfig[]>(() => undefined);
  let askedCount = 0;
  const neverListed = (): Promise<StreamConfig[]> => {
    askedCount += 1;
    return never;
  };
  const early = first.consumer({ streams: neverListed });
  const starting = early.run(() => undefined);
  await until(() => expect(askedCount).toBe(1));
  await early.stop();
  await starting;

  const seen = new Seen();
  let isHanging = false;
  const streams = (): StreamConfig[] | Promise<StreamConfig[]> => {
    askedCount += 1;
    return isHanging ? never : ['unanswered'];
  };
  const consumer = first.consumer({ streams, streamsIntervalMs: 1000 });
  const running = consumer.run(seen.handler);
  await until(() => seen.has('unanswered', 'a 1'));
  isHanging = true;
  const before = askedCount;
  await until(() => expect(askedCount).toBeGreaterThan(before));
  await consumer.stop();
  await running;
});

it('two workers share the shards of all streams', async () => {
  const first = new Scene(cloud, 'shared-first', 2);
  new Scene(cloud, 'shared-second', 2);
  const options = { streams: ['shared-first', 'shared-second'] };
  await using one = first.consumer(options);
  await using other = first.consumer(options);
  void one.run(() => undefined);
  await until(() => deepStrictEqual(one.view().shards.length, 4));
  void other.run(() => undefined);
  await until(() => {
    deepStrictEqual(one.view().shards.length, 2);
    deepStrictEqual(other.view().shards.length, 2);
  });
});

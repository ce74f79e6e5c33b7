// A stream's capacity changed through the AWS SDK for JavaScript: what the operations answer, and what they refuse with. UpdateShardCount's
// sentences are in update-shard-count.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { StreamARN, StreamName, specScene } from './spec-scene.ts';

const scene = specScene({ reshardMs: 100, onDemandPeriodMs: 10_000 });
const { clock } = scene;

function scale(TargetShardCount: number): Promise<kinesis.UpdateShardCountCommandOutput> {
  const input = { StreamName, TargetShardCount, ScalingType: 'UNIFORM_SCALING' } as const;
  return scene.client.send(new kinesis.UpdateShardCountCommand(input));
}

async function openShards(): Promise<kinesis.Shard[]> {
  const ShardFilter = { Type: 'AT_LATEST' } as const;
  const { Shards = [] } = await scene.client.send(new kinesis.ListShardsCommand({ StreamName, ShardFilter }));
  return Shards;
}

/** Reads every shard from the oldest one on, a child after its parents; the ids in the order they ended, and all texts. */
async function walk(): Promise<{ ended: string[]; texts: string[] }> {
  const ShardFilter = { Type: 'AT_TRIM_HORIZON' } as const;
  const { Shards = [] } = await scene.client.send(new kinesis.ListShardsCommand({ StreamName, ShardFilter }));
  const toRead = Shards.map(({ ShardId = '' }) => ShardId);
  const waiting = new Map<string, string[]>();
  const ended: string[] = [];
  const texts: string[] = [];
  for (const ShardId of toRead) {
    const start = new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' });
    const { ShardIterator } = await scene.client.send(start);
    const read = await scene.client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
    texts.push(...(read.Records ?? []).map(({ Data }) => Buffer.from(Data ?? []).toString()));
    expect(read.NextShardIterator === undefined).toBe(read.ChildShards !== undefined);
    if (read.ChildShards === undefined) continue;
    ended.push(ShardId);
    for (const child of read.ChildShards) waiting.set(child.ShardId ?? '', child.ParentShards ?? []);
    for (const [childId, parents] of waiting) {
      if (!parents.every((parent) => ended.includes(parent))) continue;
      waiting.delete(childId);
      toRead.push(childId);
    }
  }
  expect(waiting.size).toBe(0);
  return { ended, texts };
}

test('what was put before and after UpdateShardCount is read by following ChildShards, short-lived shards and all', async () => {
  const put = async (text: string): Promise<void> => {
    const Records = Array.from({ length: 20 }, (_, index) => ({ PartitionKey: `k${index}`, Data: Buffer.from(text) }));
    await scene.client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
  };
  await put('before');
  for (const count of [3, 5, 4, 2]) {
    await scale(count);
    clock.advance(100);
    await put(`at ${count}`);
  }
  const { ended, texts } = await walk();
  const expected = ['before', 'at 3', 'at 5', 'at 4', 'at 2'].flatMap((text) => Array<string>(20).fill(text));
  expect(texts.sort()).toEqual(expected.sort());
  const { Shards = [] } = await scene.client.send(new kinesis.ListShardsCommand({ StreamName }));
  expect(ended).toHaveLength(Shards.length - 2);
});

const toOnDemand = { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } } as const;
const toProvisioned = { StreamARN, StreamModeDetails: { StreamMode: 'PROVISIONED' } } as const;

test('UpdateStreamMode to on-demand and back: UPDATING, the mode in the summary, the shards as they were', async () => {
  for (const input of [toOnDemand, toProvisioned]) {
    await scene.client.send(new kinesis.UpdateStreamModeCommand(input));
    const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName });
    expect((await scene.client.send(summary)).StreamDescriptionSummary?.StreamStatus).toBe('UPDATING');
    await expect(scene.client.send(new kinesis.UpdateStreamModeCommand(input))).rejects.toThrow(
      kinesis.ResourceInUseException,
    );
    clock.advance(100);
    expect((await scene.client.send(summary)).StreamDescriptionSummary).toMatchObject({
      StreamStatus: 'ACTIVE',
      StreamModeDetails: input.StreamModeDetails,
      OpenShardCount: 2,
    });
  }
  await expect(scene.client.send(new kinesis.UpdateStreamModeCommand(toOnDemand))).rejects.toThrow(
    kinesis.LimitExceededException,
  );
});

test('a stream that is on-demand refuses SplitShard, MergeShards and UpdateShardCount with a ValidationException', async () => {
  await scene.client.send(new kinesis.UpdateStreamModeCommand(toOnDemand));
  clock.advance(100);
  const [ShardToSplit, AdjacentShardToMerge] = ['shardId-000000000000', 'shardId-000000000001'];
  const refused = [
    scale(4),
    scene.client.send(new kinesis.SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey: '5' })),
    scene.client.send(new kinesis.MergeShardsCommand({ StreamName, ShardToMerge: ShardToSplit, AdjacentShardToMerge })),
  ];
  for (const call of refused) await expect(call).rejects.toThrow(kinesis.ValidationException);
});

test('an on-demand stream splits the shard that gets more than 500 KB/s, and who follows ChildShards misses nothing', async () => {
  await scene.client.send(new kinesis.UpdateStreamModeCommand(toOnDemand));
  clock.advance(100);
  const texts = Array.from({ length: 12 }, (_, second) => `${second}`.padEnd(600_000, 'x'));
  for (const text of texts) {
    const record = { PartitionKey: 'k', Data: Buffer.from(text), ExplicitHashKey: '0' };
    await scene.client.send(new kinesis.PutRecordCommand({ StreamName, ...record }));
    clock.advance(1000);
  }
  expect((await openShards()).map(({ ParentShardId }) => ParentShardId)).toEqual([
    undefined,
    'shardId-000000000000',
    'shardId-000000000000',
  ]);
  const read = await walk();
  expect(read.ended).toEqual(['shardId-000000000000']);
  expect(read.texts).toEqual(texts);
});

test('a stream that is AUTO takes records without a partition key, and gives them back without one', async () => {
  const place = { StreamName: 'auto', StreamModeDetails: { StreamMode: 'ON_DEMAND' } } as const;
  await scene.client.send(new kinesis.CreateStreamCommand({ ...place, RecordDistributionStrategy: 'AUTO' }));
  const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName: 'auto' });
  expect((await scene.client.send(summary)).StreamDescriptionSummary?.RecordDistributionStrategy).toBe('AUTO');
  const Data = Buffer.from('x');
  const Records = [{ Data }, { Data, PartitionKey: 'mine', ExplicitHashKey: '0' }, { Data }, { Data }];
  const put = await scene.client.send(new kinesis.PutRecordsCommand({ StreamName: 'auto', Records }));
  expect(new Set(put.Records?.map(({ ShardId }) => ShardId)).size).toBe(4);
  const keys: (string | undefined)[] = [];
  for (const { ShardId } of put.Records ?? []) {
    const start = { StreamName: 'auto', ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
    const { ShardIterator } = await scene.client.send(new kinesis.GetShardIteratorCommand(start));
    const read = await scene.client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
    keys.push(...(read.Records ?? []).map(({ PartitionKey }) => PartitionKey));
  }
  expect(keys).toEqual([undefined, 'mine', undefined, undefined]);
  expect((await scene.client.send(new kinesis.PutRecordCommand({ StreamName: 'auto', Data }))).SequenceNumber).toMatch(
    /^\d+$/,
  );
  const ordered = { StreamName: 'auto', Data, SequenceNumberForOrdering: '1' };
  await expect(scene.client.send(new kinesis.PutRecordCommand(ordered))).rejects.toThrow(
    kinesis.InvalidArgumentException,
  );
});

test('UpdateStreamRecordDistributionStrategy takes effect with the next record; only on-demand streams have it', async () => {
  const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName });
  const setAuto = (): Promise<unknown> => {
    const input = { StreamARN, RecordDistributionStrategy: 'AUTO' } as const;
    return scene.client.send(new kinesis.UpdateStreamRecordDistributionStrategyCommand(input));
  };
  expect((await scene.client.send(summary)).StreamDescriptionSummary).not.toHaveProperty('RecordDistributionStrategy');
  await expect(setAuto()).rejects.toThrow(kinesis.InvalidArgumentException);
  const withoutKey = new kinesis.PutRecordCommand({ StreamName, Data: Buffer.from('x') });
  await expect(scene.client.send(withoutKey)).rejects.toThrow(kinesis.ValidationException);
  await scene.client.send(new kinesis.UpdateStreamModeCommand(toOnDemand));
  clock.advance(100);
  const strategy = async (): Promise<string | undefined> =>
    (await scene.client.send(summary)).StreamDescriptionSummary?.RecordDistributionStrategy;
  expect(await strategy()).toBe('USER_PARTITION_KEY');
  await setAuto();
  expect(await strategy()).toBe('AUTO');
  await scene.client.send(withoutKey);
  await expect(scene.client.send(new kinesis.UpdateStreamModeCommand(toProvisioned))).rejects.toThrow(
    kinesis.InvalidArgumentException,
  );
});

test('records of 10 MiB: put, got, and pushed byte for byte, once MaxRecordSizeInKiB is raised', async () => {
  const tenMiB = 10 * 1024 * 1024;
  const Data = Buffer.alloc(tenMiB - 1, 'large');
  const put = new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data, ExplicitHashKey: '0' });
  await expect(scene.client.send(put)).rejects.toThrow(kinesis.InvalidArgumentException);
  await scene.client.send(new kinesis.UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 10_240 }));
  const summary = await scene.client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName }));
  expect(summary.StreamDescriptionSummary?.MaxRecordSizeInKiB).toBe(10_240);

  const register = new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' });
  const { Consumer } = await scene.client.send(register);
  const ShardId = 'shardId-000000000000';
  const subscribe = { ConsumerARN: Consumer?.ConsumerARN, ShardId, StartingPosition: { Type: 'LATEST' } } as const;
  const { EventStream = [] } = await scene.client.send(new kinesis.SubscribeToShardCommand(subscribe));
  const pushed = (async (): Promise<Uint8Array | undefined> => {
    for await (const { SubscribeToShardEvent: event } of EventStream) {
      if (event?.Records?.[0] !== undefined) return event.Records[0].Data;
    }
    return undefined;
  })();

  await scene.client.send(put);
  await expect(scene.client.send(put)).rejects.toThrow(kinesis.ProvisionedThroughputExceededException);
  expect(Buffer.compare((await pushed) ?? Buffer.alloc(0), Data)).toBe(0);
  const start = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
  const { ShardIterator } = await scene.client.send(new kinesis.GetShardIteratorCommand(start));
  const { Records = [] } = await scene.client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
  expect(Records.map((record) => Buffer.compare(record.Data ?? Buffer.alloc(0), Data))).toEqual([0]);
});

test('a PutRecords of 500 records and 10 MiB fits through the door; one byte more is an InvalidArgumentException', async () => {
  const StreamModeDetails = { StreamMode: 'ON_DEMAND' } as const;
  await scene.client.send(
    new kinesis.CreateStreamCommand({ StreamName: 'large', StreamModeDetails, MaxRecordSizeInKiB: 10_240 }),
  );
  // A key of 256 characters that JSON has to escape is as long on the wire as it can be.
  const PartitionKey = '\u0001'.repeat(256);
  const small = Array.from({ length: 499 }, () => ({
    PartitionKey,
    Data: Buffer.alloc(0),
    ExplicitHashKey: '1'.repeat(38),
  }));
  const rest = 10 * 1024 * 1024 - 500 * 256;
  const request = (lastBytes: number): kinesis.PutRecordsCommand =>
    new kinesis.PutRecordsCommand({
      StreamName: 'large',
      Records: [...small, { PartitionKey, Data: Buffer.alloc(lastBytes), ExplicitHashKey: '2'.repeat(38) }],
    });
  expect((await scene.client.send(request(rest))).Records).toHaveLength(500);
  await expect(scene.client.send(request(rest + 1))).rejects.toThrow(kinesis.InvalidArgumentException);
});

test('"Specify a value between 1024 and 10240 KiB …. If you specify a value that is out of this range, UpdateMaxRecordSize sends back an ValidationException"', async () => {
  for (const MaxRecordSizeInKiB of [1023, 10_241]) {
    await expect(
      scene.client.send(new kinesis.UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB })),
    ).rejects.toThrow(kinesis.ValidationException);
    const input = { StreamName: 'new', ShardCount: 1, MaxRecordSizeInKiB };
    await expect(scene.client.send(new kinesis.CreateStreamCommand(input))).rejects.toThrow(
      kinesis.ValidationException,
    );
  }
});

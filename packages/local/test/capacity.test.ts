// A stream's capacity changed through the AWS SDK for JavaScript: what the operations answer, and what they refuse with.
import * as kinesis from '@aws-sdk/client-kinesis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;

let clock: ManualClock;
let local: LocalKinesis;
let client: kinesis.KinesisClient;

beforeEach(async () => {
  clock = new ManualClock();
  const streams = [{ name: StreamName, shardCount: 2 }];
  local = await startLocalKinesis({ clock, streams, reshardMs: 100, onDemandPeriodMs: 10_000 });
  client = new kinesis.KinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterEach(async () => {
  client.destroy();
  await local.close();
});

function scale(TargetShardCount: number): Promise<kinesis.UpdateShardCountCommandOutput> {
  const input = { StreamName, TargetShardCount, ScalingType: 'UNIFORM_SCALING' } as const;
  return client.send(new kinesis.UpdateShardCountCommand(input));
}

async function openShards(): Promise<kinesis.Shard[]> {
  const ShardFilter = { Type: 'AT_LATEST' } as const;
  const { Shards = [] } = await client.send(new kinesis.ListShardsCommand({ StreamName, ShardFilter }));
  return Shards;
}

/** Reads every shard from the oldest one on, a child after its parents; the ids in the order they ended, and all texts. */
async function walk(): Promise<{ ended: string[]; texts: string[] }> {
  const ShardFilter = { Type: 'AT_TRIM_HORIZON' } as const;
  const { Shards = [] } = await client.send(new kinesis.ListShardsCommand({ StreamName, ShardFilter }));
  const toRead = Shards.map(({ ShardId = '' }) => ShardId);
  const waiting = new Map<string, string[]>();
  const ended: string[] = [];
  const texts: string[] = [];
  for (const ShardId of toRead) {
    const start = new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' });
    const { ShardIterator } = await client.send(start);
    const read = await client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
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

test('UpdateShardCount answers the current and the target count, name and ARN; the stream is UPDATING, then has the shards', async () => {
  expect(await scale(3)).toMatchObject({ StreamName, StreamARN, CurrentShardCount: 2, TargetShardCount: 3 });
  const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName });
  const updating = (await client.send(summary)).StreamDescriptionSummary;
  expect([updating?.StreamStatus, updating?.OpenShardCount]).toEqual(['UPDATING', 2]);
  clock.advance(100);
  const active = (await client.send(summary)).StreamDescriptionSummary;
  expect([active?.StreamStatus, active?.OpenShardCount]).toEqual(['ACTIVE', 3]);
  const third = 2n ** 128n / 3n;
  const starts = (await openShards()).map(({ HashKeyRange }) => BigInt(HashKeyRange?.StartingHashKey ?? -1));
  expect(starts.sort((a, b) => (a < b ? -1 : 1))).toEqual([0n, third, 2n ** 129n / 3n]);
});

test('what was put before and after UpdateShardCount is read by following ChildShards, short-lived shards and all', async () => {
  const put = async (text: string): Promise<void> => {
    const Records = Array.from({ length: 20 }, (_, index) => ({ PartitionKey: `k${index}`, Data: Buffer.from(text) }));
    await client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
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
  const { Shards = [] } = await client.send(new kinesis.ListShardsCommand({ StreamName }));
  expect(ended).toHaveLength(Shards.length - 2);
});

test("UpdateShardCount refuses with the SDK's modelled exceptions", async () => {
  await expect(scale(5)).rejects.toThrow(kinesis.LimitExceededException);
  await expect(scale(0)).rejects.toThrow(kinesis.ValidationException);
  const byHalves = { StreamName, TargetShardCount: 2, ScalingType: 'BY_HALVES' as 'UNIFORM_SCALING' };
  await expect(client.send(new kinesis.UpdateShardCountCommand(byHalves))).rejects.toThrow(kinesis.ValidationException);
  const absent = { StreamName: 'absent', TargetShardCount: 2, ScalingType: 'UNIFORM_SCALING' } as const;
  await expect(client.send(new kinesis.UpdateShardCountCommand(absent))).rejects.toThrow(
    kinesis.ResourceNotFoundException,
  );
  await scale(4);
  await expect(scale(4)).rejects.toThrow(kinesis.ResourceInUseException);
});

const toOnDemand = { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } } as const;
const toProvisioned = { StreamARN, StreamModeDetails: { StreamMode: 'PROVISIONED' } } as const;

test('UpdateStreamMode to on-demand and back: UPDATING, the mode in the summary, the shards as they were', async () => {
  for (const input of [toOnDemand, toProvisioned]) {
    await client.send(new kinesis.UpdateStreamModeCommand(input));
    const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName });
    expect((await client.send(summary)).StreamDescriptionSummary?.StreamStatus).toBe('UPDATING');
    await expect(client.send(new kinesis.UpdateStreamModeCommand(input))).rejects.toThrow(
      kinesis.ResourceInUseException,
    );
    clock.advance(100);
    expect((await client.send(summary)).StreamDescriptionSummary).toMatchObject({
      StreamStatus: 'ACTIVE',
      StreamModeDetails: input.StreamModeDetails,
      OpenShardCount: 2,
    });
  }
  await expect(client.send(new kinesis.UpdateStreamModeCommand(toOnDemand))).rejects.toThrow(
    kinesis.LimitExceededException,
  );
});

test('a stream that is on-demand refuses SplitShard, MergeShards and UpdateShardCount with a ValidationException', async () => {
  await client.send(new kinesis.UpdateStreamModeCommand(toOnDemand));
  clock.advance(100);
  const [ShardToSplit, AdjacentShardToMerge] = ['shardId-000000000000', 'shardId-000000000001'];
  const refused = [
    scale(4),
    client.send(new kinesis.SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey: '5' })),
    client.send(new kinesis.MergeShardsCommand({ StreamName, ShardToMerge: ShardToSplit, AdjacentShardToMerge })),
  ];
  for (const call of refused) await expect(call).rejects.toThrow(kinesis.ValidationException);
});

test('an on-demand stream splits the shard that gets more than 500 KB/s, and who follows ChildShards misses nothing', async () => {
  await client.send(new kinesis.UpdateStreamModeCommand(toOnDemand));
  clock.advance(100);
  const texts = Array.from({ length: 12 }, (_, second) => `${second}`.padEnd(600_000, 'x'));
  for (const text of texts) {
    const record = { PartitionKey: 'k', Data: Buffer.from(text), ExplicitHashKey: '0' };
    await client.send(new kinesis.PutRecordCommand({ StreamName, ...record }));
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
  await client.send(new kinesis.CreateStreamCommand({ ...place, RecordDistributionStrategy: 'AUTO' }));
  const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName: 'auto' });
  expect((await client.send(summary)).StreamDescriptionSummary?.RecordDistributionStrategy).toBe('AUTO');
  const Data = Buffer.from('x');
  const Records = [{ Data }, { Data, PartitionKey: 'mine', ExplicitHashKey: '0' }, { Data }, { Data }];
  const put = await client.send(new kinesis.PutRecordsCommand({ StreamName: 'auto', Records }));
  expect(new Set(put.Records?.map(({ ShardId }) => ShardId)).size).toBe(4);
  const keys: (string | undefined)[] = [];
  for (const { ShardId } of put.Records ?? []) {
    const start = { StreamName: 'auto', ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
    const { ShardIterator } = await client.send(new kinesis.GetShardIteratorCommand(start));
    const read = await client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
    keys.push(...(read.Records ?? []).map(({ PartitionKey }) => PartitionKey));
  }
  expect(keys).toEqual([undefined, 'mine', undefined, undefined]);
  expect((await client.send(new kinesis.PutRecordCommand({ StreamName: 'auto', Data }))).SequenceNumber).toMatch(
    /^\d+$/,
  );
  const ordered = { StreamName: 'auto', Data, SequenceNumberForOrdering: '1' };
  await expect(client.send(new kinesis.PutRecordCommand(ordered))).rejects.toThrow(kinesis.InvalidArgumentException);
});

test('UpdateStreamRecordDistributionStrategy takes effect with the next record; only on-demand streams have it', async () => {
  const summary = new kinesis.DescribeStreamSummaryCommand({ StreamName });
  const setAuto = (): Promise<unknown> => {
    const input = { StreamARN, RecordDistributionStrategy: 'AUTO' } as const;
    return client.send(new kinesis.UpdateStreamRecordDistributionStrategyCommand(input));
  };
  expect((await client.send(summary)).StreamDescriptionSummary).not.toHaveProperty('RecordDistributionStrategy');
  await expect(setAuto()).rejects.toThrow(kinesis.InvalidArgumentException);
  const withoutKey = new kinesis.PutRecordCommand({ StreamName, Data: Buffer.from('x') });
  await expect(client.send(withoutKey)).rejects.toThrow(kinesis.ValidationException);
  await client.send(new kinesis.UpdateStreamModeCommand(toOnDemand));
  clock.advance(100);
  const strategy = async (): Promise<string | undefined> =>
    (await client.send(summary)).StreamDescriptionSummary?.RecordDistributionStrategy;
  expect(await strategy()).toBe('USER_PARTITION_KEY');
  await setAuto();
  expect(await strategy()).toBe('AUTO');
  await client.send(withoutKey);
  await expect(client.send(new kinesis.UpdateStreamModeCommand(toProvisioned))).rejects.toThrow(
    kinesis.InvalidArgumentException,
  );
});

test('records of 10 MiB: put, got, and pushed byte for byte, once MaxRecordSizeInKiB is raised', async () => {
  const tenMiB = 10 * 1024 * 1024;
  const Data = Buffer.alloc(tenMiB - 1, 'large');
  const put = new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data, ExplicitHashKey: '0' });
  await expect(client.send(put)).rejects.toThrow(kinesis.InvalidArgumentException);
  await client.send(new kinesis.UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 10_240 }));
  const summary = await client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName }));
  expect(summary.StreamDescriptionSummary?.MaxRecordSizeInKiB).toBe(10_240);

  const register = new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' });
  const { Consumer } = await client.send(register);
  const ShardId = 'shardId-000000000000';
  const subscribe = { ConsumerARN: Consumer?.ConsumerARN, ShardId, StartingPosition: { Type: 'LATEST' } } as const;
  const { EventStream = [] } = await client.send(new kinesis.SubscribeToShardCommand(subscribe));
  const pushed = (async (): Promise<Uint8Array | undefined> => {
    for await (const { SubscribeToShardEvent: event } of EventStream) {
      if (event?.Records?.[0] !== undefined) return event.Records[0].Data;
    }
    return undefined;
  })();

  await client.send(put);
  await expect(client.send(put)).rejects.toThrow(kinesis.ProvisionedThroughputExceededException);
  expect(Buffer.compare((await pushed) ?? Buffer.alloc(0), Data)).toBe(0);
  const start = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
  const { ShardIterator } = await client.send(new kinesis.GetShardIteratorCommand(start));
  const { Records = [] } = await client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
  expect(Records.map((record) => Buffer.compare(record.Data ?? Buffer.alloc(0), Data))).toEqual([0]);
});

test('a PutRecords of 500 records and 10 MiB fits through the door; one byte more is an InvalidArgumentException', async () => {
  const StreamModeDetails = { StreamMode: 'ON_DEMAND' } as const;
  await client.send(
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
  expect((await client.send(request(rest))).Records).toHaveLength(500);
  await expect(client.send(request(rest + 1))).rejects.toThrow(kinesis.InvalidArgumentException);
});

test('"Specify a value between 1024 and 10240 KiB …. If you specify a value that is out of this range, UpdateMaxRecordSize sends back an ValidationException"', async () => {
  for (const MaxRecordSizeInKiB of [1023, 10_241]) {
    await expect(
      client.send(new kinesis.UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB })),
    ).rejects.toThrow(kinesis.ValidationException);
    const input = { StreamName: 'new', ShardCount: 1, MaxRecordSizeInKiB };
    await expect(client.send(new kinesis.CreateStreamCommand(input))).rejects.toThrow(kinesis.ValidationException);
  }
});

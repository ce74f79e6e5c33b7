// ListShards, sentence by sentence, all of ShardFilter among them.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import {
  expectRefusal,
  first,
  fourth,
  hourMs,
  middle,
  StreamARN,
  StreamName,
  second,
  specScene,
  third,
} from './spec-scene.ts';

const scene = specScene();
const fifth = 'shardId-000000000004';

type Input = Omit<kinesis.ListShardsCommandInput, 'StreamName'>;

async function ids(input: Input = {}): Promise<(string | undefined)[]> {
  return (await scene.shards(input)).map(({ ShardId }) => ShardId);
}

/** By the members given and no other. */
function list(input: kinesis.ListShardsCommandInput): Promise<kinesis.ListShardsCommandOutput> {
  return scene.client.send(new kinesis.ListShardsCommand(input));
}

async function create(name: string, ShardCount: number): Promise<Date | undefined> {
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: name, ShardCount }));
  return (await scene.summary(name))?.StreamCreationTimestamp;
}

async function recreate(ShardCount: number): Promise<Date | undefined> {
  await scene.client.send(new kinesis.DeleteStreamCommand({ StreamName }));
  return create(StreamName, ShardCount);
}

/** The first shard is split at 1000 and the second of its children merged with the second shard at 2000, of the ms returned. */
async function splitThenMerge(): Promise<number> {
  const startMs = scene.clock.wallNow();
  scene.clock.advance(1000);
  await scene.split();
  scene.clock.advance(1000);
  await scene.merge(fourth, second);
  scene.clock.advance(1000);
  return startMs;
}

const filter = (Type: kinesis.ShardFilterType, more: Partial<kinesis.ShardFilter> = {}): Input => ({
  ShardFilter: { Type, ...more },
});

test('"Each object represents one shard and specifies the IDs of the shard, the shard\'s parent, and the shard that\'s adjacent to the shard\'s parent" and "the starting and ending hash keys and the starting and ending sequence numbers for the shard"', async () => {
  await splitThenMerge();
  const open = { StartingSequenceNumber: expect.stringMatching(/^\d{56}$/) };
  const closed = { ...open, EndingSequenceNumber: expect.stringMatching(/^\d{56}$/) };
  const quarter = 2n ** 126n;
  const range = (from: bigint, to: bigint): kinesis.HashKeyRange => ({
    StartingHashKey: String(from),
    EndingHashKey: String(to - 1n),
  });
  expect(await scene.shards()).toEqual([
    { ShardId: first, HashKeyRange: range(0n, 2n * quarter), SequenceNumberRange: closed },
    { ShardId: second, HashKeyRange: range(2n * quarter, 4n * quarter), SequenceNumberRange: closed },
    { ShardId: third, ParentShardId: first, HashKeyRange: range(0n, quarter), SequenceNumberRange: open },
    { ShardId: fourth, ParentShardId: first, HashKeyRange: range(quarter, 2n * quarter), SequenceNumberRange: closed },
    {
      ShardId: fifth,
      ParentShardId: fourth,
      AdjacentParentShardId: second,
      HashKeyRange: range(quarter, 4n * quarter),
      SequenceNumberRange: open,
    },
  ]);
});

test('SequenceNumberRange: "Shards that are in the OPEN state have an ending sequence number of null"; every record of a closed one lies in its range', async () => {
  const { SequenceNumber = '' } = await scene.put('last');
  await scene.split();
  const [parent, , child] = await scene.shards();
  const { StartingSequenceNumber = '', EndingSequenceNumber = '' } = parent?.SequenceNumberRange ?? {};
  expect(BigInt(SequenceNumber)).toBeGreaterThan(BigInt(StartingSequenceNumber));
  expect(BigInt(SequenceNumber)).toBeLessThanOrEqual(BigInt(EndingSequenceNumber));
  expect(child?.SequenceNumberRange?.EndingSequenceNumber).toBeUndefined();
  expect(BigInt(child?.SequenceNumberRange?.StartingSequenceNumber ?? 0)).toBeGreaterThan(BigInt(EndingSequenceNumber));
});

test('"This action does not list expired shards"', async () => {
  await scene.split();
  scene.clock.advance(24 * hourMs);
  expect(await ids()).toEqual([first, second, third, fourth]);
  scene.clock.advance(1);
  expect(await ids()).toEqual([second, third, fourth]);
});

test('ExclusiveStartShardId: "list the shards starting with the shard whose ID immediately follows ExclusiveStartShardId", by default "starting with the first one in the stream"', async () => {
  await splitThenMerge();
  expect(await ids()).toEqual([first, second, third, fourth, fifth]);
  expect(await ids({ ExclusiveStartShardId: third })).toEqual([fourth, fifth]);
  expect(await ids({ ExclusiveStartShardId: fifth })).toEqual([]);
});

test('MaxResults: "When the number of shards to be listed is greater than the value of MaxResults, the response contains a NextToken value that you can use in a subsequent call to ListShards to list the next set of shards"', async () => {
  await splitThenMerge();
  const one = await list({ StreamName, MaxResults: 2 });
  const two = await list({ NextToken: one.NextToken, MaxResults: 2 });
  const three = await list({ NextToken: two.NextToken });
  const pages = [one, two, three].map(({ Shards }) => Shards?.map(({ ShardId }) => ShardId));
  expect(pages).toEqual([[first, second], [third, fourth], [fifth]]);
  expect(three.NextToken).toBeUndefined();
  expect((await list({ StreamName, MaxResults: 5 })).NextToken).toBeUndefined();
});

test('MaxResults: "The default value is 1000. If you specify a value greater than 1000, at most 1000 results are returned"', async () => {
  await create('large', 1001);
  for (const input of [{}, { MaxResults: 1001 }, { MaxResults: 10_000 }]) {
    const page = await list({ StreamName: 'large', ...input });
    expect(page.Shards).toHaveLength(1000);
    expect((await list({ NextToken: page.NextToken })).Shards).toHaveLength(1);
  }
});

test('NextToken: a page goes on with the filter of the first one', async () => {
  await splitThenMerge();
  const { Shards, NextToken } = await list({ StreamName, ...filter('AT_LATEST'), MaxResults: 1 });
  const next = await list({ NextToken });
  expect([...(Shards ?? []), ...(next.Shards ?? [])].map(({ ShardId }) => ShardId)).toEqual([third, fifth]);
});

test('NextToken: "You cannot specify this parameter if you specify the NextToken parameter": StreamName, StreamCreationTimestamp, ExclusiveStartShardId', async () => {
  const { NextToken } = await list({ StreamName, MaxResults: 1 });
  const StreamCreationTimestamp = (await scene.summary())?.StreamCreationTimestamp;
  for (const other of [{ StreamName }, { StreamCreationTimestamp }, { ExclusiveStartShardId: first }]) {
    await expectRefusal(
      list({ NextToken, ...other } as kinesis.ListShardsCommandInput),
      kinesis.InvalidArgumentException,
      `NextToken and ${Object.keys(other)[0]} cannot be provided together.`,
    );
  }
});

test('NextToken: "Tokens expire after 300 seconds"; "If you specify an expired token in a call to ListShards, you get ExpiredNextTokenException"', async () => {
  const { NextToken } = await list({ StreamName, MaxResults: 1 });
  scene.clock.advance(300_000);
  expect((await list({ NextToken })).Shards).toHaveLength(1);
  scene.clock.advance(1);
  await expectRefusal(list({ NextToken }), kinesis.ExpiredNextTokenException);
});

test('NextToken: it "unambiguously identifies the stream", not another one of its name; what is none is an InvalidArgumentException', async () => {
  const { NextToken } = await list({ StreamARN, MaxResults: 1 });
  await recreate(2);
  await expectRefusal(list({ NextToken }), kinesis.ResourceNotFoundException);
  await expectRefusal(list({ NextToken: 'AAAA' }), kinesis.InvalidArgumentException);
});

test('StreamCreationTimestamp: "if you create a data stream and then delete it, and you later create another data stream with the same name, you can use this input parameter to specify which of the two streams you want to list the shards for"', async () => {
  const StreamCreationTimestamp = await recreate(1);
  expect(await ids({ StreamCreationTimestamp })).toEqual([first]);
  scene.clock.advance(1000);
  await recreate(3);
  await expectRefusal(list({ StreamName, StreamCreationTimestamp }), kinesis.ResourceNotFoundException);
});

test('AFTER_SHARD_ID: "the response includes all the shards, starting with the shard whose ID immediately follows the ShardId that you provided"', async () => {
  await splitThenMerge();
  expect(await ids(filter('AFTER_SHARD_ID', { ShardId: second }))).toEqual([third, fourth, fifth]);
});

test('AT_TRIM_HORIZON: "the response includes all the shards that were open at TRIM_HORIZON"', async () => {
  const startMs = await splitThenMerge();
  expect(await ids(filter('AT_TRIM_HORIZON'))).toEqual([first, second]);
  scene.clock.advance(startMs + 1500 + 24 * hourMs - scene.clock.wallNow());
  expect(await ids(filter('AT_TRIM_HORIZON'))).toEqual([second, third, fourth]);
  scene.clock.advance(1000);
  expect(await ids(filter('AT_TRIM_HORIZON'))).toEqual([third, fifth]);
});

test('FROM_TRIM_HORIZON: "(default), the response includes all the shards within the retention period of the data stream (trim to tip)"', async () => {
  await splitThenMerge();
  expect(await ids(filter('FROM_TRIM_HORIZON'))).toEqual(await ids());
  scene.clock.advance(24 * hourMs);
  expect(await ids(filter('FROM_TRIM_HORIZON'))).toEqual([third, fifth]);
});

test('AT_LATEST: "the response includes only the currently open shards of the data stream"', async () => {
  expect(await ids(filter('AT_LATEST'))).toEqual([first, second]);
  await splitThenMerge();
  expect(await ids(filter('AT_LATEST'))).toEqual([third, fifth]);
});

test('AT_TIMESTAMP: "all shards whose start timestamp is less than or equal to the given timestamp and end timestamp is greater than or equal to the given timestamp or still open"', async () => {
  const startMs = await splitThenMerge();
  const at = (ms: number): Promise<unknown> => ids(filter('AT_TIMESTAMP', { Timestamp: new Date(startMs + ms) }));
  expect(await at(500)).toEqual([first, second]);
  expect(await at(1001)).toEqual([second, third, fourth]);
  expect(await at(1999)).toEqual([second, third, fourth]);
  expect(await at(2001)).toEqual([third, fifth]);
});

test('FROM_TIMESTAMP: "all closed shards whose end timestamp is greater than or equal to the given timestamp and also all open shards"', async () => {
  const startMs = await splitThenMerge();
  const from = (ms: number): Promise<unknown> => ids(filter('FROM_TIMESTAMP', { Timestamp: new Date(startMs + ms) }));
  expect(await from(1000)).toEqual([first, second, third, fourth, fifth]);
  expect(await from(1001)).toEqual([second, third, fourth, fifth]);
  expect(await from(2000)).toEqual([second, third, fourth, fifth]);
  expect(await from(2001)).toEqual([third, fifth]);
});

test('FROM_TIMESTAMP: "Corrected to TRIM_HORIZON of the data stream if FROM_TIMESTAMP is less than the TRIM_HORIZON value"', async () => {
  const startMs = await splitThenMerge();
  const Timestamp = new Date(startMs - 48 * hourMs);
  expect(await ids(filter('FROM_TIMESTAMP', { Timestamp }))).toEqual(await ids(filter('FROM_TRIM_HORIZON')));
  scene.clock.advance(24 * hourMs);
  expect(await ids(filter('FROM_TIMESTAMP', { Timestamp }))).toEqual([third, fifth]);
});

test('ShardFilter: "the Type is the required property"; "If you specify the AFTER_SHARD_ID type, you must also provide the value for the optional ShardId property", with AT_TIMESTAMP or FROM_TIMESTAMP the Timestamp', async () => {
  await expectRefusal(
    list({ StreamName, ShardFilter: {} as kinesis.ShardFilter }),
    kinesis.ValidationException,
    "1 validation error detected: Value null at 'shardFilter.type' failed to satisfy constraint: Member must not be null",
  );
  for (const Type of ['AFTER_SHARD_ID', 'AT_TIMESTAMP', 'FROM_TIMESTAMP'] as const) {
    await expectRefusal(list({ StreamName, ...filter(Type) }), kinesis.InvalidArgumentException);
  }
});

test('ShardFilter: ShardId "can only be used if the AFTER_SHARD_ID shard type is specified", Timestamp "if FROM_TIMESTAMP or AT_TIMESTAMP shard types are specified"', async () => {
  const Timestamp = new Date(scene.clock.wallNow());
  for (const Type of ['AT_TRIM_HORIZON', 'FROM_TRIM_HORIZON', 'AT_LATEST', 'AT_TIMESTAMP', 'FROM_TIMESTAMP'] as const) {
    const more = Type.endsWith('_TIMESTAMP') ? { Timestamp, ShardId: first } : { ShardId: first };
    await expectRefusal(list({ StreamName, ...filter(Type, more) }), kinesis.InvalidArgumentException);
  }
  for (const Type of ['AT_TRIM_HORIZON', 'FROM_TRIM_HORIZON', 'AT_LATEST', 'AFTER_SHARD_ID'] as const) {
    const more = Type === 'AFTER_SHARD_ID' ? { Timestamp, ShardId: first } : { Timestamp };
    await expectRefusal(list({ StreamName, ...filter(Type, more) }), kinesis.InvalidArgumentException);
  }
});

test('ResourceNotFoundException: "The requested resource could not be found"', async () => {
  await expectRefusal(list({ StreamName: 'absent' }), kinesis.ResourceNotFoundException);
});

test('HashKeyRange: "a set of ordered contiguous positive integers": the open shards cover the key space once', async () => {
  await splitThenMerge();
  await scene.split(fifth, middle);
  const open = await scene.shards(filter('AT_LATEST'));
  const ranges = open.map(
    ({ HashKeyRange: range }) => [BigInt(range?.StartingHashKey ?? -1), BigInt(range?.EndingHashKey ?? -1)] as const,
  );
  let next = 0n;
  for (const [from, to] of ranges.sort(([a], [b]) => (a < b ? -1 : 1))) {
    expect(from).toBe(next);
    next = to + 1n;
  }
  expect(next).toBe(2n ** 128n);
});

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
  local = await startLocalKinesis({ clock, streams: [{ name: StreamName, shardCount: 2 }], reshardMs: 100 });
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

// SplitShard and MergeShards, sentence by sentence. That they are for provisioned streams alone is in capacity.test.ts, how many streams
// may do it at once in control-limits.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, first, fourth, middle, StreamName, second, specScene, third } from './spec-scene.ts';

const scene = specScene({ reshardMs: 100, createStreamMs: 100, deleteStreamMs: 100, shardLimit: 3 });
const quarter = 2n ** 126n;
const absent = 'shardId-000000000099';

type Range = readonly [bigint, bigint];

async function openRanges(): Promise<Readonly<Record<string, Range>>> {
  const shards = await scene.shards({ ShardFilter: { Type: 'AT_LATEST' } });
  return Object.fromEntries(
    shards.map(({ ShardId, HashKeyRange: range }) => [
      ShardId,
      [BigInt(range?.StartingHashKey ?? -1), BigInt(range?.EndingHashKey ?? -1)],
    ]),
  );
}

const operations = [
  ['SplitShard', () => scene.split()],
  ['MergeShards', () => scene.merge()],
] as const;

test.each(operations)(
  '%s "is an asynchronous operation. Upon receiving a request, Kinesis Data Streams immediately returns a response and sets the stream status to UPDATING. After the operation is completed, Kinesis Data Streams sets the stream status to ACTIVE"',
  async (_, reshard) => {
    const before = await openRanges();
    await reshard();
    expect((await scene.summary())?.StreamStatus).toBe('UPDATING');
    expect(await openRanges()).toEqual(before);
    scene.clock.advance(99);
    expect((await scene.summary())?.StreamStatus).toBe('UPDATING');
    scene.clock.advance(1);
    expect((await scene.summary())?.StreamStatus).toBe('ACTIVE');
    expect(await openRanges()).not.toEqual(before);
  },
);

test.each(operations)(
  '%s: "Read and write operations continue to work while the stream is in the UPDATING state"',
  async (_, reshard) => {
    const ShardIterator = await scene.iterator();
    await reshard();
    expect((await scene.put('meanwhile')).ShardId).toBe(first);
    const { Records, ChildShards } = await scene.get(ShardIterator);
    expect([Records?.length, ChildShards]).toEqual([1, undefined]);
    expect(await scene.read()).toEqual(['meanwhile']);
  },
);

test.each(operations)(
  '%s: "If a stream is in the CREATING, UPDATING, or DELETING state, returns a ResourceInUseException. If the specified stream does not exist, returns a ResourceNotFoundException"',
  async (_, reshard) => {
    const message = (state: string): string =>
      `Stream ${StreamName} under account 000000000000 not ACTIVE, instead in state ${state}`;
    await reshard();
    await expectRefusal(reshard(), kinesis.ResourceInUseException, message('UPDATING'));
    scene.clock.advance(100);
    await scene.client.send(new kinesis.DeleteStreamCommand({ StreamName }));
    await expectRefusal(reshard(), kinesis.ResourceInUseException, message('DELETING'));
    scene.clock.advance(100);
    await expectRefusal(
      reshard(),
      kinesis.ResourceNotFoundException,
      `Stream ${StreamName} under account 000000000000 not found.`,
    );
    await scene.client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 2 }));
    await expectRefusal(reshard(), kinesis.ResourceInUseException, message('CREATING'));
  },
);

test('SplitShard: "The NewStartingHashKey hash key value and all higher hash key values in hash key range are distributed to one of the child shards. All the lower hash key values in the range are distributed to the other child shard"', async () => {
  await scene.split(first, '1000');
  scene.clock.advance(100);
  expect(await openRanges()).toEqual({
    [second]: [2n * quarter, 4n * quarter - 1n],
    [third]: [0n, 999n],
    [fourth]: [1000n, 2n * quarter - 1n],
  });
  expect((await scene.put('lower', '999')).ShardId).toBe(third);
  expect((await scene.put('the key itself', '1000')).ShardId).toBe(fourth);
  expect((await scene.put('higher', String(2n * quarter - 1n))).ShardId).toBe(fourth);
  expect((await scene.put('of the other shard', middle)).ShardId).toBe(second);
});

test('SplitShard: "The value for NewStartingHashKey must be in the range of hash keys being mapped into the shard"', async () => {
  const message = (key: string): string =>
    `NewStartingHashKey ${key} used in SplitShard() on shard ${second} in stream ${StreamName} under account 000000000000 is not both greater than one plus the shard's StartingHashKey ${middle} and less than the shard's EndingHashKey ${4n * quarter - 1n}.`;
  for (const key of ['5', middle, String(4n * quarter - 1n)]) {
    await expectRefusal(scene.split(second, key), kinesis.InvalidArgumentException, message(key));
  }
  await scene.split(second, String(2n * quarter + 2n));
});

test('SplitShard: "If you try to create more shards than are authorized for your account, you receive a LimitExceededException"', async () => {
  await scene.split();
  scene.clock.advance(100);
  await expectRefusal(scene.split(second, String(3n * quarter)), kinesis.LimitExceededException);
  await scene.merge(third, fourth);
  scene.clock.advance(100);
  await scene.split(second, String(3n * quarter));
});

test('MergeShards: "you could merge these two shards into a single shard that would have a hash key range of" both; "After the merge, the single child shard receives data for all hash key values covered by the two parent shards"', async () => {
  // The order in which they are named makes no difference.
  await scene.merge(second, first);
  scene.clock.advance(100);
  expect(await openRanges()).toEqual({ [third]: [0n, 4n * quarter - 1n] });
  for (const key of ['0', String(2n * quarter - 1n), middle, String(4n * quarter - 1n)]) {
    expect((await scene.put('x', key)).ShardId).toBe(third);
  }
});

test('MergeShards: "Two shards are considered adjacent if the union of the hash key ranges for the two shards form a contiguous set with no gaps"', async () => {
  await scene.split();
  scene.clock.advance(100);
  const message = (a: string, b: string): string =>
    `Shards ${a} and ${b} in stream ${StreamName} under account 000000000000 are not an adjacent pair of shards eligible for merging`;
  await expectRefusal(scene.merge(third, second), kinesis.InvalidArgumentException, message(third, second));
  await expectRefusal(scene.merge(second, second), kinesis.InvalidArgumentException, message(second, second));
  await scene.merge(fourth, second);
});

test('what has been split or merged is not split or merged again, and no shard that is not there', async () => {
  await scene.split();
  scene.clock.advance(100);
  const ended = `Shard ${first} in stream ${StreamName} under account 000000000000 has already been merged or split, and thus is not eligible for merging or splitting.`;
  await expectRefusal(scene.split(), kinesis.InvalidArgumentException, ended);
  await expectRefusal(scene.merge(), kinesis.InvalidArgumentException, ended);
  await expectRefusal(scene.split(absent), kinesis.ResourceNotFoundException);
  await expectRefusal(scene.merge(second, absent), kinesis.ResourceNotFoundException);
});

test('the records of a shard stay in it when it is split, and its children begin after it', async () => {
  const before = await scene.put('before');
  await scene.split();
  scene.clock.advance(100);
  const after = await scene.put('after');
  expect([before.ShardId, after.ShardId]).toEqual([first, third]);
  expect(BigInt(after.SequenceNumber ?? 0)).toBeGreaterThan(BigInt(before.SequenceNumber ?? 0));
  expect(await scene.read()).toEqual(['before']);
  expect(await scene.read({ ShardId: third })).toEqual(['after']);
});

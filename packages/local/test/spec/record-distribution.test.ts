// UpdateStreamRecordDistributionStrategy and what it does to records, sentence by sentence. What is refused to AUTO streams, and that
// their records may lack a partition key, is in capacity.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { arnOf, expectRefusal, specScene, textsOf } from './spec-scene.ts';

const scene = specScene({ streams: [{ name: 'provisioned' }], reshardMs: 100 });
const StreamName = 'traffic';
const StreamModeDetails = { StreamMode: 'ON_DEMAND' } as const;

async function create(RecordDistributionStrategy?: kinesis.RecordDistributionStrategy): Promise<void> {
  const input = { StreamName, StreamModeDetails };
  await scene.client.send(
    new kinesis.CreateStreamCommand(
      RecordDistributionStrategy === undefined ? input : { ...input, RecordDistributionStrategy },
    ),
  );
}

function update(
  RecordDistributionStrategy: kinesis.RecordDistributionStrategy,
  StreamARN = arnOf(StreamName),
): Promise<unknown> {
  const input = { StreamARN, RecordDistributionStrategy };
  return scene.client.send(new kinesis.UpdateStreamRecordDistributionStrategyCommand(input));
}

/** Puts records of one key; how many came to each shard, the fullest first. */
async function spread(count: number): Promise<number[]> {
  const Records = Array.from({ length: count }, () => ({
    PartitionKey: 'always the same',
    ExplicitHashKey: '0',
    Data: Buffer.from('x'),
  }));
  const answer = await scene.client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
  const counts = new Map<string | undefined, number>();
  for (const { ShardId } of answer.Records ?? []) counts.set(ShardId, (counts.get(ShardId) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => b - a);
}

test('AUTO: "Amazon Kinesis Data Streams distributes records evenly across shards …, and ignores any partition key and ExplicitHashKey that a producer provides"', async () => {
  await create('AUTO');
  expect(await spread(100)).toEqual([25, 25, 25, 25]);
});

test('USER_PARTITION_KEY: "Records that share a partition key are sent to the same shard. This is the default strategy"', async () => {
  await create();
  expect((await scene.summary(StreamName))?.RecordDistributionStrategy).toBe('USER_PARTITION_KEY');
  expect(await spread(100)).toEqual([100]);
});

test('"You can switch between the following strategies at any time, and the change takes effect immediately without downtime"; "New records that arrive after the change are distributed according to the new strategy"', async () => {
  await create();
  for (const [strategy, expected] of [
    ['AUTO', [2, 2, 2, 2]],
    ['USER_PARTITION_KEY', [8]],
    ['AUTO', [2, 2, 2, 2]],
  ] as const) {
    await update(strategy);
    expect(await scene.summary(StreamName)).toMatchObject({
      StreamStatus: 'ACTIVE',
      RecordDistributionStrategy: strategy,
    });
    expect(await spread(8)).toEqual(expected);
  }
});

test('"Records already in the stream keep their original shard assignments and are not redistributed"', async () => {
  await create();
  await spread(8);
  await update('AUTO');
  const ShardIterator = new kinesis.GetShardIteratorCommand({
    StreamName,
    ShardId: 'shardId-000000000000',
    ShardIteratorType: 'TRIM_HORIZON',
  });
  const { Records } = await scene.get((await scene.client.send(ShardIterator)).ShardIterator);
  expect(textsOf(Records)).toHaveLength(8);
});

test('"Attempting to set AUTO on a provisioned stream results in an InvalidArgumentException"; "The record distribution strategy is only supported for streams that use the on-demand capacity mode"', async () => {
  await expectRefusal(update('AUTO', arnOf('provisioned')), kinesis.InvalidArgumentException);
  const provisioned = { StreamName: 'new', ShardCount: 1, RecordDistributionStrategy: 'AUTO' } as const;
  await expectRefusal(
    scene.client.send(new kinesis.CreateStreamCommand(provisioned)),
    kinesis.InvalidArgumentException,
  );
  expect(await scene.summary('provisioned')).not.toHaveProperty('RecordDistributionStrategy');
});

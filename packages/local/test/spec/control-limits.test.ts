// Limits of calls and of changes under way, as each operation's page of the Kinesis API reference and "Quotas and limits" name them.
import * as kinesis from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { expect, test } from 'vitest';
import { startLocalKinesis } from '../../src/index.ts';
import { StreamARN, StreamName, specScene } from './spec-scene.ts';

const ShardId = 'shardId-000000000000';
const slowMs = 100_000;
const scene = specScene({
  controlLimits: true,
  streams: [{ name: StreamName }, { name: 'others' }],
  createStreamMs: slowMs,
  deleteStreamMs: slowMs,
  reshardMs: slowMs,
  registerConsumerMs: slowMs,
});
const { clock } = scene;

/** Calls until one is refused, and returns how many were not. */
async function countBeforeRefusal(call: (nth: number) => Promise<unknown>, upTo = 2000): Promise<[number, unknown]> {
  for (let nth = 0; nth < upTo; nth++) {
    try {
      await call(nth);
    } catch (error) {
      return [nth, error];
    }
  }
  return [upTo, undefined];
}

const describeStream = (name = StreamName): Promise<unknown> =>
  scene.client.send(new kinesis.DescribeStreamCommand({ StreamName: name }));
const create = (StreamName: string): Promise<unknown> =>
  scene.client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 1 }));
const register = (ConsumerName: string, arn = StreamARN): Promise<kinesis.RegisterStreamConsumerCommandOutput> =>
  scene.client.send(new kinesis.RegisterStreamConsumerCommand({ StreamARN: arn, ConsumerName }));

test('DescribeStream: "This operation has a limit of 10 transactions per second per account."', async () => {
  const [made, refused] = await countBeforeRefusal((nth) => describeStream(nth % 2 === 0 ? StreamName : 'others'));
  expect(made).toBe(10);
  expect(refused).toBeInstanceOf(kinesis.LimitExceededException);
  expect(refused).toMatchObject({ message: 'Rate exceeded for stream orders under account 000000000000.' });
  clock.advance(99);
  await expect(describeStream()).rejects.toThrow(kinesis.LimitExceededException);
  clock.advance(1);
  await describeStream();
});

test('each account and region has its own share, and one operation does not take from another', async () => {
  await countBeforeRefusal(() => describeStream());
  const elsewhere = createKinesisClient({ ...scene.local.clientConfig, region: 'eu-west-1', maxAttempts: 1 });
  await elsewhere.send(new kinesis.DescribeStreamCommand({ StreamName }));
  elsewhere.destroy();
  await scene.client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName }));
});

const limits: readonly [string, number, () => Promise<unknown>][] = [
  [
    'DescribeLimits: "one transaction per second per account"',
    1,
    () => scene.client.send(new kinesis.DescribeLimitsCommand()),
  ],
  [
    'ListStreams: "five transactions per second per account"',
    5,
    () => scene.client.send(new kinesis.ListStreamsCommand({})),
  ],
  [
    'DescribeStreamSummary: "20 transactions per second per account"',
    20,
    () => scene.client.send(new kinesis.DescribeStreamSummaryCommand({ StreamARN })),
  ],
  [
    'ListTagsForStream: "five transactions per second per account"',
    5,
    () => scene.client.send(new kinesis.ListTagsForStreamCommand({ StreamName })),
  ],
  [
    'AddTagsToStream: "five transactions per second per account"',
    5,
    () => scene.client.send(new kinesis.AddTagsToStreamCommand({ StreamName, Tags: { a: '1' } })),
  ],
  [
    'ListShards: "1000 transactions per second per data stream"',
    1000,
    () => scene.client.send(new kinesis.ListShardsCommand({ StreamName })),
  ],
  [
    'ListStreamConsumers: "5 transactions per second per stream"',
    5,
    () => scene.client.send(new kinesis.ListStreamConsumersCommand({ StreamARN })),
  ],
  [
    'DescribeAccountSettings: "TPS over 5 will initiate the LimitExceededException"',
    5,
    () => scene.client.send(new kinesis.DescribeAccountSettingsCommand({})),
  ],
];
test.each(limits)('%s', async (_, perSecond, call) => {
  const [made, refused] = await countBeforeRefusal(call);
  expect(made).toBe(perSecond);
  expect(refused).toBeInstanceOf(kinesis.LimitExceededException);
});

test('GetShardIterator: "made too often, you receive a ProvisionedThroughputExceededException"; five per second per open shard', async () => {
  const [made, refused] = await countBeforeRefusal(() =>
    scene.client.send(new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'LATEST' })),
  );
  expect(made).toBe(5);
  expect(refused).toBeInstanceOf(kinesis.ProvisionedThroughputExceededException);
  await scene.client.send(
    new kinesis.GetShardIteratorCommand({ StreamName: 'others', ShardId, ShardIteratorType: 'LATEST' }),
  );
});

test('SubscribeToShard: "one call to SubscribeToShard per second per registered consumer per shard"', async () => {
  const { Consumer } = await register('c');
  const subscribe = (): Promise<unknown> =>
    scene.client.send(
      new kinesis.SubscribeToShardCommand({
        ConsumerARN: Consumer?.ConsumerARN,
        ShardId,
        StartingPosition: { Type: 'LATEST' },
      }),
    );
  await expect(subscribe()).rejects.toThrow(kinesis.ResourceInUseException);
  await expect(subscribe()).rejects.toThrow(kinesis.LimitExceededException);
  clock.advance(1000);
  await expect(subscribe()).rejects.toThrow(kinesis.ResourceInUseException);
});

test('CreateStream: not "more than five streams in the CREATING state at any point in time"', async () => {
  for (let number = 0; number < 5; number++) {
    clock.advance(1000);
    await create(`s${number}`);
  }
  clock.advance(1000);
  const sixth = create('s5');
  await expect(sixth).rejects.toThrow(kinesis.LimitExceededException);
  await expect(sixth).rejects.toThrow(
    'This request would have exceed the limit on the number of streams that can simultaneously be in CREATING or DELETING for the account 000000000000. Limit: 5.',
  );
  const deleted = scene.client.send(new kinesis.DeleteStreamCommand({ StreamName }));
  await expect(deleted).rejects.toThrow(kinesis.LimitExceededException);
  clock.advance(100_000);
  await create('s5');
});

test('SplitShard, MergeShards: "on too many streams in parallel … you receive a LimitExceededException"', async () => {
  for (let number = 0; number < 5; number++) {
    clock.advance(1000);
    await create(`s${number}`);
  }
  clock.advance(100_000);
  const split = (name: string): Promise<unknown> =>
    scene.client.send(
      new kinesis.SplitShardCommand({
        StreamName: name,
        ShardToSplit: ShardId,
        NewStartingHashKey: String(2n ** 127n),
      }),
    );
  for (let number = 0; number < 5; number++) await split(`s${number}`);
  clock.advance(1000);
  await expect(split(StreamName)).rejects.toThrow(kinesis.LimitExceededException);
  clock.advance(100_000);
  await split(StreamName);
});

test('RegisterStreamConsumer: "Registering a 6th consumer while there are 5 in a CREATING status results in a LimitExceededException"', async () => {
  for (let number = 0; number < 5; number++) await register(`c${number}`);
  clock.advance(1000);
  const sixth = register('c5', StreamARN.replace(StreamName, 'others'));
  await expect(sixth).rejects.toThrow(kinesis.LimitExceededException);
  await expect(sixth).rejects.toThrow('simultaneously be in CREATING');
  clock.advance(100_000);
  await register('c5');
});

test('StartStreamEncryption: "You can successfully apply a new KMS key … 25 times in a rolling 24-hour period"', async () => {
  const start = (number: number): Promise<unknown> =>
    scene.client.send(
      new kinesis.StartStreamEncryptionCommand({ StreamName, EncryptionType: 'KMS', KeyId: `alias/key${number}` }),
    );
  const [made, refused] = await countBeforeRefusal(start);
  expect(made).toBe(25);
  expect(refused).toBeInstanceOf(kinesis.LimitExceededException);
  await start(24);
});

test('without controlLimits nothing of this is limited', async () => {
  await using free = await startLocalKinesis({ clock, streams: [{ name: StreamName }], createStreamMs: 1000 });
  const freely = createKinesisClient({ ...free.clientConfig, maxAttempts: 1 });
  for (let nth = 0; nth < 11; nth++) {
    await freely.send(new kinesis.DescribeStreamCommand({ StreamName }));
    await freely.send(new kinesis.CreateStreamCommand({ StreamName: `s${nth}`, ShardCount: 1 }));
  }
  freely.destroy();
});

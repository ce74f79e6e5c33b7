// The messages of refusals, word for word, as AWS gives them: kinesalite's tests found them there, or somebody's issue shows them.
import * as kinesis from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
const [first, second, missing] = ['shardId-000000000000', 'shardId-000000000001', 'shardId-000000000007'];
const Data = Buffer.from('x');
const clock = new ManualClock();
let local: LocalKinesis;
let client: kinesis.KinesisClient;

beforeAll(async () => {
  const streams = [{ name: StreamName, shardCount: 2 }, { name: 'others' }];
  local = await startLocalKinesis({ clock, streams, shardLimit: 3, reshardMs: 100, registerConsumerMs: 100 });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterAll(async () => {
  client.destroy();
  await local.close();
});
beforeEach(() => {
  local.reset();
  clock.advance(10_000);
});

type Refusal = abstract new (...args: never[]) => Error;

async function expectRefusal(call: Promise<unknown>, type: Refusal, message: string): Promise<void> {
  await expect(call).rejects.toThrow(type);
  await expect(call).rejects.toMatchObject({ message });
}

const split = (ShardToSplit: string, NewStartingHashKey: string): Promise<unknown> =>
  client.send(new kinesis.SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey }));
const merge = (ShardToMerge: string, AdjacentShardToMerge: string): Promise<unknown> =>
  client.send(new kinesis.MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge }));
const iterator = (input: Omit<kinesis.GetShardIteratorCommandInput, 'StreamName'>): Promise<unknown> =>
  client.send(new kinesis.GetShardIteratorCommand({ StreamName, ...input }));
const put = async (ExplicitHashKey: string, StreamNameOfPut = StreamName): Promise<string> => {
  const input = { StreamName: StreamNameOfPut, PartitionKey: 'k', Data, ExplicitHashKey };
  return (await client.send(new kinesis.PutRecordCommand(input))).SequenceNumber ?? '';
};

test('streams: one of that name is there, or none, or too many shards', async () => {
  const create = (name: string, ShardCount = 1): Promise<unknown> =>
    client.send(new kinesis.CreateStreamCommand({ StreamName: name, ShardCount }));
  await expectRefusal(
    create(StreamName),
    kinesis.ResourceInUseException,
    'Stream orders under account 000000000000 already exists.',
  );
  await expectRefusal(
    client.send(new kinesis.DescribeStreamCommand({ StreamName: 'none' })),
    kinesis.ResourceNotFoundException,
    'Stream none under account 000000000000 not found.',
  );
  await expectRefusal(
    create('more', 2),
    kinesis.LimitExceededException,
    'This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count for the account: 3. Limit: 3. Number of additional shards that would have resulted from this request: 2. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.',
  );
});

test('DeleteStream of a stream with consumers', async () => {
  await client.send(new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }));
  await expectRefusal(
    client.send(new kinesis.DeleteStreamCommand({ StreamName })),
    kinesis.ResourceInUseException,
    "DeleteStream can't delete 000000000000:orders because there are consumers associated with this data stream. To delete orders anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are associated with it.",
  );
});

test('retention: too short, too long, the wrong way', async () => {
  const change = (way: 'Increase' | 'Decrease', RetentionPeriodHours: number): Promise<unknown> => {
    const input = { StreamName, RetentionPeriodHours };
    if (way === 'Increase') return client.send(new kinesis.IncreaseStreamRetentionPeriodCommand(input));
    return client.send(new kinesis.DecreaseStreamRetentionPeriodCommand(input));
  };
  const refused: ['Increase' | 'Decrease', number, string][] = [
    [
      'Decrease',
      23,
      'Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.',
    ],
    [
      'Increase',
      -1,
      'Minimum allowed retention period is 24 hours. Requested retention period (-1 hours) is too short.',
    ],
    [
      'Increase',
      8761,
      'Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.',
    ],
    [
      'Increase',
      30,
      'Requested retention period (30 hours) for stream orders can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API.',
    ],
    [
      'Decrease',
      72,
      'Requested retention period (72 hours) for stream orders can not be longer than existing retention period (48 hours). Use IncreaseRetentionPeriod API.',
    ],
  ];
  await change('Increase', 48);
  for (const [way, hours, message] of refused) {
    await expectRefusal(change(way, hours), kinesis.InvalidArgumentException, message);
  }
});

test('SplitShard and MergeShards', async () => {
  const where = 'in stream orders under account 000000000000';
  const notFound = `Could not find shard ${missing} ${where}.`;
  await expectRefusal(split(missing, '5'), kinesis.ResourceNotFoundException, notFound);
  await expectRefusal(merge(first, missing), kinesis.ResourceNotFoundException, notFound);
  await expectRefusal(
    split(first, '1'),
    kinesis.InvalidArgumentException,
    `NewStartingHashKey 1 used in SplitShard() on shard ${first} ${where} is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey ${2n ** 127n - 1n}.`,
  );
  await merge(first, second);
  const updating = 'Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING';
  await expectRefusal(split(missing, '5'), kinesis.ResourceInUseException, updating);
  await expectRefusal(merge(first, second), kinesis.ResourceInUseException, updating);
  clock.advance(100);
  await expectRefusal(
    split(first, '5'),
    kinesis.InvalidArgumentException,
    `Shard ${first} ${where} has already been merged or split, and thus is not eligible for merging or splitting.`,
  );
});

test('GetShardIterator', async () => {
  const where = 'in stream orders under account 000000000000';
  await expectRefusal(
    iterator({ ShardId: missing, ShardIteratorType: 'LATEST' }),
    kinesis.ResourceNotFoundException,
    `Shard ${missing} ${where} does not exist`,
  );
  const pairing =
    'Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified';
  await expectRefusal(
    iterator({ ShardId: first, ShardIteratorType: 'LATEST', StartingSequenceNumber: '0' }),
    kinesis.InvalidArgumentException,
    `${pairing} LATEST and also a StartingSequenceNumber.`,
  );
  await expectRefusal(
    iterator({ ShardId: first, ShardIteratorType: 'AT_SEQUENCE_NUMBER' }),
    kinesis.InvalidArgumentException,
    `${pairing} AT_SEQUENCE_NUMBER and no StartingSequenceNumber.`,
  );
  await expectRefusal(
    iterator({ ShardId: first, ShardIteratorType: 'AT_TIMESTAMP' }),
    kinesis.InvalidArgumentException,
    'Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.',
  );
  const now = clock.wallNow();
  await expectRefusal(
    iterator({ ShardId: first, ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(now + 1) }),
    kinesis.InvalidArgumentException,
    `The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: ${now + 1}, currentTimestampInMillis: ${now}`,
  );
});

test('GetShardIterator with sequence numbers of others', async () => {
  const at = (StartingSequenceNumber: string): Promise<unknown> =>
    iterator({ ShardId: first, ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber });
  const used = (number: string): string =>
    `StartingSequenceNumber ${number} used in GetShardIterator on shard ${first} in stream orders under account 000000000000`;
  await expectRefusal(at('5'), kinesis.InvalidArgumentException, `${used('5')} is invalid.`);
  await expectRefusal(
    at(await put(String(2n ** 127n))),
    kinesis.InvalidArgumentException,
    `Invalid StartingSequenceNumber. It encodes ${second}, while it was used in a call to a shard with ${first}`,
  );
  await client.send(new kinesis.DeleteStreamCommand({ StreamName: 'others' }));
  clock.advance(5000);
  await client.send(new kinesis.CreateStreamCommand({ StreamName: 'others', ShardCount: 1 }));
  const foreign = await put('0', 'others');
  await expectRefusal(
    at(foreign),
    kinesis.InvalidArgumentException,
    `${used(foreign)} is invalid because it did not come from this stream.`,
  );
});

test('PutRecord after a number that is none, or of a time to come', async () => {
  const given = await put('0');
  const after = (SequenceNumberForOrdering: string): Promise<unknown> =>
    client.send(new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data, SequenceNumberForOrdering }));
  await after(given);
  const later = String(BigInt(given) + (1n << 36n));
  for (const number of ['5', later]) {
    await expectRefusal(
      after(number),
      kinesis.InvalidArgumentException,
      `ExclusiveMinimumSequenceNumber ${number} used in PutRecord on stream orders under account 000000000000 is invalid.`,
    );
  }
  clock.advance(1000);
  await after(later);
});

test('ListShards with neither of its two, or with both', async () => {
  await expectRefusal(
    client.send(new kinesis.ListShardsCommand({})),
    kinesis.InvalidArgumentException,
    'Either NextToken or StreamName should be provided.',
  );
  await expectRefusal(
    client.send(new kinesis.ListShardsCommand({ StreamName, NextToken: 'x' })),
    kinesis.InvalidArgumentException,
    'NextToken and StreamName cannot be provided together.',
  );
});

test('consumers: none of that name, or not ACTIVE', async () => {
  await expectRefusal(
    client.send(new kinesis.DescribeStreamConsumerCommand({ StreamARN, ConsumerName: 'none' })),
    kinesis.ResourceNotFoundException,
    'Consumer none, account 000000000000 not found.',
  );
  const { Consumer } = await client.send(new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }));
  const { ConsumerARN, ConsumerCreationTimestamp } = Consumer ?? {};
  const second = Math.floor(Number(ConsumerCreationTimestamp) / 1000);
  await expectRefusal(
    client.send(
      new kinesis.SubscribeToShardCommand({ ConsumerARN, ShardId: first, StartingPosition: { Type: 'LATEST' } }),
    ),
    kinesis.ResourceInUseException,
    `Consumer c with creation timestamp ${second} under stream: orders , account 000000000000 is not in ACTIVE status.`,
  );
});

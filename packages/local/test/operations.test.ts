// Every operation of the SDK: it is answered, or knowingly not there. And what holds for many of them alike: StreamId, and the
// stream by name, by ARN or by both. Which members an operation takes is read from the SDK's own schemas.
import * as kinesis from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
const onDemand = 'traffic';
const [first, second] = ['shardId-000000000000', 'shardId-000000000001'];
const KeyId = 'alias/aws/kinesis';
const Data = Buffer.from('x');
const Policy = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}}';
const StreamId = 'abcdefghij0123456789-x1z';

const clock = new ManualClock();
let local: LocalKinesis;
let client: kinesis.KinesisClient;
let ConsumerARN: string;
let ShardIterator: string;

beforeAll(async () => {
  local = await startLocalKinesis({ clock, limits: false, streams: [{ name: StreamName, shardCount: 2 }] });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterAll(async () => {
  client.destroy();
  await local.close();
});
beforeEach(() => {
  local.reset();
  clock.advance(1000);
  const { model } = local;
  const now = clock.wallNow();
  model.setAccount((settings) => ({ ...settings, commitment: { startedMs: now, earliestEndMs: now, endMs: null } }));
  model.createStream({ name: onDemand, mode: 'ON_DEMAND' }, now);
  model.set({ streamName: StreamName }, () => ({ policy: Policy, tags: { a: '1' } }), now);
  model.registerConsumer({ streamName: StreamName, consumerName: 'billing' }, now);
  ConsumerARN = `${StreamARN}/consumer/billing:${Math.floor(now / 1000)}`;
  const position = { kind: 'TRIM_HORIZON' } as const;
  ShardIterator = model.getShardIterator({ streamName: StreamName, shardId: first, position }, now);
});

/** A request that succeeds on the streams above, without what names a stream that may be named in two ways. */
const requests: Readonly<Record<string, () => object>> = {
  AddTagsToStream: () => ({ Tags: { b: '2' } }),
  CreateStream: () => ({ StreamName: 'new', ShardCount: 1 }),
  DecreaseStreamRetentionPeriod: () => ({ RetentionPeriodHours: 24 }),
  DeleteResourcePolicy: () => ({ ResourceARN: StreamARN }),
  DeleteStream: () => ({ EnforceConsumerDeletion: true }),
  DeregisterStreamConsumer: () => ({ ConsumerARN }),
  DescribeAccountSettings: () => ({}),
  DescribeLimits: () => ({}),
  DescribeStream: () => ({}),
  DescribeStreamConsumer: () => ({ ConsumerARN }),
  DescribeStreamSummary: () => ({}),
  DisableEnhancedMonitoring: () => ({ ShardLevelMetrics: ['ALL'] }),
  EnableEnhancedMonitoring: () => ({ ShardLevelMetrics: ['ALL'] }),
  GetRecords: () => ({ ShardIterator }),
  GetResourcePolicy: () => ({ ResourceARN: StreamARN }),
  GetShardIterator: () => ({ ShardId: first, ShardIteratorType: 'LATEST' }),
  IncreaseStreamRetentionPeriod: () => ({ RetentionPeriodHours: 48 }),
  ListShards: () => ({}),
  ListStreamConsumers: () => ({ StreamARN }),
  ListStreams: () => ({}),
  ListTagsForResource: () => ({ ResourceARN: ConsumerARN }),
  ListTagsForStream: () => ({}),
  MergeShards: () => ({ ShardToMerge: first, AdjacentShardToMerge: second }),
  PutRecord: () => ({ PartitionKey: 'k', Data }),
  PutRecords: () => ({ Records: [{ PartitionKey: 'k', Data }] }),
  PutResourcePolicy: () => ({ ResourceARN: ConsumerARN, Policy }),
  RegisterStreamConsumer: () => ({ StreamARN, ConsumerName: 'shipping' }),
  RemoveTagsFromStream: () => ({ TagKeys: ['a'] }),
  SplitShard: () => ({ ShardToSplit: first, NewStartingHashKey: String(2n ** 126n) }),
  StartStreamEncryption: () => ({ EncryptionType: 'KMS', KeyId }),
  StopStreamEncryption: () => ({ EncryptionType: 'KMS', KeyId }),
  SubscribeToShard: () => ({ ConsumerARN, ShardId: first, StartingPosition: { Type: 'LATEST' } }),
  TagResource: () => ({ ResourceARN: ConsumerARN, Tags: { b: '2' } }),
  UntagResource: () => ({ ResourceARN: StreamARN, TagKeys: ['a'] }),
  UpdateAccountSettings: () => ({ MinimumThroughputBillingCommitment: { Status: 'DISABLED' } }),
  UpdateMaxRecordSize: () => ({ StreamARN, MaxRecordSizeInKiB: 2048 }),
  UpdateShardCount: () => ({ TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' }),
  UpdateStreamMode: () => ({ StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } }),
  UpdateStreamRecordDistributionStrategy: () => ({
    StreamARN: StreamARN.replace(StreamName, onDemand),
    RecordDistributionStrategy: 'AUTO',
  }),
  UpdateStreamWarmThroughput: () => ({ WarmThroughputMiBps: 6 }),
};

/** Channels deliver to Amazon S3: another service, and nothing that a producer or a consumer meets. */
const notThere: Readonly<Record<string, object>> = {
  CreateChannel: {
    ChannelName: 'c',
    ServiceExecutionRoleARN: 'arn:aws:iam::000000000000:role/r',
    StreamConfigurationList: [],
  },
  DeleteChannel: { ChannelARN: 'arn:aws:kinesis:us-east-1:000000000000:channel/c' },
  DescribeChannel: { ChannelARN: 'arn:aws:kinesis:us-east-1:000000000000:channel/c' },
  ListChannels: {},
  UpdateChannel: { ChannelARN: 'arn:aws:kinesis:us-east-1:000000000000:channel/c' },
};

const sdk = kinesis as unknown as Readonly<Record<string, unknown>>;
const operationsOfSdk = Object.keys(sdk)
  .filter((name) => /^\w+Command$/.test(name))
  .map((name) => name.slice(0, -'Command'.length));

/** The names of an operation's members: an operation's schema leads to its input's, whose fifth element lists them. */
function membersOf(operation: string): readonly string[] {
  const schema = sdk[`${operation}$`] as readonly [unknown, string, string, unknown, () => readonly unknown[]];
  const input = schema[4]();
  return (input[4] ?? []) as readonly string[];
}

async function send(operation: string, input: object, streamId?: string): Promise<unknown> {
  const Command = sdk[`${operation}Command`] as new (input: object) => kinesis.ListStreamsCommand;
  const command = new Command(input);
  if (streamId !== undefined) addStreamId(command, streamId);
  const answer = (await client.send(command)) as unknown as kinesis.SubscribeToShardCommandOutput;
  for await (const _ of answer.EventStream ?? []) break;
  return answer;
}

/** Into the body: given as a member, it leads the SDK to a host of AWS's that is named after it, whatever the endpoint. */
function addStreamId(command: kinesis.ListStreamsCommand, streamId: string): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: string; headers: Record<string, string> };
      request.body = JSON.stringify({ ...JSON.parse(String(request.body)), StreamId: streamId });
      request.headers['content-length'] = String(Buffer.byteLength(request.body));
      return next(args);
    },
    { step: 'build', priority: 'low' },
  );
}

const namesStream = (operation: string): boolean =>
  ['StreamName', 'StreamARN'].every((member) => membersOf(operation).includes(member));

/** The stream that a request of these is about. */
function nameFor(operation: string): string {
  return operation === 'UpdateStreamWarmThroughput' ? onDemand : StreamName;
}

function requestFor(operation: string): object {
  const request = requests[operation]?.() ?? {};
  return namesStream(operation) ? { StreamName: nameFor(operation), ...request } : request;
}

test('every operation of the SDK is in one of the two tables, and nothing else is', () => {
  expect([...Object.keys(requests), ...Object.keys(notThere)].toSorted()).toEqual(operationsOfSdk.toSorted());
});

test.each(Object.keys(requests))('%s is answered', async (operation) => {
  await expect(send(operation, requestFor(operation))).resolves.toMatchObject({ $metadata: { httpStatusCode: 200 } });
});

test.each(Object.keys(notThere))('%s is knowingly not there', async (operation) => {
  await expect(send(operation, notThere[operation] ?? {})).rejects.toMatchObject({ name: 'UnknownOperationException' });
});

describe('StreamId is "Not Implemented. Reserved for future use."', () => {
  const takers = Object.keys(requests).filter((operation) => membersOf(operation).includes('StreamId'));

  test('nearly all operations take one', () => {
    expect(takers).toHaveLength(Object.keys(requests).length - 5);
  });

  test.each(takers)('%s ignores one, and refuses what is none', async (operation) => {
    const request = requestFor(operation);
    const refused = send(operation, request, 'orders');
    await expect(refused).rejects.toThrow(kinesis.ValidationException);
    await expect(refused).rejects.toThrow(
      "Value 'orders' at 'streamId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z0-9]{20}-[a-z0-9]{3}",
    );
    await send(operation, request, StreamId);
  });
});

describe('"you must use either the StreamARN or the StreamName parameter, or both"', () => {
  const both = Object.keys(requests).filter(namesStream);

  test('that is said of 20 operations', () => {
    expect(both).toHaveLength(20);
  });

  test.each(both)('%s', async (operation) => {
    const request = requests[operation]?.() ?? {};
    const name = nameFor(operation);
    const arn = StreamARN.replace(StreamName, name);
    await expect(send(operation, request)).rejects.toThrow(kinesis.InvalidArgumentException);
    const contradiction = { ...request, StreamName: name, StreamARN: `${arn}s` };
    await expect(send(operation, contradiction)).rejects.toThrow(kinesis.InvalidArgumentException);
    const unknown = { ...request, StreamName: 'none' };
    await expect(send(operation, unknown)).rejects.toThrow(kinesis.ResourceNotFoundException);
    await send(operation, { ...request, StreamName: name, StreamARN: arn });
  });

  test.each(both)('%s, by ARN alone', async (operation) => {
    await send(operation, { ...requests[operation]?.(), StreamARN: StreamARN.replace(StreamName, nameFor(operation)) });
  });
});

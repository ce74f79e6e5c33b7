// CreateStream, DeleteStream, DescribeStream and DescribeStreamSummary, sentence by sentence. Tags are in tags.test.ts, warm
// throughput in account.test.ts, AUTO streams and large records in capacity.test.ts, encryption and monitoring in settings.test.ts,
// regions and accounts in accounts.test.ts, how many streams may be CREATING in control-limits.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { arnOf, expectRefusal, first, fourth, StreamARN, StreamName, second, specScene, third } from './spec-scene.ts';

const scene = specScene({ createStreamMs: 100, deleteStreamMs: 100, shardLimit: 300 });
const Data = Buffer.from('x');
const notFound = (name: string): string => `Stream ${name} under account 000000000000 not found.`;

function create(name: string, ShardCount = 1): Promise<unknown> {
  return scene.client.send(new kinesis.CreateStreamCommand({ StreamName: name, ShardCount }));
}

function put(name: string): Promise<kinesis.PutRecordCommandOutput> {
  return scene.client.send(new kinesis.PutRecordCommand({ StreamName: name, PartitionKey: 'k', Data }));
}

async function describe(
  input: kinesis.DescribeStreamCommandInput = { StreamName },
): Promise<kinesis.StreamDescription | undefined> {
  return (await scene.client.send(new kinesis.DescribeStreamCommand(input))).StreamDescription;
}

function drop(input: kinesis.DeleteStreamCommandInput = { StreamName }): Promise<unknown> {
  return scene.client.send(new kinesis.DeleteStreamCommand(input));
}

async function register(): Promise<string | undefined> {
  const command = new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' });
  return (await scene.client.send(command)).Consumer?.ConsumerARN;
}

/** What both descriptions tell of a stream `new` that is as it was made. */
function described(createdMs: number): object {
  return {
    StreamName: 'new',
    StreamARN: arnOf('new'),
    StreamStatus: 'ACTIVE',
    StreamModeDetails: { StreamMode: 'PROVISIONED' },
    StreamCreationTimestamp: new Date(createdMs),
    RetentionPeriodHours: 24,
    EnhancedMonitoring: [{ ShardLevelMetrics: [] }],
    EncryptionType: 'NONE',
  };
}

test('CreateStream: "Upon receiving a CreateStream request, Kinesis Data Streams immediately returns and sets the stream status to CREATING. After the stream is created, Kinesis Data Streams sets the stream status to ACTIVE"', async () => {
  await create('new', 3);
  expect(await scene.summary('new')).toMatchObject({ StreamStatus: 'CREATING', OpenShardCount: 0 });
  expect(await describe({ StreamName: 'new' })).toMatchObject({ StreamStatus: 'CREATING', Shards: [] });
  scene.clock.advance(100);
  expect(await scene.summary('new')).toMatchObject({ StreamStatus: 'ACTIVE', OpenShardCount: 3 });
});

test('CreateStream: "You should perform read and write operations only on an ACTIVE stream"', async () => {
  await create('new');
  await expectRefusal(put('new'), kinesis.ResourceNotFoundException, notFound('new'));
  scene.clock.advance(100);
  expect((await put('new')).ShardId).toBe(first);
});

test('ListShards, RegisterStreamConsumer, ListStreamConsumers: ResourceInUseException, "The resource is not available for this operation", while a stream is CREATING or DELETING', async () => {
  const { client } = scene;
  const arn = arnOf('new');
  const calls = [
    () => client.send(new kinesis.ListShardsCommand({ StreamARN: arn })),
    () => client.send(new kinesis.RegisterStreamConsumerCommand({ StreamARN: arn, ConsumerName: 'reader' })),
    () => client.send(new kinesis.ListStreamConsumersCommand({ StreamARN: arn })),
  ];
  const expectRefusals = async (state: string): Promise<void> => {
    const message = `Stream new under account 000000000000 not ACTIVE or UPDATING, instead in state ${state}`;
    for (const call of calls) await expectRefusal(call(), kinesis.ResourceInUseException, message);
  };
  await create('new');
  await expectRefusals('CREATING');
  scene.clock.advance(100);
  for (const call of calls) await call();
  await drop({ StreamName: 'new', EnforceConsumerDeletion: true });
  await expectRefusals('DELETING');
});

test('CreateStream: "For the data streams with a provisioned mode, you must specify the number of shards for the data stream"; "With the on-demand mode, Kinesis Data Streams automatically manages the shards"', async () => {
  const { client } = scene;
  const input = { StreamName: 'new' };
  const refusal = (rule: string): string => `ShardCount ${rule}`;
  const onDemand = { ...input, StreamModeDetails: { StreamMode: 'ON_DEMAND' } } as const;
  await expectRefusal(
    client.send(new kinesis.CreateStreamCommand(input)),
    kinesis.ValidationException,
    refusal('must be specified for a stream in PROVISIONED mode.'),
  );
  await expectRefusal(
    client.send(new kinesis.CreateStreamCommand({ ...onDemand, ShardCount: 1 })),
    kinesis.ValidationException,
    refusal('must not be specified for a stream in ON_DEMAND mode.'),
  );
  await client.send(new kinesis.CreateStreamCommand(onDemand));
  scene.clock.advance(100);
  expect(await scene.summary('new')).toMatchObject({
    StreamModeDetails: { StreamMode: 'ON_DEMAND' },
    OpenShardCount: 4,
  });
});

test('CreateStream: "The stream name identifies the stream": there is one of a name, in whatever status', async () => {
  const exists = 'Stream orders under account 000000000000 already exists.';
  await expectRefusal(create(StreamName), kinesis.ResourceInUseException, exists);
  await drop();
  await expectRefusal(create(StreamName), kinesis.ResourceInUseException, exists);
  scene.clock.advance(100);
  await create(StreamName);
});

test('CreateStream: "You receive a LimitExceededException when … you try to … Create more shards than are authorized for your account"', async () => {
  await expectRefusal(create('new', 299), kinesis.LimitExceededException);
  await create('new', 298);
});

test('DeleteStream: "After a DeleteStream request, the specified stream is in the DELETING state until Kinesis Data Streams completes the deletion"', async () => {
  await drop();
  expect((await scene.summary())?.StreamStatus).toBe('DELETING');
  await expectRefusal(drop(), kinesis.ResourceInUseException);
  scene.clock.advance(100);
  await expectRefusal(describe(), kinesis.ResourceNotFoundException, notFound(StreamName));
});

test('DeleteStream: "Deletes a Kinesis data stream and all its shards and data"; a new one of the same name is empty', async () => {
  await scene.put('old');
  await scene.split();
  await drop();
  scene.clock.advance(100);
  await create(StreamName, 2);
  scene.clock.advance(100);
  expect((await scene.shards()).map(({ ShardId }) => ShardId)).toEqual([first, second]);
  expect(await scene.read()).toEqual([]);
});

test('DeleteStream: "If an application attempts to operate on a deleted stream, it receives the exception ResourceNotFoundException"', async () => {
  const ConsumerARN = await register();
  const ShardIterator = await scene.iterator();
  await drop({ StreamName, EnforceConsumerDeletion: true });
  scene.clock.advance(100);
  const StartingPosition = { Type: 'LATEST' } as const;
  for (const call of [
    () => scene.put('x'),
    () => scene.get(ShardIterator),
    () => scene.iterator(),
    () => scene.shards(),
    () => scene.split(),
    () => scene.summary(),
    () => drop(),
    () => scene.client.send(new kinesis.SubscribeToShardCommand({ ConsumerARN, ShardId: first, StartingPosition })),
    () => scene.client.send(new kinesis.ListStreamConsumersCommand({ StreamARN })),
  ]) {
    await expectRefusal(call(), kinesis.ResourceNotFoundException);
  }
});

test('EnforceConsumerDeletion: "If this parameter is unset (null) or if you set it to false, and the stream has registered consumers, the call to DeleteStream fails with a ResourceInUseException"', async () => {
  await drop({ StreamARN: arnOf(StreamName), EnforceConsumerDeletion: false });
  scene.local.reset();
  await register();
  for (const input of [{ StreamName }, { StreamName, EnforceConsumerDeletion: false }]) {
    await expectRefusal(drop(input), kinesis.ResourceInUseException);
  }
  await drop({ StreamName, EnforceConsumerDeletion: true });
});

test('DescribeStream: "The information returned includes the stream name, Amazon Resource Name (ARN), creation time, enhanced metric configuration, and shard map"', async () => {
  const createdMs = scene.clock.wallNow();
  await create('new', 2);
  scene.clock.advance(100);
  expect(await describe({ StreamName: 'new' })).toEqual({
    ...described(createdMs),
    HasMoreShards: false,
    Shards: await scene.client.send(new kinesis.ListShardsCommand({ StreamName: 'new' })).then(({ Shards }) => Shards),
  });
});

test('DescribeStream: "use the ID of the parent shard to track the lineage to the oldest shard"', async () => {
  await scene.split();
  await scene.merge(fourth, second);
  const { Shards = [] } = (await describe()) ?? {};
  expect(Shards.map((shard) => [shard.ShardId, shard.ParentShardId, shard.AdjacentParentShardId])).toEqual([
    [first, undefined, undefined],
    [second, undefined, undefined],
    [third, first, undefined],
    [fourth, first, undefined],
    ['shardId-000000000004', fourth, second],
  ]);
});

test('DescribeStream, Limit: "The default value is 100. If you specify a value greater than 100, at most 100 results are returned"; HasMoreShards: "If set to true, more shards in the stream are available to describe"', async () => {
  await create('large', 101);
  scene.clock.advance(100);
  const page = async (input: object): Promise<unknown> => {
    const { Shards, HasMoreShards } = (await describe({ StreamName: 'large', ...input })) ?? {};
    return [Shards?.length, HasMoreShards];
  };
  expect(await page({})).toEqual([100, true]);
  expect(await page({ Limit: 101 })).toEqual([100, true]);
  expect(await page({ Limit: 10_000 })).toEqual([100, true]);
  expect(await page({ Limit: 7 })).toEqual([7, true]);
});

test('DescribeStream, ExclusiveStartShardId: "describe the stream starting with the shard whose ID immediately follows ExclusiveStartShardId", by default "starting with the first shard in the stream"', async () => {
  await scene.split();
  const seen: (string | undefined)[] = [];
  let more: kinesis.StreamDescription | undefined = await describe({ StreamName, Limit: 3 });
  seen.push(...(more?.Shards ?? []).map(({ ShardId }) => ShardId));
  expect(more?.HasMoreShards).toBe(true);
  more = await describe({ StreamName, ExclusiveStartShardId: seen.at(-1) });
  seen.push(...(more?.Shards ?? []).map(({ ShardId }) => ShardId));
  expect([seen, more?.HasMoreShards]).toEqual([[first, second, third, fourth], false]);
});

test('DescribeStreamSummary: "The information returned includes the stream name, Amazon Resource Name (ARN), status, record retention period, approximate creation time, monitoring, encryption details, and open shard count", "without the shard list"', async () => {
  const createdMs = scene.clock.wallNow();
  await create('new', 2);
  scene.clock.advance(100);
  expect(await scene.summary('new')).toEqual({
    ...described(createdMs),
    OpenShardCount: 2,
    ConsumerCount: 0,
    MaxRecordSizeInKiB: 1024,
  });
});

test('DescribeStreamSummary: OpenShardCount is "The number of open shards in the stream", ConsumerCount "The number of enhanced fan-out consumers registered with the stream"', async () => {
  await register();
  await scene.split();
  expect(await scene.summary()).toMatchObject({ OpenShardCount: 3, ConsumerCount: 1 });
  await scene.merge(third, fourth);
  expect((await scene.summary())?.OpenShardCount).toBe(2);
});

test('DescribeStream, DescribeStreamSummary: "The requested resource could not be found. The stream might not be specified correctly"', async () => {
  await expectRefusal(describe({ StreamName: 'absent' }), kinesis.ResourceNotFoundException, notFound('absent'));
  await expectRefusal(scene.summary('absent'), kinesis.ResourceNotFoundException, notFound('absent'));
});

// The AWS SDK for JavaScript against the local server over real sockets: its default handler (HTTP/2 by prior knowledge) and
// HTTP/1.1 keep-alive, each through every operation.
import * as kinesis from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const first = 'shardId-000000000000';
const clock = new ManualClock();
let local: LocalKinesis;

beforeAll(async () => {
  local = await startLocalKinesis({ clock, streams: [{ name: StreamName, shardCount: 2 }], reshardMs: 100 });
});
afterAll(() => local.close());
beforeEach(() => local.reset());

const protocols = [
  { protocol: 'HTTP/2', connect: () => new kinesis.KinesisClient({ ...local.clientConfig, maxAttempts: 1 }) },
  { protocol: 'HTTP/1.1', connect: () => createKinesisClient({ ...local.clientConfig, maxAttempts: 1 }) },
];

describe.each(protocols)('over $protocol', ({ connect }) => {
  let client: kinesis.KinesisClient;
  beforeEach(() => {
    client = connect();
    return () => client.destroy();
  });

  async function readAll(ShardId: string): Promise<{ texts: string[]; children: (string | undefined)[] }> {
    const { ShardIterator } = await client.send(
      new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
    );
    const { Records = [], ChildShards = [] } = await client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
    return {
      texts: Records.map(({ Data }) => Buffer.from(Data ?? []).toString()),
      children: ChildShards.map(({ ShardId: childId }) => childId),
    };
  }

  test('what is put is read, byte for byte, by name and by ARN', async () => {
    const { StreamDescriptionSummary: summary } = await client.send(
      new kinesis.DescribeStreamSummaryCommand({ StreamName }),
    );
    expect(summary).toMatchObject({
      StreamARN: `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`,
      StreamStatus: 'ACTIVE',
      OpenShardCount: 2,
      RetentionPeriodHours: 24,
      StreamCreationTimestamp: new Date(clock.wallNow()),
    });
    const StreamARN = summary?.StreamARN;
    const Data = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const PartitionKey = '"k\u00e9y\\ \u{1f600}\u2028';
    const put = await client.send(new kinesis.PutRecordCommand({ StreamARN, PartitionKey, Data }));
    const { ShardIterator } = await client.send(
      new kinesis.GetShardIteratorCommand({
        StreamARN,
        ShardId: put.ShardId,
        ShardIteratorType: 'AT_SEQUENCE_NUMBER',
        StartingSequenceNumber: put.SequenceNumber,
      }),
    );
    const { Records, MillisBehindLatest } = await client.send(
      new kinesis.GetRecordsCommand({ ShardIterator, StreamARN }),
    );
    expect(Records).toHaveLength(1);
    expect(Records?.[0]).toMatchObject({
      PartitionKey,
      SequenceNumber: put.SequenceNumber,
      ApproximateArrivalTimestamp: new Date(clock.wallNow()),
    });
    expect(Buffer.from(Records?.[0]?.Data ?? [])).toEqual(Data);
    expect(MillisBehindLatest).toBe(0);
  });

  test('PutRecords answers each record in order; throttled ones are told one by one', async () => {
    const Records = Array.from({ length: 500 }, (_, index) => ({
      PartitionKey: 'hot',
      Data: Buffer.from(String(index)),
      ExplicitHashKey: '0',
    }));
    for (const failed of [0, 0, 500]) {
      const answer = await client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
      expect(answer.FailedRecordCount).toBe(failed);
      expect(answer.Records).toHaveLength(500);
      if (failed > 0) {
        expect(answer.Records?.[0]).toMatchObject({ ErrorCode: 'ProvisionedThroughputExceededException' });
      }
    }
    const { texts } = await readAll(first);
    expect(texts).toEqual([...Records, ...Records].map(({ Data }) => Data.toString()));
  });

  test('5 MiB at once and back', async () => {
    const Data = Buffer.alloc(1024 * 1024 - 8, 'x');
    const Records = ['0', String(2n ** 127n)].map((ExplicitHashKey) => ({ PartitionKey: 'k', Data, ExplicitHashKey }));
    const answer = await client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
    expect(answer.FailedRecordCount).toBe(0);
    const { texts } = await readAll(first);
    expect(texts.map((text) => text.length)).toEqual([Data.length]);
  });

  test('a split and a merge: UPDATING, ChildShards at the end, ListShards with filters and pages', async () => {
    await client.send(
      new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from('a'), ExplicitHashKey: '0' }),
    );
    await client.send(
      new kinesis.SplitShardCommand({ StreamName, ShardToSplit: first, NewStartingHashKey: String(2n ** 126n) }),
    );
    const updating = await client.send(new kinesis.DescribeStreamCommand({ StreamName }));
    expect(updating.StreamDescription?.StreamStatus).toBe('UPDATING');
    clock.advance(100);
    expect(await readAll(first)).toEqual({
      texts: ['a'],
      children: ['shardId-000000000002', 'shardId-000000000003'],
    });
    await client.send(
      new kinesis.MergeShardsCommand({
        StreamName,
        ShardToMerge: 'shardId-000000000003',
        AdjacentShardToMerge: 'shardId-000000000001',
      }),
    );
    clock.advance(100);
    const { StreamDescription } = await client.send(new kinesis.DescribeStreamCommand({ StreamName, Limit: 3 }));
    expect([StreamDescription?.StreamStatus, StreamDescription?.HasMoreShards]).toEqual(['ACTIVE', true]);
    const list = async (input: Omit<kinesis.ListShardsCommandInput, 'StreamName'>): Promise<(string | undefined)[]> => {
      const { Shards = [] } = await client.send(new kinesis.ListShardsCommand({ StreamName, ...input }));
      return Shards.map(({ ShardId }) => ShardId?.slice(-1));
    };
    expect(await list({})).toEqual(['0', '1', '2', '3', '4']);
    expect(await list({ ShardFilter: { Type: 'AT_TRIM_HORIZON' } })).toEqual(['0', '1']);
    expect(await list({ ShardFilter: { Type: 'AT_LATEST' } })).toEqual(['2', '4']);
    expect(await list({ ShardFilter: { Type: 'AFTER_SHARD_ID', ShardId: first } })).toEqual(['1', '2', '3', '4']);
    const Timestamp = new Date(clock.wallNow() - 50);
    expect(await list({ ShardFilter: { Type: 'AT_TIMESTAMP', Timestamp } })).toEqual(['1', '2', '3']);
    expect(await list({ ShardFilter: { Type: 'FROM_TIMESTAMP', Timestamp } })).toEqual(['1', '2', '3', '4']);
    const seen: (string | undefined)[] = [];
    for (let NextToken: string | undefined, page = 0; page === 0 || NextToken !== undefined; page++) {
      const input = NextToken === undefined ? { StreamName, MaxResults: 2 } : { NextToken, MaxResults: 2 };
      const answer = await client.send(new kinesis.ListShardsCommand(input));
      seen.push(...(answer.Shards ?? []).map(({ ShardId }) => ShardId?.slice(-1)));
      NextToken = answer.NextToken;
    }
    expect(seen).toEqual(['0', '1', '2', '3', '4']);
    const merged = await client.send(
      new kinesis.ListShardsCommand({
        StreamName,
        ShardFilter: { Type: 'AFTER_SHARD_ID', ShardId: 'shardId-000000000003' },
      }),
    );
    expect(merged.Shards).toEqual([
      {
        ShardId: 'shardId-000000000004',
        ParentShardId: 'shardId-000000000003',
        AdjacentParentShardId: 'shardId-000000000001',
        HashKeyRange: { StartingHashKey: String(2n ** 126n), EndingHashKey: String(2n ** 128n - 1n) },
        SequenceNumberRange: { StartingSequenceNumber: expect.stringMatching(/^\d{56}$/) },
      },
    ]);
  });

  test('streams are made, listed by pages, kept longer and deleted', async () => {
    for (const name of ['b', 'a', 'c'])
      await client.send(new kinesis.CreateStreamCommand({ StreamName: name, ShardCount: 1 }));
    await client.send(
      new kinesis.CreateStreamCommand({ StreamName: 'd', StreamModeDetails: { StreamMode: 'ON_DEMAND' } }),
    );
    await kinesis.waitUntilStreamExists({ client, minDelay: 1, maxWaitTime: 5 }, { StreamName: 'd' });
    const names: string[] = [];
    for await (const page of kinesis.paginateListStreams({ client, pageSize: 2 }, {}))
      names.push(...(page.StreamNames ?? []));
    expect(names).toEqual(['a', 'b', 'c', 'd', StreamName]);
    const onDemand = await client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName: 'd' }));
    expect(onDemand.StreamDescriptionSummary).toMatchObject({
      OpenShardCount: 4,
      StreamModeDetails: { StreamMode: 'ON_DEMAND' },
    });
    await client.send(new kinesis.IncreaseStreamRetentionPeriodCommand({ StreamName: 'a', RetentionPeriodHours: 48 }));
    await client.send(new kinesis.DecreaseStreamRetentionPeriodCommand({ StreamName: 'a', RetentionPeriodHours: 30 }));
    const { StreamDescription } = await client.send(new kinesis.DescribeStreamCommand({ StreamName: 'a' }));
    expect(StreamDescription?.RetentionPeriodHours).toBe(30);
    await client.send(new kinesis.DeleteStreamCommand({ StreamName: 'a' }));
    await expect(client.send(new kinesis.DescribeStreamCommand({ StreamName: 'a' }))).rejects.toThrow(
      kinesis.ResourceNotFoundException,
    );
  });

  test('consumers are registered, described, listed by pages and deregistered', async () => {
    const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
    const registered: (string | undefined)[] = [];
    for (const ConsumerName of ['x', 'y', 'z']) {
      const { Consumer } = await client.send(new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName }));
      registered.push(Consumer?.ConsumerARN);
    }
    const { ConsumerDescription } = await client.send(
      new kinesis.DescribeStreamConsumerCommand({ ConsumerARN: registered[1] }),
    );
    expect(ConsumerDescription).toMatchObject({ ConsumerName: 'y', ConsumerStatus: 'ACTIVE', StreamARN });
    await client.send(new kinesis.DeregisterStreamConsumerCommand({ StreamARN, ConsumerName: 'y' }));
    const names: (string | undefined)[] = [];
    for await (const page of kinesis.paginateListStreamConsumers({ client, pageSize: 1 }, { StreamARN })) {
      names.push(...(page.Consumers ?? []).map(({ ConsumerName }) => ConsumerName));
    }
    expect(names).toEqual(['x', 'z']);
    await expect(
      client.send(new kinesis.DescribeStreamConsumerCommand({ ConsumerARN: registered[1] })),
    ).rejects.toThrow(kinesis.ResourceNotFoundException);
  });

  test("refusals arrive as the SDK's modelled exceptions", async () => {
    const Data = Buffer.from('x');
    const stale = await client.send(
      new kinesis.GetShardIteratorCommand({ StreamName, ShardId: first, ShardIteratorType: 'LATEST' }),
    );
    clock.advance(300_001);
    const refused: [
      kinesis.KinesisServiceException['name'],
      Promise<unknown>,
      abstract new (...args: never[]) => Error,
    ][] = [
      [
        'stream',
        client.send(new kinesis.PutRecordCommand({ StreamName: 'none', PartitionKey: 'k', Data })),
        kinesis.ResourceNotFoundException,
      ],
      [
        'name',
        client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 1 })),
        kinesis.ResourceInUseException,
      ],
      [
        'iterator',
        client.send(new kinesis.GetRecordsCommand({ ShardIterator: 'garbage' })),
        kinesis.InvalidArgumentException,
      ],
      [
        'age',
        client.send(new kinesis.GetRecordsCommand({ ShardIterator: stale.ShardIterator })),
        kinesis.ExpiredIteratorException,
      ],
      [
        'shards',
        client.send(new kinesis.CreateStreamCommand({ StreamName: 'x', ShardCount: 99_999 })),
        kinesis.LimitExceededException,
      ],
      [
        'hash key',
        client.send(
          new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data, ExplicitHashKey: String(2n ** 128n) }),
        ),
        kinesis.InvalidArgumentException,
      ],
      [
        'no key',
        client.send(new kinesis.PutRecordCommand({ StreamName, PartitionKey: '', Data })),
        kinesis.ValidationException,
      ],
      ['token', client.send(new kinesis.ListShardsCommand({ NextToken: 'garbage' })), kinesis.InvalidArgumentException],
      [
        'both',
        client.send(new kinesis.ListShardsCommand({ NextToken: 'garbage', StreamName })),
        kinesis.InvalidArgumentException,
      ],
      ['neither', client.send(new kinesis.ListShardsCommand({})), kinesis.InvalidArgumentException],
    ];
    for (const [what, call, type] of refused) await expect(call, what).rejects.toThrow(type);
  });
});

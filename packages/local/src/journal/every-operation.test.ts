// Every operation of the server, one after the other, each followed by a kill: what it changed is what a new start finds. An
// operation that is new is missing here until it is added, and forgets to tell the journal only against this test.
import { silentLogger } from '@shardline/common';
import { expect, test } from 'vitest';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { DEFAULT_CALLER } from '../server/caller.ts';
import { jsonFormat } from '../server/json-format.ts';
import { Models } from '../server/models.ts';
import { operations } from '../server/operations/index.ts';
import { openJournal } from './open-journal.ts';

const now = 1_700_000_000_000;
const StreamName = 'orders';
const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/orders';
const AutoARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/auto';
const ResourceARN = StreamARN;
const [ConsumerName, ConsumerARN] = ['billing', `${StreamARN}/consumer/billing:1700000000`];
const Policy = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}}';
const [first, second] = ['shardId-000000000000', 'shardId-000000000001'];
const StartingPosition = { Type: 'TRIM_HORIZON' };
const Data = 'aGVsbG8=';

const story: readonly (readonly [operation: string, input: object])[] = [
  ['CreateStream', { StreamName, ShardCount: 2, Tags: { '@1': '@2' } }],
  ['CreateStream', { StreamName: 'auto', StreamModeDetails: { StreamMode: 'ON_DEMAND' } }],
  ['UpdateStreamRecordDistributionStrategy', { StreamARN: AutoARN, RecordDistributionStrategy: 'AUTO' }],
  ['PutRecord', { StreamName: 'auto', Data }],
  ['PutRecord', { StreamName, Data, PartitionKey: 'ä' }],
  [
    'PutRecords',
    {
      StreamName,
      Records: [
        { Data, PartitionKey: 'a' },
        { Data, PartitionKey: 'b' },
      ],
    },
  ],
  ['IncreaseStreamRetentionPeriod', { StreamName, RetentionPeriodHours: 100 }],
  ['DecreaseStreamRetentionPeriod', { StreamName, RetentionPeriodHours: 48 }],
  ['RegisterStreamConsumer', { StreamARN, ConsumerName, Tags: { a: '1' } }],
  ['SubscribeToShard', { ConsumerARN, ShardId: first, StartingPosition }],
  ['AddTagsToStream', { StreamName, Tags: { b: '2' } }],
  ['TagResource', { ResourceARN: ConsumerARN, Tags: { c: '3' } }],
  ['UntagResource', { ResourceARN: ConsumerARN, TagKeys: ['a'] }],
  ['RemoveTagsFromStream', { StreamName, TagKeys: ['@1'] }],
  ['PutResourcePolicy', { ResourceARN, Policy }],
  ['EnableEnhancedMonitoring', { StreamName, ShardLevelMetrics: ['ALL'] }],
  ['DisableEnhancedMonitoring', { StreamName, ShardLevelMetrics: ['IncomingBytes'] }],
  ['StartStreamEncryption', { StreamName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' }],
  ['PutRecord', { StreamName, Data, PartitionKey: 'a' }],
  ['StopStreamEncryption', { StreamName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' }],
  ['PutRecord', { StreamName, Data, PartitionKey: 'a' }],
  ['DeleteResourcePolicy', { ResourceARN }],
  ['UpdateMaxRecordSize', { StreamARN, MaxRecordSizeInKiB: 2048 }],
  ['SplitShard', { StreamName, ShardToSplit: first, NewStartingHashKey: '5' }],
  ['PutRecord', { StreamName, Data, PartitionKey: 'a' }],
  ['MergeShards', { StreamName, ShardToMerge: second, AdjacentShardToMerge: 'shardId-000000000003' }],
  ['UpdateShardCount', { StreamName, TargetShardCount: 3, ScalingType: 'UNIFORM_SCALING' }],
  ['UpdateAccountSettings', { MinimumThroughputBillingCommitment: { Status: 'ENABLED' } }],
  ['UpdateStreamMode', { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } }],
  ['UpdateStreamWarmThroughput', { StreamARN, WarmThroughputMiBps: 4 }],
  ['PutRecord', { StreamName, Data, PartitionKey: 'a' }],
  ['DeregisterStreamConsumer', { ConsumerARN }],
  ['DeleteStream', { StreamName: 'auto' }],
  // What only reads changes nothing that is kept.
  ['DescribeAccountSettings', {}],
  ['DescribeLimits', {}],
  ['DescribeStream', { StreamName }],
  ['DescribeStreamSummary', { StreamName }],
  ['GetShardIterator', { StreamName, ShardId: first, ShardIteratorType: 'TRIM_HORIZON' }],
  ['ListShards', { StreamName }],
  ['ListStreamConsumers', { StreamARN }],
  ['ListStreams', {}],
  ['ListTagsForResource', { ResourceARN }],
  ['ListTagsForStream', { StreamName }],
];
/** What there is to read needs what only an answer gives, or what is gone by the end. */
const readOtherwise = ['DescribeStreamConsumer', 'GetRecords', 'GetResourcePolicy'];

function modelsIn(folder: MemoryFolder): Models {
  const options = { fsync: 'never', logger: silentLogger, segmentBytes: 4_000 } as const;
  const { journal, models: restored, tokenKey } = openJournal(folder, options);
  const models = new Models({ tokenKey }, () => undefined, journal);
  models.restore(restored);
  return models;
}

function contentOf(models: Models): unknown {
  const model = models.of(DEFAULT_CALLER);
  return {
    state: model.state,
    records: model.streams.flatMap(({ shards }) =>
      shards.map((shard) =>
        shard.log.from(0).map((record) => {
          return { ...record, data: Buffer.from(record.data).toString(), isEncrypted: shard.isEncrypted(record) };
        }),
      ),
    ),
  };
}

test('what an operation has changed is there after a kill', () => {
  const folder = new MemoryFolder();
  const models = modelsIn(folder);
  const changing = new Set<string>();
  let before = contentOf(models);
  for (const [name, input] of story) {
    const operation = operations.get(name);
    const arrival = { models, now, caller: DEFAULT_CALLER, refuseRecord: undefined, operation: name };
    operation?.(jsonFormat.parse(Buffer.from(JSON.stringify(input))), jsonFormat, arrival);
    const content = contentOf(models);
    expect(contentOf(modelsIn(folder.copy())), `after ${name}`).toEqual(content);
    if (JSON.stringify(content, bigints) !== JSON.stringify(before, bigints)) changing.add(name);
    before = content;
  }
  expect([...new Set(story.map(([name]) => name)), ...readOtherwise].sort()).toEqual([...operations.keys()].sort());
  // Each of them did change something: nothing above is true because nothing happened.
  const isReading = /^(Describe|List|Get|SubscribeToShard$)/;
  expect([...changing].sort()).toEqual([...operations.keys()].filter((name) => !isReading.test(name)).sort());
});

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}

// CreateStream, DeleteStream, DescribeStream, DescribeStreamSummary, ListStreams, Increase- and DecreaseStreamRetentionPeriod.
import { KinesisError, type Stream } from '../../model/index.ts';
import { withTags } from '../../model/tags.ts';
import { warmThroughputOf } from '../../model/warm-throughput.ts';
import { type Caller, streamArn, streamNameOf, whereIs } from '../caller.ts';
import { boolean, integer, optional, required } from '../input-check.ts';
import { Timestamp, type WireObject } from '../wire-format.ts';
import {
  maxRecordSizeInKiB,
  nextToken,
  recordDistributionStrategy,
  shardId,
  shardMembers,
  streamAddress,
  streamModeDetails,
  streamName,
  tagMap,
  warmThroughput,
  warmThroughputMembers,
} from './members.ts';
import { type Context, empty, members, type Operation, type OperationTable, operation } from './operation.ts';

/** "The default value is 100. If you specify a value greater than 100, at most 100 results are returned." */
const MAX_PAGE = 100;
const pageSize = integer({ min: 1, max: 10_000 });

const createStream = operation(
  {
    StreamName: required(streamName),
    ShardCount: optional(integer({ min: 1, max: 1_000_000 })),
    StreamModeDetails: optional(streamModeDetails),
    RecordDistributionStrategy: optional(recordDistributionStrategy),
    MaxRecordSizeInKiB: optional(maxRecordSizeInKiB),
    Tags: optional(tagMap),
    WarmThroughputMiBps: optional(warmThroughput),
  },
  (input, { model, now, caller }) => {
    const { StreamName, ShardCount, StreamModeDetails, MaxRecordSizeInKiB, Tags = {} } = input;
    const mode = StreamModeDetails?.StreamMode ?? 'PROVISIONED';
    if ((mode === 'PROVISIONED') !== (ShardCount !== undefined)) {
      const rule = mode === 'PROVISIONED' ? 'must be specified' : 'must not be specified';
      throw new KinesisError('ValidationException', `ShardCount ${rule} for a stream in ${mode} mode.`);
    }
    const tags = withTags({}, Tags, whereIs(caller, { streamName: StreamName }));
    const settings = { tags, warmThroughputMiBps: input.WarmThroughputMiBps ?? null };
    const capacity = {
      mode,
      recordDistributionStrategy: input.RecordDistributionStrategy,
      maxRecordBytes: MaxRecordSizeInKiB === undefined ? undefined : MaxRecordSizeInKiB * 1024,
    };
    model.createStream({ name: StreamName, shardCount: ShardCount, settings, ...capacity }, now);
    return empty;
  },
);

const deleteStream = operation(
  { ...streamAddress, EnforceConsumerDeletion: optional(boolean) },
  (input, { model, now }) => {
    const enforceConsumerDeletion = input.EnforceConsumerDeletion ?? false;
    model.deleteStream({ streamName: streamNameOf(input), enforceConsumerDeletion }, now);
    return empty;
  },
);

const describeStream = operation(
  { ...streamAddress, ExclusiveStartShardId: optional(shardId), Limit: optional(pageSize) },
  (input, context) => {
    const stream = context.model.stream(streamNameOf(input), context.now);
    const after = input.ExclusiveStartShardId ?? '';
    const all = stream.status === 'CREATING' ? [] : stream.shards.filter(({ id }) => id > after);
    const shards = all.slice(0, Math.min(input.Limit ?? MAX_PAGE, MAX_PAGE));
    return members({
      StreamDescription: {
        ...commonMembers(stream, context.caller),
        HasMoreShards: shards.length < all.length,
        Shards: shards.map(shardMembers),
      },
    });
  },
);

const describeStreamSummary = operation({ ...streamAddress }, (input, { model, now, caller }) => {
  const stream = model.stream(streamNameOf(input), now);
  return members({
    StreamDescriptionSummary: {
      ...commonMembers(stream, caller),
      ConsumerCount: stream.consumers.size,
      OpenShardCount: stream.status === 'CREATING' ? 0 : stream.openShards.length,
      RecordDistributionStrategy: stream.mode === 'ON_DEMAND' ? stream.capacity.recordDistributionStrategy : undefined,
      MaxRecordSizeInKiB: stream.capacity.maxRecordBytes / 1024,
      WarmThroughput: warmThroughputMembers(warmThroughputOf(stream, model.accountSettings, now)),
    },
  });
});

const listStreams = operation(
  { ExclusiveStartStreamName: optional(streamName), Limit: optional(pageSize), NextToken: optional(nextToken) },
  ({ ExclusiveStartStreamName: exclusiveStartStreamName, Limit: limit, NextToken }, { model, now, caller }) => {
    const page = model.pageOfStreams({ exclusiveStartStreamName, nextToken: NextToken, limit }, now);
    return members({
      HasMoreStreams: page.nextToken !== undefined,
      NextToken: page.nextToken,
      StreamNames: page.streams.map(({ name }) => name),
      StreamSummaries: page.streams.map((stream) => summaryMembers(stream, caller)),
    });
  },
);

function changeRetention(direction: 'increase' | 'decrease'): Operation {
  const input = { ...streamAddress, RetentionPeriodHours: required(integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })) };
  return operation(input, (given, { model, now }: Context) => {
    model.setRetention({ streamName: streamNameOf(given), hours: given.RetentionPeriodHours, direction }, now);
    return empty;
  });
}

export const streamOperations: OperationTable = {
  CreateStream: createStream,
  DeleteStream: deleteStream,
  DescribeStream: describeStream,
  DescribeStreamSummary: describeStreamSummary,
  ListStreams: listStreams,
  IncreaseStreamRetentionPeriod: changeRetention('increase'),
  DecreaseStreamRetentionPeriod: changeRetention('decrease'),
};

function summaryMembers(stream: Stream, caller: Caller): WireObject {
  return {
    StreamARN: streamArn(caller, stream.name),
    StreamName: stream.name,
    StreamStatus: stream.status,
    StreamModeDetails: { StreamMode: stream.mode },
    StreamCreationTimestamp: new Timestamp(stream.createdMs),
  };
}

/** What DescribeStream and DescribeStreamSummary both tell. */
function commonMembers(stream: Stream, caller: Caller): WireObject {
  return {
    ...summaryMembers(stream, caller),
    EncryptionType: stream.isEncrypted ? 'KMS' : 'NONE',
    KeyId: stream.settings.encryption.keyId ?? undefined,
    EnhancedMonitoring: [{ ShardLevelMetrics: stream.settings.shardLevelMetrics }],
    RetentionPeriodHours: stream.retentionHours,
  };
}

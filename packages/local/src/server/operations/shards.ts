// ListShards, SplitShard, MergeShards.
import { MAX_LIST_SHARDS_RESULTS } from '@shardline/common/base';
import { KinesisError, type ShardFilter } from '../../model/index.ts';
import { streamNameOf } from '../caller.ts';
import { integer, oneOf, optional, required, structure, timestamp } from '../input-check.ts';
import { hashKeyIn, hashKeyText, nextToken, refuseBeside, shardId, shardMembers, streamAddress } from './members.ts';
import { empty, members, type OperationTable, operation } from './operation.ts';

const shardFilter = structure({
  Type: required(
    oneOf('AFTER_SHARD_ID', 'AT_TRIM_HORIZON', 'FROM_TRIM_HORIZON', 'AT_LATEST', 'AT_TIMESTAMP', 'FROM_TIMESTAMP'),
  ),
  ShardId: optional(shardId),
  Timestamp: optional(timestamp),
});

const listShards = operation(
  {
    ...streamAddress,
    NextToken: optional(nextToken),
    ExclusiveStartShardId: optional(shardId),
    MaxResults: optional(integer({ min: 1, max: MAX_LIST_SHARDS_RESULTS })),
    StreamCreationTimestamp: optional(timestamp),
    ShardFilter: optional(shardFilter),
  },
  (input, { model, now }) => {
    const { NextToken, StreamName, MaxResults: maxResults, ExclusiveStartShardId, StreamCreationTimestamp } = input;
    refuseBeside(NextToken, { StreamName, ExclusiveStartShardId, StreamCreationTimestamp });
    if (NextToken === undefined && StreamName === undefined && input.StreamARN === undefined) {
      throw new KinesisError('InvalidArgumentException', 'Either NextToken or StreamName should be provided.');
    }
    const page = model.listShards(
      NextToken === undefined
        ? {
            streamName: streamNameOf(input),
            streamCreatedMs: StreamCreationTimestamp,
            filter: filterOf(input.ShardFilter),
            exclusiveStartShardId: ExclusiveStartShardId,
            maxResults,
          }
        : { nextToken: NextToken, maxResults },
      now,
    );
    return members({ Shards: page.shards.map(shardMembers), NextToken: page.nextToken });
  },
);

const splitShard = operation(
  { ...streamAddress, ShardToSplit: required(shardId), NewStartingHashKey: required(hashKeyText) },
  (input, { model, now }) => {
    const newStartingHashKey = hashKeyIn('NewStartingHashKey', input.NewStartingHashKey);
    model.splitShard({ streamName: streamNameOf(input), shardId: input.ShardToSplit, newStartingHashKey }, now);
    return empty;
  },
);

const mergeShards = operation(
  { ...streamAddress, ShardToMerge: required(shardId), AdjacentShardToMerge: required(shardId) },
  (input, { model, now }) => {
    const { ShardToMerge, AdjacentShardToMerge: adjacentShardId } = input;
    model.mergeShards({ streamName: streamNameOf(input), shardId: ShardToMerge, adjacentShardId }, now);
    return empty;
  },
);

export const shardOperations: OperationTable = {
  ListShards: listShards,
  SplitShard: splitShard,
  MergeShards: mergeShards,
};

function filterOf(
  filter: { Type: ShardFilter['kind']; ShardId: string | undefined; Timestamp: number | undefined } | undefined,
): ShardFilter | undefined {
  if (filter === undefined) return undefined;
  if (filter.ShardId !== undefined && filter.Type !== 'AFTER_SHARD_ID') throw needless(filter.Type, 'ShardId');
  if (filter.Timestamp !== undefined && !filter.Type.endsWith('_TIMESTAMP')) throw needless(filter.Type, 'Timestamp');
  switch (filter.Type) {
    case 'AFTER_SHARD_ID':
      if (filter.ShardId === undefined) throw incomplete(filter.Type, 'ShardId');
      return { kind: filter.Type, shardId: filter.ShardId };
    case 'AT_TIMESTAMP':
    case 'FROM_TIMESTAMP':
      if (filter.Timestamp === undefined) throw incomplete(filter.Type, 'Timestamp');
      return { kind: filter.Type, timestampMs: filter.Timestamp };
    default:
      return { kind: filter.Type };
  }
}

function incomplete(kind: string, member: string): KinesisError {
  return new KinesisError('InvalidArgumentException', `ShardFilter of type ${kind} needs a ${member}.`);
}

/** "This property can only be used if …" (API_ShardFilter). */
function needless(kind: string, member: string): KinesisError {
  return new KinesisError('InvalidArgumentException', `ShardFilter of type ${kind} cannot have a ${member}.`);
}

// ListShards, SplitShard, MergeShards.
import { MAX_LIST_SHARDS_RESULTS } from '@shardline/common';
import { KinesisError, type ShardFilter } from '../../model/index.ts';
import { streamNameOf } from '../caller.ts';
import { integer, oneOf, optional, required, structure, timestamp } from '../input-check.ts';
import { hashKeyIn, hashKeyText, nextToken, shardId, shardMembers, streamAddress } from './members.ts';
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
    ShardFilter: optional(shardFilter),
  },
  (input, { model, now }) => {
    const { NextToken, MaxResults: maxResults } = input;
    if (NextToken !== undefined && input.StreamName !== undefined) {
      throw new KinesisError('InvalidArgumentException', 'NextToken and StreamName cannot be provided together.');
    }
    if (NextToken === undefined && input.StreamName === undefined && input.StreamARN === undefined) {
      throw new KinesisError('InvalidArgumentException', 'Either NextToken or StreamName should be provided.');
    }
    const page = model.listShards(
      NextToken === undefined
        ? {
            streamName: streamNameOf(input),
            filter: filterOf(input.ShardFilter),
            exclusiveStartShardId: input.ExclusiveStartShardId,
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

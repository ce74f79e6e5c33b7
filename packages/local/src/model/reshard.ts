// SplitShard and MergeShards: what may be split and merged, and into which ranges. The stream itself changes when the change is
// due.
import type { HashKey, HashKeyRange } from '@shardline/common/base';
import type { Account } from './account.ts';
import { refuseOnDemand, refuseOverShardLimit } from './capacity.ts';
import { KinesisError } from './errors.ts';
import type { Shard } from './shard.ts';
import type { Stream } from './stream.ts';

export interface SplitShardRequest {
  readonly streamName: string;
  readonly shardId: string;
  /** Where the second of the two begins. */
  readonly newStartingHashKey: HashKey;
}

export interface MergeShardsRequest {
  readonly streamName: string;
  readonly shardId: string;
  /** Its neighbour, on either side. */
  readonly adjacentShardId: string;
}

/**
 * @throws KinesisError ResourceInUseException, ValidationException in on-demand mode, LimitExceededException, and
 *   InvalidArgumentException when the key is not inside the shard's range, or at its edge
 */
export function splitShard(account: Account, request: SplitShardRequest, now: number): void {
  const { streamName, shardId, newStartingHashKey } = request;
  const stream = account.active(streamName, now);
  const shard = shardOf(account, stream, shardId);
  refuseOnDemand(account, stream);
  const ranges = splitRanges(shard, newStartingHashKey, account.within(streamName));
  refuseOverShardLimit(account, 1);
  account.refuseMoreStreams(now, 'UPDATING');
  account.reshard(stream, [{ parentIds: [shard.id], ranges }], now);
}

/**
 * @throws KinesisError ResourceInUseException, ValidationException in on-demand mode, and InvalidArgumentException when their
 *   ranges do not touch
 */
export function mergeShards(account: Account, request: MergeShardsRequest, now: number): void {
  const { streamName, shardId, adjacentShardId } = request;
  const stream = account.active(streamName, now);
  const shard = shardOf(account, stream, shardId);
  const adjacent = shardOf(account, stream, adjacentShardId);
  refuseOnDemand(account, stream);
  const range = mergedRange(shard, adjacent, account.within(streamName));
  account.refuseMoreStreams(now, 'UPDATING');
  account.reshard(stream, [{ parentIds: [shard.id, adjacent.id], ranges: [range] }], now);
}

/** @throws ResourceNotFoundException, in other words than reading does */
function shardOf(account: Account, stream: Stream, shardId: string): Shard {
  const shard = stream.shard(shardId);
  if (shard !== undefined) return shard;
  throw new KinesisError(
    'ResourceNotFoundException',
    `Could not find shard ${shardId} in ${account.within(stream.name)}.`,
  );
}

function splitRanges(shard: Shard, newStartingHashKey: HashKey, where: string): HashKeyRange[] {
  refuseClosed(shard, where);
  const { start, end } = shard.origin.range;
  if (newStartingHashKey <= start + 1n || newStartingHashKey >= end) {
    throw new KinesisError(
      'InvalidArgumentException',
      `NewStartingHashKey ${newStartingHashKey} used in SplitShard() on shard ${shard.id} in ${where} is not both greater than one plus the shard's StartingHashKey ${start} and less than the shard's EndingHashKey ${end}.`,
    );
  }
  return [
    { start, end: (newStartingHashKey - 1n) as HashKey },
    { start: newStartingHashKey, end },
  ];
}

/** The same whichever of the two comes first. */
function mergedRange(shard: Shard, adjacent: Shard, where: string): HashKeyRange {
  refuseClosed(shard, where);
  refuseClosed(adjacent, where);
  const left = shard.origin.range;
  const right = adjacent.origin.range;
  if (left.end + 1n === right.start) return { start: left.start, end: right.end };
  if (right.end + 1n === left.start) return { start: right.start, end: left.end };
  throw new KinesisError(
    'InvalidArgumentException',
    `Shards ${shard.id} and ${adjacent.id} in ${where} are not an adjacent pair of shards eligible for merging`,
  );
}

function refuseClosed(shard: Shard, where: string): void {
  if (shard.isOpen) return;
  throw new KinesisError(
    'InvalidArgumentException',
    `Shard ${shard.id} in ${where} has already been merged or split, and thus is not eligible for merging or splitting.`,
  );
}

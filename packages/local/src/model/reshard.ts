// What may be split and merged, and into which ranges. Checks only; the stream itself changes when the change is due.
import type { HashKey, HashKeyRange } from '@shardline/common';
import { KinesisError } from './errors.ts';
import type { Shard } from './shard.ts';

/**
 * The two ranges of a split at `newStartingHashKey`.
 * @throws KinesisError InvalidArgumentException when the key is not inside the shard's range, or at its edge.
 */
export function splitRanges(shard: Shard, newStartingHashKey: HashKey, where: string): [HashKeyRange, HashKeyRange] {
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

/**
 * The one range of a merge, whichever of the two comes first.
 * @throws KinesisError InvalidArgumentException when their ranges do not touch.
 */
export function mergedRange(shard: Shard, adjacent: Shard, where: string): HashKeyRange {
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

// Carries out one reshard of a plan on the model of a running local Kinesis, as far as the stream lets it.
import { type HashKey, systemClock } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';
import type { Reshard } from './weather.ts';

const MOST_SHARDS = 8;

/** False: the stream is in the midst of another, or has too many shards, or too few. */
export function reshardNow(model: KinesisModel, streamName: string, { kind, at }: Reshard): boolean {
  const nowMs = systemClock.wallNow();
  const { status, openShards } = model.stream(streamName, nowMs);
  const shard = openShards[Math.floor(at * (kind === 'split' ? openShards.length : openShards.length - 1))];
  if (status !== 'ACTIVE' || shard === undefined) return false;
  const { id: shardId, origin } = shard;
  if (kind === 'split') {
    const { start, end } = origin.range;
    if (openShards.length >= MOST_SHARDS || end - start < 4n) return false;
    model.splitShard({ streamName, shardId, newStartingHashKey: ((start + end) / 2n) as HashKey }, nowMs);
    return true;
  }
  const adjacent = openShards.find(({ origin: { range } }) => range.start === origin.range.end + 1n);
  if (adjacent === undefined) return false;
  model.mergeShards({ streamName, shardId, adjacentShardId: adjacent.id }, nowMs);
  return true;
}

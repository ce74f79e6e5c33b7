// Which shards ListShards returns. The AT_ filters answer "which shards were open then", and what they return covers the
// hash key space exactly once: a consumer starts from that set and finds the rest through ChildShards. When a reshard falls
// on the very moment asked for, the parents are returned and their children are not.
import { unreachable } from '@shardline/common/base';
import type { Shard } from './shard.ts';
import type { Stream } from './stream.ts';

/** Kinesis API, ShardFilter. */
export type ShardFilter =
  | { readonly kind: 'AFTER_SHARD_ID'; readonly shardId: string }
  | { readonly kind: 'AT_TRIM_HORIZON' }
  | { readonly kind: 'FROM_TRIM_HORIZON' }
  | { readonly kind: 'AT_LATEST' }
  | { readonly kind: 'AT_TIMESTAMP'; readonly timestampMs: number }
  | { readonly kind: 'FROM_TIMESTAMP'; readonly timestampMs: number };

/** The stream's shards that match, by number. Without a filter, all of them, as with FROM_TRIM_HORIZON. */
export function filterShards(stream: Stream, filter: ShardFilter | undefined, now: number): readonly Shard[] {
  const { shards } = stream;
  switch (filter?.kind) {
    case undefined:
    case 'FROM_TRIM_HORIZON':
      return shards;
    case 'AFTER_SHARD_ID':
      return shards.filter((shard) => shard.id > filter.shardId);
    case 'AT_TRIM_HORIZON':
      return withoutTheirChildren(shards);
    case 'AT_LATEST':
      return shards.filter((shard) => shard.isOpen);
    case 'AT_TIMESTAMP': {
      const atMs = Math.max(filter.timestampMs, horizonMs(stream, now));
      return withoutTheirChildren(
        shards.filter(({ origin, end }) => origin.createdMs <= atMs && (end === undefined || end.atMs >= atMs)),
      );
    }
    case 'FROM_TIMESTAMP':
      return shards.filter(({ end }) => end === undefined || end.atMs >= filter.timestampMs);
    default:
      return unreachable(filter);
  }
}

/** A filter as it travels in a NextToken. */
export function filterParts(filter: ShardFilter | undefined): (string | number)[] {
  if (filter === undefined) return [];
  if (filter.kind === 'AFTER_SHARD_ID') return [filter.kind, filter.shardId];
  return 'timestampMs' in filter ? [filter.kind, filter.timestampMs] : [filter.kind];
}

/** Reads what `filterParts` wrote. */
export function filterOfParts([kind, value = '']: readonly string[]): ShardFilter | undefined {
  switch (kind) {
    case 'AFTER_SHARD_ID':
      return { kind, shardId: value };
    case 'AT_TIMESTAMP':
    case 'FROM_TIMESTAMP':
      return { kind, timestampMs: Number(value) };
    case 'AT_TRIM_HORIZON':
    case 'FROM_TRIM_HORIZON':
    case 'AT_LATEST':
      return { kind };
    default:
      return undefined;
  }
}

/** No record is older. */
function horizonMs(stream: Stream, now: number): number {
  return Math.max(stream.createdMs, now - stream.retentionMs);
}

/** Those of the shards that have no parent among them. */
function withoutTheirChildren(shards: readonly Shard[]): readonly Shard[] {
  const ids = new Set(shards.map((shard) => shard.id));
  return shards.filter((shard) => !shard.origin.parentIds.some((parentId) => ids.has(parentId)));
}

// ListShards a page at a time. A token holds the place in the list, the filter that it began with, and the stream it is of; it
// lives for 300 seconds.
import { DEFAULT_LIST_SHARDS_RESULTS, LIST_SHARDS_TOKEN_TTL_MS } from '@shardline/common';
import type { Account } from './account.ts';
import { KinesisError } from './errors.ts';
import type { Shard } from './shard.ts';
import { filterOfParts, filterParts, filterShards, type ShardFilter } from './shard-filter.ts';
import type { Stream } from './stream.ts';
import { openToken, sealToken } from './token.ts';

/** What a page of a list starts with: a request, or the token of the page before. */
export type ListShardsRequest =
  | {
      readonly streamName: string;
      readonly filter?: ShardFilter | undefined;
      readonly exclusiveStartShardId?: string | undefined;
      readonly maxResults?: number | undefined;
    }
  | { readonly nextToken: string; readonly maxResults?: number | undefined };

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException, ResourceNotFoundException */
export function listShards(
  account: Account,
  request: ListShardsRequest,
  now: number,
): { shards: readonly Shard[]; nextToken?: string } {
  const { stream, filter, after } = placeOf(account, request, now);
  const matching = filterShards(stream, filter, now).filter((shard) => shard.id > after);
  const shards = matching.slice(0, request.maxResults ?? DEFAULT_LIST_SHARDS_RESULTS);
  const last = shards.at(-1);
  if (last === undefined || shards.length === matching.length) return { shards };
  const place = ['shards', stream.name, stream.incarnation, now, last.id, ...filterParts(filter)];
  return { shards, nextToken: sealToken(account.options.tokenKey, place) };
}

/** Where a page begins: after which shard, of which list. */
function placeOf(
  account: Account,
  request: ListShardsRequest,
  now: number,
): { stream: Stream; filter: ShardFilter | undefined; after: string } {
  if (!('nextToken' in request)) {
    const stream = account.stream(request.streamName, now);
    return { stream, filter: request.filter, after: request.exclusiveStartShardId ?? '' };
  }
  const parts = openToken(account.options.tokenKey, request.nextToken);
  if (parts?.[0] !== 'shards') throw new KinesisError('InvalidArgumentException', 'Invalid NextToken.');
  const [, streamName = '', incarnation, issuedMs, after = '', ...filter] = parts;
  if (now - Number(issuedMs) > LIST_SHARDS_TOKEN_TTL_MS) {
    throw new KinesisError('ExpiredNextTokenException', `NextToken expired: it lives ${LIST_SHARDS_TOKEN_TTL_MS} ms.`);
  }
  const stream = account.stream(streamName, now);
  if (stream.incarnation !== Number(incarnation)) throw account.notFound(streamName);
  return { stream, filter: filterOfParts(filter), after };
}

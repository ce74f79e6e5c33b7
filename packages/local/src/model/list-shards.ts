// ListShards a page at a time. A token holds the place in the list and the filter that it began with.
import { DEFAULT_LIST_SHARDS_RESULTS } from '@shardline/common/base';
import type { Account } from './account.ts';
import { type ListStart, listedStream, openPage, sealPage } from './page.ts';
import type { Shard } from './shard.ts';
import { filterOfParts, filterParts, filterShards, type ShardFilter } from './shard-filter.ts';
import type { Stream } from './stream.ts';

/** What a page of a list starts with: a request, or the token of the page before. */
export type ListShardsRequest = { readonly maxResults?: number | undefined } & (
  | (ListStart & {
      readonly filter?: ShardFilter | undefined;
      readonly exclusiveStartShardId?: string | undefined;
    })
  | { readonly nextToken: string }
);

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException, ResourceNotFoundException */
export function listShards(
  account: Account,
  request: ListShardsRequest,
  now: number,
): { shards: readonly Shard[]; nextToken?: string } {
  const { stream, filter, after } = placeOf(account, request, now);
  const matching = filterShards(stream, filter, now).filter((shard) => shard.id > after);
  const { maxResults = DEFAULT_LIST_SHARDS_RESULTS } = request;
  // "If you specify a value greater than 1000, at most 1000 results are returned" (API_ListShards).
  const shards = matching.slice(0, Math.min(maxResults, DEFAULT_LIST_SHARDS_RESULTS));
  const last = shards.at(-1);
  if (last === undefined || shards.length === matching.length) return { shards };
  return { shards, nextToken: sealPage(account, 'shards', stream, [last.id, ...filterParts(filter)], now) };
}

/** Where a page begins: after which shard, of which list. */
function placeOf(
  account: Account,
  request: ListShardsRequest,
  now: number,
): { stream: Stream; filter: ShardFilter | undefined; after: string } {
  if (!('nextToken' in request)) {
    const { filter, exclusiveStartShardId: after = '' } = request;
    return { stream: listedStream(account, request, now), filter, after };
  }
  const { stream, place } = openPage(account, 'shards', request.nextToken, now);
  const [after = '', ...filter] = place;
  return { stream, filter: filterOfParts(filter), after };
}

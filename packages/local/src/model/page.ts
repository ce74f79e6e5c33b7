// Pages of lists: of the streams, and of what a stream has, its shards and its consumers. A token names the kind of list, the
// place in it and, where it is of one stream, that stream. "Tokens expire after 300 seconds" (API_ListShards,
// API_ListStreamConsumers; ListStreams knows the same exception).
import { LIST_SHARDS_TOKEN_TTL_MS } from '@shardline/common/base';
import type { Account } from './account.ts';
import { KinesisError } from './errors.ts';
import type { Stream } from './stream.ts';
import { openToken, sealToken } from './token.ts';

export type ListKind = 'streams' | 'shards' | 'consumers';

/** Which stream's list begins. */
export interface ListStart {
  readonly streamName: string;
  /** "To distinguish data streams that have the same name": only one made in that second is meant. */
  readonly streamCreatedMs?: number | undefined;
}

/** @throws KinesisError ResourceNotFoundException, ResourceInUseException while it is CREATING or DELETING */
export function listedStream(account: Account, { streamName, streamCreatedMs }: ListStart, now: number): Stream {
  const stream = account.settled(streamName, now);
  if (streamCreatedMs !== undefined && secondOf(streamCreatedMs) !== secondOf(stream.createdMs)) {
    throw account.notFound(streamName);
  }
  return stream;
}

/** `place` is where the next page begins; none of it holds a `/`. */
export function sealPlace(account: Account, kind: ListKind, place: readonly (string | number)[], now: number): string {
  return sealToken(account.options.tokenKey, [kind, now, ...place]);
}

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException */
export function openPlace(account: Account, kind: ListKind, nextToken: string, now: number): string[] {
  const [found, issuedMs, ...place] = openToken(account.options.tokenKey, nextToken) ?? [];
  if (found !== kind) throw new KinesisError('InvalidArgumentException', 'Invalid NextToken.');
  if (now - Number(issuedMs) > LIST_SHARDS_TOKEN_TTL_MS) {
    throw new KinesisError('ExpiredNextTokenException', `NextToken expired: it lives ${LIST_SHARDS_TOKEN_TTL_MS} ms.`);
  }
  return place;
}

/** `sealPlace` in what a stream has. */
export function sealPage(
  account: Account,
  kind: ListKind,
  stream: Stream,
  place: readonly (string | number)[],
  now: number,
): string {
  return sealPlace(account, kind, [stream.name, stream.incarnation, ...place], now);
}

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException, ResourceNotFoundException */
export function openPage(
  account: Account,
  kind: ListKind,
  nextToken: string,
  now: number,
): { stream: Stream; place: readonly string[] } {
  const [streamName = '', incarnation, ...place] = openPlace(account, kind, nextToken, now);
  const stream = account.stream(streamName, now);
  if (stream.incarnation !== Number(incarnation)) throw account.notFound(streamName);
  return { stream, place };
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1000);
}

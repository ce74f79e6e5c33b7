// Pages of what a stream has, its shards and its consumers: a token names the stream, the kind of list and the place in it, and
// lives for 300 seconds. "Tokens expire after 300 seconds" (API_ListShards, API_ListStreamConsumers).
import { LIST_SHARDS_TOKEN_TTL_MS } from '@shardline/common';
import type { Account } from './account.ts';
import { KinesisError } from './errors.ts';
import type { Stream } from './stream.ts';
import { openToken, sealToken } from './token.ts';

export type ListKind = 'shards' | 'consumers';

/** Which stream's list begins. */
export interface ListStart {
  readonly streamName: string;
  /** "To distinguish data streams that have the same name": only one made in that second is meant. */
  readonly streamCreatedMs?: number | undefined;
}

/** @throws KinesisError ResourceNotFoundException */
export function listedStream(account: Account, { streamName, streamCreatedMs }: ListStart, now: number): Stream {
  const stream = account.stream(streamName, now);
  if (streamCreatedMs !== undefined && secondOf(streamCreatedMs) !== secondOf(stream.createdMs)) {
    throw account.notFound(streamName);
  }
  return stream;
}

/** `place` is where the next page begins; none of it holds a `/`. */
export function sealPage(
  account: Account,
  kind: ListKind,
  stream: Stream,
  place: readonly (string | number)[],
  now: number,
): string {
  return sealToken(account.options.tokenKey, [kind, stream.name, stream.incarnation, now, ...place]);
}

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException, ResourceNotFoundException */
export function openPage(
  account: Account,
  kind: ListKind,
  nextToken: string,
  now: number,
): { stream: Stream; place: readonly string[] } {
  const parts = openToken(account.options.tokenKey, nextToken);
  if (parts?.[0] !== kind) throw new KinesisError('InvalidArgumentException', 'Invalid NextToken.');
  const [, streamName = '', incarnation, issuedMs, ...place] = parts;
  if (now - Number(issuedMs) > LIST_SHARDS_TOKEN_TTL_MS) {
    throw new KinesisError('ExpiredNextTokenException', `NextToken expired: it lives ${LIST_SHARDS_TOKEN_TTL_MS} ms.`);
  }
  const stream = account.stream(streamName, now);
  if (stream.incarnation !== Number(incarnation)) throw account.notFound(streamName);
  return { stream, place };
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1000);
}

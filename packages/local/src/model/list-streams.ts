// ListStreams a page at a time, by name.
import type { Account } from './account.ts';
import { openPlace, sealPlace } from './page.ts';
import type { Stream } from './stream.ts';

/** "The default value is 100. If you specify a value greater than 100, at most 100 results are returned." */
const MAX_PAGE = 100;

export interface ListStreamsRequest {
  readonly exclusiveStartStreamName?: string | undefined;
  /** Of the page before: then that alone decides where the list goes on. */
  readonly nextToken?: string | undefined;
  readonly limit?: number | undefined;
}

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException */
export function listStreams(
  account: Account,
  request: ListStreamsRequest,
  now: number,
): { streams: readonly Stream[]; nextToken?: string } {
  account.settle(now);
  const { exclusiveStartStreamName, nextToken, limit = MAX_PAGE } = request;
  const [after = ''] =
    nextToken === undefined ? [exclusiveStartStreamName] : openPlace(account, 'streams', nextToken, now);
  const following = [...account.streams.values()]
    .filter(({ name }) => name > after)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const streams = following.slice(0, Math.min(limit, MAX_PAGE));
  const last = streams.at(-1);
  if (last === undefined || streams.length === following.length) return { streams };
  return { streams, nextToken: sealPlace(account, 'streams', [last.name], now) };
}

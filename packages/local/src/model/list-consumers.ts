// ListStreamConsumers a page at a time, by name.
import type { Account } from './account.ts';
import type { StreamConsumer } from './consumers.ts';
import { KinesisError } from './errors.ts';
import { type ListStart, listedStream, openPage, sealPage } from './page.ts';
import type { Stream } from './stream.ts';

/** "The default value is 100. If you specify a value greater than 100, at most 100 results are returned." */
const MAX_PAGE = 100;

/** What a page starts with: a request, or the token of the page before, of the same stream. */
export type ListConsumersRequest = { readonly maxResults?: number | undefined } & (
  | ListStart
  | { readonly streamName: string; readonly nextToken: string }
);

/** @throws KinesisError ExpiredNextTokenException, InvalidArgumentException, ResourceNotFoundException */
export function listConsumers(
  account: Account,
  request: ListConsumersRequest,
  now: number,
): { consumers: readonly StreamConsumer[]; nextToken?: string } {
  const { stream, after } = placeOf(account, request, now);
  const following = [...stream.consumers.values()]
    .filter(({ name }) => name > after)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const consumers = following.slice(0, Math.min(request.maxResults ?? MAX_PAGE, MAX_PAGE));
  const last = consumers.at(-1);
  if (last === undefined || consumers.length === following.length) return { consumers };
  return { consumers, nextToken: sealPage(account, 'consumers', stream, [last.name], now) };
}

function placeOf(account: Account, request: ListConsumersRequest, now: number): { stream: Stream; after: string } {
  if (!('nextToken' in request)) return { stream: listedStream(account, request, now), after: '' };
  const { stream, place } = openPage(account, 'consumers', request.nextToken, now);
  if (stream.name !== request.streamName) {
    throw new KinesisError('InvalidArgumentException', 'NextToken and StreamARN are of different streams.');
  }
  return { stream, after: place[0] ?? '' };
}

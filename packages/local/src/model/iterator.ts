// Shard iterators: a place in a shard, sealed into an opaque text with the time it was made. It is good for 5 minutes, for
// the stream it was made for and for no later one of the same name.
import { SHARD_ITERATOR_TTL_MS } from '@shardline/common/base';
import { KinesisError } from './errors.ts';
import { openToken, sealToken } from './token.ts';

export interface IteratorPlace {
  readonly streamName: string;
  readonly incarnation: number;
  readonly shardNumber: number;
  /** Of the next record. */
  readonly counter: number;
}

export function sealIterator(key: string, place: IteratorPlace, now: number): string {
  const { streamName, incarnation, shardNumber, counter } = place;
  return sealToken(key, ['iterator', streamName, incarnation, shardNumber, counter, Math.floor(now)]);
}

/** @throws KinesisError InvalidArgumentException for garbage, ExpiredIteratorException after 5 minutes */
export function openIterator(key: string, shardIterator: string, now: number): IteratorPlace {
  const parts = openToken(key, shardIterator);
  if (parts?.[0] !== 'iterator') throw new KinesisError('InvalidArgumentException', 'Invalid ShardIterator.');
  const [, streamName = '', incarnation, shardNumber, counter, madeMs] = parts;
  if (now - Number(madeMs) > SHARD_ITERATOR_TTL_MS) {
    throw new KinesisError(
      'ExpiredIteratorException',
      `Iterator expired. The iterator was created at time ${new Date(Number(madeMs)).toUTCString()} while right now it is ${new Date(now).toUTCString()} which is further in the future than the tolerated delay of ${SHARD_ITERATOR_TTL_MS} milliseconds.`,
    );
  }
  return { streamName, incarnation: Number(incarnation), shardNumber: Number(shardNumber), counter: Number(counter) };
}

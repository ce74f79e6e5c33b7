import { type HashKey, hashKeyOf } from '@shardline/common';
import { expect, test } from 'vitest';
import type { StoredUserRecord } from './read-stream.ts';
import { readableNames } from './readable.ts';

const middle = 2n ** 127n;
const ranges: Readonly<Record<string, { start: HashKey; end: HashKey }>> = {
  low: { start: 0n as HashKey, end: (middle - 1n) as HashKey },
  high: { start: middle as HashKey, end: (2n ** 128n - 1n) as HashKey },
};
/** A key of each half. */
const keyIn = (half: 'low' | 'high'): string => {
  for (let number = 0; ; number++) if (hashKeyOf(`k${number}`) < middle === (half === 'low')) return `k${number}`;
};

function stored(shard: string, sequence: string, key: string, data: string, aggregated = true): StoredUserRecord {
  return { shard, sequence, aggregated, key, data };
}

test('one stray makes all of its aggregated record unreadable, and a copy elsewhere readable again', () => {
  const [low, high] = [keyIn('low'), keyIn('high')];
  const records = [
    stored('low', '1', low, 'beside a stray'),
    stored('low', '1', high, 'the stray'),
    stored('high', '2', high, 'the stray'),
    stored('low', '3', low, 'alone among its own'),
    stored('low', '4', high, 'not aggregated', false),
  ];
  const readable = readableNames(records, (shard) => ranges[shard] as { start: HashKey; end: HashKey });
  expect([...readable].sort()).toEqual(
    [`${high} the stray`, `${low} alone among its own`, `${high} not aggregated`].sort(),
  );
});

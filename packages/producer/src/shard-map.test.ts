import { evenRanges, type HashKey, hashKeyOf, MAX_HASH_KEY, rangeContains, topOfHashKey } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Hashed, type Shard, ShardMap } from './shard-map.ts';

function shards(count: number, firstId = 0): Shard[] {
  return evenRanges(count).map((range, index) => ({ shardId: `shard-${firstId + index}`, range }));
}

function hex(key: bigint): string {
  return key.toString(16).padStart(32, '0');
}

function hashed(key: bigint): Hashed {
  return { hashTop: topOfHashKey(key as HashKey), hashHex: hex(key) };
}

function ready(count: number, nowMs = 0): ShardMap {
  const map = new ShardMap();
  map.expire(nowMs);
  map.loaded(shards(count), nowMs);
  return map;
}

test('predicts the open shard whose range holds the hash key', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.string({ minLength: 1 }), (count, key) => {
      const hashKey = hashKeyOf(key);
      const expected = shards(count).find(({ range }) => rangeContains(range, hashKey));
      expect(ready(count).predict(hashed(hashKey))).toBe(expected?.shardId);
    }),
  );
});

test('predicts at the very edges of ranges', () => {
  const map = ready(4);
  for (const { shardId, range } of shards(4)) {
    expect(map.predict(hashed(range.start))).toBe(shardId);
    expect(map.predict(hashed(range.end))).toBe(shardId);
  }
});

test('predicts nothing in a hole of the list', () => {
  const map = new ShardMap();
  map.loaded([{ shardId: 'upper', range: { start: (MAX_HASH_KEY - 9n) as HashKey, end: MAX_HASH_KEY } }], 0);
  expect(map.predict(hashed(5n))).toBeUndefined();
  expect(map.predict(hashed(MAX_HASH_KEY))).toBe('upper');
});

test('asks for the list at once, and once', () => {
  const map = new ShardMap();
  expect(map.deadline()).toBe(Number.NEGATIVE_INFINITY);
  expect(map.expire(5)).toBe(true);
  expect(map.expire(6)).toBe(false);
  expect(map.deadline()).toBe(Number.POSITIVE_INFINITY);
  expect(map.loadingSinceMs).toBe(5);
});

test('predicts nothing from a wrong prediction until the list was read again, and asks not too often', () => {
  const map = ready(2, 1_000);
  const before = map.version;
  expect(map.invalidate(1_050)).toBe(true);
  expect(map.invalidate(1_051)).toBe(false);
  expect(map.predict(hashed(0n))).toBeUndefined();
  expect(map.version).toBeGreaterThan(before);
  expect(map.deadline()).toBe(1_200);
  expect(map.expire(1_199)).toBe(false);
  expect(map.expire(1_200)).toBe(true);
  map.loaded(shards(2, 2), 1_210);
  expect(map.predict(hashed(0n))).toBe('shard-2');
});

test('keeps the ranges of closed shards for a minute', () => {
  const map = ready(2);
  map.invalidate(100);
  map.loaded(shards(3, 2), 200);
  expect(map.contains('shard-0', hex(0n))).toBe(true);
  expect(map.contains('shard-0', hex(MAX_HASH_KEY))).toBe(false);
  expect(map.contains('shard-9', hex(0n))).toBeUndefined();
  map.invalidate(70_000);
  map.loaded(shards(3, 2), 70_100);
  expect(map.contains('shard-0', hex(0n))).toBeUndefined();
  expect(map.knows('shard-2')).toBe(true);
});

test('after failures it waits 1 s, growing by half up to 30 s (KPL shard_map.cc), and starts over after a success', () => {
  const map = new ShardMap();
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    map.expire(0);
    map.failed(0);
    waits.push(map.deadline());
  }
  expect(waits.slice(0, 3)).toEqual([1_000, 1_500, 2_250]);
  expect(waits.at(-1)).toBe(30_000);
  expect(map.state).toBe('failed');
  map.loaded(shards(1), 0);
  map.invalidate(0);
  map.expire(1_000);
  map.failed(0);
  expect(map.deadline()).toBe(1_000);
});

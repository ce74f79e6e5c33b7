import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from './errors.ts';
import {
  checkPartitionKey,
  compareRanges,
  evenRanges,
  findHoles,
  type HashKey,
  type HashKeyRange,
  hashKeyOf,
  MAX_HASH_KEY,
  MIN_HASH_KEY,
  parseHashKey,
  rangeContains,
  toHashKey,
} from './hash-key.ts';

const keys = fc
  .oneof(fc.bigInt({ min: MIN_HASH_KEY, max: MAX_HASH_KEY }), fc.constantFrom(0n, 1n, MAX_HASH_KEY - 1n, MAX_HASH_KEY))
  .map((value) => toHashKey(value));
const ranges: fc.Arbitrary<HashKeyRange> = fc
  .tuple(keys, keys)
  .map(([a, b]) => (a <= b ? { start: a, end: b } : { start: b, end: a }));

describe('hashKeyOf', () => {
  test('is the MD5 of the UTF-8 bytes, read big-endian', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary-ascii', maxLength: 256 })),
        (key) => {
          const digest = createHash('md5').update(Buffer.from(key, 'utf8')).digest();
          expect(hashKeyOf(key)).toBe((digest.readBigUInt64BE(0) << 64n) | digest.readBigUInt64BE(8));
        },
      ),
    );
  });

  test('is what the KPL sends for the key "pk"', () => {
    expect(hashKeyOf('pk')).toBe(38317986088707300215492326132921849533n);
  });
});

describe('parseHashKey', () => {
  test('reads what it writes, with blanks and leading zeros', () => {
    fc.assert(
      fc.property(keys, fc.nat(20), (key, zeros) => {
        expect(parseHashKey(String(key))).toBe(key);
        expect(parseHashKey(` ${'0'.repeat(zeros)}${key}\n`)).toBe(key);
      }),
    );
  });

  test('refuses anything else, naming field, expectation and value', () => {
    for (const text of ['', ' ', '-1', '+1', '1.5', '1e3', '0x10', '1n', '١', 'abc', '9'.repeat(65)]) {
      expect(() => parseHashKey(text), text).toThrow(UsageError);
    }
    expect(() => parseHashKey(String(MAX_HASH_KEY + 1n), 'startingHashKey')).toThrow(
      'startingHashKey: expected a number from 0 to 2^128 - 1, got 340282366920938463463374607431768211456',
    );
    expect(() => parseHashKey(7 as unknown as string)).toThrow('explicitHashKey: expected a decimal number');
  });
});

test('toHashKey refuses what lies outside', () => {
  expect(toHashKey(MAX_HASH_KEY)).toBe(MAX_HASH_KEY);
  expect(() => toHashKey(-1n)).toThrow(UsageError);
  expect(() => toHashKey(MAX_HASH_KEY + 1n)).toThrow(UsageError);
});

describe('checkPartitionKey', () => {
  test('takes 1 to 256 UTF-16 units', () => {
    for (const key of ['a', '0', '__proto__', '\0', '\uFEFF', 'x'.repeat(256), '😀'.repeat(128)]) {
      expect(checkPartitionKey(key)).toBe(Buffer.byteLength(key));
    }
  });

  test('refuses what is empty, longer or no string', () => {
    for (const key of ['', 'x'.repeat(257), '😀'.repeat(129), undefined, null, 7, Buffer.from('a'), ['a']]) {
      expect(() => checkPartitionKey(key)).toThrow(UsageError);
    }
    expect(() => checkPartitionKey('x'.repeat(300), 'records[3].partitionKey')).toThrow(
      /^records\[3\]\.partitionKey: expected a string of 1 to 256 UTF-16 units, well-formed, got a string of 300 /,
    );
  });

  test('refuses a lone surrogate, wherever it stands, and takes pairs', () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    const surrogate = fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit));
    fc.assert(
      fc.property(text, surrogate, text, (before, lone, after) => {
        const key = before + lone + after;
        expect(() => checkPartitionKey(key)).toThrow('with a lone surrogate');
        fc.pre(before !== '');
        expect(checkPartitionKey(before)).toBe(Buffer.byteLength(before));
      }),
    );
  });
});

describe('ranges', () => {
  test('are inclusive at both ends', () => {
    fc.assert(
      fc.property(ranges, keys, (range, key) => {
        expect(rangeContains(range, range.start)).toBe(true);
        expect(rangeContains(range, range.end)).toBe(true);
        expect(rangeContains(range, key)).toBe(!(key < range.start || key > range.end));
      }),
    );
  });

  test('sort totally', () => {
    fc.assert(
      fc.property(ranges, ranges, ranges, (a, b, c) => {
        expect(Math.sign(compareRanges(a, b))).toBe(-Math.sign(compareRanges(b, a)) + 0);
        expect(compareRanges(a, a)).toBe(0);
        if (compareRanges(a, b) <= 0 && compareRanges(b, c) <= 0) expect(compareRanges(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test('findHoles: a key is in a hole exactly when it is in no range; holes are sorted and do not touch', () => {
    fc.assert(
      fc.property(fc.array(ranges, { maxLength: 6 }), keys, (given, key) => {
        const holes = findHoles(given);
        const probes = [key, ...given.flatMap(({ start, end }) => [start, end, start - 1n, end + 1n])];
        for (const probe of probes) {
          if (probe < MIN_HASH_KEY || probe > MAX_HASH_KEY) continue;
          const covered = given.some((range) => rangeContains(range, probe as HashKey));
          expect(holes.some((hole) => rangeContains(hole, probe as HashKey))).toBe(!covered);
        }
        for (const [index, hole] of holes.entries()) {
          expect(hole.start <= hole.end).toBe(true);
          const previous = holes[index - 1];
          if (previous !== undefined) expect(hole.start > previous.end + 1n).toBe(true);
        }
        expect(findHoles([...given, ...holes])).toEqual([]);
      }),
    );
  });

  test('findHoles: no range leaves the whole space', () => {
    expect(findHoles([])).toEqual([{ start: MIN_HASH_KEY, end: MAX_HASH_KEY }]);
  });

  test('evenRanges cover the space once, equal but for the last', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (count) => {
        const even = evenRanges(count);
        expect(even).toHaveLength(count);
        expect(findHoles(even)).toEqual([]);
        for (let i = 1; i < count; i++) expect(even[i]?.start).toBe((even[i - 1] as HashKeyRange).end + 1n);
        const sizes = new Set(even.slice(0, -1).map(({ start, end }) => end - start));
        expect(sizes.size).toBeLessThanOrEqual(1);
      }),
    );
  });
});

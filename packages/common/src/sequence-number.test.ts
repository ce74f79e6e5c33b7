import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from './errors.ts';
import {
  AT_TIMESTAMP,
  compareExtended,
  type ExtendedSequenceNumber,
  formatExtended,
  isSentinel,
  LATEST,
  parseCheckpoint,
  parseSequenceNumber,
  type SequenceNumber,
  SHARD_END,
  shardIdIn,
  TRIM_HORIZON,
} from './sequence-number.ts';

const numbers = fc
  .oneof(fc.bigInt({ min: 0n, max: (1n << 186n) - 1n }), fc.bigInt({ min: 0n, max: 20n }))
  .map((value) => value as SequenceNumber);
const numbered: fc.Arbitrary<ExtendedSequenceNumber> = fc.record({
  sequenceNumber: numbers,
  subSequenceNumber: fc.nat(5),
});
const positions = fc.oneof(
  numbered,
  fc
    .tuple(fc.constantFrom('TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'SHARD_END'), fc.nat(3))
    .map(([sequenceNumber, subSequenceNumber]) => ({ sequenceNumber, subSequenceNumber }) as ExtendedSequenceNumber),
);

describe('the order', () => {
  test('is total: antisymmetric, transitive, and any two compare', () => {
    fc.assert(
      fc.property(positions, positions, positions, (a, b, c) => {
        expect(Math.sign(compareExtended(a, b)) + Math.sign(compareExtended(b, a))).toBe(0);
        expect(compareExtended(a, a)).toBe(0);
        if (compareExtended(a, b) <= 0 && compareExtended(b, c) <= 0) {
          expect(compareExtended(a, c)).toBeLessThanOrEqual(0);
        }
        if (compareExtended(a, b) === 0) {
          expect(Math.sign(compareExtended(a, c))).toBe(Math.sign(compareExtended(b, c)));
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('puts AT_TIMESTAMP < TRIM_HORIZON < LATEST < any number < SHARD_END', () => {
    fc.assert(
      fc.property(fc.array(numbered, { maxLength: 5 }), (some) => {
        const sorted = [SHARD_END, ...some, LATEST, AT_TIMESTAMP, TRIM_HORIZON].sort(compareExtended);
        expect(sorted.slice(0, 3)).toEqual([AT_TIMESTAMP, TRIM_HORIZON, LATEST]);
        expect(sorted.at(-1)).toBe(SHARD_END);
      }),
    );
  });

  test('compares numbers as numbers, then their sub-sequence numbers', () => {
    fc.assert(
      fc.property(numbered, numbered, (a, b) => {
        const expected =
          a.sequenceNumber === b.sequenceNumber
            ? Math.sign(a.subSequenceNumber - b.subSequenceNumber)
            : a.sequenceNumber < b.sequenceNumber
              ? -1
              : 1;
        expect(Math.sign(compareExtended(a, b))).toBe(expected);
      }),
    );
    expect(compareExtended(parseCheckpoint('9'), parseCheckpoint('10'))).toBeLessThan(0);
  });

  test('holds two SHARD_ENDs equal whatever their sub-sequence numbers', () => {
    expect(compareExtended(SHARD_END, { sequenceNumber: 'SHARD_END', subSequenceNumber: 7 })).toBe(0);
    expect(compareExtended(LATEST, { sequenceNumber: 'LATEST', subSequenceNumber: 7 })).toBeLessThan(0);
  });
});

describe('the shard in a number', () => {
  test.each([
    ['49590338271490256608559692538361571095921575989136588898', 'shardId-000000000006'],
    ['49543463076548007577105092703039560359975228518395019266', 'shardId-000000000000'],
  ])('is the one that AWS shows it with: %s', (text, shardId) => {
    expect(shardIdIn(parseSequenceNumber(text))).toBe(shardId);
  });

  test.each(['0', '17', String(1n << 184n), String(1n << 186n)])(
    'is not known of a number of another make: %s',
    (text) => {
      expect(shardIdIn(parseSequenceNumber(text))).toBeUndefined();
    },
  );
});

describe('reading', () => {
  test('parseCheckpoint reads what a lease row holds', () => {
    fc.assert(
      fc.property(positions, (position) => {
        expect(parseCheckpoint(String(position.sequenceNumber), position.subSequenceNumber)).toEqual(position);
      }),
    );
    expect(parseCheckpoint('TRIM_HORIZON')).toEqual(TRIM_HORIZON);
  });

  test('refuses what is neither digits nor a sentinel', () => {
    for (const text of ['', '-1', '1.0', '0x1', ' 1', 'trim_horizon', 'SHARD_END ', '9'.repeat(129)]) {
      expect(() => parseCheckpoint(text), text).toThrow(UsageError);
    }
    expect(() => parseSequenceNumber('TRIM_HORIZON', 'after')).toThrow(
      'after: expected a decimal sequence number, got "TRIM_HORIZON"',
    );
    expect(() => parseSequenceNumber(12 as unknown as string)).toThrow(UsageError);
  });

  test('isSentinel knows the four words alone', () => {
    expect(['TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'SHARD_END'].every(isSentinel)).toBe(true);
    expect(['', 'latest', '12', null, undefined, 0, 'toString'].some(isSentinel)).toBe(false);
  });
});

test('formatExtended is short for people', () => {
  expect(formatExtended(TRIM_HORIZON)).toBe('TRIM_HORIZON');
  expect(formatExtended(parseCheckpoint('42'))).toBe('42');
  expect(formatExtended(parseCheckpoint('42', 3))).toBe('42:3');
});

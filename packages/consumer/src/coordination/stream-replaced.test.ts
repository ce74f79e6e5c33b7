// What begins anew on a stream that was made again: everything but what is of it for certain.
import { evenRanges, type HashKeyRange, parseCheckpoint } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lease, newLease, type Shard } from './lease.ts';
import { findReplaced, planAnew } from './stream-replaced.ts';

const [whole] = evenRanges(1) as [HashKeyRange];
const [lower] = evenRanges(2) as [HashKeyRange];

const shard: Shard = {
  shardId: 'a',
  parentShardIds: [],
  hashKeyRange: whole,
  startingSequenceNumber: 100n,
  endingSequenceNumber: undefined,
};
const closed: Shard = { ...shard, endingSequenceNumber: 200n };

function lease(checkpoint: string, fields: Partial<Lease> = {}): Lease {
  return { ...newLease(shard, parseCheckpoint(checkpoint)), ...fields };
}

const isProof = (of: Shard, each: Lease, isAnother = false): boolean =>
  findReplaced([of], [each], isAnother).length > 0;
const beginsAnew = (of: Shard, each: Lease): boolean => planAnew([of], [each]).length > 0;

describe('a lease', () => {
  test.each([
    ['at a number before the first of its shard proves it', shard, lease('99'), true, true],
    ['at the first number of its shard is of it', shard, lease('100'), false, false],
    ['at the end of an open shard proves it', shard, lease('SHARD_END'), true, true],
    ['at the end of a closed shard proves nothing, and is read again', closed, lease('SHARD_END'), false, true],
    ['at TRIM_HORIZON of the same hash keys begins there anyway', shard, lease('TRIM_HORIZON'), false, false],
    ['of other hash keys is none of this shard', shard, lease('TRIM_HORIZON', { hashKeyRange: lower }), false, true],
    ['at LATEST would pass over what is there', shard, lease('LATEST'), false, true],
    ['at a time would pass over what is there', shard, lease('AT_TIMESTAMP'), false, true],
    ['of a shard that is not listed is nobody\u2019s', { ...shard, shardId: 'b' }, lease('5'), false, false],
  ] as const)('%s', (_, of, each, proves, anew) => {
    expect([isProof(of, each), beginsAnew(of, each)]).toEqual([proves, anew]);
  });

  test('at the end of a closed shard proves it where the stream is known to be another one', () => {
    expect(isProof(closed, lease('SHARD_END'), true)).toBe(true);
    expect(isProof(closed, lease('150'), true)).toBe(false);
  });
});

test('whatever proves it begins anew, and once all have, nothing proves it any more', () => {
  const positions = fc.constantFrom('TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'SHARD_END', '1', '99', '100', '170');
  fc.assert(
    fc.property(positions, fc.boolean(), fc.boolean(), (checkpoint, isOpen, sameKeys) => {
      const of = isOpen ? shard : closed;
      const each = lease(checkpoint, sameKeys ? {} : { hashKeyRange: lower });
      if (isProof(of, each)) expect(beginsAnew(of, each)).toBe(true);
      const after = planAnew([of], [each]).map(({ shard: now }) => newLease(now, parseCheckpoint('TRIM_HORIZON')));
      expect(findReplaced([of], after)).toEqual([]);
      expect(planAnew([of], after)).toEqual([]);
    }),
  );
});

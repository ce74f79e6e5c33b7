import { evenRanges, type HashKeyRange, parseCheckpoint } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { type Lease, newLease, type Shard } from './lease.ts';
import { isStray, Strays } from './strays.ts';

const [whole] = evenRanges(1) as [HashKeyRange];
const [lower, upper] = evenRanges(2) as [HashKeyRange, HashKeyRange];
const shardOf = (shardId: string, hashKeyRange: HashKeyRange): Shard => ({
  shardId,
  parentShardIds: [],
  hashKeyRange,
  startingSequenceNumber: 100n,
  endingSequenceNumber: undefined,
});
const b = shardOf('b', lower);
const d = shardOf('d', upper);
const at = (shardId: string, range: HashKeyRange | undefined, checkpoint: string): Lease => ({
  ...newLease(shardOf(shardId, whole), parseCheckpoint(checkpoint)),
  hashKeyRange: range,
});

describe('a lease of a shard that is not listed', () => {
  test.each([
    ['that was there before those on its keys may have expired', at('a', whole, '99'), false],
    ['so may one that was not read', at('a', whole, 'TRIM_HORIZON'), false],
    ['at the end of one, too', at('a', whole, 'SHARD_END'), false],
    ['that was read behind the beginning of those on its keys is a stray', at('a', whole, '100'), true],
    ['between them: on the keys of the earlier one it is a stray', at('c', lower, '99'), true],
    ['on the keys of the later one it may have expired', at('c', upper, '99'), false],
    ['on those of both it is a stray', at('c', whole, 'TRIM_HORIZON'), true],
    ['of unknown keys may have had those of either', at('c', undefined, '99'), false],
    ['that comes after all is a stray', at('e', lower, 'TRIM_HORIZON'), true],
    ['that comes after all is a stray, at its end', at('e', lower, 'SHARD_END'), true],
    ['that comes after all is a stray, whatever its keys', at('e', undefined, '99'), true],
  ] as const)('%s', (_, lease, isOne) => {
    expect(isStray(lease, [b, d])).toBe(isOne);
    // A closed shard says nothing, and without any nothing is known.
    expect(isStray(lease, [{ ...shardOf('z', whole), endingSequenceNumber: 170n }])).toBe(false);
    expect(isStray(lease, [])).toBe(false);
  });

  test('that a listed one names as its parent has expired, though it has the higher id', () => {
    const child = { ...d, parentShardIds: ['e'] };
    expect([isStray(at('e', upper, '99'), [b, child]), isStray(at('e', upper, '99'), [b, d])]).toEqual([false, true]);
  });
});

describe('a stray is believed', () => {
  const lease = at('e', lower, '7');
  const keysOf = (strays: Strays, shards: readonly Shard[], ...leases: Lease[]): [string[], number] => {
    const { believed, suspectCount } = strays.listed(shards, leases);
    return [believed.map(({ leaseKey }) => leaseKey), suspectCount];
  };

  test('when two listings say so, one after the other', () => {
    const strays = new Strays();
    const listed = [b, d, shardOf('e', lower)];
    expect(keysOf(strays, [b, d], lease)).toEqual([[], 1]);
    expect(keysOf(strays, listed, lease)).toEqual([[], 0]);
    expect(keysOf(strays, [b, d], lease)).toEqual([[], 1]);
    expect(keysOf(strays, [b, d], lease, at('f', lower, '7'))).toEqual([['e'], 2]);
    expect(keysOf(strays, [b, d], lease, at('f', lower, '7'))).toEqual([['e', 'f'], 2]);
    // By a leader that has listed both.
    strays.forget();
    expect(keysOf(strays, [b, d], lease)).toEqual([[], 1]);
  });

  test('if it stands where it stood: one that gets on is of a shard that is there', () => {
    const strays = new Strays();
    expect(keysOf(strays, [b, d], lease)).toEqual([[], 1]);
    expect(keysOf(strays, [b, d], at('e', lower, '8'))).toEqual([[], 1]);
    // Renewing it is not reading it.
    expect(keysOf(strays, [b, d], { ...at('e', lower, '8'), leaseCounter: 9 })).toEqual([['e'], 1]);
  });

  test('by no listing that leaves hash keys out', () => {
    const strays = new Strays();
    for (const _ of [1, 2, 3]) expect(keysOf(strays, [b], lease)).toEqual([[], 0]);
  });
});

import { evenRanges, type HashKeyRange, parseCheckpoint } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lease, newLease, type Shard } from './lease.ts';
import { planCleanup } from './lease-cleanup.ts';
import { planRepairs } from './lease-repair.ts';

const [whole] = evenRanges(1) as [HashKeyRange];
const [lower, upper] = evenRanges(2) as [HashKeyRange, HashKeyRange];

/** `b` and `c` are the children of `a`, unless told otherwise. */
function shard(shardId: string, hashKeyRange: HashKeyRange, parentShardIds: string[] = [], open = true): Shard {
  const startingSequenceNumber = BigInt(shardId.charCodeAt(0));
  const endingSequenceNumber = open ? undefined : startingSequenceNumber + 1n;
  return { shardId, parentShardIds, hashKeyRange, startingSequenceNumber, endingSequenceNumber };
}

function lease(shardId: string, checkpoint: string, fields: Partial<Lease> = {}): Lease {
  const made = newLease({ shardId, parentShardIds: [], hashKeyRange: whole }, parseCheckpoint(checkpoint));
  return { ...made, ...fields };
}

const split = [shard('a', whole, [], false), shard('b', lower, ['a']), shard('c', upper, ['a'])];
const garbage = (shards: Shard[], leases: Lease[]) => planRepairs(shards, leases).garbage;
const fill = (shards: Shard[], leases: Lease[]) => planRepairs(shards, leases).fill;

describe('hash key ranges that a row of the KCL 1.x lacks', () => {
  test('are filled in from the shard of its lease, in an unfinished lease', () => {
    const bare = { hashKeyRange: undefined };
    const leases = [lease('a', 'SHARD_END', { ...bare, childShardIds: ['b'] }), lease('b', '5', bare), lease('c', '5')];
    expect(fill(split, leases)).toEqual([{ leaseKey: 'b', hashKeyRange: lower, childShardIds: undefined }]);
  });

  test('stay absent where the stream has no such shard', () => {
    expect(fill(split, [lease('z', '5', { hashKeyRange: undefined })])).toEqual([]);
  });
});

describe('children that the row of a finished shard does not name', () => {
  test('are filled in, of a split both and of a merge the one', () => {
    expect(fill(split, [lease('a', 'SHARD_END')])).toEqual([
      { leaseKey: 'a', hashKeyRange: undefined, childShardIds: ['b', 'c'] },
    ]);
    const merge = [shard('a', lower, [], false), shard('b', upper, [], false), shard('c', whole, ['a', 'b'])];
    expect(fill(merge, [lease('a', 'SHARD_END'), lease('b', 'SHARD_END')]).map((each) => each.childShardIds)).toEqual([
      ['c'],
      ['c'],
    ]);
  });

  test('are not, while only one child of a split is listed', () => {
    const half = [shard('a', whole, [], false), shard('b', lower, ['a']), shard('x', whole)];
    expect(fill(half, [lease('a', 'SHARD_END')])).toEqual([]);
  });

  test('make the lease go by the same rule as any other', () => {
    const leases = [lease('a', 'SHARD_END'), lease('b', '5'), lease('c', 'TRIM_HORIZON')];
    const [repair] = fill(split, leases);
    const repaired = leases.map((each) =>
      each.leaseKey === repair?.leaseKey ? { ...each, childShardIds: repair.childShardIds ?? [] } : each,
    );
    expect(planCleanup(repaired)).toEqual([]);
    expect(planCleanup(repaired.map((each) => (each.leaseKey === 'c' ? lease('c', '7') : each)))).toEqual(['a']);
  });
});

describe('a finished lease whose shard the stream no longer has', () => {
  const rest = split.slice(1);
  test('goes when its children have begun, whether or not its row names them', () => {
    for (const childShardIds of [[], ['b', 'c']]) {
      const old = lease('a', 'SHARD_END', { childShardIds });
      expect(garbage(rest, [old, lease('b', '5'), lease('c', 'LATEST')])).toEqual(['a']);
      expect(garbage(rest, [old, lease('b', '5'), lease('c', 'TRIM_HORIZON')])).toEqual([]);
      expect(garbage(rest, [old, lease('b', '5')])).toEqual([]);
    }
  });

  test('goes when its children are gone as well, or have been worked off and cleaned up', () => {
    const old = lease('a', 'SHARD_END', { childShardIds: ['p', 'q'] });
    expect(garbage([shard('x', whole)], [old, lease('x', '5')])).toEqual(['a']);
    const grandchild = shard('d', whole, ['b', 'c']);
    const worked = [shard('b', lower, ['a'], false), shard('c', upper, ['a'], false), grandchild];
    expect(garbage(worked, [old, lease('d', '5')])).toEqual(['a']);
    expect(garbage(worked, [old])).toEqual([]);
  });

  test('stays while the listing leaves hash keys out, and an unfinished one stays in any case', () => {
    const old = lease('a', 'SHARD_END');
    expect(planRepairs([], [old])).toEqual({ fill: [], garbage: [] });
    expect(garbage([shard('b', lower)], [old, lease('b', '5')])).toEqual([]);
    expect(garbage([shard('x', whole)], [lease('a', '5')])).toEqual([]);
  });
});

test('whatever the table holds, no lease goes that a listed child without one needs, and what is there is never replaced', () => {
  const checkpoints = fc.constantFrom('TRIM_HORIZON', 'AT_TIMESTAMP', '5', 'SHARD_END');
  const someLeases = fc.array(
    fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd', 'z'), checkpoint: checkpoints, bare: fc.boolean() }),
    { maxLength: 6 },
  );
  const tree = [...split.slice(0, 2), shard('c', upper, ['a'], false), shard('d', upper, ['c'])];
  fc.assert(
    fc.property(someLeases, fc.boolean(), (rows, withoutRoot) => {
      const leases = [...new Map(rows.map((row) => [row.id, row])).values()].map(({ id, checkpoint, bare }) =>
        lease(id, checkpoint, { hashKeyRange: bare ? undefined : whole, childShardIds: bare ? [] : ['b'] }),
      );
      const listed = withoutRoot ? tree.slice(1) : tree;
      const repairs = planRepairs(listed, leases);
      const byId = new Map(leases.map((each) => [each.shardId, each]));
      for (const leaseKey of repairs.garbage) {
        expect(listed.map(({ shardId }) => shardId)).not.toContain(leaseKey);
        expect(String(byId.get(leaseKey)?.checkpoint.sequenceNumber)).toBe('SHARD_END');
        if (leaseKey !== 'a') continue;
        expect(byId.get('b')?.checkpoint.sequenceNumber ?? 'TRIM_HORIZON').not.toBe('TRIM_HORIZON');
        expect([byId.get('c'), byId.get('d')].some((each) => each !== undefined)).toBe(true);
      }
      for (const { leaseKey, hashKeyRange, childShardIds } of repairs.fill) {
        expect(hashKeyRange !== undefined && byId.get(leaseKey)?.hashKeyRange !== undefined).toBe(false);
        expect(childShardIds !== undefined && byId.get(leaseKey)?.childShardIds.length !== 0).toBe(false);
      }
    }),
  );
});

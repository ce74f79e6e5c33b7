import { evenRanges, type HashKeyRange, LATEST, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newLease, type Shard } from './lease.ts';
import { describeHole, planFirstLeases, planMissingLeases, planOrphans } from './shard-sync.ts';

const whole = evenRanges(1)[0] as HashKeyRange;

/** `shard('c', ['a', 'b'])` is an open merge of a and b; closed by giving an end. */
function shard(shardId: string, parents: string[] = [], open = true, at = shardId.charCodeAt(0)): Shard {
  return {
    shardId,
    parentShardIds: parents,
    hashKeyRange: whole,
    startingSequenceNumber: BigInt(at),
    endingSequenceNumber: open ? undefined : BigInt(at) + 1n,
  };
}

function missing(shards: Shard[], leased: string[], position: 'TRIM_HORIZON' | 'LATEST' = 'TRIM_HORIZON'): string[] {
  const leases = leased.map((leaseKey) => ({ shardId: leaseKey }));
  return planMissingLeases(shards, leases, position).map((lease) => lease.leaseKey);
}

describe('planOrphans (a parent of the KCL 1.x that ended without leases for its children)', () => {
  /** `a!` has ended. */
  function orphans(shards: Shard[], ...leased: string[]): string[] {
    const leases = leased.map((name) => ({
      shardId: name.replace('!', ''),
      checkpoint: name.endsWith('!') ? SHARD_END : TRIM_HORIZON,
    }));
    return planOrphans(shards, leases).map((lease) => `${lease.leaseKey} ${lease.checkpoint.sequenceNumber}`);
  }
  const split = [shard('a', [], false), shard('b', ['a']), shard('c', ['a'])];
  const merge = [shard('a', [], false), shard('b', [], false), shard('c', ['a', 'b'])];
  const line = [shard('a', [], false), shard('b', ['a'], false), shard('c', ['b'])];

  test('the children begin at TRIM_HORIZON once the parent has ended, not before', () => {
    expect(orphans(split, 'a')).toEqual([]);
    expect(orphans(split, 'a!')).toEqual(['b TRIM_HORIZON', 'c TRIM_HORIZON']);
    expect(orphans(split, 'a!', 'b')).toEqual(['c TRIM_HORIZON']);
    expect(orphans(split, 'a!', 'b', 'c!')).toEqual([]);
  });

  test('the child of a merge waits for both parents', () => {
    expect(orphans(merge, 'a!', 'b')).toEqual([]);
    expect(orphans(merge, 'a!')).toEqual([]);
    expect(orphans(merge, 'a!', 'b!')).toEqual(['c TRIM_HORIZON']);
    // A parent that Kinesis no longer lists can't be read.
    expect(orphans(merge.slice(1), 'b!')).toEqual(['c TRIM_HORIZON']);
  });

  test('of several generations only the next one, and none that was worked off and cleaned up', () => {
    expect(orphans(line, 'a!')).toEqual(['b TRIM_HORIZON']);
    expect(orphans(line, 'a!', 'c')).toEqual([]);
  });

  test('shards without a leased parent are not its business', () => {
    expect(orphans(split)).toEqual([]);
    expect(orphans(split, 'b!')).toEqual([]);
  });
});

describe('planFirstLeases', () => {
  test('one lease for each listed shard, at the initial position, in order of the starting sequence numbers', () => {
    const leases = planFirstLeases([shard('b'), shard('a')], 'LATEST');
    expect(leases.map(({ leaseKey, checkpoint }) => ({ leaseKey, checkpoint }))).toEqual([
      { leaseKey: 'a', checkpoint: LATEST },
      { leaseKey: 'b', checkpoint: LATEST },
    ]);
  });
});

describe('planMissingLeases (KCL HierarchicalShardSyncer, non-empty table)', () => {
  const split = [shard('a', [], false), shard('b', ['a']), shard('c', ['a'])];
  const merge = [shard('a', [], false), shard('b', [], false), shard('c', ['a', 'b'])];

  test('the children of a leased shard get theirs when it ends', () => {
    expect(missing(split, ['a'])).toEqual([]);
  });

  test('a finished and cleaned-up parent is not made again while its children are leased', () => {
    expect(missing(split, ['b', 'c'])).toEqual([]);
  });

  test('TRIM_HORIZON begins at the oldest listed ancestor', () => {
    expect(missing(split, [])).toEqual(['a']);
  });

  test('LATEST begins at the open shards', () => {
    expect(missing(split, [], 'LATEST')).toEqual(['b', 'c']);
  });

  test('of a merge with one leased parent the other parent gets a lease, in either position', () => {
    expect(missing(merge, ['a'])).toEqual(['b']);
    expect(missing(merge, ['a'], 'LATEST')).toEqual(['b']);
  });

  test('a parent that Kinesis no longer lists does not count', () => {
    expect(missing([shard('b', ['a'])], [])).toEqual(['b']);
  });

  test('a grandchild of a leased shard waits, however deep', () => {
    const deep = [shard('a', [], false), shard('b', ['a'], false), shard('c', ['b'], false), shard('d', ['c'])];
    expect(missing(deep, ['a'])).toEqual([]);
    expect(missing(deep, ['b'])).toEqual([]);
    expect(missing(deep, ['a'], 'LATEST')).toEqual([]);
  });

  test('after it, every open shard is leased or descends from a leased one, whatever the tree', () => {
    const tree = fc.array(fc.record({ merge: fc.boolean(), pick: fc.nat(), leased: fc.boolean() }), { maxLength: 12 });
    fc.assert(
      fc.property(tree, fc.constantFrom('TRIM_HORIZON' as const, 'LATEST' as const), (steps, position) => {
        const open = ['s0', 's1'];
        const shards = new Map<string, Shard>([
          ['s0', shard('s0', [], true, 0)],
          ['s1', shard('s1', [], true, 1)],
        ]);
        const leased = new Set<string>();
        const close = (id: string): void => {
          shards.set(id, { ...(shards.get(id) as Shard), endingSequenceNumber: 99n });
        };
        steps.forEach(({ merge, pick, leased: isLeased }, step) => {
          const parents =
            merge && open.length > 1 ? open.splice(pick % (open.length - 1), 2) : open.splice(pick % open.length, 1);
          for (const parent of parents) close(parent);
          const children = parents.length === 2 ? [`m${step}`] : [`x${step}`, `y${step}`];
          for (const child of children) shards.set(child, shard(child, parents, true, step + 2));
          open.push(...children);
          if (isLeased) leased.add(children[0] as string);
        });
        const all = [...shards.values()];
        for (const { leaseKey } of planMissingLeases(
          all,
          [...leased].map((leaseKey) => ({ shardId: leaseKey })),
          position,
        )) {
          expect(leased.has(leaseKey)).toBe(false);
          leased.add(leaseKey);
        }
        const covered = (id: string): boolean =>
          leased.has(id) || (shards.get(id)?.parentShardIds ?? []).some((parent) => covered(parent));
        for (const id of open) expect(covered(id)).toBe(true);
        // And a second look finds nothing more.
        expect(
          planMissingLeases(
            all,
            [...leased].map((leaseKey) => ({ shardId: leaseKey })),
            position,
          ),
        ).toEqual([]);
      }),
    );
  });
});

describe('describeHole', () => {
  const [left, right] = evenRanges(2) as [HashKeyRange, HashKeyRange];
  const leaseOf = (shardId: string, hashKeyRange: HashKeyRange) =>
    newLease({ shardId, parentShardIds: [], hashKeyRange }, TRIM_HORIZON);

  test('names what no unfinished lease covers', () => {
    expect(describeHole([leaseOf('a', left)])).toBe(`${right.start} to ${right.end}`);
    expect(describeHole([leaseOf('a', left), leaseOf('b', right)])).toBeUndefined();
  });

  test('does not judge leases whose range is unknown', () => {
    expect(describeHole([{ ...leaseOf('a', left), hashKeyRange: undefined }])).toBeUndefined();
  });
});

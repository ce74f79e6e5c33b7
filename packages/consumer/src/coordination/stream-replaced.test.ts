// What begins anew on a stream that was made again: everything but what is of it for certain.
import { evenRanges, type HashKeyRange, parseCheckpoint } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEnded, type Lease, newLease, type Shard } from './lease.ts';
import { type Begun, findReplaced, noteBegun, planAnew } from './stream-replaced.ts';

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

const NOTHING = { missing: [], pending: [], early: [], resets: [], isDone: true, heldBack: new Set() };
const isProof = (of: Shard, each: Lease, isAnother = false): boolean =>
  findReplaced([of], [each], isAnother).length > 0;
const beginsAnew = (of: Shard, each: Lease): boolean => planAnew([of], [each]).pending.length > 0;

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
      const { pending, resets } = planAnew([of], [each]);
      expect(resets).toEqual(pending);
      const after = pending.map(({ shard: now }) => newLease(now, parseCheckpoint('TRIM_HORIZON')));
      expect(findReplaced([of], after)).toEqual([]);
      if (after.length > 0) expect(planAnew([of], after)).toEqual(NOTHING);
    }),
  );
});

describe('of a stream that was resharded before anybody listed it', () => {
  // One shard, split in two.
  const parent = { ...shard, shardId: 'p', endingSequenceNumber: 200n };
  const child = (shardId: string): Shard => ({
    ...shard,
    shardId,
    parentShardIds: ['p'],
    startingSequenceNumber: 201n,
  });
  const shards = [parent, child('c'), child('d')];
  const row = (of: Shard, checkpoint: string): Lease => newLease(of, parseCheckpoint(checkpoint));
  const keysOf = (leases: readonly { readonly lease: Lease }[]): string[] =>
    leases.map(({ lease: { leaseKey } }) => leaseKey);
  const plan = (leases: Lease[], begun?: Begun, isLeftAlone?: (lease: Lease) => boolean) => {
    const { missing, pending, resets } = planAnew(shards, leases, begun, isLeftAlone);
    return { missing: missing.map(({ leaseKey }) => leaseKey), pending: keysOf(pending), resets: keysOf(resets) };
  };
  const [c, d] = [row(shards[1] as Shard, '7'), row(shards[2] as Shard, '8')];

  test('a parent without a lease gets one before the leases of its children begin, though they are called like them', () => {
    expect(plan([c, d])).toEqual({ missing: ['p'], pending: ['c', 'd'], resets: [] });
    expect(plan([row(parent, 'TRIM_HORIZON'), c, d])).toEqual({ missing: [], pending: ['c', 'd'], resets: ['c', 'd'] });
  });

  test('a parent at SHARD_END begins anew first, since its end would let its children begin', () => {
    expect(plan([row(parent, 'SHARD_END'), c, d])).toEqual({ missing: [], pending: ['p', 'c', 'd'], resets: ['p'] });
    // Unfinished, it holds them up by itself.
    expect(plan([row(parent, '5'), c, d]).resets).toEqual(['p', 'c', 'd']);
  });

  test('a child is held back while its parent is still to begin, since that one may come to its former end first', () => {
    const trim = row(shards[1] as Shard, 'TRIM_HORIZON');
    expect([...planAnew(shards, [row(parent, '5'), trim, d]).heldBack]).toEqual(['c', 'd']);
    expect([...planAnew(shards, [row(parent, 'SHARD_END'), trim, d]).heldBack]).toEqual(['c', 'd']);
    expect([...planAnew(shards, [row(parent, 'TRIM_HORIZON'), trim, d]).heldBack]).toEqual([]);
    // Whoever renews it.
    expect([...planAnew(shards, [row(parent, '5'), trim], undefined, () => true).heldBack]).toEqual(['c']);
  });

  test('a child that is read behind its parent’s former end loses its owner first, and the parent begins when nobody reads it any more', () => {
    const read = { ...row(shards[1] as Shard, '205'), leaseOwner: 'worker' };
    const ended = row(parent, 'SHARD_END');
    const planned = (child: Lease, isRead: boolean, left?: string) => {
      const mayBeRead = ({ leaseKey }: Lease): boolean => isRead && leaseKey === 'c';
      const isLeftAlone = ({ leaseKey }: Lease): boolean => leaseKey === left;
      const { early, resets } = planAnew(shards, [ended, child, d], undefined, isLeftAlone, mayBeRead);
      return { early: early.map(({ leaseKey }) => leaseKey), resets: keysOf(resets) };
    };
    expect(planned(read, true)).toEqual({ early: ['c'], resets: [] });
    const free = { ...read, leaseOwner: undefined };
    expect(planned(free, true)).toEqual({ early: [], resets: [] });
    expect(planned(free, false)).toEqual({ early: [], resets: ['p'] });
    expect(planned(read, false)).toEqual({ early: [], resets: ['p'] });
    // What stands before its first record reads nothing; what is a stranger's is not waited for.
    expect(planned({ ...c, leaseOwner: 'worker' }, true)).toEqual({ early: [], resets: ['p'] });
    expect(planned(read, true, 'c')).toEqual({ early: [], resets: ['p'] });
    expect(planned(read, true, 'p')).toEqual({ early: [], resets: [] });
  });

  test('one that proves it stays until nothing is left that proves nothing', () => {
    const latest = row(shards[1] as Shard, 'LATEST');
    const begun = row(parent, '150');
    expect(plan([begun, latest, d])).toEqual({ missing: [], pending: ['c', 'd'], resets: ['c'] });
    expect(plan([begun, row(shards[1] as Shard, 'TRIM_HORIZON'), d]).resets).toEqual(['d']);
    // What is left alone is waited for if it proves nothing.
    const isLeftAlone = ({ leaseKey }: Lease): boolean => leaseKey === 'c';
    expect(plan([begun, latest, d], undefined, isLeftAlone)).toEqual({ missing: [], pending: ['d'], resets: [] });
    expect(plan([begun, c, row(shards[2] as Shard, 'LATEST')], undefined, isLeftAlone).resets).toEqual(['d']);
  });

  test('what was seen to begin is not begun once more when it has ended, or has been cleaned up', () => {
    const seen: Begun = new Map();
    noteBegun(shards, [row(parent, 'TRIM_HORIZON')], seen);
    expect(findReplaced(shards, [row(parent, 'SHARD_END')], true)).toHaveLength(1);
    expect(findReplaced(shards, [row(parent, 'SHARD_END')], true, seen)).toEqual([]);
    expect(plan([row(parent, 'SHARD_END'), c, d], seen)).toEqual({
      missing: [],
      pending: ['c', 'd'],
      resets: ['c', 'd'],
    });
    expect(plan([c, d], seen)).toEqual({ missing: [], pending: ['c', 'd'], resets: ['c', 'd'] });
    // Another stream again.
    const later = shards.map((each) => ({ ...each, startingSequenceNumber: each.startingSequenceNumber + 1_000n }));
    expect(planAnew(later, [c, d], seen).missing.map(({ leaseKey }) => leaseKey)).toEqual(['p']);
  });
});

test('whatever leases there are, and whichever are missing, in the end all begin anew that have to', () => {
  const of = (shardId: string, parentShardIds: string[], at: bigint, isOpen = false): Shard => ({
    ...{ shardId, parentShardIds, hashKeyRange: whole, startingSequenceNumber: at },
    endingSequenceNumber: isOpen ? undefined : at + 50n,
  });
  // Split in two, merged, and followed by one that is open.
  const shards = [of('p', [], 100n), of('c', ['p'], 200n), of('d', ['p'], 200n), of('m', ['c', 'd'], 300n)];
  shards.push(of('e', ['m'], 400n, true));
  const position = fc.constantFrom(undefined, 'TRIM_HORIZON', 'LATEST', 'SHARD_END', '1', '2', '450');
  fc.assert(
    fc.property(fc.tuple(position, position, position, position, position), (positions) => {
      const rows = new Map<string, Lease>();
      for (const [index, each] of shards.entries()) {
        const checkpoint = positions[index];
        if (checkpoint !== undefined) rows.set(each.shardId, newLease(each, parseCheckpoint(checkpoint)));
      }
      const begun: Begun = new Map();
      for (let run = 0; run <= 2 * shards.length; run += 1) {
        noteBegun(shards, [...rows.values()], begun);
        const { missing, resets } = planAnew(shards, [...rows.values()], begun);
        for (const lease of missing) {
          expect(rows.has(lease.leaseKey)).toBe(false);
          rows.set(lease.leaseKey, lease);
        }
        for (const { shard: now } of resets) rows.set(now.shardId, newLease(now, parseCheckpoint('TRIM_HORIZON')));
      }
      expect(planAnew(shards, [...rows.values()], begun)).toEqual(NOTHING);
    }),
    { numRuns: 1_000 },
  );
});

test('whatever holders of before still write, and whichever of them are left alone, no lease begins too early and none is passed over', () => {
  const of = (shardId: string, parentShardIds: string[], at: bigint, isOpen = false): Shard => ({
    ...{ shardId, parentShardIds, hashKeyRange: whole, startingSequenceNumber: at },
    endingSequenceNumber: isOpen ? undefined : at + 50n,
  });
  const shards = [of('p', [], 100n), of('c', ['p'], 200n), of('d', ['p'], 200n), of('m', ['c', 'd'], 300n, true)];
  const position = fc.constantFrom(undefined, 'TRIM_HORIZON', 'LATEST', 'SHARD_END', '1');
  // In each run: whose holder brings it to its former end, whose renews it so that it can't be begun, whose is a stranger.
  const key = fc.constantFrom(undefined, 'p', 'c', 'd', 'm');
  const runs = fc.array(fc.record({ ends: key, renews: key, stranger: key }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.tuple(position, position, position, position), runs, (positions, disturbed) => {
      const rows = new Map<string, Lease>();
      for (const [index, each] of shards.entries()) {
        const checkpoint = positions[index];
        if (checkpoint !== undefined) rows.set(each.shardId, newLease(each, parseCheckpoint(checkpoint)));
      }
      fc.pre(findReplaced(shards, [...rows.values()]).length > 0);
      const stood = new Set(rows.values());
      /** Begun in the stream that is there now, and read to its end. */
      const [begins, read] = [new Set<string>(), new Set<string>()];
      const begun: Begun = new Map();
      let isOver = false;
      for (const { ends, renews, stranger } of [...disturbed, ...Array.from({ length: 24 }, () => ({}) as never)]) {
        const leases = [...rows.values()];
        noteBegun(shards, leases, begun);
        const isLeftAlone = ({ leaseKey }: Lease): boolean => leaseKey === stranger && !begins.has(leaseKey);
        const { missing, resets, isDone, heldBack } = planAnew(shards, leases, begun, isLeftAlone);
        isOver = isDone;
        if (isDone) break;
        for (const lease of missing) rows.set(lease.leaseKey, lease);
        for (const { shard: now } of resets)
          if (now.shardId !== renews) rows.set(now.shardId, newLease(now, parseCheckpoint('TRIM_HORIZON')));
        const last = ends === undefined ? undefined : rows.get(ends);
        if (last !== undefined && !begins.has(last.shardId) && last.checkpoint.sequenceNumber !== 'TRIM_HORIZON')
          rows.set(last.shardId, { ...last, checkpoint: parseCheckpoint('SHARD_END') });
        for (const { shardId, parentShardIds, endingSequenceNumber } of shards) {
          const lease = rows.get(shardId);
          // Given to a worker in a later run.
          if (lease?.checkpoint.sequenceNumber !== 'TRIM_HORIZON' || !leases.includes(lease)) continue;
          if (heldBack.has(shardId) && !stood.has(lease)) continue;
          if (parentShardIds.some((parent) => rows.has(parent) && !isEnded(rows.get(parent) as Lease))) continue;
          begins.add(shardId);
          // A row that stood there at its beginning is read before anybody knows.
          if (!stood.has(lease))
            for (const parent of parentShardIds.filter((each) => rows.has(each)))
              expect([shardId, parent, read.has(parent)]).toEqual([shardId, parent, true]);
          if (endingSequenceNumber === undefined) continue;
          read.add(shardId);
          rows.set(shardId, { ...lease, checkpoint: parseCheckpoint('SHARD_END') });
        }
      }
      expect(isOver).toBe(true);
      for (const lease of rows.values())
        if (isEnded(lease)) expect([lease.shardId, read.has(lease.shardId)]).toEqual([lease.shardId, true]);
    }),
    { numRuns: 2_000 },
  );
});

import { evenRanges, parseCheckpoint, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { TrackedStream } from './effects.ts';
import { type Lease, newLease, type Shard } from './lease.ts';
import { type ListedUnder, StreamSync } from './stream-sync.ts';

const options = { shardSyncIntervalMs: 1000, formerStreamsWaitMs: 500, retryMs: 100 };
const A = '1:a:1';
const B = '1:b:1';

function tracked(...ids: (string | undefined)[]): TrackedStream[] {
  return ids.map((streamId) => ({ streamId, initialPosition: 'TRIM_HORIZON' }));
}

function shards(count: number): Shard[] {
  return evenRanges(count).map((hashKeyRange, index) => ({
    shardId: `s${index}`,
    parentShardIds: [],
    hashKeyRange,
    startingSequenceNumber: BigInt(index),
    endingSequenceNumber: undefined,
  }));
}

function leasesOf(streamId: string | undefined, count = 2): Lease[] {
  return shards(count).map((shard) => newLease(shard, TRIM_HORIZON, streamId));
}

function syncOf(...ids: (string | undefined)[]): StreamSync {
  const sync = new StreamSync(options);
  sync.track(tracked(...ids));
  return sync;
}

describe('StreamSync', () => {
  test('an empty table lists each stream at its initial position; a table with leases lists all shards, when it is due', () => {
    const sync = syncOf(A, B);
    expect(sync.due([], 0)).toEqual([
      { kind: 'listShards', streamId: A, filter: 'initial' },
      { kind: 'listShards', streamId: B, filter: 'initial' },
    ]);
    const table = leasesOf(A);
    const [first, second] = sync.due(table, 10);
    expect([first?.filter, second?.filter]).toEqual(['all', 'all']);
    sync.listed({ kind: 'listShards', streamId: A, filter: 'all' }, shards(2), table, 10);
    expect(sync.due(table, 500).map(({ streamId }) => streamId)).toEqual([B]);
    expect(sync.due(table, 1010).map(({ streamId }) => streamId)).toEqual([A, B]);
    sync.listed({ kind: 'listShards', streamId: B, filter: 'all' }, shards(2), table, 1010);
    sync.forgetListings();
    expect(sync.due(table, 1011)).toHaveLength(2);
  });

  test('a row that cannot be read is made by nobody, and neither are leases of what descends from its shard', () => {
    for (const initialPosition of ['TRIM_HORIZON', 'LATEST'] as const) {
      const sync = new StreamSync(options);
      sync.track([{ streamId: undefined, initialPosition }]);
      const [first, second] = shards(2) as [Shard, Shard];
      const closed = { ...second, endingSequenceNumber: 9n };
      const child = { ...second, shardId: 'child', parentShardIds: ['s1'], startingSequenceNumber: 10n };
      const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
      const missing = (unreadable: string[]): string[] =>
        sync
          .listed(listing, [first, closed, child], leasesOf(undefined, 1), 0, { unreadable: new Set(unreadable) })
          .missing.map(({ leaseKey }) => leaseKey);
      expect(missing(['s1'])).toEqual([]);
      expect(missing([])).toEqual([initialPosition === 'LATEST' ? 'child' : 's1']);
      // Nor is a table of such rows an empty one, where every shard would begin.
      sync.forgetListings();
      expect(sync.due([], 0, new Set(['s1']))).toEqual([{ ...listing, filter: 'all' }]);
    }
  });

  describe('of several, one that was made again begins at TRIM_HORIZON whatever the initial position says', () => {
    const listing = { kind: 'listShards', streamId: '1:a:2', filter: 'all' } as const;
    const begin = (sync: StreamSync, table: Lease[], unreadable: string[] = []) => {
      const { missing } = sync.listed(listing, shards(2), table, 0, { unreadable: new Set(unreadable) });
      return missing.map(({ leaseKey, checkpoint }) => [leaseKey, checkpoint.sequenceNumber]);
    };
    const from = (word: string) => [0, 1].map((shard) => [`1:a:2:s${shard}`, word]);
    const at = (initialPosition: 'LATEST' | 'AT_TIMESTAMP', ...ids: string[]): TrackedStream[] =>
      ids.map((streamId) => ({ streamId, initialPosition }));

    test.each(['LATEST', 'AT_TIMESTAMP'] as const)('%s: leases of the earlier one stand in the table', (position) => {
      const sync = new StreamSync(options);
      sync.track(at(position, '1:a:2', B));
      expect(begin(sync, leasesOf(A))).toEqual(from('TRIM_HORIZON'));
      expect(begin(sync, [], [`${A}:s0`])).toEqual(from('TRIM_HORIZON'));
      // Of another name or account, or a later one: this one is as new to the application as any.
      for (const other of [B, '2:a:1', '1:aa:1', '1:a:10', '1:a:3']) {
        expect(begin(sync, leasesOf(other)), other).toEqual(from(position));
        expect(begin(sync, [], [`${other}:s0`]), other).toEqual(from(position));
      }
      expect(begin(sync, [])).toEqual(from(position));
    });

    test('the earlier one was read by this worker, and its leases are deleted: even when they were the last ones', () => {
      const sync = new StreamSync(options);
      sync.track(at('LATEST', A));
      sync.track([]);
      sync.forgetListings();
      sync.track(at('LATEST', '1:a:2', B));
      expect(begin(sync, leasesOf(B))).toEqual(from('TRIM_HORIZON'));
      // What was open at LATEST is not all of it.
      expect(sync.due([], 0).map(({ streamId, filter }) => [streamId, filter])).toEqual([
        ['1:a:2', 'all'],
        [B, 'initial'],
      ]);
    });

    test('all of it: also what was resharded before it was found', () => {
      const sync = new StreamSync(options);
      sync.track(at('LATEST', '1:a:2'));
      const [whole] = shards(1) as [Shard];
      const closed = { ...whole, endingSequenceNumber: 5n };
      const child = { ...whole, shardId: 'child', parentShardIds: ['s0'], startingSequenceNumber: 6n };
      const missing = (table: Lease[]) =>
        sync.listed(listing, [closed, child], table, 0).missing.map(({ leaseKey }) => leaseKey);
      expect(missing(leasesOf(A))).toEqual(['1:a:2:s0']);
      expect(missing(leasesOf(B))).toEqual(['1:a:2:child']);
    });
  });

  test('what a listing has led to and could not be written makes the stream be listed again soon, not with the next interval', () => {
    const sync = syncOf(undefined);
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const table = leasesOf(undefined);
    sync.listed(listing, shards(2), table, 0);
    expect(sync.due(table, 500)).toEqual([]);
    sync.listAgain(undefined, 500);
    expect([sync.retryAt(), sync.due(table, 599), sync.due(table, 600)]).toEqual([600, [], [listing]]);
  });

  test('what is missing of a stream is judged by the leases of that stream alone', () => {
    const sync = syncOf(A, B);
    const listing = { kind: 'listShards', streamId: B, filter: 'all' } as const;
    const { missing } = sync.listed(listing, shards(2), leasesOf(A), 0);
    expect(missing.map(({ leaseKey }) => leaseKey)).toEqual([`${B}:s0`, `${B}:s1`]);
    expect(sync.listed(listing, shards(2), [...leasesOf(A), ...leasesOf(B)], 0).missing).toEqual([]);
  });

  test('leases of an earlier stream of the same name are told of: past the end of an open shard, or before its first number', () => {
    const sync = syncOf(undefined);
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const [first, second] = leasesOf(undefined) as [Lease, Lease];
    const [one, two] = shards(2) as [Shard, Shard];
    const listed = [one, { ...two, startingSequenceNumber: 100n }];
    const replaced = (...table: Lease[]) =>
      (sync.listed(listing, listed, table, 0).replaced ?? []).map(({ leaseKey }) => leaseKey);
    expect(replaced(first, second)).toEqual([]);
    // The end of an open shard: a listing may be older than that end.
    expect(replaced({ ...first, checkpoint: SHARD_END }, second)).toEqual([]);
    expect(sync.due([first], 166)).toEqual([]);
    expect(sync.due([first], 167)).toEqual([listing]);
    expect(replaced({ ...first, checkpoint: SHARD_END }, second)).toEqual(['s0']);
    expect(replaced(first, { ...second, checkpoint: parseCheckpoint('99') })).toEqual(['s1']);
    expect(replaced(first, { ...second, checkpoint: parseCheckpoint('100') })).toEqual([]);
    const closed = { ...one, endingSequenceNumber: 5n };
    const table = [{ ...first, checkpoint: SHARD_END }];
    expect(sync.listed(listing, [closed], table, 0).replaced).toBeUndefined();
    expect(sync.listed(listing, [closed], table, 0, { isAnother: true }).replaced).toEqual(table);
  });

  test('of a stream that was made again nothing is begun, unless it shall begin anew: then from its beginning, and all of it', () => {
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const stream: TrackedStream = { streamId: undefined, initialPosition: 'LATEST' };
    const [first] = leasesOf(undefined) as [Lease];
    const table = [{ ...first, checkpoint: SHARD_END }];
    const of = (beginsAnew: boolean) => {
      const sync = new StreamSync({ ...options, beginsAnew });
      sync.track([stream]);
      expect(sync.listed(listing, shards(2), table, 0)).toEqual({ missing: [], replaced: [] });
      return sync.listed(listing, shards(2), table, 0);
    };
    expect(of(false)).toEqual({ missing: [], replaced: table });
    const { missing, resets, anewCount } = of(true);
    expect(missing.map(({ leaseKey, checkpoint }) => [leaseKey, checkpoint])).toEqual([['s1', TRIM_HORIZON]]);
    // The lease that proves it is the last one.
    expect([resets, anewCount]).toEqual([[], 1]);
  });

  test('of a stream that begins anew the shards are listed in each run until all has begun, which is then said', () => {
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const sync = new StreamSync({ ...options, beginsAnew: true });
    sync.track([{ streamId: undefined, initialPosition: 'LATEST' }]);
    const [first, second] = leasesOf(undefined) as [Lease, Lease];
    const listed = (isAnother: boolean, ...table: Lease[]) => sync.listed(listing, shards(2), table, 0, { isAnother });
    const ended = { ...first, checkpoint: SHARD_END };
    expect(sync.mayBeOfAnother(ended)).toBe(false);
    expect(listed(true, ended).missing).toEqual([second]);
    expect(sync.mayBeOfAnother(ended)).toBe(true);
    expect(sync.due([ended], 1)).toEqual([listing]);
    expect(listed(true, ended, second).resets).toEqual([{ lease: ended, shard: shards(2)[0] }]);
    expect(sync.due([ended, second], 1)).toEqual([listing]);
    expect(listed(true, first, second)).toEqual({ missing: [], isSettled: true });
    expect(sync.due([first, second], 1)).toEqual([]);
    expect(listed(false, first, second).isSettled).toBe(false);
    expect(sync.mayBeOfAnother(ended)).toBe(false);
  });

  test('what begins and ends after all has begun anew is of the stream that is there now, unless it is one more', () => {
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const [first, second] = leasesOf(undefined) as [Lease, Lease];
    const [one, two] = shards(2) as [Shard, Shard];
    const closed = { ...two, endingSequenceNumber: 8n };
    const child = { ...closed, shardId: 'child', parentShardIds: ['s1'], startingSequenceNumber: 9n };
    const last = { ...two, shardId: 'last', parentShardIds: ['child'], startingSequenceNumber: 10n };
    const all = [one, closed, child, last];
    const ended = { ...newLease(child, TRIM_HORIZON), checkpoint: SHARD_END };
    const table = [first, ended, newLease(last, TRIM_HORIZON)];
    const later = all.map((shard) => ({ ...shard, startingSequenceNumber: shard.startingSequenceNumber + 100n }));
    for (const beginsAnew of [false, true]) {
      for (const isAnother of [false, true]) {
        const sync = new StreamSync({ ...options, beginsAnew });
        sync.track([{ streamId: undefined, initialPosition: 'LATEST' }]);
        const listed = (of: readonly Shard[], leases: readonly Lease[]) => {
          const { replaced, resets, isSettled } = sync.listed(listing, of, leases, 0, { isAnother });
          return { replaced, resets, isSettled };
        };
        expect(sync.listed(listing, all, [first, second], 0, { isAnother: true }).isSettled).toBe(true);
        // Whether its process has learned meanwhile that it is this one, or not yet.
        expect(listed(all, table)).toEqual({ replaced: undefined, resets: undefined, isSettled: isAnother });
        if (isAnother) expect(listed(later, table).replaced).toEqual([ended]);
        // Who has not seen it begin can't know.
        sync.forgetListings();
        if (isAnother) expect(listed(all, table).replaced).toEqual([ended]);
      }
    }
  });

  describe('leases of shards that the stream never had', () => {
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const [first] = leasesOf(undefined, 1) as [Lease];
    const [, second] = leasesOf(undefined) as [Lease, Lease];
    const [one] = shards(1) as [Shard];
    const stray = { ...second, checkpoint: parseCheckpoint('7'), leaseOwner: 'java' };
    const keys = (leases: readonly Lease[] = []): string[] => leases.map(({ leaseKey }) => leaseKey);
    const begin = (beginsAnew: boolean) => {
      const sync = new StreamSync({ ...options, beginsAnew });
      sync.track([{ streamId: undefined, initialPosition: 'LATEST' }]);
      return (table: Lease[], under: ListedUnder = {}, listed = [one]) => {
        const { strays, missing, replaced, resets, repairs } = sync.listed(listing, listed, table, 0, under);
        const told = strays && [keys(strays.believed), keys(strays.deleted), strays.toDeleteCount];
        const others = [keys(missing), replaced?.length, resets?.length, repairs !== undefined];
        return {
          told,
          others,
          isHeldBack: sync.isHeldBack(stray),
          isDue: (now: number) => sync.due(table, now).length,
        };
      };
    };

    test('are told of when two listings say so, of which the second comes soon, and stay', () => {
      const listed = begin(false);
      const suspected = listed([first, stray]);
      expect(suspected).toMatchObject({ told: undefined, isHeldBack: false });
      expect([suspected.isDue(166), suspected.isDue(167)]).toEqual([0, 1]);
      // The first one may have been older than the shard.
      expect(listed([first, stray], {}, shards(2)).told).toBeUndefined();
      expect(listed([first, stray]).told).toBeUndefined();
      const believed = listed([first, stray]);
      expect(believed).toMatchObject({ told: [['s1'], [], 0], isHeldBack: false });
      expect([believed.isDue(999), believed.isDue(1000)]).toEqual([0, 1]);
    });

    test('keep nothing from what the stream needs otherwise', () => {
      const listed = begin(false);
      const others = [[], undefined, undefined, true];
      expect([listed([first, stray]).others, listed([first, stray]).others]).toEqual([others, others]);
      expect(listed([stray]).others).toEqual([['s0'], undefined, undefined, true]);
    });

    test('go where it begins anew, when all others have begun; nobody is given them before', () => {
      const listed = begin(true);
      const old = { ...first, checkpoint: parseCheckpoint('5') };
      const later = [{ ...one, startingSequenceNumber: 100n }];
      expect(listed([stray], {}, later).told).toBeUndefined();
      // Whatever is missing or of the stream before comes first.
      expect(listed([stray], {}, later)).toMatchObject({
        told: [['s1'], [], 1],
        others: [['s0'], undefined, undefined, true],
        isHeldBack: true,
      });
      expect(listed([old, stray], {}, later)).toMatchObject({ told: [['s1'], [], 1], others: [[], 1, 1, false] });
      expect(listed([first, stray], { unreadable: new Set(['s9']) }, later).told).toEqual([['s1'], [], 1]);
      const settled = listed([first, stray], {}, later);
      expect(settled).toMatchObject({ told: [['s1'], ['s1'], 1], isHeldBack: true });
      expect([settled.isDue(166), settled.isDue(167)]).toEqual([0, 1]);
      expect(listed([first], {}, later)).toMatchObject({ told: undefined, isHeldBack: false });
    });

    test('do not hold up what begins anew', () => {
      const sync = new StreamSync({ ...options, beginsAnew: true });
      sync.track([{ streamId: undefined, initialPosition: 'LATEST' }]);
      const under = { isAnother: true };
      expect(sync.listed(listing, [one], [first, stray], 0, under).isSettled).toBe(true);
      expect(sync.listed(listing, [one], [first, stray], 0, under)).toMatchObject({ isSettled: true, strays: {} });
    });

    test('that somebody renews who does not say what he reads are left alone', () => {
      const listed = begin(true);
      const isStrangers = ({ leaseOwner }: Lease): boolean => leaseOwner === 'java';
      listed([first, stray], { isStrangers });
      expect(listed([first, stray], { isStrangers })).toMatchObject({ told: [['s1'], [], 0], isHeldBack: false });
      expect(listed([first, stray])).toMatchObject({ told: [['s1'], ['s1'], 1], isHeldBack: true });
    });
  });

  test('a stream that is known to be another one is never begun at LATEST, though no lease proves it', () => {
    const listing = { kind: 'listShards', streamId: undefined, filter: 'all' } as const;
    const [first, second] = leasesOf(undefined) as [Lease, Lease];
    const latest = { ...first, checkpoint: parseCheckpoint('LATEST') };
    for (const beginsAnew of [false, true]) {
      const sync = new StreamSync({ ...options, beginsAnew });
      sync.track([{ streamId: undefined, initialPosition: 'LATEST' }]);
      const { missing, resets = [] } = sync.listed(listing, shards(2), [latest], 0, { isAnother: true });
      expect(missing).toEqual([second]);
      expect(resets.map(({ lease }) => lease.leaseKey)).toEqual(beginsAnew ? ['s0'] : []);
    }
  });

  test('a first listing with a hole makes no leases, and says where the hole is', () => {
    const sync = syncOf(A);
    const [first] = shards(2);
    const listing = { kind: 'listShards', streamId: A, filter: 'initial' } as const;
    const { missing, hole } = sync.listed(listing, [first as Shard], [], 0);
    expect(missing).toEqual([]);
    expect(hole).toContain(`the listed shards of ${A} leave out 170141183460469231731687303715884105728 to`);
  });

  test('a hole in the leases of one stream is told when it was seen three times in a row, and its shards are listed again', () => {
    const sync = syncOf(A, B);
    const table = [...leasesOf(A), ...leasesOf(B).slice(1)];
    for (const streamId of [A, B]) sync.listed({ kind: 'listShards', streamId, filter: 'all' }, shards(2), table, 0);
    expect([sync.holes(table, []), sync.holes(table, [])]).toEqual([[], []]);
    expect(sync.due(table, 1)).toEqual([]);
    expect(sync.holes(table, [])).toEqual([
      `no lease of ${B} covers the hash keys 0 to 170141183460469231731687303715884105727`,
    ]);
    expect(sync.due(table, 1).map(({ streamId }) => streamId)).toEqual([B]);
    // It is told once, and its shards are listed until it is gone.
    sync.listed({ kind: 'listShards', streamId: B, filter: 'all' }, shards(2), table, 1);
    expect(sync.holes(table, [])).toEqual([]);
    expect(sync.due(table, 2).map(({ streamId }) => streamId)).toEqual([B]);
  });

  test('the count of a hole begins again when it closes, when it is another one, or when its leases are being made', () => {
    const [low, high] = leasesOf(A) as [Lease, Lease];
    const wholes: [string, (sync: StreamSync) => void][] = [
      ['closed', (sync) => sync.holes([low, high], [])],
      ['another', (sync) => sync.holes([high], [])],
      ['being made', (sync) => sync.holes([low], [high])],
    ];
    for (const [what, between] of wholes) {
      const sync = syncOf(A);
      sync.holes([low], []);
      sync.holes([low], []);
      between(sync);
      expect([what, sync.holes([low], [])]).toEqual([what, []]);
    }
  });

  test('a stream that cannot be listed comes again later and later, and holds no other up', () => {
    const sync = syncOf(A, B);
    const table = leasesOf(B);
    expect([1, 2, 3, 4, 5, 6].map(() => sync.listingFailed(A, 0))).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect(sync.due(table, 999).map(({ streamId }) => streamId)).toEqual([B]);
    expect(sync.due([], 999).map(({ streamId }) => streamId)).toEqual([B]);
    expect(sync.retryAt()).toBe(1000);
    expect(sync.due(table, 1000).map(({ streamId }) => streamId)).toEqual([A, B]);
    sync.listed({ kind: 'listShards', streamId: A, filter: 'all' }, shards(2), table, 1000);
    expect(sync.retryAt()).toBe(Number.POSITIVE_INFINITY);
    expect(sync.listingFailed(A, 2000)).toBe(100);
    // One that is read no longer leaves no deadline behind.
    sync.track(tracked(B));
    sync.listingFailed(A, 2000);
    expect(sync.retryAt()).toBe(Number.POSITIVE_INFINITY);
  });

  test('a stream that is read no longer keeps its leases for formerStreamsWaitMs, and for good when it comes back', () => {
    const sync = syncOf(A, B);
    const table = [...leasesOf(A), ...leasesOf(B)];
    expect(sync.former(table, 0)).toEqual([]);
    sync.track(tracked(A));
    expect(sync.former(table, 100)).toEqual([]);
    expect(sync.former(table, 599)).toEqual([]);
    sync.track(tracked(A, B));
    expect(sync.former(table, 600)).toEqual([]);
    sync.track(tracked(A));
    expect(sync.former(table, 700)).toEqual([]);
    expect(sync.former(table, 1200)).toEqual([`${B}:s0`, `${B}:s1`]);
  });

  test('of former streams only those lose their leases that may: none, all, or some', () => {
    const C = '1:c:1';
    const table = [...leasesOf(A), ...leasesOf(B, 1), ...leasesOf(C, 1)];
    const former = (may: 'none' | 'all' | string[]) => {
      const sync = new StreamSync({ ...options, formerStreamsWaitMs: 0 });
      sync.track(tracked(A), may);
      return sync.former(table, 0);
    };
    expect(former('none')).toEqual([]);
    expect(former('all')).toEqual([`${B}:s0`, `${C}:s0`]);
    // One that is read is never former.
    expect(former([A, C])).toEqual([`${C}:s0`]);
  });

  test('a stream that came back while none could be judged waits again from the start', () => {
    const sync = syncOf(A);
    const table = [...leasesOf(A), ...leasesOf(B)];
    expect(sync.former(table, 0)).toEqual([]);
    sync.track(tracked(A, B), 'none');
    expect(sync.former(table, 400)).toEqual([]);
    sync.track(tracked(A));
    expect(sync.former(table, 600)).toEqual([]);
    expect(sync.former(table, 1100)).toEqual([`${B}:s0`, `${B}:s1`]);
  });

  test('what may not be deleted any more does not count as waiting for it', () => {
    const sync = syncOf(A);
    const table = [...leasesOf(A), ...leasesOf(B)];
    const pendingCount = (now: number) => {
      sync.former(table, now);
      return sync.counts(table, now).several?.pendingDeletionCount;
    };
    expect(pendingCount(0)).toBe(1);
    sync.track(tracked(A), 'none');
    expect(pendingCount(100)).toBe(0);
    sync.track(tracked(A), 'all');
    expect(pendingCount(200)).toBe(1);
  });

  test('before an application of several streams knows any, none is former', () => {
    const sync = new StreamSync({ ...options, formerStreamsWaitMs: 0 });
    expect(sync.former(leasesOf(A), 0)).toEqual([]);
  });

  test('leases of an application of the other kind mean nothing', () => {
    const table = [...leasesOf(undefined), ...leasesOf(A)];
    expect(syncOf(undefined).ours(table)).toEqual(leasesOf(undefined));
    expect(syncOf(A, B).ours(table)).toEqual(leasesOf(A));
  });
});

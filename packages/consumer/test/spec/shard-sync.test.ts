// Which leases the leader makes for the shards that Kinesis lists (KCL HierarchicalShardSyncer, KinesisShardDetector,
// PeriodicShardSyncManager). A shard tree is written down as its shards; what comes of it is read in the table.
import { describe, expect, test } from 'vitest';
import type { ListShards } from '../../src/coordination/effects.ts';
import type { Lease, Shard } from '../../src/coordination/lease.ts';
import type { InitialPosition } from '../../src/coordination/shard-sync.ts';
import { Fleet, failoverMs, type Member, ranges, secondMs, shardOf } from './fleet.ts';

const syncMs = 60 * secondMs;
const { low, high, whole } = ranges;

/** a was split into b and c, which were merged into d. */
const splitAndMerged: Shard[] = [
  shardOf('a', { closed: true }),
  shardOf('b', { closed: true, parentShardIds: ['a'], hashKeyRange: low }),
  shardOf('c', { closed: true, parentShardIds: ['a'], hashKeyRange: high }),
  shardOf('d', { parentShardIds: ['b', 'c'] }),
];
/** b and c were merged; a beside them was not touched. Their own parents are no longer listed. */
const merged: Shard[] = [
  shardOf('b', { closed: true, hashKeyRange: low }),
  shardOf('c', { closed: true, hashKeyRange: high }),
  shardOf('d', { parentShardIds: ['b', 'c'] }),
];

interface Synced {
  readonly fleet: Fleet;
  readonly me: Member;
}

/** A leader that begins with these leases, and never has any itself. */
function synced(
  shards: readonly Shard[],
  initialPosition: InitialPosition,
  leases: Readonly<Record<string, Partial<Lease>>> = {},
): Synced {
  const fleet = new Fleet();
  fleet.initialPosition = initialPosition;
  fleet.shards = [...shards];
  for (const [leaseKey, fields] of Object.entries(leases)) fleet.put(leaseKey, { leaseOwner: 'java', ...fields });
  const me = fleet.start('me', { maxLeasesForWorker: 0 });
  return { fleet, me };
}

/** `{ a: 'TRIM_HORIZON' }`: the leases that were made, in the order of their creation. */
function made({ fleet }: Synced): Record<string, unknown> {
  return Object.fromEntries(
    fleet.of('createLease').map(({ effect: { lease } }) => [lease.shardId, lease.checkpoint.sequenceNumber]),
  );
}
const listings = ({ fleet }: Synced): ListShards['filter'][] =>
  fleet.of('listShards').map(({ effect }) => effect.filter);
const positions = ['TRIM_HORIZON', 'AT_TIMESTAMP', 'LATEST'] as const;

describe('an empty table', () => {
  test.each(positions)('gets one lease for each shard of the listing at %s, and none for their parents', (position) => {
    const open = [
      shardOf('b', { parentShardIds: ['a'], hashKeyRange: low }),
      shardOf('c', { parentShardIds: ['a'], hashKeyRange: high }),
    ];
    const scene = synced(open, position);
    expect(listings(scene)[0]).toBe('initial');
    expect(made(scene)).toEqual({ b: position, c: position });
  });

  test('gets none from a listing with a hole, which says a reshard is under way; it is listed again until there is none; KCL: three times, then the start fails', () => {
    const scene = synced([shardOf('b', { hashKeyRange: low })], 'TRIM_HORIZON');
    scene.fleet.pass(10 * secondMs);
    expect(made(scene)).toEqual({});
    expect(scene.me.notices).toContainEqual({ kind: 'hole', text: expect.stringContaining(String(high.start)) });
    scene.fleet.shards.push(shardOf('c', { hashKeyRange: high }));
    scene.fleet.pass(5 * secondMs);
    expect(made(scene)).toEqual({ b: 'TRIM_HORIZON', c: 'TRIM_HORIZON' });
  });
});

describe('a table with leases', () => {
  test('is compared with all shards, closed ones included', () => {
    const scene = synced([shardOf('a')], 'TRIM_HORIZON', { a: {} });
    expect(listings(scene)).toEqual(['all']);
    expect(made(scene)).toEqual({});
  });

  test.each(positions)('descendants of a leased shard get none: they come at its end; at %s', (position) => {
    expect(made(synced(splitAndMerged, position, { a: {} }))).toEqual({});
  });

  test.each(positions)(
    'a child is made for at the end of its parent, however deep the leased ancestor is; at %s',
    (position) => {
      const chain = [
        ...splitAndMerged.slice(0, 3),
        shardOf('d', { closed: true, parentShardIds: ['b', 'c'] }),
        shardOf('e', { parentShardIds: ['d'] }),
      ];
      expect(made(synced(chain, position, { a: {} }))).toEqual({});
    },
  );

  test.each(['TRIM_HORIZON', 'AT_TIMESTAMP'] as const)(
    'of a tree without any lease the oldest listed shards are made for; at %s',
    (position) => {
      const scene = synced([...splitAndMerged, shardOf('z')], position, { z: {} });
      expect(made(scene)).toEqual({ a: position });
    },
  );

  test('of a tree without any lease the open shards alone are made for; at LATEST', () => {
    expect(made(synced([...splitAndMerged, shardOf('z')], 'LATEST', { z: {} }))).toEqual({ d: 'LATEST' });
  });

  test.each(positions)('a new shard without parents gets one at the initial position %s', (position) => {
    expect(made(synced([shardOf('a'), shardOf('n')], position, { a: {} }))).toEqual({ n: position });
  });

  test.each(positions)(
    'of the two parents of a merge, one leased and one not, the other gets one at the initial position %s',
    (position) => {
      expect(made(synced(merged, position, { b: {} }))).toEqual({ c: position });
    },
  );

  test('a parent that Kinesis lists no longer is no ancestor', () => {
    const orphan = shardOf('n', { parentShardIds: ['expired'] });
    expect(made(synced([shardOf('a'), orphan], 'TRIM_HORIZON', { a: {} }))).toEqual({ n: 'TRIM_HORIZON' });
  });

  test('a child whose parent is still open waits for it like any other; KCL: the sync fails, unless ignoreUnexpectedChildShards', () => {
    const child = shardOf('b', { parentShardIds: ['a'] });
    expect(made(synced([shardOf('a'), child], 'TRIM_HORIZON', { a: {} }))).toEqual({});
  });

  test('leases are made in the order of the starting sequence numbers, then of the shard ids', () => {
    const shards = [
      shardOf('y', { startingSequenceNumber: 10n }),
      shardOf('x', { startingSequenceNumber: 10n }),
      shardOf('z', { startingSequenceNumber: 9n }),
      shardOf('a'),
    ];
    expect(Object.keys(made(synced(shards, 'LATEST', { a: {} })))).toEqual(['z', 'x', 'y']);
  });

  test('a child that its finished parent left without a lease, as the KCL 1.x may, gets one at TRIM_HORIZON', () => {
    const ended = { checkpoint: { sequenceNumber: 'SHARD_END', subSequenceNumber: 0 } } as const;
    const scene = synced(splitAndMerged.slice(0, 3), 'LATEST', { a: ended });
    expect(made(scene)).toEqual({ b: 'TRIM_HORIZON', c: 'TRIM_HORIZON' });
  });
});

describe('the leader', () => {
  test('lists when it begins, whoever led before, and then every shardSyncIntervalMs, 60 s', () => {
    const scene = synced([shardOf('a')], 'TRIM_HORIZON', { a: {} });
    scene.fleet.pass(10 * 60 * secondMs);
    const times = scene.fleet.of('listShards').map(({ at }) => at);
    expect(times.length).toBeGreaterThanOrEqual(9);
    for (const [index, at] of times.slice(1).entries()) {
      expect(at - (times[index] ?? 0)).toBeGreaterThanOrEqual(syncMs);
      expect(at - (times[index] ?? 0)).toBeLessThanOrEqual(syncMs + 2 * failoverMs);
    }
  });

  test('lists a stream that could not be listed again after a second, two, four, up to shardSyncIntervalMs', () => {
    const { fleet, me } = synced([shardOf('a')], 'TRIM_HORIZON', { a: {} });
    fleet.pass(syncMs - 1);
    me.failing.add('listShards');
    const since = fleet.now;
    fleet.pass(10 * syncMs);
    const [first = 0, ...tries] = fleet.of('listShards', since).map(({ at }) => at);
    const waits = tries.map((at, index) => Math.round((at - (tries[index - 1] ?? first)) / secondMs));
    expect(waits.slice(0, 4)).toEqual([1, 2, 4, 8]);
    expect(Math.max(...waits)).toBeLessThanOrEqual((syncMs + 2 * failoverMs) / secondMs);
  });

  test('reads the leases before it lists the shards, so that a parent cleaned up in between is not made anew', () => {
    const { fleet } = synced([shardOf('a')], 'TRIM_HORIZON', { a: {} });
    fleet.pass(5 * 60 * secondMs);
    const kinds = fleet.asked
      .map(({ effect }) => effect.kind)
      .filter((kind) => kind === 'listShards' || kind === 'readTable');
    kinds.forEach((kind, index) => {
      if (kind === 'listShards') expect(kinds[index - 1]).toBe('readTable');
    });
  });

  test('makes a lease that somebody deleted by hand anew at the next listing', () => {
    const { fleet } = synced(
      [shardOf('a', { hashKeyRange: low }), shardOf('b', { hashKeyRange: high })],
      'TRIM_HORIZON',
      { a: {}, b: {} },
    );
    fleet.pass(failoverMs);
    fleet.table.leases.delete('b');
    expect(fleet.passUntil(() => fleet.table.leases.has('b'), 5 * syncMs)).toBeLessThanOrEqual(syncMs + 2 * failoverMs);
  });

  test('makes the leases of a listing that another leader made meanwhile no second time', () => {
    const { fleet, me } = synced([shardOf('a')], 'TRIM_HORIZON', { x: {} });
    expect(me.view.leader).toBe(true);
    fleet.put('a', { leaseOwner: 'java', leaseCounter: 7 });
    const again = fleet.of('createLease')[0]?.effect;
    if (again === undefined) throw new Error('nothing was made');
    expect(fleet.table.apply(again)).toEqual({ created: false });
    expect(fleet.lease('a').leaseCounter).toBe(7);
  });

  test('tells of hash keys that no unfinished lease covers', () => {
    const ended = { sequenceNumber: 'SHARD_END', subSequenceNumber: 0 } as const;
    const leases = { a: { hashKeyRange: low }, b: { hashKeyRange: high, checkpoint: ended } };
    const { me, fleet } = synced([shardOf('a', { hashKeyRange: low })], 'TRIM_HORIZON', leases);
    fleet.pass(10 * 60 * secondMs);
    expect(me.notices).toContainEqual({ kind: 'hole', text: expect.stringContaining(`${high.start} to ${high.end}`) });
  });

  test('takes children beside their parents for no hole, and no overlap for one', () => {
    const leases = { a: { hashKeyRange: whole }, b: { hashKeyRange: low }, c: { hashKeyRange: high } };
    const { me, fleet } = synced(splitAndMerged.slice(0, 3), 'TRIM_HORIZON', leases);
    fleet.pass(10 * 60 * secondMs);
    expect(me.notices.filter(({ kind }) => kind === 'hole')).toEqual([]);
  });
});

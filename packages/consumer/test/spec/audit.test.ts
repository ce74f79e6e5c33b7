// What the leader does about rows that older versions left incomplete and about holes in the hash key space (KCL
// PeriodicShardSyncManager, LeaseCleanupManager). The KCL's auditor looks every 120 s; here it is a part of each run.
import { parseCheckpoint } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../src/coordination/lease.ts';
import { assignmentMs, Fleet, type Member, ranges, secondMs, shardOf } from './fleet.ts';

const { low, high } = ranges;
const runMs = assignmentMs;
const ended = parseCheckpoint('SHARD_END');

const split = [
  shardOf('a', { closed: true }),
  shardOf('b', { parentShardIds: ['a'], hashKeyRange: low }),
  shardOf('c', { parentShardIds: ['a'], hashKeyRange: high }),
];

function leading(leases: Readonly<Record<string, Partial<Lease>>>, shards = split): { fleet: Fleet; me: Member } {
  const fleet = new Fleet();
  fleet.shards = [...shards];
  for (const [key, fields] of Object.entries(leases)) fleet.put(key, { leaseOwner: 'java', ...fields });
  fleet.other('java');
  const me = fleet.start('me', { maxLeasesForWorker: 0 });
  return { fleet, me };
}
const moving = { checkpoint: parseCheckpoint('700'), parentShardIds: ['a'] };

describe('a lease row of the KCL 1.x', () => {
  test('without hash keys is given those of its shard, in the table, and its counter stays as it is', () => {
    const { fleet } = leading({ b: { ...moving, hashKeyRange: undefined }, c: { ...moving, hashKeyRange: high } });
    const fills = fleet.of('fillLease').map(({ effect }) => effect);
    expect(fills).toEqual([{ kind: 'fillLease', leaseKey: 'b', hashKeyRange: low, childShardIds: undefined }]);
    expect(fleet.lease('b')).toMatchObject({ hashKeyRange: low, leaseCounter: 0, leaseOwner: 'java' });
  });

  test('with hash keys keeps them, whatever is listed', () => {
    const { fleet } = leading({ b: { ...moving, hashKeyRange: high }, c: { ...moving, hashKeyRange: low } });
    fleet.pass(600 * secondMs);
    expect(fleet.of('fillLease')).toEqual([]);
    expect(fleet.lease('b').hashKeyRange).toEqual(high);
  });

  test('that is finished and names no children is given those of its shard, and cleaned up like any other; KCL: asks a record iterator for them', () => {
    const parent = { checkpoint: ended, childShardIds: [] };
    const { fleet } = leading({ a: parent, b: { ...moving, hashKeyRange: low }, c: { ...moving, hashKeyRange: high } });
    expect(fleet.lease('a').childShardIds).toEqual(['b', 'c']);
    fleet.pass(400 * secondMs);
    expect(fleet.table.leases.has('a')).toBe(false);
  });
});

describe('a finished lease of a shard that the stream no longer has', () => {
  test('is deleted as garbage, once every child that is listed has begun; KCL: without that look', () => {
    const begun = leading(
      { p: { checkpoint: ended }, b: { ...moving, hashKeyRange: low }, c: { ...moving, hashKeyRange: high } },
      [
        shardOf('b', { parentShardIds: ['p'], hashKeyRange: low }),
        shardOf('c', { parentShardIds: ['p'], hashKeyRange: high }),
      ],
    );
    begun.fleet.pass(400 * secondMs);
    expect(begun.fleet.table.leases.has('p')).toBe(false);
    const waiting = leading(
      {
        p: { checkpoint: ended },
        b: { ...moving, hashKeyRange: low },
        c: { hashKeyRange: high, parentShardIds: ['p'] },
      },
      [
        shardOf('b', { parentShardIds: ['p'], hashKeyRange: low }),
        shardOf('c', { parentShardIds: ['p'], hashKeyRange: high }),
      ],
    );
    waiting.fleet.pass(400 * secondMs);
    expect(waiting.fleet.table.leases.has('p')).toBe(true);
  });

  test('is kept while it is unfinished: nothing says that its records were read', () => {
    const { fleet } = leading({
      gone: { checkpoint: parseCheckpoint('500') },
      b: { ...moving, hashKeyRange: low },
      c: { ...moving, hashKeyRange: high },
    });
    fleet.pass(600 * secondMs);
    expect(fleet.table.leases.has('gone')).toBe(true);
  });
});

describe('a hole in the hash keys of the unfinished leases', () => {
  const withHole = () => leading({ b: { ...moving, hashKeyRange: low } }, [shardOf('b', { hashKeyRange: low })]);
  const told = ({ me }: { me: Member }) => me.notices.filter(({ kind }) => kind === 'hole');

  test('is believed when three readings in a row show the same one, and told once', () => {
    const scene = withHole();
    scene.fleet.pass(2 * runMs - 1);
    expect(told(scene)).toEqual([]);
    scene.fleet.pass(1);
    expect(told(scene)).toHaveLength(1);
    scene.fleet.pass(600 * secondMs);
    expect(told(scene)).toHaveLength(1);
  });

  test('begins to count anew when it is another one', () => {
    const scene = withHole();
    scene.fleet.pass(2 * runMs - 1);
    scene.fleet.put('b', { ...scene.fleet.lease('b'), hashKeyRange: high });
    scene.fleet.pass(runMs);
    expect(told(scene)).toEqual([]);
    scene.fleet.pass(2 * runMs);
    expect(told(scene)).toHaveLength(1);
  });

  test('has the shards listed at every run from then on, until it is closed; KCL: synced at every third look, each 120 s', () => {
    const scene = withHole();
    scene.fleet.pass(2 * runMs);
    scene.fleet.shards.push(shardOf('n', { hashKeyRange: high }));
    expect(scene.fleet.passUntil(() => scene.fleet.table.leases.has('n'), 120 * secondMs)).toBeLessThanOrEqual(
      runMs + 10,
    );
  });

  test('is nothing to leases at SHARD_END: their hash keys are their children’s', () => {
    const { fleet, me } = leading({ a: { checkpoint: ended }, b: { ...moving, hashKeyRange: low } }, [
      shardOf('a', { closed: true }),
      shardOf('b', { parentShardIds: ['a'], hashKeyRange: low }),
    ]);
    fleet.pass(3 * runMs);
    expect(told({ me })).toEqual([{ kind: 'hole', text: expect.stringContaining(`${high.start} to ${high.end}`) }]);
  });
});

// When the lease of a finished shard is deleted (KCL LeaseCleanupManager). The KCL keeps a queue in the memory of the worker that
// finished the shard; here the leader reads it off the table.
import { type ExtendedSequenceNumber, parseCheckpoint } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../src/coordination/lease.ts';
import { Fleet, failoverMs, ranges, secondMs, shardOf } from './fleet.ts';

const waitMs = 300 * secondMs;
const { low, high } = ranges;
const at = (text: string): ExtendedSequenceNumber => parseCheckpoint(text);

/** a was finished and split into b and c, of which Java workers have the leases; one of ours leads. */
function finished(leases: Readonly<Record<string, Partial<Lease>>>): Fleet {
  const fleet = new Fleet();
  fleet.shards = [
    shardOf('a', { closed: true }),
    shardOf('b', { parentShardIds: ['a'], hashKeyRange: low }),
    shardOf('c', { parentShardIds: ['a'], hashKeyRange: high }),
  ];
  const rows: Record<string, Partial<Lease>> = {
    a: { checkpoint: at('SHARD_END'), childShardIds: ['b', 'c'] },
    b: { checkpoint: at('700'), parentShardIds: ['a'], hashKeyRange: low },
    c: { checkpoint: at('800'), parentShardIds: ['a'], hashKeyRange: high },
  };
  for (const [key, fields] of Object.entries(leases)) rows[key] = { ...rows[key], ...fields };
  for (const [key, fields] of Object.entries(rows)) fleet.put(key, { leaseOwner: 'java', ...fields });
  fleet.other('java');
  fleet.start('me', { maxLeasesForWorker: 0 });
  return fleet;
}
const isGone = (fleet: Fleet): boolean => !fleet.table.leases.has('a');

describe('the lease of a finished shard', () => {
  test('is deleted once all its children have begun, five minutes after the leader first saw it finished, and no earlier', () => {
    const fleet = finished({});
    fleet.pass(waitMs - secondMs);
    expect(isGone(fleet)).toBe(false);
    expect(fleet.passUntil(() => isGone(fleet), waitMs)).toBeLessThanOrEqual(2 * failoverMs + secondMs);
    expect(fleet.of('deleteLease')[0]?.effect).toMatchObject({ leaseKey: 'a', onlyEnded: true });
  });

  test.each([
    ['LATEST', true],
    ['701', true],
    ['SHARD_END', true],
    ['TRIM_HORIZON', false],
    ['AT_TIMESTAMP', false],
  ])('with a child at %s may go: %s', (position, goes) => {
    const fleet = finished({ c: { checkpoint: at(position) } });
    const isOver = position === 'SHARD_END';
    fleet.shards = fleet.shards.map((shard) =>
      shard.shardId === 'c' && isOver ? { ...shard, endingSequenceNumber: shard.startingSequenceNumber + 1n } : shard,
    );
    // A finished child must not be gone first for want of children of its own.
    fleet.pass(2 * waitMs);
    expect(isGone(fleet)).toBe(goes);
  });

  test('stays while one of its children has no lease', () => {
    const fleet = finished({ a: { checkpoint: at('SHARD_END'), childShardIds: ['b', 'never'] } });
    fleet.pass(2 * waitMs);
    expect(isGone(fleet)).toBe(false);
  });

  test('stays while a parent of its own is there', () => {
    const parent = { checkpoint: at('900'), childShardIds: ['a'] };
    const fleet = finished({
      p: parent,
      a: { checkpoint: at('SHARD_END'), childShardIds: ['b', 'c'], parentShardIds: ['p'] },
    });
    fleet.pass(2 * waitMs);
    expect(isGone(fleet)).toBe(false);
    fleet.table.leases.delete('p');
    fleet.pass(waitMs);
    expect(isGone(fleet)).toBe(true);
  });

  test('is cleaned up whoever finished the shard, dead or alive; KCL: by the worker that did, or by the next one that has the lease', () => {
    const fleet = finished({ a: { leaseOwner: undefined, checkpoint: at('SHARD_END'), childShardIds: ['b', 'c'] } });
    fleet.pass(waitMs + 3 * failoverMs);
    expect(isGone(fleet)).toBe(true);
  });

  test('that was made anew meanwhile, and is not finished, is kept by the condition of its deletion', () => {
    const fleet = finished({});
    fleet.pass(waitMs + 3 * failoverMs);
    const deletion = fleet.of('deleteLease')[0]?.effect;
    if (deletion === undefined) throw new Error('nothing was deleted');
    fleet.put('a', {});
    expect(fleet.table.apply(deletion)).toEqual({ deleted: false });
  });
});

test('an unfinished lease is never cleaned up', () => {
  const fleet = finished({ a: { checkpoint: at('900'), childShardIds: ['b', 'c'] } });
  fleet.pass(3 * waitMs);
  expect(isGone(fleet)).toBe(false);
});

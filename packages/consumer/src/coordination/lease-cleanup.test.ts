import { MAX_HASH_KEY, MIN_HASH_KEY, parseCheckpoint } from '@shardline/common';
import { expect, test } from 'vitest';
import { type Lease, newLease } from './lease.ts';
import { planCleanup } from './lease-cleanup.ts';

function lease(shardId: string, checkpoint: string, family: { parents?: string[]; children?: string[] } = {}): Lease {
  const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
  const made = newLease({ shardId, parentShardIds: family.parents ?? [], hashKeyRange }, parseCheckpoint(checkpoint));
  return { ...made, childShardIds: family.children ?? [] };
}

test('a finished lease goes once its children have begun to move', () => {
  const parent = lease('a', 'SHARD_END', { children: ['b', 'c'] });
  expect(
    planCleanup([parent, lease('b', '5', { parents: ['a'] }), lease('c', 'SHARD_END', { parents: ['a'] })]),
  ).toEqual(['a']);
});

test.each(['TRIM_HORIZON', 'AT_TIMESTAMP'])('it stays while a child is at %s', (position) => {
  const parent = lease('a', 'SHARD_END', { children: ['b', 'c'] });
  expect(planCleanup([parent, lease('b', '5', { parents: ['a'] }), lease('c', position, { parents: ['a'] })])).toEqual(
    [],
  );
});

test('it stays while a child has no lease, while its children are unknown, and while a parent of its own is there', () => {
  expect(planCleanup([lease('a', 'SHARD_END', { children: ['b'] })])).toEqual([]);
  expect(planCleanup([lease('a', 'SHARD_END')])).toEqual([]);
  const generations = [
    lease('a', 'SHARD_END', { children: ['b'] }),
    lease('b', 'SHARD_END', { parents: ['a'], children: ['c'] }),
    lease('c', '7', { parents: ['b'] }),
  ];
  expect(planCleanup(generations)).toEqual(['a']);
  expect(planCleanup(generations.slice(1))).toEqual(['b']);
});

test('it stays while the row of a parent is there and cannot be read', () => {
  const table = [lease('b', 'SHARD_END', { parents: ['a'], children: ['c'] }), lease('c', '7', { parents: ['b'] })];
  expect(planCleanup(table, new Set(['a']))).toEqual([]);
  expect(planCleanup(table, new Set(['z']))).toEqual(['b']);
});

test('an unfinished lease never goes', () => {
  expect(planCleanup([lease('a', '9', { children: ['b'] }), lease('b', '5')])).toEqual([]);
});

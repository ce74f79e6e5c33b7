import { parseHashKey, parseSequenceNumber } from '@shardline/common';
import { expect, test } from 'vitest';
import { type Lease, newLease, sharing } from './lease.ts';

const range = { start: parseHashKey('0'), end: parseHashKey(String(2n ** 128n - 1n)) };
const at = (text: string): Lease['checkpoint'] => ({ sequenceNumber: parseSequenceNumber(text), subSequenceNumber: 0 });
const known: Lease = {
  ...newLease({ shardId: 'shardId-1', parentShardIds: ['shardId-0'], hashKeyRange: range }, at('7'), '1:s:2'),
  leaseOwner: 'w',
};
/** Nothing in it is the same object. */
const read = (change: Partial<Lease> = {}): Lease => ({ ...structuredClone(known), leaseCounter: 9, ...change });

test('a lease read again says what was read, in the objects that are known', () => {
  const fresh = read();
  const shared = sharing(fresh, known);
  expect(shared).toEqual(fresh);
  expect(Object.keys(shared).sort()).toEqual(Object.keys(fresh).sort());
  for (const member of ['checkpoint', 'hashKeyRange', 'parentShardIds'] as const) {
    expect(shared[member]).toBe(known[member]);
  }
});

const changes: Partial<Lease>[] = [
  { checkpoint: at('8') },
  { checkpoint: { ...at('7'), subSequenceNumber: 1 } },
  { checkpoint: { sequenceNumber: 'SHARD_END', subSequenceNumber: 0 } },
  { hashKeyRange: undefined },
  { hashKeyRange: { ...range, end: parseHashKey('5') } },
  { parentShardIds: [] },
  { parentShardIds: ['shardId-3'] },
  { leaseOwner: undefined, checkpointOwner: 'v', latestSince: 3, ownerSwitchesSinceCheckpoint: 2, throughputKBps: 1.5 },
  { pendingCheckpoint: { position: at('9'), state: undefined }, childShardIds: ['shardId-5'] },
  { leaseKey: 'other' },
];

test.each(changes)('what has changed is as it was read: %o', (change) => {
  const fresh = read(change);
  expect(sharing(fresh, known)).toEqual(fresh);
});

test('where the known one has no range, the one that was read is taken', () => {
  expect(sharing(read(), { ...known, hashKeyRange: undefined })).toEqual(read());
});

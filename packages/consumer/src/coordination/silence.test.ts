import { MAX_HASH_KEY, MIN_HASH_KEY, TRIM_HORIZON } from '@shardline/common';
import { expect, test } from 'vitest';
import { leaderOptions } from '../../test/core-options.ts';
import type { Assignment } from './assignment.ts';
import { Fleet } from './fleet.ts';
import { type Lease, newLease } from './lease.ts';
import { type SilentWorker, silentWorkers } from './silence.ts';

function lease(shardId: string, fields: Partial<Lease>): Lease {
  const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
  return { ...newLease({ shardId, parentShardIds: [], hashKeyRange }, TRIM_HORIZON), ...fields };
}

/** The leases as they are at each of these times; all of them are then given to `heir`. */
function silentAfter(looks: Readonly<Record<number, readonly Lease[]>>): SilentWorker[] {
  const fleet = new Fleet(leaderOptions);
  let table: readonly Lease[] = [];
  for (const [at, leases] of Object.entries(looks)) {
    table = leases;
    fleet.observe(leases, [], Number(at), Number(at));
  }
  const moves = table.map(({ leaseKey }): Assignment => ({ leaseKey, to: 'heir', kind: 'assign' }));
  return silentWorkers(moves, (leaseKey) => table.find((it) => it.leaseKey === leaseKey), fleet);
}

test('who let leases expire is named, the one with the most first, with the time since the newest sign of each', () => {
  const later = [lease('a', { leaseOwner: 'x' }), lease('b', { leaseOwner: 'y' })];
  const last = lease('c', { leaseOwner: 'y', leaseCounter: 1 });
  expect(
    silentAfter({ 0: [...later, { ...last, leaseCounter: 0 }], 2000: [...later, last], 15000: [...later, last] }),
  ).toEqual([
    {
      workerId: 'y',
      silentMs: 13_000,
      leases: [
        { leaseKey: 'b', to: 'heir' },
        { leaseKey: 'c', to: 'heir' },
      ],
    },
    { workerId: 'x', silentMs: 15_000, leases: [{ leaseKey: 'a', to: 'heir' }] },
  ]);
});

test('the old owner of a handoff is silent, not its heir, and only if it does not renew', () => {
  const handoff = lease('a', { leaseOwner: 'y', checkpointOwner: 'x' });
  expect(silentAfter({ 0: [handoff], 11000: [handoff] })).toMatchObject([{ workerId: 'x', silentMs: 11_000 }]);
  expect(silentAfter({ 0: [handoff], 50000: [{ ...handoff, leaseCounter: 1 }] })).toEqual([]);
});

test('a lease of nobody, and one whose owner still renews, name nobody', () => {
  const free = lease('a', {});
  const owned = lease('b', { leaseOwner: 'x' });
  expect(silentAfter({ 0: [free, owned], 10000: [free, owned] })).toEqual([]);
});

// What the leader tells of leases that no worker has room for: by events, over the memory lease table.
import { expect, test } from 'vitest';
import { assignmentMs, Fleet, type Member, shardOf } from './fleet.ts';

const told = (member: Member): (readonly string[])[] =>
  member.notices.flatMap((notice) => (notice.kind === 'leasesUnplaced' ? [notice.leaseKeys] : []));

test('leases that no worker has room for are told of in each run of the leader, and once when they have a worker', () => {
  const fleet = new Fleet();
  for (const leaseKey of ['a', 'b', 'c']) fleet.shards.push(shardOf(leaseKey));
  const lead = fleet.start('lead', { maxLeasesForWorker: 2 });
  fleet.pass(5 * assignmentMs);
  expect(fleet.counts()).toEqual({ lead: 2, nobody: 1 });
  expect(told(lead).length).toBeGreaterThanOrEqual(4);
  for (const leaseKeys of told(lead)) expect(leaseKeys).toEqual(['c']);
  const second = fleet.start('second', { maxLeasesForWorker: 2 });
  fleet.passUntil(() => second.view.leases.length === 1, 10 * assignmentMs);
  fleet.pass(5 * assignmentMs);
  expect(told(lead).at(-1)).toEqual([]);
  expect(told(lead).filter((leaseKeys) => leaseKeys.length === 0)).toHaveLength(1);
  expect(told(second)).toEqual([]);
});

test('a fleet with room for all of its leases is told nothing, neither at its start nor while they move', () => {
  const fleet = new Fleet();
  for (const leaseKey of ['a', 'b', 'c', 'd']) fleet.shards.push(shardOf(leaseKey));
  const lead = fleet.start('lead');
  fleet.pass(assignmentMs);
  const second = fleet.start('second');
  fleet.passUntil(() => second.view.leases.length === 2, 10 * assignmentMs);
  expect([...told(lead), ...told(second)]).toEqual([]);
});

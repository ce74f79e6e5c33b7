// What the leader tells of a worker that died (the KCL logs the leases that it assigns, and not whose they were): by events, over
// the memory lease table. One worker of ours leads; the others are of another kind, and some of them fall silent.
import { expect, test } from 'vitest';
import type { Notice } from '../../src/coordination/notice.ts';
import { assignmentMs, Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

const told = (member: Member): Notice[] => member.notices.filter(({ kind }) => kind === 'workerSilent');

test('a leader that gives away the leases of a worker that fell silent names it once, with its leases and who gets them', () => {
  const fleet = new Fleet();
  const victim = fleet.other('victim');
  fleet.other('other');
  for (const [leaseKey, leaseOwner] of [
    ['a', 'victim'],
    ['b', 'other'],
    ['c', 'victim'],
    ['d', 'lead'],
  ] as const) {
    fleet.put(leaseKey, { leaseOwner });
    fleet.shards.push(shardOf(leaseKey));
  }
  const lead = fleet.start('lead');
  fleet.pass(2 * assignmentMs);
  expect(told(lead)).toEqual([]);
  victim.silence();
  fleet.passUntil(() => told(lead).length > 0, failoverMs + 2 * assignmentMs);
  fleet.pass(5 * assignmentMs);
  const { a, c } = fleet.owners();
  expect(told(lead)).toEqual([
    {
      kind: 'workerSilent',
      workerId: 'victim',
      silentMs: expect.toSatisfy((ms: number) => ms > failoverMs && ms <= failoverMs + assignmentMs),
      leases: [
        { leaseKey: 'a', to: a },
        { leaseKey: 'c', to: c },
      ],
    },
  ]);
  expect([a, c].sort()).toEqual(['lead', 'other']);
});

test('a worker that stops, a handoff and a lease of nobody are no silence', () => {
  const fleet = new Fleet();
  for (const leaseKey of ['a', 'b', 'c', 'd']) fleet.shards.push(shardOf(leaseKey));
  const lead = fleet.start('lead');
  fleet.pass(assignmentMs);
  const second = fleet.start('second');
  fleet.passUntil(() => second.view.leases.length === 2, 10 * assignmentMs);
  fleet.pass(secondMs);
  second.stop();
  fleet.pass(10 * assignmentMs);
  expect(fleet.counts()).toEqual({ lead: 4 });
  expect(told(lead)).toEqual([]);
});

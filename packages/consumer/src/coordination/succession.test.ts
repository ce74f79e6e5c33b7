import { MAX_HASH_KEY, MIN_HASH_KEY, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Lease, NOTHING_MEASURED, newLease, type WorkerRow } from './lease.ts';
import { planSuccession } from './succession.ts';

const limits = { maxLeasesForWorker: 100, maxThroughputPerHostKBps: 1e9 };
const rules = { leaving: 'me', workerStaleMs: 1000, failoverTimeMs: 300, ...limits };

function lease(leaseKey: string, leaseOwner: string | undefined, checkpointOwner?: string): Lease {
  const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
  return {
    ...newLease({ shardId: leaseKey, parentShardIds: [], hashKeyRange }, TRIM_HORIZON),
    leaseOwner,
    checkpointOwner,
  };
}

function worker(workerId: string, ageMs = 0): WorkerRow {
  return { workerId, lastUpdateSeconds: 0, ageMs, utilization: NOTHING_MEASURED, process: undefined };
}

test('the least loaded of the others inherits first', () => {
  const leases = [lease('a', 'me'), lease('b', 'me'), lease('c', 'busy'), lease('d', 'busy'), lease('e', 'idle')];
  const heirs = planSuccession(leases, [worker('me'), worker('busy'), worker('idle')], rules);
  expect([...heirs.entries()]).toEqual([
    ['a', 'idle'],
    ['b', 'busy'],
  ]);
});

test('workers of ours come before Java ones, which look for leases rarely, up to half as many again as an even share', () => {
  const ours = (workerId: string): WorkerRow => ({ ...worker(workerId), process: { id: workerId, sinceSeconds: 0 } });
  const leases = [...Array.from({ length: 9 }, (_, index) => lease(`l${index}`, 'me')), lease('x', 'node')];
  const workers = [worker('java-1'), ours('node'), worker('java-2'), worker('java-3')];
  const heirs = [...planSuccession(leases, workers, rules).values()];
  // Ten leases, four workers: an even share is 2.5.
  expect(heirs.filter((heir) => heir === 'node')).toHaveLength(3);
  expect(heirs).toHaveLength(9);
  expect([...planSuccession(leases.slice(0, 3), workers, rules).values()]).toEqual(['node', 'node', 'java-1']);
  const full = planSuccession(leases, workers, { ...rules, maxLeasesForWorker: 2 });
  expect([...full.values()].filter((heir) => heir === 'node')).toHaveLength(1);
});

test('who holds nothing and has not reported for failoverTimeMs may be dead: it inherits what nobody else has room for', () => {
  const leases = [lease('a', 'me'), lease('b', 'me'), lease('c', 'me'), lease('d', 'busy'), lease('e', 'busy')];
  const workers = [worker('busy', 900), worker('dead', 300)];
  expect([...planSuccession(leases, workers, rules).values()]).toEqual(['busy', 'busy', 'busy']);
  const full = planSuccession(leases, workers, { ...rules, maxLeasesForWorker: 4 });
  expect([...full.values()]).toEqual(['busy', 'busy', 'dead']);
  const started = planSuccession(leases, [...workers, worker('new', 299)], rules);
  expect([...started.values()]).toEqual(['new', 'new', 'busy']);
  expect([...planSuccession(leases, [worker('dead', 300)], rules).values()]).toEqual(['dead', 'dead', 'dead']);
});

test('who declines a lease inherits it only where nobody else that is surely there has room, a Java worker as little as one of ours', () => {
  const row = { id: 'node', sinceSeconds: 0 };
  const node: WorkerRow = { ...worker('node'), process: row, declines: ['a', 'b'] };
  const leases = [lease('a', 'me'), lease('b', 'me'), lease('c', 'me'), lease('d', 'java')];
  const among = (...workers: WorkerRow[]): string[] =>
    [...planSuccession(leases, workers, rules).entries()].map(String);
  expect(among(node, worker('java')).sort()).toEqual(['a,java', 'b,java', 'c,node']);
  expect(among(node).sort()).toEqual(['a,node', 'b,node', 'c,node']);
  // It may be dead: rather who is there.
  expect(among(node, worker('dead', 300)).sort()).toEqual(['a,node', 'b,node', 'c,node']);
  const full = planSuccession(leases, [node, worker('java')], { ...rules, maxLeasesForWorker: 2 });
  expect([...full.values()].sort()).toEqual(['java', 'node', 'node']);
});

test('who is stale, full or leaving inherits nothing', () => {
  const leases = [lease('a', 'me'), lease('b', 'full')];
  // A row's time is in whole seconds: one that seems to be older by less may not be.
  const workers = [worker('me'), worker('stale', 2000), worker('full')];
  expect(planSuccession(leases, workers, { ...rules, maxLeasesForWorker: 1 }).size).toBe(0);
  expect([...planSuccession(leases, [worker('quick', 1999)], rules).values()]).toEqual(['quick']);
});

test('what is finished, of others, or in a handoff is left alone', () => {
  const leases = [
    { ...lease('ended', 'me'), checkpoint: SHARD_END },
    lease('theirs', 'other'),
    lease('free', undefined),
    lease('going', 'other', 'me'),
    lease('coming', 'me', 'other'),
  ];
  expect(planSuccession(leases, [worker('other')], rules).size).toBe(0);
});

test('heirs are live workers and end up within one lease of each other, if they began so', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 40 }), (workerCount, leaseCount) => {
      const workers = Array.from({ length: workerCount }, (_, index) => worker(`w${index}`));
      const leases = Array.from({ length: leaseCount }, (_, index) => lease(`l${index}`, 'me'));
      const heirs = planSuccession(leases, workers, rules);
      expect(heirs.size).toBe(leaseCount);
      const counts = workers.map(({ workerId }) => [...heirs.values()].filter((heir) => heir === workerId).length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }),
  );
});

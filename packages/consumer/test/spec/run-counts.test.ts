// What a leader says in each run of what it has seen, for the metrics of the KCL (LeaseAssignmentManager, MigrationAwareLAMDataManager,
// PeriodicShardSyncManager, MultiStreamTracker), and what a first metric row makes of the assignment.
import { silentLogger } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Utilization } from '../../src/coordination/lease.ts';
import type { Notice } from '../../src/coordination/notice.ts';
import type { WorkerOptions } from '../../src/coordination/worker.ts';
import { WorkerMetrics } from '../../src/runtime/worker-metrics.ts';
import { assignmentMs, Fleet, type Member, ranges, secondMs, shardOf } from './fleet.ts';

type Run = Extract<Notice, { kind: 'runPlanned' }>;

const runsOf = (member: Member): Run[] => member.notices.filter((notice) => notice.kind === 'runPlanned');
const lastRun = (member: Member): Run => runsOf(member).at(-1) as Run;
const cpu = (percent: number, ...limit: number[]): Utilization => ({
  stats: { C: [percent] },
  operatingRange: { C: limit },
});

/** These shards, whose leases have these owners. */
function fleetOf(owners: Readonly<Record<string, string | undefined>>): Fleet {
  const fleet = new Fleet();
  fleet.shards = Object.keys(owners).map((id) => shardOf(id));
  for (const [leaseKey, leaseOwner] of Object.entries(owners)) fleet.put(leaseKey, { leaseOwner });
  return fleet;
}

describe('a run tells of', () => {
  test('metric rows that are invalid, also stale ones, and live workers whose metric fails; neither is among the workers', () => {
    const fleet = fleetOf({ a: 'sound' });
    fleet.other('sound', cpu(50, 80));
    fleet.other('no-limit', cpu(50));
    fleet.other('limit-0', cpu(50, 0)).silence();
    fleet.other('failing', cpu(-1, 80));
    const silenced = fleet.other('failed-and-gone', cpu(-1, 80));
    const lead = fleet.start('lead');
    expect(lastRun(lead)).toMatchObject({ workerCount: 2, rows: { invalidCount: 2, failingCount: 2 } });
    silenced.silence();
    fleet.pass(70 * secondMs);
    expect(lastRun(lead)).toMatchObject({ workerCount: 2, rows: { invalidCount: 2, failingCount: 1 } });
  });

  test('the least support code of those who hold leases: of ours 1, 0 of one that tells none or no longer reports', () => {
    const fleet = fleetOf({ a: undefined });
    const lead = fleet.start('lead');
    expect(runsOf(lead)[0]?.rows.minSupportCode).toBeUndefined();
    fleet.pass(2 * assignmentMs);
    expect(lastRun(lead).rows.minSupportCode).toBe(1);
    const row = { utilization: cpu(1, 100), process: undefined };
    fleet.every(secondMs, () => {
      fleet.table.workers.set('java-3.4', { ...row, lastUpdateSeconds: Math.floor(fleet.now / secondMs) });
    });
    fleet.pass(2 * assignmentMs);
    expect(lastRun(lead).rows.minSupportCode).toBe(1);
    fleet.put('b', { leaseOwner: 'java-3.4' });
    fleet.pass(assignmentMs);
    expect(lastRun(lead).rows.minSupportCode).toBe(0);
  });

  test('leases that nobody held before it, that have none after it, and that move between live workers', () => {
    const fleet = fleetOf({ a: undefined, b: undefined, c: undefined });
    const lead = fleet.start('lead', { maxLeasesForWorker: 2 });
    expect(runsOf(lead)[0]).toMatchObject({ availableCount: 3, movedCount: 2, balancedCount: 0, unplacedCount: 1 });
    fleet.other('late');
    fleet.passUntil(() => fleet.counts()['late'] === 1, 2 * assignmentMs);
    expect(lastRun(lead)).toMatchObject({ movedCount: 1, balancedCount: 0, unplacedCount: 0 });
    fleet.other('later');
    fleet.passUntil(() => fleet.of('handOffLease').length > 0, 2 * assignmentMs);
    expect(lastRun(lead)).toMatchObject({ availableCount: 0, movedCount: 1, balancedCount: 1 });
  });

  test('a stream without leases, and one whose leases leave hash keys out, in each run; to be listed from the third on', () => {
    const fleet = new Fleet();
    fleet.shards = [shardOf('a', { hashKeyRange: ranges.low }), shardOf('b', { hashKeyRange: ranges.high })];
    const lead = fleet.start('lead');
    expect(runsOf(lead)[0]?.streams).toMatchObject({ partialCount: 0, toSyncCount: 1, skippedCount: 0 });
    fleet.pass(assignmentMs);
    expect(lastRun(lead).streams).toMatchObject({ partialCount: 0, toSyncCount: 0, several: undefined });
    // The listing doesn't show it either, so nothing mends it.
    fleet.table.leases.delete('b');
    fleet.shards = fleet.shards.slice(0, 1);
    const from = runsOf(lead).length;
    fleet.pass(5 * assignmentMs);
    const { partial, toSync } = { partial: countsOf('partialCount'), toSync: countsOf('toSyncCount') };
    expect(partial.slice(0, 4)).toEqual([1, 1, 1, 1]);
    expect(toSync.slice(0, 4)).toEqual([0, 0, 1, 1]);
    lead.failing.add('listShards');
    fleet.pass(2 * assignmentMs);
    expect(lastRun(lead).streams.skippedCount).toBe(1);

    function countsOf(name: 'partialCount' | 'toSyncCount'): number[] {
      return runsOf(lead)
        .slice(from)
        .map(({ streams }) => streams[name]);
    }
  });

  test('streams that are read, that are read no longer, and whose leases it deletes', () => {
    const fleet = new Fleet();
    const [first, second] = ['000000000000:first:1', '000000000000:second:1'];
    const stream = (streamId: string) => ({ streamId, initialPosition: 'TRIM_HORIZON' }) as const;
    for (const streamId of [first, second]) fleet.shardsOf.set(streamId, [shardOf('a')]);
    const lead = fleet.make('lead', { formerStreamsWaitMs: 60 * secondMs });
    lead.tell({ kind: 'streams', streams: [stream(first), stream(second)] });
    lead.tell({ kind: 'start' });
    fleet.pass(assignmentMs);
    expect(lastRun(lead).streams.several).toEqual({ activeCount: 2, pendingDeletionCount: 0, deletedCount: 0 });
    lead.tell({ kind: 'streams', streams: [stream(first)] });
    fleet.pass(assignmentMs);
    expect(lastRun(lead).streams.several).toEqual({ activeCount: 1, pendingDeletionCount: 1, deletedCount: 0 });
    const from = runsOf(lead).length;
    fleet.pass(70 * secondMs);
    const deleted = runsOf(lead)
      .slice(from)
      .map(({ streams }) => streams.several?.deletedCount);
    expect(deleted.filter((count) => count === 1)).toHaveLength(1);
    expect(lastRun(lead).streams.several).toEqual({ activeCount: 1, pendingDeletionCount: 0, deletedCount: 0 });
  });
});

test('a leader that could not read the table for three intervals says so when it lets another one lead', () => {
  const fleet = fleetOf({ a: undefined });
  const lead = fleet.start('lead');
  lead.failing.add('readTable');
  const forfeits = (): Notice[] => lead.notices.filter(({ kind }) => kind === 'leadershipForfeited');
  fleet.pass(2 * assignmentMs);
  expect(forfeits()).toEqual([]);
  fleet.pass(3 * assignmentMs);
  expect(forfeits()).not.toEqual([]);
});

describe('the first metric row of a worker, by utilization', () => {
  const byUtilization: Partial<WorkerOptions> = { assignmentStrategy: 'utilization', varianceBalancingFrequency: 1 };

  async function firstRow(): Promise<Utilization> {
    const clock = { now: () => 0, wallNow: () => 0, setTimer: () => () => undefined };
    const findGauge = () => Promise.resolve(() => Promise.resolve(undefined));
    const options = { clock, logger: silentLogger, sampleIntervalMs: 1_000, maxUtilizationPercent: 80, findGauge };
    const metrics = new WorkerMetrics(options);
    void metrics.start();
    return metrics.report();
  }

  test('is sound: a fleet of newcomers shares all leases evenly at once', async () => {
    const row = await firstRow();
    const fleet = new Fleet();
    fleet.other('w1', row);
    fleet.other('w2', row);
    const lead = fleet.make('lead', byUtilization);
    lead.utilization = row;
    lead.tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
    lead.tell({ kind: 'start' });
    for (let index = 0; index < 12; index += 1) fleet.put(`s${index}`);
    fleet.pass(assignmentMs);
    expect(fleet.counts()).toEqual({ lead: 4, w1: 4, w2: 4 });
  });

  test('makes it one of the fleet: among busy workers it is given its share of what is free, and no more', async () => {
    const row = await firstRow();
    const owned = ['a', 'b'].flatMap((owner) => Array.from({ length: 4 }, (_, index) => [`${owner}${index}`, owner]));
    const free = Array.from({ length: 12 }, (_, index) => [`free${index}`, undefined]);
    const fleet = fleetOf(Object.fromEntries([...owned, ...free]));
    for (const worker of ['a', 'b']) fleet.other(worker, cpu(20, 80));
    const lead = fleet.make('new', byUtilization);
    lead.utilization = row;
    lead.tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
    lead.tell({ kind: 'start' });
    const { a = 0, b = 0, new: taken = 0 } = fleet.counts();
    expect(taken).toBeGreaterThanOrEqual(4);
    expect(taken).toBeLessThan(12);
    expect(Math.min(a, b)).toBeGreaterThan(4);
  });
});

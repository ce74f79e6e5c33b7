// The row by which a worker says that it lives and how busy it is, and what a leader makes of the rows (KCL WorkerMetricStats,
// WorkerMetricStatsDAO, WorkerMetricStatsManager, LeaseAssignmentManager).
import { silentLogger } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { NOTHING_MEASURED, type Utilization } from '../../src/coordination/lease.ts';
import { WorkerMetrics } from '../../src/runtime/worker-metrics.ts';
import { Fleet, failoverMs, lone, secondMs, shardOf } from './fleet.ts';
import { wireScene } from './wire.ts';

const reportMs = 30 * secondMs;

describe('the row', () => {
  const wire = wireScene();
  const wallNow = 1_700_000_000_999;
  const clock = { now: () => 0, wallNow: () => wallNow, setTimer: () => () => undefined };
  const report = async (utilization: Utilization) => {
    const table = await wire.open();
    const timed = wire.table({ clock });
    await timed.run({ kind: 'reportWorker', workerId: 'w1', utilization, processId: 'uuid' });
    await table.close();
  };

  test('is set under the worker id, if it is nobody’s or this process’s (KCL: without a condition): times in epoch seconds, support code 1', async () => {
    await report({ stats: { C: [12.5, -1, 20] }, operatingRange: { C: [80] } });
    const [write] = wire.writes();
    expect(write).toMatchObject({
      operation: 'UpdateItem',
      key: 'w1',
      set: {
        entityType: '"WORKER_METRIC_STATS"',
        lut: '1700000000',
        sts: '{"C":"[12.5, -1, 20]"}',
        opr: '{"C":"[80]"}',
        sup: '1',
        slu: '1700000000',
      },
    });
    const free = 'attribute_not_exists(leaseKey) OR properties.shardlineProcess = "uuid"';
    expect([...(write?.conditions ?? [])].join()).toBe(free);
  });

  test('of a worker that can measure nothing has two empty maps', async () => {
    await report(NOTHING_MEASURED);
    expect(wire.writes()[0]?.set).toMatchObject({ sts: '{}', opr: '{}' });
  });

  test('keeps what others wrote into it, but for properties, where ours names its process; KCL: leaves properties out', async () => {
    const table = await wire.open();
    const properties = { M: { shardlineProcess: { S: 'uuid' } } };
    await wire.put({ leaseKey: { S: 'w1' }, ofTheFuture: { S: 'kept' }, properties });
    await table.run({ kind: 'reportWorker', workerId: 'w1', utilization: NOTHING_MEASURED, processId: 'uuid' });
    expect(await wire.get('w1')).toMatchObject({
      ofTheFuture: { S: 'kept' },
      properties: { M: { shardlineProcess: { S: 'uuid' } } },
    });
  });

  test('of a worker that is gone is deleted on condition that it is as it was seen', async () => {
    const table = await wire.open();
    await wire.put({ leaseKey: { S: 'dead' }, lut: { N: '1000' } });
    const seen = { kind: 'deleteWorker', workerId: 'dead' } as const;
    expect(await table.run({ ...seen, lastUpdateSeconds: 999 })).toEqual({ deleted: false });
    expect(await table.run({ ...seen, lastUpdateSeconds: 1000 })).toEqual({ deleted: true });
    expect(wire.writes().at(-1)).toEqual({ operation: 'DeleteItem', key: 'dead', conditions: new Set(['lut = 1000']) });
  });
});

describe('a leader', () => {
  const dayMs = 86_400 * secondMs;
  /** A worker of ours leads and finds the row of another, written so long before. */
  const found = (ageMs: number) => {
    const { fleet } = lone();
    const lastUpdateSeconds = Math.floor((fleet.now - ageMs) / secondMs);
    fleet.table.workers.set('other', { lastUpdateSeconds, utilization: NOTHING_MEASURED, process: undefined });
    return fleet;
  };
  const isGone = (fleet: Fleet): boolean => !fleet.table.workers.has('other');

  test('deletes a metric row that is older than a day, once it has seen it stand still for 60 s; KCL: at first sight', () => {
    const fleet = found(dayMs);
    fleet.pass(59 * secondMs);
    expect(isGone(fleet)).toBe(false);
    fleet.pass(30 * secondMs);
    expect(isGone(fleet)).toBe(true);
  });

  test('leaves a younger one, and that of a live worker whose clock is a day behind', () => {
    const younger = found(dayMs - 120 * secondMs);
    younger.pass(100 * secondMs);
    expect(isGone(younger)).toBe(false);
    const behind = found(dayMs);
    behind.every(30 * secondMs, () => {
      const row = behind.table.workers.get('other') as { readonly lastUpdateSeconds: number };
      const lastUpdateSeconds = row.lastUpdateSeconds + 30;
      behind.table.workers.set('other', { lastUpdateSeconds, utilization: NOTHING_MEASURED, process: undefined });
    });
    behind.pass(200 * secondMs);
    expect(isGone(behind)).toBe(false);
    expect(behind.of('deleteWorker')).toEqual([]);
  });
});

describe('a worker', () => {
  test('writes its row when it starts and every 30 s; KCL: first after two samples', () => {
    const { fleet } = lone();
    fleet.pass(5 * reportMs);
    expect(fleet.of('reportWorker').map(({ at }) => at - 1_000_000)).toEqual(
      [0, 1, 2, 3, 4, 5].map((n) => n * reportMs),
    );
  });

  test('that leaves takes its row with it; KCL: leaves it to grow stale', () => {
    const { fleet, me } = lone();
    expect(fleet.table.workers.has('me')).toBe(true);
    me.stop();
    expect(fleet.table.workers.has('me')).toBe(false);
  });

  test('reports the mean of its samples since the last report, rounded to six decimals, the last ten oldest first, -1 for a period in which none could be taken', async () => {
    let sample: (() => void) | undefined;
    const clock = {
      now: () => 0,
      wallNow: () => 0,
      setTimer: (run: () => void) => {
        sample = run;
        return () => undefined;
      },
    };
    let percent: number | undefined = 0;
    const metrics = new WorkerMetrics({
      clock,
      logger: silentLogger,
      sampleIntervalMs: 1_000,
      maxUtilizationPercent: 80,
      findGauge: () =>
        Promise.resolve(() => {
          if (percent === undefined) throw new Error('no figure');
          return Promise.resolve(percent);
        }),
      eventLoop: () => 0,
    });
    await metrics.start();
    const take = async (...percents: (number | undefined)[]) => {
      for (percent of percents) {
        const before = sample;
        sample?.();
        await expect.poll(() => sample !== before).toBe(true);
      }
      return metrics.report();
    };
    expect(await take(10, 10, 11)).toEqual({ stats: { C: [10.333333] }, operatingRange: { C: [80] } });
    expect((await take(undefined, 50)).stats['C']).toEqual([10.333333, 50]);
    expect((await take(undefined)).stats['C']).toEqual([10.333333, 50, -1]);
    for (let n = 1; n <= 9; n += 1) await take(n);
    expect((await metrics.report()).stats['C']).toEqual([-1, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    metrics.stop();
  });
});

describe('a leader', () => {
  const busy = (percent: number, ...limit: number[]): Utilization => ({
    stats: { C: [percent] },
    operatingRange: { C: limit },
  });

  /** One of ours leads and may have one lease; four free ones are there for `w`, if it may have any. */
  function givenTo(utilization: Utilization): number {
    const fleet = new Fleet();
    fleet.shards = ['a', 'b', 'c', 'd'].map((id) => shardOf(id));
    for (const { shardId } of fleet.shards) fleet.put(shardId);
    fleet.other('w', utilization);
    fleet.start('lead', { maxLeasesForWorker: 2 });
    return fleet.counts()['w'] ?? 0;
  }

  test.each([
    ['with figures and a limit', busy(50, 80), 2],
    ['that measures nothing', NOTHING_MEASURED, 2],
    ['whose last figure is -1: it could not measure', busy(-1, 80), 0],
    ['that named no limit for a figure', busy(50), 0],
    ['whose limit is 0', busy(50, 0), 0],
  ])('gives leases to a worker %s only if the row is sound', (_, utilization, count) => {
    expect(givenTo(utilization)).toBe(count);
  });

  test('gives leases to no worker whose row has stood still for twice the time between reports, 60 s, as seen here', () => {
    const fleet = new Fleet();
    const other = fleet.other('w');
    fleet.start('lead');
    other.silence();
    fleet.pass(2 * reportMs - secondMs);
    fleet.put('a');
    fleet.put('b');
    fleet.pass(2 * failoverMs);
    expect(fleet.counts()).toEqual({ lead: 2 });
  });

  test('takes the row of a worker for the first time by its age, so that one that died before is given nothing', () => {
    const fleet = new Fleet();
    fleet.other('dead').silence();
    fleet.pass(2 * reportMs);
    fleet.put('a');
    fleet.put('b');
    fleet.start('lead');
    expect(fleet.counts()).toEqual({ lead: 2 });
  });

  test('gives no lease to a worker that let one expire, until it gives a sign of life; KCL: as long as its row is younger than 60 s', () => {
    const fleet = new Fleet();
    fleet.put('a', { leaseOwner: 'w' });
    const other = fleet.other('w');
    fleet.start('lead', { leaseAssignmentIntervalMs: secondMs });
    other.silence();
    fleet.passUntil(() => fleet.lease('a').leaseOwner === 'lead', 2 * failoverMs);
    fleet.put('b');
    fleet.pass(2 * secondMs);
    expect(fleet.lease('b').leaseOwner).toBe('lead');
  });

  test('gives leases ever less often to a worker that reports and takes up none of them; KCL: again and again', () => {
    const fleet = new Fleet();
    for (const id of ['a', 'b', 'c', 'd']) fleet.put(id);
    fleet.start('lead');
    fleet.pass(secondMs);
    const report = () =>
      fleet.table.workers.set('mute', {
        lastUpdateSeconds: Math.floor(fleet.now / 1000),
        utilization: NOTHING_MEASURED,
        process: undefined,
      });
    report();
    fleet.every(reportMs, report);
    let unread = 0;
    for (let second = 0; second < 3_600; second += 1) {
      fleet.pass(secondMs);
      unread += fleet.counts()['mute'] ?? 0;
    }
    // Two leases rest for ten to twenty seconds each time; every report were 120 times.
    expect(unread).toBeGreaterThan(0);
    expect(unread).toBeLessThan(10 * 2 * 20);
  });

  test('leaves the live leases of a worker whose row is stale or unsound where they are', () => {
    const fleet = new Fleet();
    for (const id of ['a', 'b', 'c']) fleet.put(id, { leaseOwner: 'w' });
    fleet.other('w', busy(-1, 80));
    fleet.start('lead');
    fleet.pass(5 * 60 * secondMs);
    expect(fleet.counts()).toEqual({ w: 3 });
  });
});

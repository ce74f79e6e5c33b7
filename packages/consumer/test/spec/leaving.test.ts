// How a worker leaves (KCL Scheduler.shutdown, GracefulShutdownCoordinator), and how fast others have its shards. The KCL leaves its
// rows as they are, so that its leases have to expire: 20 to 40 s at each deploy. Ours gives them away.
import { describe, expect, test } from 'vitest';
import { assignmentMs, Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

const discoveryMs = 500;
const ids = ['a', 'b', 'c', 'd'];

/** Both hold two of four leases; `first` leads. */
function pair(): { readonly fleet: Fleet; readonly first: Member; readonly second: Member } {
  const fleet = new Fleet();
  fleet.shards = ids.map((id) => shardOf(id));
  const first = fleet.start('first');
  const second = fleet.start('second');
  fleet.passUntil(() => first.view.leases.length === 2 && second.view.leases.length === 2, 120 * secondMs);
  fleet.pass(secondMs);
  return { fleet, first, second };
}

describe('a worker that leaves in good order', () => {
  test('gives each of its leases to another worker itself, so that its shards rest for one discovery interval at most, although it led', () => {
    const { fleet, first, second } = pair();
    first.stop();
    expect(fleet.counts()).toEqual({ second: 4 });
    const took = fleet.passUntil(
      () => second.view.leases.filter(({ phase }) => phase === 'processing').length === 4,
      failoverMs,
    );
    expect(took).toBeLessThanOrEqual(discoveryMs);
  });

  test('lets the handler return, lets it checkpoint, writes that, and only then gives the lease away', () => {
    const { fleet, first } = pair();
    const [mine] = first.view.leases;
    if (mine === undefined) throw new Error('no lease');
    first.held.add('deliverBatch').add('drainShard').add('closeShard');
    first.batch(mine.leaseKey, 7);
    first.stop();
    expect(fleet.lease(mine.leaseKey).leaseOwner).toBe('first');
    first.carryOut('deliverBatch');
    first.done('drainShard', undefined, mine.leaseKey);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'first', checkpoint: { sequenceNumber: 7n } });
    first.done('closeShard', undefined, mine.leaseKey);
    expect(fleet.lease(mine.leaseKey).leaseOwner).toBe('second');
  });

  test('does so on condition of its own counter, which a Java worker sees as any other assignment', () => {
    const { fleet, first } = pair();
    const before = new Map([...fleet.table.leases].map(([key, lease]) => [key, lease.leaseCounter]));
    const since = fleet.now;
    first.stop();
    const given = fleet.of('assignLease', since).map(({ effect }) => effect);
    expect(given).toHaveLength(2);
    for (const effect of given) {
      const seen = { seenOwner: 'first', seenCheckpointOwner: undefined, newOwner: 'second' };
      expect(effect).toMatchObject({ ...seen, seenCounter: before.get(effect.leaseKey) });
      expect(fleet.lease(effect.leaseKey).ownerSwitchesSinceCheckpoint).toBeGreaterThanOrEqual(1);
    }
  });

  test('says first, in its metric row, that it can be given no more, looks at the table once, and takes the row away with its last lease', () => {
    const { fleet, first } = pair();
    const since = fleet.now;
    first.held.add('drainShard');
    first.stop();
    // As a Java worker says it whose last figure is missing (KCL WorkerMetricStats.isAnyWorkerMetricFailing).
    expect(fleet.table.workers.get('first')?.utilization).toEqual({ stats: { C: [-1] }, operatingRange: { C: [100] } });
    expect(fleet.of('readTable', since)).toHaveLength(1);
    for (const { leaseKey } of first.view.leases) {
      expect(fleet.table.workers.has('first')).toBe(true);
      first.done('drainShard', undefined, leaseKey);
    }
    expect(fleet.table.workers.has('first')).toBe(false);
  });

  test('of a worker id that was made up for it, which nobody else can come under, the row goes at once', () => {
    const fleet = new Fleet();
    fleet.shards = ids.map((id) => shardOf(id));
    const only = fleet.start('only', { workerIdLookIntervalMs: Number.POSITIVE_INFINITY });
    fleet.passUntil(() => only.view.leases.length === 4, 120 * secondMs);
    fleet.pass(secondMs);
    only.held.add('drainShard');
    only.stop();
    expect(fleet.table.workers.has('only')).toBe(false);
  });

  test('gives nothing to another one that leaves, either', () => {
    const { fleet, first, second } = pair();
    fleet.other('third', { stats: { C: [-1] }, operatingRange: { C: [100] } });
    second.held.add('drainShard');
    second.stop();
    first.stop();
    expect(fleet.counts()).toEqual({ nobody: 2, second: 2 });
  });

  test('gives its leases to the worker with the fewest, one after the other', () => {
    const { fleet, first } = pair();
    fleet.other('third');
    first.stop();
    expect(fleet.counts()).toEqual({ second: 2, third: 2 });
  });

  test('with nobody there leaves its leases to nobody, and the next worker has them at once', () => {
    const fleet = new Fleet();
    fleet.shards = ids.map((id) => shardOf(id));
    const alone = fleet.start('alone');
    alone.stop();
    expect(fleet.counts()).toEqual({ nobody: 4 });
    const next = fleet.start('next');
    expect(next.view.leases.filter(({ phase }) => phase === 'processing')).toHaveLength(4);
  });

  test('gives nothing to a worker whose row is older than two reports', () => {
    const { fleet, first } = pair();
    fleet.other('dead').silence();
    fleet.pass(61 * secondMs);
    first.stop();
    expect(fleet.counts()['dead']).toBeUndefined();
    expect(fleet.counts()).toEqual({ second: 4 });
  });

  test('completes a handoff that is under way to the heir that the leader chose', () => {
    const { fleet, first } = pair();
    const [mine] = first.view.leases;
    if (mine === undefined) throw new Error('no lease');
    fleet.other('third');
    fleet.table.apply({ kind: 'handOffLease', leaseKey: mine.leaseKey, from: 'first', to: 'third' });
    first.stop();
    fleet.pass(secondMs);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'third', checkpointOwner: undefined });
  });

  test('whose handler does not return has its signal aborted after shutdownGraceMs, 30 s, and keeps the lease, which then expires: the handler may still run', () => {
    const { fleet, first } = pair();
    const [mine, other] = first.view.leases;
    if (mine === undefined || other === undefined) throw new Error('no lease');
    first.held.add('deliverBatch').add('closeShard');
    first.batch(mine.leaseKey, 7);
    first.stop();
    first.done('closeShard', undefined, other.leaseKey);
    fleet.pass(30 * secondMs - 1);
    expect(first.isOpen('closeShard', mine.leaseKey)).toBe(false);
    fleet.pass(1);
    expect(first.open('closeShard', mine.leaseKey).reason).toBe('stopping');
    fleet.pass(30 * secondMs);
    expect(first.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: [mine.leaseKey] });
    expect(fleet.lease(mine.leaseKey).leaseOwner).toBe('first');
  });
});

describe('a worker that dies', () => {
  test('has its leases taken within failoverTimeMs and two runs of the leader', () => {
    const { fleet, first, second } = pair();
    second.crash();
    expect(first.view.leader).toBe(true);
    const took = fleet.passUntil(() => fleet.counts()['first'] === 4, 120 * secondMs);
    expect(took).toBeGreaterThan(failoverMs / 2);
    expect(took).toBeLessThanOrEqual(failoverMs + 2 * assignmentMs);
  });

  test('as the leader is followed within the duration of its row, 30 s, and a look; KCL: 120 s', () => {
    const { fleet, first, second } = pair();
    first.crash();
    const took = fleet.passUntil(() => second.view.leader, 120 * secondMs);
    expect(took).toBeLessThanOrEqual(30 * secondMs + 7.5 * secondMs);
    fleet.passUntil(() => fleet.counts()['second'] === 4, 120 * secondMs);
  });
});

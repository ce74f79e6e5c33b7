// How a worker leaves (KCL Scheduler.shutdown, GracefulShutdownCoordinator), and how fast others have its shards. The KCL leaves its
// rows as they are, so that its leases have to expire: 20 to 40 s at each deploy. Ours gives them away.
import { describe, expect, test } from 'vitest';
import { assignmentMs, Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

/** A discovery, and what the index lags behind: for so long a shard is read on after its heir was told. */
const noticeMs = 600;
/** Between looks for what is on its way. */
const quickMs = 110;
const ids = ['a', 'b', 'c', 'd'];

/** Both hold two of four leases; `first` leads. */
function pair(changes: Parameters<Fleet['start']>[1] = {}): {
  readonly fleet: Fleet;
  readonly first: Member;
  readonly second: Member;
} {
  const fleet = new Fleet();
  fleet.shards = ids.map((id) => shardOf(id));
  const first = fleet.start('first', changes);
  const second = fleet.start('second', changes);
  fleet.passUntil(() => first.view.leases.length === 2 && second.view.leases.length === 2, 120 * secondMs);
  fleet.pass(secondMs);
  return { fleet, first, second };
}

describe('a worker that leaves in good order', () => {
  test('tells its heir by the row, reads on until that one must know, then gives it the lease, so that its shards rest for a tenth of a second, although it led', () => {
    const { fleet, first, second } = pair();
    first.stop();
    expect(fleet.counts()).toEqual({ second: 4 });
    const left = [...first.view.leases].map(({ leaseKey }) => leaseKey);
    expect(left.map((key) => fleet.lease(key).checkpointOwner)).toEqual(['first', 'first']);
    const isGiven = (): boolean => left.every((key) => fleet.lease(key).checkpointOwner === undefined);
    expect(fleet.passUntil(isGiven, failoverMs)).toBeLessThanOrEqual(noticeMs);
    const rested = fleet.passUntil(
      () => second.view.leases.filter(({ phase }) => phase === 'processing').length === 4,
      failoverMs,
    );
    expect(rested).toBeLessThanOrEqual(quickMs);
  });

  describe.each([
    { ids: 'made up', says: 'forgetWorker', changes: { workerIdLookIntervalMs: Number.POSITIVE_INFINITY } },
    { ids: 'given', says: 'reportWorker', changes: {} },
  ] as const)('its id $ids', ({ says, changes }) => {
    test('looks for heirs only once its own row offers it no longer, so that a fleet that stops as one frees all its leases', () => {
      const { fleet, first, second } = pair(changes);
      const both = [first, second];
      for (const each of both) {
        each.held.add(says).add('readTable');
        each.stop();
      }
      expect(both.map((each) => each.isOpen('readTable'))).toEqual([false, false]);
      for (const each of both) each.carryOut(says);
      for (const each of both) each.held.clear();
      for (const each of both) each.carryOut('readTable');
      fleet.pass(secondMs);
      expect(fleet.counts()).toEqual({ nobody: 4 });
      expect(both.map((each) => each.worker.stopped)).toEqual([true, true]);
    });

    test('waits for that no longer than a second', () => {
      const { fleet, first } = pair(changes);
      first.held.add(says);
      first.stop();
      fleet.pass(secondMs);
      expect(first.isOpen('readTable')).toBe(false);
      expect(first.view.leases).toEqual([]);
      expect(fleet.counts()).toEqual({ second: 2, nobody: 2 });
    });
  });

  test('lets the handler return, lets it checkpoint, writes that, and only then gives the lease away', () => {
    const { fleet, first } = pair();
    const [mine] = first.view.leases;
    if (mine === undefined) throw new Error('no lease');
    first.held.add('deliverBatch').add('drainShard').add('closeShard');
    first.batch(mine.leaseKey, 7);
    first.stop();
    const announced = { leaseOwner: 'second', checkpointOwner: 'first' };
    expect(fleet.lease(mine.leaseKey)).toMatchObject(announced);
    first.carryOut('deliverBatch');
    fleet.pass(noticeMs);
    first.done('drainShard', undefined, mine.leaseKey);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ ...announced, checkpoint: { sequenceNumber: 7n } });
    first.done('closeShard', undefined, mine.leaseKey);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'second', checkpointOwner: undefined });
  });

  test('does both on condition of its own counter, which a Java worker sees as any other handoff', () => {
    const { fleet, first } = pair();
    const before = new Map([...fleet.table.leases].map(([key, lease]) => [key, lease.leaseCounter]));
    const since = fleet.now;
    first.stop();
    const told = fleet.of('handOffLease', since).map(({ effect }) => effect);
    expect(told).toHaveLength(2);
    for (const effect of told) {
      const seenCounter = before.get(effect.leaseKey);
      expect(effect).toMatchObject({ from: 'first', to: 'second', seenCounter });
      expect(fleet.lease(effect.leaseKey).leaseCounter).toBe(seenCounter);
    }
    fleet.pass(noticeMs);
    const given = fleet.of('assignLease', since).map(({ effect }) => effect);
    expect(given).toHaveLength(2);
    for (const effect of given) {
      const seen = { seenOwner: 'second', seenCheckpointOwner: 'first', newOwner: 'second' };
      expect(effect).toMatchObject({ ...seen, seenCounter: expect.any(Number) });
    }
  });

  test('passes on what a leader gives it after it has gone: that leader had read its metric row before. Of an id that nobody else can have', () => {
    const { fleet, first } = pair({ workerIdLookIntervalMs: Number.POSITIVE_INFINITY });
    const [other] = [...fleet.table.leases.values()].filter(({ leaseOwner }) => leaseOwner === 'second');
    if (other === undefined) throw new Error('no lease');
    first.stop();
    const { leaseKey, leaseCounter } = other;
    fleet.table.apply({
      kind: 'assignLease',
      leaseKey,
      seenOwner: 'second',
      seenCheckpointOwner: undefined,
      seenCounter: leaseCounter,
      newOwner: 'first',
      tenure: undefined,
    });
    fleet.pass(2 * secondMs);
    expect(first.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: [] });
    expect(fleet.lease(leaseKey).leaseOwner).toBe('second');
  });

  test('says first, in its metric row, that it can be given no more, looks at the table once, and takes the row away with its last lease', () => {
    const { fleet, first } = pair();
    const since = fleet.now;
    first.held.add('drainShard');
    first.stop();
    // As a Java worker says it whose last figure is missing (KCL WorkerMetricStats.isAnyWorkerMetricFailing).
    expect(fleet.table.workers.get('first')?.utilization).toEqual({ stats: { C: [-1] }, operatingRange: { C: [100] } });
    expect(fleet.of('readTable', since)).toHaveLength(1);
    fleet.pass(noticeMs);
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
    // The second one had told the first before that one left.
    expect(fleet.counts()).toEqual({ nobody: 2, first: 2 });
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
    fleet.pass(noticeMs);
    first.done('closeShard', undefined, other.leaseKey);
    fleet.pass(30 * secondMs - noticeMs - 1);
    expect(first.isOpen('closeShard', mine.leaseKey)).toBe(false);
    fleet.pass(1);
    expect(first.open('closeShard', mine.leaseKey).reason).toBe('stopping');
    fleet.pass(30 * secondMs);
    expect(first.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: [mine.leaseKey] });
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'first', checkpointOwner: undefined });
  });

  test('whose handler takes long has told its heir in vain, and says so after half of gracefulLeaseHandoffTimeoutMs, 15 s, before a leader finds the handoff overdue', () => {
    const { fleet, first } = pair();
    const [mine] = first.view.leases;
    if (mine === undefined) throw new Error('no lease');
    first.held.add('deliverBatch');
    first.batch(mine.leaseKey, 7);
    first.stop();
    fleet.pass(noticeMs + 15 * secondMs - 1);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'second', checkpointOwner: 'first' });
    fleet.pass(1);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'first', checkpointOwner: undefined });
    first.held.delete('deliverBatch');
    first.carryOut('deliverBatch');
    fleet.pass(secondMs);
    expect(fleet.lease(mine.leaseKey)).toMatchObject({ leaseOwner: 'second', checkpointOwner: undefined });
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

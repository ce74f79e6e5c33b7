// How a worker keeps a lease, what it makes of a renewal that was refused or never answered, and when others may call the lease
// expired (KCL DynamoDBLeaseRenewer, DynamoDBLeaseRefresher.renewLease, LeaseStatsRecorder, Lease.isExpired).
import { parseCheckpoint } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { Fleet, failoverMs, lone, type Member, secondMs } from './fleet.ts';

/** Time passes until `me` asks to renew; the renewal then waits for the test. */
function atRenewal(): { readonly fleet: Fleet; readonly me: Member } {
  const { fleet, me } = lone();
  me.held.add('renewLease');
  fleet.passUntil(() => me.isOpen('renewLease'), failoverMs);
  return { fleet, me };
}

function held(me: Member): boolean {
  return me.view.leases.some((lease) => lease.leaseKey === 'a');
}

describe('a renewal', () => {
  test('begins every third of failoverTimeMs, or up to a 32nd of that earlier, so that many begin at once; KCL: 25 ms earlier', () => {
    const { fleet } = lone();
    fleet.pass(29 * secondMs);
    const times = fleet.of('renewLease').map(({ at }) => at);
    expect(times).toHaveLength(9);
    for (const [index, at] of times.slice(1).entries()) {
      const intervalMs = at - (times[index] as number);
      expect(intervalMs).toBeLessThanOrEqual(failoverMs / 3);
      expect(intervalMs).toBeGreaterThan((failoverMs / 3) * (31 / 32));
    }
  });

  test('names the counter of the last write, and only one write of a lease is under way', () => {
    const { fleet, me } = atRenewal();
    const { leaseCounter } = fleet.lease('a');
    expect(me.open('renewLease').leaseCounter).toBe(leaseCounter);
    fleet.pass(5 * secondMs);
    expect(fleet.of('renewLease', fleet.now - 5 * secondMs)).toEqual([]);
  });

  test('that fails keeps the lease; it is tried again until the lease has run out by time, and beyond; KCL: not before the next period, and never once it has run out', () => {
    const { fleet, me } = lone();
    me.failing.add('renewLease');
    fleet.pass(failoverMs + 5 * secondMs);
    expect(held(me)).toBe(true);
    expect(me.view.leases[0]?.fresh).toBe(false);
    expect(fleet.of('renewLease').length).toBeGreaterThan(8);
    me.failing.clear();
    fleet.pass(2 * secondMs);
    // Its counter stood still, so nobody had the lease in between.
    expect(me.view.leases[0]).toMatchObject({ leaseKey: 'a', fresh: true, tenure: 1 });
  });

  test('while it fails for longer than failoverTimeMs, no new batch goes to the handler', () => {
    const { fleet, me } = lone();
    me.failing.add('renewLease');
    fleet.pass(failoverMs + secondMs);
    me.failing.add('checkpointLease');
    me.batch('a', 7);
    fleet.pass(secondMs);
    expect(fleet.of('deliverBatch')).toEqual([]);
    me.failing.clear();
    fleet.pass(2 * secondMs);
    expect(fleet.of('deliverBatch')).toHaveLength(1);
  });
});

describe('a refused renewal', () => {
  test('of a row with our counter, of which we are the checkpointOwner, is a handoff: it is learned, and the renewal repeated without that condition', () => {
    const { fleet, me } = atRenewal();
    const { leaseCounter } = fleet.lease('a');
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'heir', checkpointOwner: 'me' });
    me.held.add('drainShard');
    me.carryOut('renewLease');
    expect(me.open('renewLease')).toMatchObject({ leaseCounter, handoffKnown: true });
    me.carryOut('renewLease');
    expect(fleet.lease('a')).toMatchObject({ leaseCounter: leaseCounter + 1, checkpointOwner: 'me' });
    expect(me.isOpen('drainShard')).toBe(true);
  });

  test('whose counter is one higher, and whose owner we are, was applied before: its answer was lost, and the lease is kept', () => {
    const { fleet, me } = lone();
    const { tenure } = me.open('fetchBatch');
    me.losing.add('renewLease');
    fleet.pass(3_400);
    me.losing.clear();
    fleet.pass(2 * secondMs);
    expect(me.view.leases[0]).toMatchObject({ tenure, fresh: true });
    expect(me.notices).not.toContainEqual(expect.objectContaining({ kind: 'leaseEnded' }));
  });

  test('whose counter is one higher in a handoff is ours, too; KCL: it compares leaseOwner, which is the heir by then, and counts it as lost', () => {
    const { fleet, me } = atRenewal();
    me.losing.add('renewLease');
    me.carryOut('renewLease');
    me.losing.clear();
    const { leaseCounter } = fleet.lease('a');
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'heir', checkpointOwner: 'me' });
    me.held.add('drainShard');
    fleet.pass(secondMs);
    me.carryOut('renewLease');
    expect(me.open('renewLease')).toMatchObject({ leaseCounter, handoffKnown: true });
    expect(me.isOpen('drainShard')).toBe(true);
  });

  test.each([
    ['belongs to another, and has a counter one higher', { leaseOwner: 'other' }, { how: 'taken', by: 'other' }],
    ['belongs to nobody, and has a counter one higher', { leaseOwner: undefined }, { how: 'taken', by: undefined }],
    ['is in a handoff between others', { leaseOwner: 'me', checkpointOwner: 'other' }, { how: 'taken', by: 'other' }],
    ['is in a handoff from us to us', { leaseOwner: 'me', checkpointOwner: 'me' }, { how: 'ownId' }],
    ['has a counter two higher, although it is ours', { leaseCounter: 100 }, { how: 'ownId' }],
    ['has a counter one higher under our name, and no answer of ours was lost (KCL: keeps it)', {}, { how: 'ownId' }],
    ['is gone', undefined, { how: 'deleted' }],
  ])('whose row %s means that the lease is lost: the handler is aborted at once', (_, change, loss) => {
    const { fleet, me } = atRenewal();
    if (change === undefined) fleet.table.leases.delete('a');
    else fleet.put('a', { ...fleet.lease('a'), leaseCounter: fleet.lease('a').leaseCounter + 1, ...change });
    me.carryOut('renewLease');
    expect(fleet.of('closeShard').map(({ effect }) => effect.reason)).toEqual(['leaseLost']);
    expect(me.notices).toContainEqual({ kind: 'leaseEnded', leaseKey: 'a', tenure: 1, reason: 'leaseLost', loss });
  });

  test('in a handoff that the leader waited for no longer says that the lease was handed over', () => {
    const { fleet, me } = atRenewal();
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'heir', checkpointOwner: 'me' });
    me.held.add('drainShard');
    me.carryOut('renewLease');
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'heir', leaseCounter: fleet.lease('a').leaseCounter + 1 });
    fleet.table.leases.set('a', { ...fleet.lease('a'), checkpointOwner: undefined });
    me.carryOut('renewLease');
    const loss = { how: 'handedOver', to: 'heir' };
    expect(me.notices).not.toContainEqual(expect.objectContaining({ kind: 'stopped' }));
    me.held.clear();
    me.carryOut('drainShard');
    fleet.pass(secondMs);
    expect(me.notices).toContainEqual(expect.objectContaining({ kind: 'leaseEnded', reason: 'leaseLost', loss }));
  });
});

test('of a lease that was lost and won again nothing of the former tenure is written: a checkpoint asked for in its name is refused', () => {
  const { fleet, me } = lone();
  const { tenure } = me.open('fetchBatch');
  fleet.put('a', { ...fleet.lease('a'), leaseCounter: 100 });
  fleet.pass(9 * secondMs);
  expect(me.view.leases[0]).toMatchObject({ leaseKey: 'a', tenure: tenure + 1 });
  const position = parseCheckpoint('7');
  me.tell({ kind: 'checkpointRequested', leaseKey: 'a', tenure, position, prepare: undefined, requestId: 9 });
  expect(me.notices).toContainEqual({ kind: 'checkpointSettled', requestId: 9, outcome: 'leaseLost' });
  expect(fleet.of('checkpointLease')).toEqual([]);
});

test('a worker that comes back under its old id is given back the leases that still name it, with no handoff under way; KCL: by a scan, here by the index', () => {
  const fleet = new Fleet();
  fleet.put('a', { leaseOwner: 'me', leaseCounter: 8 });
  fleet.put('b', { leaseOwner: 'me', leaseCounter: 8, checkpointOwner: 'other' });
  const me = fleet.start('me');
  expect(me.phase('a')).toBe('processing');
  expect(me.phase('b')).toBeUndefined();
  expect(fleet.lease('a').leaseCounter).toBe(9);
});

describe('the throughput', () => {
  test('is what was read in a renewal period, half of it with half of what was known, in KiB/s, with six decimals', () => {
    const { fleet, me } = lone();
    me.batch('a', 7, 100_000);
    fleet.pass(3_400);
    const [claim, first] = fleet.of('renewLease');
    const measured = 100_000 / 1024 / (((first?.at ?? 0) - (claim?.at ?? 0)) / 1000);
    expect(fleet.lease('a').throughputKBps).toBeCloseTo(measured, 1);
    expect(String(fleet.lease('a').throughputKBps)).toMatch(/^\d+\.\d{1,6}$/);
    const known = first?.effect.throughputKBps ?? fleet.lease('a').throughputKBps ?? 0;
    fleet.pass(3_400);
    expect(fleet.lease('a').throughputKBps).toBeCloseTo(known / 2, 1);
  });

  test('that the row has when a worker takes the lease up is where its own goes on from', () => {
    const fleet = new Fleet();
    fleet.put('a', { leaseOwner: 'me', throughputKBps: 80 });
    fleet.start('me');
    fleet.pass(3_400);
    expect(fleet.lease('a').throughputKBps).toBe(40);
  });
});

describe('a lease', () => {
  /** A leader that has just looked, beside a silent owner whose counter moved last at that look. */
  function beside(leaseAssignmentIntervalMs: number): Fleet {
    const fleet = new Fleet();
    fleet.put('a', { leaseOwner: 'silent', leaseCounter: 3 });
    fleet.start('me', { leaseAssignmentIntervalMs });
    return fleet;
  }

  test('is expired when its counter has stood still for more than failoverTimeMs by the clock of who looks, not a moment earlier', () => {
    const fleet = beside(failoverMs);
    fleet.pass(failoverMs);
    expect(fleet.lease('a').leaseOwner).toBe('silent');
    fleet.pass(failoverMs);
    expect(fleet.lease('a').leaseOwner).toBe('me');
  });

  test('whose counter moves is alive, however seldom anybody looks', () => {
    const fleet = beside(60 * secondMs);
    fleet.other('silent');
    fleet.pass(10 * 60 * secondMs);
    expect(fleet.lease('a').leaseOwner).toBe('silent');
  });

  test('is judged by no clock but that of who looks: one that is an hour off changes nothing', () => {
    const fleet = new Fleet();
    fleet.put('a', { leaseOwner: 'silent', leaseCounter: 3 });
    const me = fleet.make('me', { leaseAssignmentIntervalMs: 500 });
    me.skewMs = 3600 * secondMs;
    me.tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
    me.tell({ kind: 'start' });
    const took = fleet.passUntil(() => fleet.lease('a').leaseOwner === 'me', 3 * failoverMs);
    expect(took).toBeGreaterThan(failoverMs);
    expect(took).toBeLessThanOrEqual(failoverMs + 600);
  });

  test('that nobody has is there for anybody at once', () => {
    const fleet = new Fleet();
    fleet.put('a');
    fleet.start('me');
    expect(fleet.lease('a').leaseOwner).toBe('me');
  });
});

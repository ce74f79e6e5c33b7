// A worker that hands leases off because an operator said so, and works on: what it writes, whom it names, and that leaders of ours give it none
// of them back while another one has room. A Java leader balances by its own lights, which `comes back` plays.
import { describe, expect, test } from 'vitest';
import type { Notice } from '../../src/coordination/notice.ts';
import { assignmentMs, Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

const noticeMs = 600;
const awayMs = 100 * secondMs;

function handOff(member: Member, leaseKeys: readonly string[], areAll = false, forMs = awayMs): void {
  const leases = leaseKeys.map((leaseKey, index) => ({ leaseKey, requestId: index + 1 }));
  member.tell({ kind: 'handOff', leases, areAll, awayMs: forMs });
}

type Settled = Omit<Extract<Notice, { kind: 'handOffSettled' }>, 'kind' | 'requestId'>;

function settled({ notices }: Member): Settled[] {
  return notices.flatMap((notice) =>
    notice.kind === 'handOffSettled' ? [{ leaseKey: notice.leaseKey, outcome: notice.outcome, to: notice.to }] : [],
  );
}

function keysOf({ view }: Member): string[] {
  return view.leases.map(({ leaseKey }) => leaseKey);
}

/** Of `count` leases all workers have as many; `first` leads. */
function fleetOf(count: number, ...others: string[]): { fleet: Fleet; first: Member; rest: Member[]; mine: string } {
  const fleet = new Fleet();
  fleet.shards = Array.from({ length: count }, (_, index) => shardOf(`s${index}`));
  const first = fleet.start('first');
  const rest = others.map((id) => fleet.start(id));
  const share = count / (1 + others.length);
  const isShared = (): boolean => [first, ...rest].every(({ view }) => view.leases.length === share);
  fleet.passUntil(isShared, 120 * secondMs);
  fleet.pass(secondMs);
  return { fleet, first, rest, mine: keysOf(first)[0] ?? '' };
}

describe('a lease that is handed off on request', () => {
  test('is said in the metric row first, then told to its heir by the row, read until that one must know, and given away', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    const since = fleet.now;
    first.held.add('reportWorker');
    handOff(first, [mine]);
    expect(fleet.of('readTable', since)).toEqual([]);
    first.carryOut('reportWorker');
    expect(fleet.table.workers.get('first')?.declines).toEqual([mine]);
    expect(fleet.lease(mine)).toMatchObject({ leaseOwner: 'second', checkpointOwner: 'first' });
    expect(first.phase(mine)).toBe('processing');
    fleet.pass(noticeMs);
    expect(fleet.lease(mine)).toMatchObject({ leaseOwner: 'second', checkpointOwner: undefined });
    expect(settled(first)).toEqual([{ leaseKey: mine, outcome: 'handedOff', to: 'second' }]);
    expect(first.notices).toContainEqual(
      expect.objectContaining({ kind: 'leaseEnded', leaseKey: mine, reason: 'handedOff' }),
    );
  });

  test('waits for its handler, and for what that has finished to be written', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    first.held.add('deliverBatch');
    first.batch(mine, 7);
    handOff(first, [mine]);
    fleet.pass(2 * noticeMs);
    expect(settled(first)).toEqual([]);
    expect(fleet.lease(mine).checkpointOwner).toBe('first');
    first.carryOut('deliverBatch');
    fleet.pass(100);
    expect(fleet.lease(mine)).toMatchObject({ leaseOwner: 'second', checkpoint: { sequenceNumber: 7n } });
    expect(settled(first)).toMatchObject([{ outcome: 'handedOff' }]);
  });

  test('has its handler aborted after the grace, is kept from a leader that would take it by force before, and goes to its heir', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    first.held.add('deliverBatch').add('closeShard');
    first.batch(mine, 7);
    handOff(first, [mine]);
    fleet.passUntil(() => first.isOpen('closeShard', mine), 31 * secondMs);
    // Longer than a leader waits for a handoff.
    fleet.pass(5 * failoverMs);
    expect(fleet.lease(mine)).toMatchObject({ leaseOwner: 'first', checkpointOwner: undefined });
    expect(settled(first)).toEqual([]);
    first.carryOut('closeShard', mine);
    expect(fleet.lease(mine).leaseOwner).toBe('second');
    expect(settled(first)).toEqual([{ leaseKey: mine, outcome: 'handedOff', to: 'second' }]);
  });

  test('has gone to its heir although the answer to the write that gave it away was lost, and the heir was not told before', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    first.failing.add('handOffLease');
    first.losing.add('assignLease');
    handOff(first, [mine]);
    fleet.passUntil(() => fleet.lease(mine).leaseOwner === 'second', failoverMs);
    expect(settled(first)).toEqual([]);
    first.losing.delete('assignLease');
    fleet.pass(2 * secondMs);
    expect(settled(first)).toEqual([{ leaseKey: mine, outcome: 'handedOff', to: 'second' }]);
  });

  test('is not balanced back to the worker that handed it off, which gets another one in its place', () => {
    const { fleet, first, mine } = fleetOf(2, 'second');
    const since = fleet.now;
    handOff(first, [mine]);
    fleet.passUntil(() => keysOf(first).length === 1 && !keysOf(first).includes(mine), 10 * assignmentMs);
    fleet.pass(5 * assignmentMs);
    expect(fleet.lease(mine).leaseOwner).toBe('second');
    expect(
      fleet.of('handOffLease', since).filter(({ effect }) => effect.leaseKey === mine && effect.to === 'first'),
    ).toEqual([]);
  });

  test('goes without having begun where it is just being claimed', () => {
    const { fleet, first } = fleetOf(4, 'second');
    first.held.add('renewLease');
    fleet.put('new', { leaseOwner: 'first' });
    fleet.passUntil(() => first.phase('new') === 'claiming', secondMs);
    handOff(first, ['new']);
    fleet.pass(100);
    first.carryOut('renewLease', 'new');
    expect(settled(first)).toEqual([{ leaseKey: 'new', outcome: 'handedOff', to: 'second' }]);
    expect(
      fleet.of('openShard').filter(({ effect, worker }) => effect.leaseKey === 'new' && worker === 'first'),
    ).toEqual([]);
  });

  test('stays, and is read on, where no other worker is there; nothing is declined then', () => {
    const { fleet, first } = fleetOf(2);
    for (const areAll of [false, true]) {
      handOff(first, keysOf(first), areAll);
      fleet.pass(secondMs);
      expect(
        settled(first)
          .slice(-2)
          .map(({ outcome }) => outcome),
      ).toEqual(['noHeir', 'noHeir']);
      expect(keysOf(first).map((key) => first.phase(key))).toEqual(['processing', 'processing']);
      expect(first.view.declines).toBeUndefined();
      expect(fleet.table.workers.get('first')?.declines).toBeUndefined();
    }
  });

  test('that one who is alone keeps is not declined, whatever other words come before the look, or during it', () => {
    const { fleet, first, mine } = fleetOf(2);
    const all = keysOf(first);
    first.held.add('reportWorker');
    handOff(first, all, true);
    handOff(first, [mine]);
    first.held.delete('reportWorker');
    fleet.pass(2 * secondMs);
    expect(settled(first).map(({ outcome }) => outcome)).toEqual(['underWay', 'noHeir', 'noHeir']);
    expect(first.view.declines).toBeUndefined();
    first.held.add('readTable');
    handOff(first, all);
    fleet.pass(2 * secondMs);
    handOff(first, all, true);
    expect(first.view.declines).toBe('all');
    first.held.delete('readTable');
    first.carryOut('readTable');
    fleet.pass(secondMs);
    expect(
      settled(first)
        .slice(3)
        .map(({ outcome }) => outcome),
    ).toEqual(['underWay', 'underWay', 'noHeir', 'noHeir']);
    expect(first.view.declines).toBeUndefined();
  });

  test('is declined for as long as its own word says, not for another one’s that comes before the look', () => {
    const { fleet, first } = fleetOf(4, 'second');
    const [one = '', other = ''] = keysOf(first);
    first.held.add('reportWorker');
    handOff(first, [one], false, 20 * secondMs);
    handOff(first, [other], false, 60 * secondMs);
    first.held.delete('reportWorker');
    fleet.pass(secondMs);
    expect(first.view.declines).toEqual([one, other]);
    fleet.pass(20 * secondMs);
    expect(first.view.declines).toEqual([other]);
  });

  test('stays where the table cannot be read; a metric row that cannot be written is waited for no longer than a second', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    first.failing.add('readTable').add('reportWorker');
    handOff(first, [mine]);
    fleet.pass(secondMs);
    expect(settled(first)).toEqual([{ leaseKey: mine, outcome: 'noHeir', to: undefined }]);
    first.failing.delete('readTable');
    handOff(first, [mine]);
    fleet.pass(2 * secondMs);
    expect(settled(first).at(-1)).toEqual({ leaseKey: mine, outcome: 'handedOff', to: 'second' });
  });

  test('that comes back all the same, as from a Java leader, is taken up, told of, and declined no longer', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    handOff(first, [mine]);
    fleet.pass(secondMs);
    const { leaseKey, leaseOwner } = fleet.lease(mine);
    fleet.table.apply({ kind: 'handOffLease', leaseKey, from: leaseOwner ?? '', to: 'first' });
    fleet.pass(failoverMs);
    expect(first.phase(mine)).toBe('processing');
    expect(first.notices).toContainEqual({ kind: 'handedBack', leaseKey: mine });
    expect(fleet.table.workers.get('first')?.declines).toBeUndefined();
  });

  test('is answered at once where it is not this worker’s, has ended, or is under way', () => {
    const { fleet, first, rest, mine } = fleetOf(4, 'second');
    const [second] = rest;
    handOff(first, [mine, mine, second === undefined ? '' : (keysOf(second)[0] ?? '')]);
    expect(settled(first).map(({ outcome }) => outcome)).toEqual(['underWay', 'notHeld']);
    fleet.pass(secondMs);
    const [last = ''] = keysOf(first);
    first.end(last);
    fleet.passUntil(() => first.phase(last) === 'ended', failoverMs);
    handOff(first, [last]);
    expect(settled(first).at(-1)).toEqual({ leaseKey: last, outcome: 'ended', to: undefined });
  });

  test('goes with the others when the worker stops meanwhile, and that is answered', () => {
    const { fleet, first, mine } = fleetOf(4, 'second');
    first.held.add('readTable');
    handOff(first, [mine]);
    first.stop();
    expect(settled(first)).toEqual([{ leaseKey: mine, outcome: 'leaseLost', to: undefined }]);
    first.held.clear();
    while (first.isOpen('readTable')) first.carryOut('readTable');
    fleet.pass(3 * secondMs);
    expect(first.worker.stopped).toBe(true);
    expect(fleet.counts()).toEqual({ second: 4 });
  });
});

describe('all leases of a worker that is drained', () => {
  test('go to the others, and no further one comes while another worker has room: it says so as one that measures nothing, which a Java leader heeds', () => {
    const { fleet, first, rest } = fleetOf(6, 'second', 'third');
    const since = fleet.now;
    handOff(first, keysOf(first), true);
    fleet.passUntil(() => first.view.leases.length === 0, failoverMs);
    const row = fleet.table.workers.get('first');
    expect(row).toMatchObject({ declines: 'all', utilization: { stats: { C: [-1] }, operatingRange: { C: [100] } } });
    fleet.pass(5 * assignmentMs);
    expect(fleet.counts()).toEqual({ second: 3, third: 3 });
    rest[0]?.crash();
    fleet.passUntil(() => fleet.counts()['third'] === 6, 12 * assignmentMs);
    // Nobody else is left: read by who wants no more rather than by nobody.
    rest[1]?.crash();
    fleet.passUntil(() => first.view.leases.length === 6, 12 * assignmentMs);
    expect(fleet.of('assignLease', since).length).toBeGreaterThan(0);
  });

  test.each(['accept', 'the time'] as const)('come back by %s', (how) => {
    const { fleet, first } = fleetOf(4, 'second');
    handOff(first, keysOf(first), true);
    fleet.pass(awayMs - 10 * secondMs);
    expect(fleet.counts()).toEqual({ second: 4 });
    if (how === 'accept') {
      first.tell({ kind: 'accept', leaseKeys: undefined });
      expect(fleet.table.workers.get('first')?.declines).toBeUndefined();
    } else fleet.pass(10 * secondMs);
    fleet.passUntil(() => first.view.leases.length === 2, 3 * assignmentMs);
  });
});

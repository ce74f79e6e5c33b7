// What a worker makes of a lease that somebody else wrote in its name: freed and given back by a leader, or renewed by a second process
// under the same worker id. The KCL can't tell either from a renewal of its own (DynamoDBLeaseRenewer, renewLease).
import { describe, expect, test } from 'vitest';
import { type Fleet, failoverMs, lone, type Member, secondMs } from './fleet.ts';

const madeUp = { workerIdLookIntervalMs: Number.POSITIVE_INFINITY };

function changeRow(fleet: Fleet, writeCount: number): void {
  const lease = fleet.lease('a');
  fleet.put('a', { ...lease, leaseCounter: lease.leaseCounter + writeCount });
}

function tenures(me: Member): number[] {
  return me.notices.flatMap((notice) => (notice.kind === 'leaseBegun' ? [notice.tenure] : []));
}

function rivals(me: Member): string[] {
  return me.notices.flatMap((notice) => (notice.kind === 'workerIdInUse' ? [notice.how] : []));
}

describe('a lease that is freed by hand and given back before its owner looks', () => {
  test.each([
    ['was made up, at once', madeUp, secondMs],
    [
      'was given, once no other process has renewed it in a period and a quarter',
      {},
      (failoverMs * 1.25) / 3 + secondMs,
    ],
  ])('is begun anew under an id that %s, as often as that may be', (_, options, withinMs) => {
    const { fleet, me } = lone(options);
    for (let round = 2; round <= 12; round += 1) {
      changeRow(fleet, 2);
      const begun = tenures(me).length;
      // Its next renewal is refused first.
      fleet.passUntil(() => tenures(me).length > begun, failoverMs / 3 + withinMs);
    }
    expect(tenures(me)).toHaveLength(12);
    expect(me.notices).toContainEqual(expect.objectContaining({ loss: { how: 'ownId' } }));
    expect(rivals(me)).toEqual([]);
  });
});

describe('a second process that renews leases under the id', () => {
  test.each([
    ['at rest', false],
    ['with the handler of the old tenure still at work', true],
  ])('is found within a failover time, %s', (_, isBusy) => {
    const { fleet, me } = lone();
    if (isBusy) {
      me.held.add('closeShard');
      fleet.pass(secondMs);
    }
    changeRow(fleet, 1);
    fleet.every(failoverMs / 3, () => changeRow(fleet, 1));
    fleet.passUntil(() => rivals(me).length > 0, failoverMs);
    expect([rivals(me), tenures(me)]).toEqual([['shares'], [1]]);
  });

  test('is none under an id that was made up for this one', () => {
    const { fleet, me } = lone(madeUp);
    for (let round = 0; round < 30; round += 1) {
      changeRow(fleet, 1);
      fleet.pass(secondMs);
    }
    expect(rivals(me)).toEqual([]);
  });
});

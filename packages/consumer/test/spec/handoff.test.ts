// The graceful handoff, both sides (KCL LeaseAssignmentManager, LeaseGracefulShutdownHandler, DynamoDBLeaseDiscoverer): the leader
// names the heir, the old owner finishes and gives the lease to it, the heir begins.
import { describe, expect, test } from 'vitest';
import { Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

const handoffTimeoutMs = 30 * secondMs;

/** `from` holds the lease of shard a, `heir` is there, and a leader of another kind begins the handoff. */
function handingOff(): { readonly fleet: Fleet; readonly from: Member; readonly heir: Member } {
  const fleet = new Fleet();
  fleet.shards = [shardOf('a')];
  // A leader that never comes past again: what follows happens without one.
  fleet.table.leader = { owner: 'java', version: 'v', leaseDurationMs: 3600 * secondMs };
  fleet.put('a', { leaseOwner: 'from' });
  const from = fleet.start('from');
  const heir = fleet.start('heir');
  fleet.pass(100);
  fleet.table.apply({ kind: 'handOffLease', leaseKey: 'a', from: 'from', to: 'heir' });
  return { fleet, from, heir };
}

function learn({ fleet, from }: { readonly fleet: Fleet; readonly from: Member }): void {
  fleet.passUntil(() => from.phase('a') !== 'processing', failoverMs);
}

describe('the old owner', () => {
  test('learns of the handoff from its next renewal, within a third of failoverTimeMs, without looking at the table for it', () => {
    const scene = handingOff();
    scene.from.held.add('drainShard');
    const took = scene.fleet.passUntil(() => scene.from.isOpen('drainShard'), failoverMs);
    expect(took).toBeLessThanOrEqual(failoverMs / 3);
  });

  test('learns of it from a checkpoint just as well, since one stands for a renewal', () => {
    const { fleet, from } = handingOff();
    from.held.add('drainShard');
    from.batch('a', 7);
    expect(fleet.of('checkpointLease')).toHaveLength(1);
    expect(from.isOpen('drainShard')).toBe(true);
    expect(fleet.of('renewLease', fleet.now)).toEqual([]);
  });

  test('lets the running handler return, calls shutdownRequested, writes its last checkpoint, gives the lease away, then says leaseLost', () => {
    const { fleet, from } = handingOff();
    from.held.add('deliverBatch').add('drainShard').add('closeShard');
    from.batch('a', 7);
    fleet.pass(failoverMs / 2);
    expect(from.isOpen('drainShard')).toBe(false);
    from.carryOut('deliverBatch');
    expect(from.isOpen('drainShard')).toBe(true);
    expect(from.isOpen('closeShard')).toBe(false);
    from.done('drainShard', undefined);
    expect(from.open('closeShard').reason).toBe('handedOff');
    expect(fleet.lease('a')).toMatchObject({ checkpointOwner: 'from', checkpoint: { sequenceNumber: 7n } });
    from.done('closeShard', undefined);
    expect(fleet.lease('a')).toMatchObject({ leaseOwner: 'heir', checkpointOwner: undefined });
  });

  test('goes on renewing and checkpointing meanwhile', () => {
    const { fleet, from } = handingOff();
    from.held.add('drainShard');
    learn({ fleet, from });
    const { leaseCounter } = fleet.lease('a');
    fleet.pass(failoverMs);
    expect(fleet.lease('a').leaseCounter).toBeGreaterThanOrEqual(leaseCounter + 2);
    expect(from.view.leases[0]).toMatchObject({ fresh: true, handingOffTo: 'heir' });
  });

  test('completes it on condition of both owners and of its own counter; KCL: of the owners alone', () => {
    const scene = handingOff();
    learn(scene);
    const [completion] = scene.fleet.of('assignLease');
    const before = { seenOwner: 'heir', seenCheckpointOwner: 'from', newOwner: 'heir' };
    expect(completion?.effect).toMatchObject({ ...before, seenCounter: expect.any(Number) });
  });

  test('that still waits for parents or was not opened gives the lease away without a word to the handler', () => {
    const fleet = new Fleet();
    fleet.table.leader = { owner: 'java', version: 'v', leaseDurationMs: 3600 * secondMs };
    fleet.put('p', { leaseOwner: 'java' });
    fleet.put('a', { leaseOwner: 'from', parentShardIds: ['p'] });
    const from = fleet.start('from');
    expect(from.phase('a')).toBe('waitingForParents');
    fleet.table.apply({ kind: 'handOffLease', leaseKey: 'a', from: 'from', to: 'java' });
    fleet.passUntil(() => fleet.lease('a').checkpointOwner === undefined, failoverMs);
    expect(fleet.lease('a').leaseOwner).toBe('java');
    expect(fleet.of('drainShard')).toEqual([]);
  });

  test('whose completion lingers changes nothing any more once the lease had another holder', () => {
    const { fleet, from } = handingOff();
    from.held.add('assignLease');
    learn({ fleet, from });
    const lingering = from.open('assignLease');
    // The leader ended the handoff, the heir held the lease, and it is on its way back to `from` and on to the heir again.
    const counter = fleet.lease('a').leaseCounter;
    fleet.put('a', { leaseOwner: 'heir', checkpointOwner: 'from', leaseCounter: counter + 5 });
    expect(fleet.table.apply(lingering)).toMatchObject({ applied: false });
    expect(fleet.lease('a').checkpointOwner).toBe('from');
  });
});

describe('the heir', () => {
  test('does not touch the lease while the old owner is still its checkpointOwner', () => {
    const { fleet, from, heir } = handingOff();
    from.held.add('drainShard');
    fleet.pass(2 * failoverMs);
    expect(heir.phase('a')).toBeUndefined();
    expect(fleet.asked.filter(({ worker, effect }) => worker === 'heir' && effect.kind === 'renewLease')).toEqual([]);
  });

  test('finds it within leaseDiscoveryIntervalMs, 500 ms, of its completion; KCL: within 9,975 ms', () => {
    const { fleet, from, heir } = handingOff();
    from.held.add('drainShard');
    fleet.pass(failoverMs);
    from.done('drainShard', undefined);
    expect(fleet.lease('a').checkpointOwner).toBeUndefined();
    expect(fleet.passUntil(() => heir.phase('a') === 'processing', failoverMs)).toBeLessThanOrEqual(500);
  });

  test('begins with a renewal of its own, and opens the shard at the last checkpoint once that was applied; KCL: takes it up as it is, with no write', () => {
    const { fleet, from, heir } = handingOff();
    from.batch('a', 7);
    heir.held.add('renewLease');
    fleet.passUntil(() => heir.isOpen('renewLease'), failoverMs);
    expect(heir.phase('a')).toBe('claiming');
    const { leaseCounter } = fleet.lease('a');
    heir.carryOut('renewLease');
    expect(fleet.lease('a').leaseCounter).toBe(leaseCounter + 1);
    const opened = fleet.of('openShard').filter(({ worker }) => worker === 'heir');
    expect(opened).toMatchObject([{ effect: { checkpoint: { sequenceNumber: 7n } } }]);
  });

  test('whose first renewal is refused delivers nothing', () => {
    const { fleet, from, heir } = handingOff();
    heir.held.add('renewLease');
    from.batch('a', 7);
    fleet.passUntil(() => heir.isOpen('renewLease'), failoverMs);
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'third', leaseCounter: 50 });
    heir.carryOut('renewLease');
    expect(fleet.asked.filter(({ worker, effect }) => worker === 'heir' && effect.kind === 'openShard')).toEqual([]);
  });
});

describe('the leader', () => {
  /** One of ours leads; `old` of another kind has all four leases, and then ours may have half of them. */
  function leading(leaseAssignmentIntervalMs = 2 * failoverMs): {
    readonly fleet: Fleet;
    readonly old: { silence(): void };
  } {
    const fleet = new Fleet();
    fleet.shards = ['a', 'b', 'c', 'd'].map((id) => shardOf(id));
    for (const { shardId } of fleet.shards) fleet.put(shardId, { leaseOwner: 'old' });
    const old = fleet.other('old');
    fleet.start('lead', { leaseAssignmentIntervalMs });
    return { fleet, old };
  }
  const handingOver = (fleet: Fleet) => [...fleet.table.leases.values()].filter((it) => it.checkpointOwner === 'old');

  test('begins a handoff of a live lease instead of taking it', () => {
    const { fleet } = leading();
    fleet.pass(100);
    expect(handingOver(fleet)).toHaveLength(2);
    expect(fleet.of('assignLease')).toEqual([]);
  });

  test('leaves a lease in a handoff alone until gracefulLeaseHandoffTimeoutMs and failoverTimeMs have passed, then gives it to the heir although the old owner renews', () => {
    const { fleet } = leading(secondMs);
    const begunAt = fleet.now;
    fleet.passUntil(() => handingOver(fleet).length === 0, 10 * failoverMs);
    const took = fleet.now - begunAt;
    // It counts from its first sight of the handoff, which is the run after the one that began it.
    expect(took).toBeGreaterThan(handoffTimeoutMs + failoverMs);
    expect(took).toBeLessThanOrEqual(handoffTimeoutMs + failoverMs + 3 * secondMs);
    expect(fleet.counts()).toEqual({ old: 2, lead: 2 });
    // Its counter moves all the time: that would never match.
    expect(fleet.of('assignLease').map(({ effect }) => effect.seenCounter)).toEqual([undefined, undefined]);
  });

  test('ends the handoff of an old owner that died as soon as the lease has expired', () => {
    const { fleet, old } = leading();
    fleet.pass(secondMs);
    old.silence();
    const expired = () => handingOver(fleet).length === 0;
    expect(fleet.passUntil(expired, handoffTimeoutMs)).toBeLessThanOrEqual(failoverMs + 2 * failoverMs + 3 * secondMs);
  });
});

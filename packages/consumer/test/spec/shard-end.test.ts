// A shard from the wait for its parents to its end (KCL BlockOnParentShardTask, ConsumerStates, ProcessTask, ShutdownTask), by the
// effects that the core asks for and the rows that they leave.
import { parseCheckpoint } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../src/coordination/lease.ts';
import { childOf, Fleet, failoverMs, lone, type Member, ranges, secondMs, shardOf } from './fleet.ts';

const ended = { sequenceNumber: 'SHARD_END', subSequenceNumber: 0 } as const;
const parentPollMs = 2 * secondMs;
const { low, high } = ranges;

describe('a lease with parents', () => {
  /** `me` has the lease of c, whose parents are p and q. */
  function waiting(
    parents: Readonly<Record<string, Partial<Lease>>>,
    own: Partial<Lease> = {},
  ): { readonly fleet: Fleet; readonly me: Member } {
    const fleet = new Fleet();
    fleet.table.leader = { owner: 'java', version: 'v', leaseDurationMs: 3600 * secondMs };
    fleet.put('c', { leaseOwner: 'me', parentShardIds: ['p', 'q'], ...own });
    for (const [key, fields] of Object.entries(parents)) fleet.put(key, { leaseOwner: 'java', ...fields });
    return { fleet, me: fleet.start('me') };
  }

  test.each([
    ['are absent', {}],
    ['are at SHARD_END', { p: { checkpoint: ended }, q: { checkpoint: ended } }],
    ['are absent or at SHARD_END', { p: { checkpoint: ended } }],
  ])('is opened when all of them %s', (_, parents) => {
    expect(waiting(parents).me.phase('c')).toBe('processing');
  });

  test('waits while one of them is unfinished, is renewed meanwhile, and says for whom it waits', () => {
    const { fleet, me } = waiting({ p: { checkpoint: ended }, q: {} });
    fleet.pass(5 * 60 * secondMs);
    expect(me.phase('c')).toBe('waitingForParents');
    expect(fleet.of('openShard')).toEqual([]);
    expect(fleet.lease('c').leaseCounter).toBeGreaterThan(80);
    expect(me.notices).toContainEqual({ kind: 'waitingForParents', leaseKey: 'c', parents: ['q'] });
  });

  test('at a record was begun, and waits for nobody: its parents had ended then, or are none in this stream; KCL: looks again', () => {
    const { fleet, me } = waiting({ p: {}, q: {} }, { checkpoint: parseCheckpoint('7') });
    expect(me.phase('c')).toBe('processing');
    expect(fleet.of('readLeases')).toEqual([]);
  });

  test('looks for their end every parentShardPollIntervalMs, 2 s; KCL: 10 s', () => {
    const { fleet, me } = waiting({ q: {} });
    fleet.pass(parentPollMs + 1);
    fleet.put('q', { checkpoint: ended });
    expect(fleet.passUntil(() => me.phase('c') === 'processing', failoverMs)).toBeLessThanOrEqual(parentPollMs);
    const looks = fleet.of('readLeases').map(({ at }) => at - 1_000_000);
    expect(looks).toEqual([0, 1, 2].map((n) => n * parentPollMs));
  });

  test('looks for the parents of its own stream, by their composite keys', () => {
    const streamId = '123456789012:orders:1700000000';
    const fleet = new Fleet();
    fleet.table.leader = { owner: 'java', version: 'v', leaseDurationMs: 3600 * secondMs };
    fleet.put(`${streamId}:c`, { leaseOwner: 'me', streamId, shardId: 'c', parentShardIds: ['p'] });
    fleet.start('me');
    expect(fleet.of('readLeases')[0]?.effect.leaseKeys).toEqual([`${streamId}:p`]);
  });
});

describe('a handler', () => {
  test('has one batch of a shard at a time', () => {
    const { fleet, me } = lone();
    me.held.add('deliverBatch');
    me.batch('a', 7);
    me.batch('a', 9);
    expect(fleet.of('deliverBatch')).toHaveLength(1);
    me.carryOut('deliverBatch');
    expect(fleet.of('deliverBatch').map(({ effect }) => effect.batchId)).toEqual([7, 9]);
  });

  test('that throws is given the same batch again, for ever, and nothing is checkpointed past it; KCL: logs it and goes on with the next batch', () => {
    const { fleet, me } = lone();
    me.failing.add('deliverBatch');
    me.batch('a', 7);
    me.batch('a', 9);
    fleet.pass(10 * 60 * secondMs);
    const batches = fleet.of('deliverBatch').map(({ effect }) => effect.batchId);
    expect(batches.length).toBeGreaterThan(10);
    expect(new Set(batches)).toEqual(new Set([7]));
    expect(fleet.lease('a').checkpoint.sequenceNumber).toBe('TRIM_HORIZON');
  });

  test('whose initialize throws is asked again, with nothing fetched before', () => {
    const fleet = new Fleet();
    fleet.put('a', { leaseOwner: 'me' });
    const me = fleet.make('me');
    me.failing.add('openShard');
    me.tell({ kind: 'start' });
    fleet.pass(10 * secondMs);
    expect(fleet.of('openShard').length).toBeGreaterThan(2);
    expect(fleet.of('fetchBatch')).toEqual([]);
    me.failing.clear();
    fleet.pass(60 * secondMs);
    expect(me.phase('a')).toBe('processing');
  });

  test('of a lease that was lost still runs: the next tenure of that lease here begins only after it has returned', () => {
    const { fleet, me } = lone();
    me.held.add('closeShard');
    fleet.put('a', { ...fleet.lease('a'), leaseCounter: 100 });
    fleet.pass(failoverMs);
    expect(me.isOpen('closeShard')).toBe(true);
    expect(fleet.of('openShard')).toHaveLength(1);
    me.done('closeShard', undefined);
    fleet.pass(secondMs);
    expect(fleet.of('openShard').map(({ effect }) => effect.tenure)).toEqual([1, 2]);
  });

  test('is not asked anything after its lease was lost, not even to shut down', () => {
    const { fleet } = lone();
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'other', leaseCounter: 100 });
    fleet.pass(failoverMs);
    expect(fleet.of('drainShard')).toEqual([]);
    expect(fleet.of('closeShard').map(({ effect }) => effect.reason)).toEqual(['leaseLost']);
  });
});

describe('the end of a shard', () => {
  const b = childOf('a')('b', low);
  const c = childOf('a')('c', high);
  const order = (fleet: Fleet): string[] =>
    fleet.asked
      .map(({ effect }) => effect.kind)
      .filter((kind) => ['deliverBatch', 'createLease', 'endShard', 'checkpointLease', 'closeShard'].includes(kind));

  test('is the last record handled, then the leases of the children, then shardEnded, then SHARD_END with the children on the own row', () => {
    const { fleet, me } = lone({ checkpointIntervalMs: 0 });
    me.batch('a', 7);
    me.end('a', b, c);
    const last = ['createLease', 'createLease', 'endShard', 'checkpointLease', 'closeShard'];
    expect(order(fleet)).toEqual(['createLease', 'deliverBatch', 'checkpointLease', ...last]);
    expect(fleet.lease('a')).toMatchObject({ checkpoint: ended, childShardIds: ['b', 'c'] });
  });

  test('waits for the handler of the last batch, and then for nothing, not for the time between checkpoints either', () => {
    const { fleet, me } = lone();
    me.held.add('deliverBatch');
    me.batch('a', 7);
    me.end('a', b, c);
    fleet.pass(failoverMs);
    expect(fleet.table.leases.has('b')).toBe(false);
    me.carryOut('deliverBatch');
    expect(fleet.lease('a').checkpoint).toEqual(ended);
  });

  test.each(['TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP'] as const)(
    'begins the children at TRIM_HORIZON, with parents and hash keys; so in an application at %s',
    (position) => {
      const fleet = new Fleet();
      fleet.initialPosition = position;
      fleet.shards = [shardOf('a')];
      const me = fleet.start('me');
      me.end('a', b, c);
      for (const child of [b, c]) {
        expect(fleet.lease(child.shardId)).toMatchObject({
          checkpoint: { sequenceNumber: 'TRIM_HORIZON' },
          parentShardIds: ['a'],
          hashKeyRange: child.hashKeyRange,
        });
      }
    },
  );

  test('leaves a child that has a lease as it is', () => {
    const { fleet, me } = lone();
    fleet.put('b', { leaseOwner: 'java', leaseCounter: 5, checkpoint: parseCheckpoint('3') });
    me.end('a', b);
    expect(fleet.lease('b')).toMatchObject({ leaseOwner: 'java', checkpoint: { sequenceNumber: 3n } });
    expect(fleet.lease('a').checkpoint).toEqual(ended);
  });

  test('of a merge is put off while the other parent has no lease: its child would begin before that parent is read', () => {
    const { fleet, me } = lone();
    me.end('a', childOf('a', 'z')('m'));
    fleet.pass(60 * secondMs);
    expect(fleet.table.leases.has('m')).toBe(false);
    expect(fleet.of('endShard')).toEqual([]);
    fleet.put('z', { leaseOwner: 'java' });
    fleet.pass(parentPollMs);
    expect(fleet.lease('m').parentShardIds).toEqual(['a', 'z']);
    expect(fleet.lease('a').checkpoint).toEqual(ended);
  });

  test('of a merge is never given up by chance while it is put off; KCL: drops the lease once in 30 tries', () => {
    const { fleet, me } = lone();
    me.end('a', childOf('a', 'z')('m'));
    fleet.pass(10 * 60 * secondMs);
    expect(me.view.leases[0]).toMatchObject({ leaseKey: 'a', tenure: 1, phase: 'ending' });
  });

  test('of a shard whose stream is gone has no children and is SHARD_END all the same', () => {
    const { fleet, me } = lone();
    me.end('a');
    expect(fleet.of('endShard')).toHaveLength(1);
    expect(fleet.lease('a')).toMatchObject({ checkpoint: ended, childShardIds: [] });
  });

  test('is vouched for by shardEnded returning; one that throws is asked again, and SHARD_END is not written before; KCL: the handler must checkpoint it', () => {
    const { fleet, me } = lone();
    me.failing.add('endShard');
    me.end('a', b);
    fleet.pass(60 * secondMs);
    expect(fleet.of('endShard').length).toBeGreaterThan(2);
    expect(fleet.lease('a').checkpoint.sequenceNumber).toBe('TRIM_HORIZON');
    me.failing.clear();
    fleet.pass(60 * secondMs);
    expect(fleet.lease('a').checkpoint).toEqual(ended);
  });

  test('is not said to a handler whose lease was lost before', () => {
    const { fleet, me } = lone();
    me.held.add('readLeases');
    me.end('a', b);
    fleet.put('a', { ...fleet.lease('a'), leaseOwner: 'other', leaseCounter: 100 });
    fleet.pass(failoverMs);
    me.carryOut('readLeases');
    expect(fleet.of('endShard')).toEqual([]);
    expect(fleet.of('closeShard').map(({ effect }) => effect.reason)).toEqual(['leaseLost']);
  });

  test('leaves the lease with its holder, who goes on renewing it until it is cleaned up', () => {
    const { fleet, me } = lone();
    me.end('a', b);
    const { leaseCounter } = fleet.lease('a');
    fleet.pass(60 * secondMs);
    expect(fleet.lease('a').leaseOwner).toBe('me');
    expect(fleet.lease('a').leaseCounter).toBeGreaterThan(leaseCounter + 10);
  });
});

test('a lease that is taken up at SHARD_END is not read, and shardEnded is not said again', () => {
  const fleet = new Fleet();
  fleet.put('a', { leaseOwner: 'me', checkpoint: ended, childShardIds: ['b'] });
  fleet.put('b', { leaseOwner: 'java' });
  const me = fleet.start('me');
  fleet.pass(60 * secondMs);
  expect(me.phase('a')).toBe('ended');
  const touched = fleet.asked
    .filter(({ effect }) => 'leaseKey' in effect && effect.leaseKey === 'a')
    .map(({ effect }) => effect.kind);
  expect(new Set(touched)).toEqual(new Set(['renewLease']));
});

// An application of several streams that come and go while it runs (KCL Scheduler, MultiStreamTracker,
// FormerStreamsLeasesDeletionStrategy).
import { describe, expect, test } from 'vitest';
import type { TrackedStream } from '../../src/coordination/effects.ts';
import type { WorkerOptions } from '../../src/coordination/worker.ts';
import { Fleet, failoverMs, type Member, secondMs, shardOf } from './fleet.ts';

const orders = '123456789012:orders:1700000000';
const clicks = '123456789012:clicks:1700000001';
const trimHorizon = (streamId: string): TrackedStream => ({ streamId, initialPosition: 'TRIM_HORIZON' });

function reading(
  streams: readonly TrackedStream[],
  options: Partial<WorkerOptions> = {},
): { fleet: Fleet; me: Member } {
  const fleet = new Fleet();
  fleet.shardsOf.set(orders, [shardOf('a')]);
  fleet.shardsOf.set(clicks, [shardOf('a')]);
  const me = fleet.make('me', options);
  me.tell({ kind: 'streams', streams });
  me.tell({ kind: 'start' });
  return { fleet, me };
}
const keys = (fleet: Fleet): string[] => [...fleet.table.leases.keys()].sort();

test('equal shards of two streams are two leases, with account, name and time of creation before the shard id', () => {
  const { fleet } = reading([trimHorizon(orders), trimHorizon(clicks)]);
  expect(keys(fleet)).toEqual([`${clicks}:a`, `${orders}:a`]);
  expect(fleet.lease(`${orders}:a`)).toMatchObject({ streamId: orders, shardId: 'a', parentShardIds: [] });
});

test('each stream begins at its own initial position', () => {
  const { fleet } = reading([trimHorizon(orders), { streamId: clicks, initialPosition: 'LATEST' }]);
  expect(fleet.lease(`${orders}:a`).checkpoint.sequenceNumber).toBe('TRIM_HORIZON');
  expect(fleet.lease(`${clicks}:a`).checkpoint.sequenceNumber).toBe('LATEST');
});

test('a stream that is added later is listed at once; the table is not empty any more, so all its shards are', () => {
  const { fleet, me } = reading([trimHorizon(orders)]);
  const since = fleet.now + failoverMs;
  fleet.pass(failoverMs);
  me.tell({ kind: 'streams', streams: [trimHorizon(orders), trimHorizon(clicks)] });
  fleet.pass(secondMs);
  expect(fleet.of('listShards', since).map(({ effect }) => [effect.streamId, effect.filter])).toEqual([
    [clicks, 'all'],
  ]);
  expect(me.phase(`${clicks}:a`)).toBe('processing');
});

describe('a stream that is no longer listed by the application', () => {
  test('keeps its leases for ever, and is read on, unless formerStreamsWaitMs says otherwise', () => {
    const { fleet, me } = reading([trimHorizon(orders), trimHorizon(clicks)]);
    me.tell({ kind: 'streams', streams: [trimHorizon(orders)] });
    fleet.pass(3600 * secondMs);
    expect(keys(fleet)).toContain(`${clicks}:a`);
  });

  test('has them deleted after formerStreamsWaitMs, whatever they are at, and their holders lose them', () => {
    const waitMs = 600 * secondMs;
    const { fleet, me } = reading([trimHorizon(orders), trimHorizon(clicks)], { formerStreamsWaitMs: waitMs });
    me.tell({ kind: 'streams', streams: [trimHorizon(orders)] });
    fleet.pass(waitMs - failoverMs);
    expect(keys(fleet)).toContain(`${clicks}:a`);
    fleet.pass(4 * failoverMs);
    expect(keys(fleet)).toEqual([`${orders}:a`]);
    expect(fleet.of('deleteLease')[0]?.effect.onlyEnded).toBe(false);
    expect(me.phase(`${clicks}:a`)).toBeUndefined();
  });

  test('and comes back in time keeps them, and the time begins anew', () => {
    const waitMs = 600 * secondMs;
    const { fleet, me } = reading([trimHorizon(orders), trimHorizon(clicks)], { formerStreamsWaitMs: waitMs });
    for (let turn = 0; turn < 3; turn += 1) {
      me.tell({ kind: 'streams', streams: [trimHorizon(orders)] });
      fleet.pass(waitMs - failoverMs);
      me.tell({ kind: 'streams', streams: [trimHorizon(orders), trimHorizon(clicks)] });
      fleet.pass(4 * failoverMs);
    }
    expect(keys(fleet)).toContain(`${clicks}:a`);
  });
});

test('leases of an application of one stream mean nothing to one of several: they are neither given out nor cleaned up', () => {
  const { fleet } = reading([trimHorizon(orders)]);
  fleet.put('shardId-000000000000');
  fleet.pass(3600 * secondMs);
  expect(fleet.lease('shardId-000000000000')).toMatchObject({ leaseOwner: undefined, leaseCounter: 0 });
});

test('while one stream cannot be listed, the leases of the others are made and given out all the same', () => {
  const fleet = new Fleet();
  fleet.shardsOf.set(orders, [shardOf('a')]);
  const me = fleet.make('me');
  me.held.add('listShards');
  me.tell({ kind: 'streams', streams: [trimHorizon(orders), trimHorizon(clicks)] });
  me.tell({ kind: 'start' });
  for (let round = 0; round < 5; round += 1) {
    while (me.isOpen('listShards')) {
      if (me.open('listShards').streamId === orders) me.carryOut('listShards');
      else me.fail('listShards');
    }
    fleet.pass(secondMs / 2);
  }
  expect(keys(fleet)).toEqual([`${orders}:a`]);
  expect(me.phase(`${orders}:a`)).toBe('processing');
});

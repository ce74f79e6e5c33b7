import {
  type ExtendedSequenceNumber,
  LATEST,
  MAX_HASH_KEY,
  MIN_HASH_KEY,
  parseCheckpoint,
  TRIM_HORIZON,
} from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lease, newLease } from './lease.ts';
import { type HolderWrite, LeaseHolder, mayClaim } from './lease-holder.ts';

const options = { workerId: 'me', failoverTimeMs: 900, checkpointIntervalMs: 100, retryMs: 10 };
const row: Lease = {
  ...newLease(
    { shardId: 'a', parentShardIds: [], hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY } },
    TRIM_HORIZON,
  ),
  leaseOwner: 'me',
  leaseCounter: 5,
};
const at = (sequenceNumber: number): ExtendedSequenceNumber => parseCheckpoint(String(sequenceNumber));

/** Carries a write out as the table would. */
function applied(write: HolderWrite, lease: Lease): Lease {
  const leaseCounter = lease.leaseCounter + 1;
  return write.kind === 'checkpointLease'
    ? {
        ...lease,
        leaseCounter,
        checkpoint: write.checkpoint ?? lease.checkpoint,
        pendingCheckpoint: write.pendingCheckpoint,
      }
    : { ...lease, leaseCounter };
}

/** A holder whose claim was applied at time 0. */
function claimed(): LeaseHolder {
  const holder = new LeaseHolder(1, row, options);
  const claim = holder.nextWrite(0) as HolderWrite;
  holder.answered(claim, { applied: true, lease: applied(claim, row) }, 3);
  return holder;
}

describe('LeaseHolder', () => {
  test('has the counter that its claim wrote as its fencing token, whatever it writes after that', () => {
    expect(new LeaseHolder(1, row, options).fencingToken).toBe(0);
    const holder = claimed();
    expect(holder.fencingToken).toBe(6);
    for (const now of [400, 800]) {
      holder.vouch(at(now));
      const write = holder.nextWrite(now) as HolderWrite;
      holder.answered(write, { applied: true, lease: applied(write, holder.lease) }, now);
    }
    expect(holder.lease.leaseCounter).toBe(8);
    expect(holder.fencingToken).toBe(6);
  });

  test('takes the counter of the write that is known to be applied, where the answer to its first claim was lost', () => {
    const holder = new LeaseHolder(1, row, options);
    const claim = holder.nextWrite(0) as HolderWrite;
    holder.failed(300);
    const again = holder.nextWrite(310) as HolderWrite;
    // The lost one was applied after all.
    holder.answered(again, { applied: false, lease: applied(claim, row) }, 320);
    expect(holder).toMatchObject({ claimed: false, fencingToken: 0 });
    const third = holder.nextWrite(330) as HolderWrite;
    holder.answered(third, { applied: true, lease: applied(third, holder.lease) }, 340);
    expect(holder).toMatchObject({ claimed: true, fencingToken: 7 });
  });

  test('writes the smoothed throughput with each renewal, once a whole period was measured', () => {
    const holder = new LeaseHolder(1, { ...row, throughputKBps: 8 }, options);
    let lease: Lease = row;
    const written: (number | undefined)[] = [];
    for (const now of [0, 300, 600]) {
      const write = holder.nextWrite(now) as HolderWrite;
      expect(write.kind).toBe('renewLease');
      written.push('throughputKBps' in write ? write.throughputKBps : undefined);
      lease = applied(write, lease);
      holder.answered(write, { applied: true, lease }, now);
      holder.read(300 * 1024);
    }
    // 300 KiB in 0.3 s are 1,000 KB/s: half of it and half of what was before.
    expect(written).toEqual([undefined, 504, 752]);
  });

  test('a checkpoint carries the throughput, too: no renewal is written in that period', () => {
    const holder = claimed();
    holder.read(90 * 1024);
    holder.vouch(at(7));
    const write = holder.nextWrite(600) as HolderWrite;
    expect(write).toMatchObject({ kind: 'checkpointLease', throughputKBps: 150 });
    holder.answered(write, { applied: true, lease: applied(write, holder.lease) }, 610);
    expect(holder.nextWrite(800)).toBeUndefined();
    expect(holder.nextWrite(900)?.kind).toBe('renewLease');
  });

  test('begins with a write of its own and is not fresh before it was applied', () => {
    const holder = new LeaseHolder(1, row, options);
    expect(holder.isFresh(0)).toBe(false);
    expect(holder.nextWrite(0)).toMatchObject({ kind: 'renewLease', leaseCounter: 5, handoffKnown: false });
    expect(holder.claimed).toBe(false);
    expect(claimed().claimed).toBe(true);
  });

  test('is fresh for failoverTimeMs from the start of the last applied write, not from its answer', () => {
    const holder = claimed();
    expect(holder.isFresh(899)).toBe(true);
    expect(holder.isFresh(900)).toBe(false);
  });

  test('renews each third of failoverTimeMs, one write in flight', () => {
    const holder = claimed();
    expect(holder.nextWrite(296)).toBeUndefined();
    expect(holder.deadline()).toBe(297);
    expect(holder.nextWrite(297)).toMatchObject({ kind: 'renewLease', leaseCounter: 6 });
    expect(holder.nextWrite(301)).toBeUndefined();
  });

  test('any number of leases are renewed at 34 times of a period at most, each within the last 32nd of its own', () => {
    const failoverTimeMs = fc.integer({ min: 3_000, max: 60_000 });
    const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { minLength: 200 });
    fc.assert(
      fc.property(failoverTimeMs, fc.nat(1e9), shares, (failoverTimeMs, beginsAt, shares) => {
        const periodMs = failoverTimeMs / 3;
        const dueTimes = new Set<number>();
        const intervals = new Set<number>();
        for (const share of shares) {
          const holder = new LeaseHolder(1, row, { ...options, failoverTimeMs });
          const now = beginsAt + share * periodMs;
          const claim = holder.nextWrite(now) as HolderWrite;
          holder.answered(claim, { applied: true, lease: applied(claim, row) }, now);
          const dueAt = holder.deadline();
          expect(dueAt).toBeLessThanOrEqual(now + periodMs);
          expect(dueAt).toBeGreaterThan(now + periodMs - periodMs / 32);
          dueTimes.add(dueAt);
          // Woken a little late, as by any timer, it stays with the same others.
          const renewal = holder.nextWrite(dueAt + 0.5) as HolderWrite;
          holder.answered(renewal, { applied: true, lease: applied(renewal, row) }, dueAt + 0.5);
          intervals.add(holder.deadline() - dueAt);
        }
        expect(dueTimes.size).toBeLessThanOrEqual(34);
        expect(intervals.size).toBe(1);
      }),
    );
  });

  test('a checkpoint counts as a renewal, the newest position wins', () => {
    const holder = claimed();
    holder.vouch(at(1));
    holder.vouch(at(3));
    holder.vouch(at(2));
    const write = holder.nextWrite(200) as HolderWrite;
    expect(write).toMatchObject({ kind: 'checkpointLease', checkpoint: at(3), leaseCounter: 6 });
    holder.answered(write, { applied: true, lease: applied(write, holder.lease) }, 210);
    expect(holder.nextWrite(494)).toBeUndefined();
    expect(holder.nextWrite(500)).toMatchObject({ kind: 'renewLease', leaseCounter: 7 });
  });

  test('writes checkpoints at most every checkpointIntervalMs, unless hurried', () => {
    const holder = claimed();
    holder.vouch(at(1));
    const first = holder.nextWrite(10) as HolderWrite;
    holder.answered(first, { applied: true, lease: applied(first, holder.lease) }, 12);
    holder.vouch(at(2));
    expect(holder.nextWrite(111)).toBeUndefined();
    holder.hurry();
    expect(holder.nextWrite(111)).toMatchObject({ kind: 'checkpointLease', checkpoint: at(2) });
  });

  test('a checkpoint in a hurry follows at once on the one under way, not checkpointIntervalMs later', () => {
    const holder = claimed();
    holder.vouch(at(1));
    const first = holder.nextWrite(10) as HolderWrite;
    holder.vouch(at(2));
    holder.hurry();
    holder.answered(first, { applied: true, lease: applied(first, holder.lease) }, 12);
    expect(holder.deadline()).toBe(0);
    const second = holder.nextWrite(12) as HolderWrite;
    expect(second).toMatchObject({ kind: 'checkpointLease', checkpoint: at(2) });
    holder.answered(second, { applied: true, lease: applied(second, holder.lease) }, 14);
    holder.vouch(at(3));
    expect(holder.nextWrite(113)).toBeUndefined();
  });

  test('the first tenure at LATEST notes with its claim when it began, and the next ones know', () => {
    const atLatest = { ...row, checkpoint: LATEST };
    const first = new LeaseHolder(1, atLatest, options);
    const claim = first.nextWrite(0) as HolderWrite;
    expect(claim).toMatchObject({ kind: 'renewLease', beginsAtLatest: true });
    first.answered(claim, { applied: true, lease: { ...applied(claim, atLatest), latestSince: 77 } }, 3);
    expect(first.latestSince).toBeUndefined();
    expect(first.nextWrite(300)).toMatchObject({ kind: 'renewLease', beginsAtLatest: false });
    const next = new LeaseHolder(2, { ...atLatest, latestSince: 77 }, options);
    expect(next.latestSince).toBe(77);
    expect(next.nextWrite(0)).toMatchObject({ beginsAtLatest: false });
  });

  test('a renewal that is due carries what waits for the checkpoint interval', () => {
    const holder = new LeaseHolder(1, row, { ...options, checkpointIntervalMs: 500 });
    let lease: Lease = row;
    const written: unknown[] = [];
    for (let now = 0; now <= 1_500; now += 50) {
      if (now > 0) holder.vouch(at(now));
      const write = holder.nextWrite(now);
      if (write === undefined) continue;
      written.push([now, write.kind]);
      lease = applied(write, lease);
      holder.answered(write, { applied: true, lease }, now);
    }
    // The first checkpoint at once, then one each 300 ms, which renewals alone would take, and none beside them.
    const checkpoints = [50, 350, 650, 950, 1_250].map((now) => [now, 'checkpointLease']);
    expect(written).toEqual([[0, 'renewLease'], ...checkpoints]);
  });

  test('what is prepared is written at once when hurried, counts as a renewal, and leaves the checkpoint alone', () => {
    const holder = claimed();
    const pending = { position: at(8), state: Uint8Array.of(1) };
    const revision = holder.prepare(pending);
    holder.hurry();
    const write = holder.nextWrite(200) as HolderWrite;
    expect(write).toMatchObject({ kind: 'checkpointLease', checkpoint: undefined, pendingCheckpoint: pending });
    expect(holder.writtenRevision).toBeLessThan(revision);
    holder.answered(write, { applied: true, lease: applied(write, holder.lease) }, 210);
    expect(holder).toMatchObject({ writtenRevision: revision, position: TRIM_HORIZON, flushed: true });
    expect(holder.nextWrite(494)).toBeUndefined();
  });

  test('sees in the answer to a checkpoint that a handoff has begun, which leaves the counter alone', () => {
    const holder = claimed();
    holder.vouch(at(1));
    const write = holder.nextWrite(200) as HolderWrite;
    const lease = { ...applied(write, holder.lease), leaseOwner: 'other', checkpointOwner: 'me' };
    holder.answered(write, { applied: true, lease }, 210);
    expect(holder.successor).toBe('other');
  });

  test('a write whose answer was lost is repeated with the same counter; the refusal tells that it had been applied', () => {
    const holder = claimed();
    holder.vouch(at(4));
    const lost = holder.nextWrite(50) as HolderWrite;
    const current = applied(lost, holder.lease);
    holder.failed(350);
    holder.vouch(at(9));
    expect(holder.nextWrite(355)).toBeUndefined();
    const again = holder.nextWrite(360) as HolderWrite;
    expect(again).toMatchObject({ kind: 'checkpointLease', leaseCounter: 6, checkpoint: at(9) });
    holder.answered(again, { applied: false, lease: current }, 362);
    expect(holder.gone).toBeUndefined();
    expect(holder.lease.checkpoint).toEqual(at(4));
    expect(holder.nextWrite(363)).toMatchObject({ kind: 'checkpointLease', leaseCounter: 7, checkpoint: at(9) });
  });

  test.each([
    ['another owner', { leaseOwner: 'other', leaseCounter: 7 }],
    ['a counter two ahead', { leaseCounter: 8 }],
    ['a counter behind', { leaseCounter: 2 }],
    ['no owner', { leaseOwner: undefined, leaseCounter: 7 }],
    ['a handoff between others', { leaseOwner: 'me', checkpointOwner: 'other', leaseCounter: 6 }],
    ['a handoff to oneself', { leaseOwner: 'me', checkpointOwner: 'me', leaseCounter: 6 }],
  ])('a refusal that shows %s means that the lease is lost', (_, change) => {
    const holder = claimed();
    const write = holder.nextWrite(300) as HolderWrite;
    holder.answered(write, { applied: false, lease: { ...holder.lease, ...change } }, 301);
    expect(holder.gone).toBe('lost');
    expect(holder.nextWrite(10_000)).toBeUndefined();
  });

  test('a refusal without a row means that the lease is lost', () => {
    const holder = claimed();
    holder.answered(holder.nextWrite(300) as HolderWrite, { applied: false, lease: undefined }, 301);
    expect(holder.gone).toBe('lost');
  });

  test('learns of a handoff from a refused renewal, goes on renewing, and completes it on release (KCL 3.6)', () => {
    const holder = claimed();
    const renewal = holder.nextWrite(300) as HolderWrite;
    const handedOff = { ...holder.lease, leaseOwner: 'other', checkpointOwner: 'me' };
    holder.answered(renewal, { applied: false, lease: handedOff }, 301);
    expect(holder.gone).toBeUndefined();
    expect(holder.successor).toBe('other');
    expect(holder.nextWrite(301)).toMatchObject({ kind: 'renewLease', handoffKnown: true });
    holder.failed(302);
    holder.vouch(at(8));
    holder.release();
    const last = holder.nextWrite(320) as HolderWrite;
    expect(last).toMatchObject({ kind: 'checkpointLease', checkpoint: at(8) });
    holder.answered(last, { applied: true, lease: applied(last, holder.lease) }, 321);
    const assign = holder.nextWrite(321) as HolderWrite;
    expect(assign).toMatchObject({
      kind: 'assignLease',
      seenOwner: 'other',
      seenCheckpointOwner: 'me',
      newOwner: 'other',
    });
    holder.answered(assign, { applied: true, lease: { ...holder.lease, checkpointOwner: undefined } }, 322);
    expect(holder.gone).toBe('released');
  });

  test('releases by eviction where nobody waits for the lease', () => {
    const holder = claimed();
    holder.release();
    expect(holder.nextWrite(10)).toMatchObject({ kind: 'evictLease', seenOwner: 'me' });
  });
});

test('a lease may be claimed when it is assigned to the worker and no old owner is finishing', () => {
  expect(mayClaim(row, 'me')).toBe(true);
  expect(mayClaim(row, 'other')).toBe(false);
  expect(mayClaim({ ...row, checkpointOwner: 'old' }, 'me')).toBe(false);
});

describe('LeaseHolder, of a worker that leaves', () => {
  const toldOf = (lease: Lease): Lease => ({ ...lease, leaseOwner: 'heir', checkpointOwner: 'me' });

  test('tells its heir once, on condition of its counter, and goes on renewing', () => {
    const holder = claimed();
    holder.announce('heir');
    expect(holder.deadline()).toBe(0);
    const told = holder.nextWrite(50) as HolderWrite;
    expect(told).toMatchObject({ kind: 'handOffLease', from: 'me', to: 'heir', seenCounter: 6, tenure: 1 });
    holder.answered(told, { applied: true, lease: toldOf(holder.lease) }, 60);
    expect([holder.isAnnounced, holder.successor, holder.claimed]).toEqual([true, 'heir', true]);
    expect(holder.nextWrite(60)).toBeUndefined();
    expect(holder.nextWrite(310)).toMatchObject({ kind: 'renewLease', leaseCounter: 6, handoffKnown: true });
  });

  test('does not count as renewed by telling: to others the lease is as old as before', () => {
    const holder = claimed();
    holder.announce('heir');
    const told = holder.nextWrite(800) as HolderWrite;
    holder.answered(told, { applied: true, lease: toldOf(holder.lease) }, 810);
    expect([holder.isFresh(899), holder.isFresh(900)]).toEqual([true, false]);
  });

  test('that cannot tell releases to its heir all the same', () => {
    const holder = claimed();
    holder.announce('heir');
    holder.nextWrite(50);
    holder.failed(60);
    expect([holder.announces, holder.isAnnounced]).toEqual([false, false]);
    holder.release('heir');
    const given = { kind: 'assignLease', seenOwner: 'me', seenCheckpointOwner: undefined, newOwner: 'heir' };
    expect(holder.nextWrite(60)).toMatchObject({ ...given, seenCounter: 6 });
  });

  test('whose telling was applied and never answered finds that out by its release, and completes the handoff', () => {
    const holder = claimed();
    holder.announce('heir');
    holder.nextWrite(50);
    holder.failed(60);
    holder.release('heir');
    const write = holder.nextWrite(60) as HolderWrite;
    holder.answered(write, { applied: false, lease: toldOf(holder.lease) }, 70);
    const completes = { kind: 'assignLease', seenOwner: 'heir', seenCheckpointOwner: 'me', newOwner: 'heir' };
    expect(holder.nextWrite(70)).toMatchObject({ ...completes, seenCounter: 6 });
  });

  test('keeps in mind that a renewal without an answer may land after its heir was told', () => {
    const holder = claimed();
    expect(holder.nextWrite(300)?.kind).toBe('renewLease');
    holder.failed(310);
    holder.announce('heir');
    const told = holder.nextWrite(320) as HolderWrite;
    holder.answered(told, { applied: true, lease: toldOf(holder.lease) }, 330);
    const again = holder.nextWrite(330) as HolderWrite;
    expect(again).toMatchObject({ kind: 'renewLease', leaseCounter: 6 });
    const landed = { ...toldOf(holder.lease), leaseCounter: 7 };
    holder.answered(again, { applied: false, lease: landed }, 340);
    expect([holder.gone, holder.lease]).toEqual([undefined, landed]);
  });

  test('withdraws what it announced by taking the lease back, which renews it', () => {
    const holder = claimed();
    holder.announce('heir');
    const told = holder.nextWrite(50) as HolderWrite;
    holder.answered(told, { applied: true, lease: toldOf(holder.lease) }, 60);
    holder.withdraw();
    const back = holder.nextWrite(200) as HolderWrite;
    const given = { kind: 'assignLease', seenOwner: 'heir', seenCheckpointOwner: 'me', newOwner: 'me' };
    expect(back).toMatchObject({ ...given, seenCounter: 6 });
    const mine = { ...holder.lease, leaseOwner: 'me', checkpointOwner: undefined, leaseCounter: 7 };
    holder.answered(back, { applied: true, lease: mine }, 210);
    expect([holder.gone, holder.successor, holder.isAnnounced, holder.withdraws]).toEqual([
      undefined,
      undefined,
      false,
      false,
    ]);
    expect([holder.isFresh(200 + 899), holder.isFresh(200 + 900)]).toEqual([true, false]);
    expect(holder.nextWrite(220)).toBeUndefined();
  });
});

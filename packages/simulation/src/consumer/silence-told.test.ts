import { TRIM_HORIZON } from '@shardline/common';
import { expect, test } from 'vitest';
import { type Lease, newLease } from '../../../consumer/dist/coordination/lease.js';
import { SilenceChecker, type SilenceNotice } from './silence-told.ts';

const leaseKey = 'shardId-000000000000';
const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: { start: 0n, end: 1n } };

/** A lease that is written again and again, by whom and when. */
function written(...writes: readonly (readonly [leaseOwner: string, at: number])[]): SilenceChecker {
  const checker = new SilenceChecker();
  let before: Lease | undefined;
  for (const [leaseOwner, at] of writes) {
    const after = {
      ...newLease(shard as never, TRIM_HORIZON),
      leaseOwner,
      leaseCounter: (before?.leaseCounter ?? 0) + 1,
    };
    checker.changed(before, after, at);
    before = after;
  }
  return checker;
}

const notice = (workerId: string, silentMs: number): SilenceNotice => ({
  kind: 'workerSilent',
  workerId,
  silentMs,
  leases: [{ leaseKey, to: 'heir' }],
});

test('who wrote its lease within the time it is called silent for was not silent', () => {
  const checker = written(['a', 0], ['a', 600], ['a', 1200]);
  expect(checker.judge(notice('a', 1050), 1700)).toMatch(/called silent at 1700 for 1050 ms, and wrote .* at 1200/);
  expect(checker.judge(notice('a', 1050), 2250)).toBeUndefined();
});

test('who was silent may be told so after its lease was written again, by itself or by another one, and came back to it', () => {
  expect(written(['a', 0], ['a', 1100]).judge(notice('a', 1050), 1150)).toBeUndefined();
  const returned = written(['a', 0], ['b', 1100], ['a', 1120]);
  expect(returned.judge(notice('a', 1050), 1150)).toBeUndefined();
  expect(returned.judge(notice('b', 1050), 1150)).toMatch(/b is called silent/);
});

test('nobody is silent before the failover time, nor for a lease that it never had', () => {
  const checker = written(['a', 0]);
  expect(checker.judge(notice('a', 1000), 5000)).toBe('a is called silent after 1000 ms');
  expect(checker.judge(notice('b', 1050), 5000)).toMatch(/b is called silent for .*, which it never had/);
});

import { beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { newLease } from '../../../consumer/dist/coordination/lease.js';
import { isBalanced } from './balance.ts';
import { ConsumerCheckers } from './checkers.ts';
import type { TenureRef } from './one-handler.ts';

const leaseKey = 'shardId-000000000000';
const TRIM_HORIZON = { sequenceNumber: 'TRIM_HORIZON', subSequenceNumber: 0 } as const;

function row(shardId: string, leaseOwner: string, checkpointOwner?: string): Lease {
  const shard = { shardId, parentShardIds: [], hashKeyRange: { start: 0n, end: 1n } };
  return { ...newLease(shard as never, TRIM_HORIZON as never), leaseOwner, checkpointOwner };
}

describe('two handlers on a shard', () => {
  const old: TenureRef = { process: 0, tenure: 1 };
  const next: TenureRef = { process: 1, tenure: 1 };
  const batch = [{ sequenceNumber: 1n, subSequenceNumber: 0 }];
  let checkers: ConsumerCheckers;
  let now: Lease | undefined;

  const write = (after: Lease, ref: TenureRef | undefined, at: number): void => {
    checkers.tableChanged(now, after, ref, at);
    now = after;
  };

  beforeEach(() => {
    checkers = new ConsumerCheckers({ failoverTimeMs: 1000, handoffTimeoutMs: 2000, onViolation: () => undefined });
    now = undefined;
    checkers.shardOpened(leaseKey, []);
    checkers.recordPut(leaseKey, { sequenceNumber: 1n, subSequenceNumber: 0 });
    for (const ref of [old, next]) checkers.shardStarted(leaseKey, ref, TRIM_HORIZON);
    write(row(leaseKey, 'a'), undefined, 0);
    write(row(leaseKey, 'a'), old, 10);
    checkers.deliveryStarted(leaseKey, old, batch, 20);
  });

  test('are a violation while the first one is confirmed', () => {
    write(row(leaseKey, 'b'), undefined, 100);
    write(row(leaseKey, 'b'), next, 110);
    checkers.deliveryStarted(leaseKey, next, batch, 120);
    expect(checkers.violations.join()).toContain('two handlers');
  });

  test('are none once the first one has had the time of a handoff, and another request to the second does not begin it anew', () => {
    write(row(leaseKey, 'b', 'a'), undefined, 100);
    write(row(leaseKey, 'b', 'a'), old, 2150);
    write(row(leaseKey, 'c'), undefined, 2200);
    write(row(leaseKey, 'c'), next, 2210);
    write(row(leaseKey, 'b', 'c'), undefined, 2220);
    checkers.deliveryStarted(leaseKey, next, batch, 2230);
    expect(checkers.violations).toEqual([]);
  });

  test('are a violation where it was another tenure that had the time of a handoff', () => {
    write(row(leaseKey, 'b', 'a'), undefined, 100);
    write(row(leaseKey, 'b'), undefined, 200);
    const third: TenureRef = { process: 1, tenure: 2 };
    checkers.shardStarted(leaseKey, third, TRIM_HORIZON);
    write(row(leaseKey, 'b'), third, 210);
    checkers.deliveryEnded(leaseKey, old, batch, false);
    checkers.deliveryStarted(leaseKey, third, batch, 2190);
    write(row(leaseKey, 'b'), third, 2200);
    write(row(leaseKey, 'c'), undefined, 2210);
    checkers.deliveryStarted(leaseKey, next, batch, 2220);
    expect(checkers.violations.join()).toContain('two handlers');
  });
});

describe('a fleet', () => {
  const leases = (most: number, fewest: number): Lease[] => [
    ...Array.from({ length: most }, (_, index) => row(`a-${index}`, 'a')),
    ...Array.from({ length: fewest }, (_, index) => row(`b-${index}`, 'b')),
  ];
  const shared = (most: number, fewest: number, marginPercent: number): boolean =>
    isBalanced(leases(most, fewest), ['a', 'b'], { countsEnded: false, marginPercent });

  test('is balanced where no two workers differ by more than one lease', () => {
    expect(shared(3, 2, 0)).toBe(true);
    expect(shared(12, 10, 0)).toBe(false);
  });

  test('is balanced by utilization where all are within the margin of the average', () => {
    expect(shared(12, 10, 10)).toBe(true);
    expect(shared(11, 9, 10)).toBe(true);
    expect(shared(13, 9, 10)).toBe(false);
  });
});

describe('a tenure that begins at LATEST where another one has begun before', () => {
  const first: TenureRef = { process: 0, tenure: 1 };
  const late: TenureRef = { process: 1, tenure: 1 };
  const records = [1n, 2n, 3n].map((sequenceNumber) => ({ sequenceNumber, subSequenceNumber: 0 }));
  let checkers: ConsumerCheckers;

  beforeEach(() => {
    checkers = new ConsumerCheckers({ failoverTimeMs: 1000, handoffTimeoutMs: 2000, onViolation: () => undefined });
    checkers.shardOpened(leaseKey, []);
    for (const record of records) checkers.recordPut(leaseKey, record);
    checkers.latestBegan(leaseKey, first, records[0]);
    checkers.latestBegan(leaseKey, late, records[2]);
  });

  test('is a violation once it delivers', () => {
    checkers.deliveryStarted(leaseKey, late, records.slice(2), 10);
    expect(checkers.violations).toEqual([expect.stringContaining('began at LATEST anew and skipped record 0 to 2')]);
  });

  test('is none if it delivers nothing, having lost its lease before its first read was answered', () => {
    checkers.deliveryStarted(leaseKey, first, records, 10);
    checkers.deliveryEnded(leaseKey, first, records, true);
    expect(checkers.violations).toEqual([]);
    expect(checkers.drained()).toBe(true);
  });
});

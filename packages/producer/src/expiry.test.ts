import { ChunkMemory, GrowingAggregates } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { loneRecord, packedOf, userRecord } from '../test/records.ts';
import { Expiry } from './expiry.ts';
import type { UserRecord } from './user-record.ts';

test('gives each unsettled record once, when its time is over', () => {
  const expiry = new Expiry();
  const records = [0, 10, 20].map((nowMs) => userRecord({ nowMs, recordTtlMs: 100 }));
  for (const record of records) expiry.put(record);
  expect(expiry.deadline()).toBe(100);
  expect(expiry.expire(99)).toEqual([]);
  expect(expiry.expire(110)).toEqual(records.slice(0, 2));
  expect(expiry.deadline()).toBe(120);
});

test('waits for nothing that has settled', () => {
  const expiry = new Expiry();
  const record = userRecord({ recordTtlMs: 100 });
  expiry.put(record);
  record.settled = true;
  expect(expiry.deadline()).toBe(Number.POSITIVE_INFINITY);
  expect(expiry.expire(1_000)).toEqual([]);
});

test('leaves a record in flight, or undecided, to its answer', () => {
  for (const phase of ['in-flight', 'undecided'] as const) {
    const expiry = new Expiry();
    const kinesisRecord = loneRecord('0', { recordTtlMs: 100 });
    kinesisRecord.phase = phase;
    for (const record of kinesisRecord.records) expiry.put(record);
    expect(expiry.expire(1_000)).toEqual([]);
    expect(expiry.deadline()).toBe(Number.POSITIVE_INFINITY);
  }
});

test('one record that waits long does not keep the settled ones', () => {
  const expiry = new Expiry();
  const stuck = userRecord();
  expiry.put(stuck);
  for (let i = 0; i < 5_000; i++) {
    const record = userRecord();
    expiry.put(record);
    record.settled = true;
  }
  expect(expiry.heldCount).toBeLessThan(1_100);
  expect(expiry.unsettled()).toEqual([stuck]);
});

describe('of records that are packed together', () => {
  function packedAt(times: readonly number[]): ReturnType<typeof packedOf> {
    const records = times.map((nowMs) => userRecord({ nowMs, key: `${nowMs}`, recordTtlMs: 100 }));
    const made = packedOf(records, new GrowingAggregates(new ChunkMemory()));
    made.carrier.seal(undefined);
    return made;
  }

  test('each is given at its own time, among those that are watched by themselves', () => {
    const expiry = new Expiry();
    const lone = [5, 15, 25].map((nowMs) => userRecord({ nowMs, recordTtlMs: 100 }));
    for (const record of lone) expiry.put(record);
    expiry.putTogether(packedAt([10, 20, 30]).packed);
    const expired = (nowMs: number): number[] => {
      const records = expiry.expire(nowMs);
      for (const record of records) record.settled = true;
      return records.map(({ expiresAtMs }) => expiresAtMs);
    };
    expect([expiry.deadline(), expired(112)]).toEqual([105, [105, 110]]);
    expect([expiry.deadline(), expired(122)]).toEqual([115, [115, 120]]);
    expect([expiry.deadline(), expired(200)]).toEqual([125, [125, 130]]);
    expect([expiry.deadline(), expiry.heldCount]).toEqual([Number.POSITIVE_INFINITY, 0]);
  });

  test('what is in flight is left to its answer, and the rest of it watched on', () => {
    const expiry = new Expiry();
    const { carrier, packed } = packedAt([10, 20]);
    expiry.putTogether(packed);
    carrier.phase = 'in-flight';
    expect(expiry.expire(110)).toEqual([]);
    carrier.phase = 'backing-off';
    const [first, second] = carrier.records as [UserRecord, UserRecord];
    first.settled = true;
    expect(expiry.deadline()).toBe(120);
    expect(expiry.expire(120)).toEqual([second]);
  });

  test('nothing is waited for once they have arrived; asked for twice they are watched once', () => {
    const expiry = new Expiry();
    const { packed } = packedAt([10, 20]);
    expiry.putTogether(packed);
    expiry.putTogether(packed);
    expect([expiry.heldCount, expiry.unsettled().length]).toEqual([2, 2]);
    packed.delivered();
    expect(expiry.deadline()).toBe(Number.POSITIVE_INFINITY);
  });
});

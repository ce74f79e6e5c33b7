import { expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import { Expiry } from './expiry.ts';

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

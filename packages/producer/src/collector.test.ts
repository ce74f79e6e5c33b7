import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loneRecord } from '../test/records.ts';
import { type Collection, Collector, SHARD_SHARE_BYTES } from './collector.ts';

const DEFAULTS = { collectionMaxCount: 500, collectionMaxSizeBytes: 5_242_880 };

describe('for any Kinesis records', () => {
  test('no request is over its count or bytes, nothing is lost, order is kept', () => {
    const records = fc.array(fc.record({ bytes: fc.integer({ min: 0, max: 90_000 }), shard: fc.nat(3) }), {
      maxLength: 80,
    });
    const limits = fc.record({
      collectionMaxCount: fc.integer({ min: 1, max: 20 }),
      collectionMaxSizeBytes: fc.integer({ min: 52_224, max: 300_000 }),
    });
    fc.assert(
      fc.property(records, limits, (given, limit) => {
        const collector = new Collector(limit);
        const put = given.map(({ bytes, shard }) => loneRecord(`${shard}`, { data: new Uint8Array(bytes) }));
        const collections: Collection[] = put.flatMap((kinesisRecord) => [...collector.put(kinesisRecord)]);
        collections.push(...collector.flush());
        expect(collections.flatMap((one) => one.kinesisRecords)).toEqual(put);
        for (const { kinesisRecords, sizeBytes } of collections) {
          expect(kinesisRecords.length).toBeGreaterThan(0);
          expect(kinesisRecords.length).toBeLessThanOrEqual(limit.collectionMaxCount);
          expect(sizeBytes).toBe(kinesisRecords.reduce((sum, one) => sum + one.sizeBytes, 0));
          if (kinesisRecords.length > 1) expect(sizeBytes).toBeLessThanOrEqual(limit.collectionMaxSizeBytes);
        }
        expect([collector.count, collector.deadline()]).toEqual([0, Number.POSITIVE_INFINITY]);
      }),
    );
  });
});

test('leaves at 500 entries', () => {
  const collector = new Collector(DEFAULTS);
  for (let i = 0; i < 499; i++) expect(collector.put(loneRecord(`${i}`))).toEqual([]);
  expect(collector.put(loneRecord('last'))[0]?.kinesisRecords).toHaveLength(500);
});

test('leaves once the bytes of any one shard reach 256 KiB (KPL put_records_request.h)', () => {
  const collector = new Collector(DEFAULTS);
  const half = { key: 'k', data: new Uint8Array(SHARD_SHARE_BYTES / 2 - 1) };
  expect(collector.put(loneRecord('a', half))).toEqual([]);
  expect(collector.put(loneRecord('b', half))).toEqual([]);
  expect(collector.put(loneRecord(undefined, half))).toEqual([]);
  expect(collector.put(loneRecord('a', half))[0]?.kinesisRecords).toHaveLength(4);
});

test('leaves when its first Kinesis record is due, or when it is hastened', () => {
  const collector = new Collector(DEFAULTS);
  collector.hasten(0);
  expect(collector.deadline()).toBe(Number.POSITIVE_INFINITY);
  collector.put(loneRecord('a', { nowMs: 10 }));
  collector.put(loneRecord('a', { nowMs: 5 }));
  expect(collector.deadline()).toBe(105);
  expect(collector.expire(104)).toEqual([]);
  collector.hasten(50);
  expect(collector.deadline()).toBe(50);
  expect(collector.expire(50)[0]?.kinesisRecords).toHaveLength(2);
});

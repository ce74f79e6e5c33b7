// What is laid out while records come, against what is encoded when all of them are there.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batches, userRecords, writable } from '../test/user-records.ts';
import { writeDigests } from './aggregate-wire.ts';
import { AggregateWriter } from './aggregate-writer.ts';
import { encodeAggregatedRecord, type UserRecordParts } from './aggregated-record.ts';
import { MAX_HASH_KEY } from './hash-key.ts';

function ended(bytes: Buffer): Buffer {
  writeDigests([bytes]);
  return bytes;
}

test('gives the bytes of the encoder, also when it is used again', () => {
  const writer = new AggregateWriter();
  fc.assert(
    fc.property(batches, (records) => {
      writer.clear();
      for (const record of records) writer.add(writable(record));
      expect(Buffer.compare(ended(writer.finish()), encodeAggregatedRecord(records))).toBe(0);
    }),
  );
});

test('grows with thousands of keys, and of records', () => {
  const records = Array.from({ length: 5_000 }, (_, count) => ({
    partitionKey: `key-${count % 4_000}`,
    data: Buffer.alloc(count % 7, count),
  }));
  records.push({ partitionKey: 'large', data: Buffer.alloc(100_000, 9) });
  const writer = new AggregateWriter();
  for (const record of records) writer.add(writable(record));
  expect(Buffer.compare(ended(writer.finish()), encodeAggregatedRecord(records))).toBe(0);
});

test('knows the exact size after each record, and before', () => {
  fc.assert(
    fc.property(batches, (records) => {
      const writer = new AggregateWriter();
      records.forEach((record, index) => {
        const announced = writer.sizeBytesWith(writable(record));
        writer.add(writable(record));
        expect(announced).toBe(writer.sizeBytes);
        expect(writer.sizeBytes).toBe(encodeAggregatedRecord(records.slice(0, index + 1)).length);
        expect(writer.count).toBe(index + 1);
      });
    }),
  );
});

test('asking changes nothing, whichever record is added then', () => {
  fc.assert(
    fc.property(batches, userRecords, (records, other) => {
      const writer = new AggregateWriter();
      for (const record of records) {
        writer.sizeBytesWith(writable(other));
        writer.add(writable(record));
      }
      expect(writer.sizeBytes).toBe(encodeAggregatedRecord(records).length);
      expect(writer.sizeBytesWith(writable(other))).toBe(encodeAggregatedRecord([...records, other]).length);
    }),
  );
});

test('counts one and the same object anew each time', () => {
  fc.assert(
    fc.property(userRecords, fc.integer({ min: 1, max: 5 }), (record, times) => {
      const writer = new AggregateWriter();
      const same = writable(record);
      for (let i = 1; i <= times; i++) {
        const size = encodeAggregatedRecord(Array.from({ length: i }, () => record)).length;
        expect(writer.sizeBytesWith(same)).toBe(size);
        writer.add(same);
        expect(writer.sizeBytes).toBe(size);
      }
    }),
  );
});

test('is as new after clear, also for a record it was just asked about', () => {
  fc.assert(
    fc.property(batches, batches, (before, after) => {
      const writer = new AggregateWriter();
      for (const record of before) writer.add(writable(record));
      const [first] = after;
      if (first !== undefined) writer.sizeBytesWith(writable(first));
      writer.clear();
      expect([writer.count, writer.sizeBytes]).toEqual([0, 20]);
      for (const record of after) writer.add(writable(record));
      expect(writer.sizeBytes).toBe(encodeAggregatedRecord(after).length);
    }),
  );
});

test('stays exact over every change of varint length', () => {
  for (const dataBytes of [0, 1, 121, 122, 123, 127, 128, 16_375, 16_380, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const records = [{ partitionKey: 'k', explicitHashKey: MAX_HASH_KEY, data: new Uint8Array(dataBytes) }];
    const writer = new AggregateWriter();
    writer.add(writable(records[0] as UserRecordParts));
    expect(writer.sizeBytes).toBe(encodeAggregatedRecord(records).length);
  }
});

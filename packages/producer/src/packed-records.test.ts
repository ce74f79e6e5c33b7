import { ChunkMemory, encodeAggregatedRecord, GrowingAggregates } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packedOf, type RecordOptions, userRecord } from '../test/records.ts';
import { KinesisRecord } from './batch.ts';
import { PackedRecords } from './packed-records.ts';
import type { Settle } from './put.ts';
import type { UserRecord } from './user-record.ts';

const told: Settle[] = [1, 2, 3].map(() => ({ onSuccess: () => undefined, onFailure: () => undefined }));

const contents = fc.array(
  fc.record({
    key: fc.oneof(fc.constantFrom('a', 'ab', 'abc', 'ключ'), fc.string({ minLength: 1, maxLength: 20 })),
    data: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 50, unit: 'grapheme' })),
    nowMs: fc.integer({ min: 0, max: 5 }),
    settle: fc.nat(2),
    stream: fc.constantFrom(undefined, 'by-name', 'by-arn'),
  }),
  { minLength: 2, maxLength: 300 },
);

function recordOf(options: RecordOptions, settle: number, stream: string | undefined): UserRecord {
  const record = userRecord(options);
  record.settle = told[settle] as Settle;
  record.stream = stream;
  return record;
}

function partsOf({ partitionKey, data, sequence, sizeBytes, times, settle, stream }: UserRecord) {
  return { partitionKey, data: Buffer.from(data).toString('hex'), sequence, sizeBytes, times, settle, stream };
}

describe('for any records', () => {
  test('what is sealed is what is encoded, but for its digest, and what is unpacked is what was packed', () => {
    const memory = new ChunkMemory();
    fc.assert(
      fc.property(contents, fc.boolean(), (given, isSealed) => {
        const records = given.map(({ settle, stream, ...rest }) => recordOf(rest, settle, stream));
        const before = records.map(partsOf);
        const bytes = encodeAggregatedRecord(records);
        const { packed } = packedOf(records, new GrowingAggregates(memory));
        expect(records.every(({ isOver }) => isOver)).toBe(true);
        expect(packed.sizeBytes).toBe(bytes.length);
        if (isSealed) {
          const sealed = packed.seal();
          expect(sealed).toHaveLength(bytes.length);
          expect(Buffer.compare(sealed.subarray(0, -16), bytes.subarray(0, -16))).toBe(0);
        }
        const carrier = new KinesisRecord(userRecord(), '0', 1);
        const unpacked = packed.unpack(carrier);
        expect(unpacked.map(partsOf)).toEqual(before);
        expect(unpacked.every((record) => record.carrier === carrier && !record.isOver)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('each is told of with what its put said', () => {
    fc.assert(
      fc.property(contents, (given) => {
        const memory = new ChunkMemory();
        const records = given.map(({ settle, stream, ...rest }) => recordOf(rest, settle, stream));
        const before = records.map(({ sequence, partitionKey, dataBytes, sizeBytes, putAtMs, settle }) => {
          return { sequence, partitionKey, dataBytes, sizeBytes, putAtMs, settle };
        });
        const { packed } = packedOf(records, new GrowingAggregates(memory));
        packed.seal();
        packed.delivered();
        const takenBytes = memory.idleBytes;
        const keys = new Map(
          records.map(({ partitionKey, orderHash, orderHash2 }) => [partitionKey, [orderHash, orderHash2]]),
        );
        const seen: (readonly number[])[] = [];
        packed.forEachKey((...hashes) => seen.push(hashes));
        expect(seen).toEqual([...keys.values()]);
        for (const [index, expected] of before.entries()) {
          const one = packed.at(index);
          expect(one).toMatchObject(expected);
          if (index < before.length - 1) one.letGo();
        }
        expect(memory.idleBytes).toBe(takenBytes);
        packed.at(before.length - 1).letGo();
        expect(memory.idleBytes).toBeGreaterThan(takenBytes);
      }),
      { numRuns: 30 },
    );
  });
});

test('takes no record that has more to it than that it was put', () => {
  const [hashed, keyless, tried] = [userRecord({ explicitHashKey: 1n }), userRecord({ key: null }), userRecord()];
  tried.attempts = [{ delayMs: 1, durationMs: 1, written: 'no' }];
  expect([userRecord(), hashed, keyless, tried].map((record) => PackedRecords.takes(record))).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

test('watched together, each expires at its own time', () => {
  const records = [30, 10, 20].map((nowMs) => userRecord({ nowMs, key: `${nowMs}`, recordTtlMs: 100 }));
  const sequences = records.map(({ sequence }) => sequence);
  const { carrier, packed } = packedOf(records, new GrowingAggregates(new ChunkMemory()));
  carrier.seal(undefined);
  expect(packed.expiresAtMs).toBe(110);
  expect(packed.expire(115).map(({ sequence }) => sequence)).toEqual([sequences[1]]);
  for (const record of carrier.records) if (record.expiresAtMs <= 115) record.settled = true;
  expect([packed.expiresAtMs, packed.isOver, packed.unsettled().length]).toEqual([120, false, 2]);
  expect(packed.expire(200).map(({ sequence }) => sequence)).toEqual([sequences[0], sequences[2]]);
  expect(packed.expiresAtMs).toBe(Number.POSITIVE_INFINITY);
  for (const record of carrier.records) record.settled = true;
  expect(packed.isOver).toBe(true);
});

import { decodeAggregatedRecord, encodeAggregatedRecord } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KinesisRecords } from './backlog.ts';
import type { KinesisRecord } from './deaggregate.ts';
import { DigestsAhead } from './digests-ahead.ts';
import { RecordRows, somePlaces } from './record-rows.ts';

function aggregated(length: number): Buffer {
  const parts = [1, 2].map((number) => ({ partitionKey: `${number}`, data: Buffer.alloc(length, number) }));
  return Buffer.from(encodeAggregatedRecord(parts));
}

const data: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  // Not longer than the frame.
  fc.nat(20).map((length) => aggregated(0).subarray(0, length)),
  fc.nat(3_000).map(aggregated),
  fc.tuple(fc.nat(300), fc.nat(), fc.integer({ min: 1, max: 255 })).map(([length, place, change]) => {
    const bytes = aggregated(length);
    const at = 4 + (place % (bytes.length - 4));
    bytes[at] = (bytes[at] ?? 0) ^ change;
    return bytes;
  }),
);

function made(data: Uint8Array): KinesisRecord {
  const approximateArrivalTimestamp = new Date(0);
  return {
    partitionKey: 'key',
    data,
    sequenceNumber: '1',
    subSequenceNumber: 0,
    approximateArrivalTimestamp,
    aggregated: false,
  };
}

/** Every third one is made already. */
function rowsOf(given: readonly Uint8Array[]): RecordRows {
  const rows = new RecordRows(Buffer.concat([Buffer.from('12'), ...given]));
  let dataAt = 2;
  for (const [index, each] of given.entries()) {
    if (index % 3 === 2) rows.addMade(made(each));
    else rows.add({ ...somePlaces(), dataAt, dataLength: each.length, numberLength: 2 });
    dataAt += each.length;
  }
  return rows;
}

test('says of each record what decoding it alone says, whichever are passed over and whatever was asked about before', () => {
  const digests = new DigestsAhead();
  const asked = fc.tuple(data, fc.boolean());
  fc.assert(
    fc.property(fc.array(asked, { maxLength: 40 }), fc.boolean(), (given, areMade) => {
      const all = given.map(([each]) => each);
      const records: KinesisRecords = areMade ? all.map(made) : rowsOf(all);
      digests.clear();
      for (const [index, [each, isAsked]] of given.entries()) {
        if (!isAsked) continue;
        const { kind } = decodeAggregatedRecord(each);
        const expected = kind === 'plain' ? undefined : kind === 'aggregated';
        expect(digests.at(index, each, records)).toBe(expected);
      }
    }),
  );
});

test('looks no further than eight records at once, and at plain ones not at all', () => {
  const looked: number[] = [];
  const given = Array.from({ length: 30 }, (_, index) => (index < 10 ? Buffer.from('plain') : aggregated(index)));
  const records = rowsOf(given);
  const dataOf = records.dataOf.bind(records);
  records.dataOf = (index) => {
    looked.push(index);
    return dataOf(index);
  };
  const digests = new DigestsAhead();
  const lookedFor = given.map((each, index) => {
    const before = looked.length;
    digests.at(index, each, records);
    return looked.length - before;
  });
  expect(lookedFor).toEqual(given.map((_, index) => ({ 10: 8, 18: 8, 26: 4 })[index] ?? 0));
});

// From Kinesis records to user records: nothing dropped, everything counted.
import {
  encodeAggregatedRecord,
  evenRanges,
  type HashKeyRange,
  hashKeyOf,
  rangeContains,
  type UserRecordParts,
} from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Deaggregated, deaggregate, type KinesisRecord } from './deaggregate.ts';

/** Of what is aggregated, or was to be. */
function takenApart(data: Uint8Array, range?: HashKeyRange): Deaggregated {
  const parts = deaggregate(kinesisRecord(data), range);
  if (parts === undefined) throw new Error('it was taken for a plain record');
  return parts;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

function kinesisRecord(data: Uint8Array): KinesisRecord {
  return {
    partitionKey: 'outer',
    data,
    sequenceNumber: '42',
    subSequenceNumber: 0,
    approximateArrivalTimestamp: new Date(5),
    aggregated: false,
  };
}

const parts = fc.record(
  {
    partitionKey: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
    data: fc.uint8Array({ maxLength: 50 }),
    explicitHashKey: fc.string({ minLength: 1 }).map(hashKeyOf),
  },
  { requiredKeys: ['partitionKey', 'data'] },
);

describe('deaggregate', () => {
  it('gives back what was aggregated, numbered from 0, with the sequence number and time of the whole', () => {
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 30 }), (given) => {
        const { records, corrupt, strayCount } = takenApart(encodeAggregatedRecord(given));
        expect({ corrupt, strayCount }).toEqual({ corrupt: false, strayCount: 0 });
        expect(records.map(({ partitionKey, explicitHashKey }) => ({ partitionKey, explicitHashKey }))).toEqual(
          given.map(({ partitionKey, explicitHashKey }) => ({ partitionKey, explicitHashKey })),
        );
        expect(records.map((record) => Buffer.from(record.data).toString('hex'))).toEqual(
          given.map((record) => Buffer.from(record.data).toString('hex')),
        );
        expect(records.map((record) => record.subSequenceNumber)).toEqual(given.map((_, index) => index));
        for (const record of records) {
          expect(record).toMatchObject({
            sequenceNumber: '42',
            approximateArrivalTimestamp: new Date(5),
            aggregated: true,
          });
        }
      }),
    );
  });

  it('leaves a plain record as it came', () => {
    expect(deaggregate(kinesisRecord(bytes('hello')), undefined)).toBeUndefined();
  });

  it('delivers a corrupt aggregate whole, as one plain record, and says so', () => {
    const data = encodeAggregatedRecord([{ partitionKey: 'a', data: bytes('x') }]);
    data[10] = (data[10] as number) ^ 1;
    const { records, corrupt } = takenApart(data);
    expect(corrupt).toBe(true);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ partitionKey: 'outer', data, aggregated: false, subSequenceNumber: 0 });
  });

  it('does not copy the data', () => {
    const data = encodeAggregatedRecord([{ partitionKey: 'a', data: bytes('x') }]);
    expect(takenApart(data).records[0]?.data.buffer).toBe(data.buffer);
  });

  it('delivers and counts records that belong to another shard, by partition key and by explicit hash key', () => {
    const [low, high] = evenRanges(2) as [HashKeyRange, HashKeyRange];
    const given: UserRecordParts[] = Array.from({ length: 40 }, (_, n) => ({
      partitionKey: `key ${n % 10}`,
      data: bytes('x'),
      ...(n % 4 === 0 && { explicitHashKey: high.end }),
    }));
    const strays = given.filter((it) => !rangeContains(low, it.explicitHashKey ?? hashKeyOf(it.partitionKey)));
    expect(strays.length).toBeGreaterThan(10);
    const { records, strayCount } = takenApart(encodeAggregatedRecord(given), low);
    expect(records).toHaveLength(40);
    expect(strayCount).toBe(strays.length);
  });
});

// The reader of records against cborg, and against the reader of the same answer's JSON: what one reads, the other reads alike.
import { CborError } from '@shardline/common';
import { encode } from 'cborg';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { KinesisRecord } from './deaggregate.ts';
import type { RecordRows } from './record-rows.ts';
import { readCborAnswer } from './records-cbor.ts';
import { splitRecords } from './records-json.ts';

interface Written {
  readonly SequenceNumber: string;
  readonly ApproximateArrivalTimestamp: number;
  readonly Data: Uint8Array;
  readonly PartitionKey: string;
  readonly EncryptionType?: string;
}

const digits = fc.bigInt({ min: 0n, max: 10n ** 56n }).map(String);
const record: fc.Arbitrary<Written> = fc
  .record(
    {
      SequenceNumber: digits,
      ApproximateArrivalTimestamp: fc.integer({ min: 0, max: 2e12 }),
      Data: fc.uint8Array({ maxLength: 700 }),
      PartitionKey: fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/["\\]|[^ -~]/g, '-')),
      EncryptionType: fc.constantFrom('NONE', 'KMS'),
    },
    { requiredKeys: ['SequenceNumber', 'ApproximateArrivalTimestamp', 'Data', 'PartitionKey'] },
  )
  .chain((written) => fc.shuffledSubarray(Object.entries(written), { minLength: Object.keys(written).length }))
  .map((entries) => Object.fromEntries(entries) as unknown as Written);
const rest = fc.record(
  {
    NextShardIterator: fc.string(),
    MillisBehindLatest: fc.nat(),
    ChildShards: fc.array(fc.record({ ShardId: fc.string(), ParentShards: fc.array(fc.string()) }), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);

function madeOf(records: RecordRows): (KinesisRecord | undefined)[] {
  return Array.from({ length: records.length }, (_, index) => records.at(index));
}

/** All records are made, each of them twice. */
function readWhole(body: Buffer): { records: (KinesisRecord | undefined)[]; rest: unknown } {
  const { records, rest: others } = readCborAnswer(body);
  const made = madeOf(records);
  expect(records.byteCount).toBe(made.reduce((sum, each) => sum + (each?.data.length ?? 0), 0));
  expect(made.map((_, index) => records.at(made.length - 1 - index)).reverse()).toEqual(made);
  expect(records.at(made.length)).toBeUndefined();
  for (const index of [...made.keys(), made.length]) expect(records.dataOf(index)).toEqual(records.at(index)?.data);
  return { records: made, rest: others };
}

/** As AWS's CBOR has it: maps and lists until a break, times as milliseconds under tag 1. */
function asAwsWrites(records: readonly Written[], others: object): Buffer {
  const members = (entries: [string, Uint8Array][]): Buffer =>
    Buffer.concat([Buffer.of(0xbf), ...entries.flatMap(([name, value]) => [encode(name), value]), Buffer.of(0xff)]);
  const written = records.map((each) =>
    members(
      Object.entries(each).map(([name, value]) => {
        const isTime = name === 'ApproximateArrivalTimestamp';
        return [name, isTime ? Buffer.concat([Buffer.of(0xc1), encode(value)]) : encode(value)];
      }),
    ),
  );
  const list = Buffer.concat([Buffer.of(0x9f), ...written, Buffer.of(0xff)]);
  return members([
    ['Records', list],
    ...Object.entries(others).map(([name, value]): [string, Uint8Array] => [name, encode(value)]),
  ]);
}

it("records are those of the same answer's JSON, however long maps and lists say they are", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), rest, (records, others) => {
      const inJson = records.map((each) => ({
        ...each,
        Data: Buffer.from(each.Data).toString('base64'),
        ApproximateArrivalTimestamp: each.ApproximateArrivalTimestamp / 1_000,
      }));
      const byJson = splitRecords(Buffer.from(JSON.stringify({ Records: inJson, ...others })));
      const expected = { records: byJson && madeOf(byJson.records), rest: { ...others } };
      expect(readWhole(asAwsWrites(records, others))).toEqual(expected);
      expect(readWhole(Buffer.from(encode({ ...others, Records: records })))).toEqual(expected);
    }),
  );
});

it('an answer that is cut off anywhere is refused', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 3 }), rest, fc.nat(), (records, others, seed) => {
      const bytes = asAwsWrites(records, others);
      expect(() => readCborAnswer(bytes.subarray(0, seed % bytes.length))).toThrow(CborError);
    }),
  );
});

it('an answer with a changed byte is read or refused, and nothing else happens', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      fc.nat({ max: 255 }),
      (records, seed, byte) => {
        const bytes = asAwsWrites(records, { NextShardIterator: 'next' });
        bytes[seed % bytes.length] = byte;
        try {
          readWhole(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CborError);
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

it('members that are null, absent or unknown', () => {
  const answer = (value: unknown): Buffer => Buffer.from(encode(value));
  expect(readWhole(answer({ NextShardIterator: null, Records: null, New: { a: [1] } }))).toEqual({
    records: [],
    rest: { New: { a: [1] } },
  });
  const written = { SequenceNumber: '5', Data: new Uint8Array([1]), PartitionKey: null, New: [{}] };
  const { records } = readWhole(answer({ Records: [written] }));
  expect(records).toEqual([
    {
      partitionKey: '',
      data: new Uint8Array([1]),
      sequenceNumber: '5',
      subSequenceNumber: 0,
      approximateArrivalTimestamp: new Date(0),
      aggregated: false,
    },
  ]);
});

it('records that are written in an unusual way are read as the others, among them', () => {
  const usual = { SequenceNumber: '1', Data: new Uint8Array([1]), PartitionKey: 'key' };
  const written = [usual, { ...usual, PartitionKey: 'Schlüssel' }, { ...usual, PartitionKey: 'k'.repeat(200) }, usual];
  const { records } = readWhole(Buffer.from(encode({ Records: written })));
  expect(records.map((each) => each?.partitionKey)).toEqual(written.map(({ PartitionKey: key }) => key));
  // Bytes in two chunks, which a break ends.
  const chunked = Buffer.concat([
    Buffer.from('a1675265636f72647381a26444617461', 'hex'),
    Buffer.from('5f41014102ff', 'hex'),
    encode('SequenceNumber'),
    encode('7'),
  ]);
  expect(readWhole(chunked).records).toMatchObject([{ data: new Uint8Array([1, 2]), sequenceNumber: '7' }]);
});

it.each<[unknown, string]>([
  [[], 'CBOR: expected a map, got a list at byte 0'],
  [{ Records: [{ SequenceNumber: '1' }] }, 'CBOR: expected a record with Data, got one without'],
  [{ Records: [{ Data: 'AQ==' }] }, 'CBOR: expected bytes, got a text at byte 16'],
  [{ Records: [{ Data: new Uint8Array() }] }, 'CBOR: expected a record with SequenceNumber, got one without'],
  [
    { Records: [{ Data: new Uint8Array(), SequenceNumber: '1x' }] },
    'CBOR: expected a text of digits, got "1x" at byte 32',
  ],
])('%j is refused in words', (value, message) => {
  expect(() => readCborAnswer(Buffer.from(encode(value)))).toThrow(new CborError(message));
});

// The reader of records against JSON.parse: whatever it reads, it reads alike; whatever it does not know, it leaves. Both ways: one by one, and
// with vectors first, as it reads once that pays.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KinesisRecord } from './deaggregate.ts';
import { findOneByOne, splitRecords } from './records-json.ts';
import { VectorReader } from './records-wasm.ts';

interface Written {
  SequenceNumber: string;
  ApproximateArrivalTimestamp: number;
  Data: string;
  PartitionKey: string;
  EncryptionType?: string;
}

/** What the general parser makes of it. */
function byParser(json: string): { records: unknown[]; rest: unknown } {
  const answer = JSON.parse(json) as { Records: Written[] };
  const records = answer.Records.map((record) => ({
    data: [...Buffer.from(record.Data, 'base64')],
    partitionKey: record.PartitionKey,
    sequenceNumber: record.SequenceNumber,
    subSequenceNumber: 0,
    approximateArrivalTimestamp: new Date(Math.round(record.ApproximateArrivalTimestamp * 1000)),
    aggregated: false,
  }));
  return { records, rest: { ...answer, Records: [] } };
}

type Find = NonNullable<Parameters<typeof splitRecords>[1]>;

const reader = VectorReader.make() as VectorReader;
const ways: readonly (readonly [string, Find])[] = [
  ['one by one', findOneByOne],
  ['with vectors', (json, from) => reader.find(json, from) ?? findOneByOne(json, from)],
];

function splitBy(find: Find, json: string): { records: unknown[]; rest: unknown } | undefined {
  const bytes = Buffer.from(json);
  const split = splitRecords(bytes, find);
  // The general parser reads the rest of it, and whoever gathered it uses it again.
  expect(bytes.equals(Buffer.from(json))).toBe(true);
  if (split === undefined) return undefined;
  bytes.fill(0);
  const records = Array.from(
    { length: split.records.length },
    (_, index) => split.records.at(index) as KinesisRecord,
  ).map((record) => ({ ...record, data: [...record.data] }));
  return { records, rest: JSON.parse(Buffer.from(split.rest).toString()) };
}

const digits = fc.bigInt({ min: 0n, max: 10n ** 56n }).map(String);
const record = fc
  .record(
    {
      SequenceNumber: digits,
      ApproximateArrivalTimestamp: fc.oneof(
        fc.integer({ min: 0, max: 2e9 }),
        fc.integer({ min: 0, max: 2e12 }).map((ms) => ms / 1000),
        fc.double({ min: 0, max: 2e9, noNaN: true }),
      ),
      Data: fc
        .oneof(
          { weight: 20, arbitrary: fc.uint8Array({ maxLength: 700 }) },
          { weight: 1, arbitrary: fc.integer({ min: 3_000, max: 9_000 }).map((bytes) => Buffer.alloc(bytes, bytes)) },
        )
        .map((data) => Buffer.from(data).toString('base64')),
      PartitionKey: fc.string({ maxLength: 20, unit: 'grapheme' }),
      EncryptionType: fc.constantFrom('NONE', 'KMS'),
    },
    { requiredKeys: ['SequenceNumber', 'ApproximateArrivalTimestamp', 'Data', 'PartitionKey'] },
  )
  .chain((written) => fc.shuffledSubarray(Object.entries(written), { minLength: Object.keys(written).length }))
  .map((entries) => Object.fromEntries(entries) as unknown as Written);
const member = fc.constantFrom<[string, fc.Arbitrary<unknown>]>(
  ['NextShardIterator', fc.string()],
  ['MillisBehindLatest', fc.nat()],
  ['ContinuationSequenceNumber', digits],
  ['ChildShards', fc.jsonValue()],
);
const answer = fc
  .array(
    member.chain(([name, value]) => fc.tuple(fc.constant(name), value)),
    { maxLength: 4 },
  )
  .chain((others) => fc.tuple(fc.constant(others), fc.array(record, { maxLength: 8 }), fc.nat(others.length)))
  .map(([others, records, at]) => {
    const entries: [string, unknown][] = [...others.slice(0, at), ['Records', records], ...others.slice(at)];
    return JSON.stringify(Object.fromEntries(entries));
  });

describe.each(ways)('splitRecords, %s', (_way, find) => {
  const byUs = (json: string): ReturnType<typeof splitBy> => splitBy(find, json);

  it('reads what JSON.parse reads, or leaves it; plain keys it always reads', () => {
    fc.assert(
      fc.property(answer, (json) => {
        const read = byUs(json);
        const expected = byParser(json);
        const isPlain = expected.records.every((each) =>
          /^[ !#-[\]-~]*$/.test((each as { partitionKey: string }).partitionKey),
        );
        if (isPlain) expect(read).toEqual(expected);
        else if (read !== undefined) expect(read).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it('reads no damaged answer otherwise than JSON.parse does', () => {
    const mutated = fc.tuple(
      answer,
      fc.nat(),
      fc.integer({ min: 0x20, max: 0x7e }),
      fc.constantFrom('replace', 'drop', 'cut'),
    );
    fc.assert(
      fc.property(mutated, ([json, place, char, how]) => {
        const at = place % json.length;
        const damaged =
          how === 'cut'
            ? json.slice(0, at)
            : json.slice(0, at) + (how === 'drop' ? '' : String.fromCharCode(char)) + json.slice(at + 1);
        let read: ReturnType<typeof byUs>;
        let expected: ReturnType<typeof byParser> | undefined;
        try {
          read = byUs(damaged);
        } catch {
          return; // The rest is no JSON: the SDK, which reads it next, says so.
        }
        try {
          expected = byParser(damaged);
        } catch {
          // Damaged for it as well: there is nothing to compare with.
        }
        // Members given twice, and base64 with other characters in it, are the only liberties of the general parser's.
        if (read !== undefined && expected !== undefined) expect(read).toEqual(expected);
      }),
      { numRuns: 5_000 },
    );
  });

  // What is decoded piece by piece, behind a short record (in place) and alone.
  it.each([49_149, 49_150, 49_152, 49_153, 98_304, 150_001, 800_002])(
    'reads data of %d bytes, if all of it is base64',
    (size) => {
      const long = Buffer.from(Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
      const data = long.toString('base64');
      const first = '{"Data":"YQ==","PartitionKey":"k","SequenceNumber":"7"},';
      for (const before of ['', first]) {
        const json = (text: string): string =>
          `{"Records":[${before}{"Data":"${text}","PartitionKey":"k","SequenceNumber":"8"}]}`;
        const read = byUs(json(data))?.records.at(-1) as { data: number[] } | undefined;
        expect(Buffer.from(read?.data ?? []).equals(long)).toBe(true);
        for (const at of [0, 65_532, data.length - 5]) {
          for (const wrong of ['=', '*']) {
            expect(byUs(json(data.slice(0, at) + wrong + data.slice(at + 1)))).toBeUndefined();
          }
        }
      }
    },
  );

  it.each([
    ['an escape in a key', String.raw`{"Records":[{"Data":"YQ==","PartitionKey":"a\"b","SequenceNumber":"1"}]}`],
    ['a key that is not ASCII', '{"Records":[{"Data":"YQ==","PartitionKey":"ä","SequenceNumber":"1"}]}'],
    ['blanks', '{"Records": [{"Data":"YQ==","PartitionKey":"a","SequenceNumber":"1"}]}'],
    ['an unknown member', '{"Records":[{"Data":"YQ==","PartitionKey":"a","SequenceNumber":"1","New":1}]}'],
    [
      'a sequence number that begins with a zero',
      '{"Records":[{"Data":"YQ==","PartitionKey":"a","SequenceNumber":"01"}]}',
    ],
    ['a sequence number that is none', '{"Records":[{"Data":"YQ==","PartitionKey":"a","SequenceNumber":"1x"}]}'],
    ['no data', '{"Records":[{"PartitionKey":"a","SequenceNumber":"1"}]}'],
    ['no records', '{"NextShardIterator":"a"}'],
    ['null', '{"Records":null}'],
    ['no object', '[]'],
    ['nothing', ''],
  ])('leaves %s to the general parser', (_what, json) => {
    expect(byUs(json)).toBeUndefined();
  });

  it('is not misled by a member of the same name further in, nor by its name in a string', () => {
    const json =
      '{"A":{"Records":[1]},"B":"\\"Records\\":[","Records":[{"Data":"YQ==","PartitionKey":"k","SequenceNumber":"7"}]}';
    expect(byUs(json)?.records).toMatchObject([{ sequenceNumber: '7', data: [0x61] }]);
  });
});

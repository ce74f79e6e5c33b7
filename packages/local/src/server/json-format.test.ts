import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cborFormat } from './cbor-format.ts';
import { jsonFormat } from './json-format.ts';
import { Rows, Timestamp, type WireObject } from './wire-format.ts';

test('what is written parses back with JSON.parse, member by member', () => {
  const member = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.constant(null));
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^[A-Z][A-Za-z]{0,10}$/), fc.oneof(member, fc.array(member))),
      (value) => {
        const object = value as WireObject;
        expect(JSON.parse(jsonFormat.serialize(object).toString('utf8'))).toEqual({ ...object });
      },
    ),
  );
});

test('blobs are base64 there and back, whatever view of memory they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 10 }), (bytes, offset) => {
      const view = bytes.subarray(Math.min(offset, bytes.length));
      const { Data } = JSON.parse(jsonFormat.serialize({ Data: view }).toString()) as { Data: string };
      expect(Data).toBe(Buffer.from(view).toString('base64'));
      expect(Buffer.from(jsonFormat.blobOf(Data) ?? [])).toEqual(Buffer.from(view));
    }),
  );
});

test.each(['%%%%', 'eA', 'eA=', '=', 'e===', 'eA==eA==', 'e A=', 'ey+\u00e9'])('%j is no blob', (text) => {
  expect(jsonFormat.blobOf(text)).toBeUndefined();
});

test('times are seconds with a fraction, big numbers are texts, absent members are not written', () => {
  const text = jsonFormat.serialize({
    At: new Timestamp(1_700_000_000_123.9),
    Number: 2n ** 185n,
    Absent: undefined,
    Last: 1,
  });
  expect(text.toString()).toBe(`{"At":1700000000.123,"Number":"${2n ** 185n}","Last":1}`);
  expect(jsonFormat.timestampOf(1_700_000_000.123)).toBe(1_700_000_000_123);
  expect(jsonFormat.timestampOf('2023-11-14')).toBeUndefined();
});

test('rows are written as the list of structures that they stand for, in JSON and in CBOR', () => {
  const row = fc.record({
    a: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
    b: fc.bigInt(),
    at: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 8 }), (list) => {
      const rows = Rows.of(list, {
        A: ({ a }) => a,
        B: ({ b }) => (b % 2n === 0n ? b : undefined),
        At: ({ at }) => new Timestamp(at % 3),
        Data: ({ at }) => Buffer.from(String(at)),
      });
      const structures = list.map(({ a, b, at }) => ({
        A: a,
        B: b % 2n === 0n ? b : undefined,
        At: new Timestamp(at % 3),
        Data: Buffer.from(String(at)),
      }));
      for (const format of [jsonFormat, cborFormat]) {
        expect(format.serialize({ Rows: rows }).toString('hex')).toBe(
          format.serialize({ Rows: structures }).toString('hex'),
        );
      }
      const absent = Rows.of(list, { Nothing: () => undefined });
      expect(jsonFormat.serialize({ absent }).toString()).toBe(JSON.stringify({ absent: list.map(() => ({})) }));
    }),
  );
});

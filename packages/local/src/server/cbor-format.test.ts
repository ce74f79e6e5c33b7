import { decode, Tagged } from 'cborg';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cborFormat } from './cbor-format.ts';
import { Timestamp, type WireObject, type WireValue } from './wire-format.ts';

const leaf: fc.Arbitrary<WireValue> = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 300 }),
  fc.nat().map((ms) => new Timestamp(ms)),
);
const object = fc.letrec<{ object: WireObject; value: WireValue }>((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value'), { maxLength: 40 }), tie('object')),
  object: fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 40 }), tie('value'), { noNullPrototype: true }),
})).object;

test('what is written, another decoder reads, and so does the own one', () => {
  fc.assert(
    fc.property(object, (value) => {
      const bytes = cborFormat.serialize(value);
      const expected = comparable(value);
      // An element of a map must not be called __proto__ in the other decoder.
      fc.pre(!JSON.stringify(expected).includes('"__proto__"'));
      const tags = { 1: (content: () => unknown) => new Timestamp(Number(content())) };
      expect(comparable(decode(bytes, { tags, rejectDuplicateMapKeys: true }))).toEqual(expected);
      expect(comparable(cborFormat.parse(bytes))).toEqual(expected);
    }),
  );
});

test('an answer longer than the writer begins with', () => {
  const Records = Array.from({ length: 300 }, (_, index) => ({
    Data: Buffer.alloc(index, index),
    PartitionKey: 'k\u00e9',
  }));
  expect(cborFormat.parse(cborFormat.serialize({ Records }))).toEqual({ Records });
});

test('maps have no length, times are tag 1 with whole milliseconds, big numbers texts, absent members not written', () => {
  const bytes = cborFormat.serialize({
    At: new Timestamp(1_700_000_000_123.9),
    N: 2n ** 65n,
    Absent: undefined,
    Late: 2 ** 33,
    Left: -1,
    Half: 0.5,
  });
  expect(bytes.toString('hex')).toBe(
    [
      'bf',
      '624174 c1 1b0000018bcfe5687b',
      `614e 74${Buffer.from('36893488147419103232').toString('hex')}`,
      '644c617465 1b0000000200000000',
      '644c656674 20',
      '6448616c66 fb3fe0000000000000',
      'ff',
    ]
      .join('')
      .replaceAll(' ', ''),
  );
});

test.each([
  ['c1 1b0000018bcfe5687b', 1_700_000_000_123],
  ['c1 fb4278bcfe5687b666', 1_700_000_000_123],
  ['1b0000018bcfe5687b', 1_700_000_000_123],
  ['3903e7', -1000],
  ['6161', undefined],
  ['f6', undefined],
])('%s as a time', (bytes, ms) => {
  expect(cborFormat.timestampOf(cborFormat.parse(Buffer.from(bytes.replaceAll(' ', ''), 'hex')))).toBe(ms);
});

test('blobs are byte strings; a text is none, base64 or not', () => {
  expect(cborFormat.blobOf(cborFormat.parse(Buffer.from('4101', 'hex')))).toEqual(Buffer.from([1]));
  expect(cborFormat.blobOf('eA==')).toBeUndefined();
});

function comparable(value: unknown): unknown {
  if (value instanceof Tagged) return comparable(new Timestamp(Number(value.value)));
  if (value instanceof Timestamp) return { at: value.ms };
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, member]) => [name, comparable(member)])
      .sort();
  }
  return Object.is(value, -0) ? 0 : value;
}

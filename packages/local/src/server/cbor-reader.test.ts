import { encode, rfc8949EncodeOptions } from 'cborg';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CborError, type CborValue, readCbor } from './cbor-reader.ts';
import { Timestamp } from './wire-format.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const leaf = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 300 }),
);
const anything = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 40 }), tie('value'), { noNullPrototype: true }),
  ),
})).value;

test('what another encoder writes is read', () => {
  fc.assert(
    fc.property(anything, (value) => {
      expect(comparable(readCbor(Buffer.from(encode(value, rfc8949EncodeOptions))))).toEqual(comparable(value));
    }),
  );
});

test('of what another encoder writes, no beginning is a value, and neither is a value with a byte behind it', () => {
  fc.assert(
    fc.property(anything, fc.nat(), fc.nat({ max: 255 }), (value, cut, more) => {
      const bytes = Buffer.from(encode(value));
      expect(() => readCbor(bytes.subarray(0, cut % bytes.length))).toThrow(CborError);
      expect(() => readCbor(Buffer.concat([bytes, Buffer.from([more])]))).toThrow(CborError);
    }),
  );
});

test('arbitrary bytes are a value or a CborError, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        readCbor(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(CborError);
      }
    }),
    { numRuns: 5_000 },
  );
});

describe('RFC 8949 appendix A', () => {
  test.each<[string, CborValue]>([
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1903e8', 1000],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['1bffffffffffffffff', 2 ** 64],
    ['3bffffffffffffffff', -(2 ** 64)],
    ['20', -1],
    ['3903e7', -1000],
    ['f90000', 0],
    ['f98000', -0],
    ['f93c00', 1],
    ['fb3ff199999999999a', 1.1],
    ['f97bff', 65504],
    ['fa47c35000', 100_000],
    ['f90001', 2 ** -24],
    ['f90400', 2 ** -14],
    ['f9c400', -4],
    ['f97c00', Number.POSITIVE_INFINITY],
    ['f9fc00', Number.NEGATIVE_INFINITY],
    ['f97e00', Number.NaN],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['f7', null],
    ['6449455446', 'IETF'],
    ['64f0908591', '\u{10151}'],
    ['83010203', [1, 2, 3]],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['7f657374726561646d696e67ff', 'streaming'],
    ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
    ['bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
    ['9fff', []],
    ['c11a514b67b0', new Timestamp(1_363_896_240)],
    ['c1fb41d452d9ec200000', new Timestamp(1_363_896_240.5)],
    ['d818456449455446', Buffer.from('6449455446', 'hex')],
  ])('%s', (bytes, value) => {
    expect(readCbor(hex(bytes))).toEqual(value);
  });
});

test('byte strings are views of what was read; those in chunks are put together', () => {
  const bytes = hex('82 43010203 5f 42 0405 41 06 ff');
  const [whole, chunked] = readCbor(bytes) as [Buffer, Buffer];
  expect([whole, chunked]).toEqual([hex('010203'), hex('040506')]);
  expect(whole.buffer).toBe(bytes.buffer);
});

test.each([
  { dataBytes: 10, isView: false },
  { dataBytes: 60_000, isView: false },
  { dataBytes: 300_000, isView: true },
])('$dataBytes bytes of data among 200,000 others are a view: $isView', ({ dataBytes, isView }) => {
  const bytes = Buffer.from(encode({ Data: new Uint8Array(dataBytes).fill(7), Hats: 'x'.repeat(200_000) }));
  const { Data } = readCbor(bytes) as { Data: Uint8Array };
  expect(Buffer.alloc(dataBytes, 7).equals(Data)).toBe(true);
  expect(Data.buffer === bytes.buffer).toBe(isView);
});

test('a member may be called __proto__ or constructor, and then is one like any other', () => {
  const map = readCbor(Buffer.from(encode(new Map([['__proto__', 1] as const, ['constructor', 2] as const]))));
  expect(Object.entries(map as object)).toEqual([
    ['__proto__', 1],
    ['constructor', 2],
  ]);
  expect(Object.getPrototypeOf(map)).toBe(Object.prototype);
});

test('names that differ in their last letter alone, or share a slot of the memory, are not mixed up', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '\u00e9'), minLength: 0, maxLength: 6 });
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 30 }), (names) => {
      const map = Object.fromEntries(names.map((each, index) => [each, index]));
      expect(readCbor(Buffer.from(encode(map)))).toEqual(map);
    }),
  );
});

test.each([
  ['nothing', ''],
  ['bytes behind the value', '00 00'],
  ['reserved additional information', '1c'],
  ['an integer of indefinite length', '1f'],
  ['a tag of indefinite length', 'df 00'],
  ['a break alone', 'ff'],
  ['a break for a value', 'a1 6161 ff'],
  ['a break in an array of known length', '82 01 ff'],
  ['a map that ends after a name', 'bf 6161 ff'],
  ['an unassigned simple value', 'f0'],
  ['a simple value of two bytes', 'f8 20'],
  ['a simple value that has a shorter form', 'f8 14'],
  ['a byte string of 2^60 bytes', '5b1000000000000000'],
  ['a text of 2^60 bytes', '7b1000000000000000 61'],
  ['an array of 2^60 values', '9b1000000000000000 01'],
  ['a map of 2^60 members', 'bb1000000000000000 6161 01'],
  ['a byte string cut off', '43 0102'],
  ['a double cut off', 'fb 3ff1'],
  ['a member twice', 'a2 6161 01 6161 02'],
  ['an inherited name twice', 'a2 6b636f6e7374727563746f72 01 6b636f6e7374727563746f72 02'],
  ['a member called __proto__ twice', 'a2 695f5f70726f746f5f5f 01 695f5f70726f746f5f5f 02'],
  ['a number for a name', 'a1 01 02'],
  ['bytes for a name', 'a1 4161 02'],
  ['a tagged name', 'a1 c1 6161 02'],
  ['text that is no UTF-8', '62 c328'],
  ['long text that is no UTF-8', `78 64 ${'61'.repeat(99)} ff`],
  ['text that holds half a surrogate pair', '63 eda080'],
  ['a name that is no UTF-8', 'a1 62 c328 01'],
  ['a character that is torn between chunks', '7f 61 c3 61 a9 ff'],
  ['a chunk of another kind', '7f 41 61 ff'],
  ['a chunk of indefinite length', '7f 7f 6161 ff ff'],
  ['chunks without an end', '5f 41 61'],
  ['a time that is a text', 'c1 6161'],
  ['arrays 101 deep', `${'81'.repeat(101)}00`],
  ['maps 101 deep', `${'a16161'.repeat(101)}00`],
  ['tags 101 deep', `${'c2'.repeat(101)}00`],
  ['arrays without an end, 100,000 deep', '9f'.repeat(100_000)],
  ['200,001 values', `9f${'80'.repeat(200_000)}ff`],
  ['200,001 chunks', `5f${'40'.repeat(200_000)}ff`],
])('%s is refused', (_, bytes) => {
  expect(() => readCbor(hex(bytes))).toThrow(CborError);
});

test('100 deep is read', () => {
  expect(readCbor(hex(`${'81'.repeat(100)}00`))).toBeInstanceOf(Array);
});

/** Bytes in one form, and -0 apart from 0 as little as CBOR does. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, member]) => [name, comparable(member)])
      .sort();
  }
  return Object.is(value, -0) ? 0 : value;
}

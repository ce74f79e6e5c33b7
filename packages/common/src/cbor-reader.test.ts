// The reader against cborg, the reference encoder, and against what no encoder writes.
import { encode, Token, Type } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CborError, CborReader, UNTIL_BREAK } from './cbor-reader.ts';

const leaf = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }).map((value) => value + 0),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.uint8Array({ maxLength: 300 }),
);
const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.string({ maxLength: 30 }), tie('value'), { maxKeys: 5 }),
  ),
}));

function read(bytes: Uint8Array): unknown {
  const reader = new CborReader(Buffer.from(bytes));
  const value = reader.value();
  reader.end();
  return value;
}

describe('a value', () => {
  it('is what was encoded', () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(read(encode(value))).toEqual(value);
      }),
    );
  });

  it('that is cut off anywhere, or goes on, is refused in words', () => {
    fc.assert(
      fc.property(anything, fc.nat(), (value, seed) => {
        const bytes = encode(value);
        expect(() => read(bytes.subarray(0, seed % bytes.length))).toThrow(CborError);
        expect(() => read(Buffer.concat([bytes, Buffer.of(0)]))).toThrow('CBOR: 1 bytes follow the answer');
      }),
    );
  });

  it('of any bytes at all is read or refused, and nothing else happens', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CborError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['a map until a break', 'bf6161016162f5ff', { a: 1, b: true }],
    ['a list until a break', '9f0102ff', [1, 2]],
    ['a text in chunks', '7f61616162ff', 'ab'],
    ['bytes in chunks', '5f42010243030405ff', new Uint8Array([1, 2, 3, 4, 5])],
    ['a half float', 'f93e00', 1.5],
    ['a single float', 'fa47c35000', 100_000],
    ['undefined', 'f7', null],
    ['a tagged time', 'c11b0000018bcfe5687b', 1_700_000_000_123],
  ])('%s is read', (_, hex, value) => {
    expect(read(Buffer.from(hex, 'hex'))).toEqual(value);
  });

  it.each([
    ['', 'CBOR: expected a value at byte 0, got the end'],
    ['ff', 'CBOR: expected a simple value that is known, got 31 at byte 0'],
    ['61c3', 'CBOR: expected a text of UTF-8, got other bytes at byte 1'],
    ['4501', 'CBOR: expected 5 bytes at byte 1, got the end after 1'],
    ['a10102', 'CBOR: expected a text, got a number at byte 1'],
    ['1c', 'CBOR: expected a number or a length, got additional information 28 at byte 0'],
    ['7f4101ff', 'CBOR: expected a text, got bytes at byte 1'],
    ['81'.repeat(100), 'CBOR: expected at most 32 levels, got more at byte 32'],
    // A length that no body has: nothing is allocated for it.
    ['5b0020000000000000', 'CBOR: expected 9007199254740992 bytes at byte 9, got the end after 0'],
  ])('%s is refused', (hex, message) => {
    expect(() => read(Buffer.from(hex, 'hex'))).toThrow(new CborError(message));
  });
});

describe('who knows the shape', () => {
  it('goes from member to member, and takes names that it knows', () => {
    const name = Buffer.from('ApproximateArrivalTimestamp');
    const reader = new CborReader(
      Buffer.from(encode({ Data: new Uint8Array([7]), [name.toString()]: 5, LastOne: null })),
    );
    expect(reader.openMap()).toBe(3);
    expect(reader.takeName(name)).toBe(false);
    expect(reader.takeName(Buffer.from('Dat'))).toBe(false);
    expect(reader.takeName(Buffer.from('Datum'))).toBe(false);
    expect(reader.takeName(Buffer.from('Data'))).toBe(true);
    expect(reader.takeNull()).toBe(false);
    expect(reader.bytes()).toEqual(new Uint8Array([7]));
    // The encoder puts short names first.
    expect([reader.takeName(Buffer.from('LastOne')), reader.takeNull()]).toEqual([true, true]);
    expect([reader.takeName(name), reader.number()]).toEqual([true, 5]);
    expect(reader.hasMore(0)).toBe(false);
    reader.end();
  });

  it('is told of lists that a break ends, and of another kind than was expected', () => {
    const reader = new CborReader(Buffer.from('9f01ff', 'hex'));
    expect(() => reader.openMap()).toThrow('CBOR: expected a map, got a list at byte 0');
    expect(reader.openList()).toBe(UNTIL_BREAK);
    expect(() => reader.text()).toThrow('CBOR: expected a text, got a number at byte 1');
    expect([reader.hasMore(UNTIL_BREAK), reader.number(), reader.hasMore(UNTIL_BREAK)]).toEqual([true, 1, false]);
  });

  it('has bytes as views of the body', () => {
    const body = Buffer.from(encode(new Uint8Array([1, 2, 3])));
    const bytes = new CborReader(body).bytes();
    expect(bytes.buffer).toBe(body.buffer);
    expect(bytes).toEqual(new Uint8Array([1, 2, 3]));
  });

  it('reads a number under a tag', () => {
    const tagged = encode(1, {
      typeEncoders: { number: (value: number) => [new Token(Type.tag, 1), new Token(Type.uint, value)] },
    });
    expect(new CborReader(Buffer.from(tagged)).number()).toBe(1);
  });
});

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Md5Lanes, md5OfEach } from './md5-lanes.ts';

/** Around the ends of blocks, and of the pieces in which a message is copied. */
const lengths = fc.oneof(
  fc.constantFrom(0, 1, 55, 56, 57, 63, 64, 65, 128, 5_000, 51_200),
  fc.integer({ min: 119, max: 129 }),
  fc.integer({ min: 8_050, max: 8_070 }),
  fc.nat(20_000),
);
const messages = fc.array(
  fc.tuple(lengths, fc.nat(255), fc.nat(40)).map(([length, first, offset]) => {
    // Not at the beginning of its memory.
    const bytes = new Uint8Array(offset + length).subarray(offset);
    bytes.forEach((_, index) => {
      bytes[index] = first + index * 7 + (index >> 8) * 31;
    });
    return bytes;
  }),
  { maxLength: 20 },
);

function expected(given: readonly Uint8Array[]): string[] {
  return given.map((message) => createHash('md5').update(message).digest('hex'));
}

function textsOf(digests: Uint8Array): string[] {
  return (Buffer.from(digests).toString('hex').match(/.{32}/g) ?? []).map(String);
}

describe('in lanes', () => {
  const lanes = Md5Lanes.make();

  test('any messages have the digests of node:crypto, whatever was hashed before', () => {
    fc.assert(
      fc.property(messages, (given) => {
        expect(textsOf(lanes?.hash(given) ?? new Uint8Array())).toEqual(expected(given));
      }),
      { numRuns: 200 },
    );
  });

  test.each([0, 55, 56, 63, 64, 119, 120, 128, 129, 8_064, 8_065, 51_200])('so have a few of %i bytes', (length) => {
    for (let count = 1; count <= 9; count++) {
      const given = Array.from({ length: count }, (_, index) => new Uint8Array(length).fill(17 * index + 1));
      expect(textsOf(lanes?.hash(given) ?? new Uint8Array())).toEqual(expected(given));
    }
  });

  test('the texts of RFC 1321 have the digests that are written there', () => {
    const texts = ['', 'a', 'abc', 'message digest', 'abcdefghijklmnopqrstuvwxyz'];
    expect(textsOf(lanes?.hash(texts.map((text) => Buffer.from(text))) ?? new Uint8Array())).toEqual([
      'd41d8cd98f00b204e9800998ecf8427e',
      '0cc175b9c0f1b6a831c399e269772661',
      '900150983cd24fb0d6963f7d28e17f72',
      'f96b697d7cb7938d525a2f31aaf161d0',
      'c3fcd3d76192e4007dfb496cca67e13b',
    ]);
  });
});

describe('whoever hashes', () => {
  const given = Array.from({ length: 9 }, (_, index) => new Uint8Array(100_000 * index).fill(index));

  test('no message, one and many have their digests, before the lanes pay and afterwards', () => {
    for (let round = 0; round < 4; round++) {
      for (const count of [0, 1, 9]) {
        expect(textsOf(md5OfEach(given.slice(0, count)))).toEqual(expected(given.slice(0, count)));
      }
    }
  });

  test('without WebAssembly node:crypto hashes', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    vi.resetModules();
    try {
      const without = await import('./md5-lanes.ts');
      expect(without.Md5Lanes.make()).toBeUndefined();
      for (let round = 0; round < 4; round++) expect(textsOf(without.md5OfEach(given))).toEqual(expected(given));
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { md5OfShortAscii } from './md5.ts';

function hexOf(text: string): string | undefined {
  const digest = md5OfShortAscii(text);
  return digest === undefined ? undefined : Buffer.from(digest.buffer).toString('hex');
}

test('hashes as node:crypto does, whatever was hashed before', () => {
  const text = fc.string({ unit: 'binary-ascii', maxLength: 55 });
  fc.assert(
    fc.property(text, (given) => {
      expect(hexOf(given)).toBe(createHash('md5').update(given).digest('hex'));
    }),
    { numRuns: 1000 },
  );
});

test('hashes the texts of RFC 1321', () => {
  expect(hexOf('')).toBe('d41d8cd98f00b204e9800998ecf8427e');
  expect(hexOf('message digest')).toBe('f96b697d7cb7938d525a2f31aaf161d0');
  expect(hexOf('abcdefghijklmnopqrstuvwxyz')).toBe('c3fcd3d76192e4007dfb496cca67e13b');
});

test('leaves a text of 56 characters, and one beyond ASCII, to others', () => {
  expect(hexOf('x'.repeat(55))).toBe(createHash('md5').update('x'.repeat(55)).digest('hex'));
  expect(hexOf('x'.repeat(56))).toBeUndefined();
  expect(hexOf('\u0080')).toBeUndefined();
  expect(hexOf('key-\u{1f600}')).toBeUndefined();
});

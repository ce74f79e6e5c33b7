import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressBytes, derBits, derBoolean, derInteger, derObjectId, derSequence, derTime, derValue } from './der.ts';

const hex = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex');

test.each([
  [0, '0400'],
  [127, '047f'],
  [128, '048180'],
  [255, '0481ff'],
  [256, '04820100'],
  [65_536, '0483010000'],
])('a content of %i bytes has the shortest length that says so', (length, start) => {
  expect(hex(derValue(0x04, Buffer.alloc(length)))).toBe(start + '00'.repeat(length));
});

test.each([
  ['00', '020100'],
  ['7f', '02017f'],
  ['80', '02020080'],
  ['000080', '02020080'],
  ['0001', '020101'],
  ['ff00', '020300ff00'],
])('%s is an integer without needless zeros, and never negative', (bytes, encoded) => {
  expect(hex(derInteger(Buffer.from(bytes, 'hex')))).toBe(encoded);
});

test('object ids are in base 128', () => {
  expect(hex(derObjectId('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302');
  expect(hex(derObjectId('2.5.29.17'))).toBe('0603551d11');
});

test('booleans, bits and sequences', () => {
  expect(hex(derSequence(derBoolean(true), derBoolean(false)))).toBe('30060101ff010100');
  expect(hex(derBits(Buffer.of(0x80), 7))).toBe('03020780');
});

test('times have two digits of the year until 2049, four from 2050 on', () => {
  expect(derTime(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1', 2)).toBe('491231235959Z');
  expect(derTime(Date.UTC(2050, 0, 1)).toString('latin1', 2)).toBe('20500101000000Z');
  expect([derTime(0)[0], derTime(Date.UTC(2050, 0, 1))[0]]).toEqual([0x17, 0x18]);
});

test.each([
  ['127.0.0.1', '7f000001'],
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['2001:db8::a:0:1', '20010db8000000000000000a00000001'],
  ['::ffff:192.0.2.2', '00000000000000000000ffffc0000202'],
  ['fe80::1%eth0', `fe80${'0'.repeat(27)}1`],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['localhost', undefined],
  ['', undefined],
  ['1.2.3', undefined],
])('the address %s is %s', (address, bytes) => {
  expect(hex(addressBytes(address))).toBe(bytes);
});

test('every IPv6 address in every form is its 16 bytes', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const full = new URL(`http://[${address}]`);
      expect(addressBytes(address)).toHaveLength(16);
      const groups = hex(addressBytes(address))?.match(/.{4}/g)?.join(':');
      expect(new URL(`http://[${groups}]`).hostname).toBe(full.hostname);
    }),
  );
});

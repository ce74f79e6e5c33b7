// A line's way into a record and back, and a partition key for whatever a line holds.
import { checkPartitionKey } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BLANK_KEY, checksumOf, decodeLine, encodeLine, partitionKeyOf } from './numbered-line.ts';

test.each([
  ['83.149.9.216 - - [17/May/2015]', '83.149.9.216'],
  ['  indented line', 'indented'],
  ['tab\tseparated', 'tab'],
  ['alone', 'alone'],
  ['\ufeffafter-a-byte-order-mark x', 'after-a-byte-order-mark'],
  ['', BLANK_KEY],
  [' \t ', BLANK_KEY],
])('the key of %j is %j', (line, key) => {
  expect(partitionKeyOf(Buffer.from(line))).toBe(key);
});

test('fields that are too long keep keys of their own', () => {
  const field = 'x'.repeat(256);
  expect(partitionKeyOf(Buffer.from(`${field} rest`))).toBe(field);
  const longer = [`${field}y`, `${field}z`].map((text) => partitionKeyOf(Buffer.from(text)));
  expect(longer[0]).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(longer[0]).not.toBe(longer[1]);
  expect(partitionKeyOf(Buffer.from(`${field}y and more`))).toBe(longer[0]);
});

test('any bytes have a partition key that Kinesis takes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      checkPartitionKey(partitionKeyOf(Buffer.from(bytes)));
    }),
  );
});

test('any line comes back with its number and the checksum of its bytes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000_000 }), fc.uint8Array({ maxLength: 100 }), (lineNumber, line) => {
      expect(decodeLine(encodeLine(lineNumber, line))).toEqual({ lineNumber, checksum: checksumOf(line) });
    }),
  );
});

test('a changed byte changes the checksum', () => {
  const data = encodeLine(12, Buffer.from('same length'));
  const before = decodeLine(data)?.checksum;
  data[data.length - 1] = 0;
  expect(decodeLine(data)).toMatchObject({ lineNumber: 12 });
  expect(decodeLine(data)?.checksum).not.toBe(before);
});

test.each(['', '12', '\tline', '0\tline', '012\tline', '-1\tline', '1x\tline', '9999999999999999\tline'])(
  '%j is no numbered line',
  (text) => {
    expect(decodeLine(Buffer.from(text))).toBeUndefined();
  },
);

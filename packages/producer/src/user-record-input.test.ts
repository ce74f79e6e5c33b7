import { runInNewContext } from 'node:vm';
import { UsageError } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { UserRecordInput } from './put.ts';
import { checkUserRecord } from './user-record-input.ts';

const MIB = 1024 * 1024;

function usageError(input: unknown, maxBytes = MIB): UsageError {
  try {
    checkUserRecord(input as UserRecordInput, maxBytes);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('checking', () => {
  test.each([
    ['record', null],
    ['record', 'text'],
    ['partitionKey', { data: 'x', explicitHashKey: 5n }],
    ['partitionKey', { partitionKey: null, data: 'x' }],
    ['partitionKey', { partitionKey: '', data: 'x' }],
    ['partitionKey', { partitionKey: 'k'.repeat(257), data: 'x' }],
    ['partitionKey', { partitionKey: '😀'.repeat(129), data: 'x' }],
    ['partitionKey', { partitionKey: 'a\ud800b', data: 'x' }],
    ['partitionKey', { partitionKey: 7, data: 'x' }],
    ['data', { partitionKey: 'k' }],
    ['data', { partitionKey: 'k', data: [1, 2] }],
    ['data', { partitionKey: 'k', data: 'lone \udc00 surrogate' }],
    ['data', { partitionKey: 'k', data: new ArrayBuffer(3) }],
    ['explicitHashKey', { partitionKey: 'k', data: 'x', explicitHashKey: 2n ** 128n }],
    ['explicitHashKey', { partitionKey: 'k', data: 'x', explicitHashKey: -1n }],
    ['explicitHashKey', { partitionKey: 'k', data: 'x', explicitHashKey: '340282366920938463463374607431768211456' }],
    ['explicitHashKey', { partitionKey: 'k', data: 'x', explicitHashKey: '0x10' }],
    ['explicitHashKey', { partitionKey: 'k', data: 'x', explicitHashKey: 5 }],
  ])('names %s for %o', (field, input) => {
    expect(usageError(input).field).toBe(field);
  });

  test('counts data and partition key together, as Kinesis does', () => {
    const data = new Uint8Array(MIB - 3);
    expect(checkUserRecord({ partitionKey: 'abc', data }, MIB).sizeBytes).toBe(MIB);
    expect(usageError({ partitionKey: 'abcd', data })).toMatchObject({ field: 'data', got: `${MIB + 1} bytes` });
  });

  test('takes the edges: keys of 256 units, NUL, a BOM, empty data, text with U+FFFD of its own', () => {
    for (const partitionKey of ['k'.repeat(256), '😀'.repeat(128), '\0', '\ufeffbom', '__proto__', '10']) {
      expect(checkUserRecord({ partitionKey, data: '' }, MIB).data.length).toBe(0);
    }
    expect(checkUserRecord({ partitionKey: 'k', data: 'a\ufffdb' }, MIB).data.length).toBe(5);
  });

  test('copies the bytes, whichever kind of view they come in', () => {
    const bytes = new Uint8Array([1, 2, 3, 4]);
    for (const data of [bytes, Buffer.from(bytes.buffer), bytes.subarray(0, 4)]) {
      bytes.set([1, 2, 3, 4]);
      const checked = checkUserRecord({ partitionKey: 'k', data }, MIB);
      checked.keepData();
      bytes.fill(9);
      expect([...checked.data]).toEqual([1, 2, 3, 4]);
    }
  });
});

describe('what is said of a record that can not be put', () => {
  test.each([
    [{ explicitHashKey: 5 }, 'explicitHashKey: expected a bigint or decimal text, from 0 to 2^128 - 1, got 5'],
    [{ streamName: 'a' }, 'streamName: expected no such member of a record, got it; did you mean stream?'],
    [{ ExplicitHashKey: '1' }, 'did you mean explicitHashKey?'],
    [{ data: new Uint16Array(1) }, 'data: expected a Uint8Array or a string, got an object (Uint16Array)'],
  ])('%o', (input, message) => {
    expect(usageError({ partitionKey: 'k', data: 'x', ...input }).message).toContain(message);
  });

  test("nothing of members of the application's own, nor of bytes of another realm", () => {
    const data = runInNewContext('new Uint8Array([1, 2, 3])');
    expect(data instanceof Uint8Array).toBe(false);
    const others = { sequenceNumber: '1', approximateArrivalTimestamp: new Date(0) };
    const record = checkUserRecord({ partitionKey: 'k', data, ...others }, MIB);
    expect([...record.data]).toEqual([1, 2, 3]);
  });
});

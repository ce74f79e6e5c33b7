import { runInNewContext } from 'node:vm';
import { hashKeyOf, UsageError } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import { KeyOrder } from './order.ts';
import { checkUserRecord, isPutError, noteAttempt, PutResults, putError, type UserRecordInput } from './user-record.ts';

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

describe('hash key', () => {
  test('in hex is the number that Kinesis computes, and compares as it does', () => {
    const keys = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' });
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        const [left, right] = [userRecord({ key: a }), userRecord({ key: b })];
        expect(BigInt(`0x${left.hashHex}`)).toBe(hashKeyOf(a));
        expect(left.hashHex < right.hashHex).toBe(hashKeyOf(a) < hashKeyOf(b));
      }),
    );
  });

  test('is the explicit one where there is one, in any spelling', () => {
    for (const explicitHashKey of ['007', ' 7 ', 7n]) {
      const record = userRecord({ explicitHashKey });
      expect(record.explicitHashKey).toBe(7n);
      expect(record.hashHex).toBe('7'.padStart(32, '0'));
    }
  });

  test('makes several lines of order of one partition key', () => {
    const keys = [userRecord({}), userRecord({ explicitHashKey: 1n }), userRecord({ explicitHashKey: 2n })];
    const order = new KeyOrder();
    for (const record of keys) order.carry(order.slotOf(record), record, loneRecord('0'), -1);
    expect(order.keyCount).toBe(3);
    const again = userRecord({ explicitHashKey: '01' });
    order.carry(order.slotOf(again), again, loneRecord('0'), -1);
    expect(order.keyCount).toBe(3);
  });
});

describe('outcome', () => {
  test('has every attempt, its delay counted from the put or from the attempt before (KPL Attempt)', () => {
    const record = userRecord({ nowMs: 1_000 });
    noteAttempt([record], 1_100, 1_120, { errorCode: 'InternalFailure', errorMessage: 'oops', written: 'no' });
    const place = { shardId: 'shardId-000000000000', sequenceNumber: '1', beganAtMs: 1_200, endedAtMs: 1_210 };
    const result = new PutResults(place).of(record, 3);
    expect(result.attempts).toEqual([
      { delayMs: 100, durationMs: 20, errorCode: 'InternalFailure', errorMessage: 'oops', written: 'no' },
      { delayMs: 80, durationMs: 10, written: 'yes' },
    ]);
    expect(result).toMatchObject({ shardId: 'shardId-000000000000', sequenceNumber: '1', subSequenceNumber: 3 });
    expect(result.duplicate).toBe(false);
    expect('subSequenceNumber' in new PutResults(place).of(record, undefined)).toBe(false);
  });

  test('is shared by records that went together, and their own where one was put earlier', () => {
    const records = [0, 0, 40, 40].map((nowMs) => userRecord({ nowMs }));
    for (const beganAtMs of [100, 200, 300]) {
      noteAttempt(records, beganAtMs, beganAtMs + 10, { errorCode: 'Throttled', errorMessage: 'slow', written: 'no' });
    }
    expect(new Set(records.map(({ attempts }) => attempts)).size).toBe(2);
    expect(records.map(({ attempts }) => attempts.map(({ delayMs }) => delayMs))).toEqual([
      [100, 90, 90],
      [100, 90, 90],
      [60, 90, 90],
      [60, 90, 90],
    ]);
  });

  test('shares its attempts with the records that were put and written together', () => {
    const records = [0, 0, 40].map((nowMs) => userRecord({ nowMs }));
    noteAttempt(records.slice(1), 100, 110, { errorCode: 'Throttled', errorMessage: 'slow', written: 'no' });
    const results = new PutResults({ shardId: 's', sequenceNumber: '1', beganAtMs: 200, endedAtMs: 210 });
    const attempts = [...records, ...records].map((record, index) => results.of(record, index).attempts);
    expect(attempts.map((each) => each.map(({ delayMs }) => delayMs))).toEqual([
      ...[[200], [100, 90], [60, 90]],
      ...[[200], [100, 90], [60, 90]],
    ]);
    const alike = [0, 0].map((nowMs) => results.of(userRecord({ nowMs }), undefined).attempts);
    expect(alike[0]).toBe(alike[1]);
  });

  test('is a duplicate after an attempt that was or may have been written', () => {
    for (const written of ['yes', 'unknown'] as const) {
      const record = userRecord();
      noteAttempt([record], 1, 2, { errorCode: 'RequestTimeout', errorMessage: 'late', written });
      const place = { shardId: 's', sequenceNumber: '1', beganAtMs: 3, endedAtMs: 4 };
      expect(new PutResults(place).of(record, undefined).duplicate).toBe(true);
    }
  });

  test('that failed holds the record, its code and its cause', () => {
    const cause = new Error('network');
    const input = { partitionKey: 'k', data: 'x' };
    const error = putError({ code: 'EXPIRED', message: 'too late', retryable: true, cause }, 'orders', input);
    expect(error).toMatchObject({ code: 'EXPIRED', retryable: true, cause, userRecord: input, mayBeWritten: false });
    expect(isPutError(error)).toBe(true);
    expect(JSON.stringify({ ...error })).not.toContain('"x"');
    expect(isPutError(new Error('other'))).toBe(false);
  });
});

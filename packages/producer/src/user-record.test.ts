import { hashKeyOf } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import { KeyOrder } from './order.ts';

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

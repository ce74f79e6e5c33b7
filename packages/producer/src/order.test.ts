import { expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import { KeyOrder } from './order.ts';

test('a key is carried by one Kinesis record until that one frees it; another cannot', () => {
  const order = new KeyOrder();
  const [carrier, other] = [loneRecord('0'), loneRecord('0')];
  order.carry('key', carrier);
  expect(order.carrierOf('key')).toBe(carrier);
  expect(order.free('key', other)).toBe(false);
  expect(order.free('key', carrier)).toBe(true);
  expect(order.free('key', carrier)).toBe(false);
  expect(order.carrierOf('key')).toBeUndefined();
});

test('held records move up in put order, key by key, expired ones are passed over', () => {
  const order = new KeyOrder();
  const [first, expired, third, other] = ['hot', 'hot', 'hot', 'cold'].map((key) => userRecord({ key }));
  if (first === undefined || expired === undefined || third === undefined || other === undefined) throw new Error();
  for (const record of [first, expired, other, third]) order.hold(record);
  expired.settled = true;
  expect(order.next('hot')).toBe(first);
  expect(order.next('hot')).toBe(first);
  order.take('hot');
  expect(order.next('hot')).toBe(third);
  order.take('hot');
  expect(order.next('hot')).toBeUndefined();
  expect([...order.takeAll('cold')]).toEqual([other]);
  expect([...order.takeAll('cold')]).toEqual([]);
});

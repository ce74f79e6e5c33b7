import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import { KeyOrder, type Line } from './order.ts';
import type { UserRecord } from './user-record.ts';

test('a key is carried by one Kinesis record until that one frees it; another cannot', () => {
  const order = new KeyOrder();
  const [carrier, other] = [loneRecord('0'), loneRecord('0')];
  const line = order.lineOf(userRecord({ key: 'key' }));
  order.carry(line, carrier);
  expect(order.lineOf(userRecord({ key: 'key' }))).toBe(line);
  expect(order.carrierOf(line)).toBe(carrier);
  expect(order.free(line, other)).toBe(false);
  expect(order.free(line, carrier)).toBe(true);
  expect(order.free(line, carrier)).toBe(false);
  expect(order.carrierOf(line)).toBeUndefined();
});

test('held records move up in put order, key by key, expired ones are passed over', () => {
  const order = new KeyOrder();
  const [first, expired, third, other] = ['hot', 'hot', 'hot', 'cold'].map((key) => userRecord({ key }));
  if (first === undefined || expired === undefined || third === undefined || other === undefined) throw new Error();
  const [hot, cold] = [order.lineOf(first), order.lineOf(other)];
  for (const record of [first, expired, other, third]) order.hold(order.lineOf(record), record);
  expired.settled = true;
  expect(order.next(hot)).toBe(first);
  expect(order.next(hot)).toBe(first);
  order.take(hot);
  expect(order.next(hot)).toBe(third);
  order.take(hot);
  expect(order.next(hot)).toBeUndefined();
  expect([...order.takeAll(cold)]).toEqual([other]);
  expect([...order.takeAll(cold)]).toEqual([]);
});

test('a line is one for its key as long as it has a carrier or held records, however many others come and go', () => {
  const operation = fc.record({
    key: fc.integer({ min: 0, max: 5 }).map(String),
    what: fc.constantFrom('carry', 'free', 'hold', 'takeAll', 'next', 'others' as const),
  });
  const others = Array.from({ length: 3_000 }, (_, count) => userRecord({ key: `other-${count}` }));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const order = new KeyOrder();
      const busy = new Map<string, Line>();
      for (const { key, what } of operations) {
        const line = order.lineOf(userRecord({ key }));
        if (busy.has(key)) expect(line).toBe(busy.get(key));
        if (what === 'carry' && line.lineCarrier === undefined) order.carry(line, loneRecord('0', { key }));
        if (what === 'free' && line.lineCarrier !== undefined) order.free(line, line.lineCarrier);
        if (what === 'hold') order.hold(line, userRecord({ key }));
        if (what === 'takeAll') order.takeAll(line);
        if (what === 'next' && order.next(line) !== undefined) order.take(line);
        if (what === 'others') come(order, others);
        if (line.lineCarrier !== undefined || line.held !== undefined) busy.set(key, line);
        else busy.delete(key);
      }
    }),
    { numRuns: 30 },
  );
});

test('lines that crowd around the end of the table are found as in a Map, whichever of them go', () => {
  // The table begins with 1,024 slots.
  const crowd = Array.from({ length: 20_000 }, (_, count) => `key-${count}`).filter((key) => {
    const slot = userRecord({ key }).orderHash & 1_023;
    return slot > 1_019 || slot < 3;
  });
  const steps = fc.array(fc.nat(59), { minLength: 100, maxLength: 400 });
  fc.assert(
    fc.property(steps, (keys) => {
      const order = new KeyOrder();
      const twin = new Map<string, Line>();
      const carrier = loneRecord('0');
      for (const key of keys.map((index) => crowd[index] as string)) {
        const known = twin.get(key);
        const record = userRecord({ key });
        const line = order.lineOf(record);
        expect(line).toBe(known ?? record);
        if (known === undefined) {
          order.carry(line, carrier);
          twin.set(key, line);
        } else {
          expect(order.free(line, carrier)).toBe(true);
          twin.delete(key);
        }
      }
      for (const [key, line] of twin) expect(order.lineOf(userRecord({ key }))).toBe(line);
    }),
    { numRuns: 50 },
  );
});

/** More than there are slots for at first; then some of them go. */
function come(order: KeyOrder, records: readonly UserRecord[]): void {
  const carrier = loneRecord('0');
  for (const record of records) order.carry(order.lineOf(record), carrier);
  for (const record of records.slice(0, -10)) expect(order.free(order.lineOf(record), carrier)).toBe(true);
}

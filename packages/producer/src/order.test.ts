import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import type { KinesisRecord } from './batch.ts';
import { type BusyKey, KeyOrder } from './order.ts';
import type { UserRecord } from './user-record.ts';

test('a key is carried by one Kinesis record until that one is over, whatever becomes of another', () => {
  const order = new KeyOrder();
  const [carrier, other] = [loneRecord('0'), loneRecord('0')];
  const record = userRecord({ key: 'key' });
  carry(order, record, carrier, 7);
  expect(carrierOf(order, userRecord({ key: 'key' }))).toBe(carrier);
  expect(order.keyPlaceAt(order.slotOf(userRecord({ key: 'key' })))).toBe(7);
  order.forget(other);
  expect(carrierOf(order, record)).toBe(carrier);
  free(order, record, carrier);
  expect(carrierOf(order, record)).toBeUndefined();
  expect(order.keyCount).toBe(0);
});

test('held records move up in put order, key by key, expired ones are passed over', () => {
  const order = new KeyOrder();
  const [hot, cold] = [loneRecord('0'), loneRecord('0')];
  const [first, expired, third, other] = ['hot', 'hot', 'hot', 'cold'].map((key) => userRecord({ key }));
  if (first === undefined || expired === undefined || third === undefined || other === undefined) throw new Error();
  carry(order, first, hot);
  carry(order, other, cold);
  for (const record of [first, expired, other, third]) order.hold(record);
  expired.settled = true;
  const busy = free(order, first, hot);
  if (busy === undefined) throw new Error('records are held');
  expect(order.next(busy)).toBe(first);
  expect(order.next(busy)).toBe(first);
  order.take(busy);
  expect(order.next(busy)).toBe(third);
  order.take(busy);
  expect(order.next(busy)).toBeUndefined();
  expect(order.keyCount).toBe(1);
  const last = free(order, other, cold);
  expect([...order.takeAll(last as BusyKey)]).toEqual([other]);
  expect(order.keyCount).toBe(0);
});

test('who moves up carries the key again, held records or not', () => {
  const order = new KeyOrder();
  const [before, after] = [loneRecord('0'), loneRecord('0')];
  const [first, second] = [userRecord({ key: 'hot' }), userRecord({ key: 'hot' })];
  carry(order, first, before);
  for (const record of [first, second]) order.hold(record);
  const busy = free(order, first, before) as BusyKey;
  carry(order, first, after, 3);
  order.take(busy);
  expect(carrierOf(order, first)).toBe(after);
  expect(order.next(busy)).toBe(second);
  order.take(busy);
  expect(order.next(busy)).toBeUndefined();
  expect([carrierOf(order, first), order.keyPlaceAt(order.slotOf(first))]).toEqual([after, 3]);
  expect(free(order, first, after)).toBeUndefined();
  expect(order.keyCount).toBe(0);
});

test('knows each key as long as it has a carrier or held records, however many others come and go', () => {
  const operation = fc.record({
    key: fc.integer({ min: 0, max: 5 }).map(String),
    what: fc.constantFrom('carry', 'free', 'hold', 'others' as const),
  });
  const others = Array.from({ length: 3_000 }, (_, count) => userRecord({ key: `other-${count}` }));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const order = new KeyOrder();
      const twin = new Map<string, { carrier: KinesisRecord; held: UserRecord[] }>();
      for (const { key, what } of operations) {
        const record = userRecord({ key });
        const known = twin.get(key);
        expect(carrierOf(order, record)).toBe(known?.carrier);
        if (what === 'carry' && known === undefined) {
          const carrier = loneRecord('0', { key });
          carry(order, record, carrier);
          twin.set(key, { carrier, held: [] });
        }
        if (what === 'hold' && known !== undefined) {
          order.hold(record);
          known.held.push(record);
        }
        if (what === 'free' && known !== undefined) {
          const busy = free(order, record, known.carrier);
          expect(busy === undefined ? [] : [...order.takeAll(busy)]).toEqual(known.held);
          twin.delete(key);
        }
        if (what === 'others') come(order, others);
      }
      for (const [key, { carrier }] of twin) expect(carrierOf(order, userRecord({ key }))).toBe(carrier);
    }),
    { numRuns: 30 },
  );
});

test('keys that crowd around the end of the table are found as in a Map, whichever of them go', () => {
  // The table begins with 1,024 slots.
  const crowd = Array.from({ length: 20_000 }, (_, count) => `key-${count}`).filter((key) => {
    const slot = userRecord({ key }).orderHash & 1_023;
    return slot > 1_019 || slot < 3;
  });
  const steps = fc.array(fc.nat(59), { minLength: 100, maxLength: 400 });
  fc.assert(
    fc.property(steps, (keys) => {
      const order = new KeyOrder();
      const twin = new Map<string, KinesisRecord>();
      for (const key of keys.map((index) => crowd[index] as string)) {
        const record = userRecord({ key });
        const known = twin.get(key);
        expect(carrierOf(order, record)).toBe(known);
        if (known === undefined) {
          const carrier = loneRecord('0', { key });
          carry(order, record, carrier);
          twin.set(key, carrier);
        } else {
          free(order, record, known);
          twin.delete(key);
        }
        expect(order.keyCount).toBe(twin.size);
      }
      for (const [key, carrier] of twin) expect(carrierOf(order, userRecord({ key }))).toBe(carrier);
    }),
    { numRuns: 50 },
  );
});

test('keeps no place for Kinesis records that are over, and none for keys that are', () => {
  const order = new KeyOrder();
  const hot = userRecord({ key: 'hot' });
  const numbers = new Set<number>();
  for (let count = 0; count < 10_000; count++) {
    const carrier = loneRecord('0');
    carry(order, hot, carrier);
    // For a long time the same key alone.
    if (count >= 5_000) carry(order, userRecord({ key: `once-${count}` }), carrier);
    numbers.add(carrier.orderNumber);
    order.forget(carrier);
    expect(carrierOf(order, hot)).toBeUndefined();
  }
  expect(order.keyCount).toBe(0);
  // As many as wait to be swept out of a table that has not grown.
  expect(numbers.size).toBeLessThan(1_024);
});

test('two keys that share 64 bits wait for each other', () => {
  const order = new KeyOrder();
  const carrier = loneRecord('0');
  carry(order, userRecord({ key: 'one' }), carrier);
  const { orderHash, orderHash2 } = userRecord({ key: 'one' });
  expect(order.carrierAt(order.slotOf({ orderHash, orderHash2 }))).toBe(carrier);
  expect(order.carrierAt(order.slotOf({ orderHash, orderHash2: orderHash2 + 1 }))).toBeUndefined();
});

function carrierOf(order: KeyOrder, record: UserRecord): KinesisRecord | undefined {
  return order.carrierAt(order.slotOf(record));
}

function carry(order: KeyOrder, record: UserRecord, carrier: KinesisRecord, keyPlace = -1): void {
  order.carry(order.slotOf(record), record, carrier, keyPlace);
}

/** The carrier, which has no other key, is over. */
function free(order: KeyOrder, { orderHash, orderHash2 }: UserRecord, carrier: KinesisRecord): BusyKey | undefined {
  const busy = order.heldBehind(orderHash, orderHash2, carrier);
  order.forget(carrier);
  return busy;
}

/** More than there are slots for at first, ten to a Kinesis record; then they go, but for the last ten. */
function come(order: KeyOrder, records: readonly UserRecord[]): void {
  const carriers = Array.from({ length: records.length / 10 }, () => loneRecord('0'));
  for (const [index, record] of records.entries()) {
    const carrier = carriers[Math.floor(index / 10)] as KinesisRecord;
    if (carrierOf(order, record) === undefined) carry(order, record, carrier);
  }
  for (const carrier of carriers.slice(0, -1)) order.forget(carrier);
}

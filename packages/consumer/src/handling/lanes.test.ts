import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lanesOf } from './lanes.ts';

const keysOf = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 200 });

test('each record is in one lane, all of a key in the same, in order; there are no more lanes than keys or calls at once', () => {
  fc.assert(
    fc.property(keysOf, fc.integer({ min: 2, max: 16 }), (keys, concurrency) => {
      const records = keys.map((key) => ({ partitionKey: String(key) }));
      const lanes = lanesOf(records, concurrency);
      expect(lanes.flat().sort((a, b) => a - b)).toEqual(keys.map((_, index) => index));
      expect(lanes.length).toBe(Math.min(concurrency, new Set(keys).size));
      for (const key of new Set(keys))
        expect(lanes.filter((lane) => lane.some((index) => keys[index] === key))).toHaveLength(1);
      for (const lane of lanes) expect(lane).toEqual([...lane].sort((a, b) => a - b));
    }),
  );
});

test('no lane is longer than its share and the records of the most frequent key together', () => {
  fc.assert(
    fc.property(keysOf, fc.integer({ min: 2, max: 16 }), (keys, concurrency) => {
      const lanes = lanesOf(
        keys.map((key) => ({ partitionKey: String(key) })),
        concurrency,
      );
      const most = Math.max(...[...new Set(keys)].map((key) => keys.filter((other) => other === key).length));
      for (const lane of lanes) expect(lane.length).toBeLessThanOrEqual(keys.length / lanes.length + most);
    }),
  );
});

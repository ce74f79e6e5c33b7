import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs } from './backoff.ts';

const options = fc.record({ baseMs: fc.integer({ min: 1, max: 10_000 }), maxMs: fc.integer({ min: 1, max: 100_000 }) });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('lies between 0 and the bound, which doubles up to maxMs', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), chance, options, (attempt, random, { baseMs, maxMs }) => {
      const bound = Math.min(maxMs, baseMs * 2 ** (attempt - 1));
      const wait = backoffMs(attempt, random, { baseMs, maxMs });
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThanOrEqual(bound);
      expect(wait).toBeCloseTo(random * bound, 6);
    }),
  );
});

test('never shrinks from one attempt to the next for the same chance', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), chance, options, (attempt, random, given) => {
      expect(backoffMs(attempt + 1, random, given)).toBeGreaterThanOrEqual(backoffMs(attempt, random, given));
    }),
  );
});

test('the first waits are those of the formula', () => {
  const waits = [1, 2, 3, 4, 5].map((attempt) => backoffMs(attempt, 0.5, { baseMs: 100, maxMs: 1000 }));
  expect(waits).toEqual([50, 100, 200, 400, 500]);
});

// Slopes and levels of known series.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { levelOf, slopeOf } from './flatness.ts';

it('a line has its own slope, and no error', () => {
  const slope = fc.double({ min: -100, max: 100, noNaN: true });
  fc.assert(
    fc.property(slope, fc.integer({ min: 3, max: 50 }), (perHour, count) => {
      const points = Array.from({ length: count }, (_, n) => ({
        atMs: n * 5_000,
        value: 20 + (perHour * n * 5_000) / 3_600_000,
      }));
      const found = slopeOf(points);
      expect(found?.perHour).toBeCloseTo(perHour, 6);
      expect(found?.standardErrorPerHour).toBeCloseTo(0, 5);
    }),
  );
});

it('noise without a trend has a slope within its error', () => {
  // 1 MB up and down, an hour long.
  const points = Array.from({ length: 720 }, (_, n) => ({ atMs: n * 5_000, value: 20 + (n % 2 === 0 ? 1 : -1) }));
  const found = slopeOf(points);
  expect(Math.abs(found?.perHour ?? Number.NaN)).toBeLessThan(found?.standardErrorPerHour ?? 0);
  expect(found?.standardErrorPerHour).toBeLessThan(0.2);
});

it('says nothing of too few points', () => {
  expect(slopeOf([])).toBeUndefined();
  expect(slopeOf([1, 2].map((value) => ({ atMs: value, value })))).toBeUndefined();
  expect(slopeOf([1, 2, 3].map((value) => ({ atMs: 0, value })))).toBeUndefined();
  expect(levelOf([1, 2])).toBeUndefined();
});

it('a level is flat when the last third has hardly more than the first', () => {
  expect(levelOf([4, 5, 6, 30, 5, 6, 6, 5, 6])).toEqual({ first: 5, last: 6, most: 30, isFlat: true });
  expect(levelOf([4, 5, 6, 7, 8, 9, 10, 11, 12])).toEqual({ first: 5, last: 11, most: 12, isFlat: false });
});

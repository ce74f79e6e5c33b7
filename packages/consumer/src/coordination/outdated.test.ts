import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outdatedShare, reportSeen } from './outdated.ts';

const seenAt = [30, 60, 90];

describe('outdatedShare', () => {
  test('of the last figure half is new, as its weight says, of two of them three quarters', () => {
    expect(outdatedShare(seenAt, 3, 0.5, 90)).toBe(1);
    expect(outdatedShare(seenAt, 3, 0.5, 60)).toBe(0.5);
    expect(outdatedShare(seenAt, 3, 0.5, 30)).toBe(0.25);
    expect(outdatedShare(seenAt, 3, 0.5, 75)).toBe(0.75);
  });

  test('figures of reports that this leader has not seen are of the time before', () => {
    expect(outdatedShare([], 5, 0.5, 0)).toBe(1);
    expect(outdatedShare([30], 2, 0.5, 0)).toBe(1);
    expect(outdatedShare(seenAt, 5, 0.5, 30)).toBe(0.25);
  });

  test('of a worker without figures nothing is outdated', () => {
    expect(outdatedShare(seenAt, 0, 0.5, 90)).toBe(0);
  });

  test('it is from 0 to 1, and the more the later a lease came', () => {
    const times = fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 12 });
    const alpha = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(times, fc.nat(12), alpha, fc.nat(1_000), fc.nat(1_000), (given, figureCount, weight, one, other) => {
        const seen = [...given].sort((a, b) => a - b);
        const early = outdatedShare(seen, figureCount, weight, Math.min(one, other));
        const late = outdatedShare(seen, figureCount, weight, Math.max(one, other));
        expect(early).toBeGreaterThanOrEqual(0);
        expect(late).toBeLessThanOrEqual(1 + 1e-9);
        expect(late).toBeGreaterThanOrEqual(early - 1e-9);
      }),
    );
  });
});

test('the times of ten reports are kept', () => {
  let seen: readonly number[] = [];
  for (let now = 0; now < 15; now += 1) seen = reportSeen(seen, now);
  expect(seen).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

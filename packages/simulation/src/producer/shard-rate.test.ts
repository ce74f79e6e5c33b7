import { expect, test } from 'vitest';
import { ShardRateChecker } from './shard-rate.ts';

function violationsOf(passed: readonly { readonly atMs: number; readonly sizeBytes: number }[]): string[] {
  const violations: string[] = [];
  const checker = new ShardRateChecker({ rateLimitPercent: 50 }, (text) => violations.push(text));
  for (const { atMs, sizeBytes } of passed) checker.passed({ shardId: 'shardId-000000000000', sizeBytes }, atMs);
  return violations;
}

test('a thousand records at once and the rate after that are within it, one more is not', () => {
  const burst = Array.from({ length: 1000 }, () => ({ atMs: 0, sizeBytes: 1 }));
  const steady = Array.from({ length: 500 }, (_, index) => ({ atMs: 2 * (index + 1), sizeBytes: 1 }));
  expect(violationsOf([...burst, ...steady])).toEqual([]);
  expect(violationsOf([...burst, ...steady, { atMs: 1001, sizeBytes: 1 }])).toHaveLength(1);
});

test('a bucket of bytes at once and the rate after that are within it, a byte more is not', () => {
  const full = { atMs: 0, sizeBytes: 10_485_760 };
  expect(violationsOf([full, { atMs: 1000, sizeBytes: 524_288 }])).toEqual([]);
  expect(violationsOf([full, { atMs: 1000, sizeBytes: 524_289 }])).toHaveLength(1);
});

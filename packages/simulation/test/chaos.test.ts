// Some seconds of what `npm run chaos:producer` does for a minute.
import { expect, test } from 'vitest';
import { runChaos } from '../src/chaos/chaos.ts';

test('through faults and reshards every put settles once, and what succeeded is in the stream, each key in order', async () => {
  const result = await runChaos({ seed: 3, durationMs: 3_000, recordsPerSecond: 600 });
  expect(Object.entries(result.violations).filter(([, count]) => count > 0)).toEqual([]);
  expect(result.settled).toBe(result.puts);
  // A fair day would prove nothing; how much strikes in so short a time is the machine's affair.
  expect(result.succeeded).toBeGreaterThan(0);
  expect(result.splits + result.merges).toBeGreaterThan(0);
  expect(Object.values(result.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
}, 90_000);

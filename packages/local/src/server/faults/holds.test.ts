import { expect, test } from 'vitest';
import { ManualClock } from '../../manual-clock.ts';
import { Holds } from './holds.ts';

/** What has become of the waits by now. */
async function settled(waits: readonly Promise<boolean>[]): Promise<(boolean | 'waiting')[]> {
  return Promise.all(waits.map((wait) => Promise.race([wait, Promise.resolve('waiting' as const)])));
}

test("a wait ends by the server's clock, and one of nothing at once", async () => {
  const clock = new ManualClock();
  const holds = new Holds(clock);
  const waits = [holds.wait(0), holds.wait(10), holds.wait(20)];
  expect(await holds.wait(0)).toBe(true);
  clock.advance(10);
  await waits[1];
  expect(await settled(waits)).toEqual([true, true, 'waiting']);
  clock.advance(10);
  expect(await Promise.all(waits)).toEqual([true, true, true]);
});

test('release ends all waits before their time, and none of them twice', async () => {
  const clock = new ManualClock();
  const holds = new Holds(clock);
  const waits = [holds.wait(10), holds.wait(20)];
  holds.release();
  expect(await Promise.all(waits)).toEqual([false, false]);
  clock.advance(100);
  const later = holds.wait(5);
  clock.advance(5);
  expect(await later).toBe(true);
});

test('at most 10,000 are held: who comes then does not wait', async () => {
  const holds = new Holds(new ManualClock());
  const waits = Array.from({ length: 10_000 }, () => holds.wait(1_000));
  expect(await holds.wait(1_000)).toBe(true);
  holds.release();
  expect(new Set(await Promise.all(waits))).toEqual(new Set([false]));
});

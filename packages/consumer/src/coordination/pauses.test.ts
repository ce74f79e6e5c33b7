import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pauses } from './pauses.ts';

const KEYS = ['a', 'b', 'c'];

test('the last word about a lease decides, whether it was about it or about all', () => {
  const word = fc.record({
    pauses: fc.boolean(),
    keys: fc.option(fc.uniqueArray(fc.constantFrom(...KEYS)), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const pauses = new Pauses();
      const since = new Map<string, number | undefined>();
      for (const [now, { pauses: isPause, keys }] of words.entries()) {
        if (isPause) pauses.pause(keys, now);
        else pauses.resume(keys);
        // What is paused stays so since then.
        for (const key of keys ?? KEYS) since.set(key, isPause ? (since.get(key) ?? now) : undefined);
        for (const key of KEYS) expect(pauses.since(key) !== undefined).toBe(since.get(key) !== undefined);
      }
    }),
  );
});

test('a lease that nobody named is paused with all, since then, and so is one that comes later', () => {
  const pauses = new Pauses();
  pauses.pause(undefined, 5);
  pauses.pause(['a'], 7);
  pauses.pause(undefined, 9);
  expect([pauses.allSince, pauses.since('a'), pauses.since('came later')]).toEqual([5, 5, 5]);
  pauses.resume(['a']);
  expect([pauses.since('a'), pauses.since('b')]).toEqual([undefined, 5]);
  pauses.resume(undefined);
  expect([pauses.allSince, pauses.since('b')]).toEqual([undefined, undefined]);
});

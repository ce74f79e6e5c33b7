// The proof must be able to fail: loss, disorder, altered and invented lines are each found, and a slow twin agrees on every
// history.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { holds, Tally } from './tally.ts';

/** Lines 1, 2, 3 … with these keys; the checksum of line n is 100 + n. */
function put(...keys: string[]): Tally {
  const tally = new Tally();
  for (const [index, key] of keys.entries()) expect(tally.put(key, 101 + index)).toBe(index + 1);
  return tally;
}

function handle(tally: Tally, ...lineNumbers: number[]): void {
  for (const lineNumber of lineNumbers) tally.handled(lineNumber, 100 + lineNumber);
}

test('every line once, in order, is a proof', () => {
  const tally = put('a', 'b', 'a');
  handle(tally, 1, 2, 3);
  expect(tally.proof()).toEqual({
    linesIn: 3,
    linesHandled: 3,
    duplicates: 0,
    orderViolations: 0,
    strays: 0,
    keyCount: 2,
    missingLineNumbers: [],
  });
  expect(holds(tally.proof())).toBe(true);
});

test('a lost line breaks it, and is named', () => {
  const tally = put('a', 'b', 'a');
  handle(tally, 1, 3);
  expect(tally.proof()).toMatchObject({ linesHandled: 2, missingLineNumbers: [2], orderViolations: 0 });
  expect(holds(tally.proof())).toBe(false);
});

test('a duplicate does not make up for a lost line', () => {
  const tally = put('a', 'b');
  handle(tally, 1, 1);
  expect(tally.proof()).toMatchObject({ linesHandled: 1, duplicates: 1 });
  expect(holds(tally.proof())).toBe(false);
});

test('duplicates alone don’t break it, wherever they come', () => {
  const tally = put('a', 'a', 'a');
  handle(tally, 1, 2, 1, 2, 3, 1);
  expect(tally.proof()).toMatchObject({ linesHandled: 3, duplicates: 3, orderViolations: 0 });
  expect(holds(tally.proof())).toBe(true);
});

test('a first copy after that of a later line of its key is a violation', () => {
  const tally = put('a', 'a', 'a');
  handle(tally, 1, 3, 2);
  expect(tally.proof()).toMatchObject({ linesHandled: 3, orderViolations: 1 });
  expect(holds(tally.proof())).toBe(false);
});

test('lines of different keys have no order', () => {
  const tally = put('a', 'b', 'c');
  handle(tally, 3, 2, 1);
  expect(tally.proof().orderViolations).toBe(0);
});

test('a line with other bytes, and one that was never put, count as nothing but strays', () => {
  const tally = put('a', 'a');
  tally.handled(1, 7);
  tally.handled(3, 103);
  tally.handled(0, 100);
  tally.handledStray();
  expect(tally.proof()).toMatchObject({ linesHandled: 0, duplicates: 0, strays: 4 });
  handle(tally, 1, 2);
  expect(tally.proof().linesHandled).toBe(2);
  expect(holds(tally.proof())).toBe(false);
});

test('it agrees with a twin that looks at the whole history anew', () => {
  const histories = fc.record({
    keys: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 12 }),
    handled: fc.array(fc.integer({ min: 1, max: 14 }), { maxLength: 40 }),
  });
  fc.assert(
    fc.property(histories, ({ keys, handled }) => {
      const tally = put(...keys);
      handle(tally, ...handled);
      const known = handled.filter((lineNumber) => lineNumber <= keys.length);
      const firsts = [...new Set(known)];
      const keyOf = (lineNumber: number): string | undefined => keys[lineNumber - 1];
      const violations = firsts.filter((lineNumber, index) =>
        firsts.slice(0, index).some((earlier) => earlier > lineNumber && keyOf(earlier) === keyOf(lineNumber)),
      );
      expect(tally.proof()).toMatchObject({
        linesHandled: firsts.length,
        duplicates: known.length - firsts.length,
        orderViolations: violations.length,
        strays: handled.length - known.length,
      });
    }),
  );
});

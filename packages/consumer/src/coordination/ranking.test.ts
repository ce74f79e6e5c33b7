import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ranking } from './ranking.ts';

const change = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), member: fc.nat(20), rank: fc.nat(9) }),
  fc.record({ kind: fc.constant('remove' as const), member: fc.nat(20) }),
);

test('after any changes the first is the one that a look at all members finds', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const ranks = new Map<number, number>();
      const present = new Set<number>();
      const rankOf = (member: number): number => ranks.get(member) ?? 0;
      const isBefore = (a: number, b: number): boolean => rankOf(a) < rankOf(b) || (rankOf(a) === rankOf(b) && a < b);
      const ranking = new Ranking(isBefore);
      for (const each of changes) {
        if (each.kind === 'put') {
          ranks.set(each.member, each.rank);
          present.add(each.member);
          ranking.put(each.member);
        } else {
          present.delete(each.member);
          ranking.remove(each.member);
        }
        expect(ranking.first).toBe([...present].sort((a, b) => (isBefore(a, b) ? -1 : 1))[0]);
      }
    }),
  );
});

test('the first that is not avoided, the first of all where there is none, and everything stays where it is', () => {
  const ranking = new Ranking((a, b) => a < b);
  expect(ranking.firstBut(() => true)).toBeUndefined();
  ranking.put(3);
  expect(ranking.firstBut((member) => member === 3)).toBe(3);
  ranking.put(5);
  ranking.put(4);
  expect(ranking.firstBut((member) => member === 3)).toBe(4);
  expect(ranking.firstBut((member) => member !== 5)).toBe(5);
  expect(ranking.firstBut(() => true)).toBe(3);
  expect(ranking.firstBut((member) => member === 4)).toBe(3);
  expect(ranking.first).toBe(3);
});

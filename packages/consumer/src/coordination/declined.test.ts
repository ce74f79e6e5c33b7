import { expect, test } from 'vitest';
import { Declined, MOST_DECLINED } from './declined.ts';

test('says the same object until it says something else, and each lease for its own time', () => {
  const declined = new Declined();
  expect(declined.said).toBeUndefined();
  expect(declined.deadline()).toBe(Number.POSITIVE_INFINITY);
  declined.add('a', 10);
  declined.add('b', 20);
  const { said } = declined;
  expect(said).toEqual(['a', 'b']);
  declined.remove('c');
  expect(declined.said).toBe(said);
  expect(declined.deadline()).toBe(10);
  declined.expire(10);
  expect(declined.said).toEqual(['b']);
  expect([declined.has('a'), declined.has('b')]).toEqual([false, true]);
});

test('all is more than some, and ends by itself', () => {
  const declined = new Declined();
  declined.add('a', 30);
  declined.addAll(20);
  expect(declined.said).toBe('all');
  expect(declined.has('z')).toBe(true);
  declined.expire(20);
  expect(declined.said).toEqual(['a']);
  declined.clear();
  expect(declined.said).toBeUndefined();
});

test('of more than a row has room for the newest count', () => {
  const declined = new Declined();
  for (let index = 0; index <= MOST_DECLINED; index += 1) declined.add(`s${index}`, 10);
  expect(declined.said).toHaveLength(MOST_DECLINED);
  expect([declined.has('s0'), declined.has('s1'), declined.has(`s${MOST_DECLINED}`)]).toEqual([false, true, true]);
});

import { expect, test } from 'vitest';
import { ManualClock } from './manual-clock.ts';

test('timers fire in the order of their time, each at its own, also those set on the way', () => {
  const clock = new ManualClock(1_000);
  const fired: [string, number][] = [];
  const note = (name: string) => () => void fired.push([name, clock.wallNow()]);
  clock.setTimer(note('late'), 30);
  clock.setTimer(() => {
    note('early')();
    clock.setTimer(note('set on the way'), 5);
  }, 10);
  const cancel = clock.setTimer(note('cancelled'), 20);
  cancel();
  clock.setTimer(note('after'), 31);
  clock.advance(30);
  expect(fired).toEqual([
    ['early', 1_010],
    ['set on the way', 1_015],
    ['late', 1_030],
  ]);
  expect(clock.now()).toBe(1_030);
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 1e20, '5', undefined])('time does not move by %s', (ms) => {
  const clock = new ManualClock(1000);
  expect(() => clock.advance(ms as number)).toThrow('ms: expected milliseconds from 0 to 9007199254740991, got');
  expect(clock.now()).toBe(1000);
});

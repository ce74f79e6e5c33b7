import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LONGEST_WINDOW_SECONDS, StatisticsGroup } from './statistics.ts';

interface Sample {
  readonly value: number;
  readonly second: number;
}

/** What a list of all samples would say. */
function plainly(samples: readonly Sample[]): object | undefined {
  if (samples.length === 0) return undefined;
  const values = samples.map(({ value }) => value);
  const sum = values.reduce((total, value) => total + value, 0);
  return { sampleCount: values.length, sum, min: Math.min(...values), max: Math.max(...values) };
}

test('totals, periods and windows are those of all samples kept in a list', () => {
  const step = fc.record({
    waitSeconds: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 90 })),
    value: fc.integer({ min: -5, max: 1_000 }),
    metric: fc.integer({ min: 0, max: 2 }),
    takes: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 60 }), (steps, seconds) => {
      const group = new StatisticsGroup(3, true);
      let second = 0;
      let all: (Sample & { readonly metric: number })[] = [];
      let taken = 0;
      for (const { waitSeconds, value, metric, takes } of steps) {
        second += waitSeconds;
        group.add(metric, value, second);
        all = [...all, { value, second, metric }];
        if (takes) {
          for (const number of [0, 1, 2]) {
            const fresh = all.slice(taken).filter((one) => one.metric === number);
            expect(group.takePeriod(number)).toEqual(plainly(fresh));
          }
          taken = all.length;
        }
        for (const number of [0, 1, 2]) {
          const mine = all.filter((one) => one.metric === number);
          expect(group.total(number)).toEqual(plainly(mine));
          const recent = mine.filter((one) => one.second > second - seconds);
          expect(group.window(number, seconds, second)).toEqual(plainly(recent));
        }
      }
    }),
  );
});

test('a minute later a window is empty, and the total is not', () => {
  const group = new StatisticsGroup(1, true);
  group.add(0, 7, 100);
  expect(group.window(0, LONGEST_WINDOW_SECONDS, 159)).toMatchObject({ sum: 7 });
  expect(group.window(0, LONGEST_WINDOW_SECONDS, 160)).toBeUndefined();
  expect(group.total(0)).toMatchObject({ sum: 7 });
});

test('without windows only the running second is known of the last ones', () => {
  const group = new StatisticsGroup(1, false);
  group.add(0, 7, 100);
  group.add(0, 8, 101);
  expect(group.window(0, 10, 101)).toEqual({ sampleCount: 1, sum: 8, min: 8, max: 8 });
  expect(group.total(0)).toMatchObject({ sum: 15 });
});

test('a group that takes another one over counts everything once more, the least and greatest included', () => {
  const [all, one] = [new StatisticsGroup(2, true), new StatisticsGroup(2, true)];
  all.addMany(0, 2, 10, 4, 6, 5);
  one.add(0, 1, 5);
  one.takePeriod(0);
  one.add(0, 9, 6);
  all.absorb(one, 7);
  expect(all.total(0)).toEqual({ sampleCount: 4, sum: 20, min: 1, max: 9 });
  expect(all.takePeriod(0)).toEqual({ sampleCount: 3, sum: 19, min: 4, max: 9 });
  expect(all.total(1)).toBeUndefined();
});

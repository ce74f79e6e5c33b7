import { ManualClock } from '@shardline/local';
import { expect, test } from 'vitest';
import { GivenUp } from './given-up.ts';

test('what was given up is told until something of it is handled, and counted', () => {
  const clock = new ManualClock();
  const givenUp = new GivenUp(clock);
  givenUp.gaveUp('a');
  clock.advance(5_000);
  givenUp.gaveUp('a');
  givenUp.gaveUp('b');
  clock.advance(2_000);
  expect(givenUp.reasons()).toEqual([
    expect.stringMatching(/^a: this worker gave the lease up 2 times, last 2 s ago, because/),
    expect.stringMatching(/^b: this worker gave the lease up once 2 s ago, because/),
  ]);
  givenUp.handled('a');
  expect(givenUp.reasons()).toHaveLength(1);
});

test('what others have for good is forgotten after ten minutes', () => {
  const clock = new ManualClock();
  const givenUp = new GivenUp(clock);
  givenUp.gaveUp('a');
  clock.advance(600_000);
  expect(givenUp.reasons()).toHaveLength(1);
  clock.advance(1);
  expect(givenUp.reasons()).toEqual([]);
});

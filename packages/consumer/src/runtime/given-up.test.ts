import { ManualClock } from '@shardline/local';
import { expect, test } from 'vitest';
import { GivenUp } from './given-up.ts';

test('what was given up is told until something of it is handled, and counted', () => {
  const clock = new ManualClock();
  const givenUp = new GivenUp(clock);
  givenUp.gaveUp('a', 'handler');
  clock.advance(5_000);
  givenUp.gaveUp('a', 'handler');
  givenUp.gaveUp('b', 'handler');
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
  givenUp.gaveUp('a', 'handler');
  clock.advance(600_000);
  expect(givenUp.reasons()).toHaveLength(1);
  clock.advance(1);
  expect(givenUp.reasons()).toEqual([]);
});

test('what was given up for want of a read or a checkpoint is told until one comes; the other one ends nothing', () => {
  const givenUp = new GivenUp(new ManualClock());
  givenUp.gaveUp('a', 'read');
  givenUp.gaveUp('b', 'checkpoint');
  givenUp.gaveUp('c', 'handler');
  expect(givenUp.reasons()).toEqual([
    expect.stringContaining('a: this worker gave the lease up once 0 s ago, because no read of the shard was answered'),
    expect.stringContaining('because no checkpoint could be written'),
    expect.stringContaining('because its handler had not returned'),
  ]);
  for (const leaseKey of ['b', 'c']) givenUp.gotOn(leaseKey, 'read');
  expect(givenUp.reasons()).toHaveLength(3);
  givenUp.gotOn('a', 'read');
  givenUp.gotOn('b', 'checkpoint');
  expect(givenUp.reasons()).toEqual([expect.stringMatching(/^c: /)]);
});

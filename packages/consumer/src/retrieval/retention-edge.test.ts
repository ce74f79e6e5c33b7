// When records may have expired that nobody read, by the clock, the calendar and what answers said.
import { ManualClock } from '@shardline/local';
import { expect, it } from 'vitest';
import { RetentionEdge } from './retention-edge.ts';

const HOUR_MS = 3_600_000;
const at = (sequenceNumber: bigint) => ({ sequenceNumber: sequenceNumber as never, subSequenceNumber: 0 });

it('is near where nobody is known to have read, and there is nothing to be checked again', () => {
  const edge = new RetentionEdge(new ManualClock());
  expect([edge.isNear, edge.cause, edge.mustCheck(at(1n))]).toEqual([true, 'away', false]);
});

it.each([
  ['at the tip', 0, 23, false],
  ['at the tip, and asked nothing for a day', 0, 24, true],
  ['half a day behind', 12, 11, false],
  ['half a day behind, half a day ago', 12, 12, true],
  ['as far behind as the shortest retention', 24, 0, true],
])('a reader that was %s', (_where, behindHours, hoursAgo, isNear) => {
  const clock = new ManualClock();
  const edge = new RetentionEdge(clock);
  edge.asks();
  // What an answer says is of the moment at which it was asked for, at the latest.
  clock.advance(hoursAgo * HOUR_MS);
  edge.answered(behindHours * HOUR_MS);
  expect([edge.isNear, edge.cause]).toEqual([isNear, 'behind']);
});

it('is found out by the calendar where the clock stood still, as of a machine that was suspended', () => {
  let wallMs = 0;
  const edge = new RetentionEdge({ now: () => 0, wallNow: () => wallMs, setTimer: () => () => undefined });
  edge.asks();
  edge.answered(0);
  wallMs = 25 * HOUR_MS;
  expect(edge.isNear).toBe(true);
});

it('does not forget what was read because an iterator made since then stands at the horizon', () => {
  const clock = new ManualClock();
  const edge = new RetentionEdge(clock);
  edge.asks();
  edge.answered(0);
  clock.advance(HOUR_MS);
  edge.asks();
  edge.answered(24 * HOUR_MS, true);
  expect(edge.isNear).toBe(false);
  edge.answered(24 * HOUR_MS);
  expect(edge.isNear).toBe(true);
});

it('has each place checked once, and forgets what it knew when reading begins elsewhere', () => {
  const edge = new RetentionEdge(new ManualClock());
  edge.asks();
  edge.answered(25 * HOUR_MS);
  expect(edge.mustCheck(at(1n))).toBe(true);
  edge.checks(at(1n));
  expect([edge.mustCheck(at(1n)), edge.mustCheck(at(2n))]).toEqual([false, true]);
  edge.begin();
  expect([edge.isNear, edge.cause, edge.mustCheck(at(2n))]).toEqual([true, 'away', false]);
});

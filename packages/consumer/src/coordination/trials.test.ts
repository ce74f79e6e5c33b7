import { describe, expect, test } from 'vitest';
import { Trials } from './trials.ts';

describe('Trials', () => {
  test('begin with the first lease that ran out, and at once; from the second in a row on after pauses that double, up to tenfold', () => {
    const trials = new Trials(60_000);
    expect(trials.has('w')).toBe(false);
    const pauses = Array.from({ length: 7 }, () => {
      trials.failed('w', 1_000);
      let pauseMs = 0;
      while (!trials.mayBegin('w', 1_000 + pauseMs)) pauseMs += 1_000;
      return pauseMs / 1_000;
    });
    expect(pauses).toEqual([0, 60, 120, 240, 480, 600, 600]);
    expect(trials.has('w')).toBe(true);
    expect(trials.has('v')).toBe(false);
    expect(trials.mayBegin('v', 0)).toBe(true);
  });

  test('end when a lease is written, and with the row of the worker', () => {
    const trials = new Trials(60_000);
    for (const id of ['w', 'v']) for (let count = 0; count < 3; count += 1) trials.failed(id, 0);
    trials.passed('w');
    expect(trials.has('w')).toBe(false);
    expect(trials.mayBegin('w', 0)).toBe(true);
    trials.keep((id) => id !== 'v');
    expect(trials.mayBegin('v', 0)).toBe(true);
  });
});

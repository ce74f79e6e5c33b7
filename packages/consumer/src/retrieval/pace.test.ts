import { describe, expect, it } from 'vitest';
import { Pace } from './pace.ts';

const MIB = 1024 * 1024;
const IDLE_MS = 3_200;

/** Reads as soon as it may. @returns how long after the read before. */
function next(pace: Pace, at: { now: number }): number {
  const waitedMs = pace.dueAt - at.now;
  at.now = pace.dueAt;
  pace.began(at.now);
  return waitedMs;
}

function begun(): { pace: Pace; at: { now: number } } {
  const pace = new Pace(IDLE_MS);
  pace.began(0);
  return { pace, at: { now: 0 } };
}

describe('a shard that is read alone', () => {
  it('behind its tip: every 200 ms, whatever its answers hold, as long as nobody refuses', () => {
    const { pace, at } = begun();
    for (let n = 0; n < 10; n += 1) {
      pace.answered(10 * MIB, true);
      expect(next(pace, at)).toBe(200);
    }
  });

  it('at its tip: after the idle time, or up to a thirty-second of it sooner', () => {
    const { pace, at } = begun();
    for (let n = 0; n < 10; n += 1) {
      pace.answered(0, false);
      const waitedMs = next(pace, at);
      expect(waitedMs).toBeLessThanOrEqual(IDLE_MS);
      expect(waitedMs).toBeGreaterThan(IDLE_MS - IDLE_MS / 32);
      at.now += 1;
      pace.began(at.now);
    }
  });

  it('whose answer had taken more than it may: once what was read is paid for at 2 MiB/s, and so from then on', () => {
    const { pace, at } = begun();
    pace.answered(10 * MIB, true);
    expect(next(pace, at)).toBe(200);
    pace.refused();
    expect(next(pace, at)).toBe(4_800);
    pace.answered(4 * MIB, true);
    expect(next(pace, at)).toBe(2_000);
  });
});

describe('a shard that others read as well', () => {
  it('is read at half the pace after each refusal, but once in an idle time at least', () => {
    const { pace, at } = begun();
    const waits = Array.from({ length: 6 }, () => {
      pace.refused();
      return next(pace, at);
    });
    expect(waits).toEqual([400, 800, 1_600, 3_200, 3_200, 3_200]);
  });

  it('is read faster again with each answer', () => {
    const { pace, at } = begun();
    for (let n = 0; n < 4; n += 1) {
      pace.refused();
      next(pace, at);
    }
    const waits = Array.from({ length: 30 }, () => {
      pace.answered(1_000, true);
      return next(pace, at);
    });
    expect(waits.slice(0, 2)).toEqual([2_800, 2_450]);
    expect(waits.at(-1)).toBe(200);
    expect(waits.toSorted((a, b) => b - a)).toEqual(waits);
  });
});

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Clock, delay, setPatientTimer, systemClock } from './clock.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('systemClock', () => {
  test('calls back once, not before the delay, fractions rounded up', () => {
    const called: string[] = [];
    systemClock.setTimer(() => called.push('a'), 10.2);
    vi.advanceTimersByTime(10);
    expect(called).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(called).toEqual(['a']);
    vi.advanceTimersByTime(1000);
    expect(called).toEqual(['a']);
  });

  test('a cancelled timer stays silent, and cancelling twice is fine', () => {
    const called: string[] = [];
    const cancel = systemClock.setTimer(() => called.push('a'), 5);
    cancel();
    cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(100);
    expect(called).toEqual([]);
  });

  test('a delay beyond 2^31 − 1 ms is cut, not turned into 1 ms as Node would; a negative one is 0', () => {
    const called: string[] = [];
    systemClock.setTimer(() => called.push('far'), 1e15);
    systemClock.setTimer(() => called.push('past'), -5);
    vi.advanceTimersByTime(1000);
    expect(called).toEqual(['past']);
  });

  test('now never goes back, wallNow is the calendar', () => {
    vi.setSystemTime(1_700_000_000_000);
    expect(systemClock.wallNow()).toBe(1_700_000_000_000);
    const before = systemClock.now();
    vi.advanceTimersByTime(7);
    expect(systemClock.now() - before).toBeCloseTo(7);
  });
});

describe('a patient timer', () => {
  test('calls back once, after the delay, and not when cancelled', () => {
    const called: string[] = [];
    setPatientTimer(systemClock, () => called.push('a'), 800);
    const cancel = setPatientTimer(systemClock, () => called.push('b'), 800);
    vi.advanceTimersByTime(799);
    expect(called).toEqual([]);
    cancel();
    vi.advanceTimersByTime(1);
    expect(called).toEqual(['a']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('takes a pause of the process for one eighth of the delay: what came meanwhile is seen before it calls back', () => {
    let [nowMs, timers]: [number, { dueMs: number; callback: () => void }[]] = [0, []];
    const clock: Clock = {
      now: () => nowMs,
      wallNow: () => nowMs,
      setTimer: (callback, delayMs) => {
        const timer = { dueMs: nowMs + delayMs, callback };
        timers.push(timer);
        return () => {
          timers = timers.filter((each) => each !== timer);
        };
      },
    };
    /** One turn of the event loop: the timers that are due, then the sockets. */
    const turn = (afterMs: number): void => {
      nowMs += afterMs;
      const due = timers.filter(({ dueMs }) => dueMs <= nowMs);
      timers = timers.filter((timer) => !due.includes(timer));
      for (const { callback } of due) callback();
    };
    const called: string[] = [];
    const cancel = setPatientTimer(clock, () => called.push('late'), 800);
    turn(10_000);
    expect(called).toEqual([]);
    cancel();
    setPatientTimer(clock, () => called.push('never answered'), 800);
    for (let count = 0; count < 8; count++) turn(10_000);
    expect(called).toEqual(['never answered']);
  });
});

describe('delay', () => {
  const clock: Clock = systemClock;

  test('resolves after the delay and leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    const waiting = delay(clock, 20, signal);
    await vi.advanceTimersByTimeAsync(20);
    await expect(waiting).resolves.toBeUndefined();
    expect(remove).toHaveBeenCalledTimes(1);
  });

  test('rejects with the reason as soon as the signal aborts, and leaves no timer', async () => {
    const controller = new AbortController();
    const waiting = delay(clock, 20, controller.signal);
    const reason = new Error('lease lost');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('rejects at once when the signal is aborted already', async () => {
    await expect(delay(clock, 20, AbortSignal.abort('gone'))).rejects.toBe('gone');
    expect(vi.getTimerCount()).toBe(0);
  });
});

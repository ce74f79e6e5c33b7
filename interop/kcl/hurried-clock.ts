// A clock whose time runs faster than the time it is made from, so that what takes minutes by it can be waited for.
import type { Clock } from '@shardline/common';

export function hurriedClock(clock: Clock, factor: number): Clock {
  const startMs = clock.wallNow();
  return {
    now: () => clock.now() * factor,
    wallNow: () => startMs + (clock.wallNow() - startMs) * factor,
    setTimer: (callback, delayMs, keepAlive) => clock.setTimer(callback, delayMs / factor, keepAlive),
  };
}

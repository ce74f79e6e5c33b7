// A clock that stands still until it is told to move: with it the rules of five minutes and of 24 hours are tested in no time.
// Timers fire in the order of their time, each at its own time, while `advance` passes over them.
import { type Clock, describe, UsageError } from '@shardline/common/base';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

export class ManualClock implements Clock {
  #nowMs: number;
  readonly #timers: Set<Timer> = new Set();

  /** Starts at `startMs` since 1970. @throws UsageError */
  constructor(startMs = 1_700_000_000_000) {
    checkTime('startMs', startMs);
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#nowMs;
  }

  setTimer(callback: () => void, delayMs: number): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Moves on by `ms`, and fires what becomes due on the way. @throws UsageError: time does not go back */
  advance(ms: number): void {
    checkTime('ms', ms);
    const untilMs = this.#nowMs + ms;
    for (let next = this.#nextBy(untilMs); next !== undefined; next = this.#nextBy(untilMs)) {
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #nextBy(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}

function checkTime(field: string, ms: number): void {
  if (typeof ms === 'number' && ms >= 0 && ms <= Number.MAX_SAFE_INTEGER) return;
  throw new UsageError(field, `milliseconds from 0 to ${Number.MAX_SAFE_INTEGER}`, describe(ms));
}

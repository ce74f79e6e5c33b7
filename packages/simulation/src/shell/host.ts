// The machine that one worker runs on, as its ports: a clock and chance. It can fall asleep, so that whatever comes reaches it late,
// and be killed, so that nothing reaches it any more. It knows what its worker still waits for.
// Invariant: a dead host's code never runs again; a sleeping one's runs when it wakes, in the order in which things came.
import type { Clock, Random } from '@shardline/common';
import { createPrng, type Prng } from '../prng.ts';
import type { VirtualTime } from './virtual-time.ts';

/** When the virtual time begins: 2023-11-14. */
export const WALL_START_MS = 1_700_000_000_000;

export class Host {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls that were sent and neither answered nor aborted. */
  readonly calls: Set<string> = new Set();
  /** Its worker has ended: it must not ask for anything any more. */
  onPortUsed: ((what: string) => void) | undefined;
  readonly #time: VirtualTime;
  readonly #timers = new Set<object>();
  #alive = true;
  #asleepUntil = 0;

  constructor(name: string, seed: number, time: VirtualTime) {
    this.name = name;
    this.#time = time;
    const prng = createPrng(seed);
    // A monotonic clock means nothing outside of its process.
    const uptimeMs = prng.int(1_000_000);
    this.clock = {
      now: () => uptimeMs + time.now,
      wallNow: () => WALL_START_MS + time.now,
      setTimer: (callback, delayMs) => this.#setTimer(callback, delayMs),
    };
    this.random = { next: () => prng.next(), uuid: () => uuidOf(prng) };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get asleep(): boolean {
    return this.#time.now < this.#asleepUntil;
  }

  /** Timers that will fire. */
  get timerCount(): number {
    return this.#timers.size;
  }

  kill(): void {
    this.#alive = false;
    this.#timers.clear();
    this.calls.clear();
  }

  sleep(durationMs: number): void {
    this.#asleepUntil = this.#time.now + durationMs;
  }

  wake(): void {
    this.#asleepUntil = 0;
  }

  /** Something comes from outside. */
  reach(run: () => void): void {
    if (!this.#alive) return;
    if (this.asleep) this.#time.queue.at(this.#asleepUntil, () => this.reach(run));
    else {
      this.#time.touch();
      run();
    }
  }

  /** The worker uses a port. */
  used(what: string): void {
    this.#time.touch();
    this.onPortUsed?.(what);
  }

  /** Of the application on this host; no timer of the worker's. Ends early with the signal. */
  pass(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        signal?.removeEventListener('abort', end);
        this.reach(resolve);
      };
      this.#time.queue.after(durationMs, end);
      signal?.addEventListener('abort', end, { once: true });
    });
  }

  #setTimer(callback: () => void, delayMs: number): () => void {
    this.used('a timer');
    const timer = {};
    this.#timers.add(timer);
    this.#time.queue.after(Math.max(0, Math.ceil(delayMs)), () => {
      if (this.#timers.has(timer)) this.reach(() => this.#timers.delete(timer) && callback());
    });
    return () => {
      this.#timers.delete(timer);
    };
  }
}

function uuidOf(prng: Prng): string {
  const hex = (digits: number): string => Array.from({ length: digits }, () => prng.int(16).toString(16)).join('');
  return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
}

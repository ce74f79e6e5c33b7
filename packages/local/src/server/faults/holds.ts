// The requests that faults keep: those that wait for their delay, and those that will get no answer. Owns their end: a wait by
// the server's clock, silence until the client goes or for MAX_SILENCE_MS, and all of them at once by `release`.
// Invariant: past `release` nothing that was held is applied or answered, no timer is left.
import { type Clock, systemClock } from '@shardline/common/base';
import type { HttpReply } from '../http-exchange.ts';

/** Longer than any client waits; then its connection is dropped. */
const MAX_SILENCE_MS = 600_000;
/** Each may hold a request's body. Beyond it nobody is held any more. */
const MAX_HELD = 10_000;

export class Holds {
  readonly #clock: Clock;
  /** Each ends one hold, at once. */
  readonly #held: Set<() => void> = new Set();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves after `ms` of the server's clock with true, or with false when it was released before. */
  async wait(ms: number): Promise<boolean> {
    if (ms === 0 || this.#held.size >= MAX_HELD) return true;
    return new Promise((resolve) => {
      const end = (isOver: boolean): void => {
        this.#held.delete(release);
        cancel();
        resolve(isOver);
      };
      const release = (): void => end(false);
      const cancel = this.#clock.setTimer(() => end(true), ms, false);
      this.#held.add(release);
    });
  }

  /** Leaves a client without a further byte. Whoever calls writes none. */
  keepSilent(reply: HttpReply): void {
    const release = (): void => void reply.destroy();
    if (this.#held.size >= MAX_HELD) {
      release();
      return;
    }
    const cancel = systemClock.setTimer(release, MAX_SILENCE_MS, false);
    this.#held.add(release);
    reply.on('close', () => {
      this.#held.delete(release);
      cancel();
    });
  }

  /** Lets go of everything: who waits is not served any more, who hears nothing is hung up on. */
  release(): void {
    for (const end of [...this.#held]) end();
  }
}

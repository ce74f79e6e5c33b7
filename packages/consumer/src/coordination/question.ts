// The one question of a shard that may be open before and after it is processed: to the table about its relatives, to the handler whether it
// opens, drains or ends. Tried again with back-off when it fails. Pure. Invariant: at most one is open.
import { type BackoffOptions, backoffMs } from '@shardline/common';
import type { Effect, Tell } from './effects.ts';

export class Question {
  readonly #out: (Effect | Tell)[];
  #isOpen = false;
  #retryAt = 0;
  #attempt = 0;

  /** @param out where effects are put, in order. */
  constructor(out: (Effect | Tell)[]) {
    this.#out = out;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** When the next may be asked; infinite while one is open: only its answer brings the shard on. */
  deadline(): number {
    return this.#isOpen ? Number.POSITIVE_INFINITY : this.#retryAt;
  }

  mayAsk(now: number): boolean {
    return !this.#isOpen && now >= this.#retryAt;
  }

  ask(effect: Effect): void {
    this.#isOpen = true;
    this.#out.push(effect);
  }

  answered(): void {
    this.#isOpen = false;
    this.#attempt = 0;
  }

  /** It failed, or may have, and is not asked again. */
  dropped(): void {
    this.#isOpen = false;
  }

  /** It failed, or may have. @returns in how many ms it may be asked again. */
  failed(now: number, random: number, backoff: BackoffOptions): number {
    this.#isOpen = false;
    this.#attempt += 1;
    const retryInMs = backoffMs(this.#attempt, random, backoff);
    this.#retryAt = now + retryInMs;
    return retryInMs;
  }

  /** The next one is not to be asked before. */
  notBefore(at: number): void {
    this.#retryAt = at;
  }
}

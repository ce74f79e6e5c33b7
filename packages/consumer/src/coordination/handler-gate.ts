// Whether the handler of a shard may be called: not while the lease is stale, since somebody else may have it, and not while it is paused.
// Pure. Invariant: one that is held back is brought on by the holder's next answer, or by an operator, not by the passing of time.
import type { LeaseHolder } from './lease-holder.ts';
import type { Pauses } from './pauses.ts';

export class HandlerGate {
  readonly #holder: LeaseHolder;
  readonly #pauses: Pauses;
  #isShut = false;

  constructor(holder: LeaseHolder, pauses: Pauses) {
    this.#holder = holder;
    this.#pauses = pauses;
  }

  /** As it was found last. */
  get isShut(): boolean {
    return this.#isShut;
  }

  isOpen(now: number): boolean {
    this.#isShut = !this.#holder.isFresh(now) || this.#pauses.since(this.#holder.lease.leaseKey) !== undefined;
    return !this.#isShut;
  }
}

// An operator's replays on their way through the core: each is asked there as an event, and its promise settles with the core's answer.
// Invariant: every promise settles once, at the latest when the runtime ends.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { ReplayRequested } from '../coordination/effects.ts';
import type { ReplayOutcome } from '../coordination/replaying.ts';

export class PendingReplays {
  readonly #post: (event: ReplayRequested) => void;
  readonly #pending = new Map<number, (outcome: ReplayOutcome) => void>();
  #count = 0;
  #isOver = false;

  constructor(post: (event: ReplayRequested) => void) {
    this.#post = post;
  }

  /** Resolves once the shard is read from behind `position`, or is not going to be: after its handler has returned. */
  ask(leaseKey: string, position: ExtendedSequenceNumber): Promise<ReplayOutcome> {
    if (this.#isOver) return Promise.resolve('notHeld');
    this.#count += 1;
    const requestId = this.#count;
    return new Promise((resolve) => {
      this.#pending.set(requestId, resolve);
      this.#post({ kind: 'replay', leaseKey, position, requestId });
    });
  }

  settle(requestId: number, outcome: ReplayOutcome): void {
    this.#pending.get(requestId)?.(outcome);
    this.#pending.delete(requestId);
  }

  /** The runtime has ended: nothing is answered any more. */
  close(): void {
    this.#isOver = true;
    for (const requestId of this.#pending.keys()) this.settle(requestId, 'leaseLost');
  }
}

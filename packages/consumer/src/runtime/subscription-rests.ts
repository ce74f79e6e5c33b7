// Whether a shard that cannot be subscribed to only rests, or somebody else reads it by the same registered consumer. Kinesis gives a
// shard to another subscription of the same consumer no sooner than 5 s after the last one began, so each restart and each handoff costs a rest
// of some seconds: that is expected, and nobody has to see to it. Two that want the same shard take it from each other every 5 s or so, and
// each reads in between: so a read ends a rest only when no refusal follows.
// Invariant: bounded by the leases in this worker's hands.

/** Four times what Kinesis asks for: room for the pauses between two tries, and for a process that was restarted twice. */
export const LONGEST_REST_MS = 20_000;
/** Of two that take a shard from each other, each has it for 5 s and the other's pause, 10 s at most. */
const QUIET_MS = 30_000;

interface Rest {
  readonly firstAt: number;
  lastAt: number;
}

export class SubscriptionRests {
  readonly #rests = new Map<string, Rest>();

  get areNone(): boolean {
    return this.#rests.size === 0;
  }

  /** The shard was refused. @returns since when it is. */
  refused(leaseKey: string, now: number): number {
    const rest = this.#rests.get(leaseKey) ?? { firstAt: now, lastAt: now };
    rest.lastAt = now;
    this.#rests.set(leaseKey, rest);
    return rest.firstAt;
  }

  /** The shard was read. @returns whether it is this worker's alone, as far as can be seen. */
  read(leaseKey: string, now: number): boolean {
    const rest = this.#rests.get(leaseKey);
    if (rest !== undefined && now < rest.lastAt + QUIET_MS) return false;
    this.#rests.delete(leaseKey);
    return true;
  }

  forget(leaseKey: string): void {
    this.#rests.delete(leaseKey);
  }
}

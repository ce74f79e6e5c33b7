// Watches the time to live. Every admitted user record passes here once, in put order; as all have the same time to live, the
// front one expires first. A record in flight (or written and undecided) is not expired but awaited: its answer decides,
// and the retrier lets nothing begin after the time to live. Pure: `now` is an argument.
// Invariant: every unsettled user record is in here, or was in flight when its time was over.
import { Fifo } from './fifo.ts';
import type { UserRecord } from './user-record.ts';

const SMALLEST_SWEEP_COUNT = 1024;

export class Expiry {
  readonly #records = new Fifo<UserRecord>();
  #sweepAtCount = SMALLEST_SWEEP_COUNT;

  /** Records kept, settled ones that have not been dropped yet included. */
  get heldCount(): number {
    return this.#records.length;
  }

  put(record: UserRecord): void {
    this.#records.push(record);
    if (this.#records.length >= this.#sweepAtCount) this.#sweep();
  }

  /** When the next unsettled record expires; Infinity when there is none. */
  deadline(): number {
    return this.#front()?.expiresAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** The records that are to fail now, because their time is over and no attempt is under way. */
  expire(nowMs: number): UserRecord[] {
    const expired: UserRecord[] = [];
    for (let record = this.#front(); record !== undefined && record.expiresAtMs <= nowMs; record = this.#front()) {
      this.#records.shift();
      if (!isAwaited(record)) expired.push(record);
    }
    return expired;
  }

  /** All unsettled records that are watched. */
  unsettled(): UserRecord[] {
    return [...this.#records].filter((record) => !record.settled);
  }

  #front(): UserRecord | undefined {
    for (let record = this.#records.peek(); record !== undefined; record = this.#records.peek()) {
      if (!record.settled) return record;
      this.#records.shift();
    }
    return undefined;
  }

  /** One record that waits long must not keep the settled ones behind it: drops them whenever the queue has doubled. */
  #sweep(): void {
    this.#records.keep((record) => !record.settled);
    this.#sweepAtCount = Math.max(SMALLEST_SWEEP_COUNT, this.#records.length * 2);
  }
}

function isAwaited(record: UserRecord): boolean {
  const phase = record.carrier?.phase;
  return phase === 'in-flight' || phase === 'undecided';
}

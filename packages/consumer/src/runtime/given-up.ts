// Shards that this worker gave up because they did not get on. A lease that is given up may come back, and each tenure is
// watched anew: a probe that looks between two of them would never see that nothing gets on here. So it is remembered until what was
// waited for has come, or the handler has finished something of that shard, or for ten minutes. It gives nothing up by itself.
// Invariant: bounded by the number of leases.
import type { Clock } from '@shardline/common';
import type { StallReason } from '../coordination/watchdog.ts';

/** As long as it may take until the lease comes back, through workers that give it up in turn. */
const REMEMBERED_MS = 600_000;

const because: Readonly<Record<StallReason, string>> = {
  handler: 'its handler had not returned in stallLimitMs; look for what it waits for',
  read: 'no read of the shard was answered in stallLimitMs; look for the errors of reading in its log',
  checkpoint: 'no checkpoint could be written in stallLimitMs; look for the errors of writing in its log',
};

interface Entry {
  reason: StallReason;
  lastAt: number;
  count: number;
}

export class GivenUp {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What was waited for did not come in time. */
  gaveUp(leaseKey: string, reason: StallReason): void {
    const now = this.#clock.now();
    const entry = this.#entries.get(leaseKey);
    if (entry === undefined) this.#entries.set(leaseKey, { reason, lastAt: now, count: 1 });
    else {
      entry.reason = reason;
      entry.lastAt = now;
      entry.count += 1;
    }
  }

  /** The handler has finished something of it, while the lease was held. */
  handled(leaseKey: string): void {
    this.#entries.delete(leaseKey);
  }

  /** A read of it was answered, or a checkpoint written. */
  gotOn(leaseKey: string, reason: StallReason): void {
    if (this.#entries.get(leaseKey)?.reason === reason) this.#entries.delete(leaseKey);
  }

  /** For health, a sentence each. */
  reasons(): string[] {
    const now = this.#clock.now();
    for (const [leaseKey, { lastAt }] of this.#entries)
      if (now - lastAt > REMEMBERED_MS) this.#entries.delete(leaseKey);
    return [...this.#entries].map(([leaseKey, { reason, lastAt, count }]) => {
      const times = count === 1 ? 'once' : `${count} times, last`;
      const seconds = Math.round((now - lastAt) / 1000);
      return (
        `${leaseKey}: this worker gave the lease up ${times} ${seconds} s ago, because ${because[reason]}, ` +
        'and end this process if it is well elsewhere'
      );
    });
  }
}

// Tells a second process that renews leases under this worker's id from a leader that assigns them to it: leases that were lost to
// the own name are left alone for as long as one renewal may take, and looked at. Pure. A leader's write that leaves the owner as he is
// takes a counter that stood still for a failover time; freeing a lease and assigning it again takes two writes.
// Invariant: only one write between two looks, under the own name both times, to a counter younger than a failover time is foreign.
import { actualOwner, type Lease } from './lease.ts';

export interface ForeignRenewalsOptions {
  readonly workerId: string;
  readonly failoverTimeMs: number;
}

interface Watched {
  readonly leaseCounter: number;
  /** The counter was written after that. */
  readonly writtenAfter: number;
  readonly lookedAt: number;
  /** Nobody renews the lease when its counter has not moved by then. */
  readonly until: number;
}

/** A renewal comes every third of the failover time; a little more is given. */
export const RENEWAL_PATIENCE: number = 1.25 / 3;

export class ForeignRenewals {
  readonly #options: ForeignRenewalsOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: ForeignRenewalsOptions) {
    this.#options = options;
  }

  /**
   * A lease went to the own name by a write that was not this process's.
   * @param lease as it is now.
   * @param writtenAfter when this process last wrote it for sure.
   */
  lost({ leaseKey, leaseCounter }: Lease, writtenAfter: number, now: number): void {
    this.#watch(leaseKey, { leaseCounter, writtenAfter, lookedAt: now }, now);
  }

  /** Whether a lease is not to be taken up yet. */
  watches(leaseKey: string): boolean {
    return this.#watched.has(leaseKey);
  }

  /**
   * Leases that were read since the last look, none of them held.
   * @param areAll it was looked for all that name this worker.
   * @returns whether another process renews one of them under the id.
   */
  found(leases: readonly Lease[], areAll: boolean, now: number): boolean {
    let isForeign = false;
    const left = new Set(areAll ? this.#watched.keys() : []);
    for (const lease of leases) {
      const { leaseKey, leaseCounter } = lease;
      const watched = this.#watched.get(leaseKey);
      if (watched === undefined || actualOwner(lease) !== this.#options.workerId) continue;
      left.delete(leaseKey);
      const writeCount = leaseCounter - watched.leaseCounter;
      if (writeCount === 1 && now < watched.writtenAfter + this.#options.failoverTimeMs) isForeign = true;
      if (writeCount > 0) this.#watch(leaseKey, { leaseCounter, writtenAfter: watched.lookedAt, lookedAt: now }, now);
      else if (now >= watched.until) this.#watched.delete(leaseKey);
      else this.#watched.set(leaseKey, { ...watched, lookedAt: now });
    }
    // Somebody else's or nobody's by now: a leader's business.
    for (const leaseKey of left) this.#watched.delete(leaseKey);
    return isForeign;
  }

  #watch(leaseKey: string, seen: Omit<Watched, 'until'>, now: number): void {
    this.#watched.set(leaseKey, { ...seen, until: now + RENEWAL_PATIENCE * this.#options.failoverTimeMs });
  }
}

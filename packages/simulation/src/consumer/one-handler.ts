// No two handlers on one shard: whose writes were applied last, who has been asked to hand off, and who is delivering. A worker
// that has lost its lease may go on for as long as it cannot know.
import { actualOwner, type Lease } from '../../../consumer/dist/coordination/lease.js';

/** One tenure in one process; the same object for the same tenure. */
export interface TenureRef {
  readonly process: number;
  readonly tenure: number;
}

interface Running {
  /** When the last write of its tenure was applied. */
  confirmedAt: number;
}

export interface OneHandlerOptions {
  /** So long after a holder's last write nobody else may deliver; less than what the workers are told where clocks drift. */
  readonly failoverTimeMs: number;
  readonly handoffTimeoutMs: number;
}

export class OneHandlerChecker {
  readonly #options: OneHandlerOptions;
  readonly #confirmed = new Map<TenureRef, number>();
  readonly #running = new Map<string, Map<TenureRef, Running>>();
  /** Which tenure wrote a lease last, and since when a tenure has been asked to hand its lease off. */
  readonly #holders = new Map<string, TenureRef>();
  readonly #handoffs = new Map<TenureRef, number>();
  /** When a worker last took the lease. */
  readonly #taken = new Map<string, number>();

  constructor(options: OneHandlerOptions) {
    this.#options = options;
  }

  /** Gives what is wrong with it. */
  started(leaseKey: string, ref: TenureRef, now: number): string[] {
    const running = this.#runningOn(leaseKey);
    const others = [...running].filter(
      ([other, { confirmedAt }]) => !this.#mayRunOn(leaseKey, ref, other, confirmedAt, now),
    );
    running.set(ref, { confirmedAt: this.#confirmed.get(ref) ?? Number.NEGATIVE_INFINITY });
    return others.map(
      ([other, { confirmedAt }]) =>
        `two handlers on ${leaseKey} at ${now}: ${nameOf(other)} was confirmed at ${confirmedAt}, ${nameOf(ref)} started`,
    );
  }

  ended(leaseKey: string, ref: TenureRef): void {
    this.#runningOn(leaseKey).delete(ref);
  }

  /** Its holder gave the lease away: nothing of the tenure may run any more. */
  released(leaseKey: string, ref: TenureRef, now: number): string | undefined {
    if (!this.#runningOn(leaseKey).has(ref)) return undefined;
    return `${leaseKey} was released at ${now} by ${nameOf(ref)}, whose handler still runs`;
  }

  processDied(process: number): void {
    for (const running of this.#running.values()) {
      for (const ref of running.keys()) if (ref.process === process) running.delete(ref);
    }
  }

  /** By a worker, from whomever, or by its leader, to have it begin anew: the holder learns of it by its next write. */
  taken(leaseKey: string, now: number): void {
    this.#taken.set(leaseKey, now);
  }

  /** @param ref the tenure that made the write, if a holder did */
  rowChanged(before: Lease | undefined, after: Lease | undefined, ref: TenureRef | undefined, now: number): void {
    const leaseKey = (after ?? before)?.leaseKey ?? '';
    if (ref !== undefined) {
      this.#confirmed.set(ref, now);
      this.#holders.set(leaseKey, ref);
      const running = this.#runningOn(leaseKey).get(ref);
      if (running !== undefined) running.confirmedAt = now;
    }
    if (before !== undefined && after !== undefined && actualOwner(before) !== actualOwner(after))
      this.#holders.delete(leaseKey);
    const holder = this.#holders.get(leaseKey);
    if (ref !== undefined && before?.checkpointOwner !== undefined && after?.checkpointOwner === undefined)
      this.#handoffs.delete(ref);
    // Its time runs from the first request: a later one to whoever has the lease next is another tenure's.
    if (after?.checkpointOwner !== undefined && before?.checkpointOwner === undefined && holder !== undefined)
      if (!this.#handoffs.has(holder)) this.#handoffs.set(holder, now);
  }

  #mayRunOn(leaseKey: string, ref: TenureRef, other: TenureRef, confirmedAt: number, now: number): boolean {
    const { failoverTimeMs, handoffTimeoutMs } = this.#options;
    if (other === ref || now >= confirmedAt + failoverTimeMs) return true;
    const handoffAt = this.#handoffs.get(other);
    if (handoffAt !== undefined && now >= handoffAt + handoffTimeoutMs) return true;
    // By the protocol of the KCL 2.x whoever loses a lease learns of it by its next write.
    const known = Math.min(confirmedAt, this.#confirmed.get(ref) ?? Number.NEGATIVE_INFINITY);
    const takenAt = this.#taken.get(leaseKey);
    return takenAt !== undefined && takenAt >= known;
  }

  #runningOn(leaseKey: string): Map<TenureRef, Running> {
    const known = this.#running.get(leaseKey);
    if (known !== undefined) return known;
    const running = new Map<TenureRef, Running>();
    this.#running.set(leaseKey, running);
    return running;
  }
}

/** For people. */
export function nameOf({ process, tenure }: TenureRef): string {
  return `process ${process} tenure ${tenure}`;
}

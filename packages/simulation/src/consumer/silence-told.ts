// Watches what is told of workers that fell silent: by a leader alone, of leases that their owner did not write for so long as is said,
// and so of nobody who renews. By a history of its own of when each lease was written under which owner.
import { actualOwner, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';

export type SilenceNotice = Extract<Notice, { kind: 'workerSilent' }>;

interface Tenancy {
  writtenAt: number;
  /** Between a write under this owner and the next, whoever's that is. */
  longestMs: number;
}

export class SilenceChecker {
  /** By lease and actual owner. */
  readonly #tenancies = new Map<string, Tenancy>();

  /** A write was applied. */
  changed(before: Lease | undefined, after: Lease | undefined, now: number): void {
    if (before !== undefined && before.leaseCounter === after?.leaseCounter) return;
    const past = before && this.#tenancyOf(before, now);
    if (past !== undefined) past.longestMs = Math.max(past.longestMs, now - past.writtenAt);
    const present = after && this.#tenancyOf(after, now);
    if (present !== undefined) present.writtenAt = now;
  }

  /** When its present owner last wrote it; the beginning of time if that was never. */
  writtenAt(lease: Lease): number {
    return this.#tenancies.get(`${lease.leaseKey} ${actualOwner(lease)}`)?.writtenAt ?? 0;
  }

  /** What is wrong with a notice, if anything is. It may be told later than what was read for it, and the lease be written again by then. */
  judge({ workerId, silentMs, leases }: SilenceNotice, now: number): string | undefined {
    if (silentMs <= TIMES.failoverTimeMs) return `${workerId} is called silent after ${silentMs} ms`;
    for (const { leaseKey } of leases) {
      const tenancy = this.#tenancies.get(`${leaseKey} ${workerId}`);
      if (tenancy === undefined) return `${workerId} is called silent for ${leaseKey}, which it never had`;
      const longestMs = Math.max(tenancy.longestMs, now - tenancy.writtenAt);
      // The leader's clock may run fast.
      if (longestMs < silentMs / (1 + MAX_CLOCK_DRIFT))
        return `${workerId} is called silent at ${now} for ${silentMs} ms, and wrote ${leaseKey} at ${tenancy.writtenAt}`;
    }
    return undefined;
  }

  #tenancyOf(lease: Lease, now: number): Tenancy | undefined {
    const owner = actualOwner(lease);
    if (owner === undefined) return undefined;
    const key = `${lease.leaseKey} ${owner}`;
    let tenancy = this.#tenancies.get(key);
    if (tenancy === undefined) {
      tenancy = { writtenAt: now, longestMs: 0 };
      this.#tenancies.set(key, tenancy);
    }
    return tenancy;
  }
}

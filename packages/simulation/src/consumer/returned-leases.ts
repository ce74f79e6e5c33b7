// Watches leases that are a worker's again when the handler of its lost tenure has returned: it could not take them up before, and
// once nothing goes wrong any more it does so at once, not with its next look. By what stands in the table and is written to it.
import { RENEWAL_PATIENCE } from '../../../consumer/dist/coordination/foreign-renewals.js';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import { HEALED_CALL_MS, type SimulatedProcess, TIMEOUT_MS } from './process.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';

/** A look that is under way is answered, another one is, and the claim reaches the table. */
const CLAIM_MS = 3 * HEALED_CALL_MS;
/** A look of before the faults ended may have been lost, and is tried again. */
const UNSURE_MS = (TIMEOUT_MS + TIMES.retryMs) / (1 - MAX_CLOCK_DRIFT);

/** Between two looks for leases: the longest that swarm.ts draws. */
const LONGEST_LOOK_MS = 700;
/** Where a worker id was given, a lease that was lost to it is left to another process for so long, until the look after that. */
const SHARED_MS = (RENEWAL_PATIENCE * TIMES.failoverTimeMs + LONGEST_LOOK_MS) / (1 - MAX_CLOCK_DRIFT);

interface Returned {
  readonly process: SimulatedProcess;
  readonly leaseKey: string;
  readonly at: number;
}

export class ReturnedLeases {
  readonly #healedAt: number;
  readonly #claimMs: number;
  readonly #awaited = new Set<Returned>();

  /** @param idsAreGiven or made up for each process. */
  constructor(healedAt: number, idsAreGiven: boolean) {
    this.#healedAt = healedAt;
    this.#claimMs = CLAIM_MS + (idsAreGiven ? SHARED_MS : 0);
  }

  /** The handler of a lost tenure has returned; `lease` is as it stands in the table. */
  returned(process: SimulatedProcess, lease: Lease | undefined, at: number): void {
    if (lease !== undefined && isOf(process, lease)) this.#awaited.add({ process, leaseKey: lease.leaseKey, at });
  }

  /** The row of a lease has changed. */
  changed(leaseKey: string): void {
    for (const returned of this.#awaited) if (returned.leaseKey === leaseKey) this.#awaited.delete(returned);
  }

  /** What is wrong, if anything is. */
  judge(now: number): string | undefined {
    for (const returned of this.#awaited) {
      const { process, leaseKey, at } = returned;
      if (now <= Math.max(at, this.#healedAt + UNSURE_MS) + this.#claimMs) continue;
      this.#awaited.delete(returned);
      if (!process.alive || process.stopping || process.isUnwell) continue;
      return `${leaseKey} is ${process.workerId}'s again, whose old handler returned at ${at}, and is not taken up at ${now}`;
    }
    return undefined;
  }
}

function isOf(process: SimulatedProcess, lease: Lease): boolean {
  return lease.leaseOwner === process.workerId && lease.checkpointOwner === undefined && !isEnded(lease);
}

// A fleet at rest: its unfinished leases shared evenly among living workers, and none that changes hands from then on.
import { actualOwner, isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';

/** What a fleet at rest looks like. */
export interface Balance {
  /** Finished leases count, too, as where workers take leases themselves. */
  readonly countsEnded: boolean;
  /** No worker has to give a lease away that is within so many percent of the average: by utilization. */
  readonly marginPercent: number;
}

/** Whether every unfinished lease has a live owner, and no two workers differ by more than one or all are within the margin. */
export function isBalanced(
  leases: Iterable<Lease>,
  workers: readonly string[],
  { countsEnded, marginPercent }: Balance,
): boolean {
  const counts = new Map(workers.map((worker) => [worker, 0]));
  for (const lease of leases) {
    if (isEnded(lease) && !countsEnded) continue;
    // A worker of the KCL 2.x that takes a lease out of a handoff leaves the former owner in the row, and knows nothing of it.
    const owner = countsEnded ? lease.leaseOwner : actualOwner(lease);
    if (owner === undefined || !counts.has(owner)) return false;
    if (!countsEnded && lease.checkpointOwner !== undefined) return false;
    counts.set(owner, (counts.get(owner) as number) + 1);
  }
  const [most, fewest] = [Math.max(...counts.values()), Math.min(...counts.values())];
  if (most - fewest <= 1) return true;
  const average = [...counts.values()].reduce((sum, count) => sum + count, 0) / counts.size;
  const furthest = Math.max(most - average, average - fewest);
  return 100 * furthest <= marginPercent * average;
}

export class BalanceChecker {
  #since: number | undefined;

  /** From a balanced fleet on no lease may change hands. */
  judge(leases: Iterable<Lease>, workers: readonly string[], balance: Balance, now: number): string | undefined {
    const all = [...leases];
    if (!isBalanced(all, workers, balance)) {
      const unfinished = all.filter((lease) => balance.countsEnded || !isEnded(lease));
      const owners = unfinished.map((lease) => `${lease.leaseKey}=${actualOwner(lease)}`);
      return `not balanced at ${now}: ${owners.join(', ')}`;
    }
    this.#since = now;
    return undefined;
  }

  moved(leaseKey: string, now: number): string | undefined {
    if (this.#since === undefined) return undefined;
    return `${leaseKey} changed hands at ${now}, balanced since ${this.#since}`;
  }

  /** From here on leases may again. */
  mayMove(): void {
    this.#since = undefined;
  }
}

// Watches whom leaders take live leases from: not from a worker that has not found what it was given, since that one could not hand it over,
// and the shard would rest until the lease runs out. What a leader may know is what its readings showed it: a lease that shows
// another owner, and no write since, was not found, unless one of ours has had the time to. By what stands in the table, is read and is asked.
import type { Effect } from '../../../consumer/dist/coordination/effects.js';
import { actualOwner, type Lease } from '../../../consumer/dist/coordination/lease.js';
import { MAX_CLOCK_DRIFT } from './swarm.ts';

interface Given {
  readonly owner: string;
  /** Of the lease since. */
  readonly counter: number;
  readonly at: number;
}

/** What one leader saw. */
interface Sight {
  readonly owners: ReadonlyMap<string, string | undefined>;
  readonly unfound: ReadonlyMap<string, Given>;
}

export class FoundFirst {
  readonly #findingMs: number;
  /** Leases that their owners have not written yet. */
  readonly #given = new Map<string, Given>();
  /** Of each process the last reading. */
  readonly #sights = new Map<number, Sight>();

  /** @param findingMs in which a worker of ours finds what it was given, as leaders take it. */
  constructor(findingMs: number) {
    // By the world's clock, where the leader's runs fast.
    this.#findingMs = findingMs * (1 - 2 * MAX_CLOCK_DRIFT);
  }

  /** A lease was written, by whomever. */
  changed(before: Lease | undefined, after: Lease | undefined, now: number): void {
    const leaseKey = (after ?? before)?.leaseKey ?? '';
    const owner = after === undefined ? undefined : actualOwner(after);
    if (after === undefined || owner === undefined) this.#given.delete(leaseKey);
    else if (before === undefined || actualOwner(before) !== owner)
      this.#given.set(leaseKey, { owner, counter: after.leaseCounter, at: now });
    else if (before.leaseCounter !== after.leaseCounter) this.#given.delete(leaseKey);
  }

  /** A process leads from now on, and has seen nothing yet. */
  leads(process: number): void {
    this.#sights.delete(process);
  }

  /** A process is shown, as the leader, what it has read. */
  shown(process: number, leases: Iterable<Lease>): void {
    const last = this.#sights.get(process);
    const owners = new Map<string, string | undefined>();
    const unfound = new Map<string, Given>();
    for (const lease of leases) {
      const { leaseKey } = lease;
      const owner = actualOwner(lease);
      owners.set(leaseKey, owner);
      const given = this.#given.get(leaseKey);
      if (given === undefined || given.owner !== owner || given.counter !== lease.leaseCounter) continue;
      // What was given to the same owner again since the last reading shows another counter, as what that one has written does. A leader
      // that has read nothing before goes by whether there was a checkpoint since.
      const showsSwitch =
        last === undefined ? lease.ownerSwitchesSinceCheckpoint > 0 : last.owners.get(leaseKey) !== owner;
      if (showsSwitch || last?.unfound.get(leaseKey)?.at === given.at) unfound.set(leaseKey, given);
    }
    this.#sights.set(process, { owners, unfound });
  }

  /** What is wrong with what a process asks for now. */
  judge(process: number, effect: Effect, now: number): string | undefined {
    if (effect.kind !== 'handOffLease' || effect.tenure !== undefined) return undefined;
    const { leaseKey, from, to } = effect;
    const given = this.#sights.get(process)?.unfound.get(leaseKey);
    if (given?.owner !== from || now >= given.at + this.#findingMs) return undefined;
    return `${leaseKey} was to go from ${from} to ${to} at ${now}, which was given it at ${given.at} and has not found it`;
  }
}

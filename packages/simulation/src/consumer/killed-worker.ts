// The end of some worlds: when nothing goes wrong any more and all is at rest, a worker is killed that does not lead, just after it has
// written a lease. And the checker of what follows: each of its leases is another's within failoverTimeMs and one interval of the
// leader's runs, and held by that one a discovery later. By what stands in the table and is written to it.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { Prng } from '../prng.ts';
import { HEALED_CALL_MS, type SimulatedProcess } from './process.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';

/** By when they are assigned: the reading that sees the last change, a run under way, its listing, the next reading, and the write. */
export const ASSIGNED_MS: number =
  (TIMES.failoverTimeMs + TIMES.leaseAssignmentIntervalMs) / (1 - MAX_CLOCK_DRIFT) + 6 * HEALED_CALL_MS;
/** Within a renewal period it writes a lease. */
export const WRITES_WITHIN_MS: number = TIMES.failoverTimeMs / 3 / (1 - MAX_CLOCK_DRIFT) + 2 * HEALED_CALL_MS;

export class KilledWorker {
  readonly #leader: SimulatedProcess;
  readonly #victim: SimulatedProcess;
  /** Of the victim's leases those that nobody else has written yet. */
  readonly #left: Set<string>;
  killedAt: number | undefined;

  private constructor(leader: SimulatedProcess, victim: SimulatedProcess, leaseKeys: readonly string[]) {
    this.#leader = leader;
    this.#victim = victim;
    this.#left = new Set(leaseKeys);
  }

  /** @returns undefined: nobody leads, or nobody else has a lease. */
  static among(
    living: readonly SimulatedProcess[],
    leaderId: string | undefined,
    leases: Iterable<Lease>,
    prng: Prng,
  ): KilledWorker | undefined {
    const leader = living.find(({ workerId }) => workerId === leaderId);
    const held = new Map<string, string[]>();
    for (const lease of leases) {
      const { leaseOwner, leaseKey } = lease;
      if (leaseOwner !== undefined && !isEnded(lease))
        held.set(leaseOwner, [...(held.get(leaseOwner) ?? []), leaseKey]);
    }
    const others = living.filter((process) => process !== leader && held.has(process.workerId));
    if (leader === undefined || others.length === 0) return undefined;
    const victim = prng.pick(others);
    return new KilledWorker(leader, victim, held.get(victim.workerId) ?? []);
  }

  /** By when they are held, after they were assigned. */
  static heldMs(leaseDiscoveryIntervalMs: number): number {
    return leaseDiscoveryIntervalMs / (1 - MAX_CLOCK_DRIFT) + 4 * HEALED_CALL_MS;
  }

  /** A request has run. @returns whether the worker is to be killed now, before it hears of it */
  ran({ workerId }: SimulatedProcess, effect: TableEffect, result: unknown): boolean {
    if (effect.kind !== 'renewLease' && effect.kind !== 'checkpointLease') return false;
    if (!this.#left.has(effect.leaseKey) || !(result as LeaseWrite).applied) return false;
    if (workerId === this.#victim.workerId) return this.killedAt === undefined;
    this.#left.delete(effect.leaseKey);
    return false;
  }

  kill(now: number): void {
    this.killedAt = now;
    this.#victim.crash();
  }

  /** What is wrong when all should be assigned, if anything is. */
  judgeAssigned(leases: ReadonlyMap<string, Lease>, now: number): string | undefined {
    const still = [...this.#left].filter((key) => leases.get(key)?.leaseOwner === this.#victim.workerId);
    return this.#judge(still, 'still assigned to it', now);
  }

  /** What is wrong when all should be held. */
  judgeHeld(now: number): string | undefined {
    return this.#judge([...this.#left], 'held by nobody', now);
  }

  #judge(leaseKeys: readonly string[], how: string, now: number): string | undefined {
    if (leaseKeys.length === 0 || this.killedAt === undefined || !this.#leader.alive) return undefined;
    return `${this.#victim.workerId} was killed at ${this.killedAt}, and at ${now} ${leaseKeys.join(', ')} are ${how}`;
  }
}

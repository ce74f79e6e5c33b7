// Worlds in which workers of the KCL 2.x work beside ours, on the table that they made. They leave in the midst of it, or stay to
// its end, or come (back) when the fleet has gone over to a leader. Its checker: while they hold leases no leader assigns any, and
// in the end the fleet speaks what its workers can.
import type { ClientVersion } from '../../../consumer/dist/coordination/client-version.js';
import { takesLeases } from '../../../consumer/dist/coordination/client-version.js';
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { planCleanup } from '../../../consumer/dist/coordination/lease-cleanup.js';
import type { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import type { Prng } from '../prng.ts';
import type { SimulatedProcess } from './process.ts';

/** What becomes of the workers of the KCL 2.x. */
type Fate = 'leave' | 'stay' | 'come';

/** What a leader had planned may land so much later: its process paused, its request lingered. */
const LATE_MS = 8000;

export class MixedFleet {
  readonly #fate: Fate;
  readonly #prng: Prng;
  /** From then on there are only ours, or theirs may come. */
  readonly turnAt: number;
  #startCount = 0;
  /** Until when a leader assigned leases. */
  #assignedUntil = Number.NEGATIVE_INFINITY;

  /** @param comesBack its fate is not drawn. */
  constructor(prng: Prng, faultsUntilMs: number, table: MemoryLeaseTable, comesBack = false) {
    this.#prng = prng;
    const drawn = prng.pick(['leave', 'stay', 'come'] as const);
    this.#fate = comesBack ? 'come' : drawn;
    this.turnAt = faultsUntilMs / 2;
    table.versionRow = { version: 'UPGRADE_FROM_2X', modifiedBy: 'worker-0' };
  }

  /** Whether the next process to start is a worker of the KCL 2.x. */
  startsAs2x(now: number, isHealed: boolean): boolean {
    this.#startCount += 1;
    // Somebody must be there who looks for holes, and follows the fleet's version.
    if (this.#startCount === 1 || isHealed) return false;
    const before = now < this.turnAt;
    if (this.#fate === 'leave' ? !before : this.#fate === 'come' && before) return false;
    return this.#prng.chance(0.5);
  }

  /** Whether workers of the KCL 2.x stop at `turnAt`. */
  get leave(): boolean {
    return this.#fate === 'leave';
  }

  /** Whether one comes when the faults are over. */
  get comesLate(): boolean {
    return this.#fate === 'come';
  }

  /** What is wrong with a leader's write, if anything is. */
  judge(effect: TableEffect, now: number, version: ClientVersion): string | undefined {
    if (!takesLeases(version)) this.#assignedUntil = now;
    const isLeaders = (effect.kind === 'handOffLease' || effect.kind === 'assignLease') && effect.tenure === undefined;
    if (!isLeaders || now <= this.#assignedUntil + LATE_MS) return undefined;
    return `a leader gave ${effect.leaseKey} away at ${now}, while workers take leases themselves`;
  }

  /**
   * Whether the fleet speaks what its workers can, and no finished lease will go, which would change what is balanced.
   */
  isSettled(version: ClientVersion, leases: readonly Lease[], processes: readonly SimulatedProcess[]): boolean {
    if (planCleanup(leases).length > 0) return false;
    const owners = new Set(leases.map(({ leaseOwner }) => leaseOwner));
    const has2x = processes.some(({ alive, is2x, workerId }) => alive && is2x && owners.has(workerId));
    return has2x ? version === 'UPGRADE_FROM_2X' : version === '3X_WITH_ROLLBACK';
  }
}

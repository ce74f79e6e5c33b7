// Watches to whom workers give their leases, when an operator has them handed off or they leave: not to one that declines the lease where another
// is surely there and declines nothing, or the lease would come back to who was to be rid of it. What a worker may know is what its looks
// showed: where it looked more than once, each of them has to say so, and a lease that comes to one that leaves after its look goes to any heir.
// Of a lease that a leader has begun to hand off it may not know yet: its giving is refused by the table, and the lease goes where the leader said.
// All have room in worlds where something is declined.
import type { Effect, ReadTable } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type WorkerRow } from '../../../consumer/dist/coordination/lease.js';
import { isSound } from '../../../consumer/dist/coordination/utilization.js';
import type { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { TIMES } from './worker-options.ts';

/** What one look shows of a worker. */
interface Heir {
  readonly declines: WorkerRow['declines'];
  /** Alive for certain, and fit to be given something. */
  readonly isSure: boolean;
}

interface Look {
  readonly heirs: ReadonlyMap<string, Heir>;
  /** By lease; undefined also where it is on its way to another one. */
  readonly owners: ReadonlyMap<string, string | undefined>;
}

export class Heirs {
  /** What the looks that are under way have read. */
  readonly #readings = new WeakMap<object, Look>();
  /** Of each process. */
  readonly #looks = new Map<number, Look[]>();

  /** The table was read; what is shown of it may be something else. */
  read(effect: ReadTable, { workers, leases, wallNow }: MemoryLeaseTable): void {
    if (effect.for !== 'handOff' && effect.for !== 'succession') return;
    const holders = new Set([...leases.values()].map((lease) => (isEnded(lease) ? undefined : lease.leaseOwner)));
    const now = wallNow();
    const heirs = [...workers].map(([workerId, { declines, utilization, lastUpdateSeconds }]): [string, Heir] => {
      const saysSoForMs = holders.has(workerId) ? TIMES.workerStaleMs : TIMES.failoverTimeMs;
      const isSure = now - lastUpdateSeconds * 1_000 < saysSoForMs && isSound(utilization);
      return [workerId, { declines, isSure }];
    });
    const owners = new Map(
      [...leases.values()].map((lease) => [
        lease.leaseKey,
        lease.checkpointOwner === undefined ? lease.leaseOwner : undefined,
      ]),
    );
    this.#readings.set(effect, { heirs: new Map(heirs), owners });
  }

  /** A process is shown what it asked for. */
  shown(process: number, effect: Effect): void {
    const look = this.#readings.get(effect);
    if (look !== undefined) this.#looks.set(process, [...(this.#looks.get(process) ?? []), look]);
  }

  /** What is wrong with what a worker asks for now. */
  judge(process: number, giver: string, effect: Effect): string | undefined {
    const given = givenBy(effect);
    const looks = this.#looks.get(process);
    if (given === undefined || looks === undefined) return undefined;
    const better = looks.map((look) => this.#betterIn(look, giver, given));
    if (better.includes(undefined)) return undefined;
    return `${giver} gives ${given.leaseKey} to ${given.to}, which declines it, and ${better.at(-1)} is there and does not`;
  }

  /** Who else should have it; undefined: nobody. */
  #betterIn({ heirs, owners }: Look, giver: string, { leaseKey, to }: Given): string | undefined {
    if (owners.get(leaseKey) !== giver || !declinesIt(heirs.get(to)?.declines, leaseKey)) return undefined;
    for (const [workerId, heir] of heirs) {
      if (workerId !== giver && heir.isSure && !declinesIt(heir.declines, leaseKey)) return workerId;
    }
    return undefined;
  }
}

interface Given {
  readonly leaseKey: string;
  readonly to: string;
}

/** What a worker gives away by its own choice: no handoff that a leader has begun. */
function givenBy(effect: Effect): Given | undefined {
  if (effect.kind === 'handOffLease' && effect.tenure !== undefined) return effect;
  if (effect.kind !== 'assignLease' || effect.tenure === undefined || effect.seenCheckpointOwner !== undefined)
    return undefined;
  return { leaseKey: effect.leaseKey, to: effect.newOwner };
}

/** By what stands in a worker's metric row. */
export function declinesIt(declines: WorkerRow['declines'], leaseKey: string): boolean {
  return declines === 'all' || declines?.includes(leaseKey) === true;
}

// Watches to whom leaders move live leases: not to a worker that they have not seen to live since they lead. Its metric row alone shows one that
// died alive for two reports, and whoever died holds the fewest leases of all: what is handed off to it rests until it is found to be silent.
// A sign is what their readings showed: a metric row that came or changed, a lease that its owner wrote, or a row that was younger than
// failoverTimeMs. By what the table answered, whatever the core was told.
import type { Effect } from '../../../consumer/dist/coordination/effects.js';
import { actualOwner } from '../../../consumer/dist/coordination/lease.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';

/** A metric row. */
interface Row {
  readonly lastUpdateSeconds: number;
  /** When it was written, as far as its first sight showed. */
  readonly since: number;
}

/** What one leader saw. */
interface Sight {
  readonly rows: ReadonlyMap<string, Row>;
  /** By lease: its owner and counter. */
  readonly written: ReadonlyMap<string, readonly [owner: string | undefined, counter: number]>;
  /** When the reading was asked for. */
  readonly askedAt: number;
}

/** By a clock that may run slow. */
const FRESH_MS = TIMES.failoverTimeMs * (1 + 2 * MAX_CLOCK_DRIFT);

export class SeenAlive {
  /** Of each process: when it asked for the reading that it waits for as this leader, what the last one showed, and who has given a sign. */
  readonly #askedAt = new Map<number, number>();
  readonly #sights = new Map<number, Sight>();
  readonly #signs = new Map<number, Set<string>>();

  /** A process leads from now on, and has seen nothing yet. */
  leads(process: number): void {
    this.#askedAt.delete(process);
    this.#sights.delete(process);
    this.#signs.set(process, new Set());
  }

  /** A process is shown, as the leader, what it has read. */
  shown(process: number, { leases, workers }: Results['readTable'], now: number): void {
    const askedAt = this.#askedAt.get(process);
    // Asked for in a former time as the leader: what it shows is taken in by nobody.
    if (askedAt === undefined) return;
    const last = this.#sights.get(process);
    const signs = this.#signs.get(process) ?? new Set();
    const rows = new Map<string, Row>();
    for (const { workerId, lastUpdateSeconds, ageMs } of workers) {
      const before = last?.rows.get(workerId);
      const isSame = before?.lastUpdateSeconds === lastUpdateSeconds;
      if (last !== undefined && !isSame) signs.add(workerId);
      rows.set(workerId, isSame ? before : { lastUpdateSeconds, since: now - ageMs });
    }
    const written = new Map(
      leases.map((lease) => [lease.leaseKey, [actualOwner(lease), lease.leaseCounter] as const] as const),
    );
    for (const [leaseKey, [owner, counter]] of written) {
      const [ownerBefore, counterBefore] = last?.written.get(leaseKey) ?? [];
      if (owner !== undefined && owner === ownerBefore && counter !== counterBefore) signs.add(owner);
    }
    this.#sights.set(process, { rows, written, askedAt });
    this.#signs.set(process, signs);
  }

  /** What is wrong with what a process asks for now. */
  judge(process: number, workerId: string, effect: Effect, now: number): string | undefined {
    if (effect.kind === 'readTable' && effect.for === 'leader') this.#askedAt.set(process, now);
    if (effect.kind !== 'handOffLease' || effect.tenure !== undefined) return undefined;
    const { leaseKey, from, to } = effect;
    if (to === workerId || this.#signs.get(process)?.has(to)) return undefined;
    const sight = this.#sights.get(process);
    const since = sight?.rows.get(to)?.since;
    if (sight !== undefined && since !== undefined && sight.askedAt - since < FRESH_MS) return undefined;
    return `${leaseKey} was to go from ${from} to ${to} at ${now}, which ${workerId} has not seen to live since it leads`;
  }
}

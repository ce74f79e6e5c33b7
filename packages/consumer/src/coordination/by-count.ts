// Assignment by the number of leases (KCL LeaseCountBasedLeaseAssignmentDecider): available ones go to the least loaded worker
// first; then leases move, one at a time, from the most to the least loaded until no two workers differ by more than one: the
// fewest moves that get there. Both ends are kept at hand in a ranking, so a plan costs O((leases + workers) log workers).
import type { AssignableLease, Assignment, AssignmentLimits } from './assignment.ts';
import { Ranking } from './ranking.ts';

/** Of the workers, which are not like the others. */
export interface Exceptions {
  /** They get one lease at the most. */
  readonly onTrial?: ReadonlySet<string>;
  /** By worker the leases that it gets only where nobody else has room. */
  readonly declined?: ReadonlyMap<string, ReadonlySet<string>>;
}

/** @param balances whether live leases may move. */
export function planByCount(
  leases: readonly AssignableLease[],
  workers: readonly string[],
  limits: AssignmentLimits,
  balances: boolean,
  exceptions: Exceptions = {},
): Assignment[] {
  const plan = new Plan([...workers].sort(), limits, exceptions);
  const waiting: AssignableLease[] = [];
  const givenUp: AssignableLease[] = [];
  for (const lease of leases) {
    if (lease.available) waiting.push(lease);
    else if (lease.isGivenUp) givenUp.push(lease);
    else plan.hold(lease);
  }
  plan.assign([...waiting.sort(byKey), ...givenUp.sort(byKey)]);
  if (balances) plan.balance();
  return plan.moves;
}

interface Load {
  readonly worker: string;
  readonly mostLeases: number;
  readonly declined: ReadonlySet<string> | undefined;
  leaseCount: number;
  kBps: number;
  /** Those of its leases that may move; in the order of their keys once the first one has. */
  readonly movable: AssignableLease[];
  gives: boolean;
}

class Plan {
  readonly moves: Assignment[] = [];
  readonly #limits: AssignmentLimits;
  readonly #loads: readonly Load[];
  readonly #byWorker: ReadonlyMap<string, number>;
  /** Those that may still receive, the least loaded first. */
  readonly #receivers = new Ranking((a, b) => this.#countOf(a) - this.#countOf(b) < 0 || this.#isTieBefore(a, b));
  /** Those that have something to give, the most loaded first. */
  readonly #givers = new Ranking((a, b) => this.#countOf(a) - this.#countOf(b) > 0 || this.#isTieBefore(a, b));

  constructor(workers: readonly string[], limits: AssignmentLimits, { onTrial, declined }: Exceptions) {
    this.#limits = limits;
    this.#loads = workers.map((worker) => {
      const mostLeases = onTrial?.has(worker) ? Math.min(1, limits.maxLeasesForWorker) : limits.maxLeasesForWorker;
      return { worker, mostLeases, declined: declined?.get(worker), leaseCount: 0, kBps: 0, movable: [], gives: false };
    });
    this.#byWorker = new Map(workers.map((worker, index) => [worker, index]));
  }

  /** Counts a live lease. One of a worker that may not receive any stays where it is, and out of the count. */
  hold(lease: AssignableLease): void {
    const index = lease.owner === undefined ? undefined : this.#byWorker.get(lease.owner);
    if (index === undefined) return;
    const load = this.#loads[index] as Load;
    load.leaseCount += 1;
    load.kBps += lease.throughputKBps ?? 0;
    if (lease.movable) load.movable.push(lease);
  }

  assign(waiting: readonly AssignableLease[]): void {
    for (const index of this.#loads.keys()) this.#rank(index);
    for (const lease of waiting) {
      const isAvoided = ({ worker, declined }: Load): boolean =>
        worker === lease.leftBy || declined?.has(lease.leaseKey) === true;
      const to = this.#receivers.firstBut((index) => isAvoided(this.#loads[index] as Load));
      if (to === undefined) return;
      if (!lease.isGivenUp) this.#give(to, lease, 'assign');
      else if (!isAvoided(this.#loads[to] as Load)) this.#give(to, lease, 'handOff');
    }
  }

  balance(): void {
    for (;;) {
      const [from, least] = [this.#givers.first, this.#receivers.first];
      if (from === undefined || least === undefined || this.#isEven(from, least)) return;
      const giver = this.#loads[from] as Load;
      if (!giver.gives) giver.movable.sort(byKey);
      giver.gives = true;
      const to = this.#receivers.firstBut((index) => declinesAll(this.#loads[index] as Load, giver.movable)) as number;
      const { declined } = this.#loads[to] as Load;
      const place = this.#isEven(from, to)
        ? -1
        : giver.movable.findLastIndex(({ leaseKey }) => declined?.has(leaseKey) !== true);
      const [lease] = place < 0 ? [] : giver.movable.splice(place, 1);
      if (lease === undefined) {
        // Those that have fewer want none of these: uneven for as long as they do.
        this.#givers.remove(from);
        continue;
      }
      giver.leaseCount -= 1;
      giver.kBps -= lease.throughputKBps ?? 0;
      this.#rank(from);
      this.#give(to, lease, 'handOff');
    }
  }

  /** Nothing is gained by a lease that goes from one to the other. */
  #isEven(from: number, to: number): boolean {
    return this.#countOf(from) - this.#countOf(to) < 2;
  }

  #give(to: number, { leaseKey, throughputKBps }: AssignableLease, kind: Assignment['kind']): void {
    const load = this.#loads[to] as Load;
    load.leaseCount += 1;
    load.kBps += throughputKBps ?? 0;
    this.#rank(to);
    this.moves.push({ leaseKey, to: load.worker, kind });
  }

  #rank(index: number): void {
    const { mostLeases, leaseCount, kBps, movable } = this.#loads[index] as Load;
    const { maxThroughputPerHostKBps } = this.#limits;
    if (leaseCount < mostLeases && kBps <= maxThroughputPerHostKBps) this.#receivers.put(index);
    else this.#receivers.remove(index);
    if (movable.length > 0) this.#givers.put(index);
    else this.#givers.remove(index);
  }

  #countOf(index: number): number {
    return (this.#loads[index] as Load).leaseCount;
  }

  #isTieBefore(a: number, b: number): boolean {
    return this.#countOf(a) === this.#countOf(b) && a < b;
  }
}

function declinesAll({ declined }: Load, leases: readonly AssignableLease[]): boolean {
  return declined !== undefined && leases.every(({ leaseKey }) => declined.has(leaseKey));
}

function byKey(a: AssignableLease, b: AssignableLease): number {
  return a.leaseKey < b.leaseKey ? -1 : a.leaseKey > b.leaseKey ? 1 : 0;
}

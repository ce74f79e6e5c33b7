// Assignment by how busy the workers are (KCL VarianceBasedLeaseAssignmentDecider): available leases go where the most room is,
// and in a balancing run those that are far above the fleet's average give leases to those that are below. How busy a worker is
// stands in its metric row; one that measures nothing is judged by the throughput of its leases, or by their number while no
// throughput is known.
// Invariants: in balancing nobody receives beyond its limit, nor so much that it would be as busy as the giver was, and nobody
// gives its last lease away; so each move makes the spread smaller, and a fleet whose figures follow its leases comes to rest.
// The KCL lets nobody pass the average: a fleet with one large lease too many on a worker then stays as it is for ever.
import type { AssignableLease, AssignableWorker, Assignment, AssignmentRules } from './assignment.ts';

/** What the figures of a worker without any are called (KCL: the default metric). */
const THROUGHPUT = 'T';
/**
 * An average worker that carries less carries nothing, and leases count alike: what is left of a throughput that dies away says
 * who read last, not who is busy.
 */
const IDLE_KBPS = 1;
/** Percent; by less than this two figures don't differ: 6/7 and 6/7 of an average are not the same sum in every order. */
const ROUNDING = 1e-6;

interface Load {
  readonly workerId: string;
  readonly leases: Weighed[];
  throughputKBps: number;
  readonly metrics: Map<string, { percent: number; readonly limitPercent: number }>;
}

interface Weighed {
  readonly leaseKey: string;
  readonly movable: boolean;
  /** Its throughput; the mean of the known ones where it is not known. */
  readonly weight: number;
}

/** What the whole fleet has, on average. */
interface Averages {
  readonly metrics: ReadonlyMap<string, number>;
  readonly throughputKBps: number;
  readonly leaseCount: number;
}

export function planByUtilization(
  leases: readonly AssignableLease[],
  workers: readonly AssignableWorker[],
  rules: AssignmentRules,
): Assignment[] {
  if (workers.length === 0) return [];
  const known = leases.flatMap(({ throughputKBps }) => (throughputKBps === undefined ? [] : [throughputKBps]));
  const perWorker = leases.length / workers.length;
  const isIdle = mean(known) * perWorker < IDLE_KBPS;
  const meanKBps = isIdle ? 0 : mean(known);
  const weighed = new Map(
    leases.map(({ leaseKey, movable, throughputKBps }) => [
      leaseKey,
      { leaseKey, movable, weight: isIdle ? 0 : (throughputKBps ?? meanKBps) },
    ]),
  );
  const fleet = new Map(workers.map(({ workerId }) => [workerId, emptyLoad(workerId)]));
  for (const { leaseKey, owner, available } of leases) {
    // A live lease of a worker that may not receive any stays where it is.
    const load = available || owner === undefined ? undefined : fleet.get(owner);
    if (load !== undefined) addLease(load, weighed.get(leaseKey) as Weighed);
  }
  const targetKBps = meanKBps * perWorker;
  for (const { workerId, metrics } of workers) {
    const load = fleet.get(workerId) as Load;
    for (const { name, percent, limitPercent } of metrics) load.metrics.set(name, { percent, limitPercent });
    if (metrics.length > 0) continue;
    const share = targetKBps > 0 ? load.throughputKBps / targetKBps : load.leases.length / Math.max(perWorker, 1);
    load.metrics.set(THROUGHPUT, { percent: 100 * share, limitPercent: Number.POSITIVE_INFINITY });
  }
  const averages = { metrics: averageMetrics(fleet.values()), throughputKBps: targetKBps, leaseCount: perWorker };

  const plan = new Plan([...fleet.values()].sort(byId), averages, rules);
  for (const { leaseKey, available } of leases) if (available) plan.assign(weighed.get(leaseKey) as Weighed);
  if (rules.balances) plan.balance();
  return plan.moves;
}

class Plan {
  readonly moves: Assignment[] = [];
  readonly #fleet: readonly Load[];
  readonly #averages: Averages;
  readonly #rules: AssignmentRules;

  constructor(fleet: readonly Load[], averages: Averages, rules: AssignmentRules) {
    this.#fleet = fleet;
    this.#averages = averages;
    this.#rules = rules;
  }

  /** Gives an available lease to whoever has the most room; without anybody it stays available. */
  assign(lease: Weighed): void {
    const to = this.#roomiest((load) => this.#mayReceive(load));
    if (to === undefined) return;
    this.#grow(to, lease);
    this.moves.push({ leaseKey: lease.leaseKey, to: to.workerId, kind: 'assign' });
  }

  balance(): void {
    for (const { load, weight } of this.#givers()) {
      for (const lease of this.#leasesToTake(load, weight)) {
        const to = this.#roomiest(
          (other) => other !== load && this.#mayReceive(other) && this.#improves(load, other, lease),
        );
        if (to !== undefined) this.#move(lease, load, to);
      }
    }
    // By its figures a newcomer may be as busy as the others with no lease at all: it gets one all the same.
    for (const idle of this.#fleet) {
      if (idle.leases.length > 0 || !this.#mayReceive(idle)) continue;
      const from = mostLeases(this.#fleet.filter((load) => load.leases.length > 1 && load.leases.some(isMovable)));
      const lease = from?.leases.filter(isMovable).reduce(lighter);
      if (from !== undefined && lease !== undefined) this.#move(lease, from, idle);
    }
  }

  /** Who is to give, and how much, by the one metric that is furthest off; the largest share first. */
  #givers(): { readonly load: Load; readonly weight: number }[] {
    let furthest: { readonly load: Load; readonly weight: number }[] = [];
    let most = 0;
    for (const [name, average] of this.#averages.metrics) {
      const givers = this.#outliers(name, average).map((load) => {
        const { percent } = load.metrics.get(name) as { percent: number };
        const share = percent > 0 ? Math.max(0, (percent - average) / percent) : 0;
        return { load, weight: (share * load.throughputKBps * this.#rules.dampeningPercentage) / 100 };
      });
      const total = givers.reduce((sum, { weight }) => sum + weight, 0);
      if (givers.length > 0 && (furthest.length === 0 || total > most)) {
        furthest = givers;
        most = total;
      }
    }
    return furthest.sort((a, b) => b.weight - a.weight);
  }

  /** Those above the average's margin or their own limit; if some are only far below it, the busiest one. */
  #outliers(name: string, average: number): Load[] {
    const margin = (average * this.#rules.reBalanceThresholdPercentage) / 100;
    const above: Load[] = [];
    let busiest: Load | undefined;
    let isUneven = false;
    for (const load of this.#fleet) {
      const metric = load.metrics.get(name);
      if (metric === undefined) continue;
      const { percent, limitPercent } = metric;
      if (percent > average + margin || percent > limitPercent) above.push(load);
      else if (percent < average - margin) isUneven = true;
      if (percent > (busiest?.metrics.get(name)?.percent ?? Number.NEGATIVE_INFINITY)) busiest = load;
    }
    return above.length === 0 && isUneven && busiest !== undefined ? [busiest] : above;
  }

  /** The heaviest first, as far as they fit into `weight`: few moves. None fits: the lightest, if overshooting is allowed. */
  #leasesToTake({ leases, throughputKBps }: Load, weight: number): Weighed[] {
    const movable = leases.filter(isMovable).sort((a, b) => b.weight - a.weight || (a.leaseKey < b.leaseKey ? -1 : 1));
    const spare = leases.length - 1;
    // Without any throughput there is nothing to go by: one at a time.
    if (throughputKBps === 0) return movable.slice(0, Math.min(1, spare));
    const taken: Weighed[] = [];
    let left = weight;
    for (const lease of movable) {
      if (taken.length >= spare) break;
      if (lease.weight > left) continue;
      left -= lease.weight;
      taken.push(lease);
    }
    if (taken.length > 0 || !this.#rules.allowThroughputOvershoot || weight <= 0) return taken;
    return movable.slice(-1).slice(0, spare);
  }

  #move(lease: Weighed, from: Load, to: Load): void {
    from.leases.splice(from.leases.indexOf(lease), 1);
    from.throughputKBps -= lease.weight;
    for (const [name, metric] of from.metrics) metric.percent -= this.#share(name, lease);
    this.#grow(to, lease);
    this.moves.push({ leaseKey: lease.leaseKey, to: to.workerId, kind: 'handOff' });
  }

  #grow(load: Load, lease: Weighed): void {
    addLease(load, { ...lease, movable: false });
    for (const [name, metric] of load.metrics) metric.percent += this.#share(name, lease);
  }

  /** How much a lease adds to a metric: the average worker has the average figure from the average throughput. */
  #share(name: string, { weight }: Weighed): number {
    const { metrics, throughputKBps, leaseCount } = this.#averages;
    const average = metrics.get(name) ?? 0;
    return throughputKBps > 0 ? (weight * average) / throughputKBps : average / Math.max(leaseCount, 1);
  }

  /** The receiver stays below its limit, and at most at the average or else below what the giver had: the spread shrinks. */
  #improves(from: Load, to: Load, lease: Weighed): boolean {
    for (const [name, { percent, limitPercent }] of to.metrics) {
      const after = percent + this.#share(name, lease);
      if (after > limitPercent) return false;
      const given = from.metrics.get(name)?.percent ?? Number.NEGATIVE_INFINITY;
      if (after > (this.#averages.metrics.get(name) ?? 0) && after >= given - ROUNDING) return false;
    }
    return true;
  }

  #mayReceive({ leases, throughputKBps }: Load): boolean {
    const { maxLeasesForWorker, maxThroughputPerHostKBps } = this.#rules;
    return leases.length < maxLeasesForWorker && throughputKBps <= maxThroughputPerHostKBps;
  }

  #roomiest(may: (load: Load) => boolean): Load | undefined {
    let best: Load | undefined;
    let bestRoom = 0;
    for (const load of this.#fleet) {
      if (!may(load)) continue;
      const room = this.#roomOf(load);
      if (best === undefined || room > bestRoom || (room === bestRoom && load.leases.length < best.leases.length)) {
        best = load;
        bestRoom = room;
      }
    }
    return best;
  }

  /** By how much of its own load a worker could grow until its busiest metric is at the average. */
  #roomOf({ metrics }: Load): number {
    let room = Number.POSITIVE_INFINITY;
    for (const [name, { percent }] of metrics) {
      const average = this.#averages.metrics.get(name) ?? 0;
      room = Math.min(room, percent === 0 ? 1 : (average - percent) / percent);
    }
    return room;
  }
}

function emptyLoad(workerId: string): Load {
  return { workerId, leases: [], throughputKBps: 0, metrics: new Map() };
}

function addLease(load: Load, lease: Weighed): void {
  load.leases.push(lease);
  load.throughputKBps += lease.weight;
}

/** Each metric over the workers that have it: while a deploy adds a metric, some have it and some don't. */
function averageMetrics(fleet: Iterable<Load>): Map<string, number> {
  const values = new Map<string, number[]>();
  for (const { metrics } of fleet) {
    for (const [name, { percent }] of metrics) {
      const others = values.get(name);
      if (others === undefined) values.set(name, [percent]);
      else others.push(percent);
    }
  }
  return new Map([...values].map(([name, percents]) => [name, mean(percents)]));
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function mostLeases(fleet: readonly Load[]): Load | undefined {
  let most: Load | undefined;
  for (const load of fleet) if (most === undefined || load.leases.length > most.leases.length) most = load;
  return most;
}

function isMovable({ movable }: Weighed): boolean {
  return movable;
}

function lighter(a: Weighed, b: Weighed): Weighed {
  return b.weight < a.weight ? b : a;
}

function byId(a: Load, b: Load): number {
  return a.workerId < b.workerId ? -1 : 1;
}

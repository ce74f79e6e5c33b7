// Assignment by how busy the workers are (KCL VarianceBasedLeaseAssignmentDecider): available leases go where the most room is,
// and in a balancing run those that are far above the fleet's average give leases to those that are below. How busy a worker is
// stands in its metric row; one that measures nothing is judged by the throughput of its leases, or by their number while no
// throughput is known.
// Invariants: in balancing nobody receives beyond its limit, nor so much that it would be as busy as the giver was, and nobody
// gives its last lease away; so each move makes the spread smaller, and a fleet whose figures follow its leases comes to rest.
// What figures that jump about, or are of the time before the last moves, are taken for says believed.ts; and a worker that is full is
// waited for by nobody.
// The KCL lets nobody pass the average: a fleet with one large lease too many on a worker then stays as it is for ever.
import type { AssignableLease, AssignableWorker, Assignment, AssignmentRules } from './assignment.ts';
import { believed, type Figure } from './believed.ts';
import { Ranking } from './ranking.ts';

/** What the figures of a worker without any are called (KCL: the default metric). */
const THROUGHPUT = 'T';
/**
 * An average worker that carries less carries nothing, and leases count alike: what is left of a throughput that dies away says
 * who read last, not who is busy.
 */
const IDLE_KBPS = 1;
/**
 * Percent; by less than this two figures don't differ: 6/7 and 6/7 of an average are not the same sum in every order, and 11 of an
 * average of 10 are a little more than 110 of 100.
 */
const ROUNDING = 1e-6;

interface Load {
  readonly workerId: string;
  readonly isOnTrial: boolean;
  readonly declined: ReadonlySet<string> | undefined;
  readonly leases: Set<Weighed>;
  movableCount: number;
  throughputKBps: number;
  /** So much more it carried when its figures were measured. */
  readonly outdatedKBps: number;
  /** By the number of the metric; NaN: the worker doesn't have it. */
  readonly percents: number[];
  readonly limitPercents: readonly number[];
  /** By how much each of `percents` may be off. */
  readonly doubtPercents: readonly number[];
}

interface Weighed {
  readonly leaseKey: string;
  readonly movable: boolean;
  readonly leftBy: string | undefined;
  /** Its throughput; the mean of the known ones where it is not known. */
  readonly weight: number;
}

interface Giver {
  readonly giver: number;
  /** So much of its throughput it is to give. */
  readonly weight: number;
  /** It gives only to those that are far below the average by this metric; undefined: to anybody who may take it. */
  readonly helps: number | undefined;
}

/** What the whole fleet has, on average. */
interface Averages {
  /** By the number of the metric. */
  readonly percents: readonly number[];
  /** By how much a worker's figure may be off. */
  readonly doubtPercents: readonly number[];
  readonly throughputKBps: number;
  readonly leaseCount: number;
}

export function planByUtilization(
  leases: readonly AssignableLease[],
  workers: readonly AssignableWorker[],
  rules: AssignmentRules,
): Assignment[] {
  if (workers.length === 0) return [];
  const names = [...new Set([...workers.flatMap(({ metrics }) => metrics.map(({ name }) => name)), THROUGHPUT])];
  const fleet = [...workers]
    .sort((a, b) => (a.workerId < b.workerId ? -1 : 1))
    .map((worker) => emptyLoad(worker, names));
  const byWorker = new Map(fleet.map((load) => [load.workerId, load]));
  // A live lease of a worker that may not receive any stays where it is, and out of the averages: counted as if it were shared among
  // the others, it made the last lease of theirs go to and fro.
  const shared = leases.filter(
    ({ available, owner, isGivenUp }) => available || isGivenUp || (owner !== undefined && byWorker.has(owner)),
  );
  const perWorker = shared.length / workers.length;
  const knownKBps = mean(shared.map(({ throughputKBps }) => throughputKBps ?? Number.NaN));
  const isIdle = knownKBps * perWorker < IDLE_KBPS;
  const meanKBps = isIdle ? 0 : knownKBps;
  const available: Weighed[] = [];
  const givenUp: Weighed[] = [];
  for (const lease of shared) {
    const { leaseKey, movable, leftBy, isGivenUp = false, throughputKBps } = lease;
    const weighed = { leaseKey, movable, leftBy, weight: isIdle ? 0 : (throughputKBps ?? meanKBps) };
    if (lease.available) available.push(weighed);
    else if (isGivenUp) givenUp.push(weighed);
    else addLease(byWorker.get(lease.owner as string) as Load, weighed);
  }
  const targetKBps = meanKBps * perWorker;
  let mutes = 0;
  for (const load of fleet) {
    if (load.percents.some((percent) => !Number.isNaN(percent))) continue;
    mutes += 1;
    const share = targetKBps > 0 ? load.throughputKBps / targetKBps : load.leases.size / Math.max(perWorker, 1);
    load.percents[names.indexOf(THROUGHPUT)] = 100 * share;
  }
  const doubtPercents = names.map((_, metric) => {
    const belief = believed(fleet.map((load) => figureOf(load, metric, isIdle)));
    for (const [index, percent] of belief.percents.entries()) (fleet[index] as Load).percents[metric] = percent;
    return belief.doubtPercent;
  });
  const percents = names.map((_, metric) => mean(fleet.map((load) => load.percents[metric] as number)));
  // Beside workers with figures those without any are too few to be the measure of themselves: one that has nothing yet would seem to have
  // room for everything, as it has by the KCL's rule. By its throughput an average worker is at 100.
  if (mutes > 0 && mutes < fleet.length) percents[names.indexOf(THROUGHPUT)] = 100;
  const plan = new Plan(fleet, { percents, doubtPercents, throughputKBps: targetKBps, leaseCount: perWorker }, rules);
  for (const lease of available) plan.assign(lease);
  for (const lease of givenUp) plan.relieve(lease);
  if (rules.balances) plan.balance();
  return plan.moves;
}

class Plan {
  readonly moves: Assignment[] = [];
  readonly #fleet: readonly Load[];
  readonly #averages: Averages;
  readonly #rules: AssignmentRules;
  /** Of each worker, as `#roomOf` says. */
  readonly #rooms: number[];
  /** Those that may still receive, the roomiest first. */
  readonly #receivers = new Ranking((a, b) => this.#isRoomier(a, b));

  constructor(fleet: readonly Load[], averages: Averages, rules: AssignmentRules) {
    this.#fleet = fleet;
    this.#averages = averages;
    this.#rules = rules;
    this.#rooms = fleet.map((load) => this.#roomOf(load));
    for (const index of fleet.keys()) this.#rank(index);
  }

  /** Gives an available lease to whoever has the most room, but for who gave it up; without anybody it stays available. */
  assign(lease: Weighed): void {
    const isAvoided = ({ workerId, declined }: Load): boolean =>
      workerId === lease.leftBy || declined?.has(lease.leaseKey) === true;
    const to = this.#receivers.firstBut((index) => isAvoided(this.#fleet[index] as Load));
    if (to !== undefined) this.#receive(to, lease, 'assign');
  }

  /** Gives a live lease of one that wants it no more to whoever has the most room of those that stay below their limits with it. */
  relieve(lease: Weighed): void {
    const mayTake = (load: Load): boolean =>
      load.declined?.has(lease.leaseKey) !== true && this.#isWithinLimits(load, lease);
    const to = this.#receivers.firstBut((index) => !mayTake(this.#fleet[index] as Load));
    if (to !== undefined && mayTake(this.#fleet[to] as Load)) this.#receive(to, lease, 'handOff');
  }

  balance(): void {
    for (const { giver, weight, helps } of this.#givers()) {
      for (const lease of this.#leasesToTake(this.#fleet[giver] as Load, weight)) {
        const to = this.#roomiestFor(lease, giver);
        if (to !== undefined && (helps === undefined || this.#isLacking(to, helps))) this.#move(lease, giver, to);
      }
    }
    this.#serveIdle();
  }

  /** By its figures a newcomer may be as busy as the others with no lease at all: it gets one all the same. */
  #serveIdle(): void {
    const fleet = this.#fleet;
    const idle = [...fleet.keys()].filter((index) => fleet[index]?.leases.size === 0);
    if (idle.length === 0) return;
    const countOf = (index: number): number => (fleet[index] as Load).leases.size;
    const givers = new Ranking((a, b) => countOf(a) > countOf(b) || (countOf(a) === countOf(b) && a < b));
    const rank = (index: number): void => {
      const { leases, movableCount } = fleet[index] as Load;
      if (leases.size > 1 && movableCount > 0) givers.put(index);
      else givers.remove(index);
    };
    for (const index of fleet.keys()) rank(index);
    const lightestLast = new Map<number, Weighed[]>();
    for (const to of idle) {
      const from = givers.first;
      if (from === undefined) return;
      if (!this.#mayReceive(fleet[to] as Load)) continue;
      const movable = lightestLast.get(from) ?? [...(fleet[from] as Load).leases].filter(isMovable).sort(byWeight);
      lightestLast.set(from, movable);
      const { declined } = fleet[to] as Load;
      const place = movable.findLastIndex(({ leaseKey }) => declined?.has(leaseKey) !== true);
      if (place < 0) continue;
      this.#move(movable.splice(place, 1)[0] as Weighed, from, to);
      rank(from);
    }
  }

  /** Who is to give, and how much, by the one metric that is furthest off; the largest share first. */
  #givers(): Giver[] {
    let furthest: Giver[] = [];
    let most = 0;
    for (const [metric, average] of this.#averages.percents.entries()) {
      const { above, helpers } = this.#outliers(metric, average);
      const givers = [...above, ...helpers].map((giver, place): Giver => {
        const { percents, throughputKBps } = this.#fleet[giver] as Load;
        const percent = percents[metric] as number;
        const share = percent > 0 ? Math.max(0, (percent - average) / percent) : 0;
        const weight = (share * throughputKBps * this.#rules.dampeningPercentage) / 100;
        return { giver, weight, helps: place < above.length ? undefined : metric };
      });
      const total = givers.reduce((sum, { weight }) => sum + weight, 0);
      if (givers.length > 0 && (furthest.length === 0 || total > most)) {
        furthest = givers;
        most = total;
      }
    }
    return furthest.sort((a, b) => b.weight - a.weight);
  }

  /**
   * Those above the average's margin or their own limit; and if those far below it lack more than these have too much, the busiest of
   * the others until it would do: all at once, since one in a run would keep a large fleet busy for an hour.
   * None of it while nobody is so beyond doubt: among many, one is always just over the line.
   */
  #outliers(metric: number, average: number): { readonly above: number[]; readonly helpers: number[] } {
    const most = average + this.#marginOf(metric);
    const doubt = this.#averages.doubtPercents[metric] as number;
    const percentOf = (index: number): number => (this.#fleet[index] as Load).percents[metric] as number;
    const above: number[] = [];
    const others: number[] = [];
    let lacking = 0;
    let isUneven = false;
    for (const [index, { limitPercents }] of this.#fleet.entries()) {
      const percent = percentOf(index);
      const limit = Math.min(most, limitPercents[metric] as number);
      if (percent > limit) above.push(index);
      else if (percent > average) others.push(index);
      else if (this.#isLacking(index, metric)) lacking += average - percent;
      isUneven ||= percent - doubt > limit || this.#isLacking(index, metric, doubt);
    }
    if (!isUneven) return { above: [], helpers: [] };
    for (const index of above) lacking -= percentOf(index) - average;
    const helpers: number[] = [];
    for (const index of others.sort((a, b) => percentOf(b) - percentOf(a) || a - b)) {
      if (lacking <= 0) break;
      helpers.push(index);
      lacking -= percentOf(index) - average;
    }
    return { above, helpers };
  }

  #marginOf(metric: number): number {
    return ((this.#averages.percents[metric] as number) * this.#rules.reBalanceThresholdPercentage) / 100 + ROUNDING;
  }

  /** Whether a worker is far below the average, and may receive. */
  #isLacking(index: number, metric: number, doubtPercent = 0): boolean {
    const load = this.#fleet[index] as Load;
    const least = (this.#averages.percents[metric] as number) - this.#marginOf(metric);
    return (load.percents[metric] as number) + doubtPercent < least && this.#mayReceive(load);
  }

  /** The heaviest first, as far as they fit into `weight`: few moves. None fits: the lightest, if overshooting is allowed. */
  #leasesToTake({ leases, throughputKBps }: Load, weight: number): Weighed[] {
    const movable = [...leases].filter(isMovable).sort(byWeight);
    const spare = leases.size - 1;
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

  #move(lease: Weighed, from: number, to: number): void {
    const giver = this.#fleet[from] as Load;
    giver.leases.delete(lease);
    giver.movableCount -= 1;
    giver.throughputKBps -= lease.weight;
    this.#shift(giver, lease, -1);
    this.#rank(from);
    this.#receive(to, lease, 'handOff');
  }

  #receive(to: number, lease: Weighed, kind: Assignment['kind']): void {
    this.#grow(to, lease);
    this.moves.push({ leaseKey: lease.leaseKey, to: (this.#fleet[to] as Load).workerId, kind });
  }

  #grow(to: number, lease: Weighed): void {
    const load = this.#fleet[to] as Load;
    addLease(load, { ...lease, movable: false });
    this.#shift(load, lease, 1);
    this.#rank(to);
  }

  #shift({ percents }: Load, lease: Weighed, sign: 1 | -1): void {
    for (let metric = 0; metric < percents.length; metric += 1) {
      percents[metric] = (percents[metric] as number) + sign * this.#share(metric, lease);
    }
  }

  /** How much a lease adds to a metric: the average worker has the average figure from the average throughput. */
  #share(metric: number, { weight }: Weighed): number {
    const { percents, throughputKBps, leaseCount } = this.#averages;
    const average = percents[metric] as number;
    return throughputKBps > 0 ? (weight * average) / throughputKBps : average / Math.max(leaseCount, 1);
  }

  /** Mostly the roomiest of all; where that one would not do, because of its own limit or another metric, all are looked at. */
  #roomiestFor(lease: Weighed, giver: number): number | undefined {
    const from = this.#fleet[giver] as Load;
    const { first } = this.#receivers;
    if (first === undefined) return undefined;
    const mayTake = (index: number): boolean =>
      index !== giver &&
      this.#fleet[index]?.declined?.has(lease.leaseKey) !== true &&
      this.#improves(from, this.#fleet[index] as Load, lease);
    if (mayTake(first)) return first;
    let best: number | undefined;
    for (let index = 0; index < this.#fleet.length; index += 1) {
      if (best !== undefined && !this.#isRoomier(index, best)) continue;
      if (this.#mayReceive(this.#fleet[index] as Load) && mayTake(index)) best = index;
    }
    return best;
  }

  /** The receiver stays below its limit, and at most at the average or else below what the giver had: the spread shrinks. */
  #improves(from: Load, to: Load, lease: Weighed): boolean {
    if (!this.#isWithinLimits(to, lease)) return false;
    for (let metric = 0; metric < to.percents.length; metric += 1) {
      const percent = to.percents[metric] as number;
      if (Number.isNaN(percent)) continue;
      const after = percent + this.#share(metric, lease);
      // Not known of the giver: no more than the average.
      const isBelowGiver = after < (from.percents[metric] as number) - ROUNDING;
      if (after > (this.#averages.percents[metric] as number) && !isBelowGiver) return false;
    }
    return true;
  }

  #isWithinLimits({ percents, limitPercents }: Load, lease: Weighed): boolean {
    return percents.every(
      (percent, metric) =>
        Number.isNaN(percent) || percent + this.#share(metric, lease) <= (limitPercents[metric] as number),
    );
  }

  #mayReceive({ leases, throughputKBps, isOnTrial }: Load): boolean {
    const { maxLeasesForWorker, maxThroughputPerHostKBps } = this.#rules;
    if (isOnTrial && leases.size > 0) return false;
    return leases.size < maxLeasesForWorker && throughputKBps <= maxThroughputPerHostKBps;
  }

  #rank(index: number): void {
    const load = this.#fleet[index] as Load;
    this.#rooms[index] = this.#roomOf(load);
    if (this.#mayReceive(load)) this.#receivers.put(index);
    else this.#receivers.remove(index);
  }

  #isRoomier(a: number, b: number): boolean {
    const [roomOfA, roomOfB] = [this.#rooms[a] as number, this.#rooms[b] as number];
    if (roomOfA !== roomOfB) return roomOfA > roomOfB;
    const [countOfA, countOfB] = [(this.#fleet[a] as Load).leases.size, (this.#fleet[b] as Load).leases.size];
    return countOfA < countOfB || (countOfA === countOfB && a < b);
  }

  /** By how much of its own load a worker could grow until its busiest metric is at the average. */
  #roomOf({ percents }: Load): number {
    let room = Number.POSITIVE_INFINITY;
    for (let metric = 0; metric < percents.length; metric += 1) {
      const percent = percents[metric] as number;
      if (Number.isNaN(percent)) continue;
      const average = this.#averages.percents[metric] as number;
      room = Math.min(room, percent === 0 ? 1 : (average - percent) / percent);
    }
    return room;
  }
}

function emptyLoad(
  { workerId, metrics, outdatedKBps = 0, isOnTrial = false, declines }: AssignableWorker,
  names: readonly string[],
): Load {
  const own = names.map((name) => metrics.find((metric) => metric.name === name));
  return {
    workerId,
    isOnTrial,
    declined: declines === undefined || declines === 'all' ? undefined : new Set(declines),
    leases: new Set(),
    movableCount: 0,
    throughputKBps: 0,
    outdatedKBps,
    percents: own.map((metric) => metric?.percent ?? Number.NaN),
    limitPercents: own.map((metric) => metric?.limitPercent ?? Number.POSITIVE_INFINITY),
    doubtPercents: own.map((metric) => metric?.doubtPercent ?? 0),
  };
}

function figureOf(
  { percents, doubtPercents, throughputKBps, outdatedKBps }: Load,
  metric: number,
  isIdle: boolean,
): Figure {
  return {
    percent: percents[metric] as number,
    doubtPercent: doubtPercents[metric] as number,
    throughputKBps,
    carriedKBps: isIdle ? throughputKBps : Math.max(0, throughputKBps + outdatedKBps),
  };
}

function addLease(load: Load, lease: Weighed): void {
  load.leases.add(lease);
  load.throughputKBps += lease.weight;
  if (lease.movable) load.movableCount += 1;
}

/** Of those that are known: while a deploy adds a metric, some workers have it and some don't. */
function mean(values: readonly number[]): number {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return count === 0 ? 0 : sum / count;
}

function isMovable({ movable }: Weighed): boolean {
  return movable;
}

/** The heaviest first. */
function byWeight(a: Weighed, b: Weighed): number {
  return b.weight - a.weight || (a.leaseKey < b.leaseKey ? -1 : 1);
}

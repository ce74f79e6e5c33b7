// Who should own which lease: one pure decision over a view of the fleet, taken by the leader (KCL 3.x LeaseAssignmentManager)
// and, for its own leases, by a worker that leaves. This file is the words of the decision and the choice between its two
// strategies. Invariant of both: a fleet at rest gets no moves, so leases do not wander.
import { planByCount } from './by-count.ts';
import { planByUtilization } from './by-utilization.ts';

/** A lease that has not ended, as the leader sees it. */
export interface AssignableLease {
  readonly leaseKey: string;
  /** Who owns it or is about to (`leaseOwner`). */
  readonly owner: string | undefined;
  /** Nobody holds it: unassigned, expired, or its handoff is overdue. */
  readonly available: boolean;
  /** A handoff of it may begin: it is live and in nobody's handoff. */
  readonly movable: boolean;
  /** Who gave it up to nobody, as one does that does not get on with it: it gets it back only if nobody else has room. */
  readonly leftBy?: string | undefined;
  /**
   * It is live, and its holder wants it no more: behind the available ones it goes by `handOff` to who has room and does not decline it,
   * and stays otherwise. Default false.
   */
  readonly isGivenUp?: boolean;
  /** What its holder last measured; undefined: nobody has yet. */
  readonly throughputKBps: number | undefined;
}

/** A worker that may receive leases. */
export interface AssignableWorker {
  readonly workerId: string;
  /** Empty: it measures nothing, and is judged by its leases. */
  readonly metrics: readonly WorkerMetric[];
  /** So much more than they do now its leases carried when `metrics` were measured, smoothed like these. Default 0. */
  readonly outdatedKBps?: number;
  /** It gets one lease at the most, if it has none. Default false. */
  readonly isOnTrial?: boolean;
  /** It wants none of these leases, or no further one at all: it gets such only where nobody else has room. Default: it takes any. */
  readonly declines?: 'all' | readonly string[] | undefined;
  /**
   * What the leader has seen of it. `alive`: it lives. `lately`: it has reported within its interval, which one that died since may have,
   * too: a live lease that is planned for it waits until it is seen to live. `longAgo`: it gets what nobody holds where nobody else has room,
   * and nothing else. Default: alive.
   */
  readonly lastSeen?: 'alive' | 'lately' | 'longAgo';
}

export interface WorkerMetric {
  /** `C` for CPU, as in the metric row (KCL WorkerMetricType). */
  readonly name: string;
  /** Smoothed, 0 to 100. */
  readonly percent: number;
  /** It should stay below this. */
  readonly limitPercent: number;
  /** By how much `percent` may be off, to go by how its figures jump about; 0: they stand still, or are too few to tell. */
  readonly doubtPercent: number;
}

/** KCL 3.x LeaseManagementConfig and its WorkerUtilizationAwareAssignmentConfig. */
export interface AssignmentLimits {
  /** No worker gets more leases; what then finds no place stays available. */
  readonly maxLeasesForWorker: number;
  /** A worker whose leases carry more than this gets no further one. */
  readonly maxThroughputPerHostKBps: number;
}

export interface AssignmentRules extends AssignmentLimits {
  readonly strategy: 'utilization' | 'count';
  /** Whether live leases may move in this run, too. */
  readonly balances: boolean;
  /** How far from the average a worker may be before leases move, percent of the average. */
  readonly reBalanceThresholdPercentage: number;
  /** How much of the excess is moved at once, percent. */
  readonly dampeningPercentage: number;
  /** Whether a single lease may be moved that is more than the excess. */
  readonly allowThroughputOvershoot: boolean;
}

export interface Assignment {
  readonly leaseKey: string;
  readonly to: string;
  /** `assign` takes an available lease, `handOff` asks a live owner to give it up. */
  readonly kind: 'assign' | 'handOff';
}

/**
 * Decides the moves of one run: each lease moves once at most, available ones by `assign`, live ones by `handOff`.
 * @param workers those that may receive leases, distinct.
 */
export function planAssignment(
  leases: readonly AssignableLease[],
  workers: readonly AssignableWorker[],
  rules: AssignmentRules,
): Assignment[] {
  const there = workers.filter(({ lastSeen }) => lastSeen !== 'longAgo');
  const moves = planAmongThere(leases, there, rules);
  if (there.length === workers.length) return moves;
  const doubtful = workers.filter(({ lastSeen }) => lastSeen === 'longAgo');
  return [...moves, ...planAmong(without(leases, moves), doubtful, { ...rules, balances: false })];
}

function planAmongThere(
  leases: readonly AssignableLease[],
  workers: readonly AssignableWorker[],
  rules: AssignmentRules,
): Assignment[] {
  const willing = workers.filter(({ declines }) => declines !== 'all');
  if (willing.length === workers.length) return planAmong(leases, workers, rules);
  const declining = workers.filter(({ declines }) => declines === 'all');
  if (rules.balances) {
    const moves = planRelief(leases, willing, declining, rules);
    // A run that relieves somebody evens out nothing else: by how busy the others are once they have these the next one goes.
    if (moves.some(({ kind }) => kind === 'handOff')) return moves;
  }
  const moves = planAmong(leases, willing, rules);
  // A shard that nobody reads is worse than one that is read by who wants no more. The willing ones are full, or nothing would be left.
  return [...moves, ...planAmong(without(leases, moves), declining, { ...rules, balances: false })];
}

function without(leases: readonly AssignableLease[], moves: readonly Assignment[]): AssignableLease[] {
  const placed = new Set(moves.map(({ leaseKey }) => leaseKey));
  return leases.filter(({ leaseKey }) => !placed.has(leaseKey));
}

/**
 * The available leases, and the live ones of those that decline all, go to the willing. Whoever is relieved still holds the rest, and by
 * utilization gives no more of it in one run than `dampeningPercentage`, but one at least.
 * @returns nothing where nobody holds what may be taken from him.
 */
function planRelief(
  leases: readonly AssignableLease[],
  willing: readonly AssignableWorker[],
  declining: readonly AssignableWorker[],
  rules: AssignmentRules,
): Assignment[] {
  const share = rules.strategy === 'utilization' ? rules.dampeningPercentage / 100 : 1;
  const relieved = new Map(declining.map(({ workerId }): [string, string[]] => [workerId, []]));
  const offered = leases.map((lease) => {
    const its = lease.movable && lease.owner !== undefined ? relieved.get(lease.owner) : undefined;
    its?.push(lease.leaseKey);
    return its === undefined ? lease : { ...lease, isGivenUp: true };
  });
  if ([...relieved.values()].every((its) => its.length === 0)) return [];
  const moves = planAmong(offered, willing, { ...rules, balances: false });
  const moved = new Set(moves.map(({ leaseKey }) => leaseKey));
  const given = [...relieved.values()].flatMap((its) => {
    const most = Math.max(1, Math.floor(share * its.length));
    return its.filter((leaseKey) => moved.has(leaseKey)).slice(0, most);
  });
  const goes = new Set(given);
  return moves.filter(({ leaseKey, kind }) => kind === 'assign' || goes.has(leaseKey));
}

function planAmong(
  leases: readonly AssignableLease[],
  workers: readonly AssignableWorker[],
  rules: AssignmentRules,
): Assignment[] {
  if (rules.strategy === 'utilization') return planByUtilization(leases, workers, rules);
  const workerIds = workers.map(({ workerId }) => workerId);
  const onTrial = new Set(workers.flatMap(({ workerId, isOnTrial }) => (isOnTrial ? [workerId] : [])));
  return planByCount(leases, workerIds, rules, rules.balances, { onTrial, declined: declinedBy(workers) });
}

/** Of each worker that declines some leases, which. */
export function declinedBy(
  workers: readonly Pick<AssignableWorker, 'workerId' | 'declines'>[],
): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(
    workers.flatMap(({ workerId, declines }): [string, ReadonlySet<string>][] =>
      declines === undefined || declines === 'all' ? [] : [[workerId, new Set(declines)]],
    ),
  );
}

// Takes leases as a worker of the KCL 2.x does (DynamoDBLeaseTaker), while the fleet may still have such workers: it looks at the
// whole table from time to time, and takes what it is short of from nobody, from owners that fell silent, or from the most
// loaded worker. Pure; the worker makes a tenure of every lease that was taken.
// Invariants: a lease is silent when its counter rests for `failoverTimeMs` as this process saw it; every take is conditional on
// the counter it saw; a fleet at rest, each worker within one lease of the others, takes nothing.
import { answers, type Done, type Effect, type Failed, type TakeLease, type Tell } from './effects.ts';
import type { Lease } from './lease.ts';

export interface TakerOptions {
  readonly workerId: string;
  readonly failoverTimeMs: number;
  /** How often the table is looked at; the KCL 2.x: every two failover times. */
  readonly leaseAssignmentIntervalMs: number;
  readonly maxLeasesForWorker: number;
  readonly maxLeasesToStealAtOneTime: number;
  readonly retryMs: number;
}

/** A lease with how long its counter has rested, as this process saw it. */
export interface RestingLease {
  readonly lease: Lease;
  readonly restMs: number;
}

export interface Takes {
  /** From nobody, or from an owner that fell silent. */
  readonly taken: readonly Lease[];
  /** From a worker that lives. */
  readonly stolen: readonly Lease[];
}

/** What led to the takes, as the KCL counts it; for metrics alone. */
export interface TakeCounts {
  readonly leaseCount: number;
  readonly workerCount: number;
  readonly availableCount: number;
  /** So many leases too few this worker has for its share. */
  readonly neededCount: number;
  /** So many of its share it may not have, because of `maxLeasesForWorker`. */
  readonly spilloverCount: number;
  readonly veryOldCount: number;
  readonly toTakeCount: number;
}

/** So many failover times make a lease very old: it is taken whatever the target says. */
const VERY_OLD = 3;
/** Renewals in a failover time. A look that took longer than half of that is too old to steal by. */
const RENEWALS = 3;

interface Sight {
  readonly counter: number;
  /** When this counter was first seen. */
  readonly since: number;
}

export class Taker {
  readonly #options: TakerOptions;
  readonly #out: (Effect | Tell)[];
  readonly #declines: (leaseKey: string) => boolean;
  #sights = new Map<string, Sight>();
  #run: 'reading' | 'rereading' | 'taking' | undefined;
  #runStartedAt = 0;
  #runAt = 0;
  #writesOpen = 0;

  /** @param declines leases that are not to come back to this worker, while it can be helped. */
  constructor(
    options: TakerOptions,
    out: (Effect | Tell)[],
    declines: (leaseKey: string) => boolean = (): boolean => false,
  ) {
    this.#options = options;
    this.#out = out;
    this.#declines = declines;
  }

  deadline(): number {
    return this.#run === undefined ? this.#runAt : Number.POSITIVE_INFINITY;
  }

  advance(now: number): void {
    if (this.#run !== undefined || now < this.#runAt) return;
    this.#run = 'reading';
    this.#runStartedAt = now;
    this.#out.push({ kind: 'readTable', for: 'taker' });
  }

  /**
   * @param held the leases that this worker holds.
   * @param mayTake false: meanwhile the fleet went over, or this worker leaves.
   */
  done(event: Done, held: ReadonlySet<string>, mayTake: boolean, now: number, random: number): void {
    if (answers(event, 'readTable')) {
      const resting = this.#observe(event.result.leases, now);
      if (mayTake) this.#take(planTakes(resting, held, this.#options, random, this.#declines), now);
      else this.#endRun(now);
    } else if (answers(event, 'readLeases')) {
      if (mayTake) this.#write(event.result.leases, now);
      else this.#endRun(now);
    } else this.#writeAnswered(now);
  }

  failed(event: Failed, now: number): void {
    const { effect, error } = event;
    const retryInMs = this.#options.retryMs;
    const leaseKey = effect.kind === 'takeLease' ? effect.leaseKey : undefined;
    this.#out.push({ kind: 'tell', notice: { kind: 'effectFailed', effect: effect.kind, leaseKey, retryInMs, error } });
    if (effect.kind === 'takeLease') this.#writeAnswered(now);
    else {
      if (this.#run === 'rereading') this.#out.push({ kind: 'tell', notice: { kind: 'takesEnded' } });
      this.#run = undefined;
      this.#runAt = now + retryInMs;
    }
  }

  /** A change counts from when it was seen, an age up to when the reading began. */
  #observe(leases: readonly Lease[], now: number): RestingLease[] {
    const sights = new Map<string, Sight>();
    for (const { leaseKey, leaseCounter: counter } of leases) {
      const last = this.#sights.get(leaseKey);
      sights.set(leaseKey, last?.counter === counter ? last : { counter, since: now });
    }
    this.#sights = sights;
    return leases.map((lease) => {
      const since = sights.get(lease.leaseKey)?.since ?? now;
      return { lease, restMs: this.#runStartedAt - since };
    });
  }

  #take({ taken, stolen, counts }: Takes & { readonly counts: TakeCounts }, now: number): void {
    this.#out.push({ kind: 'tell', notice: { kind: 'takesPlanned', ...counts } });
    if (taken.length + stolen.length === 0) {
      this.#endRun(now);
      return;
    }
    this.#out.push({ kind: 'tell', notice: { kind: 'leasesTaken', taken: taken.length, stolen: stolen.length } });
    const slow = now - this.#runStartedAt > this.#options.failoverTimeMs / RENEWALS / 2;
    if (stolen.length === 0 || !slow) this.#write([...taken, ...stolen], now);
    else {
      this.#run = 'rereading';
      const leaseKeys = stolen.map(({ leaseKey }) => leaseKey);
      this.#out.push({ kind: 'readLeases', leaseKeys, leaseKey: leaseKeys[0] as string, tenure: undefined });
    }
  }

  #write(leases: readonly Lease[], now: number): void {
    this.#run = 'taking';
    this.#writesOpen = leases.length;
    for (const { leaseKey, leaseCounter, leaseOwner: seenOwner, checkpointOwner: seenCheckpointOwner } of leases) {
      const newOwner = this.#options.workerId;
      const take: TakeLease = { kind: 'takeLease', leaseKey, leaseCounter, seenOwner, seenCheckpointOwner, newOwner };
      this.#out.push(take);
    }
    if (leases.length === 0) this.#endRun(now);
  }

  #writeAnswered(now: number): void {
    this.#writesOpen -= 1;
    if (this.#writesOpen === 0) this.#endRun(now);
  }

  #endRun(now: number): void {
    this.#out.push({ kind: 'tell', notice: { kind: 'takesEnded' } });
    this.#run = undefined;
    this.#runAt = now + this.#options.leaseAssignmentIntervalMs;
  }
}

/** Whether the taker, not a lease's holder or the leader, asked for this. */
export function isTakerEffect(effect: Effect): boolean {
  if (effect.kind === 'readTable') return effect.for === 'taker';
  if (effect.kind === 'readLeases') return effect.tenure === undefined;
  return effect.kind === 'takeLease';
}

/**
 * Decides one run. All leases count, finished ones too, as they do for the workers of the KCL 2.x: who counts otherwise never
 * agrees with them on what is balanced. Unlike the KCL's, a lease that nobody ever owned is not very old at first sight: of a
 * new table each worker takes its share, not everything.
 * @param held the leases that this worker holds; it takes none of them.
 * @param random 0 ≤ x < 1, so that workers don't all want the same lease.
 * @param declines what it takes only when it is very old.
 */
export function planTakes(
  resting: readonly RestingLease[],
  held: ReadonlySet<string>,
  rules: Pick<TakerOptions, 'workerId' | 'failoverTimeMs' | 'maxLeasesForWorker' | 'maxLeasesToStealAtOneTime'>,
  random: number,
  declines: (leaseKey: string) => boolean = () => false,
): Takes & { readonly counts: TakeCounts } {
  const { workerId: me, failoverTimeMs, maxLeasesForWorker } = rules;
  let availableCount = 0;
  /** Of these, the ones that it does not decline. */
  const available: Lease[] = [];
  const veryOld: Lease[] = [];
  const owned = new Map<string, Lease[]>([[me, []]]);
  for (const { lease, restMs } of resting) {
    const isHeld = held.has(lease.leaseKey);
    const owner = lease.leaseOwner ?? (isHeld ? me : undefined);
    // Discovery finds what is ours, but for a lease whose old owner does not let go of it.
    const isOurs = owner === me && lease.checkpointOwner === undefined;
    if (owner !== undefined && (isHeld || isOurs || restMs <= failoverTimeMs)) {
      const leases = owned.get(owner);
      if (leases === undefined) owned.set(owner, [lease]);
      else leases.push(lease);
    } else {
      availableCount += 1;
      if (!declines(lease.leaseKey)) available.push(lease);
      if (restMs > VERY_OLD * failoverTimeMs) veryOld.push(lease);
    }
  }

  const mine = owned.get(me)?.length ?? 0;
  const share = Math.max(1, Math.ceil(resting.length / owned.size));
  const target = Math.min(maxLeasesForWorker, share);
  const need = target - mine;
  const seen = {
    leaseCount: resting.length,
    workerCount: owned.size,
    availableCount,
    neededCount: resting.length === 0 ? 0 : Math.max(0, need),
    spilloverCount: share - target,
  };
  const planned = (taken: Lease[], stolen: Lease[] = [], veryOldCount = 0): ReturnType<typeof planTakes> => {
    const toTakeCount = taken.length + stolen.length;
    return { taken, stolen, counts: { ...seen, veryOldCount, toTakeCount } };
  };
  if (veryOld.length > 0) {
    const taken = shuffled(veryOld, random).slice(0, Math.max(0, maxLeasesForWorker - mine));
    return planned(taken, [], taken.length);
  }
  if (need <= 0) return planned([]);
  // None is stolen while any are free, be they all declined: others take these, and are then to be compared with.
  if (availableCount > 0) return planned(shuffled(available, random).slice(0, need));

  let most: readonly Lease[] = [];
  for (const leases of owned.values()) if (leases.length > most.length) most = leases;
  // One who lacks more than one lease may take one from a worker that has no more than its share.
  const spare = most.length === target && need > 1 ? 1 : Math.min(need, most.length - target);
  const count = Math.max(0, Math.min(spare, rules.maxLeasesToStealAtOneTime));
  const wanted = most.filter(({ leaseKey }) => !declines(leaseKey));
  return planned([], shuffled(wanted, random).slice(0, count));
}

/** Fisher and Yates, with a congruential generator (Numerical Recipes) that begins at `random`. */
function shuffled<T>(items: readonly T[], random: number): T[] {
  const mixed = [...items];
  let state = Math.floor(random * 2 ** 32);
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  return mixed;
}

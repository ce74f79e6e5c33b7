// Leases that an operator wants another worker to have, while this one works on: says in the metric row that it declines them, looks once who
// else is there, and has each lease go to an heir as for a leader's handoff (held-lease.ts). What it declines, a leader of ours gives it only
// where nobody else has room; what comes back all the same is taken up, since a shard that nobody reads is worse. Pure.
// Invariants: every word is answered once; no lease is given up for which no heir was found; what is declined is bounded, and runs out.
import { Declined } from './declined.ts';
import type { Effect, HandOffRequested, Tell } from './effects.ts';
import type { HeldLeases } from './held-leases.ts';
import type { Results } from './results.ts';
import { planSuccession, type SuccessionRules } from './succession.ts';
import type { WorkerId } from './worker-id.ts';

/**
 * `noHeir`: no other live worker has room, or the table could not be read; the lease stays, and is read on. `ended`: the shard is at SHARD_END.
 * `underWay`: this, or a replay of it, is. `notHeld`: this worker does not hold the lease, or is about to give it up. `leaseLost`: it was
 * lost, or the worker stopped, before it was done.
 */
export type HandOffOutcome = 'handedOff' | 'noHeir' | 'ended' | 'underWay' | 'notHeld' | 'leaseLost';

export interface HandingOffOptions extends Omit<SuccessionRules, 'leaving'> {
  readonly workerId: string;
}

interface Asked {
  /** With the number of the word. */
  readonly leases: Map<string, number>;
  /** Whether one of the words was about all. */
  areAll: boolean;
}

/** The metric row is waited for no longer than this before the look. */
const LONGEST_REPORT_MS = 1_000;

export class HandingOff {
  readonly #options: HandingOffOptions;
  readonly #out: (Effect | Tell)[];
  readonly #id: WorkerId;
  readonly #leases: HeldLeases;
  readonly #declined = new Declined();
  /** What waits for a look. */
  #asked: Asked = nothingAsked();
  /** What the look is for that is under way. */
  #looked: Asked | undefined;
  #lookAt = Number.POSITIVE_INFINITY;
  #isOver = false;

  /** @param out where effects are put, in order. */
  constructor(options: HandingOffOptions, out: (Effect | Tell)[], id: WorkerId, leases: HeldLeases) {
    this.#options = options;
    this.#out = out;
    this.#id = id;
    this.#leases = leases;
  }

  /** What this worker declines; undefined: nothing. */
  get declines(): 'all' | readonly string[] | undefined {
    return this.#declined.said;
  }

  has(leaseKey: string): boolean {
    return this.#declined.has(leaseKey);
  }

  deadline(): number {
    if (this.#isOver) return Number.POSITIVE_INFINITY;
    return Math.min(this.#looked === undefined ? this.#lookAt : Number.POSITIVE_INFINITY, this.#declined.deadline());
  }

  ask({ leases, areAll, awayMs }: HandOffRequested, now: number): void {
    const accepted: string[] = [];
    for (const { leaseKey, requestId } of leases) {
      const isAsked = this.#asked.leases.has(leaseKey) || this.#looked?.leases.has(leaseKey) === true;
      const refused = isAsked ? 'underWay' : this.#leases.refusesHandOff(leaseKey);
      const refusal = refused ?? (this.#isOver ? 'leaseLost' : undefined);
      if (refusal === undefined) {
        this.#asked.leases.set(leaseKey, requestId);
        accepted.push(leaseKey);
      } else settleHandOff({ leaseKey, requestId }, refusal, undefined, this.#out);
    }
    if (this.#isOver || (accepted.length === 0 && !areAll)) return;
    if (areAll) {
      this.#declined.addAll(now + awayMs);
      const look = this.#asked.leases.size > 0 ? this.#asked : this.#looked;
      if (look !== undefined) look.areAll = true;
    } else for (const leaseKey of accepted) this.#declined.add(leaseKey, now + awayMs);
    this.#say(now);
    if (accepted.length > 0) this.#lookAt = now + Math.min(LONGEST_REPORT_MS, this.#options.failoverTimeMs / 3);
  }

  /** The metric row was written. */
  reported(declines: 'all' | readonly string[] | undefined, now: number): void {
    // What the row says is the present one: no leader that reads from now on gives any of it back.
    if (this.#lookAt !== Number.POSITIVE_INFINITY && declines === this.#declined.said) this.#lookAt = now;
  }

  advance(now: number): void {
    if (this.#isOver) return;
    if (now >= this.#declined.deadline()) {
      this.#declined.expire(now);
      this.#say(now);
    }
    if (this.#looked !== undefined || now < this.#lookAt) return;
    this.#lookAt = Number.POSITIVE_INFINITY;
    this.#looked = this.#asked;
    this.#asked = nothingAsked();
    this.#out.push({ kind: 'readTable', for: 'handOff' });
  }

  /** The look was answered. @param areTaken workers take leases themselves. */
  tableRead({ leases, workers: all }: Results['readTable'], areTaken: boolean, now: number): void {
    const asked = this.#looked ?? nothingAsked();
    const ours = all.filter((worker) => worker.process !== undefined);
    const heirs = planSuccession(
      leases,
      areTaken ? ours : all,
      { ...this.#options, leaving: this.#options.workerId },
      asked.leases,
    );
    // Beside workers of the KCL 2.x no handoff is begun in the row, which they know nothing of.
    const alert = new Set(areTaken ? [] : ours.map(({ workerId }) => workerId));
    this.#settleLook(asked, (leaseKey, requestId) => {
      const heir = heirs.get(leaseKey);
      if (heir === undefined) return false;
      const how = { heir, requestId, isTold: !areTaken, isAlert: alert.has(heir) };
      const refusal = this.#leases.handOff(leaseKey, how, now);
      if (refusal !== undefined) settleHandOff({ leaseKey, requestId }, refusal, undefined, this.#out);
      return true;
    });
    this.#say(now);
  }

  /** Nobody can be asked who else is there. */
  tableNotRead(now: number): void {
    this.#settleLook(this.#looked ?? nothingAsked(), () => false);
    this.#say(now);
  }

  /** A lease that it declines was given to this worker all the same, which takes it up. */
  cameBack(leaseKey: string, now: number): void {
    this.#out.push({ kind: 'tell', notice: { kind: 'handedBack', leaseKey } });
    this.#declined.remove(leaseKey);
    this.#say(now);
  }

  /** An operator takes it back. @param leaseKeys undefined: all. */
  accept(leaseKeys: readonly string[] | undefined, now: number): void {
    if (leaseKeys === undefined) this.#declined.clear();
    else for (const leaseKey of leaseKeys) this.#declined.remove(leaseKey);
    this.#out.push({ kind: 'tell', notice: { kind: 'controlled', what: 'accept', leaseKeys } });
    this.#say(now);
  }

  /** The worker stops: it gives all of its leases up. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const [leaseKey, requestId] of [...this.#asked.leases, ...(this.#looked?.leases ?? [])])
      settleHandOff({ leaseKey, requestId }, 'leaseLost', undefined, this.#out);
    this.#asked = nothingAsked();
    this.#looked = undefined;
  }

  #settleLook({ leases, areAll }: Asked, goes: (leaseKey: string, requestId: number) => boolean): void {
    this.#looked = undefined;
    if (this.#isOver) return;
    let isAlone = leases.size > 0;
    for (const [leaseKey, requestId] of leases) {
      if (goes(leaseKey, requestId)) isAlone = false;
      else {
        this.#declined.remove(leaseKey);
        settleHandOff({ leaseKey, requestId }, 'noHeir', undefined, this.#out);
      }
    }
    // Who comes later is to get its share of what has stayed.
    if (isAlone && areAll) this.#declined.clear();
  }

  /** In the metric row, if it is something else than before. */
  #say(now: number): void {
    if (!this.#isOver) this.#id.decline(this.#declined.said, now);
  }
}

function nothingAsked(): Asked {
  return { leases: new Map(), areAll: false };
}

export function settleHandOff(
  { requestId, leaseKey }: { readonly requestId: number; readonly leaseKey: string },
  outcome: HandOffOutcome,
  to: string | undefined,
  out: (Effect | Tell)[],
): void {
  out.push({ kind: 'tell', notice: { kind: 'handOffSettled', requestId, leaseKey, outcome, to } });
}

// Endings in which somebody reports metrics and takes up nothing, as a worker does that may not query the index of owners. And the
// checker: what it was given once goes on with the others; from then on it has one lease at the most, after pauses that double; and
// none of them for longer than a lease lasts and the leader's next run takes. By what stands in the table.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { NOTHING_MEASURED } from '../../../consumer/dist/coordination/lease.js';
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { Ending } from './endings.ts';
import { HEALED_CALL_MS } from './process.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';
import type { World } from './world.ts';

const MUTE = 'mute';
const { failoverTimeMs, leaseAssignmentIntervalMs, gracefulLeaseHandoffTimeoutMs, workerStaleMs: PAUSE_MS } = TIMES;
/** `lut` is in whole seconds. */
const REPORT_MS = 1000;
const REPORTS_MS = 40_000;
/** A handoff is under way; the leader sees the last change late, counts from there, and reads, lists and writes. */
const RESTS_MS =
  (gracefulLeaseHandoffTimeoutMs + failoverTimeMs + 2 * leaseAssignmentIntervalMs) / (1 - MAX_CLOCK_DRIFT) +
  8 * HEALED_CALL_MS;

/** @returns undefined: nobody leads. */
export function mute(world: World): Ending | undefined {
  const { queue, checkers, table } = world;
  if (table.leader === undefined) return undefined;
  const watch = new MuteWatch(world);
  const report = (): void => {
    const lastUpdateSeconds = Math.floor(queue.now / REPORT_MS);
    table.workers.set(MUTE, { lastUpdateSeconds, utilization: NOTHING_MEASURED, process: undefined });
  };
  return {
    ran: (_, effect, result) => checkers.report(watch.ran(effect, result)),
    play: () => {
      const until = queue.now + REPORTS_MS;
      while (checkers.violations.length === 0 && queue.now < until) {
        report();
        queue.runUntil(queue.now + REPORT_MS);
        checkers.report(watch.judge());
      }
      table.workers.delete(MUTE);
      if (checkers.violations.length === 0) world.settle();
    },
  };
}

class MuteWatch {
  readonly #world: World;
  /** Since when it is named as the owner, or as the one who gets it. */
  readonly #since = new Map<string, number>();
  #giftCount = 0;
  /** When what it was given at first was others' again. */
  #tookNothingAt: number | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** @returns what is wrong. */
  ran(effect: TableEffect, result: unknown): string | undefined {
    const { queue, table } = this.#world;
    if (!('leaseKey' in effect) || effect.kind === 'createLease') return undefined;
    const { leaseKey } = effect;
    const isIts = table.leases.get(leaseKey)?.leaseOwner === MUTE;
    if (!isIts) {
      if (this.#since.delete(leaseKey) && this.#since.size === 0) this.#tookNothingAt ??= queue.now;
      return undefined;
    }
    if (this.#since.has(leaseKey) || (result as LeaseWrite).applied !== true) return undefined;
    this.#since.set(leaseKey, queue.now);
    if (this.#tookNothingAt === undefined) return undefined;
    this.#giftCount += 1;
    if (this.#since.size > 1)
      return `${MUTE} has ${this.#since.size} leases at ${queue.now}, and took up none until ${this.#tookNothingAt}`;
    const most = 2 + Math.floor(Math.log2(1 + (queue.now - this.#tookNothingAt) / (PAUSE_MS * (1 - MAX_CLOCK_DRIFT))));
    if (this.#giftCount <= most) return undefined;
    return `${MUTE} gets a lease for the ${this.#giftCount}th time at ${queue.now}, and took up none since ${this.#tookNothingAt}`;
  }

  /** @returns what is wrong. */
  judge(): string | undefined {
    const { now } = this.#world.queue;
    for (const [leaseKey, since] of this.#since)
      if (now - since > RESTS_MS) return `${leaseKey} is ${MUTE}'s at ${now}, who has not taken it up since ${since}`;
    return undefined;
  }
}

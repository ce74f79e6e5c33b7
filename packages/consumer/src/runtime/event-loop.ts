// Whether this process's one thread gets to work in time. A handler that computes for seconds holds up everything else in the
// process, the renewal of leases too, where a KCL has threads. One timer that should come every so often shows by how much it
// comes late; the loop's own count of active time tells a loop that was blocked from a process that was suspended.
// It warns and changes nothing: what a late renewal means for a lease is the core's to judge. Owns one timer, between start and stop.
import { performance } from 'node:perf_hooks';
import { type Clock, consumerDiagnostics, type Logger } from '@shardline/common';

export interface EventLoopOptions {
  readonly application: string;
  readonly workerId: string;
  readonly failoverTimeMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The handler calls that ran at some time from `since` (of the clock) on. */
  readonly callsSince: (since: number) => readonly HandlerCall[];
  /** Active time of the event loop since the last call, ms. Default: this process's. */
  readonly activeMs?: (() => number) | undefined;
}

/** A call of the user's handler. */
export interface HandlerCall {
  readonly leaseKey: string;
  /** The handler's word: `processRecords`. */
  readonly word: string;
  /** How long it held the thread before it first gave it back. */
  readonly synchronousMs: number;
}

const LOOKS_PER_FAILOVER = 20;
const WARNING_INTERVAL_MS = 60_000;
/** A renewal is due every third of the failover time; one that is late by as much has one more chance. */
const RENEWALS_PER_FAILOVER = 3;
const MAX_NAMED = 10;

export class EventLoopWatch {
  readonly #options: EventLoopOptions;
  readonly #lookMs: number;
  #activeMs: () => number = () => 0;
  #lookedAt = 0;
  #cancel: () => void = () => undefined;
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** Since the last warning, this one included. */
  #blockCount = 0;

  constructor(options: EventLoopOptions) {
    this.#options = options;
    this.#lookMs = options.failoverTimeMs / LOOKS_PER_FAILOVER;
  }

  start(): void {
    this.#activeMs = this.#options.activeMs ?? activeTime();
    this.#activeMs();
    this.#plan();
  }

  stop(): void {
    this.#cancel();
  }

  #plan(): void {
    const { clock } = this.#options;
    this.#lookedAt = clock.now();
    this.#cancel = clock.setTimer(() => this.#look(), this.#lookMs, false);
  }

  #look(): void {
    const { clock, failoverTimeMs } = this.#options;
    const elapsedMs = clock.now() - this.#lookedAt;
    const lateMs = elapsedMs - this.#lookMs;
    const activeMs = this.#activeMs();
    if (lateMs >= failoverTimeMs / RENEWALS_PER_FAILOVER) this.#late(lateMs, activeMs >= elapsedMs / 2);
    this.#plan();
  }

  #late(lateMs: number, isBlocked: boolean): void {
    const { application, workerId: worker, clock, logger, failoverTimeMs, callsSince } = this.#options;
    const blockedMs = Math.round(lateMs);
    const cause = isBlocked ? 'blocked' : 'suspended';
    const calls = isBlocked ? [...callsSince(this.#lookedAt)] : [];
    const handlers = calls
      .sort((a, b) => b.synchronousMs - a.synchronousMs)
      .slice(0, MAX_NAMED)
      .map((call) => ({ ...call, synchronousMs: Math.round(call.synchronousMs) }));
    const { eventLoopDelayed } = consumerDiagnostics;
    if (eventLoopDelayed.hasSubscribers)
      eventLoopDelayed.publish({ application, worker, cause, delayMs: blockedMs, handlers });
    this.#blockCount += 1;
    if (clock.now() < this.#warnedAt + WARNING_INTERVAL_MS) return;
    const fields = { cause, delayMs: blockedMs, failoverTimeMs, handlers, count: this.#blockCount };
    this.#warnedAt = clock.now();
    this.#blockCount = 0;
    const lost =
      lateMs >= failoverTimeMs
        ? 'longer than failoverTimeMs, so leases may have gone to other workers'
        : 'and no lease could be renewed meanwhile';
    if (isBlocked) {
      logger.warn(
        fields,
        `the event loop was blocked for ${blockedMs} ms, ${lost}: let handlers give the thread back between records, move ` +
          'what computes to a worker thread, or raise failoverTimeMs',
      );
    } else logger.warn(fields, `this process did not run for ${blockedMs} ms, ${lost}: was it suspended?`);
  }
}

function activeTime(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { active } = performance.eventLoopUtilization(now, last);
    last = now;
    return active;
  };
}

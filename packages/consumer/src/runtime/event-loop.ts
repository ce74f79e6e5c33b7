// Whether this process's one thread gets to work in time. A handler that computes for seconds holds up everything else in the
// process, the renewal of leases too, where a KCL has threads. One timer that should come every so often shows by how much it
// comes late; the loop's own count of active time, and the CPU's, tell a loop that was blocked from a process that was suspended.
// It warns and changes nothing: what a late renewal means for a lease is the core's to judge. Owns one timer, between start and stop.
import { performance } from 'node:perf_hooks';
import { type Clock, consumerDiagnostics, type Logger } from '@shardline/common';

export interface EventLoopOptions {
  readonly application: string;
  readonly workerId: string;
  readonly failoverTimeMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The handler calls that ran at some time from `since` (of the clock) on. Asked at every look: nobody asks for earlier ones again. */
  readonly callsSince: (since: number) => readonly HandlerCall[];
  /** What was used since the last call. Default: by this process. */
  readonly usage?: (() => Usage) | undefined;
}

/** A call of the user's handler. */
export interface HandlerCall {
  readonly leaseKey: string;
  /** The handler's word: `processRecords`. */
  readonly word: string;
  /** How long it held the thread before it first gave it back. */
  readonly synchronousMs: number;
}

/** In ms. Active: all but waiting for something to do. */
export interface Usage {
  readonly activeMs: number;
  readonly cpuMs: number;
}

const LOOKS_PER_FAILOVER = 20;
const WARNING_INTERVAL_MS = 60_000;
/** A renewal is due every third of the failover time; one that is late by as much has one more chance. */
const RENEWALS_PER_FAILOVER = 3;
const MAX_NAMED = 10;

export class EventLoopWatch {
  readonly #options: EventLoopOptions;
  readonly #lookMs: number;
  #usage: () => Usage = () => ({ activeMs: 0, cpuMs: 0 });
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
    this.#usage = this.#options.usage ?? usageOfProcess();
    this.#usage();
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
    const { clock, failoverTimeMs, callsSince } = this.#options;
    const elapsedMs = clock.now() - this.#lookedAt;
    const lateMs = elapsedMs - this.#lookMs;
    const usage = this.#usage();
    const running = callsSince(this.#lookedAt);
    if (lateMs >= failoverTimeMs / RENEWALS_PER_FAILOVER) this.#late(lateMs, elapsedMs, usage, running);
    this.#plan();
  }

  #late(lateMs: number, elapsedMs: number, { activeMs, cpuMs }: Usage, running: readonly HandlerCall[]): void {
    const { application, workerId: worker, clock, logger, failoverTimeMs } = this.#options;
    // Stopped in the midst of its work, a process is active without using the CPU; so is a handler that waits for a child process.
    const isBusy = cpuMs >= elapsedMs / 10 || running.some(({ synchronousMs }) => synchronousMs >= lateMs / 2);
    const isBlocked = activeMs >= elapsedMs / 2 && isBusy;
    const blockedMs = Math.round(lateMs);
    const cause = isBlocked ? 'blocked' : 'suspended';
    const calls = isBlocked ? [...running] : [];
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

function usageOfProcess(): () => Usage {
  let lastLoop = performance.eventLoopUtilization();
  let lastCpu = process.cpuUsage();
  return () => {
    const loop = performance.eventLoopUtilization();
    const { active } = performance.eventLoopUtilization(loop, lastLoop);
    const { user, system } = process.cpuUsage(lastCpu);
    lastLoop = loop;
    lastCpu = process.cpuUsage();
    return { activeMs: active, cpuMs: (user + system) / 1000 };
  };
}

// Whether the leases that this worker holds get on: each waits for answers (a read, the handler, the write of a checkpoint that
// is due), and one that comes too late is told of, and past a limit the lease is given up. Pure; it only judges, the worker acts.
// Invariant: only time in which this process ran counts. Looks follow each other closely, so when one comes late the process was
// suspended or its event loop blocked, and what it had no chance to see in that time is nobody's delay.
import type { Tenure } from './effects.ts';

export type StallReason = 'read' | 'handler' | 'checkpoint';

/** For each thing that a lease waits for right now a number that changes with every answer; undefined: it does not wait for it. */
export interface Waits extends Readonly<Record<StallReason, number | undefined>> {
  /** The handler's signal is aborted, and all that is waited for is the handler's return. */
  readonly closing: boolean;
}

export interface Stall {
  readonly reason: StallReason;
  /** By the clock of `now`; as old as a look too young. */
  readonly since: number;
  /** Time in which this process ran. */
  readonly forMs: number;
}

/**
 * `stalled`: no answer for long. `givenUp`: for so long that the lease goes. `stuck`: the signal was aborted, and the handler has
 * not returned in `shutdownGraceMs`. `over`: an answer came after all.
 */
export type StallState = 'stalled' | 'givenUp' | 'stuck' | 'over';

export interface StallVerdict extends Stall {
  readonly state: StallState;
}

export interface WatchdogOptions {
  /** No answer for so long is told; again at twice, four times, … that age. Infinite: nothing is watched. */
  readonly stallWarningMs: number;
  /** No answer for so long, and the lease is given up. */
  readonly stallLimitMs: number;
  readonly shutdownGraceMs: number;
}

interface Wait {
  readonly answers: number;
  readonly since: number;
  readonly sinceAwakeMs: number;
}

/** One for each lease, so it is flat. */
interface Watched extends Record<StallReason, Wait | undefined> {
  progressAt: number;
  /** The age at which the present stall is told of next, and what was told last. */
  tellAtMs: number;
  told: StallVerdict | undefined;
  toldAwakeMs: number;
  closingSince: { readonly now: number; readonly awakeMs: number } | undefined;
}

const LONGEST_LOOK_MS = 1_000;
const LOOKS_PER_LIMIT = 10;
const REASONS: readonly StallReason[] = ['read', 'handler', 'checkpoint'];

export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #lookMs: number;
  readonly #watched = new Map<Tenure, Watched>();
  #lookedAt: number | undefined;
  /** Time in which looks followed each other. */
  #awakeMs = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    const shortest = Math.min(options.stallWarningMs, options.stallLimitMs);
    this.#lookMs =
      shortest === Number.POSITIVE_INFINITY ? shortest : Math.min(LONGEST_LOOK_MS, shortest / LOOKS_PER_LIMIT);
  }

  /** When the next look is due. */
  deadline(): number {
    return this.#lookedAt === undefined && this.#lookMs < Number.POSITIVE_INFINITY
      ? 0
      : (this.#lookedAt ?? 0) + this.#lookMs;
  }

  /** Begins a look: counts the time since the last one, but no more than lies between two looks. */
  begin(now: number): void {
    this.#awakeMs = this.#awakeAt(now);
    this.#lookedAt = now;
  }

  /** Looks at one tenure; says what is to be told or done, if anything. */
  look(tenure: Tenure, waits: Waits, now: number): StallVerdict | undefined {
    const watched = this.#of(tenure, now);
    this.#follow(watched, waits, now);
    if (waits.closing) return this.#lookAtClosing(watched, now);
    const stall = this.#longest(watched);
    const { told } = watched;
    if (told !== undefined && (stall === undefined || stall.since > told.since)) {
      watched.told = undefined;
      watched.tellAtMs = this.#options.stallWarningMs;
      return { ...told, state: 'over', forMs: Math.max(told.forMs, now - told.since) };
    }
    if (stall === undefined) return undefined;
    if (stall.forMs >= this.#options.stallLimitMs) return this.#tell(watched, { ...stall, state: 'givenUp' });
    return stall.forMs >= watched.tellAtMs ? this.#tell(watched, { ...stall, state: 'stalled' }) : undefined;
  }

  /** What was told last of a tenure that has not got on since, and how old that is by now. */
  stallOf(tenure: Tenure, now: number): StallVerdict | undefined {
    const { told, toldAwakeMs = 0 } = this.#watched.get(tenure) ?? {};
    return told && { ...told, forMs: told.forMs + this.#awakeAt(now) - toldAwakeMs };
  }

  /** When a tenure was last seen to have got on. */
  progressAt(tenure: Tenure): number | undefined {
    return this.#watched.get(tenure)?.progressAt;
  }

  forget(tenure: Tenure): void {
    this.#watched.delete(tenure);
  }

  #of(tenure: Tenure, now: number): Watched {
    const known = this.#watched.get(tenure);
    if (known !== undefined) return known;
    const watched: Watched = {
      read: undefined,
      handler: undefined,
      checkpoint: undefined,
      progressAt: now,
      tellAtMs: this.#options.stallWarningMs,
      told: undefined,
      toldAwakeMs: 0,
      closingSince: undefined,
    };
    this.#watched.set(tenure, watched);
    return watched;
  }

  #follow(watched: Watched, waits: Waits, now: number): void {
    for (const reason of REASONS) {
      const answers = waits[reason];
      const before = watched[reason];
      if (answers === before?.answers) continue;
      if (before !== undefined) watched.progressAt = now;
      watched[reason] = answers === undefined ? undefined : { answers, since: now, sinceAwakeMs: this.#awakeMs };
    }
  }

  #longest(watched: Watched): Stall | undefined {
    let longest: Stall | undefined;
    for (const reason of REASONS) {
      const wait = watched[reason];
      if (wait === undefined) continue;
      const forMs = this.#awakeMs - wait.sinceAwakeMs;
      if (longest === undefined || forMs > longest.forMs) longest = { reason, since: wait.since, forMs };
    }
    return longest;
  }

  #lookAtClosing(watched: Watched, now: number): StallVerdict | undefined {
    if (watched.closingSince === undefined) {
      watched.closingSince = { now, awakeMs: this.#awakeMs };
      watched.tellAtMs = this.#options.shutdownGraceMs;
    }
    const { now: since, awakeMs } = watched.closingSince;
    const forMs = this.#awakeMs - awakeMs;
    if (forMs < watched.tellAtMs) return undefined;
    return this.#tell(watched, { reason: 'handler', since, forMs, state: 'stuck' });
  }

  #tell(watched: Watched, verdict: StallVerdict): StallVerdict {
    watched.told = verdict;
    watched.toldAwakeMs = this.#awakeMs;
    watched.tellAtMs = 2 * Math.max(verdict.forMs, 1);
    return verdict;
  }

  /** Time in which this process ran, as far as is known: no more of the present than lies between two looks. */
  #awakeAt(now: number): number {
    return this.#awakeMs + Math.min(now - (this.#lookedAt ?? now), this.#lookMs);
  }
}

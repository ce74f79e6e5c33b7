// What befalls single processes in some worlds: handlers that hang or block their process, processes that sleep, credentials that
// expire for all calls of one of them; and the checker of what the watchdog makes of it. Chance comes from a sequence of its own,
// so that all other worlds stay as they are. As on a real machine a process whose handler ignores its signal is ended from outside.
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import { createPrng, type Prng } from '../prng.ts';

/** What a handler does in place of its work; one that hangs heeds its aborted signal, or ignores it. */
export type Hang = 'hangsHeeding' | 'hangsIgnoring' | 'blocks';

export interface BadDay {
  readonly at: number;
  readonly kind: 'sleep' | 'credentialsExpire';
  readonly target: number;
  readonly durationMs: number;
}

/** In worlds with bad days. A look comes ten times in the shorter one. */
export const STALL_TIMES = { stallWarningMs: 800, stallLimitMs: 1600 } as const;
const LOOK_MS = STALL_TIMES.stallWarningMs / 10;

export class BadDays {
  readonly #prng: Prng;

  /** @returns undefined: this world has none. */
  static of(seed: number): BadDays | undefined {
    return seed % 5 === 4 ? new BadDays(seed) : undefined;
  }

  private constructor(seed: number) {
    this.#prng = createPrng(seed ^ 0x5ead_da75);
  }

  /** Drawn once for each delivery while there are faults. */
  hang(): Hang | undefined {
    const prng = this.#prng;
    if (!prng.chance(0.12)) return undefined;
    return prng.pick(['hangsHeeding', 'hangsHeeding', 'hangsIgnoring', 'blocks']);
  }

  /** Longer than a lease lasts, at times. */
  blockMs(): number {
    return this.#prng.between(200, 3000);
  }

  plan(faultsUntilMs: number): BadDay[] {
    const prng = this.#prng;
    const days: BadDay[] = [];
    for (let count = prng.between(0, 3); count > 0; count -= 1) {
      const kind = prng.pick(['sleep', 'credentialsExpire'] as const);
      const durationMs = kind === 'sleep' ? prng.between(3000, 12_000) : prng.between(300, 4000);
      days.push({ at: prng.between(200, faultsUntilMs), kind, target: prng.int(8), durationMs });
    }
    return days;
  }
}

/** One call of the handler, by the world's clock. */
export interface WatchedCall {
  readonly startedAt: number;
  /** How long, and how often, the process had been away by then. */
  readonly awayMs: number;
  readonly awayCount: number;
}

/** A stall that is told of must be one: the handler ran for so long while its process did. */
export function judgeStall(
  notice: Extract<Notice, { kind: 'stall' }>,
  call: WatchedCall | undefined,
  present: WatchedCall,
): string | undefined {
  const isAboutCall = notice.reason === 'handler' && (notice.state === 'stalled' || notice.state === 'givenUp');
  if (!isAboutCall || call === undefined) return undefined;
  const awakeMs = present.startedAt - call.startedAt - (present.awayMs - call.awayMs);
  // Of an absence one look's worth counts. Clocks may run a little fast.
  const excusedMs = LOOK_MS * (1 + present.awayCount - call.awayCount) + 0.03 * STALL_TIMES.stallWarningMs;
  const leastMs = notice.state === 'givenUp' ? STALL_TIMES.stallLimitMs : STALL_TIMES.stallWarningMs;
  if (awakeMs + excusedMs >= leastMs) return undefined;
  return `the handler of ${notice.leaseKey} is called stalled (${notice.state}) after ${awakeMs} ms of its process's time`;
}

// Exponential back-off with full jitter: a random wait between 0 and the exponential bound, so that many clients that
// failed together do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter").

export interface BackoffOptions {
  /** Bound of the first wait, ms. */
  readonly baseMs: number;
  /** Bound of the longest wait, ms. */
  readonly maxMs: number;
}

/** The wait before attempt `attempt + 1`, `attempt` counted from 1; `random` is 0 ≤ x < 1. */
export function backoffMs(attempt: number, random: number, { baseMs, maxMs }: BackoffOptions): number {
  return random * Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
}

// How much of a quota to use, learned from what Kinesis refuses: the limiter's, one for each shard and one for an AUTO stream. A
// cut follows what was written in the last second, and growth is TCP CUBIC's (RFC 9438): fast back to just below where it was too
// much, a rest there, and then faster and faster upwards. Pure: `now` is an argument.
// Invariants: between the floor and the given share; only refusals and failures lower it, at most once for what was sent since the
// last cut; without them it is back at the given share within seconds.

/** What is left of the rate that was written when Kinesis refused something: so much below what it takes. */
const CUT = 0.9;
/** The most that one cut takes away. */
const DEEPEST_CUT = 0.5;
/** Growth after t seconds is GROWTH × t³: from next to nothing to the whole quota in 7 s. */
const GROWTH = 0.003;
/** Of a quota: so much always goes, or nobody would notice that it is over. */
const FLOOR = 0.02;
const WINDOW_MS = 1_000;

export class AdaptiveRate {
  readonly #most: number;
  readonly #floor: number;
  /** The share at the last cut, which is what it grows back to first. */
  #plateau: number;
  /** From the last cut to the plateau. */
  #restMs = 0;
  #cutAtMs = Number.NEGATIVE_INFINITY;
  readonly #written = new SlidingSum();
  readonly #answeredCounts = { written: new SlidingSum(), failed: new SlidingSum() };

  /** `most`: the share of the quota to use while nothing is refused; Infinity: no bound. */
  constructor(most: number) {
    this.#most = most;
    this.#floor = Math.min(most, FLOOR);
    this.#plateau = most;
  }

  /** The share of the quota to use now. */
  share(nowMs: number): number {
    if (this.#cutAtMs === Number.NEGATIVE_INFINITY) return this.#most;
    const seconds = (Math.max(0, nowMs - this.#cutAtMs) - this.#restMs) / 1000;
    const share = this.#plateau + GROWTH * seconds ** 3;
    if (share < this.#most) return Math.max(this.#floor, share);
    // Grown back: as if nothing had been.
    this.#cutAtMs = Number.NEGATIVE_INFINITY;
    return this.#most;
  }

  /** Kinesis took something; `share`: what it is of a second's quota. */
  written(share: number, nowMs: number): void {
    this.#written.add(share, nowMs);
    this.#answeredCounts.written.add(1, nowMs);
  }

  /** Kinesis refused something for its rate. True: that was news, and the share is lower now. */
  throttled(beganAtMs: number, nowMs: number): boolean {
    if (beganAtMs < this.#cutAtMs) return false;
    const share = this.share(nowMs);
    const written = Math.min(share, this.#written.sum(nowMs));
    return this.#cutTo(share === Number.POSITIVE_INFINITY ? written : Math.max(written, share * DEEPEST_CUT), nowMs);
  }

  /** Kinesis failed, or did not answer. Now and then that says nothing of rates; when most fails, less may help. */
  failed(beganAtMs: number, nowMs: number): boolean {
    const { written, failed } = this.#answeredCounts;
    failed.add(1, nowMs);
    if (beganAtMs < this.#cutAtMs || failed.sum(nowMs) <= written.sum(nowMs)) return false;
    const share = this.share(nowMs);
    return this.#cutTo(share === Number.POSITIVE_INFINITY ? this.#written.sum(nowMs) : share * DEEPEST_CUT, nowMs);
  }

  /** `plateau`: what was too much. */
  #cutTo(plateau: number, nowMs: number): boolean {
    this.#plateau = Math.max(plateau, this.#floor / CUT);
    this.#restMs = Math.cbrt((this.#plateau * (1 - CUT)) / GROWTH) * 1000;
    this.#cutAtMs = nowMs;
    return true;
  }
}

/** What was added within about the last second: that of the second before counts by how much of it is still in the window. */
class SlidingSum {
  #beganAtMs = Number.NEGATIVE_INFINITY;
  #current = 0;
  #before = 0;

  add(amount: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#current += amount;
  }

  sum(nowMs: number): number {
    this.#turn(nowMs);
    const passed = Math.max(0, nowMs - this.#beganAtMs) / WINDOW_MS;
    return this.#current + this.#before * (1 - passed);
  }

  #turn(nowMs: number): void {
    const elapsedMs = nowMs - this.#beganAtMs;
    if (elapsedMs < WINDOW_MS) return;
    this.#before = elapsedMs < 2 * WINDOW_MS ? this.#current : 0;
    this.#current = 0;
    this.#beganAtMs = this.#before > 0 ? this.#beganAtMs + WINDOW_MS : nowMs;
  }
}

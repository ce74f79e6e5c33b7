// When the leader's next run comes: every interval, sooner after a change, and once out of turn when a lease runs out before. Between
// what a run has found (leader.ts) and the leader's one timer. Pure.
// Invariant: between two regular runs there is at most one out of turn, and that one does not put the next regular one off; so a
// lease whose owner falls silent is seen to be expired within failoverTimeMs and one interval, and no fleet is scanned in a storm.
// Why one is enough: a lease that is seen to run out soon after such a run was seen to change soon after another reading, and has been
// silent for so much shorter.

export interface RunTimesOptions {
  readonly failoverTimeMs: number;
  readonly leaseAssignmentIntervalMs: number;
}

/** A run that has ended. */
export interface EndedRun {
  readonly startedAt: number;
  /** It wrote something that others will follow. */
  readonly hasChanged: boolean;
  /** When a stream is to be listed again that could not be; infinite: none. */
  readonly retryAt: number;
  /** When the first of the leases runs out that should be renewed before; infinite: none. */
  readonly expiryAt: number;
}

/** After a run that changed something the next one comes after this part of the interval, then after twice as long, and so on. */
const SETTLING = 1 / 8;

export class RunTimes {
  readonly #intervalMs: number;
  #pauseMs: number;
  #dueAt = 0;
  #regularAt = 0;
  /** The run that is due is out of turn. */
  #outOfTurn = false;

  constructor({ failoverTimeMs, leaseAssignmentIntervalMs }: RunTimesOptions) {
    // A lease that changed between two readings may have changed just after the first: what comes after the second counts.
    this.#intervalMs = Math.min(leaseAssignmentIntervalMs, failoverTimeMs);
    this.#pauseMs = this.#intervalMs;
  }

  get dueAt(): number {
    return this.#dueAt;
  }

  /** The next run comes then, whatever was planned. */
  set(at: number): void {
    this.#dueAt = at;
    this.#outOfTurn = false;
  }

  /** Not later than that. */
  bringForward(at: number): void {
    if (at < this.#dueAt) this.set(at);
  }

  ended({ startedAt, hasChanged, retryAt, expiryAt }: EndedRun, now: number): void {
    // A fleet that changes goes on changing: workers come, and die, one after the other.
    const isFirstChange = this.#pauseMs === this.#intervalMs;
    if (!hasChanged) this.#pauseMs = this.#intervalMs;
    else this.#pauseMs = Math.min(this.#intervalMs, isFirstChange ? this.#intervalMs * SETTLING : 2 * this.#pauseMs);
    const wasRegular = !this.#outOfTurn;
    if (wasRegular || hasChanged) this.#regularAt = startedAt + this.#pauseMs;
    this.set(Math.max(now, Math.min(this.#regularAt, retryAt)));
    if (wasRegular && expiryAt < this.#dueAt) {
      this.#dueAt = Math.max(now, expiryAt);
      this.#outOfTurn = true;
    }
  }
}

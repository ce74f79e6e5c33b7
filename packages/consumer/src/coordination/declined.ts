// Which leases this worker declines for a while, since it was told to hand them off: some by their keys, or all. It stands in the metric row,
// where leaders of ours read it (fleet.ts), so it ends with the worker, and no clocks are compared. Pure.
// Invariant: `said` is the same object until what it says changes; it has a bound, since a row has one.

/** The metric row has room for so many keys; of more the newest count. */
export const MOST_DECLINED = 100;

export class Declined {
  /** Until when; the oldest first. */
  readonly #until = new Map<string, number>();
  #allUntil = Number.NEGATIVE_INFINITY;
  #said: 'all' | readonly string[] | undefined;

  get said(): 'all' | readonly string[] | undefined {
    return this.#said;
  }

  has(leaseKey: string): boolean {
    return this.#said === 'all' || this.#until.has(leaseKey);
  }

  /** When something of it runs out; infinite: never. */
  deadline(): number {
    let deadline = this.#allUntil === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : this.#allUntil;
    for (const until of this.#until.values()) deadline = Math.min(deadline, until);
    return deadline;
  }

  add(leaseKey: string, until: number): void {
    this.#until.delete(leaseKey);
    this.#until.set(leaseKey, until);
    const [oldest] = this.#until.keys();
    if (this.#until.size > MOST_DECLINED && oldest !== undefined) this.#until.delete(oldest);
    this.#change();
  }

  addAll(until: number): void {
    this.#allUntil = until;
    this.#change();
  }

  remove(leaseKey: string): void {
    if (this.#until.delete(leaseKey)) this.#change();
  }

  clear(): void {
    this.#until.clear();
    this.#allUntil = Number.NEGATIVE_INFINITY;
    this.#change();
  }

  expire(now: number): void {
    for (const [leaseKey, until] of this.#until) if (now >= until) this.#until.delete(leaseKey);
    if (now >= this.#allUntil) this.#allUntil = Number.NEGATIVE_INFINITY;
    this.#change();
  }

  #change(): void {
    if (this.#allUntil !== Number.NEGATIVE_INFINITY) this.#said = 'all';
    else this.#said = this.#until.size === 0 ? undefined : [...this.#until.keys()];
  }
}

// Which leases this process has been told to pause, and since when: all of them, those that come later too, or some by their keys. Asked by
// the shard consumer before it has the handler called; a paused lease is kept, renewed, checkpointed and handed over like any other. Pure.
// Invariant: it is about keys, not tenures: a lease that is lost and comes back to this process is paused as before.

export class Pauses {
  /** Since when all are. */
  #allSince: number | undefined;
  /** Since when some are, beside that. */
  readonly #since = new Map<string, number>();
  /** Those that go on although all are paused. */
  readonly #exempt = new Set<string>();

  get allSince(): number | undefined {
    return this.#allSince;
  }

  /** @returns by the clock of `now`; undefined: it is not paused. */
  since(leaseKey: string): number | undefined {
    return this.#since.get(leaseKey) ?? (this.#exempt.has(leaseKey) ? undefined : this.#allSince);
  }

  /** What is paused already stays so since then. @param leaseKeys undefined: all. */
  pause(leaseKeys: readonly string[] | undefined, now: number): void {
    if (leaseKeys === undefined) {
      this.#exempt.clear();
      this.#allSince ??= now;
      return;
    }
    for (const leaseKey of leaseKeys) {
      if (this.since(leaseKey) === undefined) this.#since.set(leaseKey, now);
    }
  }

  resume(leaseKeys: readonly string[] | undefined): void {
    if (leaseKeys === undefined) {
      this.#allSince = undefined;
      this.#since.clear();
      this.#exempt.clear();
      return;
    }
    for (const leaseKey of leaseKeys) {
      this.#since.delete(leaseKey);
      if (this.#allSince !== undefined) this.#exempt.add(leaseKey);
    }
  }
}

// When the disk is asked to hold what was written. One wait for the disk covers everything that was written before it began,
// and there is one at a time: the more requests come, the more of them share it. A wait that failed is final, because the
// system then forgets what it could not write, and a second wait would succeed without it.

export class GroupSync {
  readonly #sync: () => Promise<void>;
  #writtenBytes = 0;
  #safeBytes = 0;
  #underWay: { readonly upToBytes: number; readonly done: Promise<void> } | undefined;
  #next: Promise<void> | undefined;

  /** `sync` resolves when everything that was written before the call is on the disk. */
  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  /** Everything written is on the disk, by other means. */
  allSafe(): void {
    this.#safeBytes = this.#writtenBytes;
  }

  /** Resolves when all that is written now is on the disk; undefined when it already is. Rejects when the disk failed. */
  whenSafe(): Promise<void> | undefined {
    if (this.#safeBytes >= this.#writtenBytes) return undefined;
    const { upToBytes, done } = this.#underWay ?? this.#begin();
    if (upToBytes >= this.#writtenBytes) return done;
    this.#next ??= done.then(() => {
      this.#next = undefined;
      return this.whenSafe();
    });
    return this.#next;
  }

  #begin(): { readonly upToBytes: number; readonly done: Promise<void> } {
    const upToBytes = this.#writtenBytes;
    const done = this.#sync().then(() => {
      this.#safeBytes = Math.max(this.#safeBytes, upToBytes);
      this.#underWay = undefined;
    });
    this.#underWay = { upToBytes, done };
    return this.#underWay;
  }
}

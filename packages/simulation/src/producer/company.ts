// Watches how long a key waits for its company's: where a part of what waits for others could go, it goes within `bufferedTimeMs`, whatever
// becomes of the others. Looks at what settles and at what is taken apart, with a clock of its own.
import type { KinesisRecord } from '../../../producer/dist/batch.js';
import { Followers, type FollowersOptions } from '../../../producer/dist/followers.js';

/** The followers of a pipeline, sound or broken, with somebody who watches them. */
export class WatchedFollowers extends Followers {
  readonly #followers: Followers;
  readonly #bufferedTimeMs: number;
  readonly #violate: (text: string) => void;
  /** Since when a part of it could go. */
  readonly #partlyFree = new Map<KinesisRecord, number>();
  /** Since when all of it could; it may wait again for one that goes on beside it. */
  readonly #free = new WeakMap<KinesisRecord, number>();

  constructor(options: FollowersOptions, followers: Followers, violate: (text: string) => void) {
    super(options);
    this.#followers = followers;
    this.#bufferedTimeMs = options.bufferedTimeMs;
    this.#violate = violate;
  }

  override areWelcome(shard: number, nowMs: number): boolean {
    return this.#followers.areWelcome(shard, nowMs);
  }

  override follow(waiting: KinesisRecord, leader: KinesisRecord): void {
    const freeSinceMs = this.#free.get(waiting);
    if (freeSinceMs !== undefined) this.#partlyFree.set(waiting, freeSinceMs);
    this.#followers.follow(waiting, leader);
  }

  override watch(expiresAtMs: number): void {
    this.#followers.watch(expiresAtMs);
  }

  override couldGo(waiting: KinesisRecord, nowMs: number): void {
    this.#followers.couldGo(waiting, nowMs);
  }

  override waits(kinesisRecord: KinesisRecord): boolean {
    return this.#followers.waits(kinesisRecord);
  }

  override settled(leader: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    const { followers } = leader;
    const free = this.#followers.settled(leader, nowMs);
    for (const waiting of followers) if (!this.#partlyFree.has(waiting)) this.#partlyFree.set(waiting, nowMs);
    for (const waiting of free) {
      this.#partlyFree.delete(waiting);
      this.#free.set(waiting, nowMs);
    }
    return free;
  }

  override stop(waiting: KinesisRecord): readonly KinesisRecord[] {
    this.#partlyFree.delete(waiting);
    return this.#followers.stop(waiting);
  }

  override latestFirst(leaders: readonly KinesisRecord[]): KinesisRecord[] {
    return this.#followers.latestFirst(leaders);
  }

  override deadline(): number {
    return this.#followers.deadline();
  }

  override overdue(nowMs: number): KinesisRecord[] {
    const overdue = new Set(this.#followers.overdue(nowMs));
    for (const [waiting, sinceMs] of this.#partlyFree)
      if (!overdue.has(waiting) && nowMs > sinceMs + this.#bufferedTimeMs)
        this.#violate(`at ${nowMs} a key waits for its company's since ${sinceMs}, which could go`);
    return [...overdue];
  }

  override partlyFree(): KinesisRecord[] {
    return this.#followers.partlyFree();
  }
}

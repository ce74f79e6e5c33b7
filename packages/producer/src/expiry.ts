// Watches the time to live. Every admitted user record is watched here: by itself from its put on, or, where it was packed with others, together
// with them from when their Kinesis record takes no more: what is open does so long before, and what waits for others is looked after
// in followers.ts until then. As all have the same time to live, the
// front one expires first. A record in flight (or written and undecided) is not expired but awaited: its answer decides,
// and the retrier lets nothing begin after the time to live. Pure: `now` is an argument.
// Invariant: every unsettled user record is in here, or waits for company, or was in flight when its time was over.
import { Fifo } from './fifo.ts';
import { PackedRecords } from './packed-records.ts';
import type { UserRecord } from './user-record.ts';

const SMALLEST_SWEEP_COUNT = 1024;

type Watched = UserRecord | PackedRecords;

export class Expiry {
  readonly #watched = new Fifo<Watched>();
  #heldCount = 0;
  #sweepAtCount = SMALLEST_SWEEP_COUNT;

  /** Records kept, settled ones that have not been dropped yet included. */
  get heldCount(): number {
    return this.#heldCount;
  }

  put(record: UserRecord): void {
    this.#watched.push(record);
    this.#heldCount++;
    this.#sweep();
  }

  /** The first time counts. */
  putTogether(packed: PackedRecords): void {
    if (packed.isWatched) return;
    packed.isWatched = true;
    this.#insert(packed);
    this.#sweep();
  }

  /** When the next unsettled record expires; Infinity when there is none. */
  deadline(): number {
    return this.#front()?.expiresAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** The records that are to fail now, because their time is over and no attempt is under way. */
  expire(nowMs: number): UserRecord[] {
    const expired: UserRecord[] = [];
    for (let front = this.#front(); front !== undefined && front.expiresAtMs <= nowMs; front = this.#front()) {
      this.#shift(front);
      const over = front instanceof PackedRecords ? front.expire(nowMs) : [front];
      for (const record of over) if (!this.isAwaited(record)) expired.push(record);
      if (front instanceof PackedRecords && front.expiresAtMs !== Number.POSITIVE_INFINITY) this.#insert(front);
    }
    return expired;
  }

  /** Whether an attempt is under way, whose end decides. */
  isAwaited({ carrier }: UserRecord): boolean {
    return carrier?.phase === 'in-flight' || carrier?.phase === 'undecided';
  }

  /** All unsettled records that are watched. */
  unsettled(): UserRecord[] {
    const records: UserRecord[] = [];
    for (const watched of this.#watched) {
      if (watched instanceof PackedRecords) for (const record of watched.unsettled()) records.push(record);
      else if (!watched.isOver) records.push(watched);
    }
    return records;
  }

  #insert(packed: PackedRecords): void {
    this.#watched.insert(packed, expiresBefore);
    this.#heldCount += packed.length;
  }

  #front(): Watched | undefined {
    for (let front = this.#watched.peek(); front !== undefined; front = this.#watched.peek()) {
      if (!front.isOver) return front;
      this.#shift(front);
    }
    return undefined;
  }

  #shift(front: Watched): void {
    this.#watched.shift();
    this.#heldCount -= countOf(front);
  }

  /** What waits long must not keep the settled ones behind it: drops them whenever the queue has doubled. */
  #sweep(): void {
    if (this.#heldCount < this.#sweepAtCount) return;
    this.#watched.keep(({ isOver }) => !isOver);
    this.#heldCount = 0;
    for (const watched of this.#watched) this.#heldCount += countOf(watched);
    this.#sweepAtCount = Math.max(SMALLEST_SWEEP_COUNT, this.#heldCount * 2);
  }
}

function countOf(watched: Watched): number {
  return watched instanceof PackedRecords ? watched.length : 1;
}

function expiresBefore(one: Watched, other: Watched): boolean {
  return one.expiresAtMs < other.expiresAtMs;
}

// How fast a shard may be written and read. Token buckets that hold one second's share: a paced client is never refused, a
// burst of one second is taken at once. Time is an argument; a clock that steps back only pauses the refill.
import {
  SHARD_GET_RECORDS_PER_SECOND,
  SHARD_READ_BYTES_PER_SECOND,
  SHARD_WRITE_BURST_BYTES,
  SHARD_WRITE_BYTES_PER_SECOND,
  SHARD_WRITE_RECORDS_PER_SECOND,
} from '@shardline/common/base';

/** What refills in fractions may be missing by rounding alone: less than a millionth of a record or byte is no lack. */
const ROUNDING = 1e-6;

/** Holds up to `capacity`, filled at `perSecond`. May go into debt, which the refill pays back first. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(capacity: number, perSecond: number = capacity) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
  }

  /** What it holds at `now`. */
  available(now: number): number {
    if (now > this.#atMs) {
      this.#tokens = Math.min(this.#capacity, this.#tokens + ((now - this.#atMs) * this.#perSecond) / 1000);
      this.#atMs = now;
    }
    return this.#tokens;
  }

  /** Whether `amount` may be taken: it is there, or it is more than the bucket can ever hold and the bucket is full. */
  admits(amount: number, now: number): boolean {
    return this.available(now) >= Math.min(amount, this.#capacity) - ROUNDING;
  }

  /** Whether all that was taken has come back: then it is as good as new. */
  isFull(now: number): boolean {
    return this.available(now) >= this.#capacity - ROUNDING;
  }

  /** Whether more was taken than has come back. */
  inDebt(now: number): boolean {
    return this.available(now) < -ROUNDING;
  }

  take(amount: number, now: number): void {
    this.#tokens = this.available(now) - amount;
  }

  /** Takes `amount` from an empty bucket, whatever it held: it is in debt for `amount / perSecond` seconds. */
  takeFromEmpty(amount: number, now: number): void {
    this.#tokens = Math.min(0, this.available(now)) - amount;
  }

  /** When it will hold at least `amount`, ms. */
  readyAtMs(amount: number, now: number): number {
    const missing = amount - this.available(now);
    return missing <= ROUNDING ? now : now + Math.ceil((missing * 1000) / this.#perSecond);
  }
}

/**
 * 1,000 records and 1 MiB a second, keys included (Kinesis quotas, "Write throughput"). A record above 1 MiB comes out of a tank of
 * 10 MiB that is refilled at the same rate, and what smaller ones take is taken from the tank as well: "think of each shard
 * having a capacity tank that refills at 1 MiB per second. After sending a large record …, the tank begins refilling
 * immediately, allowing you to send smaller records as capacity becomes available" (AWS's blog on 10x larger records).
 */
export class WriteLimit {
  readonly #records = new TokenBucket(SHARD_WRITE_RECORDS_PER_SECOND);
  readonly #bytes = new TokenBucket(SHARD_WRITE_BYTES_PER_SECOND);
  /** The tank, since the first large record. Before it, the tank misses just what `#bytes` misses, and never refuses. */
  #tank: TokenBucket | undefined;

  /** Whether one record of `sizeBytes` may be taken now. */
  admits(sizeBytes: number, now: number): boolean {
    if (!this.#records.admits(1, now)) return false;
    if (sizeBytes > SHARD_WRITE_BYTES_PER_SECOND) return this.#tankAt(now).admits(sizeBytes, now);
    return this.#bytes.admits(sizeBytes, now) && this.#tank?.admits(sizeBytes, now) !== false;
  }

  /** Takes it if it may be. */
  admit(sizeBytes: number, now: number): boolean {
    if (!this.admits(sizeBytes, now)) return false;
    this.#records.take(1, now);
    this.#tank?.take(sizeBytes, now);
    if (sizeBytes <= SHARD_WRITE_BYTES_PER_SECOND) this.#bytes.take(sizeBytes, now);
    return true;
  }

  #tankAt(now: number): TokenBucket {
    if (this.#tank === undefined) {
      this.#tank = new TokenBucket(SHARD_WRITE_BURST_BYTES, SHARD_WRITE_BYTES_PER_SECOND);
      this.#tank.take(SHARD_WRITE_BYTES_PER_SECOND - this.#bytes.available(now), now);
    }
    return this.#tank;
  }
}

/**
 * 5 calls and 2 MiB a second (GetRecords: "the maximum size of data … 10 MiB; if a call returns this amount, subsequent
 * calls made within the next 5 seconds throw ProvisionedThroughputExceededException"): an answer larger than a second's
 * share is paid for from an empty bucket, so 10 MiB cost 5 s.
 */
export class ReadLimit {
  readonly #calls = new TokenBucket(SHARD_GET_RECORDS_PER_SECOND);
  readonly #bytes = new TokenBucket(SHARD_READ_BYTES_PER_SECOND);

  /** Takes one call if it may be made. */
  admit(now: number): boolean {
    if (!this.#calls.admits(1, now) || this.#bytes.inDebt(now)) return false;
    this.#calls.take(1, now);
    return true;
  }

  /** Books what an admitted call returned. */
  charge(sizeBytes: number, now: number): void {
    if (sizeBytes > SHARD_READ_BYTES_PER_SECOND) this.#bytes.takeFromEmpty(sizeBytes, now);
    else this.#bytes.take(sizeBytes, now);
  }
}

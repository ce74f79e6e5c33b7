// Holds each predicted shard to its write rate: after the aggregator, before the collector. A bucket of tokens per shard, filled at
// the shard's quota × rateLimitPercent (KPL limiter.h, token_bucket.h), or more slowly where Kinesis refuses some (the KPL's pace is
// constant). In front of a shard the first one waits and the others wait behind it, by when they were to leave. An AUTO stream has one bucket for all of its
// shards; on other streams what has no predicted shard passes, for one busy shard must not hold up the others.
// Invariants: what leaves for a shard within any time t is at most burst + rate × t; of those that are due together the first leaves first.
import type { KinesisRecord } from './batch.ts';
import { WriteBucket } from './write-bucket.ts';

export interface LimiterOptions {
  /** Share of a shard's write quota to use, while nothing is refused. */
  readonly rateLimitPercent: number;
}

/** Of an AUTO stream: undefined when nobody knows how many shards it has. */
export interface Spread {
  readonly shardCount: number | undefined;
}

/** The name of an AUTO stream's bucket; no shard has it. */
const WHOLE_STREAM = '';
const NOTHING: readonly KinesisRecord[] = [];

export class Limiter {
  readonly #most: number;
  readonly #buckets = new Map<string, WriteBucket>();
  /** The buckets that something waits for. */
  readonly #waiting = new Set<WriteBucket>();
  #spread: Spread | undefined;
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor({ rateLimitPercent }: LimiterOptions) {
    this.#most = rateLimitPercent / 100;
  }

  /** Whether the service spreads records over the stream's shards. Undefined: it does not, hash keys decide. */
  spreadOver(spread: Spread | undefined): void {
    // What waits for the old bucket goes on to do so; what it has learned is about another number of shards.
    if (spread?.shardCount !== this.#spread?.shardCount) this.#buckets.delete(WHOLE_STREAM);
    this.#spread = spread;
  }

  /** Lets the Kinesis record pass, or keeps it until its shard's bucket has filled. */
  put(kinesisRecord: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    const bucket = this.#bucketOf(kinesisRecord, nowMs);
    if (bucket === undefined || bucket.put(kinesisRecord, nowMs)) return [kinesisRecord];
    this.#waiting.add(bucket);
    this.#dueAtMs = Math.min(this.#dueAtMs, bucket.readyAtMs(nowMs));
    return NOTHING;
  }

  /** Kinesis took one that had passed. */
  written(kinesisRecord: KinesisRecord, nowMs: number): void {
    this.#bucketOf(kinesisRecord, nowMs)?.written(kinesisRecord, nowMs);
  }

  /** Kinesis refused one that had passed, for its rate, or failed. */
  refused(kinesisRecord: KinesisRecord, why: 'throttled' | 'failed', nowMs: number): void {
    this.#bucketOf(kinesisRecord, nowMs)?.refused(kinesisRecord, why, nowMs);
  }

  /** The share of its quota that the Kinesis record's shard gets now, in percent; undefined where there is no limit. */
  percentFor(kinesisRecord: KinesisRecord, nowMs: number): number | undefined {
    const percent = this.#bucketOf(kinesisRecord, nowMs)?.percent;
    return percent === Number.POSITIVE_INFINITY ? undefined : percent;
  }

  /** What every bucket gives now, in percent of its quota, by the shard's name; an AUTO stream's is empty. */
  rates(nowMs: number): [name: string, percent: number][] {
    return [...this.#buckets].map(([name, bucket]) => {
      bucket.fill(nowMs);
      return [name, bucket.percent];
    });
  }

  /** When `expire` wants to be called; Infinity when nothing waits. */
  deadline(): number {
    return this.#dueAtMs;
  }

  /** What may pass now. */
  expire(nowMs: number): readonly KinesisRecord[] {
    if (this.#dueAtMs > nowMs) return NOTHING;
    const passed: KinesisRecord[] = [];
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    for (const bucket of this.#waiting) {
      bucket.drain(nowMs, passed);
      if (bucket.waitingCount === 0) this.#waiting.delete(bucket);
      else this.#dueAtMs = Math.min(this.#dueAtMs, bucket.readyAtMs(nowMs));
    }
    return passed;
  }

  /** Forgets full buckets of shards that nobody writes to any more. */
  forgetIdle(nowMs: number): void {
    for (const [name, bucket] of this.#buckets) {
      bucket.fill(nowMs);
      if (bucket.isIdle) this.#buckets.delete(name);
    }
  }

  #bucketOf({ shardId }: KinesisRecord, nowMs: number): WriteBucket | undefined {
    const name = this.#spread === undefined ? shardId : WHOLE_STREAM;
    if (name === undefined) return undefined;
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      const shardCount = this.#spread === undefined ? 1 : this.#spread.shardCount;
      const most = shardCount === undefined ? Number.POSITIVE_INFINITY : this.#most;
      bucket = new WriteBucket(most, shardCount ?? 1, nowMs);
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }
}

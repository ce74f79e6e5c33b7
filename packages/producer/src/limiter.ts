// Holds each predicted shard to its write rate: after the aggregator, before the collector. A token bucket of records and one
// of bytes per shard, each refilled at the shard's quota × rateLimitPercent (KPL limiter.h, token_bucket.h). In front of a
// shard the first one waits and the others wait behind it. A Kinesis record without a predicted shard passes.
// Invariants: what leaves for a shard within any time t is at most burst + rate × t; the order of a shard's queue is kept.
import { MAX_RECORD_BYTES, SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND } from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import { Fifo } from './fifo.ts';

export interface LimiterOptions {
  /** Share of a shard's write quota to use. */
  readonly rateLimitPercent: number;
}

/** What a bucket holds when full (KPL limiter.h): a second's records; bytes for one record of the largest kind. */
const BURST_RECORD_COUNT: number = SHARD_WRITE_RECORDS_PER_SECOND;
const BURST_BYTES: number = MAX_RECORD_BYTES;

interface Bucket {
  recordCount: number;
  bytes: number;
  filledAtMs: number;
  readonly queue: Fifo<KinesisRecord>;
}

const NOTHING: readonly KinesisRecord[] = [];

export class Limiter {
  readonly #recordsPerMs: number;
  readonly #bytesPerMs: number;
  readonly #buckets = new Map<string, Bucket>();
  /** The buckets that something waits for. */
  readonly #waiting = new Set<Bucket>();
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor({ rateLimitPercent }: LimiterOptions) {
    this.#recordsPerMs = (SHARD_WRITE_RECORDS_PER_SECOND * rateLimitPercent) / 100 / 1000;
    this.#bytesPerMs = (SHARD_WRITE_BYTES_PER_SECOND * rateLimitPercent) / 100 / 1000;
  }

  /** Lets the Kinesis record pass, or keeps it until its shard's bucket has filled. */
  put(kinesisRecord: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    const { shardId } = kinesisRecord;
    if (shardId === undefined) return [kinesisRecord];
    const bucket = this.#bucketOf(shardId, nowMs);
    this.#fill(bucket, nowMs);
    if (bucket.queue.length === 0 && this.#takeTokens(bucket, kinesisRecord)) return [kinesisRecord];
    kinesisRecord.phase = 'limited';
    bucket.queue.push(kinesisRecord);
    this.#waiting.add(bucket);
    this.#dueAtMs = Math.min(this.#dueAtMs, this.#readyAtMs(bucket, nowMs));
    return NOTHING;
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
      this.#fill(bucket, nowMs);
      this.#drain(bucket, passed);
      if (bucket.queue.length === 0) this.#waiting.delete(bucket);
      else this.#dueAtMs = Math.min(this.#dueAtMs, this.#readyAtMs(bucket, nowMs));
    }
    return passed;
  }

  /** Forgets full buckets of shards that nobody writes to any more. */
  forgetIdle(nowMs: number): void {
    for (const [shardId, bucket] of this.#buckets) {
      this.#fill(bucket, nowMs);
      const full = bucket.recordCount >= BURST_RECORD_COUNT && bucket.bytes >= BURST_BYTES;
      if (full && bucket.queue.length === 0) this.#buckets.delete(shardId);
    }
  }

  #bucketOf(shardId: string, nowMs: number): Bucket {
    let bucket = this.#buckets.get(shardId);
    if (bucket === undefined) {
      bucket = { recordCount: BURST_RECORD_COUNT, bytes: BURST_BYTES, filledAtMs: nowMs, queue: new Fifo() };
      this.#buckets.set(shardId, bucket);
    }
    return bucket;
  }

  #fill(bucket: Bucket, nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - bucket.filledAtMs);
    bucket.filledAtMs = nowMs;
    bucket.recordCount = Math.min(BURST_RECORD_COUNT, bucket.recordCount + elapsedMs * this.#recordsPerMs);
    bucket.bytes = Math.min(BURST_BYTES, bucket.bytes + elapsedMs * this.#bytesPerMs);
  }

  #takeTokens(bucket: Bucket, kinesisRecord: KinesisRecord): boolean {
    const costBytes = cost(kinesisRecord);
    if (bucket.recordCount < 1 - ROUNDING || bucket.bytes < costBytes - ROUNDING) return false;
    bucket.recordCount -= 1;
    bucket.bytes -= costBytes;
    return true;
  }

  #drain(bucket: Bucket, passed: KinesisRecord[]): void {
    for (let next = bucket.queue.peek(); next !== undefined; next = bucket.queue.peek()) {
      // One whose user records have all expired meanwhile costs nothing.
      const gone = next.phase === 'done';
      if (!gone && !this.#takeTokens(bucket, next)) return;
      bucket.queue.shift();
      if (!gone) passed.push(next);
    }
  }

  #readyAtMs(bucket: Bucket, nowMs: number): number {
    const next = bucket.queue.peek();
    if (next === undefined) return Number.POSITIVE_INFINITY;
    const recordsMs = (1 - bucket.recordCount) / this.#recordsPerMs;
    const bytesMs = (cost(next) - bucket.bytes) / this.#bytesPerMs;
    return nowMs + Math.max(0, recordsMs, bytesMs);
  }
}

/** A millionth of a token: filling up to `readyAtMs` may miss by a rounding, and must not be waited for again. */
const ROUNDING = 1e-6;

/** One larger than the bucket would never pass. */
function cost(kinesisRecord: KinesisRecord): number {
  return Math.min(BURST_BYTES, kinesisRecord.sizeBytes);
}

// Watches what leaves the limiter for each shard. Within any time t that is at most a full bucket and what flows in during t, by
// records and by bytes (KPL limiter.h, token_bucket.h). A meter, the reverse of a bucket: what passes fills it, time empties it, and
// no window held too much as long as it never overflows. It takes nothing from the limiter but what that lets pass, and when.
import { MAX_RECORD_BYTES, SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND } from '@shardline/common';
import type { KinesisRecord } from '../../../producer/dist/batch.js';
import { Limiter, type LimiterOptions, type Spread } from '../../../producer/dist/limiter.js';

/** Rounding of many small steps. */
const TOLERANCE = 1e-3;

interface Meter {
  recordCount: number;
  bytes: number;
  emptiedAtMs: number;
}

export class ShardRateChecker {
  readonly #share: number;
  readonly #violate: (text: string) => void;
  readonly #meters = new Map<string, Meter>();

  constructor({ rateLimitPercent }: LimiterOptions, violate: (text: string) => void) {
    this.#share = rateLimitPercent / 100;
    this.#violate = violate;
  }

  passed({ shardId, sizeBytes }: Pick<KinesisRecord, 'shardId' | 'sizeBytes'>, nowMs: number): void {
    if (shardId === undefined) return;
    const last = this.#meters.get(shardId) ?? { recordCount: 0, bytes: 0, emptiedAtMs: nowMs };
    const seconds = (nowMs - last.emptiedAtMs) / 1000;
    const recordCount = Math.max(0, last.recordCount - seconds * SHARD_WRITE_RECORDS_PER_SECOND * this.#share) + 1;
    const left = Math.max(0, last.bytes - seconds * SHARD_WRITE_BYTES_PER_SECOND * this.#share);
    const bytes = left + Math.min(MAX_RECORD_BYTES, sizeBytes);
    this.#meters.set(shardId, { recordCount, bytes, emptiedAtMs: nowMs });
    if (recordCount > SHARD_WRITE_RECORDS_PER_SECOND + TOLERANCE)
      this.#violate(`too many Kinesis records for ${shardId} at ${nowMs}: ${Math.ceil(recordCount)} in its bucket`);
    if (bytes > MAX_RECORD_BYTES + TOLERANCE)
      this.#violate(`too many bytes for ${shardId} at ${nowMs}: ${Math.ceil(bytes)} in its bucket`);
  }
}

/** The limiter of a pipeline, sound or broken, with somebody who watches its outlet. */
export class WatchedLimiter extends Limiter {
  readonly #limiter: Limiter;
  readonly #checker: ShardRateChecker;

  constructor(options: LimiterOptions, limiter: Limiter, violate: (text: string) => void) {
    super(options);
    this.#limiter = limiter;
    this.#checker = new ShardRateChecker(options, violate);
  }

  override put(kinesisRecord: KinesisRecord, nowMs: number): readonly KinesisRecord[] {
    return this.#watch(this.#limiter.put(kinesisRecord, nowMs), nowMs);
  }

  override deadline(): number {
    return this.#limiter.deadline();
  }

  override expire(nowMs: number): readonly KinesisRecord[] {
    return this.#watch(this.#limiter.expire(nowMs), nowMs);
  }

  override forgetIdle(nowMs: number): void {
    this.#limiter.forgetIdle(nowMs);
  }

  override spreadOver(spread: Spread | undefined): void {
    this.#limiter.spreadOver(spread);
  }

  override written(kinesisRecord: KinesisRecord, nowMs: number): void {
    this.#limiter.written(kinesisRecord, nowMs);
  }

  override refused(kinesisRecord: KinesisRecord, why: 'throttled' | 'failed', nowMs: number): void {
    this.#limiter.refused(kinesisRecord, why, nowMs);
  }

  override percentFor(kinesisRecord: KinesisRecord, nowMs: number): number | undefined {
    return this.#limiter.percentFor(kinesisRecord, nowMs);
  }

  override rates(nowMs: number): [name: string, percent: number][] {
    return this.#limiter.rates(nowMs);
  }

  #watch(passed: readonly KinesisRecord[], nowMs: number): readonly KinesisRecord[] {
    for (const kinesisRecord of passed) this.#checker.passed(kinesisRecord, nowMs);
    return passed;
  }
}

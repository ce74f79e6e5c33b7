// The tokens of one shard, or of all shards of an AUTO stream, in records and in bytes, filled at the rate that is used at present;
// and the Kinesis records that wait for them, the one that was to leave first in front (KPL limiter.h, by deadline): what was refused
// does not queue again behind all that came since. The limiter's. Pure: `now` is an argument.
// Invariants: what leaves within any time t is at most burst + rate × t; of those that are due together the first leaves first.
import { MAX_RECORD_BYTES, SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND } from '@shardline/common';
import { AdaptiveRate } from './adaptive-rate.ts';
import type { KinesisRecord } from './batch.ts';
import { Fifo } from './fifo.ts';

/** What it holds when full, for each shard (KPL limiter.h): a second's records; bytes for one record of the largest kind. */
const BURST_RECORD_COUNT: number = SHARD_WRITE_RECORDS_PER_SECOND;
const BURST_BYTES: number = MAX_RECORD_BYTES;
/** What it holds of a rate that was cut, ms: a full one would be too much again at once. */
const CUT_BURST_MS = 250;
/** The same where nobody has looked for longer, because the process was kept from it: as much as a shard itself takes at once. */
const LONGEST_CUT_BURST_MS = 1_000;
/** A rate that was cut grows: so often what waits for it is looked at. */
const GROWTH_LOOK_MS = 100;
/** A millionth of a token: filling up to `readyAtMs` may miss by a rounding, and must not be waited for again. */
const ROUNDING = 1e-6;

export class WriteBucket {
  readonly #queue = new Fifo<KinesisRecord>();
  readonly #rate: AdaptiveRate;
  readonly #shardCount: number;
  readonly #most: number;
  readonly #fullBurst: { readonly recordCount: number; readonly bytes: number };
  #recordCount: number;
  #bytes: number;
  #filledAtMs: number;
  /** The share of the quota that is used, at `#filledAtMs`. */
  #share: number;

  /** `most`: the share of the quota to use while nothing is refused; Infinity: nothing waits until something is. */
  constructor(most: number, shardCount: number, nowMs: number) {
    this.#rate = new AdaptiveRate(most);
    this.#shardCount = shardCount;
    this.#most = most;
    this.#fullBurst = { recordCount: BURST_RECORD_COUNT * shardCount, bytes: BURST_BYTES * shardCount };
    this.#recordCount = this.#fullBurst.recordCount;
    this.#bytes = this.#fullBurst.bytes;
    this.#filledAtMs = nowMs;
    this.#share = most;
  }

  get #recordsPerMs(): number {
    return (SHARD_WRITE_RECORDS_PER_SECOND / 1000) * this.#shardCount * this.#share;
  }

  get #bytesPerMs(): number {
    return (SHARD_WRITE_BYTES_PER_SECOND / 1000) * this.#shardCount * this.#share;
  }

  get waitingCount(): number {
    return this.#queue.length;
  }

  /** As good as new: full, and nothing learned. */
  get isIdle(): boolean {
    const { recordCount, bytes } = this.#fullBurst;
    return (
      this.waitingCount === 0 && this.#share === this.#most && this.#recordCount >= recordCount && this.#bytes >= bytes
    );
  }

  /** The share of the quota that is used, in percent. */
  get percent(): number {
    return this.#share * 100;
  }

  /** True: the Kinesis record may pass. False: it waits. */
  put(kinesisRecord: KinesisRecord, nowMs: number): boolean {
    this.fill(nowMs);
    if (this.#queue.length === 0 && this.#take(kinesisRecord)) return true;
    kinesisRecord.phase = 'limited';
    this.#queue.insert(kinesisRecord, isDueBefore);
    return false;
  }

  /** Lets pass what may. */
  drain(nowMs: number, passed: KinesisRecord[]): void {
    this.fill(nowMs);
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      // One whose user records have all expired meanwhile costs nothing.
      const gone = next.phase === 'done';
      if (!gone && !this.#take(next)) return;
      this.#queue.shift();
      if (!gone) passed.push(next);
    }
  }

  /** When the first one that waits may pass, as far as can be told; Infinity when nothing waits. */
  readyAtMs(nowMs: number): number {
    const next = this.#queue.peek();
    if (next === undefined) return Number.POSITIVE_INFINITY;
    const recordsMs = (1 - this.#recordCount) / this.#recordsPerMs;
    const bytesMs = (this.#bytesOf(next) - this.#bytes) / this.#bytesPerMs;
    const waitMs = Math.max(0, recordsMs, bytesMs);
    return nowMs + (this.#share < this.#most ? Math.min(waitMs, GROWTH_LOOK_MS) : waitMs);
  }

  /** Kinesis took one that had passed. */
  written({ sizeBytes }: KinesisRecord, nowMs: number): void {
    const share = Math.max(1 / SHARD_WRITE_RECORDS_PER_SECOND, sizeBytes / SHARD_WRITE_BYTES_PER_SECOND);
    this.#rate.written(share / this.#shardCount, nowMs);
  }

  /** Kinesis refused one that had passed, for its rate or because it failed itself. */
  refused({ beganAtMs }: KinesisRecord, why: 'throttled' | 'failed', nowMs: number): void {
    const isCut = why === 'throttled' ? this.#rate.throttled(beganAtMs, nowMs) : this.#rate.failed(beganAtMs, nowMs);
    if (!isCut) return;
    this.fill(nowMs);
    const { recordCount, bytes } = this.#burst(CUT_BURST_MS);
    this.#recordCount = Math.min(recordCount, this.#recordCount);
    this.#bytes = Math.min(bytes, this.#bytes);
  }

  fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#filledAtMs = nowMs;
    this.#share = this.#rate.share(nowMs);
    const { recordCount, bytes } = this.#burst(Math.max(CUT_BURST_MS, Math.min(LONGEST_CUT_BURST_MS, elapsedMs)));
    // Not by a rate without bound: no time at all of that is no number.
    if (this.#share === Number.POSITIVE_INFINITY) {
      this.#recordCount = recordCount;
      this.#bytes = bytes;
      return;
    }
    this.#recordCount = upTo(recordCount, this.#recordCount, elapsedMs * this.#recordsPerMs);
    this.#bytes = upTo(bytes, this.#bytes, elapsedMs * this.#bytesPerMs);
  }

  #take(kinesisRecord: KinesisRecord): boolean {
    if (this.#recordCount < 1 - ROUNDING) return false;
    if (this.#bytes < this.#bytesOf(kinesisRecord) - ROUNDING) return false;
    this.#recordCount -= 1;
    this.#bytes -= kinesisRecord.sizeBytes;
    return true;
  }

  /** What one needs: of the largest kind all that a full bucket holds, its key apart. */
  #bytesOf({ sizeBytes }: KinesisRecord): number {
    return Math.min(sizeBytes, this.#fullBurst.bytes);
  }

  /** The most it may hold; `cutMs`: of a rate that was cut. */
  #burst(cutMs: number): { readonly recordCount: number; readonly bytes: number } {
    if (this.#share >= this.#most) return this.#fullBurst;
    const next = this.#queue.peek();
    // Room for what waits: had it to leave with less, the rest would be too much.
    return {
      recordCount: Math.max(1, this.#recordsPerMs * cutMs),
      bytes: Math.max(next === undefined ? 0 : this.#bytesOf(next), this.#bytesPerMs * cutMs),
    };
  }
}

function isDueBefore(one: KinesisRecord, other: KinesisRecord): boolean {
  return one.dueAtMs < other.dueAtMs;
}

/** Takes nothing away that is there. */
function upTo(most: number, there: number, more: number): number {
  return Math.max(there, Math.min(most, there + more));
}

// Says how the stream gives its records to shards, and when to ask (KPL 1.1: DescribeStreamSummary at start, now and then, and at
// once after an answer from a wrong shard). On an AUTO stream nothing is aggregated and no hash key is sent, since the service
// chooses the shard and the KCL drops aggregates that lie on a wrong one. It never asks itself (stream-reader.ts does). Pure.
// Invariants: while it is not told that partition keys decide, nothing is aggregated; what was told once holds until
// something else is told; `version` changes whenever the answer does.

/** AUTO: the service chooses a shard for each record. USER_PARTITION_KEY: the hash of its partition key does. */
export type RecordDistributionStrategy = 'AUTO' | 'USER_PARTITION_KEY';

/** `asking`: not told yet. `unknown`: it could not be told, will be asked again. */
export type StrategyState = 'asking' | 'unknown' | RecordDistributionStrategy;

export interface StreamStrategyOptions {
  /** Taken for granted, without asking; undefined: ask. */
  readonly recordDistributionStrategyDefault: RecordDistributionStrategy | undefined;
  readonly describeStreamSummaryIntervalMs: number;
}

/** What DescribeStreamSummary says of the stream. */
export interface StreamSummary {
  /** Undefined where the answer doesn't say: then partition keys decide. */
  readonly strategy: RecordDistributionStrategy | undefined;
  /** UPDATING: shards are being split or merged, or something else is being changed. */
  readonly isUpdating: boolean;
  /** Undefined where the answer doesn't say. */
  readonly openShardCount?: number | undefined;
}

/** After a failure: 1 s, growing by half up to the interval (as the KPL's shard map). */
const FIRST_BACKOFF_MS = 1_000;
const BACKOFF_GROWTH = 1.5;
/** Two questions are at least this far apart, however many answers come from wrong shards; so far apart while the stream is UPDATING. */
const MIN_INTERVAL_MS = 1_000;

export class StreamStrategy {
  readonly #intervalMs: number;
  readonly #isGiven: boolean;
  #state: StrategyState;
  #version = 1;
  #askAtMs: number;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #backoffMs = FIRST_BACKOFF_MS;
  #isUpdating = false;
  #openShardCount: number | undefined;

  constructor({ recordDistributionStrategyDefault, describeStreamSummaryIntervalMs }: StreamStrategyOptions) {
    this.#intervalMs = describeStreamSummaryIntervalMs;
    this.#isGiven = recordDistributionStrategyDefault !== undefined;
    this.#state = recordDistributionStrategyDefault ?? 'asking';
    this.#askAtMs = this.#isGiven ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  get state(): StrategyState {
    return this.#state;
  }

  get version(): number {
    return this.#version;
  }

  /** When it was asked last; -Infinity before. */
  get askedAtMs(): number {
    return this.#askedAtMs;
  }

  /** As told last; undefined before. */
  get openShardCount(): number | undefined {
    return this.#openShardCount;
  }

  /** When `expire` wants to be called. */
  deadline(): number {
    return this.#askAtMs;
  }

  /** True when DescribeStreamSummary is to be called now; answer with `told` or `failed`. */
  expire(nowMs: number): boolean {
    if (nowMs < this.#askAtMs) return false;
    this.#askAtMs = Number.POSITIVE_INFINITY;
    this.#askedAtMs = nowMs;
    return true;
  }

  /** A record was written to another shard than its hash key says: the stream may have become AUTO. */
  doubt(nowMs: number): void {
    if (this.#isGiven || this.#isUnderWay()) return;
    this.#askAtMs = Math.min(this.#askAtMs, Math.max(nowMs, this.#askedAtMs + MIN_INTERVAL_MS));
  }

  /** Takes the answer. Says what it changed: the strategy, and whether the list of shards may be another one now. */
  told({ strategy, isUpdating, openShardCount }: StreamSummary, nowMs: number): { strategy: boolean; shards: boolean } {
    const intervalMs = isUpdating ? Math.min(MIN_INTERVAL_MS, this.#intervalMs) : this.#intervalMs;
    this.#askAtMs = nowMs + intervalMs;
    this.#backoffMs = FIRST_BACKOFF_MS;
    // The new shards are listed at the latest when it is UPDATING no more.
    const shards = isUpdating || this.#isUpdating;
    this.#isUpdating = isUpdating;
    this.#openShardCount = openShardCount;
    return { strategy: this.#become(strategy ?? 'USER_PARTITION_KEY'), shards };
  }

  /** The question failed: what was told before goes on to hold. True if that changed anything. */
  failed(nowMs: number): boolean {
    this.#askAtMs = nowMs + Math.min(this.#backoffMs, this.#intervalMs);
    this.#backoffMs = Math.min(this.#intervalMs, this.#backoffMs * BACKOFF_GROWTH);
    return this.#state === 'asking' && this.#become('unknown');
  }

  #isUnderWay(): boolean {
    return this.#askAtMs === Number.POSITIVE_INFINITY;
  }

  #become(state: StrategyState): boolean {
    if (state === this.#state) return false;
    this.#state = state;
    this.#version++;
    return true;
  }
}

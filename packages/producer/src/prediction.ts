// Where a user record will go, as far as the stream's strategy and its shard map tell: before the aggregator, and once more when a
// request begins. Asks both and changes neither.
// Invariant: what was predicted holds as long as `version` does, and no longer.
import type { Prediction } from './aggregator.ts';
import { type Addressing, type KinesisRecord, NO_SHARD } from './batch.ts';
import type { ShardMap } from './shard-map.ts';
import type { StreamStrategy } from './stream-strategy.ts';
import type { UserRecord } from './user-record.ts';

/**
 * How long records wait for the stream's strategy, or for the shard map, rather than travel alone: a burst of lone records
 * would overrun the shards' rate.
 */
const PATIENCE_MS = 1_000;

export class Predictor {
  readonly #strategy: StreamStrategy;
  readonly #shardMap: ShardMap;
  /** Of the present version, one for all records of a shard, by its number. */
  #ofShards: (Prediction | undefined)[] = [];
  #ofShardsVersion = -1;

  constructor({ strategy, shardMap }: { readonly strategy: StreamStrategy; readonly shardMap: ShardMap }) {
    this.#strategy = strategy;
    this.#shardMap = shardMap;
  }

  /** Predictions hold as long as it does: neither the shard map nor the stream's strategy has changed. */
  get version(): number {
    return this.#shardMap.version + this.#strategy.version;
  }

  /** The stream gives a record to the shard of its hash key, or may do so. */
  get goesByKeys(): boolean {
    return this.#strategy.state !== 'AUTO';
  }

  /** The number of the shard that a record goes to, or NO_SHARD. */
  shardOf(record: UserRecord): number {
    return this.#addressing === 'hash-key' ? (this.#shardMap.numberOf(record) ?? NO_SHARD) : NO_SHARD;
  }

  /** Of the shard map as it is. */
  get openShardCount(): number {
    return this.#shardMap.openShardCount;
  }

  /** @param shard as `shardOf` gave it. */
  predict(shard: number, nowMs: number): Prediction {
    const mapVersion = this.version;
    const addressing = this.#addressing;
    if (shard !== NO_SHARD) return this.#ofShard(shard, mapVersion, addressing);
    return { shardId: undefined, shard: NO_SHARD, mapVersion, addressing, waitUntilMs: this.#waitUntilMs(nowMs) };
  }

  /**
   * Whether a Kinesis record was made for a shard map or a strategy that holds no more. An aggregated one whose records still
   * share a shard is kept, and so is a single one that the stream takes.
   */
  isOvertaken(kinesisRecord: KinesisRecord): boolean {
    const version = this.version;
    if (kinesisRecord.mapVersion === version) return false;
    const addressing = this.#addressing;
    if (!kinesisRecord.aggregated) {
      kinesisRecord.address(addressing);
      return kinesisRecord.records[0]?.hasKey === false && addressing !== 'service';
    }
    if (addressing !== 'hash-key') return true;
    let shardId: string | undefined;
    for (const record of kinesisRecord.records) {
      const predicted = this.#shardMap.predict(record);
      if (predicted === undefined || (shardId !== undefined && predicted !== shardId)) return true;
      shardId = predicted;
    }
    kinesisRecord.shardId = shardId;
    kinesisRecord.mapVersion = version;
    return false;
  }

  #ofShard(shard: number, mapVersion: number, addressing: Addressing): Prediction {
    if (this.#ofShardsVersion !== mapVersion) this.#ofShards = new Array(this.#shardMap.openShardCount).fill(undefined);
    this.#ofShardsVersion = mapVersion;
    const known = this.#ofShards[shard];
    if (known !== undefined) return known;
    const shardId = this.#shardMap.shardIdOf(shard);
    const prediction = { shardId, shard, mapVersion, addressing, waitUntilMs: Number.NEGATIVE_INFINITY };
    this.#ofShards[shard] = prediction;
    return prediction;
  }

  /** Without a shard: for the answer to what has been asked, or not at all. */
  #waitUntilMs(nowMs: number): number {
    const { state, askedAtMs } = this.#strategy;
    if (state === 'asking') return waitSince(askedAtMs, nowMs);
    const isLoading = this.#shardMap.state === 'loading' && this.goesByKeys;
    return isLoading ? waitSince(this.#shardMap.loadingSinceMs, nowMs) : Number.NEGATIVE_INFINITY;
  }

  get #addressing(): Addressing {
    const { state } = this.#strategy;
    return state === 'AUTO' ? 'service' : state === 'USER_PARTITION_KEY' ? 'hash-key' : 'as-given';
  }
}

/** How long to wait for what was asked for at this time, or will be at once. */
function waitSince(askedAtMs: number, nowMs: number): number {
  return (Number.isFinite(askedAtMs) ? Math.min(askedAtMs, nowMs) : nowMs) + PATIENCE_MS;
}

// Predicts which shard a hash key goes to, and says when the list of shards must be read again. The pipeline asks it before
// aggregating and after every answer; it never reads anything itself (stream-reader.ts does). Follows KPL shard_map.cc, but keeps
// the ranges of closed shards with the time they closed, and guards reloads by version instead of by request times.
// Invariants: it predicts only while it is ready; `version` changes whenever a prediction may change; at most one load runs.
import { type HashKey, type HashKeyRange, topOfHashKey } from '@shardline/common';

/** A shard as ListShards names it. */
export interface Shard {
  readonly shardId: string;
  readonly range: HashKeyRange;
}

/** A hash key to look up: `hashTop`, its upper 32 bits, decides; in the rare case of a tie the 32 digits of `hashHex`. */
export interface Hashed {
  readonly hashTop: number;
  readonly hashHex: string;
}

/** `loading`: being read, first or again. `failed`: could not be read, will be tried again. */
export type ShardMapState = 'loading' | 'ready' | 'failed';

interface KnownShard {
  readonly shardId: string;
  /** 32 hex digits, inclusive. */
  readonly start: string;
  readonly end: string;
  readonly startTop: number;
  readonly endTop: number;
  /** When it was first missing from the list of open shards; -1 while open. */
  closedAtMs: number;
}

/** After a failed load: 1 s, growing by half up to 30 s (KPL shard_map.cc). */
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;
const BACKOFF_GROWTH = 1.5;
/** Two loads are at least this far apart, however often predictions fail: the list may lag behind the stream. */
const MIN_RELOAD_INTERVAL_MS = 200;
/** How long a closed shard's range is kept for answers that are still to come (KPL shard_map.cc). */
const CLOSED_SHARD_TTL_MS = 60_000;

export class ShardMap {
  #state: ShardMapState = 'loading';
  #version = 1;
  #open: KnownShard[] = [];
  /** Where each open shard ends and begins, to be searched without touching the shards. */
  #endTops: Int32Array = new Int32Array(0);
  #startTops: Int32Array = new Int32Array(0);
  #known = new Map<string, KnownShard>();
  #loadAtMs = Number.NEGATIVE_INFINITY;
  #isUnderWay = false;
  #loadingSinceMs = Number.POSITIVE_INFINITY;
  #loadedAtMs = Number.NEGATIVE_INFINITY;
  #backoffMs = FIRST_BACKOFF_MS;

  get state(): ShardMapState {
    return this.#state;
  }

  get version(): number {
    return this.#version;
  }

  /** Open shards known; 0 unless ready. */
  get openShardCount(): number {
    return this.#open.length;
  }

  /** When the load that is wanted or running was asked for; Infinity when ready or failed. */
  get loadingSinceMs(): number {
    return this.#loadingSinceMs;
  }

  /** The open shard whose range holds the hash key, or undefined when that can't be told. */
  predict(key: Hashed): string | undefined {
    const number = this.numberOf(key);
    return number === undefined ? undefined : this.shardIdOf(number);
  }

  /** The same by its number among the open shards, in the order of their ranges; it holds as long as `version` does. */
  numberOf(key: Hashed): number | undefined {
    const { hashTop } = key;
    const endTops = this.#endTops;
    let low = 0;
    let high = this.#open.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const endTop = endTops[middle] as number;
      if (endTop < hashTop || (endTop === hashTop && (this.#open[middle] as KnownShard).end < key.hashHex)) {
        low = middle + 1;
      } else high = middle;
    }
    if (low === this.#open.length) return undefined;
    const startTop = this.#startTops[low] as number;
    if (startTop === hashTop) return (this.#open[low] as KnownShard).start <= key.hashHex ? low : undefined;
    return startTop < hashTop ? low : undefined;
  }

  shardIdOf(number: number): string {
    return (this.#open[number] as KnownShard).shardId;
  }

  /** Whether the map has seen the shard, open or closed not long ago. */
  knows(shardId: string): boolean {
    return this.#known.has(shardId);
  }

  /** Whether the shard's range holds the hash key; undefined for a shard that the map has never seen. */
  contains(shardId: string, hashHex: string): boolean | undefined {
    const shard = this.#known.get(shardId);
    return shard === undefined ? undefined : shard.start <= hashHex && hashHex <= shard.end;
  }

  /** A prediction of the present version was wrong: predicts nothing until the list has been read again. True if that changed anything. */
  invalidate(nowMs: number): boolean {
    if (this.#state !== 'ready') return false;
    this.#state = 'loading';
    this.#version++;
    this.#open = [];
    this.#loadingSinceMs = nowMs;
    this.#loadAtMs = Math.max(nowMs, this.#loadedAtMs + MIN_RELOAD_INTERVAL_MS);
    return true;
  }

  /** The list may be another one: reads it again, and predicts from the old one meanwhile. */
  refresh(nowMs: number): void {
    if (this.#state !== 'ready' || this.#loadAtMs !== Number.POSITIVE_INFINITY) return;
    this.#loadAtMs = Math.max(nowMs, this.#loadedAtMs + MIN_RELOAD_INTERVAL_MS);
  }

  /** When `expire` wants to be called. */
  deadline(): number {
    return this.#isUnderWay ? Number.POSITIVE_INFINITY : this.#loadAtMs;
  }

  /** True when ListShards is to be called now; answer with `loaded` or `failed`. */
  expire(nowMs: number): boolean {
    if (nowMs < this.deadline()) return false;
    this.#isUnderWay = true;
    this.#loadAtMs = Number.POSITIVE_INFINITY;
    if (this.#state === 'loading' && this.#loadingSinceMs === Number.POSITIVE_INFINITY) this.#loadingSinceMs = nowMs;
    return true;
  }

  /** Takes the list of open shards, unless it has been found wrong meanwhile. False if nothing has changed by it. */
  loaded(shards: readonly Shard[], nowMs: number): boolean {
    const isStale = this.#isUnderWay && this.#loadAtMs !== Number.POSITIVE_INFINITY;
    this.#isUnderWay = false;
    if (isStale) return false;
    const isSame = this.#state === 'ready' && this.#holds(shards);
    this.#state = 'ready';
    this.#loadAtMs = Number.POSITIVE_INFINITY;
    this.#loadingSinceMs = Number.POSITIVE_INFINITY;
    this.#loadedAtMs = nowMs;
    this.#backoffMs = FIRST_BACKOFF_MS;
    if (isSame) return false;
    this.#version++;
    this.#open = shards.map(knownShard).sort((a, b) => (a.end < b.end ? -1 : a.end > b.end ? 1 : 0));
    this.#endTops = Int32Array.from(this.#open, ({ endTop }) => endTop);
    this.#startTops = Int32Array.from(this.#open, ({ startTop }) => startTop);
    const known = new Map(this.#open.map((shard) => [shard.shardId, shard]));
    for (const [shardId, shard] of this.#known) {
      if (known.has(shardId)) continue;
      if (shard.closedAtMs === -1) shard.closedAtMs = nowMs;
      if (nowMs - shard.closedAtMs < CLOSED_SHARD_TTL_MS) known.set(shardId, shard);
    }
    this.#known = known;
    return true;
  }

  /** The list could not be read; one that was read before stays good. False if nothing has changed by it. */
  failed(nowMs: number): boolean {
    this.#isUnderWay = false;
    this.#loadAtMs = nowMs + this.#backoffMs;
    this.#backoffMs = Math.min(MAX_BACKOFF_MS, this.#backoffMs * BACKOFF_GROWTH);
    if (this.#state === 'ready') return false;
    if (this.#state !== 'failed') this.#version++;
    this.#state = 'failed';
    this.#loadingSinceMs = Number.POSITIVE_INFINITY;
    return true;
  }

  #holds(shards: readonly Shard[]): boolean {
    if (shards.length !== this.#open.length) return false;
    return shards.every(({ shardId }) => this.#known.get(shardId)?.closedAtMs === -1);
  }
}

function knownShard({ shardId, range: { start, end } }: Shard): KnownShard {
  const tops = { startTop: topOfHashKey(start), endTop: topOfHashKey(end) };
  return { shardId, start: hex(start), end: hex(end), ...tops, closedAtMs: -1 };
}

function hex(key: HashKey): string {
  return key.toString(16).padStart(32, '0');
}

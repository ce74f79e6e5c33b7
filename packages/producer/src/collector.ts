// Packs Kinesis records into PutRecords requests: after the limiter, before the sender (KPL collector.h). A request leaves when
// it is full, when one shard's share of it reaches 256 KiB, when its first Kinesis record is due, or when it is hastened because
// somebody waits for it. Pure: the pipeline numbers and sends what comes out.
// Invariants: a request holds at most collectionMaxCount entries and collectionMaxSizeBytes (one entry may be larger, and then
// goes alone), partition keys included; nothing stays behind when a request leaves.
import type { KinesisRecord } from './batch.ts';

export interface CollectorOptions {
  readonly collectionMaxCount: number;
  readonly collectionMaxSizeBytes: number;
}

/** What makes a request. */
export interface Collection {
  readonly kinesisRecords: readonly KinesisRecord[];
  readonly sizeBytes: number;
}

/** Bytes for one shard in one request, from which on the request leaves (KPL put_records_request.h). */
export const SHARD_SHARE_BYTES: number = 256 * 1024;

const NOTHING: readonly Collection[] = [];

export class Collector {
  readonly #options: CollectorOptions;
  readonly #bytesByShard = new Map<string, number>();
  #kinesisRecords: KinesisRecord[] = [];
  #sizeBytes = 0;
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#kinesisRecords.length;
  }

  /** Adds a Kinesis record and gives the collections that are full now: none, one or two. */
  put(kinesisRecord: KinesisRecord): readonly Collection[] {
    const { collectionMaxCount, collectionMaxSizeBytes } = this.#options;
    const overflows = this.count > 0 && this.#sizeBytes + kinesisRecord.sizeBytes > collectionMaxSizeBytes;
    const before = overflows ? this.flush() : NOTHING;
    kinesisRecord.phase = 'collected';
    this.#kinesisRecords.push(kinesisRecord);
    this.#sizeBytes += kinesisRecord.sizeBytes;
    this.#dueAtMs = Math.min(this.#dueAtMs, kinesisRecord.dueAtMs);
    const shareBytes = this.#addShare(kinesisRecord);
    const full =
      this.count >= collectionMaxCount || this.#sizeBytes >= collectionMaxSizeBytes || shareBytes >= SHARD_SHARE_BYTES;
    return full ? [...before, ...this.flush()] : before;
  }

  /** Somebody waits: what is in here is due now. */
  hasten(nowMs: number): void {
    if (this.count > 0) this.#dueAtMs = Math.min(this.#dueAtMs, nowMs);
  }

  /** When `expire` wants to be called; Infinity when empty. */
  deadline(): number {
    return this.#dueAtMs;
  }

  /** The collection, if it is due. */
  expire(nowMs: number): readonly Collection[] {
    return this.#dueAtMs <= nowMs ? this.flush() : NOTHING;
  }

  /** The collection, due or not. */
  flush(): readonly Collection[] {
    if (this.count === 0) return NOTHING;
    const collection = { kinesisRecords: this.#kinesisRecords, sizeBytes: this.#sizeBytes };
    this.#kinesisRecords = [];
    this.#sizeBytes = 0;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.#bytesByShard.clear();
    return [collection];
  }

  #addShare({ shardId, sizeBytes }: KinesisRecord): number {
    if (shardId === undefined) return 0;
    const shareBytes = (this.#bytesByShard.get(shardId) ?? 0) + sizeBytes;
    this.#bytesByShard.set(shardId, shareBytes);
    return shareBytes;
  }
}

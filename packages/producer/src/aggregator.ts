// Packs user records of one predicted shard into Kinesis records (KPL aggregator.h, reducer.h): after the order stage, before
// the limiter. A record whose shard can't be told travels alone; while the shard map is being read it waits for it, within
// a bound. Unlike the KPL it seals before a record that does not fit, so a sealed record is in put order and never too large.
// Invariants: at most one open Kinesis record per shard; none of two or more user records is over aggregationMaxSizeBytes.
import { AggregateWriter } from '@shardline/common';
import { type Addressing, KinesisRecord } from './batch.ts';
import type { UserRecord } from './user-record.ts';

export interface AggregatorOptions {
  readonly aggregationEnabled: boolean;
  /** User records in one Kinesis record. */
  readonly aggregationMaxCount: number;
  /** The whole aggregated record, the 20 bytes around the message included. */
  readonly aggregationMaxSizeBytes: number;
  /** When one open Kinesis record leaves for its time, others that would within this time leave with it: one request, not many. */
  readonly togetherMs: number;
}

/** What the shard map says about a user record. */
export interface Prediction {
  readonly shardId: string | undefined;
  readonly mapVersion: number;
  readonly addressing: Addressing;
  /** Without a shard: until when to wait for the map. In the past: don't. */
  readonly waitUntilMs: number;
}

/** An open Kinesis record of a shard. */
interface Lane {
  readonly kinesisRecord: KinesisRecord;
  readonly writer: AggregateWriter;
}

/** Each keeps the memory of its largest aggregated record. A thousand shards have a thousand, and to make them anew takes longer than to fill them. */
const MOST_SPARE_BYTES: number = 32 * 1024 * 1024;

const NOTHING: readonly KinesisRecord[] = [];

export class Aggregator {
  readonly #options: AggregatorOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #spareWriters: AggregateWriter[] = [];
  #spareBytes = 0;
  #mapless: KinesisRecord[] = [];
  #maplessUntilMs = Number.POSITIVE_INFINITY;
  /** Never later than the earliest due time of an open lane. */
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor(options: AggregatorOptions) {
    this.#options = options;
  }

  /** Open Kinesis records that wait for company. */
  get openCount(): number {
    return this.#lanes.size;
  }

  /** Places the user record (`record.carrier` says where) and gives the Kinesis records that this sealed. */
  put(record: UserRecord, prediction: Prediction, nowMs: number): readonly KinesisRecord[] {
    const { shardId, waitUntilMs } = prediction;
    if (!this.#options.aggregationEnabled) return [alone(record, prediction)];
    if (shardId === undefined) {
      const kinesisRecord = alone(record, prediction);
      if (waitUntilMs <= nowMs) return [kinesisRecord];
      kinesisRecord.phase = 'mapless';
      this.#mapless.push(kinesisRecord);
      this.#maplessUntilMs = Math.min(this.#maplessUntilMs, waitUntilMs);
      return NOTHING;
    }
    const lane = this.#lanes.get(shardId);
    if (lane === undefined) return this.#open(record, shardId, prediction);
    const sizeBytes = lane.writer.sizeBytesWith(record);
    if (sizeBytes > this.#options.aggregationMaxSizeBytes) {
      return [this.#seal(shardId, lane), ...this.#open(record, shardId, prediction)];
    }
    record.carrier = lane.kinesisRecord;
    record.noteWritten(lane.writer.add(record));
    lane.kinesisRecord.add(record, sizeBytes);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return this.#isFull(lane) ? [this.#seal(shardId, lane)] : NOTHING;
  }

  /** Seals an open Kinesis record when the user record does not fit in; undefined when it does. */
  sealUnlessFits(kinesisRecord: KinesisRecord, record: UserRecord): KinesisRecord | undefined {
    const { shardId } = kinesisRecord;
    const lane = shardId === undefined ? undefined : this.#lanes.get(shardId);
    if (shardId === undefined || lane?.kinesisRecord !== kinesisRecord) return undefined;
    if (lane.writer.sizeBytesWith(record) <= this.#options.aggregationMaxSizeBytes) return undefined;
    return this.#seal(shardId, lane);
  }

  /** When `expire` wants to be called; Infinity when nothing waits. */
  deadline(): number {
    return Math.min(this.#dueAtMs, this.#maplessUntilMs);
  }

  /** Seals what is due, and with it what is nearly due. */
  expire(nowMs: number): KinesisRecord[] {
    let sealed: KinesisRecord[] = [];
    if (this.#maplessUntilMs <= nowMs) {
      sealed = this.#mapless.filter(({ phase }) => phase === 'mapless');
      this.#mapless = [];
      this.#maplessUntilMs = Number.POSITIVE_INFINITY;
    }
    if (this.#dueAtMs > nowMs) return sealed;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    const untilMs = this.#earliest() <= nowMs ? nowMs + this.#options.togetherMs : nowMs;
    for (const [shardId, lane] of this.#lanes) {
      if (lane.kinesisRecord.dueAtMs <= untilMs) sealed.push(this.#seal(shardId, lane));
      else this.#dueAtMs = Math.min(this.#dueAtMs, lane.kinesisRecord.dueAtMs);
    }
    return sealed;
  }

  /** Seals all that waits for company; what waits for the map goes on waiting. */
  flush(): KinesisRecord[] {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    return [...this.#lanes].map(([shardId, lane]) => this.#seal(shardId, lane));
  }

  /** Lets go of an open Kinesis record whose user records have all expired in here. One that waits for the map is passed over later. */
  forget(kinesisRecord: KinesisRecord): void {
    const { shardId } = kinesisRecord;
    const lane = shardId === undefined ? undefined : this.#lanes.get(shardId);
    if (shardId !== undefined && lane?.kinesisRecord === kinesisRecord) this.#seal(shardId, lane);
  }

  /** Gives everything back unsealed: the shard map has changed, so it must be placed anew. */
  drain(): KinesisRecord[] {
    const open = [...this.#lanes.values()].map(({ kinesisRecord }) => kinesisRecord);
    const drained = [...open, ...this.#mapless.filter(({ phase }) => phase === 'mapless')];
    this.#lanes.clear();
    this.#mapless = [];
    this.#maplessUntilMs = Number.POSITIVE_INFINITY;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    return drained;
  }

  #open(record: UserRecord, shardId: string, prediction: Prediction): readonly KinesisRecord[] {
    const kinesisRecord = alone(record, prediction);
    // Alone it is sent without the frame, so its data counts (KPL kinesis_record.cc).
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    if (record.dataBytes >= aggregationMaxSizeBytes || aggregationMaxCount === 1) return [kinesisRecord];
    const writer = this.#takeWriter();
    kinesisRecord.open(writer);
    record.noteWritten(writer.add(record));
    this.#lanes.set(shardId, { kinesisRecord, writer });
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return NOTHING;
  }

  #isFull({ writer }: Lane): boolean {
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    return writer.count >= aggregationMaxCount || writer.sizeBytes >= aggregationMaxSizeBytes;
  }

  #seal(shardId: string, { kinesisRecord, writer }: Lane): KinesisRecord {
    this.#lanes.delete(shardId);
    kinesisRecord.seal();
    this.#spare(writer);
    kinesisRecord.phase = 'limited';
    return kinesisRecord;
  }

  #takeWriter(): AggregateWriter {
    const writer = this.#spareWriters.pop();
    if (writer === undefined) return new AggregateWriter();
    this.#spareBytes -= writer.memoryBytes;
    return writer;
  }

  #spare(writer: AggregateWriter): void {
    const { memoryBytes } = writer;
    if (this.#spareBytes + memoryBytes > MOST_SPARE_BYTES) return;
    writer.clear();
    this.#spareWriters.push(writer);
    this.#spareBytes += memoryBytes;
  }

  #earliest(): number {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { kinesisRecord } of this.#lanes.values()) earliestMs = Math.min(earliestMs, kinesisRecord.dueAtMs);
    return earliestMs;
  }
}

function alone(record: UserRecord, { shardId, mapVersion, addressing }: Prediction): KinesisRecord {
  const kinesisRecord = new KinesisRecord(record, shardId, mapVersion, addressing);
  record.carrier = kinesisRecord;
  return kinesisRecord;
}

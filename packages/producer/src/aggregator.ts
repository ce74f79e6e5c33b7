// Packs user records of one predicted shard into Kinesis records (KPL aggregator.h, reducer.h): after the order stage, before
// the limiter. A record whose shard can't be told travels alone; while the shard map is being read it waits for it, within
// a bound. Unlike the KPL it seals before a record that does not fit, so a sealed record is in put order and never too large.
// Invariants: at most one open Kinesis record per shard; none of two or more user records is over aggregationMaxSizeBytes.
import { AggregateWriter, FRAME_BYTES, mostBytesOf } from '@shardline/common';
import { type Addressing, KinesisRecord } from './batch.ts';
import { DataMemory } from './data-memory.ts';
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
  /** Its aggregated record is at most so long. */
  mostBytes: number;
  /** Knows how long exactly, once that is no longer below what it may be. */
  writer: AggregateWriter | undefined;
}

/** Of writers that nobody uses. */
const MOST_SPARE_BYTES: number = 4 * 1024 * 1024;

const NOTHING: readonly KinesisRecord[] = [];

export class Aggregator {
  readonly #options: AggregatorOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #spareWriters: AggregateWriter[] = [];
  #spareBytes = 0;
  readonly #dataMemory = new DataMemory();
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
    if (!this.#fits(record, lane)) return [this.#seal(shardId, lane), ...this.#open(record, shardId, prediction)];
    record.carrier = lane.kinesisRecord;
    record.keepDataIn(this.#dataMemory);
    lane.mostBytes += mostBytesOf(record, lane.kinesisRecord.records.length);
    lane.writer?.add(record);
    lane.kinesisRecord.add(record);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return this.#isFull(lane) ? [this.#seal(shardId, lane)] : NOTHING;
  }

  /** Seals an open Kinesis record when the user record does not fit in; undefined when it does. */
  sealUnlessFits(kinesisRecord: KinesisRecord, record: UserRecord): KinesisRecord | undefined {
    const { shardId } = kinesisRecord;
    const lane = shardId === undefined ? undefined : this.#lanes.get(shardId);
    if (shardId === undefined || lane?.kinesisRecord !== kinesisRecord) return undefined;
    return this.#fits(record, lane) ? undefined : this.#seal(shardId, lane);
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
    if (shardId !== undefined && lane?.kinesisRecord === kinesisRecord) this.#close(shardId, lane);
  }

  /** Gives everything back unsealed: the shard map has changed, so it must be placed anew. */
  drain(): KinesisRecord[] {
    const lanes = [...this.#lanes];
    for (const [shardId, lane] of lanes) this.#close(shardId, lane);
    const open = lanes.map(([, { kinesisRecord }]) => kinesisRecord);
    const drained = [...open, ...this.#mapless.filter(({ phase }) => phase === 'mapless')];
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
    record.keepDataIn(this.#dataMemory);
    this.#lanes.set(shardId, { kinesisRecord, mostBytes: FRAME_BYTES + mostBytesOf(record, 0), writer: undefined });
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return NOTHING;
  }

  /** By what it may take at the most; where that is too much, by what it takes. */
  #fits(record: UserRecord, lane: Lane): boolean {
    const { aggregationMaxSizeBytes } = this.#options;
    const mostBytes = lane.mostBytes + mostBytesOf(record, lane.kinesisRecord.records.length);
    return (
      mostBytes <= aggregationMaxSizeBytes || this.#writerOf(lane).sizeBytesWith(record) <= aggregationMaxSizeBytes
    );
  }

  #isFull(lane: Lane): boolean {
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    return (
      lane.kinesisRecord.records.length >= aggregationMaxCount ||
      (lane.mostBytes >= aggregationMaxSizeBytes && this.#writerOf(lane).sizeBytes >= aggregationMaxSizeBytes)
    );
  }

  #writerOf(lane: Lane): AggregateWriter {
    if (lane.writer !== undefined) return lane.writer;
    lane.writer = this.#takeWriter();
    for (const record of lane.kinesisRecord.records) lane.writer.add(record);
    return lane.writer;
  }

  #seal(shardId: string, lane: Lane): KinesisRecord {
    const { kinesisRecord } = lane;
    lane.writer ??= this.#takeWriter();
    kinesisRecord.seal(lane.writer);
    this.#close(shardId, lane);
    return kinesisRecord;
  }

  #close(shardId: string, { writer }: Lane): void {
    this.#lanes.delete(shardId);
    if (writer !== undefined) this.#spare(writer);
  }

  #takeWriter(): AggregateWriter {
    const writer = this.#spareWriters.pop();
    if (writer === undefined) return new AggregateWriter();
    this.#spareBytes -= writer.memoryBytes;
    return writer;
  }

  #spare(writer: AggregateWriter): void {
    writer.clear();
    const { memoryBytes } = writer;
    if (this.#spareBytes + memoryBytes > MOST_SPARE_BYTES) return;
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

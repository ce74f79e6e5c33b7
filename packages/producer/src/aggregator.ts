// Packs user records of one predicted shard into Kinesis records (KPL aggregator.h, reducer.h): after the order stage, before
// the limiter. A record whose shard can't be told travels alone; while the shard map is being read it waits for it, within
// a bound. Unlike the KPL it seals before a record that does not fit, so a sealed record is in put order and never too large.
// Invariants: at most one open Kinesis record per shard; none of two or more user records is over aggregationMaxSizeBytes.
import { AggregateWriter, FRAME_BYTES, invariant, mostBytesOf } from '@shardline/common';
import { type Addressing, KinesisRecord, NO_SHARD } from './batch.ts';
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
  /** Its number among the open shards of that version of the map: its lane. NO_SHARD without one. */
  readonly shard: number;
  readonly mapVersion: number;
  readonly addressing: Addressing;
  /** Without a shard: until when to wait for the map. In the past: don't. */
  readonly waitUntilMs: number;
}

/** Of writers that nobody uses. */
const MOST_SPARE_BYTES: number = 4 * 1024 * 1024;

const NOTHING: readonly KinesisRecord[] = [];

export class Aggregator {
  readonly #options: AggregatorOptions;
  /** The open Kinesis record of each shard, by the shard's number. */
  readonly #lanes: (KinesisRecord | undefined)[] = [];
  /** The same, the one opened first in front: so they leave. */
  readonly #openOnes = new Set<KinesisRecord>();
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
    return this.#openOnes.size;
  }

  /** Places the user record (`record.carrier` says where) and gives the Kinesis records that this sealed. */
  put(record: UserRecord, prediction: Prediction, nowMs: number): readonly KinesisRecord[] {
    const { shard, waitUntilMs } = prediction;
    if (!this.#options.aggregationEnabled) return [alone(record, prediction)];
    if (shard === NO_SHARD) {
      const kinesisRecord = alone(record, prediction);
      if (waitUntilMs <= nowMs) return [kinesisRecord];
      kinesisRecord.phase = 'mapless';
      this.#mapless.push(kinesisRecord);
      this.#maplessUntilMs = Math.min(this.#maplessUntilMs, waitUntilMs);
      return NOTHING;
    }
    const open = this.#lanes[shard];
    if (open === undefined) return this.#open(record, prediction);
    invariant(open.mapVersion === prediction.mapVersion, 'what is open was predicted as what comes in');
    const mostBytes = open.mostBytes + mostBytesOf(record, open.records.length);
    if (!this.#fits(record, open, mostBytes)) return [this.#seal(open), ...this.#open(record, prediction)];
    record.carrier = open;
    record.keepDataIn(this.#dataMemory);
    open.mostBytes = mostBytes;
    open.writer?.add(record);
    open.add(record);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return this.#isFull(open) ? [this.#seal(open)] : NOTHING;
  }

  /** Seals an open Kinesis record when the user record does not fit in; undefined when it does. */
  sealUnlessFits(open: KinesisRecord, record: UserRecord): KinesisRecord | undefined {
    if (open.lane === NO_SHARD) return undefined;
    return this.#fits(record, open, open.mostBytes + mostBytesOf(record, open.records.length))
      ? undefined
      : this.#seal(open);
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
    for (const open of this.#openOnes) {
      if (open.dueAtMs <= untilMs) sealed.push(this.#seal(open));
      else this.#dueAtMs = Math.min(this.#dueAtMs, open.dueAtMs);
    }
    return sealed;
  }

  /** Seals all that waits for company; what waits for the map goes on waiting. */
  flush(): KinesisRecord[] {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    return [...this.#openOnes].map((open) => this.#seal(open));
  }

  /** Lets go of an open Kinesis record whose user records have all expired in here. One that waits for the map is passed over later. */
  forget(kinesisRecord: KinesisRecord): void {
    if (kinesisRecord.lane !== NO_SHARD) this.#close(kinesisRecord);
  }

  /** Gives everything back unsealed: the shard map has changed, so it must be placed anew. */
  drain(): KinesisRecord[] {
    const open = [...this.#openOnes];
    for (const kinesisRecord of open) this.#close(kinesisRecord);
    // There may be fewer shards now.
    this.#lanes.length = 0;
    const drained = [...open, ...this.#mapless.filter(({ phase }) => phase === 'mapless')];
    this.#mapless = [];
    this.#maplessUntilMs = Number.POSITIVE_INFINITY;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    return drained;
  }

  #open(record: UserRecord, prediction: Prediction): readonly KinesisRecord[] {
    const kinesisRecord = alone(record, prediction);
    // Alone it is sent without the frame, so its data counts (KPL kinesis_record.cc).
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    if (record.dataBytes >= aggregationMaxSizeBytes || aggregationMaxCount === 1) return [kinesisRecord];
    record.keepDataIn(this.#dataMemory);
    kinesisRecord.mostBytes = FRAME_BYTES + mostBytesOf(record, 0);
    kinesisRecord.lane = prediction.shard;
    while (this.#lanes.length <= prediction.shard) this.#lanes.push(undefined);
    this.#lanes[prediction.shard] = kinesisRecord;
    this.#openOnes.add(kinesisRecord);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return NOTHING;
  }

  /** By what it may take at the most; where that is too much, by what it takes. */
  #fits(record: UserRecord, open: KinesisRecord, mostBytes: number): boolean {
    const { aggregationMaxSizeBytes } = this.#options;
    return (
      mostBytes <= aggregationMaxSizeBytes || this.#writerOf(open).sizeBytesWith(record) <= aggregationMaxSizeBytes
    );
  }

  #isFull(open: KinesisRecord): boolean {
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    return (
      open.records.length >= aggregationMaxCount ||
      (open.mostBytes >= aggregationMaxSizeBytes && this.#writerOf(open).sizeBytes >= aggregationMaxSizeBytes)
    );
  }

  #writerOf(open: KinesisRecord): AggregateWriter {
    if (open.writer !== undefined) return open.writer;
    const writer = this.#takeWriter();
    for (const record of open.records) writer.add(record);
    open.writer = writer;
    return writer;
  }

  #seal(open: KinesisRecord): KinesisRecord {
    open.writer ??= this.#takeWriter();
    open.seal(open.writer);
    this.#close(open);
    return open;
  }

  #close(open: KinesisRecord): void {
    const { lane, writer } = open;
    this.#lanes[lane] = undefined;
    this.#openOnes.delete(open);
    open.lane = NO_SHARD;
    open.writer = undefined;
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
    for (const { dueAtMs } of this.#openOnes) earliestMs = Math.min(earliestMs, dueAtMs);
    return earliestMs;
  }
}

function alone(record: UserRecord, { shardId, mapVersion, addressing }: Prediction): KinesisRecord {
  const kinesisRecord = new KinesisRecord(record, shardId, mapVersion, addressing);
  record.carrier = kinesisRecord;
  return kinesisRecord;
}

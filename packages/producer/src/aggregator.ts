// Packs user records of one predicted shard into Kinesis records (KPL aggregator.h, reducer.h): after the order stage, before
// the limiter. A record whose shard can't be told travels alone; while the shard map is being read it waits for it, within
// a bound. Unlike the KPL it seals before a record that does not fit, so a sealed record is in put order and never too large.
// Invariants: at most one open Kinesis record per shard; none of two or more user records is over aggregationMaxSizeBytes.
import { AggregateWriter, ChunkMemory, FIRST_PLACE, GrowingAggregates, invariant } from '@shardline/common';
import { type Addressing, KinesisRecord, NO_SHARD } from './batch.ts';
import { Heard, UNLIKE } from './heard.ts';
import { NONE } from './order.ts';
import { PackedRecords } from './packed-records.ts';
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
  /** Of the lanes whose user records are packed. */
  readonly #growing: GrowingAggregates;
  readonly #heard = new Heard();
  #mapless: KinesisRecord[] = [];
  #maplessUntilMs = Number.POSITIVE_INFINITY;
  /** Never later than the earliest due time of an open lane. */
  #dueAtMs = Number.POSITIVE_INFINITY;

  /** `memory`: of packed user records, one for all streams of a producer. */
  constructor(options: AggregatorOptions, memory: ChunkMemory = new ChunkMemory()) {
    this.#options = options;
    this.#growing = new GrowingAggregates(memory);
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
    if (!this.#fits(record, open)) return [this.#seal(open), ...this.#open(record, prediction)];
    record.carrier = open;
    if (open.packed !== undefined) this.#pack(record, shard, this.#growing.placeOf(shard, record, record.keyPlace));
    else {
      this.#writerOf(open).add(record);
      record.keepData();
      open.add(record);
    }
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return this.#isFull(open) ? [this.#seal(open)] : NOTHING;
  }

  /**
   * The short way of `put`, into the packed one that is open in a lane, without a look at it. `keyPlace`: of the key there, as `record.keyPlace`
   * said of one before. @returns whether it is in there, and then whether that is full. Otherwise it is to be put.
   */
  join(record: UserRecord, shard: number, keyPlace: number): 'no' | 'joined' | 'full' {
    if (!PackedRecords.takes(record)) return 'no';
    const growing = this.#growing;
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    const place = growing.placeOf(shard, record, keyPlace);
    const sizeBytes = growing.sizeBytesWith(shard, record, place);
    if (sizeBytes > aggregationMaxSizeBytes) return 'no';
    record.carrier = this.#lanes[shard];
    this.#pack(record, shard, place);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return growing.count(shard) >= aggregationMaxCount || sizeBytes >= aggregationMaxSizeBytes ? 'full' : 'joined';
  }

  /** By what the order stage knows what is open and packed in a lane; NONE: nothing is. */
  orderNumberOf(shard: number): number {
    return shard !== NO_SHARD && this.#growing.has(shard) ? this.#growing.orderNumber(shard) : NONE;
  }

  /** Seals what is open in a lane. */
  sealIn(shard: number): KinesisRecord {
    return this.#seal(this.#lanes[shard] as KinesisRecord);
  }

  /** Seals an open Kinesis record when the user record does not fit in; undefined when it does. */
  sealUnlessFits(open: KinesisRecord, record: UserRecord): KinesisRecord | undefined {
    return open.lane === NO_SHARD || this.#fits(record, open) ? undefined : this.#seal(open);
  }

  /** What waits for company, the one opened first in front. */
  open(): Iterable<KinesisRecord> {
    return this.#openOnes;
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
    record.keyPlace = FIRST_PLACE;
    kinesisRecord.lane = prediction.shard;
    while (this.#lanes.length <= prediction.shard) this.#lanes.push(undefined);
    this.#lanes[prediction.shard] = kinesisRecord;
    this.#openOnes.add(kinesisRecord);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return NOTHING;
  }

  /** Whether there is room; from the second user record on they are packed, if they can be. */
  #fits(record: UserRecord, open: KinesisRecord): boolean {
    const { aggregationMaxSizeBytes } = this.#options;
    // So much with the first alone: then that is not packed for nothing.
    if (open.sizeBytes + record.dataBytes > aggregationMaxSizeBytes) return false;
    const packed = this.#packedFor(record, open);
    const sizeBytes =
      packed === undefined
        ? this.#writerOf(open).sizeBytesWith(record)
        : this.#growing.sizeBytesWith(open.lane, record, this.#growing.placeOf(open.lane, record, record.keyPlace));
    return sizeBytes <= aggregationMaxSizeBytes;
  }

  #packedFor(record: UserRecord, open: KinesisRecord): PackedRecords | undefined {
    const canBe = PackedRecords.takes(record);
    if (!canBe) open.unpack();
    if (!canBe || open.packed !== undefined) return open.packed;
    const [first] = open.records;
    const isLone = open.writer === undefined && open.count === 1 && open.liveCount === 1;
    return isLone && first !== undefined && PackedRecords.takes(first) ? this.#beginPacked(open, first) : undefined;
  }

  #beginPacked(open: KinesisRecord, first: UserRecord): PackedRecords {
    const heard = this.#heard.of(first);
    const packed = open.pack(this.#growing, open.lane);
    this.#growing.begun(open.lane, heard, open.orderNumber);
    return packed;
  }

  /** Whether there is room has been asked. */
  #pack(record: UserRecord, lane: number, keyPlace: number): void {
    const growing = this.#growing;
    const heard = this.#heard.of(record);
    if (heard === UNLIKE || heard !== growing.heard(lane)) {
      growing.hear(lane, UNLIKE);
      this.#lanes[lane]?.packed?.tells(record.settle, record.stream);
    }
    record.keyPlace = growing.add(lane, record, keyPlace);
    record.packedAway();
  }

  #isFull({ count, packed, writer }: KinesisRecord): boolean {
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    const sizeBytes = packed?.sizeBytes ?? writer?.sizeBytes ?? 0;
    return count >= aggregationMaxCount || sizeBytes >= aggregationMaxSizeBytes;
  }

  #writerOf(open: KinesisRecord): AggregateWriter {
    if (open.writer !== undefined) return open.writer;
    const writer = this.#takeWriter();
    for (const record of open.records) writer.add(record);
    open.writer = writer;
    return writer;
  }

  #seal(open: KinesisRecord): KinesisRecord {
    // What has been unpacked has none yet.
    open.seal(open.packed === undefined && open.count > 1 ? this.#writerOf(open) : open.writer);
    this.#close(open);
    return open;
  }

  #close(open: KinesisRecord): void {
    const { lane, writer } = open;
    this.#lanes[lane] = undefined;
    this.#openOnes.delete(open);
    open.lane = NO_SHARD;
    open.writer = undefined;
    open.packed?.close();
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

// The Kinesis records that grow in the aggregator, and the user records that are packed there: each has a lane while it does, whose number is
// given to another one afterwards. What lanes share lies here: memory, writers, and who is told of the user records. Pure.
// Invariants: one Kinesis record in a lane; none of two or more user records is over aggregationMaxSizeBytes.
import {
  AggregateWriter,
  type ChunkMemory,
  FIRST_PLACE,
  GrowingAggregates,
  type MemoryLender,
} from '@shardline/common';
import { type KinesisRecord, NO_LANE } from './batch.ts';
import { Heard, UNLIKE } from './heard.ts';
import { NONE } from './order.ts';
import { PackedRecords } from './packed-records.ts';
import type { UserRecord } from './user-record.ts';

export interface LaneLimits {
  /** User records in one Kinesis record. */
  readonly aggregationMaxCount: number;
  /** The whole aggregated record, the 20 bytes around the message included. */
  readonly aggregationMaxSizeBytes: number;
}

/** Of writers that nobody uses. */
const MOST_SPARE_BYTES: number = 4 * 1024 * 1024;

export class Lanes {
  readonly #limits: LaneLimits;
  readonly #lanes: (KinesisRecord | undefined)[] = [];
  readonly #freeLanes: number[] = [];
  /** Of the lanes whose user records are packed. */
  readonly #growing: GrowingAggregates;
  readonly #heard = new Heard();
  readonly #spareWriters: AggregateWriter[] = [];
  #spareBytes = 0;

  constructor(limits: LaneLimits, memory: ChunkMemory, lender: MemoryLender | undefined) {
    this.#limits = limits;
    this.#growing = new GrowingAggregates(memory, lender);
  }

  at(lane: number): KinesisRecord | undefined {
    return this.#lanes[lane];
  }

  /** By what the order stage knows what is packed in a lane; NONE: nothing is. */
  orderNumberAt(lane: number): number {
    return lane !== NO_LANE && this.#growing.has(lane) ? this.#growing.orderNumber(lane) : NONE;
  }

  /** A Kinesis record begins to grow, with its first user record. @returns its lane. */
  begin(kinesisRecord: KinesisRecord, record: UserRecord): number {
    const lane = this.#freeLanes.pop() ?? this.#lanes.length;
    record.keyPlace = FIRST_PLACE;
    kinesisRecord.lane = lane;
    this.#lanes[lane] = kinesisRecord;
    return lane;
  }

  /** Whether there is room; from the second user record on they are packed, if they can be. */
  fits(record: UserRecord, growing: KinesisRecord): boolean {
    const { aggregationMaxSizeBytes } = this.#limits;
    // So much with the first alone: then that is not packed for nothing.
    if (growing.sizeBytes + record.dataBytes > aggregationMaxSizeBytes) return false;
    const packed = this.#packedFor(record, growing);
    const { lane } = growing;
    const sizeBytes =
      packed === undefined
        ? this.#writerOf(growing).sizeBytesWith(record)
        : this.#growing.sizeBytesWith(lane, record, this.#growing.placeOf(lane, record, record.keyPlace));
    return sizeBytes <= aggregationMaxSizeBytes;
  }

  /** Adds a user record that fits. */
  add(record: UserRecord, growing: KinesisRecord): void {
    const { lane, packed } = growing;
    record.carrier = growing;
    if (packed !== undefined) {
      this.#pack(record, lane, this.#growing.placeOf(lane, record, record.keyPlace));
      return;
    }
    this.#writerOf(growing).add(record);
    record.keepData();
    growing.add(record);
  }

  /** Both in one, where user records are packed, without a look at their Kinesis record. @returns whether it is in there, and then whether that is full. */
  join(record: UserRecord, lane: number, keyPlace: number): 'no' | 'joined' | 'full' {
    if (!PackedRecords.takes(record)) return 'no';
    const growing = this.#growing;
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#limits;
    const place = growing.placeOf(lane, record, keyPlace);
    const sizeBytes = growing.sizeBytesWith(lane, record, place);
    if (sizeBytes > aggregationMaxSizeBytes || growing.count(lane) >= aggregationMaxCount) return 'no';
    record.carrier = this.#lanes[lane];
    this.#pack(record, lane, place);
    return growing.count(lane) >= aggregationMaxCount || sizeBytes >= aggregationMaxSizeBytes ? 'full' : 'joined';
  }

  isFull(growing: KinesisRecord): boolean {
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#limits;
    return growing.count >= aggregationMaxCount || this.sizeBytes(growing) >= aggregationMaxSizeBytes;
  }

  /** Of the aggregated record as it is now; 0 while it would be none. */
  sizeBytes({ packed, writer }: KinesisRecord): number {
    return packed?.sizeBytes ?? writer?.sizeBytes ?? 0;
  }

  /** It is written as it is, and grows no more. */
  seal(growing: KinesisRecord): KinesisRecord {
    // What has been unpacked has none yet.
    growing.seal(growing.packed === undefined && growing.count > 1 ? this.#writerOf(growing) : growing.writer);
    this.close(growing);
    return growing;
  }

  /** It grows no more. */
  close(growing: KinesisRecord): void {
    const { lane, writer } = growing;
    this.#lanes[lane] = undefined;
    growing.lane = NO_LANE;
    growing.writer = undefined;
    growing.packed?.close();
    this.#freeLanes.push(lane);
    if (writer !== undefined) this.#spare(writer);
  }

  #packedFor(record: UserRecord, growing: KinesisRecord): PackedRecords | undefined {
    const canBe = PackedRecords.takes(record);
    if (!canBe) growing.unpack();
    if (!canBe || growing.packed !== undefined) return growing.packed;
    const [first] = growing.records;
    const isLone = growing.writer === undefined && growing.count === 1 && growing.liveCount === 1;
    return isLone && first !== undefined && PackedRecords.takes(first) ? this.#beginPacked(growing, first) : undefined;
  }

  #beginPacked(growing: KinesisRecord, first: UserRecord): PackedRecords {
    const heard = this.#heard.of(first);
    const packed = growing.pack(this.#growing, growing.lane);
    this.#growing.begun(growing.lane, heard, growing.orderNumber);
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
    record.packedAway(growing.lender);
  }

  #writerOf(growing: KinesisRecord): AggregateWriter {
    if (growing.writer !== undefined) return growing.writer;
    const writer = this.#takeWriter();
    for (const record of growing.records) writer.add(record);
    growing.writer = writer;
    return writer;
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
}

/** Lanes by places: NO_LANE where there is none. */
export class LaneTable {
  /** One more than the lane. */
  #lanes = new Int32Array(16);

  at(place: number): number {
    return place < this.#lanes.length ? (this.#lanes[place] as number) - 1 : NO_LANE;
  }

  set(place: number, lane: number): void {
    while (place >= this.#lanes.length) this.#lengthen();
    this.#lanes[place] = lane + 1;
  }

  #lengthen(): void {
    const lanes = new Int32Array(2 * this.#lanes.length);
    lanes.set(this.#lanes);
    this.#lanes = lanes;
  }
}

// Aggregated records while they grow, one for each lane, thousands at once: of a user record nothing is kept but its bytes as they will lie on the
// wire, its key, and a row of numbers. What a lane is at stands in one line of the processor's cache, and what is added goes to the ends of two
// strips of chunks: as few places as can be, since with ten thousand lanes each is waited for. Without explicit hash keys; who has some
// takes aggregate-writer.ts. Equal keys are told apart by whoever adds them, who knows the place of each. Pure.
// Invariants: the bytes are those of `encodeAggregatedRecord` for the same user records, where equal keys were given one place, once
// `writeDigests` has ended them; the size is exact before and after each; each chunk is given back once, those of the rows by whom `finish` gave them to.
import {
  DATA,
  FRAME_BYTES,
  fieldBytes,
  PARTITION_KEY_INDEX,
  PARTITION_KEY_TABLE,
  RECORDS,
  recordBytes,
  writeMagic,
  writeText,
  writeVarint,
} from './aggregate-wire.ts';
import { CHUNK_BYTES, type ChunkMemory, NO_CHUNK } from './chunk-memory.ts';
import { FIRST_PLACE, NO_PLACE, PackedRows, ROW_BYTES, Row, type RowContent, writeRow } from './packed-rows.ts';
import { type MemoryLender, NODES_MEMORY } from './recycled-memory.ts';

// What a lane is at, in 32-bit numbers: sixteen, so that it lies in one line of the cache. The last four are two of 64 bits.
const LANE_SHIFT = 4;
const ROW_CHUNK = 0;
const ROW_AT = 1;
const FIRST_ROW_CHUNK = 2;
const WIRE_CHUNK = 3;
const WIRE_AT = 4;
const FIRST_WIRE_CHUNK = 5;
const COUNT = 6;
const KEY_COUNT = 7;
const SIZE = 8;
const HEARD = 9;
const ORDER_NUMBER = 10;
const DUE_AT = 6;
const EXPIRES_AT = 7;
const FEWEST_LANES = 16;

/** What stands before a user record's data: three tags and three varints, of at most four bytes here. */
const MOST_HEADER_BYTES = 16;
/** Up to here a loop is quicker than a call into Node. */
const SHORT_LENGTH = 48;

/** A user record, as far as it is kept. */
export interface GrowingRecord extends RowContent {
  /** Text is written as UTF-8, and is `dataBytes` long there. */
  readonly content: Uint8Array | string;
  readonly dueAtMs: number;
}

export class GrowingAggregates {
  readonly memory: ChunkMemory;
  /** Of what `finish` gives. */
  readonly lender: MemoryLender;
  #words: Int32Array = new Int32Array(FEWEST_LANES << LANE_SHIFT);
  #times: Float64Array = new Float64Array(this.#words.buffer);

  constructor(memory: ChunkMemory, lender: MemoryLender = NODES_MEMORY) {
    this.memory = memory;
    this.lender = lender;
  }

  /** Something grows there. */
  has(lane: number): boolean {
    const at = (lane << LANE_SHIFT) + COUNT;
    return at < this.#words.length && this.#words[at] !== 0;
  }

  /** Begins with a first user record, in a lane where nothing grows. */
  begin(lane: number, first: GrowingRecord): void {
    while ((lane + 1) << LANE_SHIFT > this.#words.length) this.#lengthen();
    const words = this.#words;
    const at = lane << LANE_SHIFT;
    words[at + ROW_CHUNK] = this.memory.take();
    words[at + FIRST_ROW_CHUNK] = words[at + ROW_CHUNK] as number;
    words[at + WIRE_CHUNK] = this.memory.take();
    words[at + FIRST_WIRE_CHUNK] = words[at + WIRE_CHUNK] as number;
    words[at + ROW_AT] = 0;
    words[at + WIRE_AT] = 0;
    words[at + KEY_COUNT] = 0;
    words[at + SIZE] = FRAME_BYTES;
    this.#times[(at >> 1) + DUE_AT] = Number.POSITIVE_INFINITY;
    this.#times[(at >> 1) + EXPIRES_AT] = Number.POSITIVE_INFINITY;
    this.add(lane, first, NO_PLACE);
  }

  /** User records in there. */
  count(lane: number): number {
    return this.#words[(lane << LANE_SHIFT) + COUNT] as number;
  }

  /** Of what `finish` would give. */
  sizeBytes(lane: number): number {
    return this.#words[(lane << LANE_SHIFT) + SIZE] as number;
  }

  /** The first of its user records is due then. */
  dueAtMs(lane: number): number {
    return this.#times[(lane << (LANE_SHIFT - 1)) + DUE_AT] as number;
  }

  /** The first of its user records expires then. */
  expiresAtMs(lane: number): number {
    return this.#times[(lane << (LANE_SHIFT - 1)) + EXPIRES_AT] as number;
  }

  /** Notes two numbers of whoever adds: they are asked for with each user record, and lie here where they are at hand. */
  begun(lane: number, heard: number, orderNumber: number): void {
    this.#words[(lane << LANE_SHIFT) + HEARD] = heard;
    this.#words[(lane << LANE_SHIFT) + ORDER_NUMBER] = orderNumber;
  }

  heard(lane: number): number {
    return this.#words[(lane << LANE_SHIFT) + HEARD] as number;
  }

  hear(lane: number, heard: number): void {
    this.#words[(lane << LANE_SHIFT) + HEARD] = heard;
  }

  orderNumber(lane: number): number {
    return this.#words[(lane << LANE_SHIFT) + ORDER_NUMBER] as number;
  }

  /** `candidate`, a place in this lane, if the key there is the user record's; NO_PLACE if not. */
  placeOf(lane: number, { partitionKey, keyBytes }: GrowingRecord, candidate: number): number {
    if (candidate === NO_PLACE) return NO_PLACE;
    const first = this.#words[(lane << LANE_SHIFT) + FIRST_ROW_CHUNK] as number;
    const place = candidate === FIRST_PLACE ? Row.placeOf(first, 0) : candidate;
    return Row.hasKey(this.memory, place, partitionKey, keyBytes) ? place : NO_PLACE;
  }

  /** What `sizeBytes` would be with one user record more. */
  sizeBytesWith(lane: number, { keyBytes, dataBytes }: GrowingRecord, keyPlace: number): number {
    const at = lane << LANE_SHIFT;
    const newKeyBytes = keyPlace === NO_PLACE ? fieldBytes(keyBytes) : 0;
    const recordSize = recordBytes(this.#keyIndex(at, keyPlace), -1, dataBytes);
    return (this.#words[at + SIZE] as number) + newKeyBytes + fieldBytes(recordSize);
  }

  /** Adds a user record. `keyPlace`: as `placeOf` gave it. @returns the place of its key. */
  add(lane: number, record: GrowingRecord, keyPlace: number): number {
    const words = this.#words;
    const at = lane << LANE_SHIFT;
    const isNew = keyPlace === NO_PLACE;
    const keyIndex = this.#keyIndex(at, keyPlace);
    words[at + SIZE] = this.sizeBytesWith(lane, record, keyPlace);
    words[at + COUNT] = (words[at + COUNT] as number) + 1;
    if (isNew) words[at + KEY_COUNT] = keyIndex + 1;
    const times = this.#times;
    const { dueAtMs, expiresAtMs } = record;
    if (dueAtMs < (times[(at >> 1) + DUE_AT] as number)) times[(at >> 1) + DUE_AT] = dueAtMs;
    if (expiresAtMs < (times[(at >> 1) + EXPIRES_AT] as number)) times[(at >> 1) + EXPIRES_AT] = expiresAtMs;
    this.#addData(at, keyIndex, record.content, record.dataBytes);
    const place = this.#addRow(at, record, keyIndex, isNew);
    return isNew ? place : keyPlace;
  }

  /**
   * The aggregated record, in bytes of its own and its digest not yet written, and the rows: the caller gives back the memory of both, that of the bytes to `lender` and only if nobody has kept a part.
   * Nothing grows there any more.
   */
  finish(lane: number): {
    readonly bytes: Buffer;
    readonly rows: PackedRows;
    readonly dueAtMs: number;
    readonly expiresAtMs: number;
  } {
    const words = this.#words;
    const at = lane << LANE_SHIFT;
    const count = words[at + COUNT] as number;
    const rows = new PackedRows(this.memory, words[at + FIRST_ROW_CHUNK] as number, count);
    const bytes = this.lender.take(words[at + SIZE] as number);
    this.#copyData(at, bytes, rows.copyKeys(bytes, writeMagic(bytes), PARTITION_KEY_TABLE));
    this.memory.giveBack(words[at + FIRST_WIRE_CHUNK] as number);
    words[at + COUNT] = 0;
    const times = this.#times;
    const dueAtMs = times[(at >> 1) + DUE_AT] as number;
    return { bytes, rows, dueAtMs, expiresAtMs: times[(at >> 1) + EXPIRES_AT] as number };
  }

  #keyIndex(at: number, keyPlace: number): number {
    return keyPlace === NO_PLACE ? (this.#words[at + KEY_COUNT] as number) : Row.keyIndex(this.memory, keyPlace);
  }

  #addRow(at: number, record: GrowingRecord, keyIndex: number, isNew: boolean): number {
    const words = this.#words;
    const { memory } = this;
    const length = Row.bytes(isNew ? record.keyBytes : 0);
    let chunk = words[at + ROW_CHUNK] as number;
    let rowAt = words[at + ROW_AT] as number;
    if (rowAt + length > CHUNK_BYTES) {
      if (rowAt + ROW_BYTES <= CHUNK_BYTES) Row.end(memory, chunk, rowAt);
      const next = memory.take();
      memory.follow(chunk, next, rowAt);
      chunk = next;
      rowAt = 0;
      words[at + ROW_CHUNK] = chunk;
    }
    writeRow(memory, chunk, rowAt, record, keyIndex, isNew);
    words[at + ROW_AT] = rowAt + length;
    return Row.placeOf(chunk, rowAt);
  }

  #addData(at: number, keyIndex: number, content: Uint8Array | string, dataBytes: number): void {
    const words = this.#words;
    const { memory } = this;
    if ((words[at + WIRE_AT] as number) + MOST_HEADER_BYTES > CHUNK_BYTES) this.#nextWire(at);
    const chunk = words[at + WIRE_CHUNK] as number;
    const { bytes } = memory.segmentOf(chunk);
    const start = memory.startOf(chunk);
    let to = start + (words[at + WIRE_AT] as number);
    bytes[to++] = RECORDS;
    to = writeVarint(bytes, to, recordBytes(keyIndex, -1, dataBytes));
    bytes[to++] = PARTITION_KEY_INDEX;
    to = writeVarint(bytes, to, keyIndex);
    bytes[to++] = DATA;
    to = writeVarint(bytes, to, dataBytes);
    words[at + WIRE_AT] = to - start + dataBytes;
    if (to - start + dataBytes > CHUNK_BYTES) {
      words[at + WIRE_AT] = to - start;
      this.#addLong(at, typeof content === 'string' ? Buffer.from(content, 'utf8') : content);
    } else if (typeof content === 'string') writeText(bytes, to, content, dataBytes);
    else if (dataBytes > SHORT_LENGTH) bytes.set(content, to);
    else for (let index = 0; index < dataBytes; index++) bytes[to + index] = content[index] as number;
  }

  /** Data that goes on in the next chunk. */
  #addLong(at: number, data: Uint8Array): void {
    const words = this.#words;
    const { memory } = this;
    for (let from = 0; from < data.length; ) {
      if (words[at + WIRE_AT] === CHUNK_BYTES) this.#nextWire(at);
      const chunk = words[at + WIRE_CHUNK] as number;
      const wireAt = words[at + WIRE_AT] as number;
      const length = Math.min(data.length - from, CHUNK_BYTES - wireAt);
      memory.segmentOf(chunk).bytes.set(data.subarray(from, from + length), memory.startOf(chunk) + wireAt);
      words[at + WIRE_AT] = wireAt + length;
      from += length;
    }
  }

  #nextWire(at: number): void {
    const words = this.#words;
    const next = this.memory.take();
    this.memory.follow(words[at + WIRE_CHUNK] as number, next, words[at + WIRE_AT] as number);
    words[at + WIRE_CHUNK] = next;
    words[at + WIRE_AT] = 0;
  }

  #copyData(at: number, target: Buffer, start: number): void {
    const words = this.#words;
    const { memory } = this;
    let end = start;
    for (let chunk = words[at + FIRST_WIRE_CHUNK] as number; chunk !== NO_CHUNK; chunk = memory.next(chunk)) {
      const isLast = chunk === words[at + WIRE_CHUNK];
      const length = isLast ? (words[at + WIRE_AT] as number) : memory.filled(chunk);
      const { bytes } = memory.segmentOf(chunk);
      target.set(new Uint8Array(bytes.buffer, memory.startOf(chunk), length), end);
      end += length;
    }
  }

  #lengthen(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
    this.#times = new Float64Array(words.buffer);
  }
}

// The records of one answer of Kinesis where they lie: for each a row of numbers that say where in the answer's bytes it has what, noted
// by whoever reads the answer (records-cbor.ts, records-json.ts). An object is made of it when it is asked for, and by then it is soon
// handled: ten thousand objects an answer that wait, of many shards, are most of a process's memory, and moved and marked until they go. Pure.
// Invariant: the bytes are the records' own from when the rows are given out.
import { mayBeAggregated } from '@shardline/common';
import type { KinesisRecord } from './deaggregate.ts';

// A row: six 32-bit numbers, and one of 64 bits.
const ROW_SHIFT = 3;
const DATA_AT = 0;
const DATA_LENGTH = 1;
const NUMBER_AT = 2;
const NUMBER_LENGTH = 3;
const KEY_AT = 4;
const KEY_LENGTH = 5;
const ARRIVED = 3;
const FEWEST_ROWS = 16;
export const ROW_BYTES: number = 4 << ROW_SHIFT;
/** Where in a row what is, in bytes: for who writes rows by itself. */
export const ROW_PLACES: Readonly<Record<keyof RecordPlaces, number>> = {
  dataAt: 4 * DATA_AT,
  dataLength: 4 * DATA_LENGTH,
  numberAt: 4 * NUMBER_AT,
  numberLength: 4 * NUMBER_LENGTH,
  keyAt: 4 * KEY_AT,
  keyLength: 4 * KEY_LENGTH,
  arrivedAtMs: 8 * ARRIVED,
};

/** Where a record has what, and when it arrived. The number is digits, the key ASCII; its length is 0 for none. */
export interface RecordPlaces {
  dataAt: number;
  dataLength: number;
  numberAt: number;
  numberLength: number;
  keyAt: number;
  keyLength: number;
  arrivedAtMs: number;
}

/** To be filled in anew for each record. */
export function somePlaces(): RecordPlaces {
  return { dataAt: 0, dataLength: 0, numberAt: 0, numberLength: 0, keyAt: 0, keyLength: 0, arrivedAtMs: 0 };
}

/** Those of an answer's list, and where in the answer it ends, behind its bracket. */
export interface FoundRecords {
  readonly records: RecordRows;
  readonly end: number;
}

export class RecordRows {
  readonly #bytes: Buffer;
  /** Where numbers and keys are. */
  #texts: Buffer;
  #textsEnd = 0;
  readonly #memory: ArrayBufferLike;
  readonly #offset: number;
  #words: Int32Array;
  #times: Float64Array;
  /** Those that are written in another way than usual. */
  readonly #unusual = new Map<number, KinesisRecord>();
  length = 0;
  /** Of their data. */
  byteCount = 0;
  /** None is an aggregated record, and each has a greater number than the one before. */
  arePlainAndRising = true;

  /** Rows that are written already, with what else is known of them. The texts are in the bytes. */
  static of(bytes: Buffer, rows: Int32Array, byteCount: number, arePlainAndRising: boolean): RecordRows {
    const records = new RecordRows(bytes, bytes, rows);
    records.length = rows.length >> ROW_SHIFT;
    records.byteCount = byteCount;
    records.arePlainAndRising = arePlainAndRising;
    return records;
  }

  /** @param texts where `keepText` begins; default: they are in the bytes as well. */
  constructor(bytes: Buffer, texts: Buffer = bytes, words: Int32Array = new Int32Array(FEWEST_ROWS << ROW_SHIFT)) {
    this.#bytes = bytes;
    this.#texts = texts;
    this.#memory = bytes.buffer;
    this.#offset = bytes.byteOffset;
    this.#words = words;
    this.#times = new Float64Array(words.buffer);
  }

  /** Copies a text that will be gone, unless it is in the bytes. @returns its place. */
  keepText(source: Buffer, from: number, to: number): number {
    if (this.#texts === this.#bytes) return from;
    const at = this.#textsEnd;
    const end = at + to - from;
    if (end > this.#texts.length) {
      const texts = Buffer.allocUnsafeSlow(2 * end);
      this.#texts.copy(texts, 0, 0, at);
      this.#texts = texts;
    }
    const texts = this.#texts;
    // A call into Node costs more than a short text.
    for (let index = from; index < to; index += 1) texts[at + index - from] = source[index] as number;
    this.#textsEnd = end;
    return at;
  }

  /** The next record. */
  add(places: RecordPlaces): void {
    const index = this.length;
    if ((index + 1) << ROW_SHIFT > this.#words.length) this.#lengthen();
    const words = this.#words;
    const row = index << ROW_SHIFT;
    const { dataAt, dataLength, numberAt, numberLength } = places;
    words[row + DATA_AT] = dataAt;
    words[row + DATA_LENGTH] = dataLength;
    words[row + NUMBER_AT] = numberAt;
    words[row + NUMBER_LENGTH] = numberLength;
    words[row + KEY_AT] = places.keyAt;
    words[row + KEY_LENGTH] = places.keyLength;
    this.#times[(row >> 1) + ARRIVED] = places.arrivedAtMs;
    this.length = index + 1;
    this.byteCount += dataLength;
    if (this.arePlainAndRising)
      this.arePlainAndRising = !mayBeAggregated(this.#bytes, dataAt, dataLength) && (index === 0 || this.#rises(row));
  }

  /** The next record, made already. */
  addMade(record: KinesisRecord): void {
    this.#unusual.set(this.length, record);
    this.add(somePlaces());
    this.byteCount += record.data.length;
    this.arePlainAndRising = false;
  }

  at(index: number): KinesisRecord | undefined {
    if (index >= this.length) return undefined;
    const unusual = this.#unusual.size > 0 ? this.#unusual.get(index) : undefined;
    if (unusual !== undefined) return unusual;
    const words = this.#words;
    const row = index << ROW_SHIFT;
    const keyLength = words[row + KEY_LENGTH] as number;
    const approximateArrivalTimestamp = new Date(this.#times[(row >> 1) + ARRIVED] as number);
    return {
      partitionKey: keyLength === 0 ? '' : this.#textAt(words[row + KEY_AT] as number, keyLength),
      data: this.#dataIn(index),
      sequenceNumber: this.#textAt(words[row + NUMBER_AT] as number, words[row + NUMBER_LENGTH] as number),
      subSequenceNumber: 0,
      approximateArrivalTimestamp,
      aggregated: false,
    };
  }

  /** Its data alone: nothing is made of it yet. */
  dataOf(index: number): Uint8Array | undefined {
    if (index >= this.length) return undefined;
    return this.#unusual.get(index)?.data ?? this.#dataIn(index);
  }

  dataAt(index: number): number {
    return this.#words[(index << ROW_SHIFT) + DATA_AT] as number;
  }

  dataLength(index: number): number {
    return this.#words[(index << ROW_SHIFT) + DATA_LENGTH] as number;
  }

  /** Data bytes of the records from one to before another, of which none was made already. */
  byteCountOf(from: number, to: number): number {
    let byteCount = 0;
    for (let index = from; index < to; index += 1) byteCount += this.dataLength(index);
    return byteCount;
  }

  #dataIn(index: number): Uint8Array {
    return new Uint8Array(this.#memory, this.#offset + this.dataAt(index), this.dataLength(index));
  }

  #rises(row: number): boolean {
    const words = this.#words;
    const bytes = this.#texts;
    const before = row - (1 << ROW_SHIFT);
    const length = words[row + NUMBER_LENGTH] as number;
    const lengthBefore = words[before + NUMBER_LENGTH] as number;
    if (length !== lengthBefore) return length > lengthBefore;
    const at = words[row + NUMBER_AT] as number;
    const atBefore = words[before + NUMBER_AT] as number;
    for (let index = 0; index < length; index += 1) {
      const difference = (bytes[at + index] as number) - (bytes[atBefore + index] as number);
      if (difference !== 0) return difference > 0;
    }
    return false;
  }

  #textAt(at: number, length: number): string {
    return this.#texts.toString('latin1', at, at + length);
  }

  #lengthen(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
    this.#times = new Float64Array(words.buffer);
  }
}

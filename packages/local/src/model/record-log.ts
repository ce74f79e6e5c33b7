// The records of one shard in the order they came, without gaps: record `counter` stands at `counter - firstCounter`, so any
// position is found in constant time. Trimming moves `firstCounter` on; what is trimmed never comes back.
// Kept in columns, and made into objects when they are read: an object a record, its view of the data and its sequence number
// would take three times the room and most of the time of a garbage collection. The number is not kept at all: the counter and
// the second of arrival say it.
import { invariant, type SequenceNumber } from '@shardline/common/base';
import { SEQUENCE_STEP, sequenceNumberAt } from './sequence.ts';

/** A Kinesis record as the shard holds it. `data` is the caller's own memory: nobody may change it. */
export interface StoredRecord {
  readonly sequenceNumber: SequenceNumber;
  /** Undefined when the producer gave none, on an AUTO stream. */
  readonly partitionKey: string | undefined;
  readonly data: Uint8Array;
  /** ApproximateArrivalTimestamp, ms since 1970; never decreases within a shard. */
  readonly arrivalMs: number;
  /** The data and the key's UTF-8 bytes: what the limits count. */
  readonly sizeBytes: number;
}

/** Stands where a trimmed record's memory was, so that it can be freed before its column is cut. */
const NO_MEMORY = new ArrayBuffer(0);

export class RecordLog {
  readonly #sequenceBase: bigint;
  #partitionKeys: (string | undefined)[] = [];
  /** The memory that the data lies in, maybe with that of other records, and where. */
  #memories: ArrayBufferLike[] = [];
  #dataOffsets: number[] = [];
  #dataLengths: number[] = [];
  #arrivalsMs: number[] = [];
  #sizesBytes: number[] = [];
  /** How many entries at the front of the columns are trimmed; they are cut off in bulk. */
  #head = 0;
  #firstCounter: number;
  #sizeBytes = 0;

  /** `sequenceBase` is what the shard's numbers have in common; the records, if any, begin at `firstCounter`. */
  constructor(sequenceBase: bigint, firstCounter = 1, records: Iterable<StoredRecord> = []) {
    this.#sequenceBase = sequenceBase;
    this.#firstCounter = firstCounter;
    let counter = firstCounter;
    let before = Number.NaN;
    for (const { sequenceNumber, partitionKey, data, arrivalMs, sizeBytes } of records) {
      this.append(partitionKey, data, sizeBytes, arrivalMs);
      // Those of one arrival follow each other: the first stands for all.
      if (arrivalMs !== before) {
        invariant(this.at(counter)?.sequenceNumber === sequenceNumber, `record ${counter} has the number it was given`);
      }
      before = arrivalMs;
      counter++;
    }
  }

  /** The counter of the oldest record held, or of the next one when there is none. */
  get firstCounter(): number {
    return this.#firstCounter;
  }

  /** The counter that the next record gets. */
  get nextCounter(): number {
    return this.#firstCounter + this.#partitionKeys.length - this.#head;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  at(counter: number): StoredRecord | undefined {
    return this.#records(counter, counter + 1)[0];
  }

  /** Undefined when there is no such record. */
  arrivalMsAt(counter: number): number | undefined {
    return counter < this.#firstCounter ? undefined : this.#arrivalsMs[this.#indexOf(counter)];
  }

  /** `arrivalMs` may not be before the last record's. */
  append(partitionKey: string | undefined, data: Uint8Array, sizeBytes: number, arrivalMs: number): void {
    this.#partitionKeys.push(partitionKey);
    this.#memories.push(data.buffer);
    this.#dataOffsets.push(data.byteOffset);
    this.#dataLengths.push(data.byteLength);
    this.#arrivalsMs.push(arrivalMs);
    this.#sizesBytes.push(sizeBytes);
    this.#sizeBytes += sizeBytes;
  }

  /** All from `counter` on. */
  from(counter: number): readonly StoredRecord[] {
    return this.#records(counter, this.nextCounter);
  }

  /** Drops the records from `counter` on: they were never there. */
  takeBack(counter: number): void {
    const kept = this.#indexOf(counter);
    for (let at = kept; at < this.#sizesBytes.length; at++) this.#sizeBytes -= this.#sizesBytes[at] ?? 0;
    for (const column of this.#columns()) column.length = kept;
  }

  /** From `counter` on: at most `maxCount` records and `maxBytes`, yet at least one if there is one. */
  read(counter: number, maxCount: number, maxBytes: number): { records: StoredRecord[]; sizeBytes: number } {
    const from = Math.max(counter, this.#firstCounter);
    const limit = Math.min(this.nextCounter, from + maxCount);
    let sizeBytes = 0;
    let end = from;
    for (; end < limit; end++) {
      const size = this.#sizesBytes[this.#indexOf(end)] ?? 0;
      if (end > from && sizeBytes + size > maxBytes) break;
      sizeBytes += size;
    }
    return { records: this.#records(from, end), sizeBytes };
  }

  /** The first record that arrived at `timestampMs` or later; `nextCounter` when there is none. */
  firstAtOrAfter(timestampMs: number): number {
    let low = this.#head;
    let high = this.#arrivalsMs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#arrivalsMs[middle] ?? 0) < timestampMs) low = middle + 1;
      else high = middle;
    }
    return low - this.#head + this.#firstCounter;
  }

  /** Drops what arrived before `horizonMs`, and the oldest beyond `maxBytes`. */
  trim(horizonMs: number, maxBytes: number): void {
    const { length } = this.#arrivalsMs;
    while (this.#head < length && ((this.#arrivalsMs[this.#head] ?? 0) < horizonMs || this.#sizeBytes > maxBytes)) {
      this.#sizeBytes -= this.#sizesBytes[this.#head] ?? 0;
      this.#partitionKeys[this.#head] = undefined;
      this.#memories[this.#head] = NO_MEMORY;
      this.#head++;
      this.#firstCounter++;
    }
    // Cut the columns when at least half of them is dead: each entry is moved at most once on average.
    if (this.#head > 64 && this.#head * 2 > length) {
      for (const column of this.#columns()) column.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #columns(): unknown[][] {
    return [
      this.#partitionKeys,
      this.#memories,
      this.#dataOffsets,
      this.#dataLengths,
      this.#arrivalsMs,
      this.#sizesBytes,
    ];
  }

  #indexOf(counter: number): number {
    return counter - this.#firstCounter + this.#head;
  }

  /** Those there are of `from` up to, but not including, `end`. */
  #records(from: number, end: number): StoredRecord[] {
    const records: StoredRecord[] = [];
    const first = Math.max(from, this.#firstCounter);
    let second = Number.NaN;
    let sequenceNumber = 0n;
    for (let counter = first, last = Math.min(end, this.nextCounter); counter < last; counter++) {
      const index = this.#indexOf(counter);
      const arrivalMs = this.#arrivalsMs[index] ?? 0;
      const arrivalSecond = Math.max(0, Math.floor(arrivalMs / 1000));
      if (arrivalSecond === second) sequenceNumber += SEQUENCE_STEP;
      else sequenceNumber = sequenceNumberAt(this.#sequenceBase, counter, arrivalSecond);
      second = arrivalSecond;
      records.push({
        sequenceNumber: sequenceNumber as SequenceNumber,
        partitionKey: this.#partitionKeys[index],
        data: new Uint8Array(this.#memories[index] ?? NO_MEMORY, this.#dataOffsets[index], this.#dataLengths[index]),
        arrivalMs,
        sizeBytes: this.#sizesBytes[index] ?? 0,
      });
    }
    return records;
  }
}

// The records of one shard in the order they came, without gaps: record `counter` stands at `counter - firstCounter`, so any
// position is found in constant time. Trimming moves `firstCounter` on; what is trimmed never comes back.
import type { SequenceNumber } from '@shardline/common';

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

export class RecordLog {
  #records: StoredRecord[] = [];
  /** How many entries at the front of the array are trimmed; they are cut off in bulk. */
  #head = 0;
  #firstCounter = 1;
  #sizeBytes = 0;

  /** A log that begins at `firstCounter` and holds these records. */
  static restored(firstCounter: number, records: readonly StoredRecord[]): RecordLog {
    const log = new RecordLog();
    log.#firstCounter = firstCounter;
    for (const record of records) log.append(record);
    return log;
  }

  /** The counter of the oldest record held, or of the next one when there is none. */
  get firstCounter(): number {
    return this.#firstCounter;
  }

  /** The counter that the next record gets. */
  get nextCounter(): number {
    return this.#firstCounter + this.#records.length - this.#head;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  at(counter: number): StoredRecord | undefined {
    return counter < this.#firstCounter ? undefined : this.#records[counter - this.#firstCounter + this.#head];
  }

  append(record: StoredRecord): void {
    this.#records.push(record);
    this.#sizeBytes += record.sizeBytes;
  }

  /** All from `counter` on. */
  from(counter: number): readonly StoredRecord[] {
    return this.#records.slice(Math.max(0, counter - this.#firstCounter) + this.#head);
  }

  /** Drops the records from `counter` on: they were never there. */
  takeBack(counter: number): void {
    const kept = counter - this.#firstCounter + this.#head;
    for (let at = kept; at < this.#records.length; at++) this.#sizeBytes -= this.#records[at]?.sizeBytes ?? 0;
    this.#records.length = kept;
  }

  /** From `counter` on: at most `maxCount` records and `maxBytes`, yet at least one if there is one. */
  read(counter: number, maxCount: number, maxBytes: number): { records: StoredRecord[]; sizeBytes: number } {
    const from = Math.max(counter, this.#firstCounter) - this.#firstCounter + this.#head;
    const limit = Math.min(this.#records.length, from + maxCount);
    let sizeBytes = 0;
    let end = from;
    for (; end < limit; end++) {
      const size = this.#records[end]?.sizeBytes ?? 0;
      if (end > from && sizeBytes + size > maxBytes) break;
      sizeBytes += size;
    }
    return { records: this.#records.slice(from, end), sizeBytes };
  }

  /** The first record that arrived at `timestampMs` or later; `nextCounter` when there is none. */
  firstAtOrAfter(timestampMs: number): number {
    let low = this.#head;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#records[middle]?.arrivalMs ?? 0) < timestampMs) low = middle + 1;
      else high = middle;
    }
    return low - this.#head + this.#firstCounter;
  }

  /** Drops what arrived before `horizonMs`, and the oldest beyond `maxBytes`. */
  trim(horizonMs: number, maxBytes: number): void {
    let oldest = this.#records[this.#head];
    while (oldest !== undefined && (oldest.arrivalMs < horizonMs || this.#sizeBytes > maxBytes)) {
      this.#sizeBytes -= oldest.sizeBytes;
      this.#head++;
      this.#firstCounter++;
      oldest = this.#records[this.#head];
    }
    // Cut the array when at least half of it is dead: each record is moved at most once on average.
    if (this.#head > 64 && this.#head * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#head);
      this.#head = 0;
    }
  }
}

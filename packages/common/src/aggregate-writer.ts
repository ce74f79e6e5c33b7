// Lays out an aggregated record and writes it in one go, for the producer's aggregator: user records are added by their keys and lengths,
// and the exact size is known before and after each; the data is written in the end, once, to where it stays.
// Invariant: the bytes are those of `encodeAggregatedRecord` for the same user records, once `writeDigests` has ended them.
import {
  DATA,
  EXPLICIT_HASH_KEY_INDEX,
  EXPLICIT_HASH_KEY_TABLE,
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
import type { HashKey } from './hash-key.ts';

/** A user record that writes its data itself. */
export interface WritableRecord {
  readonly partitionKey: string;
  readonly explicitHashKey?: HashKey;
  /** Length of the partition key as UTF-8. */
  readonly keyBytes: number;
  /** A 32-bit hash of the partition key alone, whichever. */
  readonly keyHash: number;
  /** Length of its data. */
  readonly dataBytes: number;
  /** Writes that many bytes of data. */
  writeData(target: Buffer, at: number): void;
}

const FIRST_KEY_BYTES = 1_024;
const FIRST_RECORD_COUNT = 128;
const FIRST_SLOT_COUNT = 64;

export class AggregateWriter {
  readonly #partitionKeys = new KeyTable<string>(PARTITION_KEY_TABLE);
  /** Made when it is wanted first: most applications give no hash keys. */
  #hashKeys: KeyTable<HashKey> | undefined = undefined;
  readonly #records: WritableRecord[] = [];
  /** Two numbers a record: the indexes of its keys, -1 for no hash key. */
  #indexes: Int32Array = new Int32Array(2 * FIRST_RECORD_COUNT);
  /** Of the user records in the message, behind the tables. */
  #recordsBytes = 0;
  /** The user record that was asked about last, and what was found. */
  #asked: WritableRecord | undefined;
  #askedKeyIndex = 0;
  #askedHashIndex = 0;
  #askedRecordBytes = 0;
  #askedBytes = 0;

  /** User records added. */
  get count(): number {
    return this.#records.length;
  }

  /** Length of what `finish` would give; with nothing added, the 20 bytes around the message. */
  get sizeBytes(): number {
    return FRAME_BYTES + this.#partitionKeys.length + (this.#hashKeys?.length ?? 0) + this.#recordsBytes;
  }

  /** What it keeps for the next records. */
  get memoryBytes(): number {
    return this.#indexes.byteLength + this.#partitionKeys.memoryBytes + (this.#hashKeys?.memoryBytes ?? 0);
  }

  /** What `sizeBytes` would be after `add(record)`. */
  sizeBytesWith(record: WritableRecord): number {
    this.#ask(record);
    return this.sizeBytes + this.#askedBytes;
  }

  add(record: WritableRecord): void {
    this.#ask(record);
    this.#asked = undefined;
    const { partitionKey, explicitHashKey } = record;
    const keyIndex = this.#askedKeyIndex;
    const hashIndex = this.#askedHashIndex;
    if (keyIndex === this.#partitionKeys.count) this.#partitionKeys.add(partitionKey);
    if (explicitHashKey !== undefined && hashIndex === this.#hashKeys?.count) this.#hashKeys.add(explicitHashKey);
    const at = 2 * this.count;
    if (at === this.#indexes.length) this.#growIndexes();
    this.#indexes[at] = keyIndex;
    this.#indexes[at + 1] = hashIndex;
    this.#recordsBytes += fieldBytes(this.#askedRecordBytes);
    this.#records.push(record);
  }

  /** The aggregated record, in bytes of its own, its digest not yet written. */
  finish(): Buffer {
    const bytes = Buffer.allocUnsafe(this.sizeBytes);
    let at = writeMagic(bytes);
    at += this.#partitionKeys.copyTo(bytes, at);
    if (this.#hashKeys !== undefined) at += this.#hashKeys.copyTo(bytes, at);
    for (let index = 0; index < this.count; index++) at = this.#writeRecord(bytes, at, index);
    return bytes;
  }

  /** As new, for other records. */
  clear(): void {
    this.#partitionKeys.clear();
    this.#hashKeys?.clear();
    this.#records.length = 0;
    this.#recordsBytes = 0;
    this.#asked = undefined;
  }

  #writeRecord(out: Buffer, start: number, index: number): number {
    const record = this.#records[index] as WritableRecord;
    const keyIndex = this.#indexes[2 * index] as number;
    const hashIndex = this.#indexes[2 * index + 1] as number;
    const { dataBytes } = record;
    let at = start;
    out[at++] = RECORDS;
    at = writeVarint(out, at, recordBytes(keyIndex, hashIndex, dataBytes));
    out[at++] = PARTITION_KEY_INDEX;
    at = writeVarint(out, at, keyIndex);
    if (hashIndex !== -1) {
      out[at++] = EXPLICIT_HASH_KEY_INDEX;
      at = writeVarint(out, at, hashIndex);
    }
    out[at++] = DATA;
    at = writeVarint(out, at, dataBytes);
    record.writeData(out, at);
    return at + dataBytes;
  }

  #ask(record: WritableRecord): void {
    if (record === this.#asked) return;
    const { partitionKey, explicitHashKey, dataBytes } = record;
    this.#asked = record;
    this.#askedKeyIndex = this.#partitionKeys.indexOf(partitionKey, record.keyHash, record.keyBytes);
    this.#askedHashIndex = -1;
    let hashKeyBytes = 0;
    if (explicitHashKey !== undefined) {
      this.#hashKeys ??= new KeyTable(EXPLICIT_HASH_KEY_TABLE);
      const digits = String(explicitHashKey).length;
      this.#askedHashIndex = this.#hashKeys.indexOf(explicitHashKey, spread(explicitHashKey), digits);
      hashKeyBytes = this.#hashKeys.askedBytes;
    }
    this.#askedRecordBytes = recordBytes(this.#askedKeyIndex, this.#askedHashIndex, dataBytes);
    this.#askedBytes = this.#partitionKeys.askedBytes + hashKeyBytes + fieldBytes(this.#askedRecordBytes);
  }

  #growIndexes(): void {
    const before = this.#indexes;
    this.#indexes = new Int32Array(2 * before.length);
    this.#indexes.set(before);
  }
}

/**
 * Each distinct key once, in order of first use, as it is written. Keys are found in a hash table whose slots are cleared at
 * once: an aggregated record has hundreds of keys and lives for milliseconds.
 */
class KeyTable<Key extends string | HashKey> {
  readonly #tag: number;
  readonly #keys: Key[] = [];
  /** Two numbers a slot: the index of the key + 1, or 0 where there is none, and its hash. */
  #slots: Int32Array = new Int32Array(2 * FIRST_SLOT_COUNT);
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_KEY_BYTES);
  /** On the wire, tags and lengths included. */
  length = 0;
  #askedHash = 0;
  #askedLength = 0;
  /** What the key that was asked about last would add: nothing if it is here. */
  askedBytes = 0;

  constructor(tag: number) {
    this.#tag = tag;
  }

  get count(): number {
    return this.#keys.length;
  }

  get memoryBytes(): number {
    return this.#slots.byteLength + this.#bytes.length;
  }

  /** Its index, or the one that it would have. `length`: on the wire. */
  indexOf(key: Key, hash: number, length: number): number {
    this.#askedHash = hash;
    this.#askedLength = length;
    const slots = this.#slots;
    const mask = slots.length - 2;
    for (let slot = (2 * hash) & mask; ; slot = (slot + 2) & mask) {
      const index = (slots[slot] as number) - 1;
      if (index === -1) break;
      if (slots[slot + 1] === hash && this.#keys[index] === key) {
        this.askedBytes = 0;
        return index;
      }
    }
    this.askedBytes = fieldBytes(length);
    return this.#keys.length;
  }

  /** Adds the key that was asked about last, and is not here. */
  add(key: Key): void {
    this.#keys.push(key);
    if (this.#keys.length * 4 > this.#slots.length) this.#spreadAnew();
    this.#occupy(this.#keys.length, this.#askedHash);
    const needed = this.length + this.askedBytes;
    if (needed > this.#bytes.length) this.#bytes = grown(this.#bytes, this.length, needed);
    this.#bytes[this.length++] = this.#tag;
    this.length = writeVarint(this.#bytes, this.length, this.#askedLength);
    this.#writeText(String(key));
  }

  copyTo(target: Buffer, at: number): number {
    return this.#bytes.copy(target, at, 0, this.length);
  }

  clear(): void {
    this.#keys.length = 0;
    this.#slots.fill(0);
    this.length = 0;
  }

  /** Of a text that is as long as its bytes each unit is one. */
  #writeText(text: string): void {
    const at = this.length;
    this.length += this.#askedLength;
    writeText(this.#bytes, at, text, this.#askedLength);
  }

  #occupy(occupant: number, hash: number): void {
    const slots = this.#slots;
    const mask = slots.length - 2;
    let slot = (2 * hash) & mask;
    while (slots[slot] !== 0) slot = (slot + 2) & mask;
    slots[slot] = occupant;
    slots[slot + 1] = hash;
  }

  #spreadAnew(): void {
    const before = this.#slots;
    this.#slots = new Int32Array(2 * before.length);
    for (let slot = 0; slot < before.length; slot += 2) {
      const occupant = before[slot] as number;
      if (occupant !== 0) this.#occupy(occupant, before[slot + 1] as number);
    }
  }
}

/** Over the two halves' ends of a hash key. */
function spread(key: HashKey): number {
  return Number((key ^ (key >> 64n)) & 0xffff_ffffn) | 0;
}

function grown(buffer: Buffer, usedBytes: number, neededBytes: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(2 * buffer.length, neededBytes));
  buffer.copy(larger, 0, 0, usedBytes);
  return larger;
}

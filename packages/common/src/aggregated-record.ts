// The KPL's aggregated record, both ways: magic, protobuf message, MD5 of the message (KPL aggregation-format.md). The
// producer's aggregator sizes and encodes, the consumer's deaggregation decodes. Pure: bytes in, bytes out, no I/O.
// Invariants: encoding is byte-equal to the native KPL's for the same records in the same order; the sizer's figure is exactly
// the length of what will be encoded; decoding never throws and never drops a user record, what it can't read it reports.
import { hash } from 'node:crypto';
import { UsageError } from './errors.ts';
import { type HashKey, MAX_HASH_KEY } from './hash-key.ts';

/** A user record inside an aggregated record. */
export interface UserRecordParts {
  readonly partitionKey: string;
  /** Present only where the application gave one; hashes derived from the partition key are not stored. */
  readonly explicitHashKey?: HashKey;
  readonly data: Uint8Array;
}

/**
 * What a Kinesis record's data is. `plain`: not aggregated. `corrupt`: it has the magic but can't be read whole, so it is to be
 * delivered as one plain record and counted: `digest` the MD5 differs (as a user's own bytes may, that begin with the magic),
 * `protobuf` the message doesn't parse, `table-index` a record points outside a table, `hash-key` an explicit hash key that a
 * record uses is no number from 0 to 2^128 − 1.
 */
export type DecodedRecord =
  | { readonly kind: 'plain' }
  | { readonly kind: 'corrupt'; readonly reason: 'digest' | 'protobuf' | 'table-index' | 'hash-key' }
  | { readonly kind: 'aggregated'; readonly records: UserRecordParts[] };

const MAGIC_BYTES = 4;
const DIGEST_BYTES = 16;
/** What surrounds the protobuf message. */
const FRAME_BYTES: number = MAGIC_BYTES + DIGEST_BYTES;

// Tags, that is field number × 8 + wire type. AggregatedRecord: 1 and 2 string tables, 3 records. Record: 1 and 2 indexes, 3 data.
const PARTITION_KEY_TABLE = 0x0a;
const EXPLICIT_HASH_KEY_TABLE = 0x12;
const RECORDS = 0x1a;
const PARTITION_KEY_INDEX = 0x08;
const EXPLICIT_HASH_KEY_INDEX = 0x10;
const DATA = 0x1a;

/**
 * Encodes one or more user records into the data of one Kinesis record. The tables hold each distinct key once, in order of
 * first use.
 * @throws UsageError for no records.
 */
export function encodeAggregatedRecord(records: readonly UserRecordParts[]): Uint8Array {
  if (records.length === 0) throw new UsageError('records', 'at least one user record', 'none');
  const partitionKeys = new Map<string, number>();
  const hashKeys = new Map<HashKey, number>();
  const bodyBytes: number[] = [];
  let sizeBytes = FRAME_BYTES;
  for (const { partitionKey, explicitHashKey, data } of records) {
    let index = partitionKeys.get(partitionKey);
    if (index === undefined) {
      index = partitionKeys.size;
      partitionKeys.set(partitionKey, index);
      sizeBytes += fieldBytes(Buffer.byteLength(partitionKey));
    }
    let hashIndex: number | undefined;
    if (explicitHashKey !== undefined) {
      hashIndex = hashKeys.get(explicitHashKey);
      if (hashIndex === undefined) {
        hashIndex = hashKeys.size;
        hashKeys.set(explicitHashKey, hashIndex);
        sizeBytes += fieldBytes(explicitHashKey.toString().length);
      }
    }
    const body = recordBytes(index, hashIndex, data.length);
    bodyBytes.push(body);
    sizeBytes += fieldBytes(body);
  }

  const out = Buffer.allocUnsafe(sizeBytes);
  let at = writeMagic(out);
  for (const partitionKey of partitionKeys.keys()) at = writeText(out, at, PARTITION_KEY_TABLE, partitionKey);
  for (const hashKey of hashKeys.keys()) at = writeText(out, at, EXPLICIT_HASH_KEY_TABLE, hashKey.toString());
  for (let i = 0; i < records.length; i++) {
    const { partitionKey, explicitHashKey, data } = records[i] as UserRecordParts;
    out[at++] = RECORDS;
    at = writeVarint(out, at, bodyBytes[i] as number);
    out[at++] = PARTITION_KEY_INDEX;
    at = writeVarint(out, at, partitionKeys.get(partitionKey) as number);
    if (explicitHashKey !== undefined) {
      out[at++] = EXPLICIT_HASH_KEY_INDEX;
      at = writeVarint(out, at, hashKeys.get(explicitHashKey) as number);
    }
    out[at++] = DATA;
    at = writeVarint(out, at, data.length);
    out.set(data, at);
    at += data.length;
  }
  hash('md5', out.subarray(MAGIC_BYTES, at), 'buffer').copy(out, at);
  return out;
}

/** Keeps the exact size of an aggregated record while it is being filled. */
export class AggregateSizer {
  readonly #partitionKeys = new Map<string, number>();
  readonly #hashKeys = new Map<HashKey, number>();
  #count = 0;
  #sizeBytes: number = FRAME_BYTES;
  #asked: UserRecordParts | undefined;
  #askedBytes = 0;

  /** User records added. */
  get count(): number {
    return this.#count;
  }

  /** Length of `encodeAggregatedRecord` of what was added; with nothing added, the 20 bytes around the message. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** What `sizeBytes` would be after `add(record)`. */
  sizeBytesWith(record: UserRecordParts): number {
    if (record !== this.#asked) {
      this.#askedBytes = this.#bytesOf(record);
      this.#asked = record;
    }
    return this.#sizeBytes + this.#askedBytes;
  }

  add(record: UserRecordParts): void {
    this.#sizeBytes = this.sizeBytesWith(record);
    this.#asked = undefined;
    this.#count++;
    const { partitionKey, explicitHashKey } = record;
    if (!this.#partitionKeys.has(partitionKey)) this.#partitionKeys.set(partitionKey, this.#partitionKeys.size);
    if (explicitHashKey !== undefined && !this.#hashKeys.has(explicitHashKey)) {
      this.#hashKeys.set(explicitHashKey, this.#hashKeys.size);
    }
  }

  clear(): void {
    this.#partitionKeys.clear();
    this.#hashKeys.clear();
    this.#count = 0;
    this.#sizeBytes = FRAME_BYTES;
    this.#asked = undefined;
  }

  #bytesOf({ partitionKey, explicitHashKey, data }: UserRecordParts): number {
    let tableBytes = 0;
    let index = this.#partitionKeys.get(partitionKey);
    if (index === undefined) {
      index = this.#partitionKeys.size;
      tableBytes += fieldBytes(Buffer.byteLength(partitionKey));
    }
    let hashIndex: number | undefined;
    if (explicitHashKey !== undefined) {
      hashIndex = this.#hashKeys.get(explicitHashKey);
      if (hashIndex === undefined) {
        hashIndex = this.#hashKeys.size;
        tableBytes += fieldBytes(explicitHashKey.toString().length);
      }
    }
    return tableBytes + fieldBytes(recordBytes(index, hashIndex, data.length));
  }
}

/**
 * Takes a Kinesis record's data apart. The records' `data` are views into the given bytes, not copies; they are in the order
 * of the message, so a record's place is its sub-sequence number. Unknown fields and a record's tags (field 4) are skipped.
 * A partition key that is no UTF-8 is read with U+FFFD in place of the bad bytes, as Java does. A message that holds no record
 * gives none.
 */
export function decodeAggregatedRecord(data: Uint8Array): DecodedRecord {
  if (data.length <= FRAME_BYTES || !hasMagic(data)) return { kind: 'plain' };
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const end = bytes.length - DIGEST_BYTES;
  if (!hash('md5', bytes.subarray(MAGIC_BYTES, end), 'buffer').equals(bytes.subarray(end))) {
    return { kind: 'corrupt', reason: 'digest' };
  }
  try {
    return { kind: 'aggregated', records: readMessage(new Cursor(bytes, MAGIC_BYTES, end), data) };
  } catch (error) {
    if (error instanceof Unreadable) return { kind: 'corrupt', reason: error.reason };
    throw error;
  }
}

/** Tag, length and `length` bytes. */
function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

function recordBytes(index: number, hashIndex: number | undefined, dataBytes: number): number {
  return 1 + varintBytes(index) + (hashIndex === undefined ? 0 : 1 + varintBytes(hashIndex)) + fieldBytes(dataBytes);
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

function writeVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    out[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[next++] = rest;
  return next;
}

function writeText(out: Buffer, at: number, tag: number, text: string): number {
  out[at] = tag;
  const start = writeVarint(out, at + 1, Buffer.byteLength(text));
  return start + out.write(text, start, 'utf8');
}

function writeMagic(out: Buffer): number {
  out[0] = 0xf3;
  out[1] = 0x89;
  out[2] = 0x9a;
  out[3] = 0xc2;
  return MAGIC_BYTES;
}

function hasMagic(data: Uint8Array): boolean {
  return data[0] === 0xf3 && data[1] === 0x89 && data[2] === 0x9a && data[3] === 0xc2;
}

/** Leaves the reading of a message; never leaves this file. */
class Unreadable extends Error {
  readonly reason: 'protobuf' | 'table-index' | 'hash-key';

  constructor(reason: 'protobuf' | 'table-index' | 'hash-key') {
    super(reason);
    this.reason = reason;
  }
}

/** The tables first, as the records need them and protobuf lets fields stand in any order; then the records. */
function readMessage(cursor: Cursor, source: Uint8Array): UserRecordParts[] {
  const start = cursor.at;
  const partitionKeys: string[] = [];
  const hashKeyTexts: string[] = [];
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag === PARTITION_KEY_TABLE) partitionKeys.push(cursor.text());
    else if (tag === EXPLICIT_HASH_KEY_TABLE) hashKeyTexts.push(cursor.text());
    else cursor.skip(tag);
  }
  const hashKeys: HashKey[] = [];
  const records: UserRecordParts[] = [];
  cursor.at = start;
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag === RECORDS) records.push(readRecord(cursor, source, partitionKeys, hashKeyTexts, hashKeys));
    else cursor.skip(tag);
  }
  return records;
}

function readRecord(
  cursor: Cursor,
  source: Uint8Array,
  partitionKeys: readonly string[],
  hashKeyTexts: readonly string[],
  hashKeys: HashKey[],
): UserRecordParts {
  const length = cursor.length();
  const outerEnd = cursor.end;
  const end = cursor.at + length;
  cursor.end = end;
  let keyIndex = -1;
  let hashIndex = -1;
  let dataStart = -1;
  let dataEnd = -1;
  while (cursor.at < end) {
    const tag = cursor.tag();
    if (tag === PARTITION_KEY_INDEX) keyIndex = cursor.varint();
    else if (tag === EXPLICIT_HASH_KEY_INDEX) hashIndex = cursor.varint();
    else if (tag === DATA) {
      const dataLength = cursor.length();
      dataStart = cursor.at;
      dataEnd = dataStart + dataLength;
      cursor.at = dataEnd;
    } else cursor.skip(tag);
  }
  cursor.end = outerEnd;
  // Both are required fields of the schema.
  if (keyIndex === -1 || dataStart === -1) throw new Unreadable('protobuf');
  const partitionKey = partitionKeys[keyIndex];
  if (partitionKey === undefined) throw new Unreadable('table-index');
  const data = source.subarray(dataStart, dataEnd);
  if (hashIndex === -1) return { partitionKey, data };
  let explicitHashKey = hashKeys[hashIndex];
  if (explicitHashKey === undefined) {
    explicitHashKey = readHashKey(hashKeyTexts[hashIndex]);
    hashKeys[hashIndex] = explicitHashKey;
  }
  return { partitionKey, explicitHashKey, data };
}

function readHashKey(text: string | undefined): HashKey {
  if (text === undefined) throw new Unreadable('table-index');
  if (!/^\d{1,64}$/.test(text)) throw new Unreadable('hash-key');
  const value = BigInt(text);
  if (value > MAX_HASH_KEY) throw new Unreadable('hash-key');
  return value as HashKey;
}

/** Reads protobuf from `at` up to `end`; whatever doesn't fit is Unreadable. */
class Cursor {
  readonly #bytes: Buffer;
  at: number;
  end: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.at = start;
    this.end = end;
  }

  more(): boolean {
    return this.at < this.end;
  }

  /** Above 2^53 not exact, which no index or length that fits can be. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.at >= this.end) throw new Unreadable('protobuf');
      const byte = this.#bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new Unreadable('protobuf');
  }

  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag > 0xffffffff) throw new Unreadable('protobuf');
    return tag;
  }

  /** A length whose bytes are all there. */
  length(): number {
    const length = this.varint();
    if (length > this.end - this.at) throw new Unreadable('protobuf');
    return length;
  }

  text(): string {
    const length = this.length();
    const start = this.at;
    this.at = start + length;
    return this.#bytes.toString('utf8', start, this.at);
  }

  /** Passes over the value of a field that means nothing to us, groups with all that is in them. */
  skip(tag: number): void {
    let depth = 0;
    let current = tag;
    const open: number[] = [];
    for (;;) {
      const fieldNumber = Math.floor(current / 8);
      switch (current % 8) {
        case 0:
          this.varint();
          break;
        case 1:
          this.#advance(8);
          break;
        case 2:
          this.#advance(this.length());
          break;
        case 3:
          open.push(fieldNumber);
          depth++;
          break;
        case 4:
          if (open.pop() !== fieldNumber) throw new Unreadable('protobuf');
          depth--;
          break;
        case 5:
          this.#advance(4);
          break;
        default:
          throw new Unreadable('protobuf');
      }
      if (depth === 0) return;
      current = this.tag();
    }
  }

  #advance(count: number): void {
    if (count > this.end - this.at) throw new Unreadable('protobuf');
    this.at += count;
  }
}

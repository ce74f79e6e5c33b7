// The KPL's aggregated record, both ways: magic, protobuf message, MD5 of the message (KPL aggregation-format.md). The
// producer encodes (while records come, aggregate-writer.ts does), the consumer's deaggregation decodes. Pure: bytes in, bytes out, no I/O.
// Invariants: encoding is byte-equal to the native KPL's for the same records in the same order; decoding never throws and never drops a user record, what it can't read it reports.
import { isAscii } from 'node:buffer';
import {
  DATA,
  DIGEST_BYTES,
  EXPLICIT_HASH_KEY_INDEX,
  EXPLICIT_HASH_KEY_TABLE,
  FRAME_BYTES,
  fieldBytes,
  haveDigests,
  MAGIC_BYTES,
  PARTITION_KEY_INDEX,
  PARTITION_KEY_TABLE,
  RECORDS,
  recordBytes,
  writeDigests,
  writeMagic,
  writeVarint,
} from './aggregate-wire.ts';
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
export type DecodedRecord<T = UserRecordParts> =
  | { readonly kind: 'plain' }
  | { readonly kind: 'corrupt'; readonly reason: 'digest' | 'protobuf' | 'table-index' | 'hash-key' }
  | { readonly kind: 'aggregated'; readonly records: T[] };

/**
 * Makes of a user record's parts what the caller wants. `index` is its place among the user records, `keyIndex` that of its partition
 * key in the table: records with the same one have the same key.
 */
export type MakeRecord<T> = (
  partitionKey: string,
  data: Uint8Array,
  explicitHashKey: HashKey | undefined,
  index: number,
  keyIndex: number,
) => T;

const PLAIN: DecodedRecord<never> = { kind: 'plain' };

/** Of keys, on the average, each with its tag and length: V8 copies up to 12 characters of a text, of more it keeps the whole. */
const MOST_SHORT_BYTES = 14;
/** Groups within groups that are followed, as protobuf's own readers bound it. */
const DEEPEST_GROUP = 100;

/**
 * Encodes one or more user records into the data of one Kinesis record. The tables hold each distinct key once, in order of
 * first use.
 * @throws UsageError for no records.
 */
export function encodeAggregatedRecord(records: readonly UserRecordParts[]): Uint8Array {
  if (records.length === 0) throw new UsageError('records', 'at least one user record', 'none');
  const partitionKeys = new KeyTable();
  const hashKeys = new KeyTable();
  // For each record: its two table indexes (-1 for none) and the length of its message.
  const shapes = new Int32Array(3 * records.length);
  let sizeBytes = FRAME_BYTES;
  let next = 0;
  for (const { partitionKey, explicitHashKey, data } of records) {
    const keyIndex = partitionKeys.indexOf(partitionKey);
    const hashIndex = explicitHashKey === undefined ? -1 : hashKeys.indexOf(explicitHashKey);
    const length = recordBytes(keyIndex, hashIndex, data.length);
    shapes[next++] = keyIndex;
    shapes[next++] = hashIndex;
    shapes[next++] = length;
    sizeBytes += fieldBytes(length);
  }
  sizeBytes += partitionKeys.sizeBytes + hashKeys.sizeBytes;

  const out = Buffer.allocUnsafe(sizeBytes);
  let at = writeMagic(out);
  at = partitionKeys.write(out, at, PARTITION_KEY_TABLE);
  at = hashKeys.write(out, at, EXPLICIT_HASH_KEY_TABLE);
  next = 0;
  for (const { data } of records) {
    const keyIndex = shapes[next++] as number;
    const hashIndex = shapes[next++] as number;
    out[at++] = RECORDS;
    at = writeVarint(out, at, shapes[next++] as number);
    out[at++] = PARTITION_KEY_INDEX;
    at = writeVarint(out, at, keyIndex);
    if (hashIndex !== -1) {
      out[at++] = EXPLICIT_HASH_KEY_INDEX;
      at = writeVarint(out, at, hashIndex);
    }
    out[at++] = DATA;
    at = writeVarint(out, at, data.length);
    out.set(data, at);
    at += data.length;
  }
  writeDigests([out]);
  return out;
}

/**
 * Takes a Kinesis record's data apart. The records' `data` are views into the given bytes, not copies; they are in the order
 * of the message, so a record's place is its sub-sequence number. Unknown fields and a record's tags (field 4) are skipped.
 * A partition key that is no UTF-8 is read with U+FFFD in place of the bad bytes, as Java does. A message that holds no record
 * gives none.
 */
export function decodeAggregatedRecord(data: Uint8Array): DecodedRecord;
/**
 * With `make`: the same, each user record as it makes it, with no other object in between. `hasDigest`: what `haveDigests` has said of it,
 * which is cheaper for several; default: it is found out.
 */
export function decodeAggregatedRecord<T>(data: Uint8Array, make: MakeRecord<T>, hasDigest?: boolean): DecodedRecord<T>;
export function decodeAggregatedRecord(
  data: Uint8Array,
  make: MakeRecord<unknown> = partsOf,
  hasDigest?: boolean,
): DecodedRecord<unknown> {
  if (!mayBeAggregated(data, 0, data.length)) return PLAIN;
  if (!(hasDigest ?? haveDigests([data])[0])) return { kind: 'corrupt', reason: 'digest' };
  return decodeOwnAggregate(Buffer.from(data.buffer, data.byteOffset, data.byteLength), make);
}

/** The same of an aggregated record of our own: its digest is not asked for, and need not be there. */
export function decodeOwnAggregate<T>(bytes: Buffer, make: MakeRecord<T>): DecodedRecord<T> {
  const end = bytes.length - DIGEST_BYTES;
  try {
    return { kind: 'aggregated', records: readMessage(new Cursor(bytes, MAGIC_BYTES, end), make) };
  } catch (error) {
    if (error instanceof Unreadable) return { kind: 'corrupt', reason: error.reason };
    throw error;
  }
}

/** Begins as an aggregated record does; what does not is plain. Of `length` bytes from `at` on. */
export function mayBeAggregated(bytes: Uint8Array, at: number, length: number): boolean {
  return (
    length > FRAME_BYTES &&
    bytes[at] === 0xf3 &&
    bytes[at + 1] === 0x89 &&
    bytes[at + 2] === 0x9a &&
    bytes[at + 3] === 0xc2
  );
}

/** A key table while encoding: each distinct key once, in order of first use. */
class KeyTable {
  readonly #indexes = new Map<string | HashKey, number>();
  readonly #texts: string[] = [];
  readonly #lengths: number[] = [];
  /** On the wire, tags and lengths included. */
  sizeBytes = 0;

  /** Adds the key when it is new. */
  indexOf(key: string | HashKey): number {
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const index = this.#texts.length;
    const text = String(key);
    const length = Buffer.byteLength(text);
    this.#indexes.set(key, index);
    this.#texts.push(text);
    this.#lengths.push(length);
    this.sizeBytes += fieldBytes(length);
    return index;
  }

  /** Returns where the next byte goes. */
  write(out: Buffer, start: number, tag: number): number {
    let at = start;
    for (let i = 0; i < this.#texts.length; i++) {
      out[at++] = tag;
      at = writeVarint(out, at, this.#lengths[i] as number);
      at += out.write(this.#texts[i] as string, at, 'utf8');
    }
    return at;
  }
}

function partsOf(partitionKey: string, data: Uint8Array, explicitHashKey: HashKey | undefined): UserRecordParts {
  return explicitHashKey === undefined ? { partitionKey, data } : { partitionKey, explicitHashKey, data };
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
function readMessage<T>(cursor: Cursor, make: MakeRecord<T>): T[] {
  const start = cursor.at;
  const keyStarts: number[] = [];
  const keyEnds: number[] = [];
  const hashKeyTexts: string[] = [];
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag === PARTITION_KEY_TABLE) {
      const length = cursor.length();
      keyStarts.push(cursor.at);
      cursor.at += length;
      keyEnds.push(cursor.at);
    } else if (tag === EXPLICIT_HASH_KEY_TABLE) hashKeyTexts.push(cursor.text());
    else cursor.skip(tag);
  }
  const partitionKeys = cursor.texts(keyStarts, keyEnds);
  const hashKeys: HashKey[] = [];
  const records: T[] = [];
  cursor.at = start;
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag === RECORDS) records.push(readRecord(cursor, partitionKeys, hashKeyTexts, hashKeys, make, records.length));
    else cursor.skip(tag);
  }
  return records;
}

function readRecord<T>(
  cursor: Cursor,
  partitionKeys: readonly string[],
  hashKeyTexts: readonly string[],
  hashKeys: HashKey[],
  make: MakeRecord<T>,
  index: number,
): T {
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
      const dataBytes = cursor.length();
      dataStart = cursor.at;
      dataEnd = dataStart + dataBytes;
      cursor.at = dataEnd;
    } else cursor.skip(tag);
  }
  cursor.end = outerEnd;
  // Both are required fields of the schema.
  if (keyIndex === -1 || dataStart === -1) throw new Unreadable('protobuf');
  const partitionKey = partitionKeys[keyIndex];
  if (partitionKey === undefined) throw new Unreadable('table-index');
  const data = cursor.view(dataStart, dataEnd);
  if (hashIndex === -1) return make(partitionKey, data, undefined, index, keyIndex);
  let explicitHashKey = hashKeys[hashIndex];
  if (explicitHashKey === undefined) {
    explicitHashKey = readHashKey(hashKeyTexts[hashIndex]);
    hashKeys[hashIndex] = explicitHashKey;
  }
  return make(partitionKey, data, explicitHashKey, index, keyIndex);
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

  /** Many short ones that lie together are read as one text, and cut from that: a call into Node for each takes three times as long. */
  texts(starts: readonly number[], ends: readonly number[]): string[] {
    const from = starts[0] ?? 0;
    const to = ends.at(-1) ?? 0;
    const areShort = to - from <= starts.length * MOST_SHORT_BYTES;
    const whole =
      areShort && isAscii(this.#bytes.subarray(from, to)) ? this.#bytes.toString('latin1', from, to) : undefined;
    return starts.map((start, index) => {
      const end = ends[index] as number;
      return whole === undefined ? this.#bytes.toString('utf8', start, end) : whole.slice(start - from, end - from);
    });
  }

  /** No Buffer, as was promised. */
  view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start);
  }

  /** Passes over the value of a field that means nothing to us: a group with all that is in it. */
  skip(tag: number): void {
    const wireType = tag % 8;
    if (wireType === 2) this.#advance(this.length());
    else if (wireType === 0) this.varint();
    else if (wireType === 1) this.#advance(8);
    else if (wireType === 5) this.#advance(4);
    else if (wireType === 3) this.#skipGroup(tag + 1, 0);
    else throw new Unreadable('protobuf');
  }

  #skipGroup(endTag: number, depth: number): void {
    if (depth === DEEPEST_GROUP) throw new Unreadable('protobuf');
    for (let tag = this.tag(); tag !== endTag; tag = this.tag()) {
      if (tag % 8 === 3) this.#skipGroup(tag + 1, depth + 1);
      else this.skip(tag);
    }
  }

  #advance(count: number): void {
    if (count > this.end - this.at) throw new Unreadable('protobuf');
    this.at += count;
  }
}

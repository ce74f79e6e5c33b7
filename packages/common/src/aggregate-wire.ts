// The wire format of the KPL's aggregated record, in small pieces: tags, lengths, varints, the frame (KPL aggregation-format.md).
// For those who read and write whole records: aggregated-record.ts and aggregate-writer.ts.
import { md5OfEach } from './md5-lanes.ts';

/** What an aggregated record begins with. */
export const MAGIC: readonly number[] = [0xf3, 0x89, 0x9a, 0xc2];
export const MAGIC_BYTES: number = MAGIC.length;
export const DIGEST_BYTES: number = 16;
/** What surrounds the protobuf message. */
export const FRAME_BYTES: number = MAGIC_BYTES + DIGEST_BYTES;

// Tags, that is field number × 8 + wire type. AggregatedRecord: 1 and 2 string tables, 3 records. Record: 1 and 2 indexes, 3 data.
export const PARTITION_KEY_TABLE: number = 0x0a;
export const EXPLICIT_HASH_KEY_TABLE: number = 0x12;
export const RECORDS: number = 0x1a;
export const PARTITION_KEY_INDEX: number = 0x08;
export const EXPLICIT_HASH_KEY_INDEX: number = 0x10;
export const DATA: number = 0x1a;

/** Up to here a loop is quicker than a call into Node. */
const SHORT_TEXT_LENGTH = 32;

/** Tag, length and `length` bytes. */
export function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

/** `hashIndex` is -1 for a record without an explicit hash key. */
export function recordBytes(keyIndex: number, hashIndex: number, dataBytes: number): number {
  return 1 + varintBytes(keyIndex) + (hashIndex === -1 ? 0 : 1 + varintBytes(hashIndex)) + fieldBytes(dataBytes);
}

export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

export function writeVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    out[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[next++] = rest;
  return next;
}

/** `bytes`: the text's length as UTF-8, for which there is room. */
export function writeText(out: Buffer, at: number, text: string, bytes: number): void {
  if (text.length !== bytes) out.write(text, at, 'utf8');
  else if (bytes > SHORT_TEXT_LENGTH) out.write(text, at, 'latin1');
  else for (let index = 0; index < bytes; index++) out[at + index] = text.charCodeAt(index);
}

/** Ends aggregated records that have all but their digests: those of several are made in a fraction of the time together. */
export function writeDigests(records: readonly Buffer[]): void {
  if (records.length === 0) return;
  const digests = md5OfEach(records.map(messageOf));
  let at = 0;
  for (const record of records) {
    record.set(digests.subarray(at, at + DIGEST_BYTES), record.length - DIGEST_BYTES);
    at += DIGEST_BYTES;
  }
}

/** Of records that have the frame: whether each ends with the digest of its message. */
export function haveDigests(records: readonly Uint8Array[]): boolean[] {
  const digests = md5OfEach(records.map(messageOf));
  return records.map((record, index) => {
    const from = record.length - DIGEST_BYTES;
    for (let at = 0; at < DIGEST_BYTES; at++) {
      if (record[from + at] !== digests[DIGEST_BYTES * index + at]) return false;
    }
    return true;
  });
}

function messageOf({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset + MAGIC_BYTES, length - FRAME_BYTES);
}

export function writeMagic(out: Buffer): number {
  out.set(MAGIC);
  return MAGIC_BYTES;
}

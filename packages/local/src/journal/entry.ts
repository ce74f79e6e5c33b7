// How the bytes of a segment are laid out: a header of 32 bytes, then entries, each with 16 bytes before its payload. An entry
// is whole when its checksum says so. The marker and the checksum depend on the segment's salt and on the place, so nothing that
// a record carries, not even a copied journal, can pass for an entry when a torn file is searched.
//
//   segment  "shardline journal\n" (18)  version u16  number u32  salt u32  checksum u32 of the 28 bytes before
//   entry    marker u32  checksum u32  length u32  safe u32  payload        (little-endian)
//
// `safe` is the offset in this segment up to which the disk was known to hold everything when the entry was written.
import { crc32 } from 'node:zlib';
import { damaged, otherVersion } from './data-errors.ts';

export const SEGMENT_HEADER_BYTES = 32;
export const ENTRY_HEADER_BYTES = 16;

const MAGIC = Buffer.from('shardline journal\n', 'latin1');
const VERSION = 1;
const MARKER = 0x5d2e_91c7;

export interface SegmentHeader {
  readonly number: number;
  readonly salt: number;
}

export interface Entry {
  readonly offset: number;
  readonly payload: Buffer;
  readonly safeBytes: number;
  /** Where the next one begins. */
  readonly end: number;
}

export function segmentHeader({ number, salt }: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16LE(VERSION, 18);
  bytes.writeUInt32LE(number, 20);
  bytes.writeUInt32LE(salt, 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
  return bytes;
}

/** @throws OperatingError DATA_DAMAGED, DATA_VERSION */
export function readSegmentHeader(bytes: Buffer, file: string): SegmentHeader {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw damaged(file, 0, 'it does not begin as a segment does');
  }
  const version = bytes.readUInt16LE(18);
  if (version !== VERSION) throw otherVersion(file, version, VERSION);
  if (bytes.readUInt32LE(28) !== crc32(bytes.subarray(0, 28))) throw damaged(file, 0, "the header's checksum is wrong");
  return { number: bytes.readUInt32LE(20), salt: bytes.readUInt32LE(24) };
}

/** Writes the 16 bytes before a payload that already stands in `bytes`, which will be written at `offset` of its segment. */
export function sealEntry(bytes: Buffer, salt: number, offset: number, safeBytes: number): void {
  bytes.writeUInt32LE(markerAt(salt, offset), 0);
  bytes.writeUInt32LE(bytes.length - ENTRY_HEADER_BYTES, 8);
  bytes.writeUInt32LE(safeBytes, 12);
  bytes.writeUInt32LE(checksum(bytes.subarray(8), salt, offset), 4);
}

/** The whole entry at `offset`; undefined when there is none. */
export function entryAt(bytes: Buffer, salt: number, offset: number): Entry | undefined {
  const begin = offset + ENTRY_HEADER_BYTES;
  if (begin > bytes.length || bytes.readUInt32LE(offset) !== markerAt(salt, offset)) return undefined;
  const end = begin + bytes.readUInt32LE(offset + 8);
  if (end > bytes.length) return undefined;
  if (bytes.readUInt32LE(offset + 4) !== checksum(bytes.subarray(offset + 8, end), salt, offset)) return undefined;
  return { offset, payload: bytes.subarray(begin, end), safeBytes: bytes.readUInt32LE(offset + 12), end };
}

/** Whole entries somewhere after `offset`, where one is broken. */
export function* entriesAfter(bytes: Buffer, salt: number, offset: number): Generator<Entry> {
  for (let at = offset + 1; at + ENTRY_HEADER_BYTES <= bytes.length; ) {
    const entry = entryAt(bytes, salt, at);
    if (entry !== undefined) yield entry;
    at = entry?.end ?? at + 1;
  }
}

function markerAt(salt: number, offset: number): number {
  return (MARKER ^ salt ^ offset) >>> 0;
}

function checksum(bytes: Buffer, salt: number, offset: number): number {
  return crc32(bytes, (salt ^ offset) >>> 0);
}

// The payload that holds records: all that one put stored, shard by shard. Binary, because it is nearly all that is ever written
// and read. A run is records of one shard whose sequence numbers follow each other and that arrived together.
//
//   payload  kind u8 (2)  place length u8  place  incarnation u32  runs …
//   run      shard number u32  record count u32  byte length of its records u32  first sequence number 24 bytes (big-endian)
//            arrival f64  records …
//   record   key length in UTF-16 units u16, its top bit set when the key is not ASCII and so takes 2 bytes a unit, all of
//            its bits when there is no key  data length u32  key  data                          (else little-endian)
import type { SequenceNumber } from '@shardline/common/base';
import type { StoredRecord } from '../model/index.ts';
import { counterOf, SEQUENCE_STEP } from '../model/sequence.ts';
import type { Place } from './control-payload.ts';

/** The first byte of such a payload. */
export const RECORDS_PAYLOAD = 2;

const RUN_HEADER_BYTES = 44;
const RECORD_HEADER_BYTES = 6;
const WIDE_KEY = 0x8000;
const NO_KEY = 0xffff;

export interface RecordsToWrite {
  readonly shardNumber: number;
  readonly records: readonly StoredRecord[];
}

export interface RecordsOrigin {
  readonly place: Place;
  readonly incarnation: number;
}

/** Records of a payload that were not read yet. */
export interface Run extends RecordsOrigin {
  readonly shardNumber: number;
  readonly count: number;
  /** Of the first record. */
  readonly counter: number;
  /** Where they stand, without the run's own header. */
  readonly bytes: Buffer;
  readonly firstSequenceNumber: bigint;
  readonly arrivalMs: number;
}

/** No payload of these records is longer. */
export function longestRecordsPayload(written: readonly RecordsToWrite[]): number {
  let length = 2 + 255 + 4;
  for (const { records } of written) {
    // Each record may be a run of its own.
    length += records.length * (RUN_HEADER_BYTES + RECORD_HEADER_BYTES);
    for (const { partitionKey, data } of records) length += 2 * (partitionKey?.length ?? 0) + data.byteLength;
  }
  return length;
}

/** Writes the payload from `at` on. Returns where it ends. */
export function writeRecordsPayload(
  bytes: Buffer,
  begin: number,
  { place, incarnation }: RecordsOrigin,
  written: readonly RecordsToWrite[],
): number {
  let at = bytes.writeUInt8(RECORDS_PAYLOAD, begin);
  at = bytes.writeUInt8(place.length, at);
  at += bytes.write(place, at, 'latin1');
  at = bytes.writeUInt32LE(incarnation, at);
  for (const { shardNumber, records } of written) {
    for (let first = 0; first < records.length; ) {
      const end = endOfRun(records, first);
      at = writeRun(bytes, at, shardNumber, records, first, end);
      first = end;
    }
  }
  return at;
}

/** The runs of a payload, without looking into them. */
export function runsOf(payload: Buffer): Run[] {
  const placeEnd = 2 + payload.readUInt8(1);
  const origin = { place: payload.toString('latin1', 2, placeEnd), incarnation: payload.readUInt32LE(placeEnd) };
  const runs: Run[] = [];
  for (let at = placeEnd + 4; at < payload.length; ) {
    const begin = at + RUN_HEADER_BYTES;
    const end = begin + payload.readUInt32LE(at + 8);
    const firstSequenceNumber =
      (payload.readBigUInt64BE(at + 12) << 128n) |
      (payload.readBigUInt64BE(at + 20) << 64n) |
      payload.readBigUInt64BE(at + 28);
    runs.push({
      ...origin,
      shardNumber: payload.readUInt32LE(at),
      count: payload.readUInt32LE(at + 4),
      counter: counterOf(firstSequenceNumber),
      bytes: payload.subarray(begin, end),
      firstSequenceNumber,
      arrivalMs: payload.readDoubleLE(at + 36),
    });
    at = end;
  }
  return runs;
}

/** The records of a run but the first `skipped`. Their data are parts of its bytes. */
export function* recordsOf(
  { count, bytes, firstSequenceNumber, arrivalMs }: Run,
  skipped: number,
): Generator<StoredRecord> {
  const { buffer, byteOffset } = bytes;
  let sequenceNumber = firstSequenceNumber;
  let at = 0;
  for (let index = 0; index < count; index++) {
    const key = bytes.readUInt16LE(at);
    const dataLength = bytes.readUInt32LE(at + 2);
    const keyAt = at + RECORD_HEADER_BYTES;
    const dataAt = keyAt + keyBytes(key);
    at = dataAt + dataLength;
    if (index >= skipped) {
      const partitionKey = keyIn(bytes, key, keyAt, dataAt);
      yield {
        sequenceNumber: sequenceNumber as SequenceNumber,
        partitionKey,
        data: new Uint8Array(buffer, byteOffset + dataAt, dataLength),
        arrivalMs,
        sizeBytes: dataLength + (key < WIDE_KEY ? key : Buffer.byteLength(partitionKey ?? '')),
      };
    }
    sequenceNumber += SEQUENCE_STEP;
  }
}

function keyBytes(key: number): number {
  if (key === NO_KEY) return 0;
  return key < WIDE_KEY ? key : 2 * (key - WIDE_KEY);
}

function keyIn(bytes: Buffer, key: number, begin: number, end: number): string | undefined {
  if (key === NO_KEY) return undefined;
  return bytes.toString(key < WIDE_KEY ? 'latin1' : 'utf16le', begin, end);
}

function endOfRun(records: readonly StoredRecord[], first: number): number {
  const before = records[first];
  let end = first + 1;
  if (before === undefined) return end;
  let expected = before.sequenceNumber + SEQUENCE_STEP;
  for (; end < records.length; end++, expected += SEQUENCE_STEP) {
    const record = records[end];
    if (record?.sequenceNumber !== expected || record.arrivalMs !== before.arrivalMs) break;
  }
  return end;
}

function writeRun(
  bytes: Buffer,
  begin: number,
  shardNumber: number,
  records: readonly StoredRecord[],
  first: number,
  end: number,
): number {
  const { sequenceNumber = 0n, arrivalMs = 0 } = records[first] ?? {};
  bytes.writeUInt32LE(shardNumber, begin);
  bytes.writeUInt32LE(end - first, begin + 4);
  bytes.writeBigUInt64BE(sequenceNumber >> 128n, begin + 12);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, sequenceNumber >> 64n), begin + 20);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, sequenceNumber), begin + 28);
  bytes.writeDoubleLE(arrivalMs, begin + 36);
  let at = begin + RUN_HEADER_BYTES;
  for (let index = first; index < end; index++) {
    const record = records[index];
    if (record !== undefined) at = writeRecord(bytes, at, record);
  }
  bytes.writeUInt32LE(at - begin - RUN_HEADER_BYTES, begin + 8);
  return at;
}

function writeRecord(bytes: Buffer, begin: number, { partitionKey, data, sizeBytes }: StoredRecord): number {
  const dataLength = data.byteLength;
  // Byte by byte, here and below: for so few of them a call of the runtime costs more than they do.
  bytes[begin + 2] = dataLength;
  bytes[begin + 3] = dataLength >>> 8;
  bytes[begin + 4] = dataLength >>> 16;
  bytes[begin + 5] = dataLength >>> 24;
  const keyAt = begin + RECORD_HEADER_BYTES;
  const dataAt = keyAt + writeKey(bytes, begin, keyAt, partitionKey, sizeBytes - dataLength);
  bytes.set(data, dataAt);
  return dataAt + dataLength;
}

/** Returns how many bytes the key takes at `keyAt`. */
function writeKey(bytes: Buffer, lengthAt: number, keyAt: number, key: string | undefined, utf8Bytes: number): number {
  const length = key?.length ?? 0;
  // As many bytes in UTF-8 as units: ASCII. A key that is not may hold half a surrogate pair, which only 2 bytes a unit carry.
  const isAscii = utf8Bytes === length;
  const written = key === undefined ? NO_KEY : isAscii ? length : length | WIDE_KEY;
  bytes[lengthAt] = written;
  bytes[lengthAt + 1] = written >>> 8;
  if (key === undefined) return 0;
  if (!isAscii) return bytes.write(key, keyAt, 'utf16le');
  for (let at = 0; at < length; at++) bytes[keyAt + at] = key.charCodeAt(at);
  return length;
}

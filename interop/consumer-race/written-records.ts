// The records of the race's stream as bytes: written once, as JSON or as CBOR, and copied into answer after answer with a new sequence
// number in each. So serving a record costs the server a fraction of what reading it costs, and no record comes twice. Pure.
// Invariant: an answer is what Kinesis would write; a test reads each kind with another parser.
import { crc32 } from 'node:zlib';
import { encodeAggregatedRecord, evenRanges, hashKeyOf, rangeContains } from '@shardline/common';
import { encode, Tagged } from 'cborg';

/** What the stream holds: records without end, all of one size. */
export interface StreamContents {
  readonly shards: number;
  /** Of a user record's data, bytes. */
  readonly size: number;
  /** Whether user records come in aggregated records, as large as the KPL makes them by default. */
  readonly aggregated: boolean;
}

export type WireFormat = 'json' | 'cbor';

/** Records of one shard in one of the ways to write them. */
export interface WrittenRecords {
  readonly format: WireFormat;
  /** A few different ones after each other, each of `recordBytes`. */
  readonly block: Buffer;
  readonly recordBytes: number;
  /** Of the digits that count, within a record. */
  readonly digitsAt: number;
  /** Of the data of a Kinesis record. */
  readonly dataBytes: number;
}

/** A Kinesis record before it is written. */
export interface RecordToWrite {
  readonly partitionKey: string;
  readonly data: Uint8Array;
}

/** The KPL's aggregationMaxSize. */
const AGGREGATE_BYTES = 51_200;
/** Magic, digest, and of each user record tags, lengths and indexes, at the most. */
const FRAME_BYTES = 20;
const BYTES_AROUND_DATA = 15;
/** So many that nothing is fast because it is the same as a moment ago. */
const DIFFERENT_RECORDS = 8;
const KEY_DIGITS = 8;
const KEY_BYTES = 'customer-'.length + KEY_DIGITS;

/** A sequence number's first digits; the others count. */
const PREFIX = '49600000000000000000000000000000000000000';
const COUNTING_DIGITS = 15;
const DIGIT_0 = 0x30;
const ARRIVED_AT_MS = 1_700_000_000_123;
/** So far behind the tip that everybody reads on as fast as may be. */
const MILLIS_BEHIND_LATEST = 3_600_000;
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const STRING_HEADER = 7;
const CBOR_MAP_OF_3 = 0xa3;
const CBOR_LIST_OF_32_BITS = 0x9a;
const EVENT_HEADERS = headersOf({
  ':message-type': 'event',
  ':event-type': 'SubscribeToShardEvent',
  ':content-type': 'application/json',
});

/** User records in a Kinesis record. */
export function userRecordCount({ size, aggregated }: StreamContents): number {
  if (!aggregated) return 1;
  return Math.max(1, Math.floor((AGGREGATE_BYTES - FRAME_BYTES) / (size + KEY_BYTES + BYTES_AROUND_DATA)));
}

/** Of every shard. Each user record has a key of its own that hashes into the shard, as with a producer that aggregates by shard. */
export function recordsOf(contents: StreamContents): RecordToWrite[][] {
  const { shards, size, aggregated } = contents;
  const perRecord = userRecordCount(contents);
  return keysOfShards(shards, DIFFERENT_RECORDS * perRecord).map((keys) =>
    Array.from({ length: DIFFERENT_RECORDS }, (_, index) => {
      const own = keys.slice(index * perRecord, (index + 1) * perRecord);
      const records = own.map((partitionKey) => ({ partitionKey, data: dataOf(size, partitionKey) }));
      return aggregated ? { partitionKey: 'a', data: encodeAggregatedRecord(records) } : (records[0] as RecordToWrite);
    }),
  );
}

export function write(records: readonly RecordToWrite[], format: WireFormat): WrittenRecords {
  const written = records.map((record) => (format === 'json' ? asJson(record) : asCbor(record)));
  const recordBytes = written[0]?.length ?? 0;
  if (written.some(({ length }) => length !== recordBytes)) throw new Error('records of a shard differ in length');
  const block = Buffer.concat(written);
  const digitsAt = block.indexOf(PREFIX) + PREFIX.length;
  return { format, block, recordBytes, digitsAt, dataBytes: records[0]?.data.length ?? 0 };
}

/** Of the `index`-th record of a shard. */
export function sequenceNumberOf(index: number): string {
  return PREFIX + String(index).padStart(COUNTING_DIGITS, '0');
}

export function indexOf(sequenceNumber: string): number {
  return Number(sequenceNumber.slice(PREFIX.length));
}

/** GetRecords' answer: `count` records from the `index`-th on. */
export function answerOf(records: WrittenRecords, index: number, count: number, next: string): Buffer {
  if (records.format === 'json') {
    const head = Buffer.from(`{"MillisBehindLatest":${MILLIS_BEHIND_LATEST},"NextShardIterator":"${next}","Records":[`);
    const answer = Buffer.allocUnsafe(head.length + count * records.recordBytes + 1);
    head.copy(answer);
    // Over the last comma.
    answer.write(']}', copyRecords(records, answer, head.length, index, count) - 1, 'latin1');
    return answer;
  }
  const members = encode({ MillisBehindLatest: MILLIS_BEHIND_LATEST, NextShardIterator: next });
  const name = encode('Records');
  const list = Buffer.from([CBOR_LIST_OF_32_BITS, 0, 0, 0, 0]);
  list.writeUInt32BE(count, 1);
  const head = Buffer.concat([Buffer.from([CBOR_MAP_OF_3]), members.subarray(1), name, list]);
  const answer = Buffer.allocUnsafe(head.length + count * records.recordBytes);
  head.copy(answer);
  copyRecords(records, answer, head.length, index, count);
  return answer;
}

/** An event of SubscribeToShard, whose payload is JSON whatever the request's format was. */
export function eventOf(records: WrittenRecords, index: number, count: number): Buffer {
  const continuation = sequenceNumberOf(index + count - 1);
  const head = Buffer.from('{"Records":[');
  const tail = Buffer.from(
    `],"ContinuationSequenceNumber":"${continuation}","MillisBehindLatest":${MILLIS_BEHIND_LATEST}}`,
  );
  // One byte less for the last comma.
  const payloadBytes = head.length + count * records.recordBytes - 1 + tail.length;
  return frameOf(EVENT_HEADERS, payloadBytes, (frame, at) => {
    head.copy(frame, at);
    tail.copy(frame, copyRecords(records, frame, at + head.length, index, count) - 1);
  });
}

/** What an event stream begins with. */
export function initialResponse(): Buffer {
  const headers = { ':message-type': 'event', ':event-type': 'initial-response', ':content-type': 'application/json' };
  return frameOf(headersOf(headers), 2, (frame, at) => void frame.write('{}', at, 'latin1'));
}

/** @returns where they end. */
function copyRecords(
  { block, recordBytes, digitsAt }: WrittenRecords,
  out: Buffer,
  from: number,
  index: number,
  count: number,
): number {
  const to = from + count * recordBytes;
  out.fill(block, from, to);
  for (let record = 0; record < count; record += 1) {
    let rest = index + record;
    const digits = from + record * recordBytes + digitsAt;
    for (let at = digits + COUNTING_DIGITS - 1; rest > 0; at -= 1) {
      out[at] = DIGIT_0 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
  }
  return to;
}

function asJson({ partitionKey, data }: RecordToWrite): Buffer {
  const record = {
    SequenceNumber: sequenceNumberOf(0),
    ApproximateArrivalTimestamp: ARRIVED_AT_MS / 1000,
    Data: Buffer.from(data).toString('base64'),
    PartitionKey: partitionKey,
  };
  return Buffer.from(`${JSON.stringify(record)},`);
}

function asCbor({ partitionKey, data }: RecordToWrite): Uint8Array {
  return encode({
    SequenceNumber: sequenceNumberOf(0),
    // The SDKs have times in milliseconds here.
    ApproximateArrivalTimestamp: new Tagged(1, ARRIVED_AT_MS),
    Data: data,
    PartitionKey: partitionKey,
  });
}

function frameOf(headers: Buffer, payloadBytes: number, writePayload: (frame: Buffer, at: number) => void): Buffer {
  const frame = Buffer.allocUnsafe(PRELUDE_BYTES + headers.length + payloadBytes + CHECKSUM_BYTES);
  const checksumAt = frame.length - CHECKSUM_BYTES;
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(headers.length, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  headers.copy(frame, PRELUDE_BYTES);
  writePayload(frame, PRELUDE_BYTES + headers.length);
  frame.writeUInt32BE(crc32(frame.subarray(0, checksumAt)), checksumAt);
  return frame;
}

function headersOf(headers: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(headers).map(([name, value]) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(value.length);
    return Buffer.concat([
      Buffer.from([name.length]),
      Buffer.from(name),
      Buffer.from([STRING_HEADER]),
      length,
      Buffer.from(value),
    ]);
  });
  return Buffer.concat(parts);
}

/** So many of each shard: keys are numbered through, and each goes to the shard that it hashes into. */
function keysOfShards(shards: number, countEach: number): string[][] {
  const ranges = evenRanges(shards);
  const keys = ranges.map(() => [] as string[]);
  for (let next = 0, full = 0; full < shards; next += 1) {
    const key = `customer-${String(next).padStart(KEY_DIGITS, '0')}`;
    const hashKey = hashKeyOf(key);
    const own = keys[ranges.findIndex((range) => rangeContains(range, hashKey))];
    if (own === undefined || own.length === countEach) continue;
    if (own.push(key) === countEach) full += 1;
  }
  return keys;
}

/** Of any bytes, the same for the same key. */
function dataOf(size: number, key: string): Buffer {
  return Buffer.alloc(
    size,
    Buffer.from(key).map((byte, index) => (byte * 131 + index * 29) & 0xff),
  );
}

// `npm run bench`: how many user records a second one core encodes and decodes in the KPL's format, ours beside protobufjs'
// minimal Writer and Reader doing the same, in one process and interleaved, so that a busy machine slows both. Prints a table and,
// last, a line of JSON. Asserts nothing about time; only that both make the same bytes.
import { createHash } from 'node:crypto';
import { decodeAggregatedRecord, encodeAggregatedRecord, type UserRecordParts } from '@shardline/common';
import { Reader, Writer } from 'protobufjs/minimal.js';

const ROUNDS = 9;
const RECORDS_PER_ROUND = 200_000;
const MAGIC = Buffer.from('f3899ac2', 'hex');

interface Case {
  readonly name: string;
  readonly sizeBytes: number;
  readonly recordsPerAggregate: number;
  readonly keys: number;
}

const cases: readonly Case[] = [
  { name: '100 B, unique keys', sizeBytes: 100, recordsPerAggregate: 350, keys: 350 },
  { name: '100 B, 10 keys', sizeBytes: 100, recordsPerAggregate: 450, keys: 10 },
  { name: '1 kB, unique keys', sizeBytes: 1000, recordsPerAggregate: 48, keys: 48 },
];

/** The same bytes by protobufjs. */
function encodeByProtobufjs(records: readonly UserRecordParts[]): Buffer {
  const writer = Writer.create();
  const indexes = new Map<string, number>();
  for (const { partitionKey } of records) {
    if (indexes.has(partitionKey)) continue;
    indexes.set(partitionKey, indexes.size);
    writer.uint32(10).string(partitionKey);
  }
  for (const { partitionKey, data } of records) {
    writer.uint32(26).fork();
    writer.uint32(8).uint64(indexes.get(partitionKey) ?? 0);
    writer.uint32(26).bytes(data);
    writer.ldelim();
  }
  const message = writer.finish();
  return Buffer.concat([MAGIC, message, createHash('md5').update(message).digest()]);
}

/** The same records by protobufjs. */
function decodeByProtobufjs(blob: Buffer): UserRecordParts[] {
  const message = blob.subarray(4, -16);
  if (!createHash('md5').update(message).digest().equals(blob.subarray(-16))) throw new Error('the digest differs');
  const reader = Reader.create(message);
  const keys: string[] = [];
  const records: UserRecordParts[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 10) keys.push(reader.string());
    else if (tag === 26) {
      const end = reader.uint32() + reader.pos;
      let index = 0;
      let data: Uint8Array = new Uint8Array();
      while (reader.pos < end) {
        const field = reader.uint32();
        if (field === 8) index = Number(reader.uint64());
        else if (field === 26) data = reader.bytes();
        else reader.skipType(field & 7);
      }
      records.push({ partitionKey: keys[index] ?? '', data });
    } else reader.skipType(tag & 7);
  }
  return records;
}

/** Records a second: the median of the rounds. */
function median(rates: number[]): number {
  return rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0;
}

function measure(work: () => void, records: number, times: number): number {
  const startedAt = performance.now();
  for (let time = 0; time < times; time += 1) work();
  return (records * times) / ((performance.now() - startedAt) / 1000);
}

function run({ name, sizeBytes, recordsPerAggregate, keys }: Case): Record<string, number | string> {
  const records = Array.from({ length: recordsPerAggregate }, (_, index) => ({
    partitionKey: `customer-${String(index % keys).padStart(6, '0')}`,
    data: Buffer.alloc(sizeBytes, index),
  }));
  const blob = Buffer.from(encodeAggregatedRecord(records));
  if (!blob.equals(encodeByProtobufjs(records))) throw new Error(`${name}: ours and protobufjs differ`);
  const times = Math.ceil(RECORDS_PER_ROUND / recordsPerAggregate);
  const rates = {
    encode: [] as number[],
    encodeTwin: [] as number[],
    decode: [] as number[],
    decodeTwin: [] as number[],
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    rates.encode.push(measure(() => encodeAggregatedRecord(records), recordsPerAggregate, times));
    rates.encodeTwin.push(measure(() => encodeByProtobufjs(records), recordsPerAggregate, times));
    rates.decode.push(measure(() => decodeAggregatedRecord(blob), recordsPerAggregate, times));
    rates.decodeTwin.push(measure(() => decodeByProtobufjs(blob), recordsPerAggregate, times));
  }
  const encode = median(rates.encode);
  const decode = median(rates.decode);
  return {
    case: name,
    encodedPerSecond: Math.round(encode),
    decodedPerSecond: Math.round(decode),
    encodeRatio: Number((encode / median(rates.encodeTwin)).toFixed(2)),
    decodeRatio: Number((decode / median(rates.decodeTwin)).toFixed(2)),
  };
}

const rows = cases.map(run);
console.table(rows);
console.log(
  JSON.stringify({
    ours: rows,
    beside: 'protobufjs minimal Writer and Reader',
    ratio: 'ours / theirs, above 1 is faster',
  }),
);

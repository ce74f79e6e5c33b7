// What the race's server sends, read by parsers that are not ours.
import { crc32 } from 'node:zlib';
import { decodeAggregatedRecord, evenRanges, hashKeyOf, rangeContains } from '@shardline/common';
import { decode } from 'cborg';
import { expect, test } from 'vitest';
import { answerOf, eventOf, indexOf, recordsOf, sequenceNumberOf, userRecordCount, write } from './written-records.ts';

const COUNT = 20;
const contents = { shards: 2, size: 100, aggregated: false };
const [records = []] = recordsOf(contents);
const numbers = Array.from({ length: COUNT }, (_, index) => sequenceNumberOf(995 + index));

test('an answer as JSON holds the records in turn, each with the next sequence number', () => {
  const answer = JSON.parse(answerOf(write(records, 'json'), 995, COUNT, '0:1015').toString());
  expect(answer).toMatchObject({ NextShardIterator: '0:1015' });
  expect(answer.Records).toEqual(
    numbers.map((SequenceNumber, index) => ({
      SequenceNumber,
      ApproximateArrivalTimestamp: 1_700_000_000.123,
      Data: Buffer.from(records[index % records.length]?.data ?? []).toString('base64'),
      PartitionKey: records[index % records.length]?.partitionKey,
    })),
  );
});

test('an answer as CBOR holds the same, bytes as bytes and times in milliseconds', () => {
  const tags = { 1: (content: () => unknown) => new Date(Number(content())) };
  const answer = decode(answerOf(write(records, 'cbor'), 995, COUNT, '0:1015'), { tags });
  expect(answer).toMatchObject({ NextShardIterator: '0:1015' });
  expect(answer.Records).toEqual(
    numbers.map((SequenceNumber, index) => ({
      SequenceNumber,
      ApproximateArrivalTimestamp: new Date(1_700_000_000_123),
      Data: new Uint8Array(records[index % records.length]?.data ?? []),
      PartitionKey: records[index % records.length]?.partitionKey,
    })),
  );
});

test('an event goes on behind its last record, and its lengths and checksums are right', () => {
  const event = eventOf(write(records, 'json'), 995, COUNT);
  expect(event.readUInt32BE(0)).toBe(event.length);
  expect(event.readUInt32BE(8)).toBe(crc32(event.subarray(0, 8)));
  expect(event.readUInt32BE(event.length - 4)).toBe(crc32(event.subarray(0, -4)));
  const { Records, ContinuationSequenceNumber } = JSON.parse(event.subarray(12 + event.readUInt32BE(4), -4).toString());
  expect(Records.map(({ SequenceNumber }: { SequenceNumber: string }) => SequenceNumber)).toEqual(numbers);
  expect(ContinuationSequenceNumber).toBe(numbers.at(-1));
  expect(indexOf(ContinuationSequenceNumber)).toBe(995 + COUNT - 1);
});

test('aggregated records are as large as those of the KPL may be, and each of their keys hashes into its shard', () => {
  const aggregated = { ...contents, aggregated: true };
  for (const [shard, range] of evenRanges(contents.shards).entries()) {
    for (const { data } of recordsOf(aggregated)[shard] ?? []) {
      expect(data.length).toBeLessThanOrEqual(51_200);
      expect(data.length).toBeGreaterThan(45_000);
      const decoded = decodeAggregatedRecord(data);
      if (decoded.kind !== 'aggregated') throw new Error(`it is ${decoded.kind}`);
      expect(decoded.records).toHaveLength(userRecordCount(aggregated));
      for (const { partitionKey } of decoded.records) expect(rangeContains(range, hashKeyOf(partitionKey))).toBe(true);
    }
  }
});

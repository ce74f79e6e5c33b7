// The KPL's own bytes: Kinesis records captured from the native KPL 1.1.1 (fixtures/kpl-golden.json, its meta says how). Our
// encoder has to make the same bytes of the same user records, and our decoder the same user records of the bytes.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { writeDigests } from '../src/aggregate-wire.ts';
import { AggregateWriter } from '../src/aggregate-writer.ts';
import { decodeAggregatedRecord, encodeAggregatedRecord, type UserRecordParts } from '../src/aggregated-record.ts';
import { hashKeyOf, parseHashKey } from '../src/hash-key.ts';
import { writable } from './user-records.ts';

interface GoldenCase {
  case: string;
  aggregationMaxSize: number;
  partitionKey: string;
  explicitHashKey: string;
  aggregated: boolean;
  length: number;
  userRecords: { partitionKey: string; explicitHashKey: string | null; data: string }[];
  blob: string;
}

const { cases } = JSON.parse(readFileSync(new URL('fixtures/kpl-golden.json', import.meta.url), 'utf8')) as {
  cases: GoldenCase[];
};

function partsOf(golden: GoldenCase): UserRecordParts[] {
  return golden.userRecords.map(({ partitionKey, explicitHashKey, data }) => ({
    partitionKey,
    ...(explicitHashKey === null ? {} : { explicitHashKey: parseHashKey(explicitHashKey) }),
    data: new Uint8Array(Buffer.from(data, 'base64')),
  }));
}

test('the golden set is whole', () => {
  expect(cases).toHaveLength(33);
  expect(cases.filter((golden) => golden.aggregated)).toHaveLength(28);
});

describe('an aggregate of the KPL', () => {
  test.each(cases.filter((golden) => golden.aggregated))('$case, $length bytes', (golden) => {
    const records = partsOf(golden);
    const blob = Buffer.from(golden.blob, 'base64');
    expect(Buffer.from(encodeAggregatedRecord(records)).equals(blob)).toBe(true);
    expect(decodeAggregatedRecord(blob)).toEqual({ kind: 'aggregated', records });
    const writer = new AggregateWriter();
    for (const record of records) writer.add(writable(record));
    const written = writer.finish();
    writeDigests([written]);
    expect(written.equals(blob)).toBe(true);
    expect(writer.sizeBytes).toBe(golden.length);
    expect(golden.length).toBeLessThanOrEqual(golden.aggregationMaxSize);
    // The hash that routes the whole is the first user record's.
    const [first] = records as [UserRecordParts];
    expect(String(first.explicitHashKey ?? hashKeyOf(first.partitionKey))).toBe(golden.explicitHashKey);
  });
});

describe('a lone user record of the KPL', () => {
  test.each(cases.filter((golden) => !golden.aggregated))('$case, $length bytes', (golden) => {
    const [record] = partsOf(golden) as [UserRecordParts];
    const blob = Buffer.from(golden.blob, 'base64');
    expect(blob.equals(record.data)).toBe(true);
    expect(decodeAggregatedRecord(blob)).toEqual({ kind: 'plain' });
    expect(String(record.explicitHashKey ?? hashKeyOf(record.partitionKey))).toBe(golden.explicitHashKey);
  });
});

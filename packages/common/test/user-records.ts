// Arbitrary user records for the tests of the aggregated record: keys that tables trip over among them.
import fc from 'fast-check';
import type { WritableRecord } from '../src/aggregate-writer.ts';
import type { UserRecordParts } from '../src/aggregated-record.ts';
import { MAX_HASH_KEY, toHashKey } from '../src/hash-key.ts';

export const oddKeys: readonly string[] = [
  '10',
  '9',
  '007',
  '-1',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '\0',
  'a\0b',
  '\uFEFF',
  '\uFEFFbom',
  'é',
  'e\u0301',
  '😀'.repeat(128),
  'x'.repeat(256),
  '\u{10FFFF}',
];

export const partitionKeys: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...oddKeys),
  fc.constantFrom('a', 'b', 'c'),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
);
const hashKeys = fc
  .oneof(fc.bigInt({ min: 0n, max: MAX_HASH_KEY }), fc.constantFrom(0n, 7n, MAX_HASH_KEY))
  .map((value) => toHashKey(value));

export const userRecords: fc.Arbitrary<UserRecordParts> = fc
  .record({
    partitionKey: partitionKeys,
    explicitHashKey: fc.option(hashKeys, { nil: undefined }),
    data: fc.uint8Array({ maxLength: 200 }),
  })
  .map(({ explicitHashKey, ...rest }) => (explicitHashKey === undefined ? rest : { ...rest, explicitHashKey }));

export const batches: fc.Arbitrary<UserRecordParts[]> = fc.array(userRecords, { minLength: 1, maxLength: 30 });

export function writable(parts: UserRecordParts): WritableRecord {
  const { partitionKey, data } = parts;
  return {
    ...parts,
    keyBytes: Buffer.byteLength(partitionKey),
    // Few values, so that keys meet in the table.
    keyHash: (partitionKey.charCodeAt(0) % 7) - 3,
    dataBytes: data.length,
    writeData: (target, at) => void target.set(data, at),
  };
}

// Properties of the aggregated record against an independent twin: protobufjs' reflection on the published schema, with tables
// built the slow way. The KPL's own bytes are in test/kpl-golden.test.ts.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { batches, oddKeys, partitionKeys } from '../test/user-records.ts';
import {
  type DecodedRecord,
  decodeAggregatedRecord,
  encodeAggregatedRecord,
  type UserRecordParts,
} from './aggregated-record.ts';
import { UsageError } from './errors.ts';
import { type HashKey, toHashKey } from './hash-key.ts';

const schema = (tags: string): protobuf.Type =>
  protobuf
    .parse(
      `syntax = "proto2";
       message AggregatedRecord {
         repeated string partition_key_table = 1;
         repeated string explicit_hash_key_table = 2;
         repeated Record records = 3;
       }
       message Tag { required string key = 1; optional string value = 2; }
       message Record {
         required uint64 partition_key_index = 1;
         optional uint64 explicit_hash_key_index = 2;
         required bytes data = 3;
         repeated ${tags} tags = 4;
       }`,
      { keepCase: true },
    )
    .root.lookupType('AggregatedRecord');

const twin = schema('Tag');
/** We pass over tags without looking inside, so the twin that judges broken messages does too. */
const twinWithOpaqueTags = schema('bytes');

interface TwinMessage {
  partition_key_table: string[];
  explicit_hash_key_table: string[];
  records: {
    partition_key_index: number;
    explicit_hash_key_index?: number;
    data: Uint8Array;
    tags?: { key: string; value?: string }[];
  }[];
}

/** Bytes from hex with blanks between its parts. */
function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}

function frame(message: Uint8Array): Buffer {
  return Buffer.concat([bytes('f3899ac2'), message, createHash('md5').update(message).digest()]);
}

function toTwin(records: readonly UserRecordParts[]): TwinMessage {
  const keys = [...new Set(records.map((record) => record.partitionKey))];
  const hashKeys = [...new Set(records.flatMap((record) => record.explicitHashKey ?? []))];
  const keyIndexes = new Map(keys.map((key, index) => [key, index]));
  const hashIndexes = new Map(hashKeys.map((key, index) => [key, index]));
  return {
    partition_key_table: keys,
    explicit_hash_key_table: hashKeys.map(String),
    records: records.map(({ partitionKey, explicitHashKey, data }) => ({
      partition_key_index: keyIndexes.get(partitionKey) ?? -1,
      ...(explicitHashKey === undefined ? {} : { explicit_hash_key_index: hashIndexes.get(explicitHashKey) ?? -1 }),
      data,
    })),
  };
}

function twinEncode(records: readonly UserRecordParts[]): Buffer {
  return frame(twin.encode(twin.fromObject(toTwin(records))).finish());
}

/** What the twin makes of a message's bytes, in the shape of `decodeAggregatedRecord`; any fault is just `corrupt`. */
function twinDecode(message: Uint8Array): { kind: 'corrupt' } | { kind: 'aggregated'; records: PlainParts[] } {
  let decoded: TwinMessage;
  try {
    decoded = twinWithOpaqueTags.toObject(twinWithOpaqueTags.decode(message), {
      longs: Number,
      arrays: true,
    }) as TwinMessage;
  } catch {
    return { kind: 'corrupt' };
  }
  const records: PlainParts[] = [];
  for (const record of decoded.records) {
    const partitionKey = decoded.partition_key_table[record.partition_key_index];
    if (partitionKey === undefined) return { kind: 'corrupt' };
    const { explicit_hash_key_index: hashIndex } = record;
    const hashText = hashIndex === undefined ? undefined : (decoded.explicit_hash_key_table[hashIndex] ?? '');
    if (hashText !== undefined && !(/^\d+$/.test(hashText) && BigInt(hashText) < 1n << 128n)) {
      return { kind: 'corrupt' };
    }
    records.push({
      partitionKey,
      explicitHashKey: hashText === undefined ? undefined : String(BigInt(hashText)),
      data: Buffer.from(record.data).toString('hex'),
    });
  }
  return { kind: 'aggregated', records };
}

interface PlainParts {
  partitionKey: string;
  explicitHashKey: string | undefined;
  data: string;
}

function toPlain(records: readonly UserRecordParts[]): PlainParts[] {
  return records.map(({ partitionKey, explicitHashKey, data }) => ({
    partitionKey,
    explicitHashKey: explicitHashKey?.toString(),
    data: Buffer.from(data).toString('hex'),
  }));
}

function decodedRecords(decoded: DecodedRecord): UserRecordParts[] {
  if (decoded.kind !== 'aggregated') throw new Error(`expected an aggregated record, got ${JSON.stringify(decoded)}`);
  return decoded.records;
}

describe('encoding', () => {
  test("equals the twin's bytes", () => {
    fc.assert(
      fc.property(batches, (records) => {
        expect(Buffer.compare(encodeAggregatedRecord(records), twinEncode(records))).toBe(0);
      }),
    );
  });

  test('decodes to what was encoded, in order', () => {
    fc.assert(
      fc.property(batches, (records) => {
        expect(toPlain(decodedRecords(decodeAggregatedRecord(encodeAggregatedRecord(records))))).toEqual(
          toPlain(records),
        );
      }),
    );
  });

  test('keeps keys that are names of Object.prototype or look like integers apart and in place', () => {
    const records = oddKeys.map((partitionKey, index) => ({ partitionKey, data: Uint8Array.of(index) }));
    const decoded = decodedRecords(decodeAggregatedRecord(encodeAggregatedRecord([...records, ...records])));
    expect(decoded.map((record) => record.partitionKey)).toEqual([...oddKeys, ...oddKeys]);
  });

  test('needs three varint bytes for the index of the 16,385th key', () => {
    const records = Array.from({ length: 16_400 }, (_, index) => ({
      partitionKey: `k${index}`,
      explicitHashKey: BigInt(index) as HashKey,
      data: new Uint8Array(),
    }));
    const encoded = encodeAggregatedRecord(records);
    expect(Buffer.compare(encoded, twinEncode(records))).toBe(0);
    expect(toPlain(decodedRecords(decodeAggregatedRecord(encoded)))).toEqual(toPlain(records));
  });

  test('carries 10 MiB of data', () => {
    const data = Buffer.alloc(10 * 1024 * 1024, 'shardline');
    const encoded = encodeAggregatedRecord([
      { partitionKey: 'big', data },
      { partitionKey: 'none', data: new Uint8Array() },
    ]);
    const [big, none] = decodedRecords(decodeAggregatedRecord(encoded));
    expect(Buffer.compare(big?.data ?? Buffer.alloc(0), data)).toBe(0);
    expect(none).toEqual({ partitionKey: 'none', data: new Uint8Array() });
  });

  test('refuses no records', () => {
    expect(() => encodeAggregatedRecord([])).toThrow(UsageError);
  });
});

describe('decoding', () => {
  test('takes anything without the magic, or too short for a message, for a plain record', () => {
    const tooShort = frame(new Uint8Array());
    expect(tooShort.length).toBe(20);
    for (const data of [new Uint8Array(), Uint8Array.of(0xf3, 0x89, 0x9a), tooShort, Buffer.from('x'.repeat(100))]) {
      expect(decodeAggregatedRecord(data)).toEqual({ kind: 'plain' });
    }
  });

  test("reports a user's own bytes that begin with the magic", () => {
    const data = Buffer.concat([bytes('f3899ac2'), Buffer.alloc(40, 7)]);
    expect(decodeAggregatedRecord(data)).toEqual({ kind: 'corrupt', reason: 'digest' });
  });

  test('reports every changed, missing or added byte', () => {
    fc.assert(
      fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (records, place, change) => {
        const encoded = Buffer.from(encodeAggregatedRecord(records));
        const at = 4 + (place % (encoded.length - 4));
        const changed = Buffer.from(encoded);
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(decodeAggregatedRecord(changed)).toEqual({ kind: 'corrupt', reason: 'digest' });
        const longer = Buffer.concat([encoded.subarray(0, at), Buffer.from([change]), encoded.subarray(at)]);
        expect(decodeAggregatedRecord(longer)).toEqual({ kind: 'corrupt', reason: 'digest' });
        const shorter = encoded.subarray(0, -1);
        expect(decodeAggregatedRecord(shorter).kind).not.toBe('aggregated');
      }),
    );
  });

  test('never throws, and reads a broken message with a right digest only where the twin does', () => {
    const mutations = fc.array(
      fc.record({
        what: fc.constantFrom('set', 'insert', 'remove'),
        place: fc.nat(),
        byte: fc.oneof(fc.nat(255), fc.nat(40)),
      }),
      { minLength: 1, maxLength: 3 },
    );
    const asciiRecords = fc.array(
      fc
        .record({
          partitionKey: fc.constantFrom('a', 'b', 'cc'),
          explicitHashKey: fc.option(fc.constantFrom(...[0n, 12n, 345n].map((value) => toHashKey(value))), {
            nil: undefined,
          }),
          data: fc.uint8Array({ maxLength: 6, max: 40 }),
        })
        .map(({ explicitHashKey, ...rest }) => (explicitHashKey === undefined ? rest : { ...rest, explicitHashKey })),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(asciiRecords, mutations, (records, changes) => {
        const mutated = [...encodeAggregatedRecord(records).subarray(4, -16)];
        for (const { what, place, byte } of changes) {
          const at = place % (mutated.length + 1);
          if (what === 'set') mutated[Math.min(at, mutated.length - 1)] = byte;
          else if (what === 'insert') mutated.splice(at, 0, byte);
          else mutated.splice(at, 1);
        }
        // A key that is no UTF-8 any more is read with U+FFFD by us and otherwise by the twin.
        fc.pre(mutated.length > 0 && mutated.every((byte) => byte < 0x80));
        const message = Uint8Array.from(mutated);
        const decoded = decodeAggregatedRecord(frame(message));
        const expected = twinDecode(message);
        expect(decoded.kind).toBe(expected.kind);
        if (decoded.kind === 'aggregated' && expected.kind === 'aggregated') {
          expect(toPlain(decoded.records)).toEqual(expected.records);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('never throws on any bytes behind the magic, digest right', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (message) => {
        expect(['aggregated', 'corrupt']).toContain(decodeAggregatedRecord(frame(message)).kind);
      }),
      { numRuns: 1000 },
    );
  });

  test('passes over tags', () => {
    const tagged = fc.array(fc.record({ key: partitionKeys, value: fc.string({ unit: 'binary' }) }), { maxLength: 3 });
    fc.assert(
      fc.property(batches, fc.array(tagged, { minLength: 30, maxLength: 30 }), (records, tags) => {
        const message = toTwin(records);
        for (const [index, record] of message.records.entries()) record.tags = tags[index] ?? [];
        const encoded = frame(twin.encode(twin.fromObject(message)).finish());
        expect(toPlain(decodedRecords(decodeAggregatedRecord(encoded)))).toEqual(toPlain(records));
      }),
    );
  });

  test('passes over unknown fields of every wire type, in the message and in a record', () => {
    const unknown = [
      '28 9601', // field 5, varint 150
      '31 0102030405060708', // field 6, 64 bits
      '3a 03 616263', // field 7, 3 bytes
      '45 01020304', // field 8, 32 bits
      '4b 5b 0801 5c 0a0178 4c', // field 9, a group that holds a group and a string
      'f8ffffff0f 01', // the greatest field number, varint 1
    ].join(' ');
    const record = bytes(`${unknown} 0800 ${unknown} 1a0164 ${unknown}`);
    const message = Buffer.concat([
      bytes(`${unknown} 0a016b ${unknown}`),
      Buffer.from([0x1a, record.length]),
      record,
      bytes(unknown),
    ]);
    expect(record.length).toBeLessThan(128);
    expect(decodeAggregatedRecord(frame(message))).toEqual({
      kind: 'aggregated',
      records: [{ partitionKey: 'k', data: Uint8Array.of(0x64) }],
    });
  });

  test('takes the fields in any order, and the last of a field that stands twice', () => {
    const cases: [string, string][] = [
      ['the record before its table', '1a05 0800 1a0164 0a016b'],
      ['data before the index', '0a016b 1a05 1a0164 0800'],
      ['index and data twice', '0a016b 1a0a 0805 1a0178 0800 1a0164'],
      ['an index of ten bytes', '0a016b 1a0e 0880808080808080808000 1a0164'],
    ];
    for (const [name, hex] of cases) {
      expect(decodeAggregatedRecord(frame(bytes(hex))), name).toEqual({
        kind: 'aggregated',
        records: [{ partitionKey: 'k', data: Uint8Array.of(0x64) }],
      });
    }
  });

  test('reports what it cannot read, with the reason', () => {
    const cases: [string, 'protobuf' | 'table-index' | 'hash-key', string][] = [
      ['a message cut short', 'protobuf', '0a056b'],
      ['a varint of eleven bytes', 'protobuf', '28 ffffffffffffffffffff01'],
      ['field number 0', 'protobuf', '0001'],
      ['wire type 6', 'protobuf', '2e01'],
      ['wire type 7', 'protobuf', '2f01'],
      ['the end of a group that never began', 'protobuf', '2c'],
      ['a group without an end', 'protobuf', '2b0801'],
      ['a group ended by another', 'protobuf', '2b34'],
      ['a group within 101 others', 'protobuf', '2b'.repeat(101) + '2c'.repeat(101)],
      ['32 bits cut short', 'protobuf', '2d 010203'],
      ['a record longer than the message', 'protobuf', '0a016b 1a7f 0800'],
      ['data longer than its record', 'protobuf', '0a016b 1a05 0800 1a0264 ff'],
      ['no partition key index', 'protobuf', '0a016b 1a03 1a0164'],
      ['no data', 'protobuf', '0a016b 1a02 0800'],
      ['no table at all', 'table-index', '1a05 0800 1a0164'],
      ['an index past the table', 'table-index', '0a016b 1a05 0801 1a0164'],
      ['an index of 2^63', 'table-index', '0a016b 1a0e 0880808080808080808001 1a0164'],
      ['a hash key index past the table', 'table-index', '0a016b 1a07 0800 1000 1a0164'],
      ['a hash key that is no number', 'hash-key', '0a016b 120178 1a07 0800 1000 1a0164'],
      ['an empty hash key', 'hash-key', '0a016b 1200 1a07 0800 1000 1a0164'],
      ['a negative hash key', 'hash-key', '0a016b 12022d31 1a07 0800 1000 1a0164'],
      [
        'a hash key of 2^128',
        'hash-key',
        `0a016b 1227 ${Buffer.from(String(1n << 128n)).toString('hex')} 1a07 0800 1000 1a0164`,
      ],
    ];
    for (const [name, reason, hex] of cases) {
      expect(decodeAggregatedRecord(frame(bytes(hex))), name).toEqual({ kind: 'corrupt', reason });
    }
  });

  test('one bad record makes the whole blob corrupt: no user record is given twice or half', () => {
    const message = bytes('0a016b 1a05 0800 1a0164 1a05 0809 1a0165');
    expect(decodeAggregatedRecord(frame(message))).toEqual({ kind: 'corrupt', reason: 'table-index' });
  });

  test('minds only the hash keys that a record uses', () => {
    const message = bytes('0a016b 120178 120137 1a07 0800 1001 1a0164');
    expect(decodeAggregatedRecord(frame(message))).toEqual({
      kind: 'aggregated',
      records: [{ partitionKey: 'k', explicitHashKey: 7n, data: Uint8Array.of(0x64) }],
    });
  });

  test('follows groups 100 deep', () => {
    const message = bytes(`0a016b ${'2b'.repeat(100)} ${'2c'.repeat(100)} 1a05 0800 1a0164`);
    expect(decodeAggregatedRecord(frame(message)).kind).toBe('aggregated');
  });

  test('reads a key that is no UTF-8 with U+FFFD, and keeps the byte order mark', () => {
    const message = bytes('0a0361ff62 0a04efbbbf61 1a05 0800 1a0164 1a05 0801 1a0165');
    expect(decodedRecords(decodeAggregatedRecord(frame(message))).map((record) => record.partitionKey)).toEqual([
      'a\uFFFDb',
      '\uFEFFa',
    ]);
  });

  test('a message with tables alone gives no records', () => {
    expect(decodeAggregatedRecord(frame(bytes('0a016b')))).toEqual({ kind: 'aggregated', records: [] });
  });

  test('gives views of the input, wherever the input lies in its buffer', () => {
    const encoded = encodeAggregatedRecord([
      { partitionKey: 'a', data: Buffer.from('first') },
      { partitionKey: 'b', data: Buffer.from('second') },
    ]);
    const whole = new Uint8Array(encoded.length + 64);
    whole.set(encoded, 33);
    const input = whole.subarray(33, 33 + encoded.length);
    for (const given of [input, Buffer.from(input.buffer, input.byteOffset, input.byteLength)]) {
      const records = decodedRecords(decodeAggregatedRecord(given));
      expect(records.map((record) => Buffer.from(record.data).toString())).toEqual(['first', 'second']);
      for (const record of records) {
        expect(record.data.buffer).toBe(whole.buffer);
        expect(Object.getPrototypeOf(record.data)).toBe(Uint8Array.prototype);
      }
    }
  });
});

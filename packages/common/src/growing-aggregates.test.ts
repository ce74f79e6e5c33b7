// What grows record by record, against what is encoded when all of them are there.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeDigests } from './aggregate-wire.ts';
import { encodeAggregatedRecord } from './aggregated-record.ts';
import { CHUNK_BYTES, ChunkMemory } from './chunk-memory.ts';
import { GrowingAggregates, type GrowingRecord } from './growing-aggregates.ts';
import { FIRST_PLACE, NO_PLACE } from './packed-rows.ts';

interface Content {
  readonly partitionKey: string;
  readonly data: Uint8Array | string;
}

const keys = fc.oneof(
  fc.constantFrom('a', 'b', 'key', 'ключ'),
  fc.string({ minLength: 1, maxLength: 256, unit: 'grapheme' }).filter(({ length }) => length <= 256),
);
const data = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.string({ maxLength: 300, unit: 'grapheme' }),
  fc.integer({ min: CHUNK_BYTES - 40, max: 3 * CHUNK_BYTES }).map((length) => new Uint8Array(length).fill(length)),
  fc.integer({ min: CHUNK_BYTES - 40, max: 3 * CHUNK_BYTES }).map((length) => 'x'.repeat(length)),
);
const content: fc.Arbitrary<Content> = fc.record({ partitionKey: keys, data });

let lastSequence = 2 ** 31 - 20;

function recordOf({ partitionKey, data }: Content): GrowingRecord {
  lastSequence += 1;
  const [keyBytes, dataBytes] = [Buffer.byteLength(partitionKey), Buffer.byteLength(data)];
  const times = { putAtMs: lastSequence / 7, dueAtMs: 100 - (lastSequence % 50), expiresAtMs: lastSequence % 60 };
  const orderHashes = { orderHash: lastSequence | 0, orderHash2: -lastSequence | 0 };
  return { partitionKey, keyBytes, content: data, dataBytes, sequence: lastSequence, ...orderHashes, ...times };
}

test('in each lane grow the bytes of the encoder, in memory that is used again, and their size is known before and after each record', () => {
  const memory = new ChunkMemory();
  const growing = new GrowingAggregates(memory);
  const startIdle = 256 * CHUNK_BYTES;
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(40), content), { minLength: 1, maxLength: 80 }), (given) => {
      const lanes = new Map<number, GrowingRecord[]>();
      const places = new Map<string, number>();
      for (const [lane, one] of given) {
        const record = recordOf(one);
        const records = lanes.get(lane) ?? [];
        lanes.set(lane, [...records, record]);
        expect(growing.has(lane)).toBe(records.length > 0);
        if (records.length === 0) {
          growing.begin(lane, record);
          places.set(`${lane} ${record.partitionKey}`, FIRST_PLACE);
        } else {
          const place = growing.placeOf(lane, record, places.get(`${lane} ${record.partitionKey}`) ?? NO_PLACE);
          const announced = growing.sizeBytesWith(lane, record, place);
          places.set(`${lane} ${record.partitionKey}`, growing.add(lane, record, place));
          expect(growing.sizeBytes(lane)).toBe(announced);
        }
        expect(growing.sizeBytes(lane)).toBe(encode(lanes.get(lane) ?? []).length);
      }
      for (const [lane, records] of lanes) {
        expect([growing.count(lane), growing.dueAtMs(lane)]).toEqual([records.length, least(records, 'dueAtMs')]);
        const { bytes, rows, dueAtMs, expiresAtMs } = growing.finish(lane);
        writeDigests([bytes]);
        expect(Buffer.compare(bytes, encode(records))).toBe(0);
        expect([dueAtMs, expiresAtMs]).toEqual([least(records, 'dueAtMs'), least(records, 'expiresAtMs')]);
        const near = records[0]?.sequence ?? 0;
        const read = records.map((_, index) => {
          rows.look(index);
          const { orderHash, orderHash2, dataBytes, keyBytes, putAtMs, dueAtMs, expiresAtMs } = rows;
          const sequence = rows.sequence(near);
          return { orderHash, orderHash2, dataBytes, keyBytes, sequence, putAtMs, dueAtMs, expiresAtMs };
        });
        expect(read).toEqual(records.map(({ partitionKey: _, content: __, ...row }) => row));
        // Backwards they are the same.
        const last = records.length - 1;
        for (const index of [last, 0]) {
          rows.look(index);
          expect(rows.dataBytes).toBe(records[index]?.dataBytes);
        }
        rows.giveBack();
        expect(growing.has(lane)).toBe(false);
      }
      expect(memory.idleBytes % startIdle).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test('a place that is another key’s is not taken for it, not even where that one begins like it', () => {
  const growing = new GrowingAggregates(new ChunkMemory());
  const keyed = (partitionKey: string): GrowingRecord => recordOf({ partitionKey, data: 'data' });
  growing.begin(0, keyed('key-10'));
  const place = growing.add(0, keyed('other'), NO_PLACE);
  const placeOf = (key: string, candidate: number): number => growing.placeOf(0, keyed(key), candidate);
  expect(placeOf('key-10', FIRST_PLACE)).not.toBe(NO_PLACE);
  expect(placeOf('other', place)).toBe(place);
  const wrong = [
    ['key-1', FIRST_PLACE],
    ['key-11', FIRST_PLACE],
    ['other', FIRST_PLACE],
    ['key-10', place],
    ['ключ', FIRST_PLACE],
    ['other', NO_PLACE],
  ] as const;
  for (const [key, candidate] of wrong) expect(placeOf(key, candidate)).toBe(NO_PLACE);
});

test('chunks are nobody else’s until they are given back, and then are used again', () => {
  const memory = new ChunkMemory();
  const fill = (chunk: number, mark: number): void => {
    const start = memory.startOf(chunk);
    memory.segmentOf(chunk).bytes.fill(mark, start, start + CHUNK_BYTES);
  };
  const taken = Array.from({ length: 600 }, () => memory.take());
  for (const [mark, chunk] of taken.entries()) fill(chunk, mark % 120);
  expect(new Set(taken).size).toBe(600);
  for (const [mark, chunk] of taken.entries()) {
    const { bytes, words, doubles } = memory.segmentOf(chunk);
    const start = memory.startOf(chunk);
    expect(bytes.subarray(start, start + CHUNK_BYTES).every((byte) => byte === mark % 120)).toBe(true);
    expect(words[start / 4]).toBe((mark % 120) * 0x0101_0101);
    expect(doubles.byteLength).toBe(bytes.byteLength);
  }
  const before = memory.idleBytes;
  memory.follow(taken[0] as number, taken[1] as number, 17);
  expect([memory.next(taken[0] as number), memory.filled(taken[0] as number)]).toEqual([taken[1], 17]);
  memory.giveBack(taken[0] as number);
  expect(memory.idleBytes).toBe(before + 2 * CHUNK_BYTES);
  for (const chunk of taken.slice(2)) memory.giveBack(chunk);
  expect(memory.idleBytes).toBe(before + 600 * CHUNK_BYTES);
  const again = Array.from({ length: 600 }, () => memory.take());
  expect(new Set(again)).toEqual(new Set(taken));
});

test('of segments that nobody uses no more than 64 MiB are kept, and what was let go can be had again', () => {
  const memory = new ChunkMemory();
  const many = 40_000;
  for (let round = 0; round < 2; round += 1) {
    const taken = Array.from({ length: many }, () => memory.take());
    expect(new Set(taken).size).toBe(many);
    for (const chunk of taken) memory.giveBack(chunk);
    expect(memory.idleBytes).toBe(64 * 1024 * 1024);
  }
});

function encode(records: readonly GrowingRecord[]): Uint8Array {
  return encodeAggregatedRecord(
    records.map(({ partitionKey, content }) => ({ partitionKey, data: Buffer.from(content as string) })),
  );
}

function least(records: readonly GrowingRecord[], member: 'dueAtMs' | 'expiresAtMs'): number {
  return Math.min(...records.map((record) => record[member]));
}

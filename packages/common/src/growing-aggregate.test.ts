// What grows record by record, against what is encoded when all of them are there.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FRAME_BYTES } from './aggregate-wire.ts';
import { encodeAggregatedRecord, type UserRecordParts } from './aggregated-record.ts';
import { CHUNK_BYTES, ChunkMemory } from './chunk-memory.ts';
import { GrowingAggregate } from './growing-aggregate.ts';

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
const batches: fc.Arbitrary<Content[]> = fc.array(fc.record({ partitionKey: keys, data }), {
  minLength: 1,
  maxLength: 40,
});

test('gives the bytes of the encoder, in memory that is used again, and knows its size before and after each record', () => {
  const memory = new ChunkMemory();
  fc.assert(
    fc.property(batches, (contents) => {
      const growing = new GrowingAggregate(memory);
      expect(growing.sizeBytes).toBe(FRAME_BYTES);
      const places = new Map<string, { readonly index: number; readonly at: number }>();
      const parts: UserRecordParts[] = [];
      for (const { partitionKey, data } of contents) {
        const keyBytes = Buffer.byteLength(partitionKey);
        const dataBytes = Buffer.byteLength(data);
        const keyIndex = places.get(partitionKey)?.index ?? growing.keyCount;
        const announced = growing.sizeBytesWith(keyIndex, keyBytes, dataBytes);
        if (keyIndex === growing.keyCount) {
          places.set(partitionKey, { index: keyIndex, at: growing.addKey(partitionKey, keyBytes) });
        }
        growing.add(keyIndex, data, dataBytes);
        parts.push({ partitionKey, data: Buffer.from(data as string) });
        expect([announced, growing.sizeBytes]).toEqual([growing.sizeBytes, encodeAggregatedRecord(parts).length]);
        for (const [key, { at }] of places) {
          expect(growing.hasKeyAt(at, key, Buffer.byteLength(key))).toBe(true);
          const other = `${key.slice(0, -1)}\u0001`;
          const isOther = Buffer.byteLength(other) === Buffer.byteLength(key) && other !== key;
          if (isOther) expect(growing.hasKeyAt(at, other, Buffer.byteLength(other))).toBe(false);
        }
      }
      expect(Buffer.compare(growing.finish(), encodeAggregatedRecord(parts))).toBe(0);
    }),
    { numRuns: 60 },
  );
  expect(memory.idleBytes).toBeGreaterThan(0);
});

test('chunks are nobody else’s until they are given back, and then are used again', () => {
  const memory = new ChunkMemory();
  const taken = Array.from({ length: 40 }, (_, mark) => {
    const chunk = memory.take();
    chunk.bytes.fill(mark);
    return chunk;
  });
  for (const [mark, { bytes, words }] of taken.entries()) {
    expect(bytes.every((byte) => byte === mark)).toBe(true);
    expect(words.length * 4).toBe(CHUNK_BYTES);
    expect(words[0]).toBe(mark * 0x0101_0101);
  }
  const before = memory.idleBytes;
  memory.giveBack(taken);
  expect(memory.idleBytes).toBe(before + 40 * CHUNK_BYTES);
  const again = Array.from({ length: 40 }, () => memory.take());
  expect(new Set(again)).toEqual(new Set(taken));
});

test('of chunks that nobody uses no more than 64 MiB are kept', () => {
  const memory = new ChunkMemory();
  memory.giveBack(Array.from({ length: 20_000 }, () => ({ bytes: Buffer.alloc(0), words: new Int32Array(0) })));
  expect(memory.idleBytes).toBe(64 * 1024 * 1024);
});

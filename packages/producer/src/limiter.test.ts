import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loneRecord } from '../test/records.ts';
import type { KinesisRecord } from './batch.ts';
import { Limiter } from './limiter.ts';

const MIB = 1024 * 1024;

/** Puts records at their times and calls expire at every deadline; says what left when. */
function run(
  limiter: Limiter,
  puts: readonly { readonly atMs: number; readonly kinesisRecord: KinesisRecord }[],
): { readonly atMs: number; readonly kinesisRecord: KinesisRecord }[] {
  const left: { readonly atMs: number; readonly kinesisRecord: KinesisRecord }[] = [];
  const drainUntil = (untilMs: number): void => {
    for (
      let dueMs = limiter.deadline();
      dueMs <= untilMs && dueMs !== Number.POSITIVE_INFINITY;
      dueMs = limiter.deadline()
    ) {
      for (const kinesisRecord of limiter.expire(dueMs)) left.push({ atMs: dueMs, kinesisRecord });
    }
  };
  for (const { atMs, kinesisRecord } of puts) {
    drainUntil(atMs);
    for (const passed of limiter.put(kinesisRecord, atMs)) left.push({ atMs, kinesisRecord: passed });
  }
  drainUntil(Number.POSITIVE_INFINITY);
  return left;
}

const arrivals = fc.array(
  fc.record({ gapMs: fc.integer({ min: 0, max: 30 }), kib: fc.integer({ min: 1, max: 900 }), shard: fc.nat(2) }),
  { maxLength: 60 },
);

describe('for any arrivals', () => {
  test('each shard keeps within burst and rate in every window, and its order; everything leaves', () => {
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 50, max: 300 }), (given, rateLimitPercent) => {
        let atMs = 0;
        const puts = given.map(({ gapMs, kib, shard }) => {
          atMs += gapMs;
          return { atMs, kinesisRecord: loneRecord(`${shard}`, { data: new Uint8Array(kib * 1024) }) };
        });
        const left = run(new Limiter({ rateLimitPercent }), puts);
        for (const shard of ['0', '1', '2']) {
          const ofShard = left.filter(({ kinesisRecord }) => kinesisRecord.shardId === shard);
          const wanted = puts.filter(({ kinesisRecord }) => kinesisRecord.shardId === shard);
          expect(ofShard.map((one) => one.kinesisRecord)).toEqual(wanted.map((one) => one.kinesisRecord));
          const bytesPerMs = (MIB * rateLimitPercent) / 100 / 1000;
          for (let from = 0; from < ofShard.length; from++) {
            let bytes = 0;
            for (let to = from; to < ofShard.length; to++) {
              bytes += ofShard[to]?.kinesisRecord.sizeBytes ?? 0;
              const elapsedMs = (ofShard[to]?.atMs ?? 0) - (ofShard[from]?.atMs ?? 0);
              expect(bytes).toBeLessThanOrEqual(10 * MIB + bytesPerMs * elapsedMs + 1);
            }
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

test('1,000 records pass in one go, then RateLimit per cent of 1,000 a second (KPL limiter.h)', () => {
  const puts = Array.from({ length: 1_300 }, () => ({ atMs: 0, kinesisRecord: loneRecord('0', { data: 'x' }) }));
  const left = run(new Limiter({ rateLimitPercent: 150 }), puts);
  expect(left.filter(({ atMs }) => atMs === 0)).toHaveLength(1_000);
  expect(left.at(-1)?.atMs).toBeCloseTo(200, 3);
});

test('one shard waiting does not hold up another, nor a record without a shard', () => {
  const limiter = new Limiter({ rateLimitPercent: 100 });
  for (let i = 0; i < 1_000; i++) limiter.put(loneRecord('busy'), 0);
  expect(limiter.put(loneRecord('busy'), 0)).toEqual([]);
  expect(limiter.put(loneRecord('idle'), 0)).toHaveLength(1);
  expect(limiter.put(loneRecord(undefined), 0)).toHaveLength(1);
});

test('one that has expired while it waited costs nothing', () => {
  const limiter = new Limiter({ rateLimitPercent: 100 });
  for (let i = 0; i < 1_000; i++) limiter.put(loneRecord('0'), 0);
  const expired = loneRecord('0');
  const next = loneRecord('0');
  limiter.put(expired, 0);
  limiter.put(next, 0);
  expired.release();
  expect(limiter.expire(1)).toEqual([next]);
});

test('one larger than the whole bucket still leaves', () => {
  const limiter = new Limiter({ rateLimitPercent: 100 });
  const key = 'k'.repeat(256);
  const largest = loneRecord('0', { key, data: new Uint8Array(10 * MIB - 256) });
  expect(limiter.put(largest, 0)).toEqual([largest]);
});

test('forgets the buckets of shards that nobody writes to, not those that still owe', () => {
  const limiter = new Limiter({ rateLimitPercent: 100 });
  for (let i = 0; i < 1_000; i++) limiter.put(loneRecord('0'), 0);
  limiter.forgetIdle(100);
  expect(limiter.put(loneRecord('0'), 100)).toHaveLength(1);
  for (let i = 0; i < 99; i++) limiter.put(loneRecord('0'), 100);
  expect(limiter.put(loneRecord('0'), 100)).toEqual([]);
});

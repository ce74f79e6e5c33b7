import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loneRecord } from '../test/records.ts';
import type { KinesisRecord } from './batch.ts';
import { Limiter } from './limiter.ts';

const MIB = 1024 * 1024;

/** Puts records at their times and calls expire at every deadline; Kinesis may refuse what leaves. Says what left when. */
function run(
  limiter: Limiter,
  puts: readonly { readonly atMs: number; readonly kinesisRecord: KinesisRecord }[],
  isRefused: (kinesisRecord: KinesisRecord) => boolean = () => false,
): { readonly atMs: number; readonly kinesisRecord: KinesisRecord }[] {
  const left: { readonly atMs: number; readonly kinesisRecord: KinesisRecord }[] = [];
  const leave = (kinesisRecord: KinesisRecord, atMs: number): void => {
    left.push({ atMs, kinesisRecord });
    if (isRefused(kinesisRecord)) limiter.refused(kinesisRecord, 'throttled', atMs);
  };
  const drainUntil = (untilMs: number): void => {
    for (
      let dueMs = limiter.deadline();
      dueMs <= untilMs && dueMs !== Number.POSITIVE_INFINITY;
      dueMs = limiter.deadline()
    ) {
      for (const kinesisRecord of limiter.expire(dueMs)) leave(kinesisRecord, dueMs);
    }
  };
  for (const { atMs, kinesisRecord } of puts) {
    drainUntil(atMs);
    for (const passed of limiter.put(kinesisRecord, atMs)) leave(passed, atMs);
  }
  drainUntil(Number.POSITIVE_INFINITY);
  return left;
}

const arrivals = fc.array(
  fc.record({
    gapMs: fc.integer({ min: 0, max: 30 }),
    kib: fc.integer({ min: 1, max: 900 }),
    shard: fc.nat(2),
    isRefused: fc.constantFrom(true, false, false, false),
  }),
  { maxLength: 60 },
);

describe('for any arrivals', () => {
  test('each shard keeps within burst and rate in every window, and its order, whatever is refused; everything leaves', () => {
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 50, max: 300 }), (given, rateLimitPercent) => {
        let atMs = 0;
        const refused = new Set<KinesisRecord>();
        const puts = given.map(({ gapMs, kib, shard, isRefused }) => {
          atMs += gapMs;
          const kinesisRecord = loneRecord(`${shard}`, { data: new Uint8Array(kib * 1024) });
          if (isRefused) refused.add(kinesisRecord);
          return { atMs, kinesisRecord };
        });
        const left = run(new Limiter({ rateLimitPercent }), puts, (one) => refused.has(one));
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

test('after a refusal, too, a large one waits until there is room for all of it, not for a quarter of a second of the lower rate', () => {
  const emptied = Array.from({ length: 10 }, () => loneRecord('0', { key: 'k', data: new Uint8Array(MIB - 1) }));
  const large = loneRecord('0', { data: new Uint8Array(198_000) });
  const puts = [...emptied.map((kinesisRecord) => ({ atMs: 0, kinesisRecord })), { atMs: 100, kinesisRecord: large }];
  const limiter = new Limiter({ rateLimitPercent: 100 });
  const left = run(limiter, puts.slice(0, -1));
  expect(left).toHaveLength(10);
  expect(limiter.rates(100)).toEqual([['0', 100]]);
  limiter.refused(emptied[0] as KinesisRecord, 'throttled', 100);
  const [last] = run(limiter, puts.slice(-1));
  expect(last?.atMs).toBeGreaterThanOrEqual(100 + (198_000 - (MIB * 100) / 1000) / (MIB / 1000));
  expect(last?.atMs).toBeLessThan(1_000);
});

test('after a refusal a bucket holds a quarter of a second of the lower rate, and where nobody looked for longer as much as came in, up to a second', () => {
  for (const [lookedAfterMs, share] of [
    [100, 0.25],
    [700, 0.7],
    [5_000, 1],
  ] as const) {
    const limiter = new Limiter({ rateLimitPercent: 100 });
    const sent = Array.from({ length: 1_000 }, () => loneRecord('0'));
    for (const kinesisRecord of sent) limiter.put(kinesisRecord, 0);
    for (const kinesisRecord of sent.slice(0, 500)) limiter.written(kinesisRecord, 1_000);
    limiter.refused(sent[0] as KinesisRecord, 'throttled', 1_000);
    // Looked at every 100 ms, or not at all.
    for (let atMs = 1_000; lookedAfterMs === 100 && atMs < 6_000; atMs += 100) limiter.rates(atMs);
    const atMs = 1_000 + (lookedAfterMs === 100 ? 5_000 : lookedAfterMs);
    const [[, percent] = ['', 0]] = limiter.rates(atMs);
    let passed = 0;
    while (limiter.put(loneRecord('0'), atMs).length > 0) passed++;
    expect(passed / (10 * percent)).toBeGreaterThan(share * 0.85);
    expect(passed / (10 * percent)).toBeLessThan(share * 1.05);
  }
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

test('one that was refused leaves before all that was put after it (KPL limiter.h: by deadline)', () => {
  const limiter = new Limiter({ rateLimitPercent: 100 });
  const refused = loneRecord('0', { nowMs: 0 });
  limiter.put(refused, 0);
  for (let i = 1; i < 1_000; i++) limiter.put(loneRecord('0', { nowMs: 0 }), 0);
  const later = Array.from({ length: 5 }, (_, at) => loneRecord('0', { nowMs: 1 + at }));
  for (const kinesisRecord of later) expect(limiter.put(kinesisRecord, 0)).toEqual([]);
  expect(limiter.put(refused, 0)).toEqual([]);
  expect(limiter.expire(6)).toEqual([refused, ...later]);
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

import { decodeAggregatedRecord, encodeAggregatedRecord } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { userRecord } from '../test/records.ts';
import { Aggregator, type AggregatorOptions, type Prediction } from './aggregator.ts';
import { type KinesisRecord, NO_SHARD } from './batch.ts';
import type { UserRecord } from './user-record.ts';

const DEFAULTS: AggregatorOptions = {
  aggregationEnabled: true,
  aggregationMaxCount: 4_294_967_295,
  aggregationMaxSizeBytes: 51_200,
  togetherMs: 20,
};

function onShard(shardId: string | undefined, waitUntilMs = -1): Prediction {
  const shard = shardId === undefined ? NO_SHARD : Number.parseInt(shardId, 36);
  return { shardId, shard, mapVersion: 1, addressing: 'hash-key', waitUntilMs };
}

const content = fc.record({
  key: fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
  data: fc.uint8Array({ maxLength: 400 }),
  explicitHashKey: fc.option(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), { nil: undefined }),
  shard: fc.integer({ min: 0, max: 2 }),
});

function contentOf({ sequence, partitionKey, explicitHashKey, data, dataBytes, sizeBytes }: UserRecord) {
  return { sequence, partitionKey, explicitHashKey, data: Buffer.from(data).toString('hex'), dataBytes, sizeBytes };
}

describe('for any records', () => {
  test('sizes are exact, limits hold, put order holds, nothing is lost or doubled', () => {
    const limits = fc.record({
      aggregationMaxSizeBytes: fc.integer({ min: 64, max: 2_000 }),
      aggregationMaxCount: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(content, { maxLength: 80 }), limits, (contents, limit) => {
        const aggregator = new Aggregator({ ...DEFAULTS, ...limit });
        const put: ReturnType<typeof contentOf>[][] = [[], [], []];
        const sealed: KinesisRecord[] = [];
        for (const { shard, explicitHashKey, ...rest } of contents) {
          const record = userRecord(explicitHashKey === undefined ? rest : { ...rest, explicitHashKey });
          put[shard]?.push(contentOf(record));
          sealed.push(...aggregator.put(record, onShard(`${shard}`), 0));
        }
        sealed.push(...aggregator.flush());
        for (const [shard, records] of put.entries()) {
          const packed = sealed.filter(({ shardId }) => shardId === `${shard}`).flatMap((one) => one.records);
          expect(packed.map(contentOf)).toEqual(records);
        }
        for (const kinesisRecord of sealed) {
          const { data, partitionKey } = kinesisRecord.entry();
          expect(kinesisRecord.sizeBytes).toBe(data.length + Buffer.byteLength(partitionKey ?? ''));
          expect(kinesisRecord.count).toBeLessThanOrEqual(limit.aggregationMaxCount);
          if (kinesisRecord.aggregated) expect(data.length).toBeLessThanOrEqual(limit.aggregationMaxSizeBytes);
          for (const record of kinesisRecord.records) expect(record.carrier).toBe(kinesisRecord);
        }
        expect(aggregator.deadline()).toBe(Number.POSITIVE_INFINITY);
      }),
      { numRuns: 200 },
    );
  });

  test('fills as far as it goes: no record could have joined the one before it', () => {
    fc.assert(
      fc.property(fc.array(content, { minLength: 2, maxLength: 60 }), (contents) => {
        const aggregator = new Aggregator({ ...DEFAULTS, aggregationMaxSizeBytes: 1_000 });
        const sealed: KinesisRecord[] = [];
        for (const { key, data } of contents) {
          sealed.push(...aggregator.put(userRecord({ key, data }), onShard('0'), 0));
        }
        sealed.push(...aggregator.flush());
        for (let i = 1; i < sealed.length; i++) {
          const joined = [...(sealed[i - 1]?.records ?? []), ...(sealed[i]?.records.slice(0, 1) ?? [])];
          const full = encodeAggregatedRecord(sealed[i - 1]?.records ?? []).length >= 1_000;
          expect(full || encodeAggregatedRecord(joined).length > 1_000).toBe(true);
        }
      }),
    );
  });
});

describe('what is sent', () => {
  test('for two or more is the aggregated record, under key "a" and the hash key of the first', () => {
    const aggregator = new Aggregator(DEFAULTS);
    aggregator.put(userRecord({ key: 'pk', data: 'a' }), onShard('0'), 0);
    aggregator.put(userRecord({ key: 'other', data: 'b', explicitHashKey: 5n }), onShard('0'), 0);
    const [sealed] = aggregator.flush();
    expect(sealed?.entry()).toMatchObject({
      partitionKey: 'a',
      explicitHashKey: '38317986088707300215492326132921849533',
    });
    expect(decodeAggregatedRecord(sealed?.entry().data ?? new Uint8Array())).toMatchObject({
      kind: 'aggregated',
      records: [{ partitionKey: 'pk' }, { partitionKey: 'other', explicitHashKey: 5n }],
    });
  });

  test('for one is the record itself, under its own key, always with a hash key', () => {
    const aggregator = new Aggregator(DEFAULTS);
    aggregator.put(userRecord({ key: 'pk', data: 'hello' }), onShard('0'), 0);
    const entry = aggregator.flush()[0]?.entry();
    expect(entry).toMatchObject({
      partitionKey: 'pk',
      explicitHashKey: '38317986088707300215492326132921849533',
    });
    expect(Buffer.from(entry?.data ?? []).toString()).toBe('hello');
  });

  test('leaves out what has expired, down to a lone record', () => {
    const aggregator = new Aggregator(DEFAULTS);
    aggregator.put(userRecord({ key: 'a', data: '1' }), onShard('0'), 0);
    aggregator.put(userRecord({ key: 'b', data: '2' }), onShard('0'), 0);
    const [sealed] = aggregator.flush();
    sealed?.entry();
    const [first] = sealed?.records ?? [];
    if (first !== undefined) first.settled = true;
    if (sealed !== undefined) sealed.liveCount--;
    sealed?.prune();
    expect(sealed?.entry().partitionKey).toBe('b');
    expect(sealed?.sizeBytes).toBe(2);
  });
});

describe('time', () => {
  test('seals when the first record is due, and with it what is nearly due', () => {
    const aggregator = new Aggregator(DEFAULTS);
    aggregator.put(userRecord({ nowMs: 0 }), onShard('a'), 0);
    aggregator.put(userRecord({ nowMs: 15 }), onShard('b'), 15);
    aggregator.put(userRecord({ nowMs: 50 }), onShard('c'), 50);
    expect(aggregator.deadline()).toBe(100);
    expect(aggregator.expire(99)).toEqual([]);
    expect(aggregator.expire(100).map(({ shardId }) => shardId)).toEqual(['a', 'b']);
    expect(aggregator.deadline()).toBe(150);
  });

  test('those opened first leave first, whatever their shards', () => {
    const aggregator = new Aggregator(DEFAULTS);
    for (const shard of ['b', 'c', 'a', 'b']) aggregator.put(userRecord(), onShard(shard), 0);
    expect(aggregator.expire(100).map(({ shardId }) => shardId)).toEqual(['b', 'c', 'a']);
    for (const shard of ['c', 'b', 'a']) aggregator.put(userRecord(), onShard(shard), 100);
    expect(aggregator.flush().map(({ shardId }) => shardId)).toEqual(['c', 'b', 'a']);
    for (const shard of ['c', 'a', 'b']) aggregator.put(userRecord(), onShard(shard), 100);
    expect(aggregator.drain(1).map(({ shardId }) => shardId)).toEqual(['c', 'a', 'b']);
  });

  test('nothing leaves early because a sealed record had been due', () => {
    const aggregator = new Aggregator({ ...DEFAULTS, aggregationMaxCount: 2 });
    aggregator.put(userRecord({ nowMs: 0 }), onShard('a'), 0);
    aggregator.put(userRecord({ nowMs: 90 }), onShard('b'), 90);
    expect(aggregator.put(userRecord({ nowMs: 91 }), onShard('a'), 91)).toHaveLength(1);
    expect(aggregator.expire(100)).toEqual([]);
    expect(aggregator.deadline()).toBe(190);
  });

  test('without a shard a record waits for the map as long as it may, then travels alone', () => {
    const aggregator = new Aggregator(DEFAULTS);
    expect(aggregator.put(userRecord({ key: 'x' }), onShard(undefined, 1_000), 0)).toEqual([]);
    aggregator.put(userRecord({ key: 'y' }), onShard(undefined, 1_000), 0);
    expect(aggregator.flush()).toEqual([]);
    expect(aggregator.deadline()).toBe(1_000);
    expect(aggregator.expire(1_000).map(({ records }) => records.length)).toEqual([1, 1]);
    expect(aggregator.put(userRecord({ key: 'z' }), onShard(undefined, 1_000), 1_001)).toHaveLength(1);
  });

  test('gives everything back when the shard map changes', () => {
    const aggregator = new Aggregator(DEFAULTS);
    aggregator.put(userRecord({ key: 'x' }), onShard('a'), 0);
    aggregator.put(userRecord({ key: 'y' }), onShard(undefined, 1_000), 0);
    expect(aggregator.drain(1).flatMap(({ records }) => records.map(({ partitionKey }) => partitionKey))).toEqual([
      'x',
      'y',
    ]);
    expect(aggregator.openCount).toBe(0);
    expect(aggregator.deadline()).toBe(Number.POSITIVE_INFINITY);
  });
});

test('switched off, every record travels alone at once, with its predicted shard', () => {
  const aggregator = new Aggregator({ ...DEFAULTS, aggregationEnabled: false });
  const [sealed] = aggregator.put(userRecord(), onShard('a'), 0);
  expect(sealed).toMatchObject({ shardId: 'a', aggregated: false });
});

describe('user records whose keys are under way', () => {
  function waitingCount(shardCount: number): number {
    const aggregator = new Aggregator(DEFAULTS);
    aggregator.drain(shardCount);
    for (let index = 0; index < 100; index++) {
      const record = userRecord({ key: `key-${index}` });
      const there = aggregator.waitingWith(record, 0);
      if (there === undefined || aggregator.fitsWaiting(record, there))
        aggregator.putWaiting(record, onShard('0'), there);
    }
    return [...aggregator.growing()].length;
  }

  test('wait in up to eight Kinesis records a shard, by their keys, and in fewer where there are many shards', () => {
    expect([1, 128, 129, 512, 513, 10_000].map(waitingCount)).toEqual([8, 8, 4, 2, 1, 1]);
  });

  test('that are alone in theirs join what is open when they may leave; of two that are full enough the fuller one leaves', () => {
    const aggregator = new Aggregator(DEFAULTS);
    const put = (data: string): void => void aggregator.put(userRecord({ data }), onShard('0'), 0);
    const wait = (data: string, count: number): KinesisRecord => {
      for (let index = 0; index < count; index++) {
        const record = userRecord({ data });
        const there = aggregator.waitingWith(record, 0);
        expect(there === undefined || aggregator.fitsWaiting(record, there)).toBe(true);
        aggregator.putWaiting(record, onShard('0'), there);
      }
      return aggregator.waitingWith(userRecord(), 0) as KinesisRecord;
    };
    const first = wait('x'.repeat(2_000), 5);
    expect(aggregator.mayLeave(first, false)).toEqual({});
    expect(first.phase).toBe('open');
    const small = wait('x'.repeat(1_000), 2);
    expect(aggregator.mayLeave(small, false)).toEqual({ apart: small });
    aggregator.forget(small);
    const fuller = wait('x'.repeat(2_000), 6);
    expect(aggregator.mayLeave(fuller, false)).toEqual({ sealed: fuller });
    const emptier = wait('x'.repeat(2_000), 4);
    expect(aggregator.mayLeave(emptier, false)).toEqual({ sealed: first });
    expect([...aggregator.growing()]).toEqual([emptier]);
    const flushed = wait('x', 2);
    expect(aggregator.mayLeave(flushed, true)).toEqual({ sealed: flushed });
    put('y');
    expect([...aggregator.growing()]).toEqual([emptier]);
  });
});

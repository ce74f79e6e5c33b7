import { describe, expect, test } from 'vitest';
import { Bench, shards, throttled } from '../test/pipeline-bench.ts';
import type { UserRecord } from './user-record.ts';

/** Each leaves by itself, and has no room for another one. */
const FULL = { aggregationMaxSizeBytes: 200, collectionMaxCount: 1 } as const;
const full = 'x'.repeat(150);

function answerAll(bench: Bench, nowMs: number, shardId = 'shard-0'): void {
  for (let due = bench.pipeline.deadline(); due <= nowMs; due = bench.pipeline.deadline())
    bench.do(bench.pipeline.expire(nowMs));
  while (bench.waitingCount > 0) {
    const { requestId, entries } = bench.begin(nowMs);
    if (entries.length > 0)
      bench.answer(requestId, { kind: 'answered', entries: entries.map(() => bench.written(shardId)) }, nowMs);
  }
}

describe('records whose keys are under way', () => {
  test('wait together, and leave as one Kinesis record in put order when what they wait for has settled', () => {
    const bench = new Bench({ collectionMaxCount: 1 });
    const keys = keysOfOneGroup();
    for (const key of keys) bench.put({ key });
    bench.do(bench.pipeline.flush(0));
    const first = bench.begin(0);
    const later = [...keys, ...keys].map((key) => bench.put({ key, nowMs: 1 }));
    expect(bench.pipeline.deadline()).toBeGreaterThan(101);
    bench.answer(first.requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 10);
    bench.do(bench.pipeline.expire(101));
    expect(bench.waitingCount).toBe(1);
    answerAll(bench, 101);
    expect(bench.delivered.slice(2)).toEqual(later.map(({ sequence }) => sequence));
  });

  test('are as many as there is room for in one, and then in the next behind it', () => {
    const bench = new Bench(FULL);
    const [first, second, third] = [1, 2, 3].map(() => bench.put({ key: 'hot', data: full }));
    expect(second?.carrier?.phase).toBe('waiting');
    expect(third?.carrier?.phase).toBe('waiting');
    expect(first?.carrier?.followers).toEqual([second?.carrier]);
    expect(second?.carrier?.followers).toEqual([third?.carrier]);
    answerAll(bench, 100);
    expect(bench.delivered).toEqual([first?.sequence, second?.sequence, third?.sequence]);
  });

  test('wait for the keys of their company no longer than for company', () => {
    const bench = new Bench({ collectionMaxCount: 1, aggregationMaxSizeBytes: 2_000 });
    // Keys of one group; each first record in a Kinesis record of its own.
    const [one, other] = keysOfOneGroup();
    bench.put({ key: one });
    bench.do(bench.pipeline.flush(0));
    const quick = bench.begin(0);
    bench.put({ key: other });
    bench.do(bench.pipeline.flush(0));
    const slow = bench.begin(0);
    const free = bench.put({ key: one, nowMs: 1 });
    const bound = bench.put({ key: other, nowMs: 1 });
    expect(free.isOver).toBe(true);
    expect(bound.isOver).toBe(true);
    bench.answer(quick.requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 10);
    expect(bench.pipeline.deadline()).toBe(110);
    answerAll(bench, 109);
    expect(bench.delivered).toHaveLength(1);
    answerAll(bench, 110);
    expect(bench.delivered.at(-1)).toBe(free.sequence);
    bench.answer(slow.requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 120);
    answerAll(bench, 220);
    expect(bench.delivered.at(-1)).toBe(bound.sequence);
  });

  test('go behind what they wait for also when that is placed anew', () => {
    const bench = new Bench(FULL);
    const [first] = [1, 2].map(() => bench.put({ key: 'hot', data: full })) as [UserRecord, UserRecord];
    const { requestId } = bench.begin(0);
    bench.answer(requestId, { kind: 'answered', entries: [throttled] }, 0);
    bench.put({ key: 'hot', nowMs: 1 });
    bench.do(bench.pipeline.shardsListed(shards(1, 1), 2));
    for (const nowMs of [100, 200, 300]) answerAll(bench, nowMs, 'shard-1');
    expect(bench.delivered).toEqual([first.sequence, first.sequence + 1, first.sequence + 2]);
  });

  test('expire where they wait, while what they wait for is awaited', () => {
    const bench = new Bench(FULL);
    const first = bench.put({ key: 'hot', data: full, recordTtlMs: 100, bufferedTimeMs: 0 });
    bench.do(bench.pipeline.expire(0));
    const { requestId } = bench.begin(0);
    const late = [1, 2, 3].map(() => bench.put({ key: 'hot', data: 'x', nowMs: 1, recordTtlMs: 100 }));
    for (let due = bench.pipeline.deadline(); due <= 101; due = bench.pipeline.deadline())
      bench.do(bench.pipeline.expire(due));
    expect(bench.failed).toEqual(late.map(({ sequence }) => ({ sequence, code: 'EXPIRED' })));
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 110);
    expect(bench.delivered).toEqual([first.sequence]);
  });

  test('that are few join others of their shard that may leave', () => {
    const bench = new Bench({ collectionMaxCount: 1 });
    bench.put({ key: 'a' });
    bench.do(bench.pipeline.flush(0));
    const { requestId } = bench.begin(0);
    const waiting = [1, 2].map(() => bench.put({ key: 'a', nowMs: 1 }));
    const others = ['b', 'c', 'd', 'e'].map((key) => bench.put({ key, nowMs: 1, data: 'x'.repeat(100) }));
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 10);
    bench.do(bench.pipeline.expire(101));
    expect(bench.begin(101).entries).toHaveLength(1);
    expect(bench.waitingCount).toBe(0);
    expect([...waiting, ...others].every(({ isOver }) => isOver)).toBe(true);
  });

  test('leave at once where they were flushed', () => {
    const bench = new Bench({ collectionMaxCount: 1 });
    bench.put({ key: 'a' });
    bench.do(bench.pipeline.flush(0));
    const { requestId } = bench.begin(0);
    const waiting = bench.put({ key: 'a', nowMs: 1 });
    bench.do(bench.pipeline.flush(2));
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 10);
    expect(bench.begin(10).entries).toHaveLength(1);
    expect(waiting.carrier?.phase).toBe('in-flight');
  });
});

/** Two that wait in one Kinesis record. */
function keysOfOneGroup(): [string, string] {
  const bench = new Bench({ collectionMaxCount: 1 });
  const keys = Array.from({ length: 32 }, (_, index) => `key-${index}`);
  for (const key of keys) bench.put({ key });
  bench.do(bench.pipeline.flush(0));
  bench.begin(0);
  const carriers = new Map<unknown, string>();
  for (const key of keys) {
    const { carrier } = bench.put({ key });
    const other = carriers.get(carrier);
    if (other !== undefined) return [other, key];
    carriers.set(carrier, key);
  }
  throw new Error('no two keys wait together');
}

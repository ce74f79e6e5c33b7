import { readFileSync } from 'node:fs';
import { decodeAggregatedRecord, type HashKeyRange, hashKeyOf, rangeContains } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { Bench, DEFAULTS, lost, shards, throttled } from '../test/pipeline-bench.ts';
import { type RecordOptions, userRecord } from '../test/records.ts';
import { Aggregator } from './aggregator.ts';
import type { Answer, Entry } from './batch.ts';
import { Pipeline } from './pipeline.ts';
import type { UserRecord } from './user-record.ts';

function sequences(records: readonly UserRecord[]): number[] {
  return records.map(({ sequence }) => sequence);
}

interface GoldenCase {
  readonly case: string;
  readonly aggregationMaxSize: number;
  readonly partitionKey: string;
  readonly explicitHashKey: string;
  readonly userRecords: readonly { partitionKey: string; explicitHashKey: string | null; data: string }[];
  readonly blob: string;
}

const golden: { readonly cases: readonly GoldenCase[] } = JSON.parse(
  readFileSync(new URL('../../common/test/fixtures/kpl-golden.json', import.meta.url), 'utf8'),
);

describe("what the KPL made of the same records (captured from the native KPL 1.1.1's requests)", () => {
  test.each(golden.cases.map((one, index) => [`${index} ${one.case}`, one] as const))('%s', (_, one) => {
    const bench = new Bench({ aggregationMaxSizeBytes: one.aggregationMaxSize });
    for (const { partitionKey, explicitHashKey, data } of one.userRecords) {
      const given = explicitHashKey === null ? {} : { explicitHashKey };
      bench.put({ key: partitionKey, data: Buffer.from(data, 'base64'), ...given });
    }
    bench.do(bench.pipeline.flush(0));
    const { entries } = bench.begin(0);
    expect(entries).toHaveLength(1);
    expect(Buffer.from(entries[0]?.data ?? []).toString('base64')).toBe(one.blob);
    expect(entries[0]).toMatchObject({ partitionKey: one.partitionKey, explicitHashKey: one.explicitHashKey });
  });
});

describe('order of a key', () => {
  test('a record waits while its key is in flight, others do not; then it moves up', () => {
    const bench = new Bench({ aggregationEnabled: false, collectionMaxCount: 1 });
    const first = bench.put({ key: 'hot', data: '1' });
    const second = bench.put({ key: 'hot', data: '2' });
    const other = bench.put({ key: 'cold', data: '3' });
    expect(bench.waitingCount).toBe(2);
    const { requestId } = bench.begin(1);
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 2);
    expect(bench.delivered).toEqual([first?.sequence]);
    expect([other.carrier?.phase, second.carrier?.phase]).toEqual(['requested', 'requested']);
  });

  test('joins the open aggregated record of its key; after that is full and sealed it waits', () => {
    const bench = new Bench({ aggregationMaxSizeBytes: 200 });
    const joined = [1, 2].map(() => bench.put({ key: 'hot', data: 'x'.repeat(60) }));
    const late = bench.put({ key: 'hot', data: 'x'.repeat(60) });
    expect(new Set(joined.map((record) => record.carrier)).size).toBe(1);
    expect(joined[0]?.carrier?.phase).not.toBe('open');
    expect(late.carrier?.phase).toBe('waiting');
    expect(joined[0]?.carrier?.followers).toEqual([late.carrier]);
  });

  test('whoever waits for a sealed record makes it leave at once instead of at its due time', () => {
    const bench = new Bench({ aggregationMaxSizeBytes: 200 });
    for (let i = 0; i < 3; i++) bench.put({ key: 'hot', data: 'x'.repeat(60) });
    expect(bench.pipeline.deadline()).toBe(0);
    bench.do(bench.pipeline.expire(0));
    expect(bench.begin(0).entries).toHaveLength(1);
  });

  test('is kept through a retry: the throttled record goes first', () => {
    const bench = new Bench({ aggregationEnabled: false, collectionMaxCount: 1 });
    const records = [1, 2, 3].map((number) => bench.put({ key: 'hot', data: `${number}` }));
    const first = bench.begin(0);
    bench.answer(first.requestId, { kind: 'answered', entries: [throttled] }, 10);
    expect(bench.waitingCount).toBe(0);
    expect(bench.pipeline.deadline()).toBe(60);
    bench.do(bench.pipeline.expire(60));
    const again = bench.begin(60);
    expect(again.entries).toEqual(first.entries);
    bench.answer(again.requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 70);
    expect(bench.delivered).toEqual(sequences(records.slice(0, 1)));
    expect(Buffer.from(bench.begin(70).entries[0]?.data ?? []).toString()).toBe('2');
  });
});

describe('time to live', () => {
  test('no attempt begins at or after it, also not of a request that waited for its turn', () => {
    const bench = new Bench({ aggregationEnabled: false });
    const record = bench.put({ recordTtlMs: 100, bufferedTimeMs: 0 });
    bench.do(bench.pipeline.expire(0));
    expect(bench.begin(100).entries).toEqual([]);
    expect(bench.failed).toEqual([{ sequence: record.sequence, code: 'EXPIRED' }]);
  });

  test('a request in flight is awaited, and may still succeed', () => {
    const bench = new Bench({ aggregationEnabled: false });
    const record = bench.put({ recordTtlMs: 100, bufferedTimeMs: 0 });
    bench.do(bench.pipeline.expire(0));
    const { requestId } = bench.begin(99);
    bench.do(bench.pipeline.expire(5_000));
    expect(bench.failed).toEqual([]);
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 6_000);
    expect(bench.delivered).toEqual([record.sequence]);
  });

  test('over when a lost answer comes back: fails, and says that it may be written', () => {
    const bench = new Bench({ aggregationEnabled: false });
    const record = bench.put({ recordTtlMs: 100, bufferedTimeMs: 0 });
    bench.do(bench.pipeline.expire(0));
    bench.answer(bench.begin(50).requestId, lost, 6_050);
    expect(bench.failed).toEqual([{ sequence: record.sequence, code: 'EXPIRED' }]);
    expect(record.mayBeWritten).toBe(true);
  });

  test('ends the wait of held, limited and backing-off records alike, each at its own time', () => {
    const bench = new Bench({ aggregationEnabled: false, collectionMaxCount: 1 });
    bench.put({ key: 'hot', recordTtlMs: 100 });
    bench.put({ key: 'hot', recordTtlMs: 100, nowMs: 10 });
    bench.answer(bench.begin(20).requestId, { kind: 'answered', entries: [throttled] }, 90, 0.999);
    bench.do(bench.pipeline.expire(100));
    expect(bench.failed).toHaveLength(1);
    expect(bench.pipeline.deadline()).toBeLessThanOrEqual(110);
    bench.do(bench.pipeline.expire(110));
    expect(bench.failed.map(({ code }) => code)).toEqual(['EXPIRED', 'EXPIRED']);
  });
});

describe('a split', () => {
  /** Two records, of the lower and the upper half, in one aggregated record that is in flight. */
  function split(): { bench: Bench; records: UserRecord[]; requestId: number } {
    const bench = new Bench();
    const records = [0n, 2n ** 128n - 1n].map((explicitHashKey) => bench.put({ key: 'k', explicitHashKey }));
    bench.do(bench.pipeline.flush(0));
    return { bench, records, requestId: bench.begin(1_000).requestId };
  }

  test('makes every record of a straddling aggregate be sent again, to its own child, as a duplicate', () => {
    const { bench, records, requestId } = split();
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-1')] }, 1_010);
    expect(bench.delivered).toEqual([]);
    expect(bench.listingCount).toBe(2);
    bench.do(bench.pipeline.shardsListed(shards(2, 1), 1_020));
    bench.do(bench.pipeline.expire(1_020));
    const again = bench.begin(1_020);
    expect(again.entries.map(({ explicitHashKey }) => explicitHashKey)).toEqual(['0', String(2n ** 128n - 1n)]);
    const entries = [bench.written('shard-1'), bench.written('shard-2')];
    bench.answer(again.requestId, { kind: 'answered', entries }, 1_030);
    expect(bench.delivered).toEqual(sequences(records));
    expect(records.map(({ mayBeWritten, attempts }) => [mayBeWritten, attempts[0]?.errorCode])).toEqual([
      [true, 'Wrong Shard'],
      [true, 'Wrong Shard'],
    ]);
  });

  test('of which the aggregate lies within one child costs no duplicate: it is decided once the list is read', () => {
    const bench = new Bench();
    const records = [1n, 2n].map((explicitHashKey) => bench.put({ key: 'k', explicitHashKey }));
    bench.do(bench.pipeline.flush(0));
    const { requestId } = bench.begin(1_000);
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-1')] }, 1_010);
    expect(bench.delivered).toEqual([]);
    bench.do(bench.pipeline.shardsListed(shards(2, 1), 1_020));
    expect(bench.delivered).toEqual(sequences(records));
  });

  test('is resent one by one when the list can not be read', () => {
    const { bench, requestId } = split();
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-1')] }, 1_010);
    bench.do(bench.pipeline.listingFailed(1_020));
    const again = bench.begin(1_020);
    expect(again.entries.map(({ partitionKey }) => partitionKey)).toEqual(['k', 'k']);
  });

  test('takes an aggregate that has not left yet apart before it leaves', () => {
    const bench = new Bench();
    for (const explicitHashKey of [0n, 2n ** 128n - 1n]) bench.put({ key: 'k', explicitHashKey });
    bench.do(bench.pipeline.flush(0));
    bench.do(bench.pipeline.shardsListed(shards(2, 1), 500));
    expect(bench.begin(500).entries).toEqual([]);
    bench.do(bench.pipeline.expire(500));
    const { entries } = bench.begin(500);
    expect(entries.map(({ explicitHashKey }) => explicitHashKey)).toEqual(
      expect.arrayContaining(['0', String(2n ** 128n - 1n)]),
    );
  });
});

describe('without a shard map', () => {
  test('records wait for it and then travel together, in put order', () => {
    const bench = new Bench({}, 0);
    for (const key of ['a', 'b', 'a', 'c']) bench.put({ key, data: key, nowMs: 10 });
    bench.do(bench.pipeline.expire(500));
    expect(bench.waitingCount).toBe(0);
    bench.do(bench.pipeline.shardsListed(shards(1), 600));
    bench.do(bench.pipeline.expire(600));
    expect(bench.begin(600).entries).toHaveLength(1);
  });

  test('but not for longer than a second', () => {
    const bench = new Bench({}, 0);
    for (const key of ['a', 'b']) bench.put({ key, nowMs: 10 });
    expect(bench.pipeline.deadline()).toBe(1_000);
    bench.do(bench.pipeline.expire(1_000));
    expect(bench.begin(1_000).entries.map(({ partitionKey }) => partitionKey)).toEqual(['a', 'b']);
  });

  test('nor when the application waits for room', () => {
    const bench = new Bench({}, 0);
    bench.put({ key: 'a', nowMs: 10 });
    bench.pipeline.pressed = true;
    bench.do(bench.pipeline.expire(1_000));
    expect(bench.begin(1_000).entries).toHaveLength(1);
  });

  test('that can not be read they travel alone, when they are due', () => {
    const bench = new Bench({}, 0);
    bench.do(bench.pipeline.listingFailed(0));
    for (const key of ['a', 'b']) bench.put({ key, nowMs: 10 });
    expect(bench.pipeline.deadline()).toBe(110);
    bench.do(bench.pipeline.expire(110));
    expect(bench.begin(110).entries).toHaveLength(2);
  });
});

describe('when records leave', () => {
  test('a lone record leaves after recordMaxBufferedTimeMs, no later', () => {
    const bench = new Bench();
    bench.put({ nowMs: 10 });
    expect(bench.pipeline.deadline()).toBe(110);
    bench.do(bench.pipeline.expire(110));
    expect(bench.waitingCount).toBe(1);
  });

  test('flush sends what waits, and what was held before it as soon as it may', () => {
    const bench = new Bench({ aggregationEnabled: false, collectionMaxCount: 2 });
    bench.put({ key: 'hot' });
    bench.put({ key: 'hot' });
    bench.do(bench.pipeline.flush(0));
    bench.answer(bench.begin(0).requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 5);
    expect(bench.waitingCount).toBe(1);
  });

  test('an application that waits for room hastens everything once nothing else is under way', () => {
    const bench = new Bench();
    bench.put({ nowMs: 0 });
    bench.pipeline.pressed = true;
    expect(bench.pipeline.deadline()).toBe(Number.NEGATIVE_INFINITY);
    bench.do(bench.pipeline.expire(1));
    expect(bench.waitingCount).toBe(1);
    expect(bench.pipeline.deadline()).toBeGreaterThan(1);
  });

  test('with all requests taken, what is due waits for company; what is full does not', () => {
    const bench = new Bench({ aggregationEnabled: false, maxRequestsInFlight: 1, collectionMaxCount: 2 });
    bench.put({ key: 'a', bufferedTimeMs: 0 });
    bench.do(bench.pipeline.expire(0));
    bench.put({ key: 'b', bufferedTimeMs: 0 });
    bench.do(bench.pipeline.expire(10));
    expect(bench.waitingCount).toBe(1);
    bench.put({ key: 'c', bufferedTimeMs: 0 });
    expect(bench.waitingCount).toBe(2);
  });
});

describe('the digest of an aggregated record', () => {
  /** Of each entry, how many user records are read out of it; 0 of one that is none. */
  function countsIn(entries: readonly Entry[]): number[] {
    return entries.map(({ data }) => {
      const decoded = decodeAggregatedRecord(data);
      return decoded.kind === 'aggregated' ? decoded.records.length : 0;
    });
  }

  /** Of a Kinesis record for each shard, every other one with explicit hash keys. */
  function putOnEach(bench: Bench, shardCount: number, options: RecordOptions = {}): void {
    for (const [index, { range }] of shards(shardCount).entries()) {
      const keys = range.start + 1n;
      for (let number = 0; number < 2 + index; number++) {
        const data = `${number}`.repeat(index * 40);
        const given = index % 2 === 0 ? { explicitHashKey: keys } : { key: keyWithin(range, number) };
        bench.put({ key: 'k', data, ...given, ...options });
      }
    }
  }

  function keyWithin(range: HashKeyRange, number: number): string {
    for (let tried = 0; ; tried++) {
      const key = `${number}-${tried}`;
      if (rangeContains(range, hashKeyOf(key))) return key;
    }
  }

  test('is there in every entry of a request', () => {
    const bench = new Bench({}, 13);
    putOnEach(bench, 13);
    bench.do(bench.pipeline.flush(0));
    expect(countsIn(bench.begin(0).entries)).toEqual(Array.from({ length: 13 }, (_, index) => 2 + index));
  });

  test('is written once: what is sent again are the same bytes, whoever has touched them', () => {
    const bench = new Bench({}, 3);
    putOnEach(bench, 3);
    bench.do(bench.pipeline.flush(0));
    const first = bench.begin(0);
    for (const { data } of first.entries) data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
    const entries = [throttled, bench.written('shard-1'), throttled];
    bench.answer(first.requestId, { kind: 'answered', entries }, 10, 0);
    bench.do(bench.pipeline.expire(2_000));
    const again = bench.begin(2_000);
    expect(again.entries.map(({ data }) => data)).toEqual([first.entries[0]?.data, first.entries[2]?.data]);
    expect(countsIn(again.entries)).toEqual([0, 0]);
  });

  test('is that of those left, where some have expired before they were sent', () => {
    const bench = new Bench({}, 2);
    for (const recordTtlMs of [100, 30_000]) putOnEach(bench, 2, { recordTtlMs });
    bench.do(bench.pipeline.flush(0));
    expect(countsIn(bench.begin(200).entries)).toEqual([2, 3]);
  });

  test('is that of the new ones, where an aggregated record is taken apart before it leaves', () => {
    const bench = new Bench();
    putOnEach(bench, 2);
    bench.do(bench.pipeline.flush(0));
    bench.do(bench.pipeline.shardsListed(shards(2, 1), 500));
    expect(bench.begin(500).entries).toEqual([]);
    bench.do(bench.pipeline.expire(600));
    expect(countsIn(bench.begin(600).entries)).toEqual([2, 3]);
  });
});

describe('failing', () => {
  test('for good fails every record of the request, and what they kept back goes on', () => {
    const bench = new Bench({ aggregationEnabled: false, collectionMaxCount: 1 });
    bench.put({ key: 'hot' });
    bench.put({ key: 'hot' });
    const { requestId } = bench.begin(0);
    bench.answer(requestId, { ...lost, errorCode: 'ResourceNotFoundException', permanent: 'STREAM_NOT_FOUND' }, 1);
    expect(bench.failed.map(({ code }) => code)).toEqual(['STREAM_NOT_FOUND']);
    expect(bench.waitingCount).toBe(1);
  });

  test('abandoning fails what waits and what is in flight, once; a late answer changes nothing', () => {
    const bench = new Bench({ aggregationEnabled: false, collectionMaxCount: 1 });
    const inFlight = bench.put({ key: 'hot' });
    const held = bench.put({ key: 'hot' });
    const { requestId } = bench.begin(0);
    bench.do(bench.pipeline.abandon({ code: 'CLOSED', message: 'closed', retryable: true }));
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 1);
    expect(new Set(bench.failed.map(({ sequence }) => sequence))).toEqual(new Set(sequences([inFlight, held])));
    expect(bench.delivered).toEqual([]);
    expect([inFlight.mayBeWritten, held.mayBeWritten]).toEqual([true, false]);
  });
});

test('a user record that expired out of an aggregated record leaves its key free', () => {
  const bench = new Bench({ aggregationMaxCount: 2 });
  bench.put({ key: 'short', recordTtlMs: 100 });
  const other = bench.put({ key: 'long', recordTtlMs: 30_000 });
  bench.do(bench.pipeline.flush(0));
  bench.answer(bench.begin(0).requestId, { kind: 'answered', entries: [throttled] }, 10, 0.999);
  bench.do(bench.pipeline.expire(200));
  const { requestId, entries } = bench.begin(200);
  expect(entries.map(({ partitionKey }) => partitionKey)).toEqual(['long']);
  bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-0')] }, 210);
  expect(bench.delivered).toEqual([other.sequence]);
  expect(bench.put({ key: 'short', nowMs: 220 }).carrier?.phase).toBe('open');
});

describe('a request that Kinesis will not take', () => {
  const invalid: Answer = {
    ...lost,
    errorCode: 'ValidationException',
    written: 'no',
    permanent: 'REQUEST_FAILED',
  };

  /** Answers until nothing waits: a request with a bad record is refused. */
  function serve(bench: Bench, isBad: (entry: Entry) => boolean): number {
    let requestCount = 0;
    for (; bench.waitingCount > 0; requestCount++) {
      const { requestId, entries } = bench.begin(200);
      if (entries.length === 0) continue;
      const answer: Answer = entries.some(isBad)
        ? invalid
        : { kind: 'answered', entries: entries.map(() => bench.written('shard-0')) };
      bench.answer(requestId, answer, 210);
    }
    return requestCount;
  }

  test.each([1, 2, 499, 500])('goes again in halves, so that of %i records the bad one alone fails', (count) => {
    for (const bad of [0, count >> 1, count - 1]) {
      const bench = new Bench({ aggregationEnabled: false });
      const records = Array.from({ length: count }, (_, number) => bench.put({ key: `${number}`, nowMs: 0 }));
      bench.do(bench.pipeline.flush(0));
      const requestCount = serve(bench, ({ partitionKey }) => partitionKey === `${bad}`);
      expect(requestCount).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(count)));
      expect(bench.failed.map(({ sequence }) => sequence)).toEqual([records[bad]?.sequence]);
      expect(new Set(bench.delivered)).toEqual(new Set(sequences(records.filter((_, number) => number !== bad))));
    }
  });

  test('fails whole when it is not for a single record, after a bounded number of requests', () => {
    const bench = new Bench({ aggregationEnabled: false });
    for (let number = 0; number < 500; number++) bench.put({ key: `${number}`, nowMs: 0 });
    bench.do(bench.pipeline.flush(0));
    expect(serve(bench, () => true)).toBeLessThan(100);
    expect([bench.failed.length, bench.delivered.length]).toEqual([500, 0]);
  });

  test('no half begins for records whose time is over', () => {
    const bench = new Bench({ aggregationEnabled: false });
    const records = ['a', 'b'].map((key) => bench.put({ key, nowMs: 0, recordTtlMs: 205 }));
    bench.do(bench.pipeline.flush(0));
    serve(bench, () => true);
    expect(bench.failed).toEqual(records.map(({ sequence }) => ({ sequence, code: 'EXPIRED' })));
  });
});

test('while there is no record nothing is asked about the stream; what is overdue is asked with the next put', () => {
  const options = { recordDistributionStrategyDefault: undefined, describeStreamSummaryIntervalMs: 1_000 };
  const bench = new Bench(options, 0);
  expect(bench).toMatchObject({ listingCount: 1, describingCount: 1 });
  bench.do(bench.pipeline.listingFailed(10));
  bench.do(bench.pipeline.described({ strategy: undefined, isUpdating: true }, 10));
  expect(bench.pipeline.deadline()).toBe(Number.POSITIVE_INFINITY);
  bench.put({ nowMs: 3_600_000 });
  expect(bench.pipeline.deadline()).toBeLessThanOrEqual(3_600_000);
  bench.do(bench.pipeline.expire(3_600_000));
  expect(bench).toMatchObject({ listingCount: 2, describingCount: 2 });
});

describe('the strategy of the stream', () => {
  const asking = { recordDistributionStrategyDefault: undefined };
  const auto = { strategy: 'AUTO', isUpdating: false } as const;
  const byKeys = { strategy: undefined, isUpdating: false } as const;
  const keysOf = (entries: readonly Entry[]) =>
    entries.map(({ partitionKey, explicitHashKey }) => [partitionKey, explicitHashKey]);

  test('on an AUTO stream nothing is aggregated, and no hash key is sent, not even a given one', () => {
    const bench = new Bench(asking);
    expect(bench.describingCount).toBe(1);
    bench.do(bench.pipeline.described(auto, 0));
    bench.put({ key: 'a', nowMs: 0 });
    bench.put({ key: 'b', explicitHashKey: '7', nowMs: 0 });
    bench.put({ key: null, nowMs: 0 });
    bench.do(bench.pipeline.expire(100));
    const { entries } = bench.begin(100);
    expect(keysOf(entries)).toEqual([
      ['a', undefined],
      ['b', undefined],
      [undefined, undefined],
    ]);
  });

  test('records wait for the answer, and then go the way it says', () => {
    const bench = new Bench(asking);
    for (const key of ['a', 'b']) bench.put({ key, nowMs: 0 });
    bench.do(bench.pipeline.expire(500));
    expect(bench.waitingCount).toBe(0);
    bench.do(bench.pipeline.described(byKeys, 600));
    bench.do(bench.pipeline.expire(700));
    expect(bench.begin(700).entries).toHaveLength(1);
  });

  test('without an answer they travel alone after a second, addressed by what the application gave', () => {
    const bench = new Bench(asking);
    bench.put({ key: 'a', nowMs: 0 });
    bench.put({ key: 'b', explicitHashKey: '7', nowMs: 0 });
    bench.do(bench.pipeline.expire(1_000));
    expect(keysOf(bench.begin(1_000).entries)).toEqual([
      ['a', undefined],
      ['b', '7'],
    ]);
  });

  test('as long as it cannot be told nothing is aggregated, and nothing waits', () => {
    const bench = new Bench(asking);
    bench.do(bench.pipeline.describingFailed(0));
    for (const key of ['a', 'b']) bench.put({ key, nowMs: 10 });
    bench.do(bench.pipeline.expire(110));
    expect(bench.begin(110).entries).toHaveLength(2);
    expect(bench.pipeline.deadline()).toBe(1_000);
    bench.do(bench.pipeline.expire(1_000));
    expect(bench.describingCount).toBe(2);
  });

  test('a record without a key waits for the answer, and fails where keys decide', () => {
    for (const answer of [byKeys, undefined]) {
      const bench = new Bench(asking);
      const record = bench.put({ key: null, nowMs: 0 });
      bench.do(bench.pipeline.expire(5_000));
      expect([bench.waitingCount, record.settled]).toEqual([0, false]);
      bench.do(answer ? bench.pipeline.described(answer, 5_000) : bench.pipeline.describingFailed(5_000));
      expect(bench.failed).toEqual([{ sequence: record.sequence, code: 'REQUEST_FAILED' }]);
    }
  });

  test('an aggregated record that has not left when the stream turns out to be AUTO is taken apart', () => {
    const bench = new Bench(asking);
    bench.do(bench.pipeline.described(byKeys, 0));
    for (const key of ['a', 'b']) bench.put({ key, nowMs: 0 });
    bench.do(bench.pipeline.expire(100));
    expect(bench.waitingCount).toBe(1);
    bench.do(bench.pipeline.described(auto, 100));
    expect(() => bench.begin(101)).not.toThrow();
    bench.do(bench.pipeline.expire(300));
    expect(keysOf(bench.begin(300).entries)).toEqual([
      ['a', undefined],
      ['b', undefined],
    ]);
  });

  test('an answer from another shard asks again, but not within a second of the last question', () => {
    const bench = new Bench(asking, 2);
    bench.do(bench.pipeline.described(byKeys, 0));
    bench.put({ key: 'a', explicitHashKey: '0', nowMs: 0 });
    bench.do(bench.pipeline.expire(200));
    const { requestId } = bench.begin(200);
    bench.answer(requestId, { kind: 'answered', entries: [bench.written('shard-1')] }, 210);
    expect(bench.describingCount).toBe(1);
    bench.do(bench.pipeline.expire(1_000));
    expect(bench.describingCount).toBe(2);
  });

  test('what was written to an unknown shard is sent again when the stream turns out to be AUTO, for its shards are listed no more', () => {
    for (const isAnsweredBefore of [true, false]) {
      const bench = new Bench(asking, 2);
      bench.do(bench.pipeline.described(byKeys, 0));
      for (const key of ['a', 'b']) bench.put({ key, explicitHashKey: '0', nowMs: 0 });
      bench.put({ key: 'c', nowMs: 0, data: new Uint8Array(60_000) });
      bench.do(bench.pipeline.expire(200));
      const { requestId, entries } = bench.begin(200);
      expect(entries).toHaveLength(2);
      const answer: Answer = { kind: 'answered', entries: entries.map(() => bench.written('shard-9')) };
      // Makes the list be read again, and so lets the aggregated record wait for it.
      if (isAnsweredBefore) bench.answer(requestId, answer, 210);
      bench.do(bench.pipeline.described(auto, 220));
      if (!isAnsweredBefore) bench.answer(requestId, answer, 230);
      bench.do(bench.pipeline.expire(400));
      expect(bench.begin(400).entries.map(({ partitionKey }) => partitionKey)).toEqual(['a', 'b']);
    }
  });

  test('a stream that is UPDATING has its shards listed again, and is predicted from the old list meanwhile', () => {
    const bench = new Bench(asking);
    bench.do(bench.pipeline.described({ strategy: undefined, isUpdating: true }, 500));
    expect(bench.listingCount).toBe(2);
    bench.do(bench.pipeline.expire(1_500));
    expect(bench.describingCount).toBe(2);
    for (const key of ['a', 'b']) bench.put({ key, nowMs: 1_500 });
    bench.do(bench.pipeline.shardsListed(shards(1), 1_510));
    bench.do(bench.pipeline.described(byKeys, 1_520));
    expect(bench.listingCount).toBe(2);
    bench.do(bench.pipeline.expire(1_710));
    expect([bench.listingCount, bench.begin(1_710).entries.length]).toEqual([3, 1]);
  });

  test('with ordering none a key has several Kinesis records under way', () => {
    for (const [ordering, count] of [
      ['per-key', 1],
      ['none', 3],
    ] as const) {
      const bench = new Bench({ ordering, aggregationMaxCount: 1, collectionMaxCount: 1 });
      for (let n = 0; n < 3; n++) bench.put({ key: 'a', nowMs: 0 });
      bench.do(bench.pipeline.expire(200));
      expect(bench.waitingCount).toBe(count);
    }
  });
});

test('a record at which placing broke down is there to be failed all the same', () => {
  class Breaking extends Aggregator {
    override put(): never {
      throw new Error('broken');
    }
  }
  const pipeline = new Pipeline(DEFAULTS, { aggregator: new Breaking(DEFAULTS) });
  pipeline.shardsListed(shards(1), 0);
  const record = userRecord({ key: 'k' });
  expect(() => pipeline.put(record, 0)).toThrow('broken');
  const effects = pipeline.abandon({ code: 'CLOSED', message: 'broken', retryable: false });
  expect(effects).toMatchObject([{ kind: 'failed', records: [{ sequence: record.sequence }] }]);
});

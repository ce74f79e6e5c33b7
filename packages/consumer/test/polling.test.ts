// Reading one shard by GetRecords from the local Kinesis over a real socket: where it begins, what it passes over, how it
// paces itself, and how it ends. Time is a clock that the test moves, the server's and the source's in one.
import { createHash } from 'node:crypto';
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  PutRecordCommand,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis';
import {
  AT_TIMESTAMP,
  createKinesisClient,
  type ExtendedSequenceNumber,
  encodeAggregatedRecord,
  evenRanges,
  type HashKeyRange,
  LATEST,
  MAX_HASH_KEY,
  parseCheckpoint,
  parseStream,
  TRIM_HORIZON,
} from '@shardline/common';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PolledShard, type PollingOptions, PollingSource } from '../src/retrieval/polling.ts';
import { StreamShards } from '../src/retrieval/shards.ts';
import type { SourceRead } from '../src/retrieval/source.ts';

const SHARD = 'shardId-000000000000';
const IDLE_MS = 1_000;
const never = new AbortController().signal;

let clock: ManualClock;
let local: LocalKinesis;
let client: KinesisClient;

beforeEach(async () => {
  clock = new ManualClock();
  local = await startLocalKinesis({ clock, streams: [{ name: 'orders', shardCount: 1 }] });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterEach(async () => {
  client.destroy();
  await local.close();
});

function sourceOf(given: Partial<PollingOptions & PolledShard> = {}): PollingSource {
  const { timestamp, hashKeyRange = evenRanges(1)[0] as HashKeyRange, ...others } = given;
  const bounds = { maxRecordsPerRead: 10_000, idleTimeBetweenReadsMs: IDLE_MS, requestTimeoutMs: 30_000 };
  const shard = { stream: parseStream('orders'), shardId: SHARD, hashKeyRange, timestamp };
  return new PollingSource({ client, clock, ...bounds, ...others }, shard);
}

/** One fetch, with its pause passed over. */
async function fetch(source: PollingSource, after: ExtendedSequenceNumber): Promise<SourceRead> {
  const read = source.fetch(after, never);
  clock.advance(IDLE_MS);
  return read;
}

async function put(data: Uint8Array | string, partitionKey = 'key'): Promise<ExtendedSequenceNumber> {
  const command = new PutRecordCommand({ StreamName: 'orders', PartitionKey: partitionKey, Data: Buffer.from(data) });
  const { SequenceNumber } = await client.send(command);
  return parseCheckpoint(SequenceNumber as string);
}

const aggregate = (...texts: string[]): Uint8Array =>
  encodeAggregatedRecord(texts.map((text) => ({ partitionKey: text, data: Buffer.from(text) })));

const textsOf = (read: SourceRead): string[] | undefined =>
  read.batch?.records.map((record) => Buffer.from(record.data).toString());

describe('where reading begins (KCL IteratorBuilder)', () => {
  it('TRIM_HORIZON: with the oldest record', async () => {
    await put('a');
    const last = await put('b');
    const read = await fetch(sourceOf(), TRIM_HORIZON);
    expect(textsOf(read)).toEqual(['a', 'b']);
    expect(read).toMatchObject({ atShardEnd: false, childShards: [], batch: { last, byteCount: 2 } });
  });

  it('a number whose record the stream has dropped: with the oldest that is left, and the bounds of the gap', async () => {
    const handled = await put('a');
    await put('b');
    clock.advance(25 * 3_600_000);
    const last = await put('c');
    const source = sourceOf();
    const read = await fetch(source, handled);
    expect(textsOf(read)).toEqual(['c']);
    expect(read.batch?.gap).toEqual({ cause: 'away', after: handled.sequenceNumber, before: last.sequenceNumber });
    await put('d');
    expect((await fetch(source, last)).batch).toMatchObject({ gap: undefined });
  });

  it('a number whose record is there: no gap, nor when the iterator is made again', async () => {
    const handled = await put('a');
    const next = await put('b');
    const source = sourceOf();
    expect((await fetch(source, handled)).batch).toMatchObject({ gap: undefined });
    clock.advance(6 * 60_000);
    await put('c');
    await fetch(source, next);
    expect((await fetch(source, next)).batch).toMatchObject({ gap: undefined });
  });

  it('LATEST: with what comes after the first read', async () => {
    await put('a');
    const source = sourceOf();
    expect((await fetch(source, LATEST)).batch).toBeUndefined();
    await put('b');
    expect(textsOf(await fetch(source, LATEST))).toEqual(['b']);
  });

  it('AT_TIMESTAMP: with the first record of that time or later', async () => {
    await put('a');
    clock.advance(10_000);
    const timestamp = new Date(clock.wallNow());
    await put('b');
    expect(textsOf(await fetch(sourceOf({ timestamp }), AT_TIMESTAMP))).toEqual(['b']);
  });

  it('AT_TIMESTAMP: of a time that is still to come the refusal names the option', async () => {
    const timestamp = new Date(clock.wallNow() + 60_000);
    const named = `is to begin at ${timestamp.toISOString()}, as initialPosition (of a replay: from) says`;
    await expect(sourceOf({ timestamp }).fetch(AT_TIMESTAMP, never)).rejects.toThrow(named);
  });

  it('a number: with the record after it', async () => {
    await put('a');
    const after = await put('b');
    await put('c');
    expect(textsOf(await fetch(sourceOf(), after))).toEqual(['c']);
  });

  it('a number and a sub-sequence number: with the rest of the aggregate', async () => {
    const { sequenceNumber } = await put(aggregate('a', 'b', 'c', 'd'));
    await put('e');
    const read = await fetch(sourceOf(), { sequenceNumber, subSequenceNumber: 1 });
    expect(textsOf(read)).toEqual(['c', 'd', 'e']);
    expect(read.batch?.records.map((record) => record.subSequenceNumber)).toEqual([2, 3, 0]);
  });

  it('the last of all: with nothing, and the position stays', async () => {
    const { sequenceNumber } = await put(aggregate('a', 'b'));
    const source = sourceOf();
    const after = { sequenceNumber, subSequenceNumber: 1 };
    expect(await fetch(source, after)).toEqual({
      batch: undefined,
      atShardEnd: false,
      childShards: [],
      millisBehindLatest: 0,
    });
    await put('c');
    expect(textsOf(await fetch(source, after))).toEqual(['c']);
  });
});

it('a fetch goes on where the one before ended, record by record, whatever the batches', async () => {
  const expected: string[] = [];
  for (let n = 0; n < 12; n += 1) {
    const texts = Array.from({ length: n % 4 }, (_, index) => `${n}.${index}`);
    expected.push(...(texts.length === 0 ? [`${n}`] : texts));
    await put(texts.length === 0 ? `${n}` : aggregate(...texts));
  }
  for (const maxRecordsPerRead of [1, 3, 5, 100]) {
    const source = sourceOf({ maxRecordsPerRead });
    let after: ExtendedSequenceNumber = TRIM_HORIZON;
    const got: string[] = [];
    while (got.length < expected.length) {
      const read = await fetch(source, after);
      got.push(...(textsOf(read) ?? []));
      // An aggregate is not cut, so a batch may be larger by the rest of one.
      expect(read.batch?.records.length).toBeLessThan(maxRecordsPerRead + 3);
      after = read.batch?.last ?? after;
    }
    expect(got).toEqual(expected);
  }
});

it('an aggregate of no records moves the position on', async () => {
  const { sequenceNumber } = await put(aggregateOfNone());
  const read = await fetch(sourceOf(), TRIM_HORIZON);
  expect(read.batch).toMatchObject({ records: [], byteCount: 0, last: { sequenceNumber, subSequenceNumber: 0 } });
});

describe('pacing (API_GetRecords: five reads a second and shard)', () => {
  it('is idle at the tip, counted from the start of the read before', async () => {
    const source = sourceOf();
    expect(source.dueAt(TRIM_HORIZON)).toBeLessThan(clock.now());
    await fetch(source, TRIM_HORIZON);
    const startedAt = clock.now();
    const read = source.fetch(TRIM_HORIZON, never);
    clock.advance(300);
    await read;
    expect(source.dueAt(TRIM_HORIZON)).toBe(startedAt + IDLE_MS);
  });

  it('at the tip shards are read together: whenever they were read before, at one of 32 moments of the idle time, and never later', async () => {
    const dueAts: number[] = [];
    for (let index = 0; index < 40; index += 1) {
      clock.advance(207);
      const source = sourceOf();
      const startedAt = clock.now();
      await source.fetch(TRIM_HORIZON, never);
      const dueAt = source.dueAt(TRIM_HORIZON);
      expect(dueAt).toBeLessThanOrEqual(startedAt + IDLE_MS);
      expect(dueAt).toBeGreaterThan(startedAt + IDLE_MS - IDLE_MS / 32);
      dueAts.push(dueAt);
    }
    expect(dueAts.map((dueAt) => dueAt % (IDLE_MS / 32))).toEqual(dueAts.map(() => 0));
  });

  it('with the shortest idle time no shard is read sooner than it may be', async () => {
    clock.advance(3);
    const source = sourceOf({ idleTimeBetweenReadsMs: 200 });
    await source.fetch(TRIM_HORIZON, never);
    expect(source.dueAt(TRIM_HORIZON)).toBe(clock.now() + 200);
  });

  it('reads on after 200 ms while it is behind', async () => {
    const source = sourceOf({ maxRecordsPerRead: 1 });
    const first = await put('a');
    clock.advance(5_000);
    await put('b');
    clock.advance(5_000);
    expect(textsOf(await source.fetch(TRIM_HORIZON, never))).toEqual(['a']);
    expect(source.dueAt(first)).toBe(clock.now() + 200);
    clock.advance(200);
    expect(textsOf(await source.fetch(first, never))).toEqual(['b']);
  });

  it('once Kinesis has refused it after 10 MiB, at 2 MiB a second: "calls made within the next 5 seconds throw"', async () => {
    const data = new Uint8Array(1024 * 1024 - 3);
    for (let n = 0; n < 21; n += 1) {
      await put(data);
      clock.advance(1_100);
    }
    const source = sourceOf();
    const first = await source.fetch(TRIM_HORIZON, never);
    const startedAt = clock.now();
    expect(first.batch?.records).toHaveLength(10);
    let last = first.batch?.last as ExtendedSequenceNumber;
    expect(source.dueAt(last)).toBe(startedAt + 200);
    clock.advance(200);
    await expect(source.fetch(last, never)).rejects.toMatchObject({ code: 'THROTTLED' });
    for (const count of [10, 1]) {
      const waitedMs = source.dueAt(last) - clock.now();
      expect(waitedMs).toBeGreaterThan(4_700);
      clock.advance(Math.ceil(waitedMs));
      const { batch } = await source.fetch(last, never);
      expect(batch?.records).toHaveLength(count);
      last = batch?.last as ExtendedSequenceNumber;
    }
  });

  it('gives what it holds without a pause', async () => {
    const source = sourceOf({ maxRecordsPerRead: 2 });
    await put(aggregate('a', 'b'));
    await put('c');
    const read = await source.fetch(TRIM_HORIZON, never);
    expect(textsOf(read)).toEqual(['a', 'b']);
    const last = read.batch?.last as ExtendedSequenceNumber;
    expect(source.dueAt(last)).toBeLessThan(clock.now());
    expect(textsOf(await fetch(source, last))).toEqual(['c']);
  });

  it('ends at once when its tenure is aborted', async () => {
    const controller = new AbortController();
    const read = expect(sourceOf().fetch(TRIM_HORIZON, controller.signal)).rejects.toThrow('lost');
    controller.abort(new Error('lost'));
    await read;
  });

  it('ends at once when it is closed', async () => {
    const source = sourceOf();
    source.close();
    await expect(source.fetch(TRIM_HORIZON, never)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('an iterator that expired (API_GetRecords: after five minutes)', () => {
  const FIVE_MINUTES_MS = 301_000;

  it('is made again from the position', async () => {
    const source = sourceOf();
    await put('a');
    const first = await fetch(source, TRIM_HORIZON);
    const after = first.batch?.last as ExtendedSequenceNumber;
    await put('b');
    clock.advance(FIVE_MINUTES_MS);
    // The first look finds out, the next one reads.
    expect((await fetch(source, after)).batch).toBeUndefined();
    expect(textsOf(await fetch(source, after))).toEqual(['b']);
  });

  it('of LATEST is made again from where LATEST was', async () => {
    const source = sourceOf();
    await put('a');
    clock.advance(1);
    await fetch(source, LATEST);
    clock.advance(1);
    await put('b');
    clock.advance(FIVE_MINUTES_MS);
    expect((await fetch(source, LATEST)).batch).toBeUndefined();
    expect(textsOf(await fetch(source, LATEST))).toEqual(['b']);
  });
});

it('an iterator that a replaced server refuses is made again', async () => {
  const streams = [{ name: 'orders', shardCount: 1 }];
  const first = await startLocalKinesis({ streams });
  const own = createKinesisClient({ ...first.clientConfig, maxAttempts: 1 });
  const source = sourceOf({ client: own });
  expect((await fetch(source, TRIM_HORIZON)).batch).toBeUndefined();
  await first.close();
  await using second = await startLocalKinesis({ streams, port: first.port });
  second.model.putRecord({ streamName: 'orders', record: { partitionKey: 'k', data: Buffer.from('b') } }, Date.now());
  // The core tries again after each failure: a connection that the first server cut, an iterator that the second one refuses.
  const failures: string[] = [];
  let read: SourceRead | undefined;
  while (read === undefined && failures.length < 3) {
    read = await fetch(source, TRIM_HORIZON).catch((error: Error) => {
      failures.push(error.message);
      return undefined;
    });
  }
  expect(read && textsOf(read)).toEqual(['b']);
  expect(failures.at(-1)).toContain('InvalidArgumentException');
  own.destroy();
});

describe("the shard's end", () => {
  it('comes with the children, after the last record', async () => {
    await put('a');
    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    const source = sourceOf();
    let read = await fetch(source, TRIM_HORIZON);
    expect(textsOf(read)).toEqual(['a']);
    const after = read.batch?.last as ExtendedSequenceNumber;
    while (!read.atShardEnd) read = await fetch(source, after);
    const [low, high] = evenRanges(2);
    expect(read.childShards).toEqual([
      { shardId: 'shardId-000000000001', parentShardIds: [SHARD], hashKeyRange: low },
      { shardId: 'shardId-000000000002', parentShardIds: [SHARD], hashKeyRange: high },
    ]);
    // Asked again, it is still the end.
    expect(await fetch(source, after)).toEqual({ ...read, batch: undefined });
  });

  it('has come when the stream is gone, with no children', async () => {
    local.model.deleteStream({ streamName: 'orders' }, clock.wallNow());
    local.model.settle(clock.wallNow());
    expect(await fetch(sourceOf(), TRIM_HORIZON)).toEqual({
      batch: undefined,
      atShardEnd: true,
      childShards: [],
      millisBehindLatest: undefined,
    });
  });

  it('of which no record is left behind the checkpoint, or which is gone itself, is a gap as well', async () => {
    const handled = await put('a');
    await put('b');
    clock.advance(2 * 3_600_000);
    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    clock.advance(23 * 3_600_000);
    const gap = { cause: 'away', after: handled.sequenceNumber, before: undefined };
    const source = sourceOf();
    let read = await fetch(source, handled);
    while (!read.atShardEnd) read = await fetch(source, handled);
    expect(read).toMatchObject({ batch: undefined, gap });
    expect(read.childShards).toHaveLength(2);
    expect(await fetch(source, handled)).not.toHaveProperty('gap');

    clock.advance(2 * 3_600_000);
    const late = sourceOf();
    expect(await fetch(late, handled)).toMatchObject({ batch: undefined, atShardEnd: true, childShards: [], gap });
  });

  it('is no gap behind the last record, as long as that is there', async () => {
    const handled = await put('a');
    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    const source = sourceOf();
    let read = await fetch(source, handled);
    while (!read.atShardEnd) read = await fetch(source, handled);
    expect(read).not.toHaveProperty('gap');
  });
});

it('counts corrupt aggregates and strays, and delivers both', async () => {
  const corrupt = aggregate('x');
  corrupt[8] = (corrupt[8] as number) ^ 1;
  await put(corrupt);
  await put(aggregate('a', 'b', 'c'));
  const [low] = evenRanges(4_096) as [HashKeyRange];
  const read = await fetch(sourceOf({ hashKeyRange: low }), TRIM_HORIZON);
  expect(read.batch).toMatchObject({ corruptCount: 1, strayCount: 3, kinesisRecordCount: 2 });
  expect(read.batch?.records).toHaveLength(4);
});

it('throttling is an error that can be retried, and costs no record', async () => {
  await put('a');
  const source = sourceOf();
  // Somebody else uses up the reads of this second.
  const latest = { StreamName: 'orders', ShardId: SHARD, ShardIteratorType: 'LATEST' } as const;
  const { ShardIterator } = await client.send(new GetShardIteratorCommand(latest));
  for (let n = 0; n < 5; n += 1) await client.send(new GetRecordsCommand({ ShardIterator }));
  await expect(source.fetch(TRIM_HORIZON, never)).rejects.toMatchObject({ code: 'THROTTLED', retryable: true });
  expect(textsOf(await fetch(source, TRIM_HORIZON))).toEqual(['a']);
});

describe('StreamShards', () => {
  const shardsOf = (name: string, initialPosition: 'TRIM_HORIZON' | 'LATEST' = 'TRIM_HORIZON'): StreamShards =>
    new StreamShards({
      client,
      stream: parseStream(name),
      initialPosition,
      timestamp: undefined,
      requestTimeoutMs: 30_000,
      clock,
    });

  it('lists what can be read at the initial position, or everything, over many pages', async () => {
    local.model.createStream({ name: 'wide', shardCount: 2_500 }, clock.wallNow());
    local.model.settle(clock.wallNow());
    const all = await shardsOf('wide').list('all');
    expect(all).toHaveLength(2_500);
    expect(new Set(all.map((shard) => shard.shardId)).size).toBe(2_500);
    expect(all.map((shard) => shard.hashKeyRange)).toEqual(evenRanges(2_500));

    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    const ids = async (shards: StreamShards, filter: 'initial' | 'all') =>
      (await shards.list(filter)).map((shard) => [shard.shardId.at(-1), shard.parentShardIds.length]);
    expect(await ids(shardsOf('orders'), 'all')).toEqual([
      ['0', 0],
      ['1', 1],
      ['2', 1],
    ]);
    expect(await ids(shardsOf('orders'), 'initial')).toEqual([['0', 0]]);
    expect(await ids(shardsOf('orders', 'LATEST'), 'initial')).toEqual([
      ['1', 1],
      ['2', 1],
    ]);
  });

  it('says that a stream is missing', async () => {
    await expect(shardsOf('absent').check(0)).rejects.toMatchObject({
      code: 'STREAM_NOT_FOUND',
      retryable: false,
      message: expect.stringMatching(/^kinesis:ListShards on stream absent found nothing/),
    });
  });
});

/** An aggregated record that holds no user record: one key in its table that nobody uses (KPL aggregation-format.md). */
function aggregateOfNone(): Uint8Array {
  const one = aggregate('a');
  const keyTable = one.subarray(4, 7);
  return Buffer.concat([one.subarray(0, 4), keyTable, createHash('md5').update(keyTable).digest()]);
}

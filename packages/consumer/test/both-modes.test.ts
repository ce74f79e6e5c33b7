// What must be the same whether a shard is polled or pushed to, from the local Kinesis over real sockets: large records, room, KMS keys
// that throttle or cannot be used, shards that go under the reader, records without a key. Time is a clock that the test moves.
import { type KinesisClient, PutRecordCommand, SplitShardCommand } from '@aws-sdk/client-kinesis';
import {
  createFanOutClient,
  createKinesisClient,
  type ExtendedSequenceNumber,
  encodeAggregatedRecord,
  evenRanges,
  type HashKeyRange,
  MAX_HASH_KEY,
  parseStream,
  silentLogger,
  TRIM_HORIZON,
} from '@shardline/common';
import { type FaultRule, type LocalKinesis, ManualClock, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FanOutSource } from '../src/retrieval/fan-out.ts';
import { PollingSource } from '../src/retrieval/polling.ts';
import type { ShardSource, SourceRead } from '../src/retrieval/source.ts';
import { StreamConsumer } from '../src/retrieval/stream-consumer.ts';

const MIB = 1024 * 1024;
const SHARD = 'shardId-000000000000';
const [whole] = evenRanges(1) as [HashKeyRange];
const never = new AbortController().signal;
const modes = ['polling', 'fan-out'] as const;
type Mode = (typeof modes)[number];

let clock: ManualClock;
let local: LocalKinesis;
let client: KinesisClient;
let fanOut: KinesisClient;
const consumers: StreamConsumer[] = [];
const sources: ShardSource[] = [];

beforeEach(async () => {
  clock = new ManualClock();
  local = await startLocalKinesis({ clock, registerConsumerMs: 0 });
  const now = clock.wallNow();
  local.model.createStream({ name: 'orders', shardCount: 1, maxRecordBytes: 10 * MIB }, now);
  local.model.createStream({ name: 'keyless', mode: 'ON_DEMAND', recordDistributionStrategy: 'AUTO' }, now);
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  fanOut = createFanOutClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterEach(async () => {
  for (const source of sources.splice(0)) source.close();
  for (const consumer of consumers.splice(0)) consumer.close();
  client.destroy();
  fanOut.destroy();
  await local.close();
});

function consumerOf(streamName: string): StreamConsumer {
  const names = { stream: parseStream(streamName), consumerName: 'billing', consumerArn: undefined };
  const consumer = new StreamConsumer({ client, ...names, requestTimeoutMs: 30_000, clock, logger: silentLogger });
  consumers.push(consumer);
  return consumer;
}

interface Reading {
  readonly of?: 'orders' | 'keyless';
  readonly hashKeyRange?: HashKeyRange;
  readonly strayRecords?: 'kcl';
}

function sourceOf(mode: Mode, { of = 'orders', hashKeyRange = whole, strayRecords }: Reading = {}): ShardSource {
  const stream = parseStream(of);
  const shared = { stream, shardId: SHARD, hashKeyRange, timestamp: undefined, clock, requestTimeoutMs: 30_000 };
  const most = { maxRecordsPerRead: 10_000, maxRecordsPerBatch: 10_000, ...(strayRecords && { strayRecords }) };
  const source =
    mode === 'polling'
      ? new PollingSource({ ...shared, ...most, client, idleTimeBetweenReadsMs: 1_000 }, shared)
      : new FanOutSource({ ...shared, ...most, client: fanOut, consumer: consumerOf(of), silenceTimeoutMs: 15_000 });
  sources.push(source);
  return source;
}

/** While it is waited for, time goes on, by so much a turn. */
async function inTime<T>(waiting: Promise<T>, turnMs = 1_000): Promise<T> {
  const turn = setInterval(() => clock.advance(turnMs), 1);
  try {
    return await waiting;
  } finally {
    clearInterval(turn);
  }
}

interface All {
  readonly reads: SourceRead[];
  readonly failures: string[];
}

/** Reads until `isEnough`; what fails is tried again. */
async function readUntil(
  source: ShardSource,
  isEnough: (reads: readonly SourceRead[]) => boolean,
  after: ExtendedSequenceNumber = TRIM_HORIZON,
  turnMs?: number,
): Promise<All> {
  const all: All = { reads: [], failures: [] };
  let last = after;
  while (!isEnough(all.reads)) {
    if (all.reads.length + all.failures.length > 100) throw new Error(`not enough: ${all.failures.join()}`);
    try {
      const read = await inTime(source.fetch(last, never), turnMs);
      all.reads.push(read);
      last = read.batch?.last ?? last;
    } catch (error) {
      const { code, retryable } = error as { code: string; retryable: boolean };
      all.failures.push(`${code}${retryable ? '' : ', not to be tried again'}`);
    }
    clock.advance(1_000);
  }
  return all;
}

const recordsOf = (reads: readonly SourceRead[]) => reads.flatMap(({ batch }) => batch?.records ?? []);
const atLeast = (count: number) => (reads: readonly SourceRead[]) => recordsOf(reads).length >= count;

async function put(Data: Uint8Array, PartitionKey?: string): Promise<void> {
  const StreamName = PartitionKey === undefined ? 'keyless' : 'orders';
  await client.send(new PutRecordCommand({ StreamName, PartitionKey, Data }));
}

describe.each(modes)('by %s', (mode) => {
  it('records of 10 MiB come whole, one after the other', async () => {
    const large = [1, 2, 3].map((fill) => new Uint8Array(10 * MIB - 3).fill(fill));
    for (const data of large) {
      await put(data, 'key');
      clock.advance(60_000);
    }
    const { reads } = await readUntil(sourceOf(mode), atLeast(3), TRIM_HORIZON, 20);
    const records = recordsOf(reads);
    expect(records.map(({ data }) => data.length)).toEqual(large.map(({ length }) => length));
    expect(records.every(({ data }, index) => Buffer.compare(data, large[index] as Uint8Array) === 0)).toBe(true);
  });

  it('what is larger than the room for it stays where it is, and says how much it takes; with room for it, it comes', async () => {
    const source = sourceOf(mode);
    await put(new Uint8Array(1_000), 'key');
    const first = await readUntil(source, atLeast(1));
    const after = first.reads.at(-1)?.batch?.last as ExtendedSequenceNumber;
    for (let n = 0; n < 4; n += 1) await put(new Uint8Array(200_000).fill(n), 'key');
    let read = await inTime(source.fetch(after, never, { bytes: 500, recordCount: 10 }));
    // An event without records may come first.
    while (source.leastBytes === 0) read = await inTime(source.fetch(after, never, { bytes: 500, recordCount: 10 }));
    expect(read).toMatchObject({ batch: undefined, atShardEnd: false });
    expect(source.leastBytes).toBeGreaterThan(500);
    expect(source.heldBytes).toBe(0);
    const { reads } = await readUntil(source, atLeast(4), after);
    expect(recordsOf(reads).map(({ data }) => data[0])).toEqual([0, 1, 2, 3]);
  });

  it('a batch holds no more user records than are asked for, and the source holds the rest', async () => {
    const source = sourceOf(mode);
    for (let n = 0; n < 6; n += 1) await put(Uint8Array.of(n), 'key');
    let read = await inTime(source.fetch(TRIM_HORIZON, never, { bytes: 10 * MIB, recordCount: 2 }));
    while (read.batch === undefined)
      read = await inTime(source.fetch(TRIM_HORIZON, never, { bytes: 10 * MIB, recordCount: 2 }));
    expect(read.batch.records.map(({ data }) => data[0])).toEqual([0, 1]);
    expect(source.heldBytes).toBe(4);
  });

  const operation = mode === 'polling' ? 'GetRecords' : 'SubscribeToShard';
  it.each([
    ['ProvisionedThroughputExceededException', 'THROTTLED'],
    ['LimitExceededException', 'THROTTLED'],
    ['KMSThrottlingException', 'THROTTLED'],
    ['KMSDisabledException', 'KEY_UNUSABLE, not to be tried again'],
    ['KMSInvalidStateException', 'KEY_UNUSABLE, not to be tried again'],
    ['KMSNotFoundException', 'KEY_UNUSABLE, not to be tried again'],
    ['KMSOptInRequired', 'KEY_UNUSABLE, not to be tried again'],
    ['KMSAccessDeniedException', 'ACCESS_DENIED, not to be tried again'],
    ['InternalFailureException', 'REQUEST_FAILED'],
  ])('%s is %s, and costs no record', async (type, code) => {
    const rules: FaultRule[] = [{ kind: 'error', type, operation, count: 2 }];
    // As an exception in the event stream, too.
    if (mode === 'fan-out') rules.push({ kind: 'failEvents', type, afterEvents: 1, count: 1 });
    for (const rule of rules) local.faults.add(rule);
    await put(Buffer.from('a'), 'key');
    const source = sourceOf(mode);
    const { reads, failures } = await readUntil(source, atLeast(1));
    const after = reads.at(-1)?.batch?.last as ExtendedSequenceNumber;
    await put(Buffer.from('b'), 'key');
    const later = await readUntil(source, atLeast(1), after);
    expect(recordsOf([...reads, ...later.reads]).map(({ data }) => Buffer.from(data).toString())).toEqual(['a', 'b']);
    expect([...failures, ...later.failures]).toEqual(Array.from({ length: rules.length + 1 }, () => code));
  });

  it('a shard that is older than the stream’s retention goes under the reader: that is its end, without children', async () => {
    const source = sourceOf(mode);
    await put(Buffer.from('a'), 'key');
    const { reads } = await readUntil(source, atLeast(1));
    const after = reads.at(-1)?.batch?.last as ExtendedSequenceNumber;
    const half = String((MAX_HASH_KEY + 1n) / 8n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    clock.advance(25 * 3_600_000);
    // What was pushed before is not asked for.
    source.close();
    const last = await readUntil(sourceOf(mode), (all) => all.at(-1)?.atShardEnd === true, after);
    expect(last.reads.at(-1)).toMatchObject({ batch: undefined, childShards: [] });
  });

  it("of an aggregated record with a stray nothing is given out with strayRecords: 'kcl', and what follows it is", async () => {
    const [low] = evenRanges(4_096) as [HashKeyRange];
    const parts = ['a', 'b', 'c'].map((partitionKey) => ({ partitionKey, data: Buffer.from(partitionKey) }));
    await put(encodeAggregatedRecord(parts), 'key');
    await put(Buffer.from('plain'), 'key');
    const { reads } = await readUntil(sourceOf(mode, { hashKeyRange: low, strayRecords: 'kcl' }), atLeast(1));
    expect(recordsOf(reads).map(({ data }) => Buffer.from(data).toString())).toEqual(['plain']);
    const batches = reads.flatMap(({ batch }) => batch ?? []);
    expect(batches.reduce((sum, { droppedCount = 0 }) => sum + droppedCount, 0)).toBe(3);
    expect(batches.reduce((sum, { strayCount }) => sum + strayCount, 0)).toBe(3);
  });
});

it.each(modes)('a record that was put without a partition key, by %s, has an empty one', async (mode) => {
  for (let n = 0; n < 12; n += 1) await put(Uint8Array.of(n));
  const { reads } = await readUntil(sourceOf(mode, { of: 'keyless' }), atLeast(1));
  expect(new Set(recordsOf(reads).map(({ partitionKey }) => partitionKey))).toEqual(new Set(['']));
});

// A split that takes its time, as AWS's do: the stream says UPDATING long before it has other shards. Over real sockets.
import { createKinesisClient, type HashKey, onDiagnostic } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, expect, test, vi } from 'vitest';
import { Producer, type ProducerOptions, type PutResult } from '../src/index.ts';
import { userRecordsOf } from './stream-content.ts';

const STREAM = 'orders';
const KEYS = Array.from({ length: 50 }, (_, number) => `key-${number}`);
const [PARENT, CHILDREN] = ['shardId-000000000000', ['shardId-000000000001', 'shardId-000000000002']];

let local: LocalKinesis;
const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function start(options: Partial<ProducerOptions>): Promise<Producer> {
  local = await startLocalKinesis({ limits: false, reshardMs: 1_500, streams: [{ name: STREAM }] });
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  // What is put waits for company until it is told to leave.
  const waiting = { recordMaxBufferedTimeMs: 60_000, recordTtlMs: 120_000, describeStreamSummaryIntervalMs: 100 };
  const producer = new Producer({ stream: STREAM, client, ...waiting, ...options });
  open.push(local, { [Symbol.asyncDispose]: async () => client.destroy() }, producer);
  const warm = producer.put({ partitionKey: 'warm-up', data: '' });
  await producer.flush();
  await warm;
  return producer;
}

function split(): void {
  const newStartingHashKey = (2n ** 127n) as HashKey;
  local.model.splitShard({ streamName: STREAM, shardId: PARENT, newStartingHashKey }, Date.now());
}

/** Resolves once the producer has a list of so many open shards. */
function listed(count: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = onDiagnostic('shardline:producer:shard-map', ({ state, openShardCount }) => {
      if (state !== 'ready' || openShardCount !== count) return;
      stop();
      resolve();
    });
  });
}

/** Puts one record of each key, which wait in an aggregated record, then lets `meanwhile` pass, and delivers them. */
async function deliverAfter(producer: Producer, meanwhile: () => Promise<void>): Promise<PutResult[]> {
  const puts = KEYS.map((key) => producer.put({ partitionKey: key, data: key }));
  await meanwhile();
  await producer.flush();
  return await Promise.all(puts);
}

test('while the stream is UPDATING its shards are listed again and again: what waits is aggregated anew, and nothing lands on a wrong shard', async () => {
  const producer = await start({});
  const results = await deliverAfter(producer, async () => {
    const known = listed(2);
    split();
    expect(local.model.stream(STREAM, Date.now()).status).toBe('UPDATING');
    await known;
  });
  expect(results.map(({ attempts }) => attempts.length)).toEqual(KEYS.map(() => 1));
  expect(results.every(({ subSequenceNumber }) => subSequenceNumber !== undefined)).toBe(true);
  expect([...new Set(results.map(({ shardId }) => shardId))].sort()).toEqual(CHILDREN);
  const stored = userRecordsOf(local.model, STREAM).filter(({ text }) => text !== '');
  expect(stored.map(({ text }) => text).sort()).toEqual([...KEYS].sort());
  expect(stored.every(({ readable }) => readable)).toBe(true);
});

test('a stream that is not asked about tells of its split by the answer: the whole aggregated record is sent again', async () => {
  const producer = await start({ recordDistributionStrategyDefault: 'USER_PARTITION_KEY' });
  const results = await deliverAfter(producer, async () => {
    split();
    await vi.waitFor(() => expect(local.model.stream(STREAM, Date.now()).status).toBe('ACTIVE'), { timeout: 20_000 });
  });
  expect(results.map(({ attempts }) => attempts.map(({ errorCode }) => errorCode))).toEqual(
    KEYS.map(() => ['Wrong Shard', undefined]),
  );
  const stored = userRecordsOf(local.model, STREAM).filter(({ text }) => text !== '');
  expect(stored).toHaveLength(2 * KEYS.length);
  expect(
    stored
      .filter(({ readable }) => readable)
      .map(({ text }) => text)
      .sort(),
  ).toEqual([...KEYS].sort());
});

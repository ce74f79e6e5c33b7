import { parseCheckpoint, silentLogger } from '@shardline/common';
import { expect, test } from 'vitest';
import type { UserRecord } from '../handler.ts';
import type { ShardSource, SourceBatch } from '../retrieval/source.ts';
import { Checkpointer } from './checkpointer.ts';
import { OpenShard } from './open-shard.ts';

const last = parseCheckpoint('6');

function batchBehind(millisBehindLatest: number | undefined): SourceBatch {
  const record = {
    partitionKey: 'k',
    data: Buffer.from('d'),
    sequenceNumber: '6',
    subSequenceNumber: 0,
    approximateArrivalTimestamp: new Date(0),
    aggregated: false,
  };
  const counts = {
    recordCount: 1,
    first: undefined,
    byteCount: 1,
    kinesisRecordCount: 1,
    corruptCount: 0,
    strayCount: 0,
  };
  return { records: [record], last, millisBehindLatest, ...counts, gap: undefined };
}

/** Waits in each fetch until its signal is aborted. */
class WaitingSource implements ShardSource {
  readonly heldBytes = 0;
  readonly leastBytes = 0;
  readonly streamName = 'orders';
  closed = false;

  dueAt(): number {
    return Number.NEGATIVE_INFINITY;
  }

  fetch(_after: unknown, signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  close(): void {
    this.closed = true;
  }
}

function open() {
  const source = new WaitingSource();
  const effect = {
    kind: 'openShard',
    leaseKey: 'shard-1',
    streamId: undefined,
    shardId: 'shard-1',
    tenure: 1,
    fencingToken: 1,
    checkpoint: parseCheckpoint('5'),
    hashKeyRange: undefined,
    pendingCheckpoint: undefined,
    latestSince: undefined,
  } as const;
  return { source, shard: new OpenShard(effect, source, silentLogger, new Checkpointer(() => undefined)) };
}

const lost = new Error('lost');

test('the last sub-sequence number of each record in the batch in hand is known, and of no other', () => {
  const { shard } = open();
  expect(shard.lastSubOf(6n)).toBeUndefined();
  const places = ['6:0', '8:0', '8:1', '8:2', '9:0', '10:3', '10:4', '110:0'];
  const [record] = batchBehind(0).records;
  const records = places.map((place) => {
    const [sequenceNumber = '', sub] = place.split(':');
    return { ...(record as UserRecord), sequenceNumber, subSequenceNumber: Number(sub) };
  });
  const batch = { ...batchBehind(0), records, last: parseCheckpoint('110') };
  const batchId = shard.hold(batch, 0);
  shard.hold(batchBehind(0), 0);
  const subs = [5n, 6n, 7n, 8n, 9n, 10n, 11n, 110n, 111n].map((number) => shard.lastSubOf(number));
  expect(subs).toEqual([undefined, 0, undefined, 2, 0, 4, undefined, 0, undefined]);
  shard.finish(batchId);
  expect(shard.lastSubOf(8n)).toBeUndefined();
});

test('records that are handled are let go, whoever still has their batch, and those of the next are not', () => {
  const { shard } = open();
  const [handled, next] = [batchBehind(0), batchBehind(0)];
  const batchId = shard.hold(handled, 0);
  shard.hold(next, 0);
  shard.finish(batchId);
  expect([handled.records.length, next.records.length]).toEqual([0, 1]);
});

test('the signal of a context is one, and there too where a handler wraps the context', () => {
  const { shard } = open();
  const { signal } = shard.context;
  expect([shard.context.signal, { ...shard.context }.signal, Object.create(shard.context).signal]).toEqual([
    signal,
    signal,
    signal,
  ]);
  expect(signal.aborted).toBe(false);
  shard.end(lost);
  expect(signal).toMatchObject({ aborted: true, reason: lost });
});

test('a signal that is asked for once the shard has ended is aborted, with the reason', () => {
  const { shard } = open();
  shard.end(lost);
  expect(shard.context.signal).toMatchObject({ aborted: true, reason: lost });
});

test('the end of a shard ends the read under way and closes the source', async () => {
  const { source, shard } = open();
  const reading = expect(shard.fetch(parseCheckpoint('5'))).rejects.toBe(lost);
  shard.end(lost);
  await reading;
  expect(source.closed).toBe(true);
});

test('what a handler has finished never goes back', () => {
  const { shard } = open();
  shard.written(parseCheckpoint('7'));
  shard.written(parseCheckpoint('6'));
  expect(shard.newest()).toEqual(parseCheckpoint('7'));
});

test('a shard is as far behind as its last read said while nothing waits for the handler', () => {
  const { shard } = open();
  expect(shard.millisBehindLatest(1_000)).toBeUndefined();
  shard.read(0);
  expect([shard.isWaiting, shard.millisBehindLatest(90_000)]).toEqual([false, 0]);
});

test('a shard is no less behind than its first batch waits for the handler, whatever later reads say', () => {
  const { shard } = open();
  shard.read(500);
  const first = shard.hold(batchBehind(500), 1_000);
  expect(shard.millisBehindLatest(1_000)).toBe(500);
  shard.read(0);
  const second = shard.hold(batchBehind(0), 3_000);
  shard.read(undefined);
  expect(shard.millisBehindLatest(26_000)).toBe(25_500);
  shard.finish(first);
  expect(shard.millisBehindLatest(26_000)).toBe(23_000);
  shard.read(0);
  shard.finish(second);
  expect([shard.isWaiting, shard.millisBehindLatest(26_000)]).toEqual([false, 0]);
});

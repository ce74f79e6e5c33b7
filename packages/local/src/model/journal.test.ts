// What a model tells its journal is enough to make it again, and what the journal refuses has not happened.
import { type HashKey, SHARD_ITERATOR_TTL_MS } from '@shardline/common/base';
import { expect, test } from 'vitest';
import {
  type AccountSettings,
  type AppendedRecords,
  type Journal,
  KinesisModel,
  type KinesisModelOptions,
  type RestoredModel,
  type StoredRecord,
  type Stream,
  type StreamState,
} from './index.ts';

const streamName = 'orders';
const startMs = 1_700_000_000_000;
const TRIM_HORIZON = { kind: 'TRIM_HORIZON' } as const;

/** Keeps everything in memory; fails while told to. */
class MemoryJournal implements Journal {
  isFailing = false;
  #incarnations = 0;
  #account: AccountSettings = { commitment: null };
  readonly #states: Map<number, StreamState> = new Map();
  readonly #records: Map<string, StoredRecord[]> = new Map();

  appended(stream: Stream, appended: readonly AppendedRecords[]): void {
    this.#refuse();
    for (const { shard, records } of appended) {
      const key = `${stream.incarnation}/${shard.origin.number}`;
      this.#records.set(key, [...(this.#records.get(key) ?? []), ...records]);
    }
  }

  changed(stream: Stream): void {
    this.#refuse();
    this.#incarnations = Math.max(this.#incarnations, stream.incarnation);
    this.#states.set(stream.incarnation, structuredClone(stream.state));
  }

  removed(stream: Stream): void {
    this.#refuse();
    this.#states.delete(stream.incarnation);
  }

  accountChanged(settings: AccountSettings): void {
    this.#refuse();
    this.#account = settings;
  }

  restored(): RestoredModel {
    return {
      incarnations: this.#incarnations,
      account: this.#account,
      streams: [...this.#states.values()],
      recordsOf: ({ incarnation }, { origin }) => this.#records.get(`${incarnation}/${origin.number}`) ?? [],
    };
  }

  #refuse(): void {
    if (this.isFailing) throw new Error('no room');
  }
}

function pair(options: KinesisModelOptions = {}): {
  journal: MemoryJournal;
  model: KinesisModel;
  restart: (more?: KinesisModelOptions) => KinesisModel;
} {
  const journal = new MemoryJournal();
  const model = new KinesisModel({ ...options, journal });
  return {
    journal,
    model,
    restart: (more) => new KinesisModel({ ...options, ...more, journal, restored: journal.restored() }),
  };
}

function put(model: KinesisModel, partitionKey: string, now: number): bigint {
  const record = { partitionKey, data: Buffer.from(partitionKey) };
  return model.putRecord({ streamName, record }, now).sequenceNumber;
}

function keysIn(model: KinesisModel, shardId: string, now: number): string[] {
  const shardIterator = model.getShardIterator({ streamName, shardId, position: TRIM_HORIZON }, now);
  return model.getRecords({ shardIterator }, now).records.map(({ partitionKey }) => partitionKey ?? '');
}

function firstShardId(model: KinesisModel, now: number): string {
  return model.stream(streamName, now).openShards[0]?.id ?? '';
}

test('a model made of what the journal was told is the model that told it', () => {
  const { model, restart } = pair({ reshardMs: 5_000, registerConsumerMs: 5_000 });
  model.createStream({ name: streamName, shardCount: 2 }, startMs);
  model.createStream({ name: 'gone' }, startMs);
  model.deleteStream({ streamName: 'gone' }, startMs);
  model.setRetention({ streamName, hours: 48, direction: 'increase' }, startMs);
  model.registerConsumer({ streamName, consumerName: 'reader' }, startMs);
  model.setAccount(() => ({ commitment: { startedMs: 1, earliestEndMs: 2, endMs: null } }));
  for (const key of ['a', 'b', 'c', 'd']) put(model, key, startMs);
  const newStartingHashKey = 5n as HashKey;
  model.splitShard({ streamName, shardId: firstShardId(model, startMs), newStartingHashKey }, startMs + 1_000);
  for (const key of ['e', 'f', 'g', 'h']) put(model, key, startMs + 2_000);
  for (const now of [startMs + 2_000, startMs + 6_000]) {
    const again = restart();
    model.settle(now);
    again.settle(now);
    expect(again.state).toEqual(model.state);
    for (const { id, log } of model.stream(streamName, now).shards) {
      expect(again.stream(streamName, now).shard(id)?.log.from(0)).toEqual(log.from(0));
    }
  }
});

test('after a restart the sequence numbers go on, and a pending change is made when it is due', () => {
  const { model, restart } = pair({ reshardMs: 5_000 });
  model.createStream({ name: streamName, shardCount: 1 }, startMs);
  const first = put(model, 'a', startMs);
  model.splitShard({ streamName, shardId: firstShardId(model, startMs), newStartingHashKey: 5n as HashKey }, startMs);
  const due: number[] = [];
  const again = restart({ onDue: (dueMs) => due.push(dueMs) });
  expect(due).toEqual([startMs + 5_000]);
  expect(put(again, 'b', startMs + 4_999)).toBeGreaterThan(first);
  expect(again.stream(streamName, startMs + 4_999).status).toBe('UPDATING');
  const twice = restart();
  const { status, shards } = twice.stream(streamName, startMs + 5_000);
  expect([status, shards.length]).toEqual(['ACTIVE', 3]);
  expect(keysIn(twice, shards[0]?.id ?? '', startMs + 5_000)).toEqual(['a', 'b']);
  expect(put(twice, 'c', startMs + 5_000)).toBeGreaterThan(shards[0]?.end?.endingSequenceNumber ?? first);
});

test('what a stream takes, and how often that was changed, outlives a restart; so does a rescaling that is under way', () => {
  const { model, restart } = pair({ reshardMs: 5_000 });
  model.createStream({ name: streamName, shardCount: 2, maxRecordBytes: 2 * 1024 * 1024 }, startMs);
  model.updateShardCount({ streamName, targetShardCount: 3 }, startMs);
  const again = restart();
  expect(again.stream(streamName, startMs + 4_999).openShards).toHaveLength(2);
  expect(again.stream(streamName, startMs + 5_000).openShards).toHaveLength(3);
  let now = startMs + 5_000;
  for (const mode of ['ON_DEMAND', 'PROVISIONED'] as const) {
    again.updateStreamMode({ streamName, mode }, now);
    now += 5_000;
  }
  const twice = restart();
  expect(() => twice.updateStreamMode({ streamName, mode: 'ON_DEMAND' }, now)).toThrow(/ 2 times in 24 hours/);
  expect(twice.stream(streamName, now).capacity).toEqual({
    mode: 'PROVISIONED',
    recordDistributionStrategy: 'USER_PARTITION_KEY',
    maxRecordBytes: 2 * 1024 * 1024,
    shardCountUpdatesMs: [startMs],
    modeUpdatesMs: [startMs + 5_000, startMs + 10_000],
  });
});

test('an iterator outlives a restart until its 5 minutes are over', () => {
  const { model, restart } = pair();
  model.createStream({ name: streamName }, startMs);
  const request = { streamName, shardId: firstShardId(model, startMs), position: TRIM_HORIZON };
  const shardIterator = model.getShardIterator(request, startMs);
  put(model, 'a', startMs);
  const again = restart();
  expect(again.getRecords({ shardIterator }, startMs + SHARD_ITERATOR_TTL_MS).records).toHaveLength(1);
  expect(() => again.getRecords({ shardIterator }, startMs + SHARD_ITERATOR_TTL_MS + 1)).toThrow('Iterator expired');
});

test('a record that the journal refuses was not put: nobody sees it, and its number is given again', () => {
  const { journal, model } = pair();
  model.createStream({ name: streamName, shardCount: 2 }, startMs);
  model.registerConsumer({ streamName, consumerName: 'reader' }, startMs);
  put(model, 'before', startMs);
  const shard = model.stream(streamName, startMs).openShards.find(({ log }) => log.sizeBytes > 0);
  const shardId = shard?.id ?? '';
  const subscribed = { streamName, consumerName: 'reader', shardId, position: { kind: 'LATEST' } as const };
  const subscription = model.subscribeToShard(subscribed, startMs);
  let news = 0;
  subscription.onNews = () => news++;
  const { state } = shard ?? {};
  const sizeBytes = shard?.log.sizeBytes;
  journal.isFailing = true;
  const records = ['refused', 'before'].map((partitionKey) => ({ partitionKey, data: Buffer.alloc(10) }));
  expect(() => model.putRecords({ streamName, records }, startMs)).toThrow('no room');
  expect(news).toBe(0);
  expect(subscription.poll(startMs).kind).toBe('idle');
  expect(keysIn(model, shardId, startMs)).toEqual(['before']);
  expect([shard?.state, shard?.log.sizeBytes]).toEqual([state, sizeBytes]);
  journal.isFailing = false;
  const next = put(model, 'before', startMs);
  expect(next - (shard?.log.at(1)?.sequenceNumber ?? 0n)).toBe(1n << 80n);
  expect(news).toBe(1);
});

test('a split that the journal could not keep is not made before it is kept', () => {
  const { journal, model, restart } = pair();
  model.createStream({ name: streamName }, startMs);
  journal.isFailing = true;
  const split = { streamName, shardId: firstShardId(model, startMs), newStartingHashKey: 5n as HashKey };
  expect(() => model.splitShard(split, startMs)).toThrow('no room');
  expect(model.stream(streamName, startMs)).toMatchObject({ status: 'UPDATING', openShards: [{ id: split.shardId }] });
  expect(restart().stream(streamName, startMs).status).toBe('ACTIVE');
  expect(() => put(model, 'a', startMs)).toThrow('no room');
  journal.isFailing = false;
  expect(model.stream(streamName, startMs).openShards).toHaveLength(2);
  expect(restart().stream(streamName, startMs).state).toEqual(model.stream(streamName, startMs).state);
});

test('a stream whose removal the journal could not keep does not come back when it is made anew', () => {
  const { journal, model, restart } = pair();
  model.createStream({ name: streamName }, startMs);
  put(model, 'old', startMs);
  model.deleteStream({ streamName }, startMs);
  expect(restart().listStreams(startMs)).toEqual([]);
  model.createStream({ name: streamName }, startMs);
  journal.isFailing = true;
  expect(() => model.clear()).toThrow('no room');
  journal.isFailing = false;
  model.createStream({ name: streamName }, startMs);
  const again = restart();
  expect(again.stream(streamName, startMs).incarnation).toBe(3);
  expect(keysIn(again, firstShardId(again, startMs), startMs)).toEqual([]);
});

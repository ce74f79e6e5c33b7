// The model against a dumb twin that keeps every record in one flat list: random puts, splits, merges and passing time, read
// by a polling reader and by a subscribing one that know only AT_TRIM_HORIZON and ChildShards.
import { type HashKey, hashKeyOf, rangeContains } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ChildShard, StoredRecord } from './index.ts';
import { KinesisModel } from './index.ts';

const streamName = 'twin';
const startMs = 1_700_000_000_000;

type Step =
  | { kind: 'put'; keys: string[] }
  | { kind: 'split'; pick: number; part: number }
  | { kind: 'merge'; pick: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'read'; pick: number; limit: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      keys: fc.array(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('split' as const),
      pick: fc.nat(),
      part: fc.integer({ min: 1, max: 99 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('merge' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 3000 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('read' as const), pick: fc.nat(), limit: fc.integer({ min: 1, max: 5 }) }),
  },
);

/** One record as the twin knows it. */
interface Known {
  readonly id: number;
  readonly key: string;
  readonly shardId: string;
}

/** Follows shards from parents to children; how a shard is read is the subclass's matter. */
abstract class Reader {
  readonly seen: { id: number; shardId: string; sequenceNumber: bigint }[] = [];
  readonly finished: Set<string> = new Set();
  readonly reading: Set<string> = new Set();
  readonly #waiting: Map<string, ChildShard> = new Map();

  abstract read(
    shardId: string,
    limit: number,
    now: number,
  ): { records: readonly StoredRecord[]; childShards: readonly ChildShard[] };

  step(pick: number, limit: number, now: number): boolean {
    const shardIds = [...this.reading];
    const shardId = shardIds[pick % shardIds.length];
    if (shardId === undefined) return false;
    const { records, childShards } = this.read(shardId, limit, now);
    for (const record of records) {
      this.seen.push({ id: Buffer.from(record.data).readUInt32BE(), shardId, sequenceNumber: record.sequenceNumber });
    }
    if (childShards.length > 0) {
      this.reading.delete(shardId);
      this.finished.add(shardId);
      for (const child of childShards) this.#waiting.set(child.shardId, child);
      for (const child of this.#waiting.values()) {
        if (child.parentShards.every((parent) => this.finished.has(parent))) {
          this.#waiting.delete(child.shardId);
          this.reading.add(child.shardId);
        }
      }
    }
    return records.length > 0 || childShards.length > 0;
  }
}

class Poller extends Reader {
  readonly #iterators: Map<string, string> = new Map();
  readonly #model: KinesisModel;

  constructor(model: KinesisModel) {
    super();
    this.#model = model;
  }

  read(
    shardId: string,
    limit: number,
    now: number,
  ): { records: readonly StoredRecord[]; childShards: readonly ChildShard[] } {
    const position = { kind: 'TRIM_HORIZON' } as const;
    const shardIterator =
      this.#iterators.get(shardId) ?? this.#model.getShardIterator({ streamName, shardId, position }, now);
    const answer = this.#model.getRecords({ shardIterator, limit }, now);
    // KCL DataRetrievalUtil.isValidResult: no iterator if and only if there are child shards.
    expect(answer.nextShardIterator === null).toBe(answer.childShards.length > 0);
    if (answer.nextShardIterator !== null) this.#iterators.set(shardId, answer.nextShardIterator);
    return answer;
  }
}

class Subscriber extends Reader {
  readonly #model: KinesisModel;
  readonly #subscriptions: Map<string, ReturnType<KinesisModel['subscribeToShard']>> = new Map();

  constructor(model: KinesisModel) {
    super();
    this.#model = model;
    model.registerConsumer({ streamName, consumerName: 'reader' }, startMs);
  }

  read(
    shardId: string,
    _limit: number,
    now: number,
  ): { records: readonly StoredRecord[]; childShards: readonly ChildShard[] } {
    const position = { kind: 'TRIM_HORIZON' } as const;
    const request = { streamName, consumerName: 'reader', shardId, position };
    const subscription = this.#subscriptions.get(shardId) ?? this.#model.subscribeToShard(request, now);
    this.#subscriptions.set(shardId, subscription);
    const event = subscription.poll(now);
    switch (event.kind) {
      case 'records':
        return { records: event.records, childShards: [] };
      case 'shard-end':
        expect(subscription.poll(now)).toEqual({ kind: 'ended', reason: 'shard-end' });
        return event;
      case 'idle':
        return { records: [], childShards: [] };
      case 'throttled':
      case 'ended':
        throw new Error(`unexpected ${event.kind}`);
    }
  }
}

test('every record is read exactly once by each reader, in order, parents before children', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (shardCount, steps) => {
      const model = new KinesisModel({ limits: false });
      model.createStream({ name: streamName, shardCount }, startMs);
      const readers = [new Poller(model), new Subscriber(model)];
      const filter = { kind: 'AT_TRIM_HORIZON' } as const;
      for (const reader of readers) {
        for (const { id } of model.listShards({ streamName, filter }, startMs).shards) reader.reading.add(id);
      }
      const known: Known[] = [];
      let now = startMs;
      for (const each of steps) {
        const open = [...model.stream(streamName, now).openShards];
        const at = 'pick' in each ? each.pick % open.length : 0;
        switch (each.kind) {
          case 'put': {
            const records = each.keys.map((partitionKey, index) => {
              const data = Buffer.alloc(4);
              data.writeUInt32BE(known.length + index);
              return { partitionKey, data };
            });
            const outcomes = model.putRecords({ streamName, records }, now);
            for (const [index, outcome] of outcomes.entries()) {
              const key = each.keys[index] ?? '';
              const shardId = outcome.kind === 'stored' ? outcome.shardId : '';
              // The twin finds the shard by looking at them all.
              expect(
                open.filter(({ origin }) => rangeContains(origin.range, hashKeyOf(key))).map(({ id }) => id),
              ).toEqual([shardId]);
              known.push({ id: known.length, key, shardId });
            }
            break;
          }
          case 'split': {
            const shard = open[at];
            if (shard === undefined) break;
            const { start, end } = shard.origin.range;
            const newStartingHashKey = (start + ((end - start) * BigInt(each.part)) / 100n) as HashKey;
            model.splitShard({ streamName, shardId: shard.id, newStartingHashKey }, now);
            break;
          }
          case 'merge': {
            const [left, right] = [open[at], open[at + 1]];
            if (left === undefined || right === undefined) break;
            model.mergeShards({ streamName, shardId: left.id, adjacentShardId: right.id }, now);
            break;
          }
          case 'wait':
            now += each.ms;
            break;
          case 'read':
            for (const reader of readers) reader.step(each.pick, each.limit, now);
            break;
        }
      }
      const { openShards, shards } = model.stream(streamName, now);
      expect(openShards.map(({ origin }) => origin.range.start).slice(1)).toEqual(
        openShards.map(({ origin }) => origin.range.end + 1n).slice(0, -1),
      );
      for (const reader of readers) {
        // Each round moves every open reading place on by at least one record or ends it.
        for (let round = 0; round <= known.length + shards.length; round++) {
          for (let pick = reader.reading.size; pick > 0; pick--) reader.step(pick, 10_000, now);
        }
        expect(reader.seen.map(({ id }) => id).sort((a, b) => a - b)).toEqual(known.map(({ id }) => id));
        expect([...reader.reading].sort()).toEqual(openShards.map(({ id }) => id).sort());
        const lastOfKey = new Map<string, number>();
        for (const { id, shardId } of reader.seen) {
          const twin = known[id];
          expect(twin?.shardId).toBe(shardId);
          const key = twin?.key ?? '';
          expect(id).toBeGreaterThan(lastOfKey.get(key) ?? -1);
          lastOfKey.set(key, id);
        }
        const byShard = new Map<string, typeof reader.seen>();
        for (const each of reader.seen) byShard.set(each.shardId, [...(byShard.get(each.shardId) ?? []), each]);
        for (const seen of byShard.values()) {
          for (let i = 1; i < seen.length; i++) {
            expect(seen[i]?.sequenceNumber).toBeGreaterThan(seen[i - 1]?.sequenceNumber ?? 0n);
          }
        }
      }
    }),
    { numRuns: 150 },
  );
});

// The model against a dumb twin that keeps every record in one flat list: random puts, splits, merges, changes of the shard count and
// of the retention, and passing time, which trims records, forgets shards, and ends iterators and subscriptions. Readers poll and
// subscribe, die and begin again where they were, and others join late; each knows only AT_TRIM_HORIZON and ChildShards.
import type { HashKey } from '@shardline/common/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FlatStream, streamName } from '../../test/twin/flat-stream.ts';
import { Poller, type Reader, Subscriber } from '../../test/twin/readers.ts';
import { KinesisModel } from './index.ts';

const startMs = 1_700_000_000_000;
const minuteMs = 60_000;
const hourMs = 3_600_000;

type Step =
  | { kind: 'put'; keys: string[] }
  | { kind: 'split'; pick: number; part: number }
  | { kind: 'merge'; pick: number }
  | { kind: 'scale'; percent: number }
  | { kind: 'retain'; hours: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'read'; who: number; pick: number; limit: number; how: number }
  | { kind: 'restart'; who: number }
  | { kind: 'join' };

const kindIs = <K extends Step['kind']>(kind: K): fc.Arbitrary<K> => fc.constant(kind);
const key = fc.string({ minLength: 1, maxLength: 3 });

/** Often to the very end of an iterator, a subscription, or the shortest retention, or nearly there. */
const waitMs = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 6000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 6 * minuteMs }) },
  { weight: 2, arbitrary: fc.constantFrom(5000, 5 * minuteMs, 5 * minuteMs + 1) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 20 * hourMs }) },
  { weight: 2, arbitrary: fc.constantFrom(24 * hourMs - 4000, 24 * hourMs) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ kind: kindIs('put'), keys: fc.array(key, { minLength: 1, maxLength: 12 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kindIs('split'), pick: fc.nat(), part: fc.integer({ min: 1, max: 99 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: kindIs('merge'), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: kindIs('scale'), percent: fc.integer({ min: 50, max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: kindIs('retain'), hours: fc.integer({ min: 24, max: 40 }) }) },
  { weight: 12, arbitrary: fc.record({ kind: kindIs('wait'), ms: waitMs }) },
  {
    weight: 24,
    arbitrary: fc.record({
      kind: kindIs('read'),
      who: fc.nat(),
      pick: fc.nat(),
      limit: fc.integer({ min: 1, max: 5 }),
      how: fc.nat(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: kindIs('restart'), who: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: kindIs('join') }) },
);

/** Does what a step says to the stream, not to the readers. Returns the time after it. */
function change(twin: FlatStream, each: Step, now: number): number {
  const { model } = twin;
  const open = model.stream(streamName, now).openShards;
  switch (each.kind) {
    case 'put':
      twin.put(each.keys, now);
      return now;
    case 'split': {
      const shard = open[each.pick % open.length];
      if (shard === undefined) return now;
      const { start, end } = shard.origin.range;
      const newStartingHashKey = (start + ((end - start) * BigInt(each.part)) / 100n) as HashKey;
      if (end - start > 1000n) model.splitShard({ streamName, shardId: shard.id, newStartingHashKey }, now);
      return now;
    }
    case 'merge': {
      const at = each.pick % open.length;
      const [left, right] = [open[at], open[at + 1]];
      if (left === undefined || right === undefined) return now;
      model.mergeShards({ streamName, shardId: left.id, adjacentShardId: right.id }, now);
      return now;
    }
    case 'scale': {
      const count = Math.min(Math.max(1, Math.ceil((open.length * each.percent) / 100)), 8, open.length * 2);
      if (count >= open.length / 2) model.updateShardCount({ streamName, targetShardCount: count }, now);
      return now;
    }
    case 'retain': {
      const direction = each.hours < twin.retentionHours ? 'decrease' : 'increase';
      model.setRetention({ streamName, hours: each.hours, direction }, now);
      twin.retentionHours = each.hours;
      twin.age(now);
      return now;
    }
    case 'wait':
      twin.age(now + each.ms);
      return now + each.ms;
    default:
      return now;
  }
}

test('every record that is not trimmed first is read exactly once by each reader, in order, parents before children', () => {
  const maxBytes = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 20, max: 150 }));
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      maxBytes,
      fc.array(step, { minLength: 30, maxLength: 120, size: 'max' }),
      (shardCount, max, steps) => {
        const model = new KinesisModel({ limits: false, maxStoredBytesPerShard: max });
        model.createStream({ name: streamName, shardCount }, startMs);
        const twin = new FlatStream(model, max, startMs);
        const readers: Reader[] = [new Poller(twin, startMs), new Subscriber(twin, startMs)];
        let now = startMs;
        for (const each of steps) {
          now = change(twin, each, now);
          twin.lookAtShards(now);
          const reader = 'who' in each ? readers[each.who % readers.length] : undefined;
          if (each.kind === 'read') reader?.read(each.pick, each.limit, each.how, now);
          if (each.kind === 'restart') reader?.restart();
          if (each.kind === 'join' && readers.length < 4) readers.push(new Poller(twin, now));
        }

        // Nothing more is written; whoever waits long enough has read it all.
        now += 6000;
        twin.age(now);
        const openIds = model.stream(streamName, now).openShards.map(({ id }) => id);
        for (const reader of readers) {
          for (let round = 0; round <= twin.shards.size; round++) {
            // Each of them ends, or is read to its tip: at worst an iterator or a subscription has expired, and it is begun anew.
            for (let pick = 2 * reader.shardIds.length; pick > 0; pick--) reader.read(pick, 10_000, pick, now);
          }
          expect(reader.shardIds.sort()).toEqual([...openIds].sort());
          const seen = new Set(reader.seen);
          expect(seen.size).toBe(reader.seen.length);
          expect(twin.records.filter((record) => !seen.has(record) && !record.isGone)).toEqual([]);
          const lastOfKey = new Map<string, number>();
          const late = reader.seen.filter(({ id, key }) => {
            const last = lastOfKey.get(key) ?? -1;
            lastOfKey.set(key, id);
            return id <= last;
          });
          expect(late).toEqual([]);
        }
      },
    ),
    { numRuns: 100, interruptAfterTimeLimit: 25_000 },
  );
});

// The plan of UpdateShardCount, and what any sequence of splits, merges and such plans leaves behind.
import { type HashKey, type HashKeyRange, MAX_HASH_KEY, MIN_HASH_KEY } from '@shardline/common/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KinesisModel, type Shard, type ShardFilter, type Stream } from './index.ts';
import { uniformScaling } from './uniform-scaling.ts';

const streamName = 'scaled';
const t0 = 1_700_000_000_000;
const hourMs = 3_600_000;

function modelWith(shardCount: number): KinesisModel {
  const model = new KinesisModel({ limits: false });
  model.createStream({ name: streamName, shardCount }, t0);
  return model;
}

/** A stream of `from` even shards after UpdateShardCount to `to`, and how many shards that made. */
function scaled(from: number, to: number): { before: readonly Shard[]; stream: Stream; made: number } {
  const model = modelWith(from);
  const before = model.stream(streamName, t0).openShards;
  model.updateShardCount({ streamName, targetShardCount: to }, t0);
  const stream = model.stream(streamName, t0);
  return { before, stream, made: stream.shards.length - from };
}

/** The keys from the first range's start to the last one's end, each in exactly one of the ranges. */
function joined(ranges: readonly HashKeyRange[]): HashKeyRange {
  const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1));
  for (let i = 1; i < sorted.length; i++) expect(sorted[i]?.start).toBe((sorted[i - 1]?.end ?? 0n) + 1n);
  return { start: sorted[0]?.start ?? (-1n as HashKey), end: sorted.at(-1)?.end ?? (-1n as HashKey) };
}

function rangesOf(shards: readonly Shard[]): HashKeyRange[] {
  return shards.map(({ origin }) => origin.range);
}

const wholeSpace: HashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };

test('twice the shards are a split of each, half of them a merge of each pair, whatever rounding CreateStream left', () => {
  for (const count of [1, 2, 3, 7, 10, 64, 333]) {
    expect(scaled(count, count * 2).made).toBe(count * 2);
    const merged = scaled(count * 2, count);
    expect(merged.made).toBe(count);
    expect(merged.stream.openShards.map(({ origin }) => origin.parentIds.length)).toEqual(Array(count).fill(2));
  }
});

test('the same count of even shards is no change; of uneven ones it makes them even', () => {
  expect(scaled(5, 5).made).toBe(0);
  const model = modelWith(1);
  const newStartingHashKey = (MAX_HASH_KEY / 10n) as HashKey;
  model.splitShard({ streamName, shardId: 'shardId-000000000000', newStartingHashKey }, t0);
  model.updateShardCount({ streamName, targetShardCount: 2 }, t0);
  const [left] = model.stream(streamName, t0).openShards;
  expect(left?.origin.range.end).toBe(MAX_HASH_KEY / 2n);
});

test('"Kinesis Data Streams performs splits or merges on individual shards. This can cause short-lived shards to be created, in addition to the final shards"', () => {
  const { stream, before } = scaled(2, 3);
  expect(stream.openShards).toHaveLength(3);
  const shortLived = stream.shards.filter((shard) => !shard.isOpen && !before.includes(shard));
  expect(shortLived.map(({ id }) => id)).toEqual(['shardId-000000000003', 'shardId-000000000004']);
  for (const { log, origin, end } of shortLived) {
    expect(log.nextCounter).toBe(log.firstCounter);
    expect(end?.atMs).toBe(origin.createdMs);
  }
});

test('from any open shards to any count: exactly that many even ranges, by steps that end an open shard or two neighbours', () => {
  const cuts = fc.uniqueArray(fc.bigInt({ min: 1n, max: MAX_HASH_KEY }), { maxLength: 12 });
  fc.assert(
    fc.property(cuts, fc.integer({ min: 1, max: 40 }), (starts, targetCount) => {
      const sorted = [0n, ...starts.sort((a, b) => (a < b ? -1 : 1))] as HashKey[];
      const open = sorted.map((start, number) => ({
        id: `shardId-${String(number).padStart(12, '0')}`,
        range: { start, end: ((sorted[number + 1] ?? MAX_HASH_KEY + 1n) - 1n) as HashKey },
      }));
      const now = new Map(open.map(({ id, range }) => [id, range]));
      let number = open.length;
      for (const { parentIds, ranges } of uniformScaling(open, targetCount, number)) {
        const parents = parentIds.map((id) => now.get(id) as HashKeyRange);
        expect(parents).not.toContain(undefined);
        expect([parents.length, ranges.length]).toEqual(parents.length === 1 ? [1, 2] : [2, 1]);
        expect(joined(ranges)).toEqual(joined(parents));
        for (const id of parentIds) now.delete(id);
        for (const range of ranges) now.set(`shardId-${String(number++).padStart(12, '0')}`, range);
      }
      const ranges = [...now.values()];
      expect(ranges).toHaveLength(targetCount);
      expect(joined(ranges)).toEqual(wholeSpace);
      const even = (MAX_HASH_KEY + 1n) / BigInt(targetCount);
      for (const { start, end } of ranges) {
        const off = end - start + 1n - even;
        expect(off < 0n ? -off : off).toBeLessThanOrEqual(1n << 21n);
      }
    }),
  );
});

type Change =
  | { kind: 'split'; pick: number; part: bigint }
  | { kind: 'merge'; pick: number }
  | { kind: 'scale'; percent: number };

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('split' as const), pick: fc.nat(), part: fc.bigInt({ min: 1n, max: 999n }) }),
  fc.record({ kind: fc.constant('merge' as const), pick: fc.nat() }),
  fc.record({ kind: fc.constant('scale' as const), percent: fc.integer({ min: 50, max: 200 }) }),
);

function apply(model: KinesisModel, each: Change, now: number): void {
  const { openShards } = model.stream(streamName, now);
  switch (each.kind) {
    case 'split': {
      const shard = openShards[each.pick % openShards.length] as Shard;
      const { start, end } = shard.origin.range;
      const newStartingHashKey = (start + ((end - start) * each.part) / 1000n) as HashKey;
      if (end - start > 2000n) model.splitShard({ streamName, shardId: shard.id, newStartingHashKey }, now);
      break;
    }
    case 'merge': {
      const at = each.pick % openShards.length;
      const [left, right] = [openShards[at], openShards[at + 1]];
      if (left === undefined || right === undefined) break;
      model.mergeShards({ streamName, shardId: right.id, adjacentShardId: left.id }, now);
      break;
    }
    case 'scale': {
      const targetShardCount = Math.max(1, Math.ceil((openShards.length * each.percent) / 100));
      model.updateShardCount({ streamName, targetShardCount: Math.min(targetShardCount, openShards.length * 2) }, now);
      break;
    }
  }
}

test('any sequence of SplitShard, MergeShards and UpdateShardCount keeps a family tree that a consumer can follow', () => {
  const steps = fc.array(fc.tuple(change, fc.integer({ min: 0, max: 8 * hourMs })), { maxLength: 12 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), steps, (shardCount, changes) => {
      const model = modelWith(shardCount);
      const moments: { atMs: number; open: string[] }[] = [];
      let now = t0;
      for (const [each, waitMs] of changes) {
        // A reshard on the very moment asked for belongs to the time before it (shard-filter.ts), so no moment is one of those.
        now += 2 + waitMs;
        moments.push({
          atMs: now - 1,
          open: model
            .stream(streamName, now)
            .openShards.map(({ id }) => id)
            .sort(),
        });
        apply(model, each, now);
        const { shards, openShards } = model.stream(streamName, now);
        const byId = new Map(shards.map((shard) => [shard.id, shard]));

        expect(joined(rangesOf(openShards))).toEqual(wholeSpace);
        for (const { id, end, origin } of shards) {
          if (end === undefined) continue;
          // "ChildShards": what covers the parent's range, each with its parents, at most two of them.
          const children = end.childShards.map((child) => byId.get(child.shardId) as Shard);
          const covered = joined(rangesOf(children));
          expect(covered.start <= origin.range.start && covered.end >= origin.range.end).toBe(true);
          for (const child of children) {
            expect(child.origin.parentIds).toContain(id);
            expect(child.origin.parentIds.length).toBeLessThanOrEqual(2);
            expect(child.startingSequenceNumber).toBeGreaterThan(end.endingSequenceNumber);
          }
        }

        const listed = (filter: ShardFilter): readonly Shard[] => model.listShards({ streamName, filter }, now).shards;
        expect(joined(rangesOf(listed({ kind: 'AT_TRIM_HORIZON' })))).toEqual(wholeSpace);
        expect(listed({ kind: 'AT_LATEST' }).map(({ id }) => id)).toEqual(openShards.map(({ id }) => id).sort());
        for (const { atMs, open } of moments) {
          if (atMs < now - 24 * hourMs) continue;
          expect(listed({ kind: 'AT_TIMESTAMP', timestampMs: atMs }).map(({ id }) => id)).toEqual(open);
          const from = listed({ kind: 'FROM_TIMESTAMP', timestampMs: atMs });
          expect(from.filter(({ origin }) => origin.createdMs <= atMs).map(({ id }) => id)).toEqual(open);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('10,000 shards are made of 5,000 in no more time than a test may take', () => {
  const { stream } = scaled(5000, 10_000);
  expect(stream.openShards).toHaveLength(10_000);
  expect(joined(rangesOf(stream.openShards))).toEqual(wholeSpace);
});

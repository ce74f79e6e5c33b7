// What UpdateShardCount does to a stream: the splits and merges that lead from its open shards, whatever their ranges are, to a
// number of even ones. A split makes two children of one parent, a merge one child of two neighbours, and there is nothing
// else: that is all a consumer can follow. So most targets need shards that are opened and closed again within the same
// change. The steps name those before they exist, which holds because no other change of the stream comes between.
import { type HashKey, type HashKeyRange, invariant, MAX_HASH_KEY } from '@shardline/common/base';
import { shardIdOf } from './shard.ts';
import type { Reshard } from './stream.ts';

/** A shard that is open, or will be after an earlier step. */
export interface OpenShard {
  readonly id: string;
  readonly range: HashKeyRange;
}

/**
 * How far from its even place a boundary may stay, in hash keys. One that is there already is not moved by a rounding
 * (CreateStream's ranges are a few keys off, a shard split in half may be one off), or doubling a stream would leave
 * slivers behind. It is less than 2^-90 of any range.
 */
const ROUNDING = 1n << 20n;

/** The steps from `open` (by hash key, covering all keys once) to `targetCount` even ranges. Shards that fit already stay. */
export function uniformScaling(open: readonly OpenShard[], targetCount: number, nextShardNumber: number): Reshard[] {
  const starts = evenStarts(open, targetCount);
  const ends = new Set<bigint>([...starts.map((start) => start - 1n), MAX_HASH_KEY]);
  const plan = new Plan(nextShardNumber);
  let range: OpenShard[] = [];
  let passed = 0;
  for (const shard of open) {
    const from = passed;
    while (passed < starts.length && (starts[passed] as HashKey) <= shard.range.end) passed++;
    const inside = starts.slice(from, passed).filter((start) => start > shard.range.start);
    for (const piece of plan.split(shard, inside)) {
      range.push(piece);
      if (!ends.has(piece.range.end)) continue;
      // Merged as soon as it is whole: the fewer shards are open at once, the fewer count against the quota.
      plan.merge(range);
      range = [];
    }
  }
  return plan.steps;
}

/** How many more shards are open at the height of the steps than before them. */
export function peakOfOpenShards(steps: readonly Reshard[]): number {
  let added = 0;
  let peak = 0;
  for (const { parentIds, ranges } of steps) {
    added += ranges.length - parentIds.length;
    peak = Math.max(peak, added);
  }
  return peak;
}

/** Where the even ranges begin, but for the first: at a boundary that is there, if one is near enough. */
function evenStarts(open: readonly OpenShard[], count: number): HashKey[] {
  const starts: HashKey[] = [];
  let at = 0;
  for (let index = 1n; index < count; index++) {
    const even = ((MAX_HASH_KEY + 1n) * index) / BigInt(count);
    while (at + 1 < open.length && (open[at + 1] as OpenShard).range.start <= even) at++;
    const near = [open[at], open[at + 1]]
      .map((shard) => shard?.range.start ?? 0n)
      .find((start) => start > 0n && start >= even - ROUNDING && start <= even + ROUNDING);
    starts.push((near ?? even) as HashKey);
  }
  return starts;
}

class Plan {
  readonly steps: Reshard[] = [];
  #nextShardNumber: number;

  constructor(nextShardNumber: number) {
    this.#nextShardNumber = nextShardNumber;
  }

  /** Splits a shard at each of the keys, the middle one first: then no piece is far down the line. */
  split(shard: OpenShard, at: readonly HashKey[]): OpenShard[] {
    const half = at.length >>> 1;
    const middle = at[half];
    if (middle === undefined) return [shard];
    const { start, end } = shard.range;
    const [left, right] = this.#step(
      [shard],
      [
        { start, end: (middle - 1n) as HashKey },
        { start: middle, end },
      ],
    );
    invariant(left !== undefined && right !== undefined, 'a split opens two shards');
    return [...this.split(left, at.slice(0, half)), ...this.split(right, at.slice(half + 1))];
  }

  /** Merges neighbours into one, two by two. */
  merge(shards: readonly OpenShard[]): OpenShard {
    const half = shards.length >>> 1;
    const [only] = shards;
    if (half === 0 && only !== undefined) return only;
    const left = this.merge(shards.slice(0, half));
    const right = this.merge(shards.slice(half));
    const [merged] = this.#step([left, right], [{ start: left.range.start, end: right.range.end }]);
    invariant(merged !== undefined, 'a merge opens one shard');
    return merged;
  }

  #step(parents: readonly OpenShard[], ranges: readonly HashKeyRange[]): OpenShard[] {
    this.steps.push({ parentIds: parents.map(({ id }) => id), ranges });
    return ranges.map((range) => ({ id: shardIdOf(this.#nextShardNumber++), range }));
  }
}

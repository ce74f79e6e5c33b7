// Endings in which shards are split and merged, and some listings still show what was there before, though children have their leases by
// then: of two that a worker asks for one after the other, at most one. And the checker: nobody takes a lease of a shard that the stream has
// for another stream's, though to one such listing it looks like it. That nothing is begun twice or lost is judged by the others.
import type { Shard } from '../../../consumer/dist/coordination/lease.js';
import type { Ending } from './endings.ts';
import type { SimulatedProcess } from './process.ts';
import type { World } from './world.ts';

const ROUNDS = 4;
const PUTS = 3;
/** Until the next reshard: the leader has listed the shards meanwhile, or not. */
const ROUND_MS = [600, 3_000] as const;
/** So old a listing may be; less than a finished lease is kept for. */
const OLD_MS = 3_000;

/** @returns undefined: of several streams each has its own keys. */
export function olderListings(world: World): Ending | undefined {
  if (world.streams.size > 1) return undefined;
  const { queue, checkers, prng } = world;
  const stream = world.streamOf(undefined);
  let before: { readonly at: number; readonly shards: Shard[] } | undefined;
  const shownOld = new Set<SimulatedProcess>();
  return {
    shows: (process, shards) => {
      if (before === undefined || queue.now - before.at > OLD_MS || shownOld.delete(process)) return shards;
      shownOld.add(process);
      world.transcript?.happens(`${process.workerId} is shown the shards as they were before`);
      return before.shards;
    },
    told: (process, notice) => {
      if (notice.kind !== 'streamReplaced') return;
      const leaseKeys = [...notice.leaseKeys, ...notice.strayKeys].join(', ');
      checkers.report(`${process.workerId} says that ${leaseKeys} are of another stream, and there is only one`);
    },
    play: () => {
      for (let round = 0; round < ROUNDS && checkers.violations.length === 0; round += 1) {
        before = { at: queue.now, shards: stream.listShards('all', queue.now) };
        if (prng.chance(0.6)) stream.split(queue.now, prng);
        else stream.merge(queue.now, prng);
        for (let count = 0; count < PUTS; count += 1) stream.put(queue.now, prng);
        queue.runUntil(queue.now + prng.between(...ROUND_MS));
      }
      if (checkers.violations.length === 0) world.settle();
    },
  };
}

// Worlds with a second stream in the same producer, which shares with the first one the bound of outstanding records and the requests
// in flight. Some have so small a bound that puts are refused, some a producer that knows one stream at a time and forgets the other.
// Not drawn from the world's own chances: all other worlds stay as they are.
import { createPrng } from '../prng.ts';
import type { Plan } from './swarm.ts';

export const STREAM = 'simulated';
export const OTHER_STREAM = 'other';

/** The plan of a seed's world, with some of its puts into the other stream where the seed says so. */
export function withStreams(plan: Plan, seed: number): Plan {
  if (seed % 4 !== 2) return plan;
  const prng = createPrng(seed + 1_000_000);
  return {
    ...plan,
    maxStreamCount: prng.pick([1, 2, 2]),
    maxOutstandingRecordCount: prng.pick([5, 20, 100_000]),
    otherByArn: prng.chance(0.5),
    puts: plan.puts.map((put) => ({ ...put, toOther: prng.chance(0.5) })),
  };
}

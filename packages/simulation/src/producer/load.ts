// Worlds with so much to write that shards are held to their rate: large records in some, thousands of small ones in others. None
// waits for another of its key, so that only the rate is in their way. Not drawn: all other worlds stay as they are.
import type { Plan } from './swarm.ts';

/** In a world of many records each planned put comes so often. */
const REPEATS = 25;

/** In a world of large records each is so much larger, up to what one may be. */
const LARGER = 6000;
const LARGEST_BYTES = 1_000_000;

/** The plan of a seed's world, with a heavier load where the seed says so. */
export function withLoad(plan: Plan, seed: number): Plan {
  if (seed % 64 === 7) return ofLargeRecords(plan);
  return seed % 64 === 15 ? ofManyRecords(plan) : plan;
}

/** More than a bucket holds. */
function ofLargeRecords(plan: Plan): Plan {
  const puts = plan.puts.map((put) => ({ ...put, dataBytes: Math.min(LARGEST_BYTES, LARGER * put.dataBytes) }));
  const options = { ...plan.options, ordering: 'none', rateLimitPercent: 100, maxRequestsInFlight: 24 } as const;
  return { ...plan, shardCount: 1, puts, options };
}

/** Each travels alone. */
function ofManyRecords(plan: Plan): Plan {
  const puts = plan.puts.flatMap((put) => Array.from({ length: REPEATS }, () => ({ ...put, dataBytes: 8 })));
  const options = {
    ...plan.options,
    ordering: 'none',
    aggregationEnabled: false,
    rateLimitPercent: 100,
    collectionMaxCount: 500,
    collectionMaxSizeBytes: 5_242_880,
    maxRequestsInFlight: 24,
  } as const;
  return { ...plan, shardCount: 1, puts, options };
}

// Worlds that last: what a plan holds comes again and again, with the same chances and other outcomes, until so much time is over. What
// a producer gathers in the course of time (rates, versions of the shard map, ranges of closed shards) shows in them alone.
import type { Plan } from './swarm.ts';

/**
 * Between one round of puts and the next, and a share of the shards' rate that takes them. Without, some worlds would put more than goes,
 * by the rate or by one hot key: for seconds that is a queue, for minutes it is records that expire, whatever the producer does.
 */
const REST_MS = 4_000;
const AMPLE_RATE_PERCENT = 150;

/** The plan, with faults for at least so long; as it is when they last longer anyway. It never gives up. */
export function lasting(plan: Plan, faultsForMs: number): Plan {
  if (faultsForMs <= plan.faultsUntilMs) return plan;
  const roundMs = plan.faultsUntilMs + REST_MS;
  const rounds = Math.ceil(faultsForMs / roundMs);
  return {
    ...plan,
    options: { ...plan.options, rateLimitPercent: Math.max(AMPLE_RATE_PERCENT, plan.options.rateLimitPercent) },
    puts: repeated(plan.puts, rounds, roundMs),
    incidents: repeated(plan.incidents, rounds, roundMs),
    faultsUntilMs: rounds * roundMs,
    abandonAtMs: undefined,
  };
}

function repeated<T extends { readonly atMs: number }>(items: readonly T[], rounds: number, everyMs: number): T[] {
  return Array.from({ length: rounds }, (_, index) =>
    items.map((item) => ({ ...item, atMs: item.atMs + index * everyMs })),
  ).flat();
}

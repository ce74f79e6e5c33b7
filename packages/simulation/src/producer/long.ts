// Worlds that last: what a plan holds comes again and again, with the same chances and other outcomes, until so much time is over. What
// a producer gathers in the course of time (rates, versions of the shard map, ranges of closed shards) shows in them alone.
import type { Plan } from './swarm.ts';

/** The plan, with faults for at least so long; as it is when they last longer anyway. It never gives up. */
export function lasting(plan: Plan, faultsForMs: number): Plan {
  const repeats = Math.ceil(faultsForMs / plan.faultsUntilMs);
  if (repeats <= 1) return plan;
  return {
    ...plan,
    puts: repeated(plan.puts, repeats, plan.faultsUntilMs),
    incidents: repeated(plan.incidents, repeats, plan.faultsUntilMs),
    faultsUntilMs: repeats * plan.faultsUntilMs,
    abandonAtMs: undefined,
  };
}

function repeated<T extends { readonly atMs: number }>(items: readonly T[], repeats: number, everyMs: number): T[] {
  return Array.from({ length: repeats }, (_, index) =>
    items.map((item) => ({ ...item, atMs: item.atMs + index * everyMs })),
  ).flat();
}

// What the shards of a large stream carry in these simulations.
import type { Prng } from '../prng.ts';

/** Most shards carry little and some much (log-normal around 100 kB/s), none more than may be put to one. */
export function trafficKBps(prng: Prng): number {
  const normal = Math.sqrt(-2 * Math.log(1 - prng.next())) * Math.cos(2 * Math.PI * prng.next());
  return Math.min(1_000, 100 * Math.exp(normal));
}

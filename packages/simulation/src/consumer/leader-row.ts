// An operator of some worlds who deletes the `Leader` row by hand, as one does who believes it stuck: the leader learns of it with its next
// heartbeat, whatever its run is about, and often has the row again a moment later. What every world is held to holds in these, too. How it is
// drawn does not touch the sequence of the world, so that all others stay as they are.
import { createPrng } from '../prng.ts';

/** Between two deletions. */
const PACE_MS = [200, 900] as const;

/** When the row is deleted, up to the end of the faults. */
export function* leaderRowGoesAt(seed: number, untilMs: number): Iterable<number> {
  if (seed % 36 !== 12) return;
  const prng = createPrng(seed ^ 0x1ead);
  for (let at = prng.between(...PACE_MS); at < untilMs; at += prng.between(...PACE_MS)) yield at;
}

// All chance of a simulated world comes from one seed through this generator (mulberry32 over a 32-bit state), so that a seed
// replays to the byte on every machine.

export interface Prng {
  /** 0 ≤ x < 1. */
  next(): number;
  /** A whole number, 0 ≤ x < n. */
  int(n: number): number;
  /** A whole number, from ≤ x ≤ to. */
  between(from: number, to: number): number;
  /** True with probability `p`. */
  chance(p: number): boolean;
  /** One of the items. */
  pick<T>(items: readonly T[]): T;
}

export function createPrng(seed: number): Prng {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (n: number): number => Math.floor(next() * n);
  return {
    next,
    int,
    between: (from, to) => from + int(to - from + 1),
    chance: (p) => next() < p,
    pick: (items) => {
      if (items.length === 0) throw new RangeError('pick: expected at least one item, got none');
      return items[int(items.length)] as (typeof items)[number];
    },
  };
}

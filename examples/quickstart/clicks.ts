// The quickstart's own input: clicks in a web shop, one a line, the visitor first. A few visitors are hot, as in life: a sixth
// of the clicks come from three of them. The same seed gives the same bytes on every machine.
const shelves = ['lamps', 'chairs', 'tables', 'shelves', 'rugs', 'plants'] as const;
const actions = ['view', 'view', 'view', 'view', 'search', 'add-to-cart', 'remove', 'checkout'] as const;

const HOT_SHARE = 1 / 6;
const HOT_VISITOR_COUNT = 3;
const VISITOR_COUNT = 1_500;
const PRODUCT_COUNT = 400;
const OPENING_TIME_MS: number = Date.UTC(2025, 10, 28, 8);
const MEAN_GAP_MS = 40;
const CHUNK_LINES = 100;

/** `recordCount` lines in chunks, LF after each. */
export async function* clicks(recordCount: number, seed: number): AsyncGenerator<Buffer, void, void> {
  const next = randomOf(seed);
  const below = (bound: number): number => Math.floor(next() * bound);
  const oneOf = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
  let timeMs = OPENING_TIME_MS;
  let chunk: string[] = [];
  for (let count = 1; count <= recordCount; count++) {
    const visitor = next() < HOT_SHARE ? below(HOT_VISITOR_COUNT) : HOT_VISITOR_COUNT + below(VISITOR_COUNT);
    timeMs += below(2 * MEAN_GAP_MS);
    const time = new Date(timeMs).toISOString();
    chunk.push(`visitor-${visitor} ${time} ${oneOf(actions)} /${oneOf(shelves)}/${below(PRODUCT_COUNT)}\n`);
    if (chunk.length < CHUNK_LINES && count < recordCount) continue;
    yield Buffer.from(chunk.join(''));
    chunk = [];
  }
}

/** Mulberry32 by Tommy Ettinger (public domain): 32 bits of state, from 0 to below 1. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

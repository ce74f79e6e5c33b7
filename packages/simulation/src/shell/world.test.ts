import { describe, expect, test } from 'vitest';
import { shellPlantedBugs } from './planted-bugs.ts';
import { simulateShell } from './world.ts';

/** So many worlds a test: a slow machine has the time of a test for each of them. */
const TOGETHER = 10;
const BUG_SEEDS = 20;

test.each([1, 11, 21, 31, 41])(`nothing is violated in the ${TOGETHER} worlds from seed %i on`, async (first) => {
  let records = 0;
  for (let seed = first; seed < first + TOGETHER; seed += 1) {
    const { violations, recordCount } = await simulateShell(seed);
    expect({ seed, violations }).toEqual({ seed, violations: [] });
    records += recordCount;
  }
  expect(records).toBeGreaterThan(50 * TOGETHER);
});

test('where handlers threw after they had checkpointed by hand, a part of the batch that comes again is checkpointed without a word', async () => {
  for (const seed of [3, 16]) expect((await simulateShell(seed)).violations).toEqual([]);
});

test('where the registered consumer is deregistered, and maybe there again for another shard, that is no shard taken to be at its end', async () => {
  for (const seed of [108, 615]) expect((await simulateShell(seed)).violations).toEqual([]);
});

test('a seed replays to the byte, broken or not', async () => {
  for (const [seed, bug] of [
    [4, undefined],
    [5, shellPlantedBugs[0]],
  ] as const) {
    const first = await simulateShell(seed, { bug, transcript: true });
    expect(first.transcript.length).toBeGreaterThan(100);
    expect(await simulateShell(seed, { bug, transcript: true })).toEqual(first);
  }
});

describe('a planted bug is found', () => {
  test.each(shellPlantedBugs)('$name', async (bug) => {
    let found: number | undefined;
    for (let seed = 1; seed <= BUG_SEEDS && found === undefined; seed += 1)
      if ((await simulateShell(seed, { bug })).violations.length > 0) found = seed;
    expect(found).toBeDefined();
  });
});

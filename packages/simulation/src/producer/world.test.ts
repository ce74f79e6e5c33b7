import { describe, expect, test } from 'vitest';
import { producerPlantedBugs } from './planted-bugs.ts';
import { simulateProducer } from './world.ts';

const SEEDS = 200;

test(`nothing is violated in ${SEEDS} worlds`, () => {
  for (let seed = 1; seed <= SEEDS; seed++)
    expect({ seed, violations: simulateProducer(seed).violations }).toEqual({ seed, violations: [] });
});

test('nothing is violated in worlds whose faults last for a minute', () => {
  for (const seed of [2, 3, 6, 8]) {
    const { violations, requestCount } = simulateProducer(seed, { faultsForMs: 60_000 });
    expect({ seed, violations }).toEqual({ seed, violations: [] });
    expect(requestCount).toBeGreaterThan(100);
  }
});

test("in the world in which large records left a shard's bucket before there was room for them, no rule is broken", () => {
  expect(simulateProducer(1_038_023).violations).toEqual([]);
});

test('of two that wait and have a key, the later one carries it where what waits for both is taken apart', () => {
  expect(simulateProducer(702_715).violations).toEqual([]);
});

test('a seed replays to the byte, broken or not', () => {
  for (const seed of [3, 30]) {
    const bug = { plantedBug: 'keys-overtake' };
    expect(simulateProducer(seed, bug)).toEqual(simulateProducer(seed, bug));
  }
});

describe('a planted bug is found', () => {
  test.each(producerPlantedBugs)('%s', (plantedBug) => {
    const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1);
    expect(seeds.find((seed) => simulateProducer(seed, { plantedBug }).violations.length > 0)).toBeDefined();
  });
});

// Runs many schedules, and the planted bugs against as many seeds as it takes to find each. A schedule is both worlds of one seed:
// a fleet of consumers and a producer.
import { plantedBugs } from './consumer/planted-bugs.ts';
import { simulateWorld } from './consumer/world.ts';
import { producerMistake, producerPlantedBugs, simulateProducer } from './producer/index.ts';

export interface Failure {
  readonly world: 'consumer' | 'producer';
  readonly seed: number;
  readonly violations: readonly string[];
}

export interface FoundBug {
  readonly world: Failure['world'];
  readonly name: string;
  readonly mistake: string;
  /** How many seeds it took; undefined: not found. */
  readonly seeds: number | undefined;
}

/** Schedules with the seeds `first` to `first + count − 1`. */
export function simulateMany(
  first: number,
  count: number,
): { readonly schedules: number; readonly failures: readonly Failure[] } {
  const failures: Failure[] = [];
  for (let seed = first; seed < first + count; seed += 1) {
    const consumer = simulateWorld(seed).violations;
    if (consumer.length > 0) failures.push({ world: 'consumer', seed, violations: consumer });
    const producer = simulateProducer(seed).violations;
    if (producer.length > 0) failures.push({ world: 'producer', seed, violations: producer });
  }
  return { schedules: count, failures };
}

/** Tries each planted bug on up to `most` seeds from `first` on. */
export function findPlantedBugs(first: number, most: number): FoundBug[] {
  const consumer = plantedBugs().map(({ name, mistake }, index): FoundBug => {
    // A bug may keep state, so each world gets its own.
    const breaks = (seed: number): boolean => simulateWorld(seed, { bug: plantedBugs()[index] }).violations.length > 0;
    return { world: 'consumer', name, mistake, seeds: seedsUntil(breaks, first, most) };
  });
  const producer = producerPlantedBugs.map((name): FoundBug => {
    const breaks = (seed: number): boolean => simulateProducer(seed, { plantedBug: name }).violations.length > 0;
    return { world: 'producer', name, mistake: producerMistake(name), seeds: seedsUntil(breaks, first, most) };
  });
  return [...consumer, ...producer];
}

function seedsUntil(breaks: (seed: number) => boolean, first: number, most: number): number | undefined {
  for (let tried = 1; tried <= most; tried += 1) if (breaks(first + tried - 1)) return tried;
  return undefined;
}

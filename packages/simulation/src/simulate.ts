// Runs many worlds, and the planted bugs against as many seeds as it takes to find each.
import { plantedBugs } from './consumer/planted-bugs.ts';
import { simulateWorld } from './consumer/world.ts';

export interface Failure {
  readonly world: 'consumer' | 'producer';
  readonly seed: number;
  readonly violations: readonly string[];
}

export interface FoundBug {
  readonly name: string;
  readonly mistake: string;
  /** How many seeds it took; undefined: not found. */
  readonly seeds: number | undefined;
}

/** Worlds with the seeds `first` to `first + count − 1`. */
export function simulateMany(
  first: number,
  count: number,
): { readonly schedules: number; readonly failures: readonly Failure[] } {
  const failures: Failure[] = [];
  for (let seed = first; seed < first + count; seed += 1) {
    const { violations } = simulateWorld(seed);
    if (violations.length > 0) failures.push({ world: 'consumer', seed, violations });
  }
  return { schedules: count, failures };
}

/** Tries each planted bug on up to `most` seeds from `first` on. */
export function findPlantedBugs(first: number, most: number): FoundBug[] {
  return plantedBugs().map(({ name, mistake }, index) => {
    for (let tried = 1; tried <= most; tried += 1) {
      // A bug may keep state, so each world gets its own.
      const bug = plantedBugs()[index];
      if (simulateWorld(first + tried - 1, { bug }).violations.length > 0) return { name, mistake, seeds: tried };
    }
    return { name, mistake, seeds: undefined };
  });
}

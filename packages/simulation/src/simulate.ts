// What a run is made of: a piece of work is some seeds of a world, or the search for one planted bug; it can be done in any
// thread, and what comes out depends on nothing but the piece. A schedule is one world of one seed.
import { plantedBugs } from './consumer/planted-bugs.ts';
import { simulateWorld } from './consumer/world.ts';
import { producerMistake, producerPlantedBugs, simulateProducer } from './producer/index.ts';

/** Two sizes of the consumers' world, and the producer's. */
export const WORLDS = ['small', 'large', 'producer'] as const;
export type WorldName = (typeof WORLDS)[number];

/** `mix`: the world of each seed follows from the seed; of ten seeds six are small, three are producers, one is large. */
export type WorldChoice = WorldName | 'mix';

export interface Failure {
  readonly world: WorldName;
  readonly seed: number;
  readonly violations: readonly string[];
}

export interface FoundBug {
  readonly world: WorldName;
  readonly name: string;
  /** What a programmer would have done wrong. */
  readonly mistake: string;
  /** How many seeds it took; undefined: not found. */
  readonly seeds: number | undefined;
}

/** How many schedules of a world were run, and how long one thread took for them. */
export interface Share {
  readonly schedules: number;
  readonly ms: number;
}

export interface SeedsDone {
  readonly failures: readonly Failure[];
  readonly shares: Readonly<Record<WorldName, Share>>;
}

export type Piece =
  | { readonly kind: 'seeds'; readonly world: WorldChoice; readonly first: number; readonly count: number }
  /** `bug`: its place among all of them. */
  | { readonly kind: 'bug'; readonly bug: number; readonly first: number; readonly most: number };

export const PLANTED_BUG_COUNT: number = plantedBugs().length + producerPlantedBugs.length;

export function worldOf(choice: WorldChoice, seed: number): WorldName {
  if (choice !== 'mix') return choice;
  const digit = seed % 10;
  return digit === 0 ? 'large' : digit % 3 === 0 ? 'producer' : 'small';
}

export function simulate(
  world: WorldName,
  seed: number,
  transcript = false,
): { readonly violations: readonly string[]; readonly transcript: readonly string[] } {
  return world === 'producer'
    ? simulateProducer(seed, { transcript })
    : simulateWorld(seed, { size: world, transcript });
}

/** A planted bug to look at closely. */
export interface Planted {
  /** Where it is looked for. */
  readonly world: WorldName;
  /** One schedule with it, with its transcript. */
  readonly simulate: (world: WorldName, seed: number) => ReturnType<typeof simulate>;
}

export function plantedBugNames(): string[] {
  return [...plantedBugs().map(({ name }) => name), ...producerPlantedBugs];
}

/** @returns undefined: there is none of that name. */
export function plantedBugNamed(wanted: string): Planted | undefined {
  const bug = plantedBugs().find(({ name }) => name === wanted);
  if (bug !== undefined) {
    const size = (world: WorldName): 'small' | 'large' => (world === 'large' ? world : 'small');
    return {
      world: 'small',
      simulate: (world, seed) => simulateWorld(seed, { size: size(world), bug, transcript: true }),
    };
  }
  const plantedBug = producerPlantedBugs.find((name) => name === wanted);
  if (plantedBug === undefined) return undefined;
  return { world: 'producer', simulate: (_, seed) => simulateProducer(seed, { plantedBug, transcript: true }) };
}

/** @param nowMs any clock, for the figures. */
export function runSeeds({ world: choice, first, count }: Piece & { kind: 'seeds' }, nowMs: () => number): SeedsDone {
  const failures: Failure[] = [];
  const shares = { small: { schedules: 0, ms: 0 }, large: { schedules: 0, ms: 0 }, producer: { schedules: 0, ms: 0 } };
  let startedAt = nowMs();
  for (let seed = first; seed < first + count; seed += 1) {
    const world = worldOf(choice, seed);
    const { violations } = simulate(world, seed);
    if (violations.length > 0) failures.push({ world, seed, violations });
    const endedAt = nowMs();
    shares[world].schedules += 1;
    shares[world].ms += endedAt - startedAt;
    startedAt = endedAt;
  }
  return { failures, shares };
}

/** Tries one planted bug on up to `most` seeds: a consumer's on small worlds. */
export function findBug({ bug, first, most }: Piece & { kind: 'bug' }): FoundBug {
  const consumers = plantedBugs();
  const planted = consumers[bug];
  if (planted !== undefined) {
    // A bug may keep state, so each world gets its own.
    const breaks = (seed: number): boolean => simulateWorld(seed, { bug: plantedBugs()[bug] }).violations.length > 0;
    return { world: 'small', name: planted.name, mistake: planted.mistake, seeds: seedsUntil(breaks, first, most) };
  }
  const name = producerPlantedBugs[bug - consumers.length];
  if (name === undefined) throw new RangeError(`bug: expected 0 to ${PLANTED_BUG_COUNT - 1}, got ${bug}`);
  const breaks = (seed: number): boolean => simulateProducer(seed, { plantedBug: name }).violations.length > 0;
  return { world: 'producer', name, mistake: producerMistake(name), seeds: seedsUntil(breaks, first, most) };
}

function seedsUntil(breaks: (seed: number) => boolean, first: number, most: number): number | undefined {
  for (let tried = 1; tried <= most; tried += 1) if (breaks(first + tried - 1)) return tried;
  return undefined;
}

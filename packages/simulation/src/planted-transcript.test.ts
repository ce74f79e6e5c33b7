import { expect, test } from 'vitest';
import { findBug, PLANTED_BUG_COUNT, plantedBugNamed, plantedBugNames, simulate } from './simulate.ts';

const MOST_SEEDS = 200;

/** A seed that finds it, and what that schedule prints. */
function found(name: string): { readonly seed: number; readonly last: string; readonly violations: readonly string[] } {
  const bug = plantedBugNames().indexOf(name);
  const { world, seeds } = findBug({ kind: 'bug', bug, first: 1, most: MOST_SEEDS });
  if (seeds === undefined) throw new Error(`${name}: not found in ${MOST_SEEDS} seeds`);
  // A planted bug may keep state, so each schedule gets its own.
  const { transcript, violations } = plantedBugNamed(name)?.simulate(world, seeds) ?? {
    transcript: [],
    violations: [],
  };
  return { seed: seeds, last: transcript.slice(-2).join('\n'), violations };
}

test.each(['outlives-its-row', 'map-never-renewed'])('the transcript of %s ends with its violation', (name) => {
  const { seed, last, violations } = found(name);
  expect(violations).not.toEqual([]);
  expect(last).toContain(violations.at(-1));
  // It is the bug's: without it the same schedule has none.
  expect(simulate(name === 'outlives-its-row' ? 'small' : 'producer', seed).violations).toEqual([]);
});

test('every planted bug can be named, and no other', () => {
  const names = plantedBugNames();
  expect(new Set(names).size).toBe(PLANTED_BUG_COUNT);
  expect(names.filter((name) => plantedBugNamed(name) === undefined)).toEqual([]);
  expect(plantedBugNamed('none of them')).toBeUndefined();
});

import { expect, test } from 'vitest';
import { plantedBugs } from './planted-bugs.ts';
import { simulateWorld } from './world.ts';

test('a seed replays to the byte', () => {
  for (const seed of [3, 4, 5, 46]) {
    const first = simulateWorld(seed, { transcript: true });
    expect(first.transcript.length).toBeGreaterThan(0);
    expect(simulateWorld(seed, { transcript: true })).toEqual(first);
  }
  const large = simulateWorld(8, { size: 'large', transcript: true });
  expect(simulateWorld(8, { size: 'large', transcript: true })).toEqual(large);
});

test('a transcript does not change what happens', () => {
  const { eventCount } = simulateWorld(7, { transcript: true });
  expect(simulateWorld(7).eventCount).toBe(eventCount);
});

test('each planted bug says what was done wrong, under a name of its own', () => {
  const bugs = plantedBugs();
  expect(new Set(bugs.map((bug) => bug.name)).size).toBe(bugs.length);
  for (const bug of bugs) expect(bug.mistake.length).toBeGreaterThan(20);
});

test('a planted bug is found by the checker that it is for', () => {
  const [noFence] = plantedBugs();
  expect(noFence?.name).toBe('no-fence');
  const seeds = Array.from({ length: 60 }, (_, index) => index + 1);
  const found = seeds.flatMap((seed) => simulateWorld(seed, { bug: noFence }).violations);
  expect(found.some((violation) => /moved back|two handlers|went back/.test(violation))).toBe(true);
});

test('in the worlds in which the last to ask for a worker id went first, and kept others waiting, no rule is broken', () => {
  for (const seed of [865, 2011, 2467, 2689, 4315, 4417, 5515, 6535, 6943])
    expect([seed, simulateWorld(seed).violations]).toEqual([seed, []]);
});

test('a lease that waits for a second process longer than a leader waits for its owner is given away once more, and held', () => {
  expect(simulateWorld(3067).violations).toEqual([]);
  const { transcript } = simulateWorld(3067, { transcript: true });
  const regained = transcript.findIndex((line) => line.includes('gives away as leader what worker-0 has not renewed'));
  expect(transcript.slice(regained).some((line) => line.includes('worker-0      begins tenure'))).toBe(true);
});

test.each([
  ['names-the-heir', 4, /called silent for .*, which it never had/],
  ['leaves-in-silence', 9, /called silent, and .* left in good order/],
  ['freeing-is-sharing', 7, /ended: .* was freed and given back/],
  ['unreadable-is-missing', 68, /createLease was sent to .*, which cannot be read/],
])('%s is found by what is said of it', (name, seed, said) => {
  const bug = plantedBugs().find((planted) => planted.name === name);
  expect(simulateWorld(seed, { bug }).violations[0]).toMatch(said);
  expect(simulateWorld(seed).violations).toEqual([]);
});

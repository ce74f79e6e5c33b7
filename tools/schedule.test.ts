// The schedule: no tier runs before what it needs, more of them run than there are processors for, or beside one that measures.
import { expect, test } from 'vitest';
import { nextTier, runBeside } from './schedule.mjs';
import { tiers } from './tiers.mjs';

type Planned = Parameters<typeof nextTier>[0][number];

const tier = (name: string, cores: number, more: Partial<Planned> = {}): Planned => ({
  name,
  needs: [],
  cores,
  ...more,
});

/** Runs them all, one ending at a time, the one that started first; who ran at the same time, a line a start. */
async function play(planned: readonly Planned[], cores: number): Promise<{ beside: string[]; ended: string[] }> {
  const beside: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (started: Planned): Promise<string> => {
    const ended = new Promise<string>((resolve) => ends.set(started.name, () => resolve(started.name)));
    beside.push([...ends.keys()].join(' '));
    return ended;
  };
  const all = runBeside(planned, cores, run);
  for (const _ of planned) {
    const [first = ['', () => undefined] as const] = ends;
    ends.delete(first[0]);
    first[1]();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { beside, ended: await all };
}

test('a tier starts once there is room, and is passed by one that needs less', async () => {
  const planned = [tier('a', 1.3), tier('b', 1.1), tier('c', 0.7), tier('d', 0.9)];
  const { beside, ended } = await play(planned, 2);
  expect(beside).toEqual(['a', 'a c', 'c b', 'b d']);
  expect(ended).toEqual(['a', 'b', 'c', 'd']);
});

test('tenths add up to a whole machine', () => {
  expect(nextTier([tier('a', 0.7)], [tier('b', 0.1), tier('c', 0.2)], 1)?.name).toBe('a');
});

test('a tier that wants more than the machine has runs by itself', async () => {
  expect((await play([tier('a', 0.5), tier('b', 4), tier('c', 0.5)], 1)).beside).toEqual(['a', 'a c', 'b']);
});

test('nothing starts before what it needs has ended, nor beside what writes to its cache', async () => {
  const planned = [tier('a', 0.1), tier('b', 0.1, { needs: ['a'] }), tier('c', 0.1, { after: ['b', 'not run'] })];
  expect((await play(planned, 8)).beside).toEqual(['a', 'b', 'c']);
});

test('one that measures has nothing beside it, not even in the background', async () => {
  const planned = [tier('a', 1, { beside: 'background' }), tier('b', 0.1, { beside: 'alone' }), tier('c', 0.1)];
  expect((await play(planned, 8)).beside).toEqual(['a', 'a c', 'b']);
  expect(
    nextTier([tier('a', 0.1, { beside: 'background' })], [tier('b', 0.1, { beside: 'alone' })], 8),
  ).toBeUndefined();
});

test('one at a time runs in the background, whatever runs before it', async () => {
  const planned = [tier('a', 2), tier('b', 2, { beside: 'background' }), tier('c', 2, { beside: 'background' })];
  expect((await play(planned, 2)).beside).toEqual(['a', 'a b', 'c']);
});

test('tiers that wait for each other are named', async () => {
  const planned = [tier('a', 1, { after: ['b'] }), tier('b', 1, { needs: ['a'] })];
  await expect(runBeside(planned, 2, async () => undefined)).rejects.toThrow('these wait for each other: a, b');
});

test.each([1, 2, 64])('with %d processors every tier of the list runs once', async (cores) => {
  const names = tiers.map(({ name }) => name);
  expect((await play(tiers, cores)).ended).toEqual(names);
  for (const { needs, after = [] } of tiers) expect(names).toEqual(expect.arrayContaining([...needs, ...after]));
});

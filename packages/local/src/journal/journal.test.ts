// The journal's promise, on a folder in memory that can be left at any byte: random operations, a kill or a loss of power, a new
// start. What was done before is there, nothing else is, and going on works.
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Done, type PlacedStep, run, SEGMENT_BYTES, startMs, step, World } from '../../test/journal-world.ts';
import { MemoryFolder } from '../../test/memory-folder.ts';

const steps = fc.array(step, { minLength: 5, maxLength: 60, size: 'max' });

/** Starts in what a kill at this moment leaves, checks that it is what was done by then, and returns how many steps that are. */
function checkKilledAt(folder: MemoryFolder, moment: number, done: readonly Done[]): number {
  const count = done.findLastIndex((each) => each.moment <= moment);
  const viewAt = (now = startMs): unknown => new World(folder.killedAt(moment), { now }).view();
  const before = viewAt(done[count]?.now);
  if (isDeepStrictEqual(before, done[count]?.view)) return count;
  // The step under way may be whole, although nobody was told yet that it is done.
  const next = done[count + 1];
  if (next !== undefined && isDeepStrictEqual(viewAt(next.now), next.view)) return count + 1;
  expect(before).toEqual(done[count]?.view);
  return count;
}

test('killed at any byte, all that was done before it is there, nothing else, and going on works', () => {
  const kill = fc.nat(1_000_000).map((millionths) => millionths / 1_000_000);
  fc.assert(
    fc.property(steps, fc.array(kill, { minLength: 1, maxLength: 4 }), (all, kills) => {
      let folder = new MemoryFolder();
      let world = new World(folder);
      let left = all;
      for (const fraction of kills) {
        const begin = folder.moments;
        const done = run(world, folder, left);
        const moment = begin + Math.floor(fraction * (folder.moments - begin));
        const count = checkKilledAt(folder, moment, done);
        folder = folder.killedAt(moment);
        world = new World(folder, { now: done[count]?.now ?? startMs });
        left = left.slice(count);
      }
      run(world, folder, left);
      expect(new World(folder.copy(), { now: world.now }).view()).toEqual(world.view());
    }),
    { numRuns: 100 },
  );
});

test('killed at single bytes of a short life, from the first byte of the folder on, and at each of its last put', () => {
  const at = { place: 0, stream: 0, pick: 0 } as const;
  const life: PlacedStep[] = [
    { ...at, kind: 'create' },
    { ...at, kind: 'put', keys: ['a', 'ä', '\ud800'], sizeBytes: 20 },
    { ...at, kind: 'put', keys: ['b'], sizeBytes: 50 },
  ];
  const folder = new MemoryFolder();
  const [empty, ...done] = run(new World(folder, { model: { createStreamMs: 0 } }), folder, life);
  const fromNothing = [{ moment: 0, now: startMs, view: empty?.view }, ...done];
  const lastPut = done.at(-2)?.moment ?? 0;
  for (let moment = 0; moment < lastPut; moment += 13) checkKilledAt(folder, moment, fromNothing);
  for (let moment = lastPut; moment <= folder.moments; moment++) checkKilledAt(folder, moment, fromNothing);
});

/** Repeats itself for a seed. */
function coins(seed: number): () => boolean {
  let state = seed | 1;
  return () => {
    state = (Math.imul(state, 0x0019_660d) + 0x3c6e_f35f) >>> 0;
    return state >= 0x8000_0000;
  };
}

test.each([
  ['always', 'what was acknowledged'],
  ['everySecond', 'what is older than a second'],
] as const)('with fsync %s a loss of power leaves %s, and no more than what was done', async (fsync, _leaves) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), async (all, seed) => {
      const coin = coins(seed);
      const folder = new MemoryFolder();
      const world = new World(folder, { fsync });
      const done: Done[] = run(world, folder, []);
      let safeCount = 0;
      for (const each of all) {
        done.push(...run(world, folder, [each]).slice(1));
        if (coin()) continue;
        if (fsync === 'everySecond') world.clock.advance(1_000);
        await (fsync === 'always' ? world.journal.whenSafe() : new Promise((resolve) => setImmediate(resolve)));
        safeCount = done.length - 1;
      }
      const left = folder.withoutPower(coin);
      const found = done.findLastIndex(({ now, view }) =>
        isDeepStrictEqual(new World(left.copy(), { now }).view(), view),
      );
      expect(found).toBeGreaterThanOrEqual(safeCount);
    }),
    { numRuns: 100 },
  );
});

test('the folder stays within a multiple of what the models hold, whatever keeps its old segments', () => {
  const folder = new MemoryFolder();
  const segmentBytes = 200_000;
  const world = new World(folder, { segmentBytes, model: { limits: false, maxStoredBytesPerShard: 100_000 } });
  const [model] = world.models;
  model?.createStream({ name: 'orders', shardCount: 2 }, startMs);
  model?.settle(startMs + 500);
  const put = (explicitHashKey: bigint, sizeBytes: number): void => {
    const records = [{ partitionKey: 'k', explicitHashKey, data: Buffer.alloc(sizeBytes, 1) }] as never;
    model?.putRecords({ streamName: 'orders', records }, startMs + 500);
  };
  const sizeBytes = (): number => folder.names().reduce((sum, name) => sum + folder.read(name).length, 0);
  let largest = 0;
  for (let index = 0; index < 200; index++) {
    // A few bytes for a shard that keeps them for ever, and many for one that soon drops them.
    put(0n, 100);
    for (let each = 0; each < 10; each++) put(2n ** 127n, 5_000);
    largest = Math.max(largest, sizeBytes());
  }
  expect(largest).toBeLessThan(2 * 120_000 + 5 * segmentBytes);
  expect(new World(folder.copy(), { now: startMs + 500, model: { maxStoredBytesPerShard: 100_000 } }).view()).toEqual(
    world.view(),
  );
});

test('records are moved in portions, and none is lost on the way', () => {
  const folder = new MemoryFolder();
  const options = { segmentBytes: 4_000_000, model: { maxStoredBytesPerShard: 1e9 } };
  const world = new World(folder, options);
  const [model] = world.models;
  const put = (streamName: string, sizeBytes: number): void => {
    const records = [{ partitionKey: 'k', data: Buffer.alloc(sizeBytes, 1) }];
    model?.putRecords({ streamName, records }, world.now);
  };
  model?.createStream({ name: 'kept' }, world.now);
  for (let index = 0; index < 8; index++) {
    model?.createStream({ name: 'dropped' }, world.now);
    world.now += 1_000;
    model?.settle(world.now);
    for (const sizeBytes of [600_000, 600_000]) put('kept', sizeBytes);
    for (let each = 0; each < 3; each++) put('dropped', 1_000_000);
    model?.deleteStream({ streamName: 'dropped' }, world.now);
    world.now += 1_000;
    model?.settle(world.now);
  }
  expect(folder.names()).not.toContain('journal-00000001');
  expect(new World(folder.copy(), { ...options, now: world.now }).view()).toEqual(world.view());
});

test('a reset leaves nothing of what was there', () => {
  const folder = new MemoryFolder();
  const world = new World(folder);
  const [model] = world.models;
  model?.createStream({ name: 'orders' }, startMs);
  model?.settle(startMs + 500);
  const records = [{ partitionKey: 'k', data: Buffer.alloc(SEGMENT_BYTES, 'secret') }];
  for (let index = 0; index < 5; index++) model?.putRecords({ streamName: 'orders', records }, startMs + 500);
  for (const each of world.models) each.clear();
  world.journal.reset();
  expect(folder.names()).toHaveLength(1);
  expect(folder.names().map((name) => folder.read(name).includes('secret'))).toEqual([false]);
  const again = new World(folder.copy());
  expect(again.models.map(({ state }) => state)).toMatchObject([
    { incarnations: 1, streams: [] },
    { incarnations: 0, streams: [] },
  ]);
});

test('a stream that was cleared away stays away although no segment has ended since', () => {
  const folder = new MemoryFolder();
  const world = new World(folder, { segmentBytes: 1_000_000 });
  world.models[0]?.createStream({ name: 'orders' }, startMs);
  world.models[0]?.clear();
  expect(new World(folder.copy()).models[0]?.streams).toEqual([]);
});

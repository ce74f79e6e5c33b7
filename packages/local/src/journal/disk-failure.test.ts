// A disk that is full, or fails: what was not written was not done, nobody has seen it, and it goes on when there is room again.
import { type Logger, silentLogger } from '@shardline/common/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startMs, World } from '../../test/journal-world.ts';
import { MemoryFolder } from '../../test/memory-folder.ts';
import type { KinesisModel } from '../model/index.ts';

const UNAVAILABLE = expect.objectContaining({ code: 'DATA_UNAVAILABLE', retryable: true });
const options = { model: { createStreamMs: 0, maxStoredBytesPerShard: 1e6 } };

function worldWithStream(more: object = {}): { folder: MemoryFolder; world: World; model: KinesisModel } {
  const folder = new MemoryFolder();
  const world = new World(folder, { ...options, ...more });
  const [model] = world.models;
  if (model === undefined) throw new Error('there is a model');
  model.createStream({ name: 'orders' }, startMs);
  return { folder, world, model };
}

function put(model: KinesisModel, text: string): bigint {
  const record = { partitionKey: text, data: Buffer.from(text.repeat(50)) };
  return model.putRecord({ streamName: 'orders', record }, startMs).sequenceNumber;
}

function keys(model: KinesisModel | undefined): (string | undefined)[] {
  return (model?.streams[0]?.shards[0]?.log.from(0) ?? []).map(({ partitionKey }) => partitionKey);
}

test('without room a put is refused whatever part of it was written, and stored when there is room again', () => {
  fc.assert(
    fc.property(fc.nat(400), fc.integer({ min: 1, max: 4 }), (roomBytes, refusedCount) => {
      const { folder, world, model } = worldWithStream();
      const first = put(model, 'a');
      folder.failWritesAfterBytes = Math.min(roomBytes, 120);
      for (let refused = 0; refused < refusedCount; refused++) expect(() => put(model, 'b')).toThrow(UNAVAILABLE);
      expect(keys(model)).toEqual(['a']);
      expect(keys(new World(folder.copy(), options).models[0])).toEqual(['a']);
      folder.failWritesAfterBytes = undefined;
      expect(put(model, 'c') - first).toBe(1n << 80n);
      put(model, 'd');
      expect(keys(model)).toEqual(['a', 'c', 'd']);
      expect(new World(folder.copy(), options).view()).toEqual(world.view());
    }),
    { numRuns: 50 },
  );
});

test('what a failed write left and cannot be cut off keeps everything else out', () => {
  const { folder, model } = worldWithStream();
  folder.failWritesAfterBytes = 40;
  expect(() => put(model, 'a')).toThrow(UNAVAILABLE);
  folder.failWritesAfterBytes = undefined;
  folder.failTruncate = true;
  expect(() => put(model, 'b')).toThrow('no truncation');
  folder.failTruncate = false;
  put(model, 'c');
  expect(keys(new World(folder.copy(), options).models[0])).toEqual(['c']);
});

test('the log tells of a full disk once, and once of the room that is there again', () => {
  const lines: (string | undefined)[] = [];
  const logger: Logger = {
    ...silentLogger,
    child: () => logger,
    error: (_, message) => void lines.push(message),
    warn: (_, message) => void lines.push(message),
  };
  const { folder, model } = worldWithStream({ logger });
  folder.failWritesAfterBytes = 0;
  for (let refused = 0; refused < 3; refused++) expect(() => put(model, 'a')).toThrow(UNAVAILABLE);
  folder.failWritesAfterBytes = undefined;
  for (let stored = 0; stored < 3; stored++) put(model, 'a');
  expect(lines).toEqual([
    '/memory: expected a folder to write to, got ENOSPC: no space left on device; requests that write are refused',
    '/memory: takes writes again',
  ]);
});

test('a segment that cannot be begun is begun later, and no put is refused for it', () => {
  const { folder, world, model } = worldWithStream({ segmentBytes: 2_000 });
  folder.failCreate = true;
  for (let stored = 0; stored < 30; stored++) put(model, 'a');
  expect(folder.names()).toEqual(['journal-00000001']);
  expect(folder.read('journal-00000001').length).toBeGreaterThan(4_000);
  folder.failCreate = false;
  while (!folder.names().includes('journal-00000002')) put(model, 'd'.repeat(100));
  expect(new World(folder.copy(), { ...options, segmentBytes: 2_000 }).view()).toEqual(world.view());
});

test('with fsync always nothing is acknowledged any more once the disk has failed to hold it', async () => {
  const { folder, world, model } = worldWithStream({ fsync: 'always' });
  await world.journal.whenSafe();
  folder.failSync = true;
  put(model, 'a');
  await expect(world.journal.whenSafe()).rejects.toEqual(UNAVAILABLE);
  folder.failSync = false;
  // A second fsync would succeed and mean nothing.
  await expect(world.journal.whenSafe()).rejects.toEqual(UNAVAILABLE);
  expect(() => put(model, 'b')).toThrow(UNAVAILABLE);
});

test('nor when it failed at the end of a segment', async () => {
  const { folder, world, model } = worldWithStream({ fsync: 'always', segmentBytes: 2_000 });
  folder.failSync = true;
  // Nobody waits for these: the disk is asked when the segment is full.
  expect(() => {
    for (let stored = 0; stored < 100; stored++) put(model, 'a');
  }).toThrow(UNAVAILABLE);
  folder.failSync = false;
  await expect(world.journal.whenSafe()).rejects.toEqual(UNAVAILABLE);
  expect(() => put(model, 'b')).toThrow(UNAVAILABLE);
});

test('with fsync everySecond puts are refused once the disk has failed to hold what was put', async () => {
  const { folder, world, model } = worldWithStream({ fsync: 'everySecond' });
  folder.failSync = true;
  put(model, 'a');
  expect(world.journal.whenSafe()).toBeUndefined();
  world.clock.advance(1_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(() => put(model, 'b')).toThrow(UNAVAILABLE);
});

test('many wait for the disk together, and nobody for what came later', async () => {
  const { folder, world, model } = worldWithStream({ fsync: 'always' });
  await world.journal.whenSafe();
  put(model, 'a');
  const first = world.journal.whenSafe();
  put(model, 'b');
  const second = world.journal.whenSafe();
  put(model, 'c');
  expect(world.journal.whenSafe()).toBe(second);
  await first;
  expect(
    keys(
      new World(
        folder.withoutPower(() => false),
        options,
      ).models[0],
    ),
  ).toEqual(['a']);
  await second;
  expect(
    keys(
      new World(
        folder.withoutPower(() => false),
        options,
      ).models[0],
    ),
  ).toEqual(['a', 'b', 'c']);
  expect(world.journal.whenSafe()).toBeUndefined();
});

import { MAX_HASH_KEY, MIN_HASH_KEY, OperatingError, silentLogger } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { expect, test } from 'vitest';
import { Failures } from './failures.ts';
import { StreamWatch } from './stream-watch.ts';

const gone = new OperatingError('STREAM_NOT_FOUND', 'no', { retryable: false, resource: 'stream orders' });
const END = { batch: undefined, atShardEnd: true, childShards: [], millisBehindLatest: undefined };

/** Lets promises that are ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function scene() {
  const clock = new ManualClock();
  const failures = new Failures({ clock, logger: silentLogger, patienceMs: 3_000 });
  const state = { isThere: false, lookCount: 0 };
  const streams = {
    tracked: [{ streamId: undefined, initialPosition: 'LATEST' as const }],
    leftOut: new Map(),
    former: 'none' as const,
    mayChange: false,
    reads: { kind: 'one' as const, stream: 'orders' },
    refresh: () => Promise.reject(new Error('there is one stream')),
    forget: () => undefined,
    beganAnew: () => Promise.resolve(),
    find: async () => {
      state.lookCount += 1;
      if (!state.isThere) throw gone;
    },
  };
  const watch = new StreamWatch(
    { streams, streamsIntervalMs: 60_000, failures, clock, logger: silentLogger },
    () => {},
  );
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  return { clock, failures, state, watch, pass };
}

test('a stream that is gone is looked for every ten seconds until it is there, however many of its shards end', async () => {
  const { failures, state, watch, pass } = scene();
  watch.start();
  await pass(120_000);
  expect(state.lookCount).toBe(0);
  for (let shard = 0; shard < 1_000; shard += 1) {
    watch.fetched(`shard-${shard}`, END);
    if (shard % 100 === 0) await pass(1);
  }
  expect(failures.troubles()).toMatchObject([{ step: 'findStream', code: 'STREAM_NOT_FOUND' }]);
  expect(state.lookCount).toBe(1);
  await pass(30_000);
  state.isThere = true;
  await pass(10_000);
  expect(failures.troubles()).toEqual([]);
  const { lookCount } = state;
  expect(lookCount).toBeGreaterThanOrEqual(3);
  await pass(120_000);
  expect(state.lookCount).toBe(lookCount);
});

test('a shard that has expired, or ends in children, is no trouble of its stream', async () => {
  const { failures, state, watch, pass } = scene();
  state.isThere = true;
  watch.fetched('a', END);
  await pass(0);
  const range = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
  watch.fetched('b', { ...END, childShards: [{ shardId: 'c', parentShardIds: ['b'], hashKeyRange: range }] });
  await pass(60_000);
  expect(state.lookCount).toBe(1);
  expect(failures.troubles()).toEqual([]);
});

test('once it is stopped it looks no more', async () => {
  const { failures, state, watch, pass } = scene();
  watch.fetched('a', END);
  await pass(0);
  watch.stop();
  await pass(60_000);
  expect(state.lookCount).toBe(1);
  expect(failures.troubles().length).toBeLessThanOrEqual(1);
});

/** A stream that was looked for and is gone. */
async function missing(): Promise<ReturnType<typeof scene>> {
  const made = scene();
  made.watch.fetched('a', END);
  await made.pass(0);
  expect(made.failures.troubles()).toMatchObject([{ step: 'findStream' }]);
  made.state.isThere = true;
  return made;
}

test('once a leader has listed the stream again it is no trouble any more, and is looked for no more', async () => {
  const { failures, state, watch, pass } = await missing();
  watch.listed();
  expect(failures.troubles()).toEqual([]);
  await pass(60_000);
  expect(state.lookCount).toBe(1);
});

test('who reads it again looks within a second; what was read may have been held, so it looks no more than once for that', async () => {
  const { failures, state, watch, pass } = await missing();
  state.isThere = false;
  for (let read = 0; read < 10; read += 1) watch.fetched('b', { ...END, atShardEnd: false });
  await pass(1_000);
  expect(state.lookCount).toBe(2);
  expect(failures.troubles()).toHaveLength(1);
  state.isThere = true;
  watch.fetched('b', { ...END, atShardEnd: false });
  await pass(1_000);
  expect(failures.troubles()).toEqual([]);
});

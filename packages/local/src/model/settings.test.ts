import { expect, test } from 'vitest';
import { KinesisModel } from './kinesis.ts';
import { SHARD_LEVEL_METRICS, withMetrics, withoutMetrics } from './settings.ts';
import { Stream } from './stream.ts';

const t0 = 1_700_000_000_000;
const streamName = 'orders';
const put = (model: KinesisModel, now: number): void => {
  model.putRecord({ streamName, record: { partitionKey: 'k', data: new Uint8Array(1) } }, now);
};

test('metrics are listed once each, in one order, and ALL means every one', () => {
  const some = withMetrics([], ['OutgoingBytes', 'IncomingBytes', 'OutgoingBytes']);
  expect(some).toEqual(['IncomingBytes', 'OutgoingBytes']);
  expect(withMetrics(some, ['ALL'])).toEqual(SHARD_LEVEL_METRICS);
  expect(withoutMetrics(SHARD_LEVEL_METRICS, ['IncomingBytes', 'IteratorAgeMilliseconds'])).toEqual(
    SHARD_LEVEL_METRICS.slice(1, -1),
  );
  expect(withoutMetrics(some, ['ALL'])).toEqual([]);
});

test('metrics that change nothing are the same array', () => {
  const some = withMetrics([], ['IncomingBytes']);
  expect(withMetrics(some, ['IncomingBytes'])).toBe(some);
  expect(withoutMetrics(some, ['OutgoingBytes'])).toBe(some);
});

test('update keeps a stream UPDATING for updateStreamMs, and does nothing when nothing changes', () => {
  const model = new KinesisModel({ updateStreamMs: 100 });
  model.createStream({ name: streamName }, t0);
  model.update({ streamName }, () => ({ shardLevelMetrics: ['IncomingBytes'] }), t0);
  expect(model.stream(streamName, t0 + 99)).toMatchObject({ status: 'UPDATING', settings: { shardLevelMetrics: [] } });
  const { status, settings } = model.stream(streamName, t0 + 100);
  expect([status, settings.shardLevelMetrics]).toEqual(['ACTIVE', ['IncomingBytes']]);
  model.update({ streamName }, (same) => same, t0 + 100);
  expect(model.stream(streamName, t0 + 100).status).toBe('ACTIVE');
});

test('whether a record is encrypted outlives a split, and the settings and marks outlive the model as plain data', () => {
  const model = new KinesisModel();
  model.createStream({ name: streamName }, t0);
  const encrypt = (keyId: string | null): void =>
    model.update({ streamName }, ({ encryption }) => ({ encryption: { ...encryption, keyId } }), t0);
  put(model, t0);
  encrypt('alias/a');
  put(model, t0);
  model.set({ streamName }, () => ({ tags: { team: 'a' }, policy: '{}' }), t0);
  const address = { streamName, consumerName: 'c' };
  model.registerConsumer({ ...address, settings: { tags: { of: 'consumer' } } }, t0);
  const [parent] = model.stream(streamName, t0).shards;
  model.splitShard({ streamName, shardId: parent?.id ?? '', newStartingHashKey: (2n ** 127n) as never }, t0);
  put(model, t0);
  encrypt(null);
  put(model, t0);
  const kinds = (each: Stream): boolean[] =>
    each.shards.flatMap((shard) => shard.log.from(shard.log.firstCounter).map((record) => shard.isEncrypted(record)));
  const stream = model.stream(streamName, t0);
  expect(kinds(stream)).toEqual([false, true, true, false]);
  const { state } = stream;
  expect(JSON.parse(JSON.stringify(state.settings))).toEqual(state.settings);
  const restored = Stream.restored(structuredClone(state), ({ origin, firstCounter }) => {
    return stream.shards[origin.number]?.log.from(firstCounter) ?? [];
  });
  expect(restored.state).toEqual(state);
  expect(kinds(restored)).toEqual(kinds(stream));
});

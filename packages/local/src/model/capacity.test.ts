// Sentences of the Kinesis documentation about a stream's capacity that a client can see. What stands in quotation marks is its
// own; the rest says what it leaves to the reader.
import { expect, test } from 'vitest';
import { type KinesisErrorType, KinesisModel, type KinesisModelOptions } from './index.ts';

const streamName = 'orders';
const t0 = 1_700_000_000_000;
const hourMs = 3_600_000;

function modelWith(shardCount: number, options: KinesisModelOptions = {}): KinesisModel {
  const model = new KinesisModel(options);
  model.createStream({ name: streamName, shardCount }, t0);
  return model;
}

function refusal(call: () => unknown): { type?: KinesisErrorType; message: string } {
  try {
    call();
  } catch (error) {
    return error as { type?: KinesisErrorType; message: string };
  }
  throw new Error('nothing was refused');
}

function scale(model: KinesisModel, targetShardCount: number, now: number = t0): number {
  return model.updateShardCount({ streamName, targetShardCount }, now).currentShardCount;
}

// ---- UpdateShardCount

test('UpdateShardCount: "Upon receiving the request, Kinesis Data Streams returns immediately and sets the status of the stream to UPDATING. After the update is complete, … back to ACTIVE"', () => {
  const model = modelWith(2, { reshardMs: 1000 });
  expect(scale(model, 4)).toBe(2);
  expect(model.stream(streamName, t0 + 999).status).toBe('UPDATING');
  expect(model.stream(streamName, t0 + 999).openShards).toHaveLength(2);
  // "You can continue to read and write data to your stream while its status is UPDATING."
  const data = new Uint8Array(1);
  expect(model.putRecord({ streamName, record: { partitionKey: 'k', data } }, t0 + 999).shardId).toBe(
    'shardId-000000000001',
  );
  expect(model.stream(streamName, t0 + 1000).status).toBe('ACTIVE');
  expect(model.stream(streamName, t0 + 1000).openShards).toHaveLength(4);
});

test('UpdateShardCount: "For successful operation, the resource must be in the ACTIVE state"', () => {
  const model = modelWith(2, { reshardMs: 1000 });
  scale(model, 3);
  expect(refusal(() => scale(model, 4)).type).toBe('ResourceInUseException');
});

test('UpdateShardCount cannot "Scale up to more than double your current shard count for a stream", nor "Scale down below half"', () => {
  const model = modelWith(5);
  expect(refusal(() => scale(model, 11))).toMatchObject({
    type: 'LimitExceededException',
    message:
      'UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 5, Target shard count: 11',
  });
  expect(refusal(() => scale(model, 2)).type).toBe('LimitExceededException');
  expect(scale(model, 3)).toBe(5);
  expect(scale(model, 6)).toBe(3);
});

test('UpdateShardCount cannot "Scale more than ten times per rolling 24-hour period per stream", unless limits are off', () => {
  const model = modelWith(1);
  for (let hour = 0; hour < 10; hour++) scale(model, hour % 2 === 0 ? 2 : 1, t0 + hour * hourMs);
  expect(refusal(() => scale(model, 2, t0 + 24 * hourMs - 1)).type).toBe('LimitExceededException');
  expect(scale(model, 2, t0 + 24 * hourMs)).toBe(1);
  expect(refusal(() => scale(model, 1, t0 + 25 * hourMs - 1)).type).toBe('LimitExceededException');
  const unlimited = modelWith(1, { limits: false });
  for (let time = 0; time < 30; time++) scale(unlimited, time % 2 === 0 ? 2 : 1);
});

test('a refused UpdateShardCount is not one of the ten', () => {
  const model = modelWith(1);
  for (let time = 0; time < 20; time++) expect(refusal(() => scale(model, 3)).type).toBe('LimitExceededException');
  expect(scale(model, 2)).toBe(1);
});

test('UpdateShardCount cannot "Scale up to more than 10000 shards in a stream"', () => {
  const model = modelWith(6000);
  expect(refusal(() => scale(model, 10_001)).type).toBe('LimitExceededException');
  expect(scale(model, 10_000)).toBe(6000);
});

test('UpdateShardCount cannot "Scale a stream with more than 10000 shards down unless the result is less than 10000 shards"', () => {
  const model = modelWith(10_001);
  expect(refusal(() => scale(model, 10_000)).type).toBe('LimitExceededException');
  expect(scale(model, 9999)).toBe(10_001);
});

test('UpdateShardCount cannot "Scale up to more than the shard limit for your account", and short-lived shards "count towards your total shard limit"', () => {
  const model = modelWith(2, { shardLimit: 5 });
  model.createStream({ name: 'other', shardCount: 1 }, t0);
  // Two shards become three by way of four.
  expect(refusal(() => model.updateShardCount({ streamName: 'other', targetShardCount: 4 }, t0)).type).toBe(
    'LimitExceededException',
  );
  expect(scale(model, 3)).toBe(2);
  const tight = modelWith(2, { shardLimit: 3 });
  expect(refusal(() => scale(tight, 3)).type).toBe('LimitExceededException');
  expect(scale(tight, 1)).toBe(2);
});

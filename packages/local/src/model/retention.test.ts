import { expect, test } from 'vitest';
import { KinesisModel } from './kinesis.ts';

const streamName = 'orders';
const t0 = 1_700_000_000_000;
const hourMs = 3_600_000;

function readAll(model: KinesisModel, now: number): number {
  const position = { kind: 'TRIM_HORIZON' } as const;
  const shardIterator = model.getShardIterator({ streamName, shardId: 'shardId-000000000000', position }, now);
  return model.getRecords({ shardIterator }, now).records.length;
}

test('IncreaseStreamRetentionPeriod: "it does not make previous, expired data … accessible after the operation has been called"', () => {
  const model = new KinesisModel();
  model.createStream({ name: streamName }, t0);
  const record = { partitionKey: 'k', data: new Uint8Array(1) };
  model.putRecord({ streamName, record }, t0);
  model.putRecord({ streamName, record }, t0 + hourMs);
  // Nobody has read, so nothing but the operation itself can have dropped what is older than 24 hours.
  model.setRetention({ streamName, hours: 168, direction: 'increase' }, t0 + 24 * hourMs + 1);
  expect(readAll(model, t0 + 24 * hourMs + 1)).toBe(1);
  expect(readAll(model, t0 + 169 * hourMs)).toBe(1);
  expect(readAll(model, t0 + 169 * hourMs + 1)).toBe(0);
});

test('DecreaseStreamRetentionPeriod: "any data already in the stream that is older than 24 hours is inaccessible"', () => {
  const model = new KinesisModel();
  model.createStream({ name: streamName }, t0);
  model.setRetention({ streamName, hours: 48, direction: 'increase' }, t0);
  model.putRecord({ streamName, record: { partitionKey: 'k', data: new Uint8Array(1) } }, t0);
  expect(readAll(model, t0 + 30 * hourMs)).toBe(1);
  model.setRetention({ streamName, hours: 24, direction: 'decrease' }, t0 + 30 * hourMs);
  expect(readAll(model, t0 + 30 * hourMs)).toBe(0);
});

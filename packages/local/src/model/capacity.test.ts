// Sentences of the Kinesis documentation about a stream's capacity that a client can see. What stands in quotation marks is its
// own; the rest says what it leaves to the reader.
import { type HashKey, MAX_HASH_KEY } from '@shardline/common/base';
import { expect, test } from 'vitest';
import {
  type KinesisErrorType,
  KinesisModel,
  type KinesisModelOptions,
  type RecordDistributionStrategy,
  type RecordToPut,
  type Shard,
  type StreamMode,
} from './index.ts';

const streamName = 'orders';
const t0 = 1_700_000_000_000;
const hourMs = 3_600_000;
const data = new Uint8Array(100);

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

// ---- UpdateStreamMode and on-demand streams

function modeOf(model: KinesisModel, now: number): string {
  return model.stream(streamName, now).mode;
}

function onDemand(options: KinesisModelOptions = {}): KinesisModel {
  const model = new KinesisModel(options);
  model.createStream({ name: streamName, mode: 'ON_DEMAND' }, t0);
  return model;
}

test('"By default, new data streams created with the on-demand capacity mode have 4 MB/s of write and 8 MB/s of read throughput"', () => {
  const model = onDemand();
  const records = Array.from({ length: 500 }, (_, index) => ({
    partitionKey: 'k',
    explicitHashKey: ((MAX_HASH_KEY / 500n) * BigInt(index)) as HashKey,
    data: new Uint8Array(10_000),
  }));
  const stored = (): number =>
    model.putRecords({ streamName, records }, t0).filter(({ kind }) => kind === 'stored').length;
  // 5 MB are written to all shards evenly; 4 MiB of them are taken.
  expect(stored()).toBe(4 * Math.floor((1024 * 1024) / 10_001));
  expect(model.stream(streamName, t0).openShards).toHaveLength(4);
});

test('"the status of the stream is set to Updating. You must wait for the data stream status to get to Active before you can modify its properties again"', () => {
  const model = modelWith(3, { reshardMs: 1000 });
  model.updateStreamMode({ streamName, mode: 'ON_DEMAND' }, t0);
  expect(model.stream(streamName, t0 + 999).status).toBe('UPDATING');
  const again = (): void => model.updateStreamMode({ streamName, mode: 'PROVISIONED' }, t0 + 999);
  expect(refusal(again).type).toBe('ResourceInUseException');
  expect([model.stream(streamName, t0 + 1000).status, modeOf(model, t0 + 1000)]).toEqual(['ACTIVE', 'ON_DEMAND']);
});

test('"When you switch from provisioned to on-demand …, your data stream initially retains whatever shard count it had before the transition", and back', () => {
  const model = modelWith(3);
  const shards = model.stream(streamName, t0).openShards;
  for (const mode of ['ON_DEMAND', 'PROVISIONED'] as const) {
    model.updateStreamMode({ streamName, mode }, t0);
    expect(model.stream(streamName, t0).openShards).toEqual(shards);
  }
});

test('"you can switch between the on-demand and provisioned modes twice within 24 hours", unless limits are off', () => {
  const model = modelWith(1);
  const change = (to: KinesisModel, mode: StreamMode, now: number): void =>
    to.updateStreamMode({ streamName, mode }, now);
  change(model, 'ON_DEMAND', t0);
  // The mode that it has is no switch.
  for (let time = 0; time < 5; time++) change(model, 'ON_DEMAND', t0);
  change(model, 'PROVISIONED', t0 + hourMs);
  expect(refusal(() => change(model, 'ON_DEMAND', t0 + 24 * hourMs - 1)).type).toBe('LimitExceededException');
  change(model, 'ON_DEMAND', t0 + 24 * hourMs);
  expect(refusal(() => change(model, 'PROVISIONED', t0 + 25 * hourMs - 1)).type).toBe('LimitExceededException');
  const unlimited = modelWith(1, { limits: false });
  for (let time = 0; time < 10; time++) change(unlimited, time % 2 === 0 ? 'ON_DEMAND' : 'PROVISIONED', t0);
});

test('"By default, you can create up to 50 data streams with the on-demand capacity mode", and switch no further one to it', () => {
  const model = modelWith(1);
  for (let number = 0; number < 50; number++) model.createStream({ name: `d${number}`, mode: 'ON_DEMAND' }, t0);
  expect(refusal(() => model.createStream({ name: 'd50', mode: 'ON_DEMAND' }, t0)).type).toBe('LimitExceededException');
  const toOnDemand = (): void => model.updateStreamMode({ streamName, mode: 'ON_DEMAND' }, t0);
  expect(refusal(toOnDemand).type).toBe('LimitExceededException');
  model.deleteStream({ streamName: 'd7' }, t0);
  toOnDemand();
});

test('"There\'s no upper limit" to the shards of on-demand streams: they are not counted, until their stream is provisioned', () => {
  const model = new KinesisModel({ shardLimit: 3 });
  model.createStream({ name: streamName, mode: 'ON_DEMAND' }, t0);
  model.createStream({ name: 'other', shardCount: 3 }, t0);
  const toProvisioned = (): void => model.updateStreamMode({ streamName, mode: 'PROVISIONED' }, t0);
  expect(refusal(toProvisioned).type).toBe('LimitExceededException');
});

test('SplitShard, MergeShards, UpdateShardCount: "only supported for the data streams with the provisioned capacity mode"', () => {
  const model = onDemand();
  const [shardId, adjacentShardId] = ['shardId-000000000000', 'shardId-000000000001'];
  const refused = [
    () => scale(model, 8),
    () => model.splitShard({ streamName, shardId, newStartingHashKey: 2n as HashKey }, t0),
    () => model.mergeShards({ streamName, shardId, adjacentShardId }, t0),
  ];
  for (const call of refused) {
    expect(refusal(call)).toMatchObject({
      type: 'ValidationException',
      message: 'Request is invalid. Stream orders under account 000000000000 is in On-Demand mode.',
    });
  }
});

/** Puts so many records of a size each second to every open shard. */
function load(model: KinesisModel, from: number, seconds: number, perSecond: number, sizeBytes: number): number {
  const payload = new Uint8Array(sizeBytes - 1);
  for (let second = 0; second < seconds; second++) {
    const now = from + second * 1000;
    for (const { origin } of model.stream(streamName, now).openShards) {
      const record = { partitionKey: 'k', explicitHashKey: origin.range.start, data: payload };
      for (let count = 0; count < perSecond; count++) model.putRecord({ streamName, record }, now);
    }
  }
  return from + seconds * 1000;
}

function openCount(model: KinesisModel, now: number): number {
  return model.stream(streamName, now).openShards.length;
}

test('"When the incoming traffic exceeds 500 KB/s per shard, it splits the shard within 15 minutes. The parent shard\'s hash key values are redistributed evenly across child shards"', () => {
  const model = onDemand();
  const before = model.stream(streamName, t0).openShards;
  load(model, t0, 15 * 60, 1, 600_000);
  const { shards, openShards } = model.stream(streamName, t0 + 15 * 60_000);
  expect(openShards.length).toBeGreaterThanOrEqual(8);
  for (const { id, end, origin } of before) {
    const [left, right] = shards.filter((child) => child.origin.parentIds.includes(id));
    expect(end?.childShards).toHaveLength(2);
    expect(left?.origin.range).toEqual({ start: origin.range.start, end: (right?.origin.range.start ?? 0n) - 1n });
    const width = (shard: Shard | undefined): bigint =>
      (shard?.origin.range.end ?? 0n) - (shard?.origin.range.start ?? 0n);
    expect(width(left)).toBe(width(right));
  }
});

test('traffic of up to 500 KB/s and 500 records/s a shard splits nothing, however long', () => {
  const model = onDemand({ onDemandPeriodMs: 10_000 });
  load(model, t0, 60, 5, 100_000);
  expect(openCount(model, load(model, t0 + 60_000, 60, 500, 10))).toBe(4);
});

test('more than 500 records/s split a shard, and only the shard that got them', () => {
  const model = onDemand({ onDemandPeriodMs: 10_000 });
  const [, , busy] = model.stream(streamName, t0).openShards;
  const record = { partitionKey: 'k', explicitHashKey: busy?.origin.range.end as HashKey, data: new Uint8Array(1) };
  for (let at = 0; at <= 10_000; at += 1000) {
    model.putRecords({ streamName, records: Array(500).fill(record) }, t0 + at);
    model.putRecords({ streamName, records: Array(100).fill(record) }, t0 + at + 1);
  }
  const { openShards } = model.stream(streamName, t0 + 10_001);
  expect(openShards.map(({ origin }) => origin.parentIds)).toEqual([[], [], [busy?.id], [busy?.id], []]);
});

test('a stream doubles at most once a period, and goes on while the traffic does', () => {
  const model = onDemand({ onDemandPeriodMs: 10_000 });
  const counts = [4, 8, 16].map((_, round) => openCount(model, load(model, t0 + round * 10_000, 10, 8, 100_000)));
  expect(counts).toEqual([4, 8, 16]);
});

test('provisioned streams never split by themselves; without limits nothing does', () => {
  const provisioned = modelWith(2, { onDemandPeriodMs: 10_000 });
  expect(openCount(provisioned, load(provisioned, t0, 60, 9, 100_000))).toBe(2);
  const unlimited = onDemand({ onDemandPeriodMs: 10_000, limits: false });
  expect(openCount(unlimited, load(unlimited, t0, 60, 9, 100_000))).toBe(4);
});

test('scaleOnDemand does at once what traffic would do, up and down', () => {
  const model = onDemand();
  model.scaleOnDemand({ streamName, targetShardCount: 32 }, t0);
  expect(openCount(model, t0)).toBe(32);
  model.scaleOnDemand({ streamName, targetShardCount: 3 }, t0);
  expect(openCount(model, t0)).toBe(3);
  expect(refusal(() => modelWith(1).scaleOnDemand({ streamName, targetShardCount: 2 }, t0)).type).toBe(
    'InvalidArgumentException',
  );
});

// ---- the record distribution strategy

function auto(options: KinesisModelOptions = {}): KinesisModel {
  const model = new KinesisModel(options);
  model.createStream({ name: streamName, mode: 'ON_DEMAND', recordDistributionStrategy: 'AUTO' }, t0);
  return model;
}

function shardIdsOf(model: KinesisModel, records: readonly RecordToPut[], now: number = t0): string[] {
  return model
    .putRecords({ streamName, records }, now)
    .map((outcome) => (outcome.kind === 'stored' ? outcome.shardId : ''));
}

function counted(shardIds: readonly string[]): number[] {
  const counts = new Map<string, number>();
  for (const shardId of shardIds) counts.set(shardId, (counts.get(shardId) ?? 0) + 1);
  return [...counts.values()];
}

test('AUTO: "Amazon Kinesis Data Streams distributes records evenly across shards … and ignores any partition key and ExplicitHashKey that a producer provides"', () => {
  const withoutKey = shardIdsOf(auto(), Array(400).fill({ data }));
  expect(counted(withoutKey)).toEqual([100, 100, 100, 100]);
  const explicitHashKey = 0n as HashKey;
  expect(shardIdsOf(auto(), Array(400).fill({ partitionKey: 'k', explicitHashKey, data }))).toEqual(withoutKey);
});

test('AUTO: a shard that can take no more now is passed over while another one can', () => {
  const model = auto();
  const large = { data: new Uint8Array(900_000) };
  // The first three shards are nearly full for this second: all small records go to the fourth, and a large one nowhere.
  expect(counted(shardIdsOf(model, [large, large, large]))).toEqual([1, 1, 1]);
  const [last] = model.stream(streamName, t0).openShards.slice(-1);
  expect(new Set(shardIdsOf(model, Array(4).fill({ data: new Uint8Array(200_000) })))).toEqual(new Set([last?.id]));
  expect(shardIdsOf(model, [large])).toEqual(['']);
});

test('AUTO: a reshard changes what "evenly" means at once', () => {
  const model = auto();
  shardIdsOf(model, Array(7).fill({ data }));
  model.scaleOnDemand({ streamName, targetShardCount: 3 }, t0);
  expect(counted(shardIdsOf(model, Array(300).fill({ data })))).toEqual([100, 100, 100]);
});

test('AUTO: "this value is not returned if the producer did not provide a partition key …. If the producer provided a partition key, the original value is returned"', () => {
  const model = auto();
  const [first = '', second = ''] = shardIdsOf(model, [{ data }, { partitionKey: 'mine', data }]);
  const keysIn = (shardId: string): (string | undefined)[] => {
    const position = { kind: 'TRIM_HORIZON' } as const;
    const shardIterator = model.getShardIterator({ streamName, shardId, position }, t0);
    return model.getRecords({ shardIterator }, t0).records.map(({ partitionKey }) => partitionKey);
  };
  expect([keysIn(first), keysIn(second)]).toEqual([[undefined], ['mine']]);
});

test('AUTO: "PutRecord requests that include [SequenceNumberForOrdering] are rejected with an InvalidArgumentException"', () => {
  const model = onDemand();
  const record = { partitionKey: 'k', data };
  const { sequenceNumber: sequenceNumberForOrdering } = model.putRecord({ streamName, record }, t0);
  const ordered = { streamName, record, sequenceNumberForOrdering };
  expect(refusal(() => auto().putRecord(ordered, t0)).type).toBe('InvalidArgumentException');
  expect(model.putRecord(ordered, t0).kind).toBe('stored');
});

test('USER_PARTITION_KEY: "Producers must supply a partition key"; a request with a record that has none stores nothing', () => {
  for (const model of [modelWith(1), onDemand()]) {
    const records = [
      { partitionKey: 'k', data },
      { explicitHashKey: 0n as HashKey, data },
    ];
    expect(refusal(() => model.putRecords({ streamName, records }, t0))).toMatchObject({
      type: 'ValidationException',
      message:
        "1 validation error detected: Value null at 'records.2.member.partitionKey' failed to satisfy constraint: Member must not be null",
    });
    expect(refusal(() => model.putRecord({ streamName, record: { data } }, t0)).message).toContain("at 'partitionKey'");
    expect(model.stream(streamName, t0).openShards.every(({ log }) => log.nextCounter === 1)).toBe(true);
  }
});

test('"You can switch between the following strategies at any time, and the change takes effect immediately"', () => {
  const model = onDemand({ reshardMs: 1000 });
  const keyed = Array(8).fill({ partitionKey: 'k', data });
  const switchTo = (strategy: RecordDistributionStrategy): void =>
    model.updateRecordDistributionStrategy({ streamName, strategy }, t0);
  expect(counted(shardIdsOf(model, keyed))).toEqual([8]);
  switchTo('AUTO');
  expect(model.stream(streamName, t0).status).toBe('ACTIVE');
  expect(counted(shardIdsOf(model, keyed))).toEqual([2, 2, 2, 2]);
  switchTo('USER_PARTITION_KEY');
  expect(counted(shardIdsOf(model, keyed))).toEqual([8]);
});

test('"RecordDistributionStrategy=AUTO is only supported for on-demand streams": not when created, switched, or set', () => {
  const refused: (() => unknown)[] = [
    () => new KinesisModel().createStream({ name: streamName, shardCount: 1, recordDistributionStrategy: 'AUTO' }, t0),
    () => auto().updateStreamMode({ streamName, mode: 'PROVISIONED' }, t0),
    () => modelWith(1).updateRecordDistributionStrategy({ streamName, strategy: 'AUTO' }, t0),
  ];
  for (const call of refused) {
    expect(refusal(call)).toMatchObject({
      type: 'InvalidArgumentException',
      message:
        'RecordDistributionStrategy=AUTO is only supported for on-demand streams. Stream orders is using PROVISIONED mode.',
    });
  }
});

// ---- large records

const mib = 1024 * 1024;

function large(options: KinesisModelOptions = {}): KinesisModel {
  const model = modelWith(1, options);
  model.updateMaxRecordSize({ streamName, maxRecordBytes: 10 * mib }, t0);
  return model;
}

/** Whether a record of so many bytes, its key included, was stored. */
function takes(model: KinesisModel, sizeBytes: number, now: number = t0): boolean {
  const record = { partitionKey: 'k', data: new Uint8Array(sizeBytes - 1) };
  return model.putRecords({ streamName, records: [record] }, now)[0]?.kind === 'stored';
}

test('"The default maximum record size for existing, and newly created streams is set to 1 MiB"; it may be raised to 10 MiB, key included', () => {
  const model = modelWith(1);
  expect(takes(model, mib)).toBe(true);
  expect(refusal(() => takes(model, mib + 1)).type).toBe('InvalidArgumentException');
  model.updateMaxRecordSize({ streamName, maxRecordBytes: 10 * mib }, t0);
  expect(refusal(() => takes(model, 10 * mib + 1)).type).toBe('InvalidArgumentException');
  expect(takes(model, 9 * mib)).toBe(true);
  model.updateMaxRecordSize({ streamName, maxRecordBytes: 2 * mib }, t0);
  expect(refusal(() => takes(model, 3 * mib)).type).toBe('InvalidArgumentException');
  const made = new KinesisModel();
  made.createStream({ name: streamName, shardCount: 1, maxRecordBytes: 10 * mib }, t0);
  expect(takes(made, 10 * mib)).toBe(true);
});

test('"Your stream accommodates large records by temporarily bursting …": 10 MiB at once, then 1 MiB/s on average', () => {
  const model = large();
  expect(takes(model, 10 * mib)).toBe(true);
  expect(takes(model, 2 * mib)).toBe(false);
  expect(takes(model, 2 * mib, t0 + 1999)).toBe(false);
  expect(takes(model, 2 * mib, t0 + 2000)).toBe(true);
  expect(takes(model, 10 * mib, t0 + 11_999)).toBe(false);
  expect(takes(model, 10 * mib, t0 + 12_000)).toBe(true);
});

test('"After sending a large record …, the tank begins refilling immediately, allowing you to send smaller records as capacity becomes available"', () => {
  const model = large();
  takes(model, 10 * mib);
  expect(takes(model, 10_000)).toBe(false);
  expect(takes(model, 10_000, t0 + 10)).toBe(true);
  expect(takes(model, 10_000, t0 + 10)).toBe(false);
});

test('"each shard continues to process baseline traffic while leveraging its burst capacity to handle these larger payloads"', () => {
  const model = large();
  // Half a MiB a second, and every tenth second a record of 5 MiB: 1 MiB/s altogether.
  for (let second = 0; second < 100; second++) {
    const now = t0 + second * 1000;
    expect(takes(model, mib / 2, now)).toBe(true);
    if (second % 10 === 5) expect(takes(model, 5 * mib, now)).toBe(true);
  }
});

test('small records have no burst: "individual shard throughput limit of 1 MB/s for writes … remain[s] unchanged"', () => {
  for (const model of [modelWith(1), large()]) {
    expect(takes(model, mib)).toBe(true);
    expect(takes(model, 100)).toBe(false);
  }
  const model = large();
  // What small records took is gone from the tank as well.
  takes(model, mib);
  expect(takes(model, 10 * mib)).toBe(false);
  expect(takes(model, 9 * mib)).toBe(true);
});

test('a large record counts as one of the 1,000 records a second', () => {
  const model = large();
  model.putRecords({ streamName, records: Array(500).fill({ partitionKey: 'k', data }) }, t0);
  model.putRecords({ streamName, records: Array(500).fill({ partitionKey: 'k', data }) }, t0);
  expect(takes(model, 2 * mib)).toBe(false);
});

test('PutRecords: "Each record in the request can be as large as 10 MiB, up to a limit of 10 MiB for the entire request, including partition keys"', () => {
  const model = new KinesisModel();
  model.createStream({ name: streamName, mode: 'ON_DEMAND', maxRecordBytes: 10 * mib }, t0);
  const records = [5, 4].map((size) => ({ partitionKey: `key ${size}`, data: new Uint8Array(size * mib) }));
  expect(model.putRecords({ streamName, records }, t0).map(({ kind }) => kind)).toEqual(['stored', 'stored']);
  const over = [...records, { partitionKey: 'k', data: new Uint8Array(mib - 10) }];
  expect(refusal(() => model.putRecords({ streamName, records: over }, t0)).type).toBe('InvalidArgumentException');
});

test('GetRecords gives at least one record, though it be 10 MiB; "subsequent calls made within the next 5 seconds throw ProvisionedThroughputExceededException"', () => {
  const model = large({ limits: true });
  takes(model, 10 * mib);
  takes(model, 10 * mib, t0 + 10_000);
  const position = { kind: 'TRIM_HORIZON' } as const;
  const now = t0 + 20_000;
  let shardIterator = model.getShardIterator({ streamName, shardId: 'shardId-000000000000', position }, now);
  for (const atMs of [now, now + 5000]) {
    const read = model.getRecords({ shardIterator }, atMs);
    expect(read.records.map(({ sizeBytes }) => sizeBytes)).toEqual([10 * mib]);
    shardIterator = read.nextShardIterator ?? '';
    expect(refusal(() => model.getRecords({ shardIterator }, atMs + 4999)).type).toBe(
      'ProvisionedThroughputExceededException',
    );
  }
});

test('a subscription gets 10 MiB in one event, and then 2 MiB/s on average', () => {
  const model = large();
  takes(model, 10 * mib);
  takes(model, 10 * mib, t0 + 10_000);
  model.registerConsumer({ streamName, consumerName: 'c' }, t0);
  const position = { kind: 'TRIM_HORIZON' } as const;
  const request = { streamName, consumerName: 'c', shardId: 'shardId-000000000000', position };
  const subscription = model.subscribeToShard(request, t0 + 20_000);
  const sizes = (now: number): number[] | string => {
    const event = subscription.poll(now);
    return event.kind === 'records' ? event.records.map(({ sizeBytes }) => sizeBytes) : event.kind;
  };
  expect(sizes(t0 + 20_000)).toEqual([10 * mib]);
  expect(sizes(t0 + 23_999)).toBe('throttled');
  expect(sizes(t0 + 24_000)).toEqual([10 * mib]);
});

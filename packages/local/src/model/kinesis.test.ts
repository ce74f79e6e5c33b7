// Sentences of the Kinesis API reference that a client can see, as tests of the model. What stands in quotation marks is the
// reference's own; the rest says what the reference leaves to the reader.
import { type HashKey, MAX_HASH_KEY } from '@shardline/common/base';
import { expect, test } from 'vitest';
import { type KinesisErrorType, KinesisModel, type KinesisModelOptions, type ShardFilter } from './index.ts';

const streamName = 'orders';
const t0 = 1_700_000_000_000;
const hourMs = 3_600_000;
const first = 'shardId-000000000000';
const half = (MAX_HASH_KEY / 2n) as HashKey;

function modelWith(shardCount = 1, options: KinesisModelOptions = {}): KinesisModel {
  const model = new KinesisModel(options);
  model.createStream({ name: streamName, shardCount }, t0);
  model.settle(t0 + (options.createStreamMs ?? 0));
  return model;
}

function put(model: KinesisModel, now: number, count = 1, sizeBytes = 10): (bigint | undefined)[] {
  const records = Array.from({ length: count }, () => ({ partitionKey: 'k', data: new Uint8Array(sizeBytes - 1) }));
  return model
    .putRecords({ streamName, records }, now)
    .map((outcome) => (outcome.kind === 'stored' ? outcome.sequenceNumber : undefined));
}

function iteratorOf(model: KinesisModel, now: number, shardId = first): string {
  return model.getShardIterator({ streamName, shardId, position: { kind: 'TRIM_HORIZON' } }, now);
}

function refusal(call: () => unknown): KinesisErrorType | undefined {
  let type: KinesisErrorType | undefined;
  expect(call).toThrow(
    expect.toSatisfy((error: { type?: KinesisErrorType }) => {
      type = error.type;
      return true;
    }),
  );
  return type;
}

function idsOf(model: KinesisModel, now: number, filter?: ShardFilter): number[] {
  const request = filter === undefined ? { streamName } : { streamName, filter };
  return model.listShards(request, now).shards.map(({ origin }) => origin.number);
}

// ---- streams

test('CreateStream: "Upon receiving a CreateStream request, Kinesis Data Streams immediately returns and sets the stream status to CREATING"', () => {
  const model = new KinesisModel({ createStreamMs: 500 });
  model.createStream({ name: streamName, shardCount: 2 }, t0);
  expect(model.stream(streamName, t0 + 499).status).toBe('CREATING');
  expect(refusal(() => put(model, t0 + 499))).toBe('ResourceNotFoundException');
  expect(model.nextDueMs()).toBe(t0 + 500);
  expect(model.stream(streamName, t0 + 500).status).toBe('ACTIVE');
  expect(put(model, t0 + 500)).toEqual([expect.any(BigInt)]);
});

test('CreateStream of a name that is there is a ResourceInUseException; more shards than the account may have a LimitExceededException', () => {
  const model = modelWith(2, { shardLimit: 3 });
  expect(refusal(() => model.createStream({ name: streamName, shardCount: 1 }, t0))).toBe('ResourceInUseException');
  expect(refusal(() => model.createStream({ name: 'other', shardCount: 2 }, t0))).toBe('LimitExceededException');
});

test('DeleteStream: "If … EnforceConsumerDeletion is … false and the stream has registered consumers, the call … fails with a ResourceInUseException"', () => {
  const model = modelWith(1, { deleteStreamMs: 100 });
  model.registerConsumer({ streamName, consumerName: 'c' }, t0);
  expect(refusal(() => model.deleteStream({ streamName }, t0))).toBe('ResourceInUseException');
  model.deleteStream({ streamName, enforceConsumerDeletion: true }, t0);
  expect(model.stream(streamName, t0 + 99).status).toBe('DELETING');
  expect(refusal(() => model.stream(streamName, t0 + 100))).toBe('ResourceNotFoundException');
});

test('an iterator of a deleted stream is not good for a new one of the same name', () => {
  const model = modelWith();
  const shardIterator = iteratorOf(model, t0);
  model.deleteStream({ streamName }, t0);
  model.createStream({ name: streamName, shardCount: 1 }, t0);
  expect(refusal(() => model.getRecords({ shardIterator }, t0))).toBe('ResourceNotFoundException');
});

test('the hash key ranges of a new stream cover the key space once', () => {
  const shards = modelWith(7).stream(streamName, t0).openShards;
  expect(shards[0]?.origin.range.start).toBe(0n);
  expect(shards.at(-1)?.origin.range.end).toBe(MAX_HASH_KEY);
  for (let i = 1; i < shards.length; i++) {
    expect(shards[i]?.origin.range.start).toBe((shards[i - 1]?.origin.range.end ?? 0n) + 1n);
  }
});

test('retention: records older than it are trimmed, a closed shard goes with its last record', () => {
  const model = modelWith(1);
  put(model, t0);
  model.splitShard({ streamName, shardId: first, newStartingHashKey: half }, t0 + hourMs);
  expect(
    model.getRecords({ shardIterator: iteratorOf(model, t0 + 24 * hourMs) }, t0 + 24 * hourMs).records,
  ).toHaveLength(1);
  const later = t0 + 24 * hourMs + 1;
  expect(model.getRecords({ shardIterator: iteratorOf(model, later) }, later).records).toHaveLength(0);
  expect(idsOf(model, t0 + 25 * hourMs)).toEqual([0, 1, 2]);
  expect(idsOf(model, t0 + 25 * hourMs + 1)).toEqual([1, 2]);
  expect(refusal(() => iteratorOf(model, t0 + 25 * hourMs + 1))).toBe('ResourceNotFoundException');
});

test('IncreaseStreamRetentionPeriod keeps records longer; it cannot shorten, nor can Decrease lengthen; 24 to 8,760 hours', () => {
  const model = modelWith(1);
  put(model, t0);
  model.setRetention({ streamName, hours: 48, direction: 'increase' }, t0);
  const later = t0 + 30 * hourMs;
  expect(model.getRecords({ shardIterator: iteratorOf(model, later) }, later).records).toHaveLength(1);
  for (const [hours, direction] of [
    [47, 'increase'],
    [49, 'decrease'],
    [23, 'decrease'],
    [8761, 'increase'],
  ] as const) {
    expect(refusal(() => model.setRetention({ streamName, hours, direction }, later))).toBe('InvalidArgumentException');
  }
  model.setRetention({ streamName, hours: 24, direction: 'decrease' }, later);
  expect(model.getRecords({ shardIterator: iteratorOf(model, later) }, later).records).toHaveLength(0);
});

test('maxStoredBytesPerShard drops the oldest records, as if their retention were over', () => {
  const model = modelWith(1, { maxStoredBytesPerShard: 100 });
  for (let i = 0; i < 25; i++) put(model, t0 + i * 1000);
  const shardIterator = iteratorOf(model, t0);
  const { records } = model.getRecords({ shardIterator }, t0);
  expect(records.map(({ arrivalMs }) => (arrivalMs - t0) / 1000)).toEqual([15, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
});

// ---- writing

test('PutRecords: "Each PutRecords request can support up to 500 records"', () => {
  const model = modelWith(1, { limits: false });
  expect(put(model, t0, 500)).toHaveLength(500);
  expect(refusal(() => put(model, t0, 501))).toBe('ValidationException');
  expect(refusal(() => put(model, t0, 0))).toBe('ValidationException');
});

test('PutRecords: a record of 1 MiB with its key is taken, one byte more is not; 10 MiB a request, keys included', () => {
  const model = modelWith(1, { limits: false });
  const mib = 1024 * 1024;
  expect(put(model, t0, 10, mib)).toHaveLength(10);
  expect(refusal(() => put(model, t0, 1, mib + 1))).toBe('InvalidArgumentException');
  const records = Array.from({ length: 11 }, () => ({ partitionKey: 'k', data: new Uint8Array(mib - 1) }));
  expect(refusal(() => model.putRecords({ streamName, records }, t0))).toBe('InvalidArgumentException');
});

test('PutRecords: a partition key has 1 to 256 characters', () => {
  const model = modelWith();
  const data = new Uint8Array(1);
  model.putRecord({ streamName, record: { partitionKey: '\u{1f600}'.repeat(128), data } }, t0);
  for (const partitionKey of ['', 'x'.repeat(257)]) {
    expect(refusal(() => model.putRecord({ streamName, record: { partitionKey, data } }, t0))).toBe(
      'ValidationException',
    );
  }
});

test('PutRecords: an explicit hash key decides the shard in place of the partition key', () => {
  const model = modelWith(2);
  const data = new Uint8Array(1);
  const at = (explicitHashKey: bigint): string =>
    model.putRecord(
      { streamName, record: { partitionKey: 'k', explicitHashKey: explicitHashKey as HashKey, data } },
      t0,
    ).shardId;
  expect([at(0n), at(half), at(half + 1n), at(MAX_HASH_KEY)]).toEqual([
    first,
    first,
    'shardId-000000000001',
    'shardId-000000000001',
  ]);
});

test('"Each shard can support writes up to 1,000 records per second": more are refused one by one, the rest of the request is stored', () => {
  const model = modelWith();
  expect(put(model, t0, 500)).not.toContain(undefined);
  expect(put(model, t0, 499)).not.toContain(undefined);
  const last = put(model, t0, 3);
  expect(last[0]).toBeDefined();
  expect(last.slice(1)).toEqual([undefined, undefined]);
  // 1,000 a second come back as one a millisecond.
  expect(put(model, t0 + 2, 3).filter((sequenceNumber) => sequenceNumber !== undefined)).toHaveLength(2);
});

test('"… up to a maximum data write total of 1 MiB per second": ProvisionedThroughputExceededException', () => {
  const model = modelWith();
  const kib = 1024;
  expect(put(model, t0, 4, 256 * kib)).not.toContain(undefined);
  expect(put(model, t0, 1, kib)).toEqual([undefined]);
  expect(put(model, t0 + 500, 3, 256 * kib).filter((sequenceNumber) => sequenceNumber !== undefined)).toHaveLength(2);
  const record = { partitionKey: 'k', data: new Uint8Array(kib) };
  expect(refusal(() => model.putRecord({ streamName, record }, t0 + 500))).toBe(
    'ProvisionedThroughputExceededException',
  );
});

test('a producer paced at the limit is never refused', () => {
  const model = modelWith();
  for (let second = 0; second < 20; second++) {
    for (let part = 0; part < 10; part++)
      expect(put(model, t0 + second * 1000 + part * 100, 100)).not.toContain(undefined);
  }
});

// ---- reading

test('GetShardIterator: the five positions', () => {
  const model = modelWith();
  const numbers = [0, 1, 2].map((second) => put(model, t0 + second * 1000)[0] ?? 0n);
  const now = t0 + 2000;
  const readFrom = (position: Parameters<KinesisModel['getShardIterator']>[0]['position']): (number | undefined)[] => {
    const shardIterator = model.getShardIterator({ streamName, shardId: first, position }, now);
    put(model, now);
    return model.getRecords({ shardIterator }, now + 10_000 * readCount++).records.map(({ sequenceNumber }) => {
      const index = numbers.indexOf(sequenceNumber);
      return index === -1 ? undefined : index;
    });
  };
  let readCount = 0;
  const [, second = 0n] = numbers;
  expect(readFrom({ kind: 'LATEST' })).toEqual([undefined]);
  expect(readFrom({ kind: 'TRIM_HORIZON' }).slice(0, 3)).toEqual([0, 1, 2]);
  expect(readFrom({ kind: 'AT_SEQUENCE_NUMBER', sequenceNumber: second })[0]).toBe(1);
  expect(readFrom({ kind: 'AFTER_SEQUENCE_NUMBER', sequenceNumber: second })[0]).toBe(2);
  expect(readFrom({ kind: 'AT_TIMESTAMP', timestampMs: t0 + 1 })[0]).toBe(1);
  expect(refusal(() => readFrom({ kind: 'AT_TIMESTAMP', timestampMs: now + 1 }))).toBe('InvalidArgumentException');
});

test('GetShardIterator: a sequence number of another shard is an InvalidArgumentException, an unknown shard a ResourceNotFoundException', () => {
  const model = modelWith(2);
  const [number = 0n] = put(model, t0);
  const holder = model.stream(streamName, t0).shards.find((shard) => shard.owns(number))?.id;
  const other = holder === first ? 'shardId-000000000001' : first;
  const position = { kind: 'AT_SEQUENCE_NUMBER', sequenceNumber: number } as const;
  expect(refusal(() => model.getShardIterator({ streamName, shardId: other, position }, t0))).toBe(
    'InvalidArgumentException',
  );
  expect(refusal(() => iteratorOf(model, t0, 'shardId-000000000009'))).toBe('ResourceNotFoundException');
});

test('GetShardIterator: "A shard iterator expires 5 minutes after it is returned to the requester"', () => {
  const model = modelWith();
  const shardIterator = iteratorOf(model, t0);
  expect(model.getRecords({ shardIterator }, t0 + 300_000).records).toEqual([]);
  expect(refusal(() => model.getRecords({ shardIterator }, t0 + 300_001))).toBe('ExpiredIteratorException');
});

test('GetRecords: an iterator that this server did not make is an InvalidArgumentException', () => {
  const model = modelWith();
  const good = iteratorOf(model, t0);
  const foreign = iteratorOf(modelWith(1, { tokenKey: 'another' }), t0);
  const { nextToken = '' } = modelWith(3).listShards({ streamName, maxResults: 1 }, t0);
  for (const shardIterator of [
    '',
    'AAAA',
    '%%%',
    foreign,
    nextToken,
    good.slice(4),
    `${good}AAAA`,
    good.replace(/^./, 'b'),
  ]) {
    expect(
      refusal(() => model.getRecords({ shardIterator }, t0)),
      shardIterator,
    ).toBe('InvalidArgumentException');
  }
});

test('GetRecords: "If there are no records available in the portion of the shard that the iterator points to, GetRecords returns an empty list", and reading goes on', () => {
  const model = modelWith();
  const { nextShardIterator, records, millisBehindLatest } = model.getRecords(
    { shardIterator: iteratorOf(model, t0) },
    t0,
  );
  expect([records, millisBehindLatest]).toEqual([[], 0]);
  put(model, t0);
  expect(model.getRecords({ shardIterator: nextShardIterator ?? '' }, t0).records).toHaveLength(1);
});

test('GetRecords, MillisBehindLatest: "A value of zero indicates that record processing is caught up"', () => {
  const model = modelWith();
  put(model, t0);
  put(model, t0 + 5_000);
  const shardIterator = iteratorOf(model, t0 + 9_000);
  const one = model.getRecords({ shardIterator, limit: 1 }, t0 + 9_000);
  expect(one.millisBehindLatest).toBe(9_000);
  const two = model.getRecords({ shardIterator: one.nextShardIterator ?? '', limit: 1 }, t0 + 9_000);
  expect(two.millisBehindLatest).toBe(0);
});

test('GetRecords: "Each shard can support up to five read transactions per second"', () => {
  const model = modelWith();
  const shardIterator = iteratorOf(model, t0);
  for (let i = 0; i < 5; i++) model.getRecords({ shardIterator }, t0);
  expect(refusal(() => model.getRecords({ shardIterator }, t0))).toBe('ProvisionedThroughputExceededException');
  expect(model.getRecords({ shardIterator }, t0 + 200).records).toEqual([]);
  for (let i = 0; i < 100; i++) model.getRecords({ shardIterator }, t0 + 400 + i * 200);
});

test('GetRecords: 10,000 records or 10 MiB; "if a call returns this amount of data, subsequent calls made within the next 5 seconds throw ProvisionedThroughputExceededException"', () => {
  const mib = 1024 * 1024;
  const model = modelWith();
  for (let i = 0; i < 12; i++) put(model, t0 + i * 1000, 1, mib);
  const now = t0 + 12_000;
  const shardIterator = iteratorOf(model, now);
  expect(model.getRecords({ shardIterator }, now).records).toHaveLength(10);
  expect(refusal(() => model.getRecords({ shardIterator }, now + 4_999))).toBe(
    'ProvisionedThroughputExceededException',
  );
  expect(model.getRecords({ shardIterator, limit: 2 }, now + 5_000).records).toHaveLength(2);

  const many = modelWith(1, { limits: false });
  for (let i = 0; i < 21; i++) put(many, t0, 500, 2);
  expect(many.getRecords({ shardIterator: iteratorOf(many, t0) }, t0).records).toHaveLength(10_000);
});

test('GetRecords: "When the shard is closed … NextShardIterator … null", with ChildShards that name their parents', () => {
  const model = modelWith(2);
  const record = { partitionKey: 'k', explicitHashKey: 0n as HashKey, data: new Uint8Array(1) };
  for (let i = 0; i < 2; i++) model.putRecord({ streamName, record }, t0);
  const shardIterator = iteratorOf(model, t0);
  model.mergeShards({ streamName, shardId: first, adjacentShardId: 'shardId-000000000001' }, t0);
  const one = model.getRecords({ shardIterator, limit: 1 }, t0);
  expect([one.records.length, one.childShards]).toEqual([1, []]);
  const two = model.getRecords({ shardIterator: one.nextShardIterator ?? '' }, t0);
  expect([two.records.length, two.nextShardIterator, two.millisBehindLatest]).toEqual([1, null, 0]);
  expect(two.childShards).toEqual([
    {
      shardId: 'shardId-000000000002',
      parentShards: [first, 'shardId-000000000001'],
      hashKeyRange: { start: 0n, end: MAX_HASH_KEY },
    },
  ]);
});

// ---- resharding

test('SplitShard: the children start after the parent has ended, take its range and its new records', () => {
  const model = modelWith(1, { reshardMs: 100 });
  const before = put(model, t0);
  model.splitShard({ streamName, shardId: first, newStartingHashKey: half }, t0);
  expect(model.stream(streamName, t0 + 99).status).toBe('UPDATING');
  expect(model.putRecord({ streamName, record: { partitionKey: 'k', data: new Uint8Array(1) } }, t0 + 99).shardId).toBe(
    first,
  );
  expect(refusal(() => model.splitShard({ streamName, shardId: first, newStartingHashKey: half }, t0 + 99))).toBe(
    'ResourceInUseException',
  );
  const after = model.putRecord({ streamName, record: { partitionKey: 'k', data: new Uint8Array(1) } }, t0 + 100);
  expect(after.shardId).not.toBe(first);
  const [parent, left, right] = model.stream(streamName, t0 + 100).shards;
  expect(parent?.end?.endingSequenceNumber).toBeGreaterThan(before[0] ?? 0n);
  expect(left?.startingSequenceNumber).toBeGreaterThan(parent?.end?.endingSequenceNumber ?? 0n);
  expect([left?.origin.range, right?.origin.range]).toEqual([
    { start: 0n, end: half - 1n },
    { start: half, end: MAX_HASH_KEY },
  ]);
  expect(left?.origin.parentIds).toEqual([first]);
});

test('SplitShard: a hash key outside the shard or at its edge is an InvalidArgumentException, as is a closed shard', () => {
  const model = modelWith(2);
  const { start = 0n, end = 0n } = model.stream(streamName, t0).shard('shardId-000000000001')?.origin.range ?? {};
  for (const key of [0n, start, start + 1n, end]) {
    const newStartingHashKey = key as HashKey;
    expect(
      refusal(() => model.splitShard({ streamName, shardId: 'shardId-000000000001', newStartingHashKey }, t0)),
    ).toBe('InvalidArgumentException');
  }
  model.mergeShards({ streamName, shardId: first, adjacentShardId: 'shardId-000000000001' }, t0);
  const newStartingHashKey = (half / 2n) as HashKey;
  expect(refusal(() => model.splitShard({ streamName, shardId: first, newStartingHashKey }, t0))).toBe(
    'InvalidArgumentException',
  );
});

test('MergeShards: "Two shards are considered adjacent if the union of the hash key ranges … form a contiguous set with no gaps"', () => {
  const model = modelWith(3);
  const third = 'shardId-000000000002';
  expect(refusal(() => model.mergeShards({ streamName, shardId: first, adjacentShardId: third }, t0))).toBe(
    'InvalidArgumentException',
  );
  expect(refusal(() => model.mergeShards({ streamName, shardId: first, adjacentShardId: first }, t0))).toBe(
    'InvalidArgumentException',
  );
  model.mergeShards({ streamName, shardId: third, adjacentShardId: 'shardId-000000000001' }, t0);
  expect(model.stream(streamName, t0).shard('shardId-000000000003')?.origin.parentIds).toEqual([
    third,
    'shardId-000000000001',
  ]);
});

test('ListShards: each ShardFilter', () => {
  const model = modelWith(2);
  const [t1, t2] = [t0 + hourMs, t0 + 2 * hourMs];
  // 0 and 1; 0 is split into 2 and 3 at t1; 3 and 1 are merged into 4 at t2.
  model.splitShard({ streamName, shardId: first, newStartingHashKey: (half / 2n) as HashKey }, t1);
  model.mergeShards({ streamName, shardId: 'shardId-000000000003', adjacentShardId: 'shardId-000000000001' }, t2);
  const now = t0 + 3 * hourMs;
  expect(idsOf(model, now)).toEqual([0, 1, 2, 3, 4]);
  expect(idsOf(model, now, { kind: 'FROM_TRIM_HORIZON' })).toEqual([0, 1, 2, 3, 4]);
  expect(idsOf(model, now, { kind: 'AT_TRIM_HORIZON' })).toEqual([0, 1]);
  expect(idsOf(model, now, { kind: 'AT_LATEST' })).toEqual([2, 4]);
  expect(idsOf(model, now, { kind: 'AFTER_SHARD_ID', shardId: 'shardId-000000000002' })).toEqual([3, 4]);
  expect(idsOf(model, now, { kind: 'AT_TIMESTAMP', timestampMs: t0 - 5 })).toEqual([0, 1]);
  expect(idsOf(model, now, { kind: 'AT_TIMESTAMP', timestampMs: t1 - 1 })).toEqual([0, 1]);
  expect(idsOf(model, now, { kind: 'AT_TIMESTAMP', timestampMs: t1 })).toEqual([0, 1]);
  expect(idsOf(model, now, { kind: 'AT_TIMESTAMP', timestampMs: t1 + 1 })).toEqual([1, 2, 3]);
  expect(idsOf(model, now, { kind: 'AT_TIMESTAMP', timestampMs: t2 })).toEqual([1, 2, 3]);
  expect(idsOf(model, now, { kind: 'AT_TIMESTAMP', timestampMs: t2 + 1 })).toEqual([2, 4]);
  expect(idsOf(model, now, { kind: 'FROM_TIMESTAMP', timestampMs: t0 })).toEqual([0, 1, 2, 3, 4]);
  expect(idsOf(model, now, { kind: 'FROM_TIMESTAMP', timestampMs: t2 })).toEqual([1, 2, 3, 4]);
  expect(idsOf(model, now, { kind: 'FROM_TIMESTAMP', timestampMs: t2 + 1 })).toEqual([2, 4]);
  // A day after the split, 0 is gone, and what it became stands at the trim horizon.
  expect(idsOf(model, t1 + 24 * hourMs + 1, { kind: 'AT_TRIM_HORIZON' })).toEqual([1, 2, 3]);
});

test('AT_ filters cover the key space once, even when everything happened within one millisecond', () => {
  const model = modelWith(1);
  model.splitShard({ streamName, shardId: first, newStartingHashKey: half }, t0);
  model.mergeShards({ streamName, shardId: 'shardId-000000000001', adjacentShardId: 'shardId-000000000002' }, t0);
  expect(idsOf(model, t0, { kind: 'AT_TRIM_HORIZON' })).toEqual([0]);
  expect(idsOf(model, t0, { kind: 'AT_TIMESTAMP', timestampMs: t0 })).toEqual([0]);
  expect(idsOf(model, t0, { kind: 'AT_LATEST' })).toEqual([3]);
});

test('ListShards pages by NextToken alone, which carries the filter and "expire[s] after 300 seconds"', () => {
  const model = modelWith(5);
  const filter = { kind: 'AFTER_SHARD_ID', shardId: first } as const;
  const one = model.listShards({ streamName, filter, maxResults: 3 }, t0);
  const two = model.listShards({ nextToken: one.nextToken ?? '' }, t0 + 300_000);
  expect([...one.shards, ...two.shards].map(({ origin }) => origin.number)).toEqual([1, 2, 3, 4]);
  expect(two.nextToken).toBeUndefined();
  expect(refusal(() => model.listShards({ nextToken: one.nextToken ?? '' }, t0 + 300_001))).toBe(
    'ExpiredNextTokenException',
  );
  expect(refusal(() => model.listShards({ nextToken: 'garbage' }, t0))).toBe('InvalidArgumentException');
});

// ---- registered consumers

test('RegisterStreamConsumer: CREATING, then ACTIVE; 20 a stream; a name once', () => {
  const model = modelWith(1, { registerConsumerMs: 100 });
  const address = { streamName, consumerName: 'c' };
  expect(model.registerConsumer(address, t0).status).toBe('CREATING');
  expect(model.consumer(address, t0 + 100).status).toBe('ACTIVE');
  expect(refusal(() => model.registerConsumer(address, t0))).toBe('ResourceInUseException');
  for (let i = 1; i < 20; i++) model.registerConsumer({ streamName, consumerName: `c${i}` }, t0);
  expect(refusal(() => model.registerConsumer({ streamName, consumerName: 'c20' }, t0))).toBe('LimitExceededException');
  model.deregisterConsumer(address, t0 + 200);
  expect(model.consumer(address, t0 + 299).status).toBe('DELETING');
  expect(refusal(() => model.consumer(address, t0 + 300))).toBe('ResourceNotFoundException');
});

test('SubscribeToShard: a second call within 5 seconds gets ResourceInUseException, a later one takes over', () => {
  const model = modelWith();
  const request = { streamName, consumerName: 'c', shardId: first, position: { kind: 'LATEST' } } as const;
  model.registerConsumer(request, t0);
  const one = model.subscribeToShard(request, t0);
  let news = 0;
  one.onNews = () => news++;
  expect(refusal(() => model.subscribeToShard(request, t0 + 4_999))).toBe('ResourceInUseException');
  const two = model.subscribeToShard(request, t0 + 5_000);
  expect(news).toBe(1);
  expect(one.poll(t0 + 5_000)).toEqual({ kind: 'ended', reason: 'taken-over' });
  put(model, t0 + 5_000);
  expect(two.poll(t0 + 5_000)).toMatchObject({ kind: 'records', millisBehindLatest: 0 });
});

test('SubscribeToShard: news on the put itself; "This call … lasts for up to 5 minutes"', () => {
  const model = modelWith();
  const request = { streamName, consumerName: 'c', shardId: first, position: { kind: 'LATEST' } } as const;
  model.registerConsumer(request, t0);
  const subscription = model.subscribeToShard(request, t0);
  const seen: string[] = [];
  subscription.onNews = () => seen.push(subscription.poll(t0 + 1).kind);
  put(model, t0 + 1);
  expect(seen).toEqual(['records']);
  expect(subscription.poll(t0 + 299_999).kind).toBe('idle');
  expect(subscription.poll(t0 + 300_000)).toEqual({ kind: 'ended', reason: 'expired' });
  put(model, t0 + 300_000);
  expect(seen).toEqual(['records']);
});

test('SubscribeToShard: after an end, ContinuationSequenceNumber reads on without a gap or a repeat', () => {
  const model = modelWith();
  const address = { streamName, consumerName: 'c', shardId: first } as const;
  model.registerConsumer(address, t0);
  const idle = model.subscribeToShard({ ...address, position: { kind: 'LATEST' } }, t0).poll(t0);
  const numbers = put(model, t0, 3);
  for (const [index, kind] of (['AT_SEQUENCE_NUMBER', 'AFTER_SEQUENCE_NUMBER'] as const).entries()) {
    const sequenceNumber = idle.kind === 'idle' ? idle.continuationSequenceNumber : 0n;
    const now = t0 + 5_000 * (index + 1);
    const event = model.subscribeToShard({ ...address, position: { kind, sequenceNumber } }, now).poll(now);
    expect(event.kind === 'records' ? event.records.map((record) => record.sequenceNumber) : []).toEqual(numbers);
  }
});

test('a subscription ends with its shard, with its consumer, with its stream', () => {
  const model = modelWith(3);
  const address = { streamName, consumerName: 'c' };
  const position = { kind: 'TRIM_HORIZON' } as const;
  model.registerConsumer(address, t0);
  const [a, b] = model
    .stream(streamName, t0)
    .shards.map(({ id }) => model.subscribeToShard({ ...address, shardId: id, position }, t0));
  let woken = 0;
  if (a !== undefined) a.onNews = () => woken++;
  model.splitShard({ streamName, shardId: first, newStartingHashKey: (half / 2n) as HashKey }, t0);
  expect(woken).toBe(1);
  expect(a?.poll(t0)).toMatchObject({
    kind: 'shard-end',
    records: [],
    childShards: [{ parentShards: [first] }, { parentShards: [first] }],
  });
  model.deregisterConsumer(address, t0);
  expect(b?.poll(t0)).toEqual({ kind: 'ended', reason: 'consumer-deleted' });
  expect(model.stream(streamName, t0).shards.map(({ watchers }) => watchers.size)).toEqual([0, 0, 0, 0, 0]);
});

test('SubscribeToShard: 2 MiB a second of a shard for each consumer', () => {
  const mib = 1024 * 1024;
  const model = modelWith();
  const address = { streamName, consumerName: 'c', shardId: first } as const;
  model.registerConsumer(address, t0);
  for (let i = 0; i < 6; i++) put(model, t0 + i * 1000, 1, mib);
  const now = t0 + 6_000;
  const subscription = model.subscribeToShard({ ...address, position: { kind: 'TRIM_HORIZON' } }, now);
  const kinds = Array.from({ length: 4 }, () => subscription.poll(now).kind);
  expect(kinds).toEqual(['records', 'records', 'records', 'throttled']);
  const wait = subscription.poll(now);
  expect(wait).toEqual({ kind: 'throttled', untilMs: now + 500 });
  expect(subscription.poll(now + 500).kind).toBe('records');
});

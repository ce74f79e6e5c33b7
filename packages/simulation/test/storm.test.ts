// A producer and a consumer, as published, through a storm of every fault that the local Kinesis has, over real sockets, with a
// shard that splits in the midst of it. What the simulator does to the cores, this does to the whole of them.
import { createDynamoDBClient, createKinesisClient, toHashKey } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { type FaultRule, startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';
import { expect, test, vi } from 'vitest';

const STREAM = 'orders';
const RECORD_COUNT = 5_000;
const KEY_COUNT = 613;
/** The patience of both sides with an answer that does not come. */
const TIMEOUT_MS = 1_500;
/** Of each fault that costs somebody his patience. */
const SLOW_COUNT = 3;

/** Whatever passes if one tries again. */
function storm(operation: string, probability: number): FaultRule[] {
  return [
    { kind: 'throttle', operation, probability },
    { kind: 'error', type: 'InternalFailure', operation, probability },
    { kind: 'error', type: 'ServiceUnavailable', operation, probability },
    { kind: 'error', type: 'KMSThrottlingException', operation, probability },
    { kind: 'error', type: 'ExpiredTokenException', operation, probability },
    { kind: 'dropConnection', operation, probability },
    { kind: 'loseAnswer', operation, probability },
    { kind: 'truncateAnswer', operation, probability },
    { kind: 'stall', operation, probability, count: SLOW_COUNT },
    { kind: 'loseAnswer', by: 'silence', operation, probability, count: SLOW_COUNT },
    // Late enough to be applied when it has been sent again already.
    { kind: 'delay', beforeApplyMs: [TIMEOUT_MS, TIMEOUT_MS + 500], operation, probability, count: SLOW_COUNT },
    { kind: 'delay', beforeAnswerMs: [0, 300], operation, probability },
  ];
}

const producerOptions = {
  stream: STREAM,
  // Small and many, so that there is much to strike.
  aggregationMaxCount: 10,
  collectionMaxCount: 10,
  recordMaxBufferedTimeMs: 20,
  maxRequestsInFlight: 6,
  requestTimeoutMs: TIMEOUT_MS,
  // The throttling here has nothing to do with the rate, so the producer goes down to the least rate it knows, and needs half a minute.
  recordTtlMs: 120_000,
};

const consumerOptions = {
  application: 'billing',
  stream: STREAM,
  failoverTimeMs: 2_000,
  leaseAssignmentIntervalMs: 200,
  shardSyncIntervalMs: 500,
  parentShardPollIntervalMs: 50,
  checkpointIntervalMs: 50,
  idleTimeBetweenReadsMs: 200,
  kinesisRequestTimeoutMs: TIMEOUT_MS,
};

const faults: readonly FaultRule[] = [
  ...storm('PutRecords', 0.02),
  { kind: 'throttle', operation: 'PutRecords', perRecord: true, probability: 0.03 },
  { kind: 'throttle', operation: 'PutRecords', shardId: 'shardId-000000000001', probability: 0.05 },
  { kind: 'error', type: 'InternalFailure', operation: 'PutRecords', perRecord: true, probability: 0.03 },
  ...storm('GetRecords', 0.05),
  { kind: 'error', type: 'ExpiredIteratorException', operation: 'GetRecords', probability: 0.05 },
  ...storm('GetShardIterator', 0.05),
  ...storm('ListShards', 0.05),
];

test('through a storm of faults and a split no record is lost, and the records of a key come in the order of their puts', async () => {
  await using local = await startLocalKinesis({ faults, faultSeed: 1, streams: [{ name: STREAM, shardCount: 3 }] });
  await using dynamoDB = await startLocalDynamoDB();
  const kinesisClient = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  const dynamoDBClient = createDynamoDBClient(dynamoDB.clientConfig);
  const consumer = new Consumer({ ...consumerOptions, kinesisClient, dynamoDBClient });
  // Each once, when it first comes: an answer that was lost has its records written twice.
  const handled = new Texts();
  const consuming = consumer.run(async ({ records }) => {
    for (const { partitionKey, data } of records) handled.add(partitionKey, Buffer.from(data).toString());
  });

  const put = new Texts();
  const results: Promise<unknown>[] = [];
  const producers = [true, false].map((aggregationEnabled) => {
    return new Producer({ ...producerOptions, aggregationEnabled, client: kinesisClient });
  });
  for (let number = 0; number < RECORD_COUNT; number++) {
    const producer = producers[number % 2] as Producer;
    await producer.ready;
    const partitionKey = `${number % 2}-${number % KEY_COUNT}`;
    put.add(partitionKey, String(number));
    results.push(producer.put({ partitionKey, data: String(number) }));
    if (number === RECORD_COUNT / 2) {
      const split = { shardId: 'shardId-000000000000', newStartingHashKey: toHashKey(2n ** 126n) };
      local.model.splitShard({ streamName: STREAM, ...split }, Date.now());
    }
  }
  await Promise.all(producers.map((producer) => producer.close()));
  await Promise.all(results);
  await vi.waitFor(() => expect(handled.count).toBe(RECORD_COUNT), { timeout: 90_000, interval: 50 });
  expect(handled.byKey).toEqual(put.byKey);

  await consumer.stop();
  await consuming;
  kinesisClient.destroy();
  dynamoDBClient.destroy();
  // A rule that never struck would prove nothing.
  const strikesOf = (operation: string): number[] =>
    local.faults.list().flatMap(({ rule, applied }) => (rule.operation === operation ? [applied] : []));
  expect(Math.min(...strikesOf('PutRecords'))).toBeGreaterThan(0);
  expect(Math.max(...strikesOf('GetRecords'))).toBeGreaterThan(0);
}, 150_000);

/** The texts of each key, each once, in the order in which they first came. */
class Texts {
  readonly byKey: Map<string, string[]> = new Map();
  readonly #seen: Set<string> = new Set();

  get count(): number {
    return this.#seen.size;
  }

  add(key: string, text: string): void {
    if (this.#seen.has(text)) return;
    this.#seen.add(text);
    this.byKey.set(key, [...(this.byKey.get(key) ?? []), text]);
  }
}

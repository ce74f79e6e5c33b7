// How the producer meets a stream's record distribution strategy: the local server over real sockets.
import { type KinesisClient, UpdateStreamRecordDistributionStrategyCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient, type Logger, silentLogger, UsageError } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Producer, type ProducerOptions, type UserRecordInput } from '../src/index.ts';
import { userRecordsOf } from './stream-content.ts';

const STREAM = 'orders';
const TEXTS = Array.from({ length: 40 }, (_, number) => `record ${number}`);

let local: LocalKinesis;
let client: KinesisClient;
const open: AsyncDisposable[] = [];

beforeEach(async () => {
  local = await startLocalKinesis({ limits: false });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});

afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  client.destroy();
  await local.close();
});

function createStream(recordDistributionStrategy: 'AUTO' | 'USER_PARTITION_KEY'): void {
  local.model.createStream({ name: STREAM, mode: 'ON_DEMAND', recordDistributionStrategy }, Date.now());
}

function producerOf(options: Partial<ProducerOptions> = {}): Producer {
  const producer = new Producer({ stream: STREAM, client, ...options });
  open.push(producer);
  return producer;
}

async function putAll(producer: Producer, inputs: readonly UserRecordInput[]): Promise<void> {
  const puts = inputs.map((input) => producer.put(input));
  await producer.flush();
  await Promise.all(puts);
}

test('an AUTO stream takes records with and without keys, spreads them, and none is aggregated', async () => {
  createStream('AUTO');
  const producer = producerOf();
  await putAll(
    producer,
    TEXTS.map((data, number) => (number % 2 === 0 ? { data } : { partitionKey: 'k', data })),
  );
  const records = userRecordsOf(local.model, STREAM);
  expect(records.map(({ text }) => text).sort()).toEqual([...TEXTS].sort());
  expect(new Set(records.map(({ partitionKey }) => partitionKey))).toEqual(new Set(['', 'k']));
  expect(new Set(records.map(({ shardId }) => shardId)).size).toBe(4);
});

test('a record without a key is refused at the call once the stream is known to go by keys', async () => {
  createStream('USER_PARTITION_KEY');
  const producer = producerOf();
  await expect(producer.put({ data: 'early' })).rejects.toMatchObject({
    code: 'REQUEST_FAILED',
    userRecord: { data: Buffer.from('early') },
    message: expect.stringContaining('goes by partition keys'),
  });
  expect(() => producer.put({ data: 'late' })).toThrow(UsageError);
  await putAll(producer, [{ partitionKey: 'k', data: 'with' }]);
});

test('a stream that becomes AUTO is noticed by an answer from another shard, and every record can be read', async () => {
  createStream('USER_PARTITION_KEY');
  const producer = producerOf();
  await putAll(
    producer,
    TEXTS.map((data) => ({ partitionKey: 'k', data })),
  );
  const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${STREAM}`;
  await client.send(
    new UpdateStreamRecordDistributionStrategyCommand({ StreamARN, RecordDistributionStrategy: 'AUTO' }),
  );
  const described = local.faults.add({ kind: 'throttle', operation: 'DescribeStreamSummary', probability: 0 });
  for (let round = 0; described.considered === 0; round++) {
    expect(round).toBeLessThan(1_000);
    await putAll(
      producer,
      TEXTS.map((data, number) => ({ partitionKey: `${number}`, data })),
    );
  }
  await putAll(producer, [{ data: 'without a key' }]);
});

test('without the permission to ask nothing is aggregated, and one warning says what to do', async () => {
  createStream('USER_PARTITION_KEY');
  local.faults.add({ kind: 'error', type: 'AccessDeniedException', operation: 'DescribeStreamSummary' });
  const warnings: (string | undefined)[] = [];
  const logger: Logger = { ...silentLogger, child: () => logger, warn: (_, message) => void warnings.push(message) };
  const producer = producerOf({ logger });
  await putAll(
    producer,
    TEXTS.map((data) => ({ partitionKey: data, data })),
  );
  const records = userRecordsOf(local.model, STREAM);
  expect(records.map(({ text }) => text).sort()).toEqual([...TEXTS].sort());
  expect(records.every(({ subSequenceNumber }) => subSequenceNumber === undefined)).toBe(true);
  expect(warnings).toEqual([expect.stringContaining('recordDistributionStrategyDefault')]);
});

test('what the application says of the stream is taken for granted: it is not asked, and records are aggregated', async () => {
  createStream('USER_PARTITION_KEY');
  const denied = local.faults.add({
    kind: 'error',
    type: 'AccessDeniedException',
    operation: 'DescribeStreamSummary',
  });
  const producer = producerOf({ recordDistributionStrategyDefault: 'USER_PARTITION_KEY' });
  await putAll(
    producer,
    TEXTS.map((data) => ({ partitionKey: data, data })),
  );
  const records = userRecordsOf(local.model, STREAM);
  expect(records.map(({ text }) => text).sort()).toEqual([...TEXTS].sort());
  expect(records.some(({ subSequenceNumber }) => subSequenceNumber !== undefined)).toBe(true);
  expect(denied.considered).toBe(0);
});

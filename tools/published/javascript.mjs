// One record's whole way through the published packages: put, aggregated, read, handled, checkpointed, both sides closed.
import assert from 'node:assert/strict';
import { createDynamoDBClient, createKinesisClient, UsageError } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const kinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
const dynamodb = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...kinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(dynamodb.clientConfig);

const producer = new Producer({ stream: 'orders', client: kinesisClient });
const sent = ['a', 'b', 'c', 'c'].map((key, index) => ({ partitionKey: key, data: `order ${index}` }));
const results = await Promise.all(sent.map((record) => producer.put(record)));
for (const { shardId, sequenceNumber } of results) {
  assert.match(shardId, /^shardId-\d{12}$/);
  assert.match(sequenceNumber, /^\d+$/);
}
await producer.close();

const consumer = new Consumer({
  application: 'billing',
  stream: 'orders',
  kinesisClient,
  dynamoDBClient,
  failoverTimeMs: 1000,
  leaseAssignmentIntervalMs: 100,
});
const handled = [];
await consumer.run(async (batch, { checkpoint }) => {
  for (const { partitionKey, data } of batch.records) handled.push(`${partitionKey} ${Buffer.from(data)}`);
  await checkpoint();
  // Not awaited: the consumer waits for its handlers.
  if (handled.length === sent.length) consumer.stop();
});
assert.deepEqual(handled.sort(), sent.map(({ partitionKey, data }) => `${partitionKey} ${data}`).sort());

assert.throws(() => new Producer({ stream: '' }), UsageError);

kinesisClient.destroy();
dynamoDBClient.destroy();
await kinesis.close();
await dynamodb.close();

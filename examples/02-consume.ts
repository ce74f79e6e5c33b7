// Handles the records of a stream and stops when all have come. `npm run build`, then `node examples/dist/02-consume.js`.
// It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out `local…` and the clients: the consumer then makes
// its own from the environment, and its lease table is a DynamoDB table named like the application.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const ORDER_COUNT = 100;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

const producer = new Producer({ stream: 'orders', client: kinesisClient });
for (let line = 0; line < ORDER_COUNT; line++) {
  await producer.ready;
  // Nobody awaits this promise, so its failure is handled here.
  producer.put({ partitionKey: `order-${line % 7}`, data: `line ${line}` }).catch((error) => console.error(error));
}
await producer.close();

const consumer = new Consumer({ application: 'billing', stream: 'orders', kinesisClient, dynamoDBClient });
const timeout = setTimeout(() => {
  console.error(`not all records came within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);

// More workers, in this process or on other machines, would share the shards: each is a Consumer of the same application.
let handledCount = 0;
await consumer.run(async (batch) => {
  for (const record of batch.records) {
    const text = Buffer.from(record.data).toString('utf8');
    if (handledCount++ % 25 === 0) console.log(`${batch.shardId} ${record.partitionKey}: ${text}`);
  }
  // Returning vouches for the batch: from now on it may be checkpointed. Stop outside of the handler, or both wait.
  if (handledCount >= ORDER_COUNT) void consumer.stop();
});
clearTimeout(timeout);
console.log(`handled ${handledCount} records`);

kinesisClient.destroy();
dynamoDBClient.destroy();

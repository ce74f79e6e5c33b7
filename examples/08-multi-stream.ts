// One worker reads several streams: one lease table, one handler, and each stream's shards shared with whatever workers the application has.
// `npm run build`, then `node examples/dist/08-multi-stream.js`. It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out
// `local…` and the clients. Streams of other accounts are named by their ARNs.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const STREAMS = ['orders', 'payments', 'refunds'];
const RECORDS_A_STREAM = 60;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

await using localKinesis = await startLocalKinesis({ streams: STREAMS.map((name) => ({ name, shardCount: 2 })) });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

// A producer may write to several streams as well: what is said with a record counts for that record.
const producer = new Producer({ stream: 'orders', client: kinesisClient });
for (let n = 0; n < RECORDS_A_STREAM; n++) {
  for (const stream of STREAMS) {
    await producer.ready;
    producer
      .put({ stream, partitionKey: `user-${n % 7}`, data: `${stream} ${n}` })
      .catch((error) => console.error(error));
  }
}
await producer.close();

const consumer = new Consumer({ application: 'ledger', streams: STREAMS, kinesisClient, dynamoDBClient });
const timeout = setTimeout(() => {
  console.error(`not all records came within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);

const handled = new Map<string, number>();
await consumer.run((batch) => {
  // Shards of two streams may have the same id; the stream's name tells them apart.
  for (const record of batch.records) {
    const text = Buffer.from(record.data).toString('utf8');
    if (!text.startsWith(`${batch.streamName} `)) throw new Error(`${text} came as a record of ${batch.streamName}`);
  }
  handled.set(batch.streamName, (handled.get(batch.streamName) ?? 0) + batch.records.length);
  const total = [...handled.values()].reduce((sum, count) => sum + count, 0);
  if (total >= STREAMS.length * RECORDS_A_STREAM) void consumer.stop();
});
clearTimeout(timeout);
for (const stream of STREAMS) console.log(`${stream}: handled ${handled.get(stream) ?? 0} records`);

kinesisClient.destroy();
dynamoDBClient.destroy();

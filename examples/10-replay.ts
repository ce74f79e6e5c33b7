// Reads a shard again from a time on while the consumer runs: a bill was wrong for a while, is mended, and the orders of that while are
// billed anew. `npm run build`, then `node examples/dist/10-replay.js`.
// It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out `local…` and the clients.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const ORDER_COUNT = 50;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 1 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);
const startedAt = new Date();

const producer = new Producer({ stream: 'orders', client: kinesisClient });
for (let order = 1; order <= ORDER_COUNT; order += 1)
  producer.put({ partitionKey: `user-${order % 7}`, data: JSON.stringify({ order }) }).catch(console.error);
await producer.close();

const consumer = new Consumer({ application: 'billing', stream: 'orders', kinesisClient, dynamoDBClient });
const timeout = setTimeout(() => {
  console.error(`not all orders came within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);

let price = 10;
/** By order: billing one again replaces its bill. */
const bills = new Map<number, number>();
const isBilled = (): boolean => bills.size === ORDER_COUNT && [...bills.values()].every((bill) => bill === price);

async function mend(): Promise<void> {
  price = 12;
  // Not awaited inside of the handler: the shard is read again once that has returned.
  const shards = await consumer.replay({ from: { timestamp: startedAt } });
  for (const { leaseKey, outcome, checkpoint } of shards) console.log(`${leaseKey}: ${outcome}, behind ${checkpoint}`);
}

let mending: Promise<void> | undefined;
await consumer.run(({ records }) => {
  for (const { data } of records)
    bills.set((JSON.parse(Buffer.from(data).toString()) as { order: number }).order, price);
  if (!isBilled()) return;
  console.log(`${bills.size} orders billed at ${price}`);
  if (mending === undefined) mending = mend();
  else void consumer.stop();
});
await mending;
clearTimeout(timeout);

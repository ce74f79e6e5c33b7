// Counts orders by the second with an AWS Lambda function that has tumbling windows, unchanged: its calls hand a state on, and the last of
// a window stores it. `npm run build`, then `node examples/dist/07-tumbling-windows.js`.
// It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out `local…` and the clients.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer, type LambdaKinesisWindowEvent, lambdaHandler } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const ORDER_COUNT = 200;
/** If the windows don't end, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

// --- what was deployed to Lambda, as it stands there ---

/** By shard and window: the last call of a window may come again after a crash, and then stores the same. */
const stored = new Map<string, Record<string, number>>();

const handler = async (event: LambdaKinesisWindowEvent) => {
  const counts: Record<string, number> = event.state;
  for (const { kinesis } of event.Records) {
    const { item } = JSON.parse(Buffer.from(kinesis.data, 'base64').toString());
    counts[item] = (counts[item] ?? 0) + 1;
  }
  if (event.isFinalInvokeForWindow) stored.set(`${event.window.start} ${event.shardId}`, counts);
  return { state: counts };
};

// --- the worker ---

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

const producer = new Producer({ stream: 'orders', client: kinesisClient });
for (let order = 0; order < ORDER_COUNT; order += 1) {
  const data = JSON.stringify({ order, item: order % 3 === 0 ? 'tea' : 'coffee' });
  producer.put({ partitionKey: `user-${order % 7}`, data }).catch((error) => console.error(error));
}
await producer.close();

const consumer = new Consumer({ application: 'counting', stream: 'orders', kinesisClient, dynamoDBClient });
const timeout = setTimeout(() => {
  console.error(`not all windows ended within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);

const storedCount = (): number =>
  [...stored.values()].flatMap((counts) => Object.values(counts)).reduce((sum, count) => sum + count, 0);
// The function knows nothing of stopping, so this example looks on.
const look = setInterval(() => {
  if (storedCount() >= ORDER_COUNT) void consumer.stop();
}, 50);

await consumer.run(lambdaHandler(handler, { batchSize: 25, tumblingWindowInSeconds: 1 }));
clearTimeout(timeout);
clearInterval(look);
for (const [window, counts] of [...stored].sort()) console.log(`${window} ${JSON.stringify(counts)}`);
console.log(`${storedCount()} orders counted, in windows of a second`);

kinesisClient.destroy();
dynamoDBClient.destroy();

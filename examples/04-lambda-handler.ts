// Runs an AWS Lambda function of a Kinesis stream as a worker, unchanged: no function, no event source mapping, no limit of time or
// payload. `npm run build`, then `node examples/dist/04-lambda-handler.js`.
// It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out `local…` and the clients.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer, type LambdaKinesisEvent, lambdaHandler } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const ORDER_COUNT = 100;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

// --- what was deployed to Lambda, as it stands there ---

const billed: string[] = [];

const handler = async (event: LambdaKinesisEvent) => {
  for (const { kinesis } of event.Records) {
    const text = Buffer.from(kinesis.data, 'base64').toString();
    // It says which record it did not get past: those before it don't come again.
    if (!text.startsWith('{')) return { batchItemFailures: [{ itemIdentifier: kinesis.sequenceNumber }] };
    billed.push(text);
  }
  return { batchItemFailures: [] };
};

// --- the worker ---

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

// One of a hundred orders is no JSON. (Without aggregation, as for a Lambda function that does not take aggregates apart; here it
// would make no difference.)
const producer = new Producer({ stream: 'orders', client: kinesisClient, aggregationEnabled: false });
for (let order = 0; order < ORDER_COUNT; order += 1) {
  const data = order === 42 ? 'order 42, broken' : JSON.stringify({ order });
  producer.put({ partitionKey: `user-${order % 7}`, data }).catch((error) => console.error(error));
}
await producer.close();

const consumer = new Consumer({ application: 'billing', stream: 'orders', kinesisClient, dynamoDBClient });
const timeout = setTimeout(() => {
  console.error(`not all orders came within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);

const broken: string[] = [];
// The function knows nothing of stopping, so this example looks on.
const look = setInterval(() => {
  if (billed.length >= ORDER_COUNT - 1 && broken.length > 0) void consumer.stop();
}, 50);

await consumer.run(
  lambdaHandler(handler, {
    batchSize: 25,
    parallelizationFactor: 2,
    maximumRetryAttempts: 1,
    bisectBatchOnFunctionError: true,
    functionResponseTypes: ['ReportBatchItemFailures'],
    onFailure: ({ records }) => {
      for (const { data } of records) broken.push(Buffer.from(data).toString());
    },
  }),
);
clearTimeout(timeout);
clearInterval(look);
console.log(`billed ${billed.length} orders; not billed: ${broken.join('; ')}`);

kinesisClient.destroy();
dynamoDBClient.destroy();

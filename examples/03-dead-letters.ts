// Keeps bad records from holding up a shard: each goes to a dead letter file and the shard goes on; later they are read back and
// handled after all. `npm run build`, then `node examples/dist/03-dead-letters.js`.
// It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out `local…` and the clients.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { type Batch, Consumer, deadLetterFile, parseDeadLetter } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const ORDER_COUNT = 100;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 1 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

// Three of a hundred orders are no JSON.
const producer = new Producer({ stream: 'orders', client: kinesisClient });
for (let order = 0; order < ORDER_COUNT; order += 1) {
  const data = order % 40 === 17 ? `order ${order}, broken` : JSON.stringify({ order });
  producer.put({ partitionKey: `user-${order % 7}`, data }).catch((error) => console.error(error));
}
await producer.close();

const folder = mkdtempSync(join(tmpdir(), 'orders-'));
const path = join(folder, 'dead-letters.ndjson');
const consumer = new Consumer({ application: 'billing', stream: 'orders', kinesisClient, dynamoDBClient });
const timeout = setTimeout(() => {
  console.error(`not all orders came within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);

const billed = new Set<number>();
let deadCount = 0;
const stopWhenDone = (): void => {
  if (billed.size + deadCount >= ORDER_COUNT) void consumer.stop();
};

// It throws at the first order that it cannot read. Orders before that one in the batch come again with it, so billing one twice
// has to do no harm, as it has to anyway.
const bill = ({ records }: Batch): void => {
  for (const { data } of records) billed.add((JSON.parse(Buffer.from(data).toString()) as { order: number }).order);
  stopWhenDone();
};

const toFile = deadLetterFile(path);
await consumer.run(bill, {
  // Once again, in case it was something that passes; then the bad record is looked for.
  maxRetryAttempts: 1,
  onFailure: async (failure, context) => {
    await toFile(failure, context);
    deadCount += failure.records.length;
    stopWhenDone();
  },
});
clearTimeout(timeout);
console.log(`billed ${billed.size} orders`);

for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) {
  const { letter, record } = parseDeadLetter(line);
  console.log(
    `${record.partitionKey}: "${Buffer.from(record.data).toString()}" ${letter.error.name}, ${letter.attempts} attempts`,
  );
}

rmSync(folder, { recursive: true });
kinesisClient.destroy();
dynamoDBClient.destroy();

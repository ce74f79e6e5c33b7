// Puts records into a stream and prints where each one went. `npm run build`, then `node examples/dist/01-put.js`.
// It starts a Kinesis on this machine; against AWS, leave out `local` and `client`, and name a stream that exists: the producer
// then makes its own client from the environment.
import { createKinesisClient } from '@shardline/common';
import { startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

await using local = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });

const producer = new Producer({ stream: 'orders', client });
const orders = Array.from({ length: 10 }, (_, index) => ({ id: `order-${index % 6}`, line: index }));

// Records of one partition key stay in order. Don't await each put: those that wait together travel together.
const deliveries = orders.map((order) => producer.put({ partitionKey: order.id, data: JSON.stringify(order) }));

for (const [index, { shardId, sequenceNumber, subSequenceNumber }] of (await Promise.all(deliveries)).entries()) {
  console.log(`${orders[index]?.id} line ${index} → ${shardId} ${sequenceNumber}/${subSequenceNumber ?? '-'}`);
}

// Delivers what is outstanding; then no timer is left. `await using` does the same.
await producer.close();
client.destroy();

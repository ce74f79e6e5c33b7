// Serves what a producer and a consumer count to Prometheus, and asks for it as Prometheus would. `npm run build`, then
// `node examples/dist/06-metrics.js`. It starts a Kinesis and a DynamoDB on this machine; against AWS, leave out `local…` and the clients.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { PrometheusMetrics } from '@shardline/common/prometheus';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const RECORD_COUNT = 500;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

const prometheus = new PrometheusMetrics();
const server = createServer((_, response) => {
  response.setHeader('content-type', prometheus.contentType()).end(prometheus.metricsText());
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

const producer = new Producer({ stream: 'orders', client: kinesisClient, metrics: prometheus.producer() });
for (let order = 0; order < RECORD_COUNT; order += 1) {
  const data = JSON.stringify({ order });
  producer.put({ partitionKey: `user-${order % 7}`, data }).catch((error) => console.error(error));
}
// What was counted reaches the sink every `metricsUploadDelayMs`, and here at the end.
await producer.close();

const metrics = prometheus.consumer({ application: 'billing' });
const consumer = new Consumer({ application: 'billing', stream: 'orders', kinesisClient, dynamoDBClient, metrics });
const timeout = setTimeout(() => {
  console.error(`not all orders came within ${TIMEOUT_MS / 1_000} s`);
  process.exitCode = 1;
  void consumer.stop();
}, TIMEOUT_MS);
let handledCount = 0;
await consumer.run((batch) => {
  handledCount += batch.records.length;
  if (handledCount >= RECORD_COUNT) void consumer.stop();
});
clearTimeout(timeout);

const scraped = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
const shown = /^shardline_(producer_user_records_put_total|consumer_(records_processed_total|behind_latest_seconds))\{/;
for (const line of scraped.split('\n').filter((each) => shown.test(each))) console.log(line);

server.close();
kinesisClient.destroy();
dynamoDBClient.destroy();

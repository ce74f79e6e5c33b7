// A rolling restart of two workers while records come: each new worker starts before the old one stops, and the old one hands its shards over
// when its handler has returned. Nothing is handled twice, and nothing is left out; both are counted.
// `npm run build`, then `node examples/dist/09-graceful-deploy.js`. It starts a Kinesis and a DynamoDB on this machine; the workers are of
// this process, on your machines they are processes that call `stop` on SIGTERM.
import { setTimeout as sleep } from 'node:timers/promises';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const SHARD_COUNT = 4;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 45_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: SHARD_COUNT }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

/** How often each order was handled. */
const handled = new Map<number, number>();
/** When a shard's records were last handled, and the longest that a shard with records has rested. */
const lastHandledMs = new Map<string, number>();
let longestRestMs = 0;

interface Worker {
  readonly name: string;
  /** Of the shards that are its own. */
  readonly shards: Set<string>;
  readonly consumer: Consumer;
  readonly ended: Promise<void>;
}

function startWorker(name: string): Worker {
  const consumer = new Consumer({
    application: 'billing',
    stream: 'orders',
    workerId: name,
    kinesisClient,
    dynamoDBClient,
    // So that one sees it soon: the leader gives a new worker its share within half a second (default: failoverTimeMs, 10 s).
    leaseAssignmentIntervalMs: 500,
    workerMetricsReportIntervalMs: 500,
    idleTimeBetweenReadsMs: 200,
  });
  const shards = new Set<string>();
  const ended = consumer.run({
    initialize: (_, { shardId }) => {
      shards.add(shardId);
    },
    processRecords: ({ shardId, records }) => {
      const nowMs = performance.now();
      longestRestMs = Math.max(longestRestMs, nowMs - (lastHandledMs.get(shardId) ?? nowMs));
      lastHandledMs.set(shardId, nowMs);
      for (const { data } of records) {
        const order = Number(Buffer.from(data).toString());
        handled.set(order, (handled.get(order) ?? 0) + 1);
      }
    },
    leaseLost: ({ shardId }) => {
      shards.delete(shardId);
    },
  });
  return { name, shards, consumer, ended };
}

const deadlineMs = performance.now() + TIMEOUT_MS;
async function until(what: string, isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${TIMEOUT_MS / 1_000} s`);
    await sleep(20);
  }
}

/** A few orders every 20 ms, as long as the deploy takes. */
let orderCount = 0;
let isDeployed = false;
async function takeOrders(): Promise<void> {
  const producer = new Producer({ stream: 'orders', client: kinesisClient });
  while (!isDeployed) {
    for (let n = 0; n < 8; n++) {
      const data = String(orderCount++);
      producer.put({ partitionKey: `user-${data}`, data }).catch((error) => console.error(error));
    }
    await sleep(20);
  }
  await producer.close();
}

let workers = [startWorker('blue-1'), startWorker('blue-2')];
const taking = takeOrders();
await until('both workers have shards', () => workers.every(({ shards }) => shards.size > 0));

for (const [index, name] of ['green-1', 'green-2'].entries()) {
  const old = workers[0] as Worker;
  const next = startWorker(name);
  // A worker that takes part already is the heir; with none there the shards would be free until the leader looks.
  await until(`${name} takes part`, () => next.shards.size > 0);
  const had = old.shards.size;
  await old.consumer.stop();
  await old.ended;
  workers = [...workers.slice(1), next];
  console.log(`${name} is there and ${old.name} has gone: it handed over ${had} shards`);
  await until(
    'all shards have a worker',
    () => workers.reduce((sum, { shards }) => sum + shards.size, 0) >= SHARD_COUNT,
  );
  if (index === 1) isDeployed = true;
}
await taking;
await until('all orders are handled', () => handled.size === orderCount);
for (const { consumer, ended } of workers) {
  await consumer.stop();
  await ended;
}

const twice = [...handled.values()].filter((count) => count > 1).length;
console.log(`handled ${handled.size} of ${orderCount} orders, ${twice} of them twice`);
console.log(`no shard rested longer than ${Math.round(longestRestMs)} ms`);
if (twice > 0) process.exitCode = 1;

kinesisClient.destroy();
dynamoDBClient.destroy();

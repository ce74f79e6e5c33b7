// Hands a shard over from one worker to another while both of them run, as before a machine is looked at, and shows who has it. The handler
// finishes what it has begun, and the other one goes on behind it. `npm run build`, then `node examples/dist/11-hand-off.js`.
// It starts a Kinesis and a DynamoDB on this machine; the workers are of this process, on your machines they are processes.
import { setTimeout as sleep } from 'node:timers/promises';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';

const SHARD_COUNT = 4;
const ORDER_COUNT = 200;
/** If the records don't come, this example fails rather than waits. */
const TIMEOUT_MS = 45_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: SHARD_COUNT }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

/** By order: who has handled it. An order that is handled twice is there twice. */
const handled: { readonly order: number; readonly worker: string }[] = [];

function startWorker(workerId: string): { readonly consumer: Consumer; readonly ended: Promise<void> } {
  const consumer = new Consumer({
    application: 'billing',
    stream: 'orders',
    workerId,
    kinesisClient,
    dynamoDBClient,
    // So that one sees it soon: the leader gives a new worker its share within half a second (default: failoverTimeMs, 10 s).
    leaseAssignmentIntervalMs: 500,
    workerMetricsReportIntervalMs: 500,
    idleTimeBetweenReadsMs: 200,
  });
  const ended = consumer.run(({ records }) => {
    for (const { data } of records) handled.push({ order: Number(Buffer.from(data).toString()), worker: workerId });
  });
  return { consumer, ended };
}

const deadlineMs = performance.now() + TIMEOUT_MS;
async function until(what: string, isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${TIMEOUT_MS / 1_000} s`);
    await sleep(20);
  }
}

async function putOrders(from: number): Promise<void> {
  const producer = new Producer({ stream: 'orders', client: kinesisClient });
  for (let order = from; order < from + ORDER_COUNT; order += 1)
    producer.put({ partitionKey: `user-${order}`, data: String(order) }).catch((error) => console.error(error));
  await producer.close();
}

const keysOf = (consumer: Consumer): string[] => consumer.view().shards.map(({ leaseKey }) => leaseKey);
function show(when: string): void {
  const who = workers.map(({ consumer }) => `${consumer.workerId} has ${keysOf(consumer).length}`);
  console.log(`${when}: ${who.join(', ')} of ${SHARD_COUNT} shards`);
}

const workers = [startWorker('blue'), startWorker('green')] as const;
const [blue, green] = workers;
await until('each has half of the shards', () =>
  workers.every(({ consumer }) => keysOf(consumer).length === SHARD_COUNT / 2),
);
show('at first');
await putOrders(0);

// One shard, and not to come back for a minute.
const [leaseKey = ''] = keysOf(blue.consumer);
for (const shard of await blue.consumer.handOff({ leaseKeys: leaseKey, awayMs: 60_000 }))
  console.log(`${shard.leaseKey}: ${shard.outcome}${shard.to === undefined ? '' : ` to ${shard.to}`}`);
await until('green has it', () => keysOf(green.consumer).includes(leaseKey));
show('handed off');

// What is left, and no more from now on; blue goes on running.
for (const shard of await blue.consumer.handOff()) console.log(`${shard.leaseKey}: ${shard.outcome} to ${shard.to}`);
await until('green has all', () => keysOf(green.consumer).length === SHARD_COUNT);
show('drained');
await putOrders(ORDER_COUNT);
await until('all orders are handled', () => new Set(handled.map(({ order }) => order)).size === 2 * ORDER_COUNT);

blue.consumer.accept();
await until('each has half of the shards again', () => keysOf(blue.consumer).length === SHARD_COUNT / 2);
show('accepted again');
for (const { consumer, ended } of workers) {
  await consumer.stop();
  await ended;
}
console.log(`${2 * ORDER_COUNT} orders, handled ${handled.length} times`);
if (handled.length !== 2 * ORDER_COUNT) process.exitCode = 1;

kinesisClient.destroy();
dynamoDBClient.destroy();

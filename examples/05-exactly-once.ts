// Writes each record into a database exactly once, through a worker that is killed with SIGKILL in between: what a batch does and how far
// it is are one transaction, and a worker whose lease has gone to another one is refused by its fencing token (docs/control.md).
// `npm run build`, then `node examples/dist/05-exactly-once.js`, with Node >= 22.13, which has SQLite built in.
// It starts a Kinesis and a DynamoDB on this machine; the worker is in exactly-once/worker.ts.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createKinesisClient } from '@shardline/common';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer } from '@shardline/producer';
import type { Billed } from './exactly-once/worker.js';

const ORDER_COUNT = 2_000;
/** If the orders don't come, this example fails rather than waits. */
const TIMEOUT_MS = 50_000;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 13)) {
  console.log(`skipped: it needs SQLite, which Node has built in from 22.13 on; this is Node ${process.versions.node}`);
  process.exit();
}

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
await using localDynamoDB = await startLocalDynamoDB();
const folder = mkdtempSync(join(tmpdir(), 'orders-'));
const settings = {
  kinesis: localKinesis.clientConfig,
  dynamoDB: localDynamoDB.clientConfig,
  database: join(folder, 'bills.db'),
};

let billed: Billed = { orders: 0, distinct: 0, amount: 0, passedOver: 0 };
function startWorker(): ChildProcess {
  const path = fileURLToPath(new URL('exactly-once/worker.js', import.meta.url));
  const worker = fork(path, [JSON.stringify(settings)], { execArgv: ['--disable-warning=ExperimentalWarning'] });
  worker.on('message', (message: Billed) => {
    billed = message;
  });
  return worker;
}

/** Until so many orders are in the database. */
async function until(worker: ChildProcess, count: number): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  while (billed.orders < count) await once(worker, 'message', { signal });
}

const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const producer = new Producer({ stream: 'orders', client: kinesisClient });
async function putOrders(from: number, to: number): Promise<void> {
  for (let order = from; order <= to; order += 1) {
    await producer.ready;
    producer
      .put({ partitionKey: `user-${order % 50}`, data: JSON.stringify({ order, amount: order % 10 }) })
      .catch((error) => console.error(error));
  }
  await producer.flush();
}

const first = startWorker();
const putting = putOrders(1, ORDER_COUNT);
await until(first, ORDER_COUNT / 4);
first.kill('SIGKILL');
await once(first, 'exit');
console.log(`killed a worker that had billed ${billed.orders} orders`);

const second = startWorker();
await putting;
await until(second, ORDER_COUNT);
second.send('stop');
const [code] = await once(second, 'exit');
await producer.close();
kinesisClient.destroy();
rmSync(folder, { recursive: true });

const { orders, distinct, amount, passedOver } = billed;
console.log(`billed ${orders} orders, ${distinct} of them different, ${amount} in all`);
console.log(`${passedOver} came again after the kill, and were in the database already`);
const isExact = orders === ORDER_COUNT && distinct === ORDER_COUNT && amount === (ORDER_COUNT / 10) * 45;
process.exitCode = isExact && code === 0 ? 0 : 1;

// `npm run bench:writes [-- --settle S] [-- --measure S]`: what three fleets of three workers ask of DynamoDB under the same load, 20
// shards of which half get a record a second: the real Java KCL 3.5.1 with its defaults and a checkpoint after each batch, and ours
// with the defaults, once with checkpoints made when the handler returns and once by hand after each batch. All of them at once, on
// one DynamoDB Local behind a proxy that counts. Prints writes and reads a lease-hour side by side, and a line of JSON.
import { parseArgs } from 'node:util';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer, type Handler } from '@shardline/consumer';
import { startLocalKinesis } from '@shardline/local';
import type { ChildProgram } from '../child-program.ts';
import { startDynamoDBLocal } from '../dynamodb-local/dynamodb-local.ts';
import { startJava } from '../java/java-process.ts';
import { type Count, CountingProxy } from './counting-proxy.ts';
import { printTable, summaryOf } from './summary.ts';

const SHARDS = 20;
const BUSY_SHARDS = 10;
const WORKERS = 3;
const PUT_EVERY_MS = 1_000;
const STREAM = 'counted';
const START_TIMEOUT_MS = 300_000;
/** The tables' names: each fleet is an application. */
const FLEETS = ['java-kcl', 'node-auto', 'node-manual'] as const;

const { values } = parseArgs({
  options: { settle: { type: 'string', default: '120' }, measure: { type: 'string', default: '120' } },
});
const [settleMs, measureMs] = [Number(values.settle) * 1_000, Number(values.measure) * 1_000];

const closing: (() => unknown)[] = [];
try {
  await main();
} finally {
  for (const close of closing.reverse()) await close();
}

async function main(): Promise<void> {
  const kinesis = await startLocalKinesis({ streams: [{ name: STREAM, shardCount: SHARDS }], limits: false });
  closing.push(() => kinesis.close());
  const dynamodb = await startDynamoDBLocal();
  closing.push(() => dynamodb.close());
  const proxy = await CountingProxy.start(dynamodb.endpoint);
  closing.push(() => proxy.close());

  const put = (): void => {
    const shards = kinesis.model.stream(STREAM, Date.now()).openShards.slice(0, BUSY_SHARDS);
    for (const { origin } of shards) {
      const record = { partitionKey: 'k', explicitHashKey: origin.range.start, data: Buffer.from('record') };
      kinesis.model.putRecord({ streamName: STREAM, record }, Date.now());
    }
  };
  const putting = setInterval(put, PUT_EVERY_MS);
  closing.push(() => clearInterval(putting));

  const endpoints = { kinesis: kinesis.endpoint, dynamodb: proxy.endpoint };
  await Promise.all([
    startJavaFleet(endpoints),
    startNodeFleet('node-auto', endpoints, 'auto', () => undefined),
    startNodeFleet('node-manual', endpoints, 'manual', (_, { checkpoint }) => checkpoint()),
  ]);
  console.error(`all fleets deliver; ${settleMs / 1_000} s to settle, ${measureMs / 1_000} s of counting`);
  await pause(settleMs);
  proxy.reset();
  const startedAt = performance.now();
  await pause(measureMs);
  const hours = (performance.now() - startedAt) / 3_600_000;
  const counts: readonly Count[] = proxy.counts();
  const busy = new Set(
    kinesis.model
      .stream(STREAM, Date.now())
      .openShards.slice(0, BUSY_SHARDS)
      .map(({ id }) => id),
  );
  const summaries = FLEETS.map((fleet) =>
    summaryOf(
      fleet,
      counts.filter(({ table }) => table === fleet),
      { hours, busy, leases: SHARDS },
    ),
  );
  printTable(summaries, { workers: WORKERS, shards: SHARDS, busy: BUSY_SHARDS });
  console.log(
    JSON.stringify({
      shards: SHARDS,
      busyShards: BUSY_SHARDS,
      workers: WORKERS,
      measuredHours: hours,
      fleets: summaries,
    }),
  );
}

interface Endpoints {
  readonly kinesis: string;
  readonly dynamodb: string;
}

/** The second and third begin when the first delivers: those that make a KCL's table together trip over each other. */
async function startJavaFleet({ kinesis, dynamodb }: Endpoints): Promise<void> {
  const shards = new Set<string>();
  let delivered = (): void => undefined;
  const start = async (workerId: string): Promise<ChildProgram> => {
    const environment = { STREAM, APPLICATION: 'java-kcl', WORKER_ID: workerId };
    const java = await startJava({
      program: 'kcl',
      mainClass: 'DefaultKclWorker',
      logName: workerId,
      environment: { ...environment, KINESIS_ENDPOINT: kinesis, DYNAMODB_ENDPOINT: dynamodb },
      onLine: (line) => {
        shards.add((line as { shard: string }).shard);
        if (shards.size === BUSY_SHARDS) delivered();
      },
    });
    closing.push(() => java.end());
    return java;
  };
  const all = new Promise<void>((resolve) => {
    delivered = resolve;
  });
  const first = await start('java-0');
  await Promise.race([all, first.untilBroken(), tooLate('the Java KCL delivers from every busy shard')]);
  for (let index = 1; index < WORKERS; index += 1) await start(`java-${index}`);
}

async function startNodeFleet(
  application: string,
  { kinesis, dynamodb }: Endpoints,
  checkpointing: 'auto' | 'manual',
  handler: Extract<Handler, (...given: never) => unknown>,
): Promise<void> {
  const base = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
  const kinesisClient = createKinesisClient({ ...base, endpoint: kinesis, maxAttempts: 1 });
  const dynamoDBClient = createDynamoDBClient({ ...base, endpoint: dynamodb });
  closing.push(() => {
    kinesisClient.destroy();
    dynamoDBClient.destroy();
  });
  const shards = new Set<string>();
  let delivered = (): void => undefined;
  const all = new Promise<void>((resolve) => {
    delivered = resolve;
  });
  for (let index = 0; index < WORKERS; index += 1) {
    const workerId = `${application}-${index}`;
    const options = { application, stream: STREAM, workerId, checkpointing, kinesisClient, dynamoDBClient };
    // The KCL's pause between reads, so that both make as many batches of the same records.
    const consumer = new Consumer({ ...options, idleTimeBetweenReadsMs: 1_500 });
    const running = consumer.run((batch, context) => {
      shards.add(batch.shardId);
      if (shards.size === BUSY_SHARDS) delivered();
      return handler(batch, context);
    });
    closing.push(async () => {
      await consumer.stop();
      await running;
    });
  }
  await Promise.race([all, tooLate(`${application} delivers from every busy shard`)]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function tooLate(what: string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`after ${START_TIMEOUT_MS} ms still not: ${what}`)), START_TIMEOUT_MS).unref();
  });
}

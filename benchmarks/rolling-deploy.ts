// `npm run bench:deploy [-- --steps N]`: how long a shard rests while workers are replaced one by one, a new one started before an
// old one is stopped, with the consumer's default times. Records come to every shard all the while, each with the time of its put
// in it. Prints the gap of each move (from the old worker's last batch to the new one's first) and, last, a line of JSON.
import { parseArgs } from 'node:util';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { type Batch, Consumer } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';

const STREAM = 'deployed';
const SHARDS = 8;
const WORKERS = 3;
const PUT_EVERY_MS = 20;
/** Long enough for the leader to give a new worker its share: two runs at least. */
const SETTLE_MS = 45_000;
const BETWEEN_STEPS_MS = 3_000;

interface Worker {
  readonly workerId: string;
  readonly consumer: Consumer;
  readonly running: Promise<void>;
}

const { values } = parseArgs({ options: { steps: { type: 'string', default: '12' } } });
const steps = Number(values.steps);

const local = await startLocalKinesis({ streams: [{ name: STREAM, shardCount: SHARDS }] });
const dynamodb = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(dynamodb.clientConfig);

const lastSeen = new Map<string, { readonly workerId: string; readonly atMs: number }>();
const latenciesMs: number[] = [];
let gapsMs: number[] = [];
let started = 0;
let firstRecordMs: number | undefined;

function handle(workerId: string, startedMs: number, { shardId, records }: Batch): void {
  const nowMs = performance.now();
  firstRecordMs ??= nowMs - startedMs;
  const last = lastSeen.get(shardId);
  if (last !== undefined && last.workerId !== workerId) gapsMs.push(nowMs - last.atMs);
  lastSeen.set(shardId, { workerId, atMs: nowMs });
  for (const { data } of records) latenciesMs.push(nowMs - Buffer.from(data).readDoubleBE());
}

function startWorker(): Worker {
  const workerId = `worker-${started++}`;
  const startedMs = performance.now();
  const options = { application: STREAM, stream: STREAM, kinesisClient, dynamoDBClient, idleTimeBetweenReadsMs: 200 };
  const consumer = new Consumer({ ...options, workerId });
  return { workerId, consumer, running: consumer.run((batch) => handle(workerId, startedMs, batch)) };
}

async function stopWorker({ consumer, running }: Worker): Promise<void> {
  await consumer.stop();
  await running;
}

function putEverywhere(): void {
  const data = Buffer.alloc(8);
  data.writeDoubleBE(performance.now());
  for (const { origin } of local.model.stream(STREAM, Date.now()).openShards) {
    const record = { partitionKey: 'k', explicitHashKey: origin.range.start, data };
    local.model.putRecord({ streamName: STREAM, record }, Date.now());
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

const putting = setInterval(putEverywhere, PUT_EVERY_MS);
let fleet = [startWorker()];
await pause(BETWEEN_STEPS_MS);
fleet = [...fleet, ...Array.from({ length: WORKERS - 1 }, startWorker)];
await pause(SETTLE_MS);
const balanceGapsMs = gapsMs;
gapsMs = [];
latenciesMs.length = 0;
for (let step = 0; step < steps; step++) {
  fleet = [...fleet, startWorker()];
  await pause(BETWEEN_STEPS_MS);
  const [oldest, ...others] = fleet as [Worker, ...Worker[]];
  fleet = others;
  await stopWorker(oldest);
  await pause(BETWEEN_STEPS_MS);
}
clearInterval(putting);
await Promise.all(fleet.map(stopWorker));
kinesisClient.destroy();
dynamoDBClient.destroy();
await local.close();
await dynamodb.close();

const summary = {
  firstRecordMs: Math.round(firstRecordMs ?? 0),
  handoffs: { count: balanceGapsMs.length, p50Ms: quantile(balanceGapsMs, 0.5), maxMs: quantile(balanceGapsMs, 1) },
  deploys: {
    count: gapsMs.length,
    p50Ms: quantile(gapsMs, 0.5),
    p99Ms: quantile(gapsMs, 0.99),
    maxMs: quantile(gapsMs, 1),
  },
  latency: { p50Ms: quantile(latenciesMs, 0.5), p99Ms: quantile(latenciesMs, 0.99), maxMs: quantile(latenciesMs, 1) },
};
console.log(`a new application, a new table: first record after ${summary.firstRecordMs} ms`);
console.log(`${SHARDS} shards spread over ${WORKERS} workers: ${summary.handoffs.count} handoffs, the shard rests`);
console.log(`  ${summary.handoffs.p50Ms} ms (p50), ${summary.handoffs.maxMs} ms (longest)`);
console.log(`${steps} workers replaced: ${summary.deploys.count} moves, the shard rests`);
console.log(
  `  ${summary.deploys.p50Ms} ms (p50), ${summary.deploys.p99Ms} ms (p99), ${summary.deploys.maxMs} ms (longest)`,
);
console.log(
  `from put to handler meanwhile, reads every 200 ms: ${summary.latency.p50Ms} ms (p50), ${summary.latency.p99Ms} ms (p99)`,
);
console.log(JSON.stringify(summary));

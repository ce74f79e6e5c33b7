// Shows who owns what in a fleet by its tables alone, as a command or a dashboard would: the reader is no worker, takes no lease and writes
// nothing. `npm run build`, then `node examples/dist/12-who-owns-what.js`.
// It starts a Kinesis, a DynamoDB and two workers on this machine, so that there is a fleet; on AWS `new FleetReader({ application })` is enough.
import { setTimeout as sleep } from 'node:timers/promises';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer, FleetReader, type FleetView } from '@shardline/consumer';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';

/** If the fleet does not come to this, this example fails rather than waits. */
const TIMEOUT_MS = 30_000;

await using localKinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 4 }] });
await using localDynamoDB = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...localKinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(localDynamoDB.clientConfig);

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
  });
  return { consumer, ended: consumer.run(() => {}) };
}

const workers = [startWorker('blue'), startWorker('green')];
await using fleet = new FleetReader({ application: 'billing', dynamoDBClient });

/** Kept and asked again: only so it knows who stands still. */
async function until(what: string, isSo: (view: FleetView) => boolean): Promise<FleetView> {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    // The workers are still making the table at first.
    const view = await fleet.read().catch(() => undefined);
    if (view !== undefined && isSo(view)) return view;
    await sleep(50);
  }
  throw new Error(`${what}: not within ${TIMEOUT_MS / 1_000} s`);
}

function show({ leader, leases, workers: rows }: FleetView): void {
  console.log(`${leader?.workerId ?? 'nobody'} leads`);
  for (const { leaseKey, owner, handingOffTo, checkpoint } of leases) {
    const next = handingOffTo === undefined ? '' : `, soon ${handingOffTo}`;
    console.log(`  ${leaseKey}: ${owner ?? 'nobody'}${next}; behind ${checkpoint}`);
  }
  for (const { workerId, leaseCount, host, declines } of rows)
    console.log(`  ${workerId} on ${host}: ${leaseCount} leases${declines === undefined ? '' : ', wants no more'}`);
}

show(
  await until('each worker has half', ({ leases, workers: rows }) => {
    const isWhole = leases.length === 4 && leases.every(({ handingOffTo }) => handingOffTo === undefined);
    return isWhole && rows.length === 2 && rows.every(({ leaseCount }) => leaseCount === 2);
  }),
);
const [blue, green] = workers as [(typeof workers)[0], (typeof workers)[0]];
await blue.consumer.stop();
await blue.ended;
console.log('blue has stopped');
show(
  await until('green has all', ({ leases }) => leases.length === 4 && leases.every(({ owner }) => owner === 'green')),
);
await green.consumer.stop();
await green.ended;

kinesisClient.destroy();
dynamoDBClient.destroy();

// One worker of the consumer, in a process of its own: what an application would run on each of its machines. Its handler
// tells the main process which lines it handled, and returns when that has been counted.
// Invariant: the handler never returns before its report was answered. The consumer checkpoints only what a handler has
// returned from, so a SIGKILL at any moment leaves no line both checkpointed and unreported; at worst one is handled again.

import { createDynamoDBClient, createKinesisClient, OperatingError, onDiagnostic } from '@shardline/common';
import { type Batch, Consumer } from '@shardline/consumer';
import { reach } from './endpoint.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts';
import { decodeLine } from './numbered-line.ts';

const ANSWER_TIMEOUT_MS = 10_000;

// The main process is gone, whatever happened to it: nobody counts any more.
const leave = (): void => process.exit();
process.on('disconnect', leave);
// Ctrl-C goes to every process of a terminal; only the main process decides what it means.
process.on('SIGINT', () => undefined);

const { workerId, application, stream, endpoints } = JSON.parse(process.argv[2] ?? '{}') as WorkerSettings;
const waiting = new Map<number, () => void>();
let reportCount = 0;

onDiagnostic('shardline:consumer:lease-begun', ({ leaseKey }) => tellLease(leaseKey, 'begun'));
onDiagnostic('shardline:consumer:lease-lost', ({ leaseKey }) => tellLease(leaseKey, 'given up'));
onDiagnostic('shardline:consumer:lease-handed-off', ({ leaseKey }) => tellLease(leaseKey, 'given up'));
onDiagnostic('shardline:consumer:shard-ended', ({ leaseKey }) => tellLease(leaseKey, 'shard ended'));

const kinesisClient = createKinesisClient(reach(endpoints.kinesis));
const dynamoDBClient = createDynamoDBClient(reach(endpoints.dynamodb));
const consumer = new Consumer({
  application,
  stream,
  workerId,
  kinesisClient,
  dynamoDBClient,
  // Short, so that one sees it: after 2 s of silence a worker counts as dead (default 10 s), and every second the leader looks
  // for leases without an owner (default 5 s).
  failoverTimeMs: 2_000,
  leaseAssignmentIntervalMs: 1_000,
  leaderLeaseDurationMs: 2_000,
  // On a machine with too much to do, a slow answer is better than none (default: half of failoverTimeMs, and that is the most).
  dynamoDBRequestTimeoutMs: 2_000,
  workerMetricsReportIntervalMs: 500,
  // A child shard begins when its parent is finished.
  parentShardPollIntervalMs: 250,
  // What was handled since the last checkpoint is handled again after a crash: the shorter, the fewer duplicates.
  checkpointIntervalMs: 1_000,
  // A checkpoint follows a finished batch, so small batches keep a crash cheap as well.
  maxRecordsPerRead: 200,
  // As often as Kinesis allows for one shard, five times a second.
  idleTimeBetweenReadsMs: 200,
});

process.on('message', (message: ToWorker) => {
  if (message.kind === 'counted') waiting.get(message.reportId)?.();
  else consumer.stop();
});

try {
  await tell({ kind: 'running' });
  await consumer.run(handle);
} catch (error) {
  process.exitCode = 1;
  await tell({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
}
kinesisClient.destroy();
dynamoDBClient.destroy();
// From here on the process ends by itself: a consumer that has stopped leaves no timer and no socket.
process.off('disconnect', leave);
process.disconnect();

async function handle({ shardId, records, millisBehindLatest }: Batch): Promise<void> {
  const lines = records.map(({ data }) => decodeLine(data)).filter((line) => line !== undefined);
  await report({
    shardId,
    lineNumbers: lines.map(({ lineNumber }) => lineNumber),
    checksums: lines.map(({ checksum }) => checksum),
    strayCount: records.length - lines.length,
    behindMs: millisBehindLatest,
  });
}

/** Resolves when the main process has counted the lines. */
function report(handled: Omit<FromWorker & { kind: 'handled' }, 'kind' | 'reportId'>): Promise<void> {
  const reportId = ++reportCount;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(reportId);
      const message = `the main process did not answer report ${reportId} within ${ANSWER_TIMEOUT_MS / 1_000} s`;
      reject(new OperatingError('TIMEOUT', message, { retryable: true }));
    }, ANSWER_TIMEOUT_MS);
    waiting.set(reportId, () => {
      clearTimeout(timer);
      waiting.delete(reportId);
      resolve();
    });
    tell({ kind: 'handled', reportId, ...handled }).catch(reject);
  });
}

function tellLease(shardId: string, change: 'begun' | 'given up' | 'shard ended'): void {
  // When it can't be told, the main process is gone, and this one is about to go.
  tell({ kind: 'lease', shardId, change }).catch(() => undefined);
}

function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });
}

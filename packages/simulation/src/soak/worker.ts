// One worker of the soak, in a process of its own, to be killed. What its handler has finished it tells the main process before it returns,
// and what a tumbling window came to, which it knows by the window's state alone.
// Invariant: a checkpoint never covers what was not told: only what a handler returned from is checkpointed, and it returns when the
// system has taken the message, which outlives a SIGKILL.
import { setImmediate as turn } from 'node:timers/promises';
import { createDynamoDBClient, createKinesisClient, delay, onDiagnostic, systemClock } from '@shardline/common';
import { type BatchWindow, Consumer, type ShardContext, type ShardHandler } from '@shardline/consumer';
import { createPrng } from '../prng.ts';
import { numberOf } from '../producer/checkers.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts';

const settings = JSON.parse(process.argv[2] ?? '{}') as WorkerSettings;
const { mode, application, stream, workerId, requestTimeoutMs, sampleEveryMs, windowLengthMs } = settings;
const prng = createPrng(settings.seed);

// The main process is gone: nobody counts any more.
const leave = (): void => process.exit();
process.on('disconnect', leave);
// Ctrl-C goes to every process of a terminal; only the main process decides what it means.
process.on('SIGINT', () => undefined);

const kinesisClient = createKinesisClient({ ...settings.kinesis, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(settings.dynamoDB);
const consumer = new Consumer({
  application,
  stream,
  ...(workerId === undefined ? {} : { workerId }),
  kinesisClient,
  dynamoDBClient,
  retrievalMode: mode,
  // Everything as on AWS, only sooner.
  failoverTimeMs: 3_000,
  leaseAssignmentIntervalMs: 1_000,
  leaderLeaseDurationMs: 4_000,
  workerMetricsReportIntervalMs: 1_000,
  shardSyncIntervalMs: 2_000,
  parentShardPollIntervalMs: 200,
  checkpointIntervalMs: 500,
  idleTimeBetweenReadsMs: 250,
  maxRecordsPerRead: 200,
  kinesisRequestTimeoutMs: requestTimeoutMs,
  dynamoDBRequestTimeoutMs: 2_500,
  handlerBackoffBaseMs: 20,
  handlerBackoffMaxMs: 200,
  completedLeaseCleanupIntervalMs: 20_000,
  shutdownGraceMs: 10_000,
  ...(mode === 'fanout' && { subscriptionTimeoutMs: 6_000 }),
});

process.on('message', (message: ToWorker) => {
  if (message === 'stop') consumer.stop();
});

/** Of a call in a hundred; the batch comes again. */
const THROWS = 0.01;
const LONGEST_CALL_MS = 30;
/** With the planted bug. */
const SKIPPED_OF = 50;

const handler: ShardHandler = {
  async initialize({ sequenceNumber, subSequenceNumber }, context) {
    const isPlace = /^\d+$/.test(sequenceNumber);
    await tell({
      kind: 'begun',
      ...nameOf(context),
      beginning: isPlace ? { sequenceNumber, subSequenceNumber } : 'TRIM_HORIZON',
    });
  },
  async processRecords({ records, window }, context) {
    const fromMs = nowMs();
    // So that a SIGKILL falls into the midst of a call as well.
    if (prng.chance(0.5)) await delay(systemClock, prng.int(LONGEST_CALL_MS));
    else await turn();
    if (prng.chance(THROWS)) throw new Error('the handler throws, as any may');
    const finished = records
      .map(({ sequenceNumber, subSequenceNumber, data }) => ({
        sequenceNumber,
        subSequenceNumber,
        number: numberOf(data),
      }))
      .filter(({ number }) => !settings.skipsRecords || number % SKIPPED_OF !== SKIPPED_OF - 1);
    const windowStart = window?.start.getTime();
    await tell({ kind: 'finished', ...nameOf(context), fromMs, toMs: nowMs(), records: finished, windowStart });
    return window && (await counted(window, finished, context));
  },
  async shardEnded(context) {
    await tell({ kind: 'ended', ...nameOf(context), atMs: nowMs() });
  },
};

// Not by the handler's leaseLost: that comes after shutdownRequested too, whether the lease was then handed over or ran out meanwhile.
const tokens = new Map<string, number>();
onDiagnostic('shardline:consumer:lease-begun', ({ leaseKey, fencingToken }) => void tokens.set(leaseKey, fencingToken));
onDiagnostic('shardline:consumer:lease-lost', ({ leaseKey }) => {
  const fencingToken = tokens.get(leaseKey);
  if (fencingToken === undefined) return;
  tell({ kind: 'lost', shardId: leaseKey, fencingToken }).catch(() => undefined);
});

/** What a window's state holds: of its records so far. */
interface Counted {
  readonly count: number;
  readonly sum: number;
}

/** The state for the window's next call; of the last one what the window came to is told instead. */
async function counted(
  { start, state, isFinal }: BatchWindow,
  records: readonly { readonly number: number }[],
  context: ShardContext,
): Promise<{ readonly state: Counted }> {
  let { count = 0, sum = 0 } = state as Partial<Counted>;
  count += records.length;
  for (const { number } of records) sum += number;
  if (isFinal)
    await tell({ kind: 'windowEnded', ...nameOf(context), start: start.getTime(), count, sum, atMs: nowMs() });
  return { state: { count, sum } };
}

const sampling = sampleEveryMs === undefined ? undefined : setInterval(sample, sampleEveryMs);
try {
  await consumer.run(handler, windowLengthMs === undefined ? {} : { tumblingWindow: { lengthMs: windowLengthMs } });
} catch (error) {
  process.exitCode = 1;
  await tell({ kind: 'failed', reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
}
clearInterval(sampling);
kinesisClient.destroy();
dynamoDBClient.destroy();
// From here on the process ends by itself: a consumer that has stopped leaves no timer and no socket.
process.off('disconnect', leave);
process.disconnect();

function sample(): void {
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const open = process.getActiveResourcesInfo();
  tell({
    kind: 'sample',
    sample: {
      atMs: nowMs(),
      heapMB: heapUsed / 1e6,
      externalMB: external / 1e6,
      residentMB: rss / 1e6,
      handles: open.length,
      sockets: open.filter((kind) => kind.startsWith('TCPSocket') || kind.startsWith('HTTP2')).length,
    },
  }).catch(() => undefined);
}

function nameOf({ shardId, fencingToken }: ShardContext): { shardId: string; fencingToken: number } {
  return { shardId, fencingToken };
}

/** By the machine's monotonic clock, which all its processes share. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Resolves when the system has the message. */
function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });
}

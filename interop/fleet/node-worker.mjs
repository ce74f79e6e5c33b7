// @ts-check
// One worker of ours on local endpoints, set up by its environment: what KclWorker.java is to the KCL, with the same words on its
// standard output. It runs the built package, as users have it. A line of JSON on stdin is an operator's word. SIGTERM is a graceful
// shutdown; the end of stdin is an end at once, so that no worker outlives the test that started it.
import { createInterface } from 'node:readline';
import { createDynamoDBClient, createKinesisClient, onDiagnostic } from '@shardline/common';
import { Consumer } from '@shardline/consumer';

const { env } = process;
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
const client = { region: 'us-east-1', credentials };
const kinesisClient = createKinesisClient({ ...client, endpoint: env.KINESIS_ENDPOINT ?? '', maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient({ ...client, endpoint: env.DYNAMODB_ENDPOINT ?? '' });

const consumer = new Consumer({
  application: env.APPLICATION ?? '',
  stream: env.STREAM ?? '',
  workerId: env.WORKER_ID ?? '',
  kinesisClient,
  dynamoDBClient,
  logger: logger(),
  failoverTimeMs: Number(env.FAILOVER_MS),
  leaseAssignmentIntervalMs: Number(env.ASSIGNMENT_INTERVAL_MS),
  leaderLeaseDurationMs: Number(env.LEADER_LEASE_MS),
  workerMetricsReportIntervalMs: Number(env.METRICS_REPORT_INTERVAL_MS),
  retrievalMode: env.MODE === 'FANOUT' ? 'fanout' : 'polling',
  ...(env.FLIP_MS !== undefined && { flipTo3xStabilizerTimeMs: Number(env.FLIP_MS) }),
  // As the Java worker has it.
  disableWorkerMetrics: true,
  checkpointIntervalMs: 1_000,
  shardSyncIntervalMs: 5_000,
  parentShardPollIntervalMs: 500,
  idleTimeBetweenReadsMs: 200,
  shutdownGraceMs: 20_000,
});

createInterface(process.stdin).on('line', (line) => {
  obey(JSON.parse(line)).catch((/** @type {unknown} */ error) => say('error', { what: `${line}: ${error}` }));
});
process.stdin.on('end', () => process.exit(0));
process.on('SIGTERM', () => void consumer.stop());
onDiagnostic('shardline:consumer:checkpoint', ({ leaseKey: shard, checkpoint, outcome }) => {
  const [sequence, sub = 0] = checkpoint.split(':');
  if (outcome === 'written') say('checkpoint', { shard, sequence, sub: Number(sub) });
});

say('start', { worker: consumer.workerId });
await consumer.run({
  initialize: ({ sequenceNumber: from, subSequenceNumber: fromSub }, { shardId: shard }) =>
    say('init', { shard, from, fromSub }),
  processRecords: ({ shardId: shard, records }) => {
    for (const { sequenceNumber: sequence, subSequenceNumber: sub, aggregated, partitionKey: key, data } of records) {
      say('record', { shard, sequence, sub, aggregated, key, data: Buffer.from(data).toString() });
    }
  },
  shardEnded: ({ shardId: shard }) => say('shardEnded', { shard }),
  shutdownRequested: ({ shardId: shard }) => say('shutdownRequested', { shard }),
  leaseLost: ({ shardId: shard }) => say('leaseLost', { shard }),
});
say('stopped', { graceful: true });
process.exit(0);

/** @param {import('./node-worker.ts').OperatorWord} word */
async function obey(word) {
  if (word.kind === 'accept') consumer.accept();
  else say('handedOff', { shards: await consumer.handOff(word.leaseKeys && { leaseKeys: word.leaseKeys }) });
}

/**
 * One line: the time, the event, and what belongs to it. A pipe is written to before this returns, so what was said of a record
 * outlives a SIGKILL.
 * @param {string} event
 * @param {object} what
 */
function say(event, what) {
  process.stdout.write(`${JSON.stringify({ at: Date.now(), event, ...what })}\n`);
}

/** To stderr, in the form of the Java worker's log. */
function logger() {
  /** @param {string} level */
  const at = (level) => (/** @type {Record<string, unknown>} */ fields, /** @type {string} */ text) => {
    const { err, ...rest } = fields;
    // Nothing else tells of it.
    if (text.startsWith('a shard that was handed off has come back')) say('handedBack', { shard: fields.leaseKey });
    const cause = err === undefined ? '' : ` ${err instanceof Error ? err.stack : err}`;
    process.stderr.write(
      `${new Date().toISOString().slice(11, 23)} ${level} ${text} ${JSON.stringify(rest)}${cause}\n`,
    );
  };
  const own = {
    trace() {},
    debug() {},
    info: at('INFO'),
    warn: at('WARN'),
    error: at('ERROR'),
    child: () => own,
  };
  return own;
}

// Our producer as a contender, in a process of its own: the built package, as users have it. Settings come in the environment, the
// outcome goes out as the last line of standard output.
import { createKinesisClient } from '@shardline/common';
import { type OnSettled, Producer } from '@shardline/producer';
import type { Face, Outcome, Settings } from './settings.ts';

const SAMPLED_EVERY = 64;
const FAR_BEYOND_LIMITS_PERCENT = 100_000;
const TTL_MS = 300_000;

const settings = JSON.parse(process.env['SETTINGS'] ?? '{}') as Settings;
const face = process.env['FACE'] as Face;
const { records, warmUpRecords, keys, outstanding } = settings;

const client = createKinesisClient({
  region: 'us-east-1',
  endpoint: `https://localhost:${settings.port}`,
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  maxAttempts: 1,
});
const producer = new Producer({
  stream: 'race',
  client,
  recordMaxBufferedTimeMs: settings.bufferedMs,
  recordTtlMs: TTL_MS,
  rateLimitPercent: FAR_BEYOND_LIMITS_PERCENT,
  // From half of its bounds on `ready` waits.
  maxOutstandingRecordCount: 2 * outstanding,
  maxOutstandingBytes: Math.max(2 * outstanding * (settings.size + 32), 2 ** 27),
});
const data = Buffer.alloc(settings.size, 'shardline');
const latencyMs: number[] = [];
let failed = 0;

const onSettled: OnSettled = (error) => {
  if (error !== undefined) failed += 1;
};
const onSuccess = (): void => undefined;
const onFailure = (): void => {
  failed += 1;
};
/** The same for a sampled record. */
const watched = (): OnSettled => {
  const putAtMs = performance.now();
  return (error) => {
    latencyMs.push(performance.now() - putAtMs);
    onSettled(error, undefined);
  };
};

process.stdin.resume().on('end', () => process.exit(0));
// What it takes to find the stream, and to compile the way of a record, is no part of the race; nor is it of the KPL's.
await Promise.all([producer.put({ partitionKey: 'warm', data }), producer.flush()]);
await Promise.all([producer.put({ partitionKey: 'warm', data }), producer.flush()]);
await putAll(warmUpRecords);
await producer.flush();
latencyMs.length = 0;

const usedBefore = process.cpuUsage();
const startedAtMs = performance.now();
await putAll(records);
await producer.flush();
const seconds = (performance.now() - startedAtMs) / 1_000;
const { user, system } = process.cpuUsage(usedBefore);

const loneLatencyMs: number[] = [];
for (let count = 0; count < settings.loneRecords; count += 1) {
  const putAtMs = performance.now();
  await producer.put({ partitionKey: `lone-${count}`, data });
  loneLatencyMs.push(performance.now() - putAtMs);
}
await producer.close();
client.destroy();

const outcome: Outcome = {
  failed,
  seconds,
  cpuSeconds: (user + system) / 1e6,
  childCpuSeconds: 0,
  residentBytes: process.resourceUsage().maxRSS * 1024,
  latencyMs,
  loneLatencyMs,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);

async function putAll(count: number): Promise<void> {
  if (face === 'callback') await putAllByCallback(count);
  else await putAllByPromise(count);
}

async function putAllByCallback(records: number): Promise<void> {
  for (let count = 0; count < records; count += 1) {
    if (producer.outstandingRecordCount >= outstanding) await producer.ready;
    const partitionKey = `key-${keys === 0 ? count : count % keys}`;
    producer.put({ partitionKey, data }, count % SAMPLED_EVERY === 0 ? watched() : onSettled);
  }
}

async function putAllByPromise(records: number): Promise<void> {
  for (let count = 0; count < records; count += 1) {
    if (producer.outstandingRecordCount >= outstanding) await producer.ready;
    const partitionKey = `key-${keys === 0 ? count : count % keys}`;
    const put = producer.put({ partitionKey, data });
    if (count % SAMPLED_EVERY === 0) {
      const told = watched();
      put.then(
        () => told(undefined, undefined),
        (error) => told(error, undefined),
      );
    } else put.then(onSuccess, onFailure);
  }
}

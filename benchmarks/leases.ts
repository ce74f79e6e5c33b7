// `npm run bench:leases [-- --leases N --seconds S --idle-ms MS --dynamodb aws|dynalite]`: what leases cost one process. A consumer with
// 1,000 leases reads the local Kinesis and keeps its leases in AWS's DynamoDB Local where there are Java and Maven, else in dynalite, all
// in processes of their own. Prints how long it takes until every shard's first record was handled, and at rest the processor time, the heap
// of a lease and the event loop's delay; beside it the pure core alone. The reads of idle shards are most of it, so it is measured
// with the default pause between them, and with a long one, which leaves the coordination; that once more with renewals one a call, as
// without the permission for more. Beside that, what bare `node:http` takes for as many writes to the same table's server
// (http-floor.ts), and what the Java KCL's rules would write. Each is measured once its code is warm, as that of a process that
// runs for days is. Last a line of JSON. Needs `node --expose-gc`.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { type Floor, measureFloor } from './http-floor.ts';

/** How leases are renewed: up to 25 a call where the DynamoDB does that, or always one a call. */
type Renewing = 'together' | 'one a call';

interface Cost {
  readonly idleTimeBetweenReadsMs: number;
  /** As it was seen to be done. */
  readonly renewing: Renewing;
  /** From `run` to the first record of the last shard. */
  readonly allDeliveredMs: number;
  /** Of one core, at rest. */
  readonly cpuPercent: number;
  readonly heapBytesPerLease: number;
  readonly eventLoopDelayP99Ms: number;
  /** At rest, by the command's name. */
  readonly callsPerSecond: Readonly<Record<string, number>>;
  /** All of the processor time, over all calls. */
  readonly cpuMicrosPerCall: number;
  /** Rows written, at rest. */
  readonly writesPerSecond: number;
  /** With rare reads: all of the processor time, over all writes, which are nearly all renewals. */
  readonly cpuMicrosPerWrite: number | undefined;
  /** With rare reads: as many writes, one a call. */
  readonly floor: Floor | undefined;
  /** A write's, of the floor's processor time a call. */
  readonly timesFloor: number | undefined;
}

const LOCAL = fileURLToPath(new URL('../../packages/local/bin/shardline-local.js', import.meta.url));
const DYNAMODB_LOCAL = fileURLToPath(new URL('../../interop/dist/dynamodb-local/main.js', import.meta.url));
const CORE = fileURLToPath(new URL('../../packages/simulation/dist/scale/core-cost.js', import.meta.url));
const STREAM = 'leases';
/** Reads so rare that what is left is the coordination. */
const RARE_READS_MS = 120_000;
const START_TIMEOUT_MS = 300_000;
/** Thousands of calls: Node runs in half the time what it has run often. */
const SETTLE_MS = 30_000;
/** Leases are renewed in bunches, 32 times in a third of failoverTimeMs. */
const BUNCHES_PER_SECOND = 9.6;
/** Among the counts of calls. */
const WRITES = 'rows written';
/** Of PutRecords. */
const RECORDS_A_PUT = 500;
const WARM_UP_LEASES = 1;
/** Our default, and the KCL's; it renews a lease every third of that, less 25 ms (its epsilonMillis). */
const FAILOVER_TIME_MS = 10_000;
const KCL_EPSILON_MS = 25;

const { values } = parseArgs({
  options: {
    leases: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '30' },
    'idle-ms': { type: 'string', default: '1000' },
    dynamodb: {
      type: 'string',
      default: isThere('java', '-version') && isThere('mvn', '--version') ? 'aws' : 'dynalite',
    },
  },
});
const leases = Number(values.leases);
const seconds = Number(values.seconds);

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function isThere(program: string, ask: string): boolean {
  return spawnSync(program, [ask], { stdio: 'ignore' }).status === 0;
}

/** A program that says on its first line where it listens. */
async function startServer(args: readonly string[]): Promise<{ server: ChildProcess; said: Record<string, unknown> }> {
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: server.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  return { server, said: JSON.parse(line) as Record<string, unknown> };
}

async function startServers(shardCount: number): Promise<{ servers: ChildProcess[]; clientConfigs: ClientConfigs }> {
  const stream = ['--limits', 'off', '--stream', `${STREAM}:${shardCount}`];
  const { server, said } = await startServer([LOCAL, '--port', '0', '--dynamodb-port', '0', ...stream]);
  const servers = [server];
  let dynamodbEndpoint = `http://127.0.0.1:${said['dynamodbPort']}`;
  if (values.dynamodb === 'aws') {
    const aws = await startServer([DYNAMODB_LOCAL]);
    servers.push(aws.server);
    dynamodbEndpoint = String(aws.said['endpoint']);
  }
  const common = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
  const clientConfigs = {
    kinesis: { ...common, endpoint: `http://127.0.0.1:${said['port']}` },
    dynamodb: { ...common, endpoint: dynamodbEndpoint },
  };
  return { servers, clientConfigs };
}

interface ClientConfig {
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly endpoint: string;
}
interface ClientConfigs {
  readonly kinesis: ClientConfig;
  readonly dynamodb: ClientConfig;
}

/** Counts what the client is asked to send, by the command's name, and the rows that it writes. */
function countCalls(client: { send: unknown }, counts: Map<string, number>): void {
  type Command = { readonly input: { readonly Statements?: readonly object[] } };
  const send = (client.send as (command: Command, ...others: unknown[]) => unknown).bind(client);
  const count = (name: string, more: number): unknown => counts.set(name, (counts.get(name) ?? 0) + more);
  client.send = (command: Command, ...others: unknown[]) => {
    const { name } = command.constructor;
    count(name, 1);
    if (/^(UpdateItem|PutItem|DeleteItem|BatchExecuteStatement)/.test(name))
      count(WRITES, command.input.Statements?.length ?? 1);
    return send(command, ...others);
  };
}

/** As a role may be that allows no calls for many. */
function refuseCallsForMany(client: { send: unknown }): void {
  const send = (client.send as (command: object, ...others: unknown[]) => unknown).bind(client);
  client.send = (command: object, ...others: unknown[]) =>
    command.constructor.name === 'BatchExecuteStatementCommand'
      ? Promise.reject(Object.assign(new Error('not allowed here'), { name: 'AccessDeniedException' }))
      : send(command, ...others);
}

/** One record into the middle of each shard's range. */
async function putEverywhere({ endpoint }: ClientConfig, shardCount: number): Promise<void> {
  const width = 2n ** 128n / BigInt(shardCount);
  const records = Array.from({ length: shardCount }, (_, index) => ({
    PartitionKey: 'k',
    ExplicitHashKey: String(BigInt(index) * width + width / 2n),
    Data: 'eA==',
  }));
  for (let from = 0; from < shardCount; from += RECORDS_A_PUT) {
    const body = JSON.stringify({ StreamName: STREAM, Records: records.slice(from, from + RECORDS_A_PUT) });
    const headers = {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'Kinesis_20131202.PutRecords',
      'x-amz-date': '20260101T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0',
    };
    const answer = await fetch(endpoint, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`PutRecords: ${await answer.text()}`);
  }
}

async function measure(
  shardCount: number,
  idleTimeBetweenReadsMs: number,
  seconds: number,
  renewing: Renewing,
  settleMs = SETTLE_MS,
): Promise<Cost> {
  const { servers, clientConfigs } = await startServers(shardCount);
  try {
    await putEverywhere(clientConfigs.kinesis, shardCount);
    const kinesisClient = createKinesisClient({ ...clientConfigs.kinesis, maxAttempts: 1 });
    const dynamoDBClient = createDynamoDBClient(clientConfigs.dynamodb);
    if (renewing === 'one a call') refuseCallsForMany(dynamoDBClient);
    const counts = new Map<string, number>();
    countCalls(kinesisClient, counts);
    countCalls(dynamoDBClient, counts);
    const before = heapBytes();
    const delivered = new Set<string>();
    let allDelivered = (): void => undefined;
    const all = new Promise<void>((resolve) => {
      allDelivered = resolve;
    });
    const consumer = new Consumer({
      application: STREAM,
      stream: STREAM,
      kinesisClient,
      dynamoDBClient,
      idleTimeBetweenReadsMs,
    });
    const startedMs = performance.now();
    const running = consumer.run(({ shardId }) => {
      if (delivered.add(shardId).size === shardCount) allDelivered();
    });
    const inTime = sleep(START_TIMEOUT_MS, 'late', { ref: false });
    if ((await Promise.race([all, running, inTime])) === 'late')
      throw new Error(`after ${START_TIMEOUT_MS} ms ${delivered.size} of ${shardCount} shards had been handled`);
    const allDeliveredMs = Math.round(performance.now() - startedMs);
    await sleep(settleMs);
    const heapBytesPerLease = Math.round((heapBytes() - before) / shardCount);
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    counts.clear();
    const cpuBefore = process.cpuUsage();
    const fromMs = performance.now();
    await sleep(seconds * 1_000);
    const { user, system } = process.cpuUsage(cpuBefore);
    const elapsedMs = performance.now() - fromMs;
    const cpuPercent = Math.round((user + system) / elapsedMs) / 10;
    const writeCount = counts.get(WRITES) ?? 0;
    counts.delete(WRITES);
    const callCount = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const cpuMicrosPerCall = Math.round((user + system) / callCount);
    const callsPerSecond = Object.fromEntries(
      [...counts].map(([name, count]) => [name.replace(/Command$/, ''), Math.round((10_000 * count) / elapsedMs) / 10]),
    );
    delay.disable();
    const eventLoopDelayP99Ms = Math.round(delay.percentile(99) / 1e5) / 10;
    const held = consumer.view().shards.length;
    await consumer.stop();
    await running;
    kinesisClient.destroy();
    dynamoDBClient.destroy();
    if (held !== shardCount) throw new Error(`the consumer held ${held} of ${shardCount} leases`);
    const perSecond = (1_000 * writeCount) / elapsedMs;
    const isAtRest = idleTimeBetweenReadsMs >= RARE_READS_MS;
    const cpuMicrosPerWrite = isAtRest ? Math.round((user + system) / writeCount) : undefined;
    const floor =
      cpuMicrosPerWrite === undefined
        ? undefined
        : await measureFloor({
            endpoint: clientConfigs.dynamodb.endpoint,
            tableName: STREAM,
            callsPerSecond: perSecond,
            bunchCount: Math.round(perSecond / BUNCHES_PER_SECOND),
            warmUpMs: settleMs,
            measureMs: seconds * 1_000,
          });
    return {
      idleTimeBetweenReadsMs,
      renewing: counts.has('BatchExecuteStatementCommand') && renewing === 'together' ? 'together' : 'one a call',
      allDeliveredMs,
      cpuPercent,
      heapBytesPerLease,
      eventLoopDelayP99Ms,
      callsPerSecond,
      cpuMicrosPerCall,
      writesPerSecond: Math.round(10 * perSecond) / 10,
      cpuMicrosPerWrite,
      floor,
      timesFloor: floor && Math.round((100 * Number(cpuMicrosPerWrite)) / floor.cpuMicrosPerCall) / 100,
    };
  } finally {
    for (const server of servers) {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
  }
}

// Loads the code and fills its caches, which are no lease's.
await measure(WARM_UP_LEASES, 1_000, 1, 'together', 0);
const costs: Cost[] = [
  await measure(leases, Number(values['idle-ms']), seconds, 'together'),
  await measure(leases, RARE_READS_MS, seconds, 'together'),
  ...(values.dynamodb === 'aws' ? [await measure(leases, RARE_READS_MS, seconds, 'one a call')] : []),
];
const core = spawnSync(process.execPath, ['--expose-gc', CORE, '--leases', String(leases)], { encoding: 'utf8' });
const { heapBytesPerLease, corePercent } = JSON.parse(core.stdout) as {
  heapBytesPerLease: number;
  corePercent: number;
};
const server = values.dynamodb === 'aws' ? "AWS's DynamoDB Local" : 'dynalite';
console.log(`one process with ${leases} leases, at rest for ${seconds} s, the lease table in ${server}:`);
for (const cost of costs) {
  console.log(`  reads of each shard every ${cost.idleTimeBetweenReadsMs} ms, renewals ${cost.renewing}:`);
  console.log(`    first record of every shard handled after  ${cost.allDeliveredMs} ms`);
  console.log(`    processor                                  ${cost.cpuPercent} % of a core`);
  console.log(`    heap, whole                                ${cost.heapBytesPerLease} B a lease`);
  console.log(`    event loop delay, p99                      ${cost.eventLoopDelayP99Ms} ms`);
  const calls = Object.entries(cost.callsPerSecond).filter(([, count]) => count > 0);
  console.log(`    calls a second                             ${calls.map(([name, n]) => `${name} ${n}`).join(', ')}`);
  console.log(`    processor time, over all calls             ${cost.cpuMicrosPerCall} µs a call`);
  if (cost.floor === undefined) continue;
  console.log(
    `    and over all rows written                  ${cost.cpuMicrosPerWrite} µs a row, ${cost.writesPerSecond} a second`,
  );
  const { callsPerSecond, bunchCount, cpuPercent, cpuMicrosPerCall } = cost.floor;
  console.log(
    `    bare node:http, one a call, ${callsPerSecond} a second, ${bunchCount} at a time: ` +
      `${cpuPercent} % of a core, ${cpuMicrosPerCall} µs a call; ours takes ${cost.timesFloor} times that for a row`,
  );
}
console.log(`  the pure core alone: ${corePercent} % of a core, ${heapBytesPerLease} B a lease`);
const kclWritesPerSecond = Math.round((10_000 * leases) / (FAILOVER_TIME_MS / 3 - KCL_EPSILON_MS)) / 10;
console.log(
  `  the Java KCL's rules write ${kclWritesPerSecond} times a second for these leases, and again for each checkpoint`,
);
console.log(
  JSON.stringify({
    leases,
    seconds,
    dynamodb: values.dynamodb,
    costs,
    core: { corePercent, heapBytesPerLease },
    kclWritesPerSecond,
  }),
);

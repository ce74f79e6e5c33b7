// `npm run bench:leases [-- --leases N --seconds S --idle-ms MS --dynamodb aws|dynalite]`: what leases cost one process. A consumer with
// 1,000 leases reads the local Kinesis and keeps its leases in AWS's DynamoDB Local where there are Java and Maven, else in dynalite, all
// in processes of their own. Prints how long it takes until every shard's first record was handled, and at rest the processor time, the heap
// and the event loop's delay; beside it what one lease more takes of the heap (leases-heap.ts), and the pure core alone. The reads of idle
// shards are most of it, so it is measured with the default pause between them, and with a long one, which leaves the coordination; that
// once more with renewals one a call, as without the permission for more. Beside that, what bare `node:http` takes for as many writes to
// the same table's server (http-floor.ts), and what the Java KCL's rules would write. Each is measured once its code is warm, as that of
// a process that runs for days is. Last a line of JSON. Needs `node --expose-gc`.
import { spawnSync } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Floor, measureFloor } from './http-floor.ts';
import { type DynamoDBKind, heapBytes, STREAM, withLeases } from './leases-scene.ts';

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

const HEAP = fileURLToPath(new URL('leases-heap.js', import.meta.url));
const CORE = fileURLToPath(new URL('../../packages/simulation/dist/scale/core-cost.js', import.meta.url));
/** Reads so rare that what is left is the coordination. */
const RARE_READS_MS = 120_000;
/** Thousands of calls: Node runs in half the time what it has run often. */
const SETTLE_MS = 30_000;
/** Leases are renewed in bunches, 32 times in a third of failoverTimeMs. */
const BUNCHES_PER_SECOND = 9.6;
/** Among the counts of calls. */
const WRITES = 'rows written';
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
const idleMs = Number(values['idle-ms']);
const dynamodb: DynamoDBKind = values.dynamodb === 'aws' ? 'aws' : 'dynalite';

function isThere(program: string, ask: string): boolean {
  return spawnSync(program, [ask], { stdio: 'ignore' }).status === 0;
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

async function measure(
  leases: number,
  idleTimeBetweenReadsMs: number,
  seconds: number,
  renewing: Renewing,
  settleMs = SETTLE_MS,
): Promise<Cost> {
  const counts = new Map<string, number>();
  const prepare = (kinesisClient: { send: unknown }, dynamoDBClient: { send: unknown }): void => {
    if (renewing === 'one a call') refuseCallsForMany(dynamoDBClient);
    countCalls(kinesisClient, counts);
    countCalls(dynamoDBClient, counts);
  };
  return withLeases({ leases, idleTimeBetweenReadsMs, dynamodb, prepare }, async (scene) => {
    await sleep(settleMs);
    const heapBytesPerLease = Math.round((heapBytes() - scene.heapBytesBefore) / leases);
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
    await scene.stop();
    const perSecond = (1_000 * writeCount) / elapsedMs;
    const isAtRest = idleTimeBetweenReadsMs >= RARE_READS_MS;
    const cpuMicrosPerWrite = isAtRest ? Math.round((user + system) / writeCount) : undefined;
    const floor =
      cpuMicrosPerWrite === undefined
        ? undefined
        : await measureFloor({
            endpoint: scene.dynamoDBEndpoint,
            tableName: STREAM,
            callsPerSecond: perSecond,
            bunchCount: Math.round(perSecond / BUNCHES_PER_SECOND),
            warmUpMs: settleMs,
            measureMs: seconds * 1_000,
          });
    return {
      idleTimeBetweenReadsMs,
      renewing: counts.has('BatchExecuteStatementCommand') && renewing === 'together' ? 'together' : 'one a call',
      allDeliveredMs: scene.allDeliveredMs,
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
  });
}

// Loads the code and fills its caches, which are no lease's.
await measure(WARM_UP_LEASES, 1_000, 1, 'together', 0);
const costs: Cost[] = [
  await measure(leases, idleMs, seconds, 'together'),
  await measure(leases, RARE_READS_MS, seconds, 'together'),
  ...(dynamodb === 'aws' ? [await measure(leases, RARE_READS_MS, seconds, 'one a call')] : []),
];
const oneMore = { heapBytes: heapOfOneMore() };
/** Bytes, with rare reads. */
function heapOfOneMore(): number {
  const flags = ['--expose-gc', '--no-opt', '--no-flush-bytecode'];
  const scene = ['--leases', String(leases), '--idle-ms', String(RARE_READS_MS), '--dynamodb', dynamodb];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, HEAP, ...scene], { encoding: 'utf8' });
  if (stdout === '') throw new Error(`the measurement of the heap has ended without a figure: ${stderr}`);
  return (JSON.parse(stdout) as { heapBytes: number }).heapBytes;
}

const core = spawnSync(process.execPath, ['--expose-gc', CORE, '--leases', String(leases)], { encoding: 'utf8' });
const { heapBytesPerLease, corePercent } = JSON.parse(core.stdout) as {
  heapBytesPerLease: number;
  corePercent: number;
};
const server = dynamodb === 'aws' ? "AWS's DynamoDB Local" : 'dynalite';
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
console.log(`  one lease more, at rest: ${oneMore.heapBytes} B of the heap`);
console.log(`  the pure core alone: ${corePercent} % of a core, ${heapBytesPerLease} B a lease`);
const kclWritesPerSecond = Math.round((10_000 * leases) / (FAILOVER_TIME_MS / 3 - KCL_EPSILON_MS)) / 10;
console.log(
  `  the Java KCL's rules write ${kclWritesPerSecond} times a second for these leases, and again for each checkpoint`,
);
console.log(
  JSON.stringify({
    leases,
    seconds,
    dynamodb,
    costs,
    oneMore,
    core: { corePercent, heapBytesPerLease },
    kclWritesPerSecond,
  }),
);

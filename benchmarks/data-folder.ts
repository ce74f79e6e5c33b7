// `npm run bench:data [-- --quick]`: what a data folder costs, and how fast it is read back. The same server in memory and with each
// `fsync`, in one run and in turns; the client sends bytes encoded beforehand. Prints a table and, last, a line of JSON. Asserts
// nothing about time; a server that refuses a record fails the run.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connections } from './local/connection.ts';
import { encode, encodePutRecords, type Request } from './local/request.ts';
import { type Contender, type Server, shardlineLocal, start } from './local/server.ts';

const MEGABYTE = 1_000_000;
const SHARDS = 4;
const streamName = 'bench';

interface Load {
  readonly requests: readonly Request[];
  readonly recordsPerRequest: number;
  readonly connections: number;
}

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, folder: { type: 'string', default: tmpdir() } },
});
const rounds = values.quick ? 1 : 3;
const budgetMs = values.quick ? 500 : 3_000;
const restoredMegabytes = values.quick ? 20 : 1_000;

const batches: Load = { requests: batchesOf(500, 100), recordsPerRequest: 500, connections: 4 };
const single = singles();
const [fewSingles, manySingles]: Load[] = [4, 32].map((count) => {
  return { requests: single, recordsPerRequest: 1, connections: count };
});

type Figures = Record<string, number>;
const measured = new Map<string, Figures[]>();
for (let round = 0; round < rounds; round += 1) {
  for (const fsync of ['in memory', 'never', 'everySecond', 'always']) {
    measured.set(fsync, [...(measured.get(fsync) ?? []), await withFolder((folder) => prices(fsync, folder))]);
  }
}
const price = Object.fromEntries([...measured].map(([name, figures]) => [name, medians(figures)]));
console.table(transposed(price));
const restart = {
  '100 B records': await withFolder((folder) => restarted(folder, 100, restoredMegabytes / 4)),
  '1 kB records': await withFolder((folder) => restarted(folder, 1_000, restoredMegabytes)),
  '50 kB records': await withFolder((folder) => restarted(folder, 50_000, restoredMegabytes)),
};
console.table(transposed(restart));
console.log(JSON.stringify({ price, restart }));

async function prices(fsync: string, folder: string): Promise<Figures> {
  await using server = await start(inFolder(fsync, folder));
  const batch = await load(server, batches, budgetMs);
  const few = await load(server, fewSingles ?? batches, budgetMs);
  const many = await load(server, manySingles ?? batches, budgetMs);
  return {
    'PutRecords 500 × 100 B, records/s': batch.recordsPerSecond,
    'PutRecords p99 ms': batch.p99Ms,
    'PutRecords, processor µs a record': batch.processorMicroseconds,
    'PutRecord 100 B over 4 connections, records/s': few.recordsPerSecond,
    'PutRecord over 4, p50 ms': few.p50Ms,
    'PutRecord over 4, p99 ms': few.p99Ms,
    'PutRecord over 4, processor µs a record': few.processorMicroseconds,
    'PutRecord 100 B over 32 connections, records/s': many.recordsPerSecond,
    'PutRecord over 32, p99 ms': many.p99Ms,
  };
}

/** Fills a folder, kills its server, and measures the next start until its first answer. */
async function restarted(folder: string, sizeBytes: number, megabytes: number): Promise<Figures> {
  const contender = inFolder('everySecond', folder);
  const count = Math.min(500, Math.floor(5_000_000 / sizeBytes));
  const requests = batchesOf(count, sizeBytes);
  let idleMs: number;
  let idleProcessorMs: number;
  {
    await using server = await start(contender);
    idleMs = server.startMs;
    idleProcessorMs = server.processorMs() ?? 0;
    const [connection] = await connections(server.address, 1);
    for (let sent = 0; sent * count * sizeBytes < megabytes * MEGABYTE; sent += 1) {
      await connection?.send(requests[sent % requests.length] as Request);
    }
    connection?.close();
  }
  const megabytesOnDisk = (await sizeOf(folder)) / MEGABYTE;
  await using server = await start(contender);
  const seconds = (server.startMs - idleMs) / 1000;
  const processorSeconds = ((server.processorMs() ?? 0) - idleProcessorMs) / 1000;
  return {
    'MB in the folder': megabytesOnDisk,
    's to read it back': seconds,
    'MB/s': megabytesOnDisk / seconds,
    'MB a second of processor time': megabytesOnDisk / processorSeconds,
    'MB resident after it': (server.residentBytes() ?? 0) / MEGABYTE,
  };
}

interface Outcome {
  readonly recordsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the server; what other programs do on the machine hardly shows in it. */
  readonly processorMicroseconds: number;
}

async function load(server: Server, { requests, recordsPerRequest, ...load }: Load, forMs: number): Promise<Outcome> {
  const clients = await connections(server.address, load.connections);
  const latenciesMs: number[] = [];
  let sent = 0;
  const processorMs = server.processorMs() ?? 0;
  const startedAt = performance.now();
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() - startedAt < forMs) {
        const sentAt = performance.now();
        const answer = await client.send(requests[sent++ % requests.length] as Request);
        if (answer.includes('ErrorCode')) throw new Error(`records were refused: ${answer.toString('utf8', 0, 300)}`);
        latenciesMs.push(performance.now() - sentAt);
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const usedMs = (server.processorMs() ?? 0) - processorMs;
  for (const client of clients) client.close();
  latenciesMs.sort((a, b) => a - b);
  const at = (part: number): number => latenciesMs[Math.floor(latenciesMs.length * part)] ?? 0;
  const records = latenciesMs.length * recordsPerRequest;
  return {
    recordsPerSecond: records / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    processorMicroseconds: (1000 * usedMs) / records,
  };
}

function inFolder(fsync: string, folder: string): Contender {
  const ours = shardlineLocal(fsync, SHARDS, { limits: 'off' });
  if (fsync === 'in memory') return ours;
  return {
    ...ours,
    command: (ports, own) => {
      const command = ours.command(ports, own);
      return { ...command, args: [...command.args, '--data', folder, '--fsync', fsync] };
    },
  };
}

function batchesOf(count: number, sizeBytes: number): Request[] {
  const different = Math.max(1, Math.min(50, Math.floor(20_000_000 / (count * sizeBytes))));
  return Array.from({ length: different }, (_, at) => encodePutRecords({ streamName, count, sizeBytes }, at));
}

function singles(): Request[] {
  return Array.from({ length: 500 }, (_, at) =>
    encode('PutRecord', { StreamName: streamName, PartitionKey: `customer-${at}`, Data: Buffer.alloc(100, 'bought') }),
  );
}

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(values.folder, 'shardline-bench-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function sizeOf(folder: string): Promise<number> {
  const names = await readdir(join(folder, 'kinesis'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, 'kinesis', name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function medians(figures: readonly Figures[]): Figures {
  const names = Object.keys(figures[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const sorted = figures.map((each) => each[name] ?? 0).sort((a, b) => a - b);
      return [name, sorted[Math.floor(sorted.length / 2)] ?? 0];
    }),
  );
}

/** A row a figure; three digits say all that a shared machine knows. */
function transposed(columns: Record<string, Figures>): Record<string, Figures> {
  const rows = Object.keys(Object.values(columns)[0] ?? {});
  const shown = (value = 0): number => (Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
  return Object.fromEntries(
    rows.map((row) => [
      row,
      Object.fromEntries(Object.entries(columns).map(([name, each]) => [name, shown(each[row])])),
    ]),
  );
}

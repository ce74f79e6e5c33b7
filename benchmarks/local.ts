// `npm run bench:local [-- --quick]`: the local Kinesis beside kinesis-local, each in a process of its own, in one run and in
// turns, so that a busy machine slows both. The client sends bytes encoded beforehand over sockets that do nothing else, so that it
// is the servers that are measured. Prints a table and, last, a line of JSON. Asserts nothing about time; a server that refuses a
// record or hangs up fails the run.
import { parseArgs } from 'node:util';
import type { Address } from './local/connection.ts';
import { cbor, type Encoding, json } from './local/encoding.ts';
import { putAll, type Rate, readAll } from './local/measures.ts';
import { pushLatencies } from './local/push.ts';
import { encodePutRecords, type Request } from './local/request.ts';
import { type Contender, kinesisLocal, type Server, shardlineLocal, start } from './local/server.ts';

const MEGABYTE = 1_000_000;
const SHARDS = 4;
/** With limits on, so many that 500 records at a time are within every shard's rate. */
const SHARDS_WITHIN_LIMITS = 500;
const SMALL = { count: 500, sizeBytes: 100 };
const LARGE = { count: 90, sizeBytes: 50_000 };
/** Of the records' partition keys, `customer-00000000`. */
const KEY_BYTES = 17;

interface Plan {
  readonly rounds: number;
  /** How many different requests are sent in turn; no partition key is in two of them. */
  readonly differentRequests: number;
  readonly smallRecords: number;
  readonly largeRecords: number;
  /** For each measure of each server. */
  readonly budgetMs: number;
  readonly pushes: { readonly count: number; readonly everyMs: number };
}

const full: Plan = {
  rounds: 3,
  differentRequests: 200,
  smallRecords: 1_000_000,
  largeRecords: 40 * LARGE.count,
  budgetMs: 8_000,
  pushes: { count: 200, everyMs: 20 },
};
const quick: Plan = {
  rounds: 1,
  differentRequests: 20,
  smallRecords: 50_000,
  largeRecords: 4 * LARGE.count,
  budgetMs: 1_000,
  pushes: { count: 25, everyMs: 20 },
};

/** How a client puts and reads small records. */
interface Way {
  readonly address: (server: Server) => Address;
  readonly encoding: Encoding;
  readonly requests: readonly Request[];
}

/** One number a measure; a round's, or the median of the rounds'. Null where it could not be measured. */
type Figures = Record<string, number | null>;

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const plan = values.quick ? quick : full;
const small = requestsOf(SMALL);
const large = requestsOf(LARGE, 4);
const overHttp1: Way = { address: (server) => server.address, encoding: json, requests: small };
const overHttp2: Way = { ...overHttp1, address: (server) => ({ ...server.address, protocol: 'http2' }) };
const cborOverTls: Way = {
  address: (server) => server.tlsAddress,
  encoding: cbor,
  requests: requestsOf(SMALL, plan.differentRequests, cbor),
};

const ours = shardlineLocal('ours', SHARDS, { limits: 'off' });
const limited = shardlineLocal('ours, limits on', SHARDS_WITHIN_LIMITS, { limits: 'on' });
const http2 = { ...ours, name: 'ours, HTTP/2' };
const secure = shardlineLocal('ours, CBOR over TLS', SHARDS, { limits: 'off', tls: true });
const kept = shardlineLocal('ours, in a folder', SHARDS, { limits: 'off', data: true });
const peer = kinesisLocal(SHARDS);

const rounds = new Map<string, Figures[]>();
for (let round = 0; round < plan.rounds; round += 1) {
  for (const contender of [ours, peer]) {
    record(contender.name, { ...(await everything(contender)), ...(await largeRecords(contender)) });
  }
  record(limited.name, await onlyPuts(limited));
  record(http2.name, await smallRecords(http2, overHttp2));
  record(secure.name, await smallRecords(secure, cborOverTls));
  record(kept.name, await smallRecords(kept, overHttp1));
}

const results = new Map([...rounds].map(([name, figures]) => [name, medians(figures)]));
printTable();
console.log(
  JSON.stringify({
    ours: {
      ...results.get(ours.name),
      limitsOn: results.get(limited.name),
      http2: results.get(http2.name),
      cborOverTls: results.get(secure.name),
      inFolder: results.get(kept.name),
    },
    peers: { 'kinesis-local': results.get(peer.name) },
  }),
);

/** Push latency first, on an empty server, since some slow down with what they store. */
async function everything(contender: Contender): Promise<Figures> {
  await using server = await start(contender);
  const idleBytes = server.residentBytes();
  const latencies = await pushLatencies(server.address, contender.streamName, plan.pushes);
  const rates = await putAndRead(server, contender, overHttp1);
  const storedBytes = rates.put.records * (SMALL.sizeBytes + KEY_BYTES);
  const grownBytes = idleBytes === undefined ? undefined : rates.residentBytes - idleBytes;
  return {
    startMs: server.startMs,
    pushP50Ms: quantile(latencies, 0.5),
    pushP99Ms: quantile(latencies, 0.99),
    ...rateFigures(rates),
    storedMegabytes: storedBytes / MEGABYTE,
    memoryPerStoredByte: grownBytes === undefined ? null : grownBytes / storedBytes,
  };
}

/** Reads would show little but the 5 a second that a shard allows. */
async function onlyPuts(contender: Contender): Promise<Figures> {
  await using server = await start(contender);
  return putFigures(await putSmall(server, overHttp1));
}

async function smallRecords(contender: Contender, way: Way): Promise<Figures> {
  await using server = await start(contender);
  return rateFigures(await putAndRead(server, contender, way));
}

async function putAndRead(
  server: Server,
  { streamName }: Contender,
  way: Way,
): Promise<{ put: Rate; read: Rate; residentBytes: number }> {
  const put = await putSmall(server, way);
  const residentBytes = server.residentBytes() ?? 0;
  const read = await readAll(server, way.address(server), streamName, plan.budgetMs, way.encoding);
  return { put, read, residentBytes };
}

function putSmall(server: Server, { address, requests, encoding }: Way): Promise<Rate> {
  const bounds = { count: plan.smallRecords, budgetMs: plan.budgetMs };
  return putAll(server, address(server), requests, SMALL.count, bounds, encoding);
}

async function largeRecords(contender: Contender): Promise<Figures> {
  await using server = await start(contender);
  const bounds = { count: plan.largeRecords, budgetMs: plan.budgetMs };
  const { records, seconds } = await putAll(server, server.address, large, LARGE.count, bounds);
  return { megabytesInPerSecond: (records * (LARGE.sizeBytes + KEY_BYTES)) / MEGABYTE / seconds };
}

function putFigures({ records, seconds, processorMicroseconds }: Rate): Figures {
  return { recordsInPerSecond: records / seconds, processorMicrosecondsIn: processorMicroseconds ?? null };
}

function rateFigures({ put, read }: { put: Rate; read: Rate }): Figures {
  return {
    ...putFigures(put),
    recordsOutPerSecond: read.records / read.seconds,
    processorMicrosecondsOut: read.processorMicroseconds ?? null,
  };
}

function requestsOf(
  { count, sizeBytes }: typeof SMALL,
  different = plan.differentRequests,
  encoding: Encoding = json,
): Request[] {
  return Array.from({ length: different }, (_, sequence) =>
    encodePutRecords({ streamName: 'bench', count, sizeBytes }, sequence, encoding),
  );
}

function record(name: string, figures: Figures): void {
  rounds.set(name, [...(rounds.get(name) ?? []), figures]);
}

function medians(figures: readonly Figures[]): Figures {
  const names = Object.keys(figures[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(figures.map((each) => each[name] ?? null))]));
}

function median(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter((each) => each !== null).sort((a, b) => a - b);
  return known.length === 0 ? null : rounded(quantile(known, 0.5));
}

/** Of sorted numbers. */
function quantile(numbers: readonly number[], part: number): number {
  return numbers[Math.min(numbers.length - 1, Math.floor(numbers.length * part))] ?? 0;
}

/** Three digits say all that a shared machine knows. */
function rounded(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

function printTable(): void {
  const rows = [...new Set([...results.values()].flatMap((figures) => Object.keys(figures)))];
  console.table(
    Object.fromEntries(
      rows.map((row) => [row, Object.fromEntries([...results].map(([name, figures]) => [name, figures[row] ?? '']))]),
    ),
  );
}

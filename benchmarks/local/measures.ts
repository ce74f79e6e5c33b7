// The single measures. Each is bounded twice, by a count and by a time: what slows down with what it stores is stopped, and its
// rate is what it did until then.
import { type Address, type Connection, connections } from './connection.ts';
import { type Encoding, json } from './encoding.ts';
import { encode, type Request } from './request.ts';
import type { Server } from './server.ts';

export interface Bounds {
  readonly count: number;
  readonly budgetMs: number;
}

export interface Rate {
  readonly records: number;
  readonly seconds: number;
  /** The server's own processor time a record; undefined where the system does not tell. */
  readonly processorMicroseconds: number | undefined;
}

const CONNECTIONS = 4;

/** Sends the requests round and round, `recordsPerRequest` in each, until `bounds.count` records were stored. */
export async function putAll(
  server: Server,
  address: Address,
  requests: readonly Request[],
  recordsPerRequest: number,
  bounds: Bounds,
  { noneFailed }: Encoding = json,
): Promise<Rate> {
  const total = Math.ceil(bounds.count / recordsPerRequest);
  let sent = 0;
  return rateOf(server, address, bounds.budgetMs, async (connection) => {
    const request = requests[sent % requests.length];
    if (request === undefined || sent >= total) return undefined;
    sent += 1;
    const answer = await connection.send(request);
    if (!answer.includes(noneFailed)) {
      throw new Error(`records were refused: ${answer.toString('utf8', 0, 300)}`);
    }
    return recordsPerRequest;
  });
}

/** Reads all shards from their beginning to their tip, a connection a shard at a time. */
export async function readAll(
  server: Server,
  address: Address,
  streamName: string,
  budgetMs: number,
  encoding: Encoding = json,
): Promise<Rate> {
  const iterators = await trimHorizons(address, streamName);
  return rateOf(server, address, budgetMs, async (connection) => {
    const iterator = iterators.shift();
    if (iterator === undefined) return undefined;
    const answer = await connection.send(encode('GetRecords', { ShardIterator: iterator, Limit: 10_000 }, encoding));
    const next = encoding.nextIterator(answer);
    const records = occurrences(answer, encoding.inEachRecord);
    if (records > 0 && next !== undefined) iterators.push(next);
    return records;
  });
}

async function rateOf(
  server: Server,
  address: Address,
  budgetMs: number,
  step: (connection: Connection) => Promise<number | undefined>,
): Promise<Rate> {
  const clients = await connections(address, CONNECTIONS);
  let records = 0;
  const processorMs = server.processorMs();
  const startedAt = performance.now();
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() - startedAt < budgetMs) {
        const done = await step(client);
        if (done === undefined) return;
        records += done;
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const usedMs = processorMs === undefined ? undefined : (server.processorMs() ?? 0) - processorMs;
  for (const client of clients) client.close();
  return {
    records,
    seconds,
    processorMicroseconds: usedMs === undefined ? undefined : (usedMs * 1000) / Math.max(1, records),
  };
}

async function trimHorizons(address: Address, streamName: string): Promise<string[]> {
  const [client] = await connections(address, 1);
  if (client === undefined) return [];
  const { Shards } = parsed<{ Shards: { ShardId: string }[] }>(
    await client.send(encode('ListShards', { StreamName: streamName })),
  );
  const iterators: string[] = [];
  for (const { ShardId } of Shards) {
    const input = { StreamName: streamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' };
    const answer = await client.send(encode('GetShardIterator', input));
    iterators.push(parsed<{ ShardIterator: string }>(answer).ShardIterator);
  }
  client.close();
  return iterators;
}

function parsed<T>(answer: Buffer): T {
  return JSON.parse(answer.toString()) as T;
}

function occurrences(bytes: Buffer, text: string): number {
  const needle = Buffer.from(text);
  let count = 0;
  for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at + needle.length)) count += 1;
  return count;
}

// What the benchmarks of leases run against: a local Kinesis with one record in each shard, and a DynamoDB, in processes of their own, and a
// consumer that has handled the first record of every shard.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';

const LOCAL = fileURLToPath(new URL('../../packages/local/bin/shardline-local.js', import.meta.url));
const DYNAMODB_LOCAL = fileURLToPath(new URL('../../interop/dist/dynamodb-local/main.js', import.meta.url));
export const STREAM = 'leases';
const START_TIMEOUT_MS = 300_000;
/** Of PutRecords. */
const RECORDS_A_PUT = 500;

/** AWS's DynamoDB Local, or dynalite. */
export type DynamoDBKind = 'aws' | 'dynalite';

/** A program that says on its first line where it listens. */
async function startServer(args: readonly string[]): Promise<{ server: ChildProcess; said: Record<string, unknown> }> {
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: server.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  return { server, said: JSON.parse(line) as Record<string, unknown> };
}

async function startServers(
  shardCount: number,
  dynamodb: DynamoDBKind,
): Promise<{ servers: ChildProcess[]; clientConfigs: ClientConfigs }> {
  const stream = ['--limits', 'off', '--stream', `${STREAM}:${shardCount}`];
  const { server, said } = await startServer([LOCAL, '--port', '0', '--dynamodb-port', '0', ...stream]);
  const servers = [server];
  let dynamodbEndpoint = `http://127.0.0.1:${said['dynamodbPort']}`;
  if (dynamodb === 'aws') {
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

export function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

export interface LeasesOptions {
  readonly leases: number;
  readonly idleTimeBetweenReadsMs: number;
  readonly dynamodb: DynamoDBKind;
  /** Sees the clients before the consumer has them. */
  readonly prepare?: (kinesisClient: KinesisClient, dynamoDBClient: DynamoDBClient) => void;
}

export interface LeasesScene {
  readonly consumer: Consumer;
  readonly dynamoDBEndpoint: string;
  /** Of this process, before there was a consumer. */
  readonly heapBytesBefore: number;
  /** From `run` to the first record of the last shard. */
  readonly allDeliveredMs: number;
  /** Ends the consumer; the servers go on until `use` has returned. */
  stop(): Promise<void>;
}

/** Calls `use` once the first record of every shard has been handled. @throws Error when that takes longer than five minutes */
export async function withLeases<T>(options: LeasesOptions, use: (scene: LeasesScene) => Promise<T>): Promise<T> {
  const { leases, idleTimeBetweenReadsMs, dynamodb } = options;
  const { servers, clientConfigs } = await startServers(leases, dynamodb);
  try {
    await putEverywhere(clientConfigs.kinesis, leases);
    const kinesisClient = createKinesisClient({ ...clientConfigs.kinesis, maxAttempts: 1 });
    const dynamoDBClient = createDynamoDBClient(clientConfigs.dynamodb);
    options.prepare?.(kinesisClient, dynamoDBClient);
    const heapBytesBefore = heapBytes();
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
      if (delivered.add(shardId).size === leases) allDelivered();
    });
    const inTime = sleep(START_TIMEOUT_MS, 'late', { ref: false });
    if ((await Promise.race([all, running, inTime])) === 'late')
      throw new Error(`after ${START_TIMEOUT_MS} ms ${delivered.size} of ${leases} shards had been handled`);
    const allDeliveredMs = Math.round(performance.now() - startedMs);
    const stop = async (): Promise<void> => {
      const held = consumer.view().shards.length;
      await consumer.stop();
      await running;
      kinesisClient.destroy();
      dynamoDBClient.destroy();
      if (held !== leases) throw new Error(`the consumer held ${held} of ${leases} leases`);
    };
    const dynamoDBEndpoint = clientConfigs.dynamodb.endpoint;
    return await use({ consumer, dynamoDBEndpoint, heapBytesBefore, allDeliveredMs, stop });
  } finally {
    for (const server of servers) {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
  }
}

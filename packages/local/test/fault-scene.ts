// A server with one stream and clients of both protocols, for the tests of faults.
import {
  KinesisClient as Http2Client,
  type KinesisClient,
  PutRecordsCommand,
  type PutRecordsRequestEntry,
} from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { expect } from 'vitest';
import { type LocalKinesis, type LocalKinesisOptions, ManualClock, startLocalKinesis } from '../src/index.ts';

export const protocols = ['HTTP/1.1', 'HTTP/2'] as const;
export type Protocol = (typeof protocols)[number];

export const StreamName = 'orders';
export const shardIds = ['shardId-000000000000', 'shardId-000000000001'] as const;

/** How long a client waits that is to give up. */
export const IMPATIENT_MS = 1_000;

export class Scene {
  readonly clock: ManualClock = new ManualClock();
  readonly #clients: KinesisClient[] = [];
  #local: LocalKinesis | undefined;

  async start(options: LocalKinesisOptions = {}): Promise<void> {
    const streams = [{ name: StreamName, shardCount: 2 }];
    this.#local = await startLocalKinesis({ clock: this.clock, faultSeed: 1, streams, ...options });
  }

  get local(): LocalKinesis {
    if (this.#local === undefined) throw new Error('the scene has not started');
    return this.#local;
  }

  /** Makes one attempt. */
  client(protocol: Protocol, timeoutMs = 30_000): KinesisClient {
    const config = { ...this.local.clientConfig, maxAttempts: 1 };
    const client =
      protocol === 'HTTP/1.1'
        ? createKinesisClient({ ...config, requestTimeoutMs: timeoutMs })
        : new Http2Client({ ...config, requestHandler: { requestTimeout: timeoutMs } });
    this.#clients.push(client);
    return client;
  }

  /** What is in the stream, shard by shard. */
  stored(): string[] {
    return this.local.model.stream(StreamName, this.clock.wallNow()).shards.flatMap(({ log }) => {
      const texts: string[] = [];
      for (let counter = log.firstCounter; counter < log.nextCounter; counter++) {
        texts.push(Buffer.from(log.at(counter)?.data ?? []).toString());
      }
      return texts;
    });
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.local.close();
  }
}

export function entry(text: string, shard: 0 | 1 = 0): PutRecordsRequestEntry {
  const ExplicitHashKey = shard === 0 ? '0' : String(2n ** 128n - 1n);
  return { PartitionKey: 'k', ExplicitHashKey, Data: Buffer.from(text) };
}

export function put(text: string): PutRecordsCommand {
  return new PutRecordsCommand({ StreamName, Records: [entry(text)] });
}

/** What it is rejected with. */
export async function errorOf(answer: Promise<unknown>): Promise<Error & { $metadata?: { httpStatusCode?: number } }> {
  const outcome = await answer.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  );
  if (!(outcome instanceof Error)) throw new TypeError(`no error: ${String(outcome)}`);
  return outcome;
}

/** Looks again until what is expected holds, for 10 s at most. */
export function eventually<T>(read: () => T): ReturnType<typeof expect.poll<T>> {
  return expect.poll(read, { timeout: 10_000, interval: 10 });
}

// User records put all the time, through our own producer, half of them aggregated, and where each one came to lie. Every key is
// put by one producer alone, and each of its records carries its number, so the order of a key can be told from the data.
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import type { LocalClientConfig } from '@shardline/local';
import { Producer } from '@shardline/producer';

/** A user record of which the producer said that it is in the stream. */
export interface PutRecord {
  readonly key: string;
  /** From 0, within its key. */
  readonly number: number;
  readonly shard: string;
  readonly sequence: string;
  /** 0 unless it lies in an aggregated record. */
  readonly sub: number;
  /** An earlier attempt may have put it into the stream as well. */
  readonly duplicate: boolean;
}

/** Where a stage's records come from. */
export interface RecordSource {
  readonly records: readonly PutRecord[];
  /** Puts some into every shard. Resolves when they are in the stream. */
  put(): Promise<void>;
  /** Begins to put all the time. */
  run(): void;
  /** Ends when everything that was put is in the stream. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export interface FeedOptions {
  /** Partition keys of the plain records, and as many of those to aggregate. Default 12. */
  readonly keysEach?: number;
  /** Between records that are in the stream and the next ones, ms. Default 100. */
  readonly pauseMs?: number;
}

export class Feed implements RecordSource {
  readonly records: PutRecord[] = [];
  readonly #client: KinesisClient;
  readonly #producers: readonly {
    readonly producer: Producer;
    readonly keys: readonly string[];
    readonly each: number;
  }[];
  readonly #pauseMs: number;
  readonly #nextNumber: Map<string, number> = new Map();
  #isRunning = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(stream: string, clientConfig: LocalClientConfig, { keysEach = 12, pauseMs = 100 }: FeedOptions = {}) {
    this.#pauseMs = pauseMs;
    const client = createKinesisClient({ ...clientConfig, maxAttempts: 1 });
    this.#client = client;
    const keys = (prefix: string): string[] => Array.from({ length: keysEach }, (_, n) => `${prefix}-${n}`);
    this.#producers = [
      { producer: new Producer({ stream, client, aggregationEnabled: false }), keys: keys('plain'), each: 1 },
      { producer: new Producer({ stream, client }), keys: keys('aggregated'), each: 3 },
    ];
  }

  /** Puts some records of every key and waits until they are in the stream. */
  async put(): Promise<void> {
    const puts = this.#producers.flatMap(({ producer, keys, each }) =>
      keys.flatMap((key) => Array.from({ length: each }, () => this.#putOne(producer, key))),
    );
    await Promise.all(puts);
  }

  /** Begins to put all the time: soon after some records are in the stream, the next ones. */
  run(): void {
    this.#isRunning = true;
    this.#loop = (async () => {
      while (this.#isRunning) {
        await this.put();
        // A worker that comes a minute late on a busy machine must not be met by all that could be put in a minute.
        await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
      }
    })();
    // A failure is told by whoever stops the feed.
    this.#loop.catch(() => undefined);
  }

  /** Ends when everything that was put is in the stream. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#loop;
  }

  async close(): Promise<void> {
    this.#isRunning = false;
    await Promise.allSettled([this.#loop]);
    await Promise.all(this.#producers.map(({ producer }) => producer.close()));
    this.#client.destroy();
  }

  async #putOne(producer: Producer, key: string): Promise<void> {
    const number = this.#nextNumber.get(key) ?? 0;
    this.#nextNumber.set(key, number + 1);
    const put = await producer.put({ partitionKey: key, data: `${number}` });
    const { shardId: shard, sequenceNumber: sequence, subSequenceNumber: sub = 0, duplicate } = put;
    this.records.push({ key, number, shard, sequence, sub, duplicate });
  }
}

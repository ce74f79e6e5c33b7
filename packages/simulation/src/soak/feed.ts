// What is put while it soaks: records of many keys at an even pace, mostly small, by a producer that aggregates and by one that does not,
// so that places within aggregated records are checkpointed, too.
import { delay, systemClock } from '@shardline/common';
import { Producer, type ProducerOptions } from '@shardline/producer';
import { createPrng, type Prng } from '../prng.ts';
import { numberedData } from '../producer/checkers.ts';

export interface FeedOptions {
  readonly stream: string;
  readonly client: NonNullable<ProducerOptions['client']>;
  readonly seed: number;
  readonly durationMs: number;
  readonly recordsPerSecond: number;
}

const TICK_MS = 20;
/** What a pause has kept from being put is made up for at most so far. */
const MOST_BEHIND_MS = 500;
const KEY_COUNT = 400;

export class Feed {
  readonly #options: FeedOptions;
  readonly #producers: readonly Producer[];
  readonly #prng: Prng;
  #putCount = 0;
  readonly #failures: Record<string, number> = {};

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#prng = createPrng(options.seed);
    const { stream, client } = options;
    const common = { stream, client, recordMaxBufferedTimeMs: 50, describeStreamSummaryIntervalMs: 1_000 };
    this.#producers = [
      new Producer({ ...common, aggregationMaxSizeBytes: 4_096 }),
      new Producer({ ...common, aggregationEnabled: false }),
    ];
  }

  /** Puts that failed, by code: there may be copies of theirs in the stream all the same. */
  get failures(): Readonly<Record<string, number>> {
    return this.#failures;
  }

  async run(): Promise<void> {
    const { durationMs, recordsPerSecond } = this.#options;
    const startMs = systemClock.now();
    let due = 0;
    for (let atMs = 0; atMs < durationMs; ) {
      await delay(systemClock, TICK_MS);
      const nowMs = systemClock.now() - startMs;
      due += (Math.min(MOST_BEHIND_MS, nowMs - atMs) * recordsPerSecond) / 1_000;
      atMs = nowMs;
      for (; due >= 1; due--) {
        const producer = this.#producers[this.#prng.int(this.#producers.length)] as Producer;
        await producer.ready;
        this.#put(producer);
      }
    }
  }

  /** Resolves when all is in the stream, or has failed. */
  async close(): Promise<void> {
    await Promise.all(this.#producers.map((producer) => producer.close()));
  }

  #put(producer: Producer): void {
    const prng = this.#prng;
    const bytes = prng.chance(0.01) ? prng.between(2_000, 20_000) : prng.between(16, 400);
    // A tenth of all records is of one key.
    const key = prng.chance(0.1) ? 0 : prng.int(KEY_COUNT);
    producer.put({ partitionKey: `key-${key}`, data: numberedData(this.#putCount++, bytes) }, (error) => {
      if (error !== undefined) this.#failures[error.code] = (this.#failures[error.code] ?? 0) + 1;
    });
  }
}

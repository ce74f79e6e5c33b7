// The way in: takes the lines one by one, gives each its number, and puts it. The first lines are read ahead and spread over
// some seconds, so that the split and the kill fall into the middle of a flow; what comes after them goes as fast as the
// producer takes it. It decides nothing about delivery: that is the producer's work.
// Invariant: lines are put in the order in which they were read; not more are in memory than the look-ahead and the producer hold.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Producer } from '@shardline/producer';
import { checksumOf, encodeLine, partitionKeyOf } from './numbered-line.ts';
import type { Tally } from './tally.ts';

export interface FeedOptions {
  readonly lines: AsyncIterator<Buffer, void, void>;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  readonly onPutFailed: (error: unknown) => void;
}

const LOOK_AHEAD_LINES = 20_000;
const LOOK_AHEAD_BYTES: number = 8 * 1024 * 1024;
const SPREAD_MS = 7_000;
const SHORTEST_SLEEP_MS = 10;

export class Feed {
  readonly #options: FeedOptions;
  readonly #ahead: Buffer[] = [];
  #isReadToEnd = false;
  #isDone = false;
  #settledCount = 0;
  #startedAtMs: number | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Reads the first lines. */
  async readAhead(): Promise<void> {
    let aheadBytes = 0;
    while (!this.#isReadToEnd && this.#ahead.length < LOOK_AHEAD_LINES && aheadBytes < LOOK_AHEAD_BYTES) {
      const line = await this.#read();
      if (line === undefined) continue;
      this.#ahead.push(line);
      aheadBytes += line.length;
    }
  }

  /** All lines, or as many as were read ahead when there are more than that. */
  get plannedCount(): number {
    return this.#ahead.length;
  }

  /** Whether `plannedCount` is all there is. */
  get isPlanWhole(): boolean {
    return this.#isReadToEnd && this.#options.tally.linesIn <= this.#ahead.length;
  }

  /** Share of the planned lines that have been put: 0 to 1. */
  get share(): number {
    return this.#isDone ? 1 : Math.min(1, this.#options.tally.linesIn / this.#ahead.length);
  }

  /** Puts that succeeded. */
  get settledCount(): number {
    return this.#settledCount;
  }

  /** Every line has been put, and every put has succeeded. */
  get isSettled(): boolean {
    return this.#isDone && this.#settledCount === this.#options.tally.linesIn;
  }

  get startedAtMs(): number | undefined {
    return this.#startedAtMs;
  }

  /** Puts all lines. Resolves when the last one has been handed to the producer. */
  async run(producer: Producer): Promise<void> {
    const startedAtMs = performance.now();
    this.#startedAtMs = startedAtMs;
    for (const [index, line] of this.#ahead.entries()) {
      const waitMs = startedAtMs + (index / this.#ahead.length) * SPREAD_MS - performance.now();
      if (waitMs > 0) await sleep(Math.max(waitMs, SHORTEST_SLEEP_MS));
      await this.#put(producer, line);
    }
    while (!this.#isReadToEnd) {
      const line = await this.#read();
      if (line !== undefined) await this.#put(producer, line);
    }
    this.#isDone = true;
    await producer.flush();
  }

  async #read(): Promise<Buffer | undefined> {
    this.#options.signal.throwIfAborted();
    const next = await this.#options.lines.next();
    if (!next.done) return next.value;
    this.#isReadToEnd = true;
    return undefined;
  }

  async #put(producer: Producer, line: Buffer): Promise<void> {
    const { tally, signal, onPutFailed } = this.#options;
    signal.throwIfAborted();
    await producer.ready;
    const partitionKey = partitionKeyOf(line);
    const lineNumber = tally.put(partitionKey, checksumOf(line));
    producer.put({ partitionKey, data: encodeLine(lineNumber, line) }).then(() => {
      this.#settledCount++;
    }, onPutFailed);
  }
}

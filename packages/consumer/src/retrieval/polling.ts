// Reads one shard by GetRecords, at most five times a second. One of the few files that call AWS. Where to begin and the
// shard's end follow the KCL (KinesisDataFetcher, DataRetrievalUtil); back-off is the core's.
// Invariant: the iterator stands behind the last record of the backlog, so that it can be made again at any time from the
// backlog's position.
import { GetRecordsCommand, GetShardIteratorCommand, type KinesisClient } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  delay,
  type ExtendedSequenceNumber,
  type HashKeyRange,
  isShardlineError,
  OperatingError,
  SHARD_GET_RECORDS_PER_SECOND,
  type StreamIdentifier,
  streamAddress,
} from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import { Beginning, type BeginningOptions, endOf, readRecord, refusedBeginning } from './answer.ts';
import { Backlog } from './backlog.ts';
import { readRecordsApart } from './raw-answer.ts';
import type { ShardSource, SourceRead } from './source.ts';

export interface PollingSourceOptions extends BeginningOptions {
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  /** The shard's; undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
  /** Kinesis records a read, and user records a batch (a single aggregate may pass it). */
  readonly maxRecordsPerRead: number;
  /** The pause between reads at the shard's tip, ms, at least 200; behind it, reads follow each other every 200 ms. */
  readonly idleTimeBetweenReadsMs: number;
  /** One call, ms. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
}

/** Reads a second are limited for all polling consumers of a shard together. */
export const SHORTEST_READ_INTERVAL_MS: number = 1000 / SHARD_GET_RECORDS_PER_SECOND;

const GONE: SourceRead = { batch: undefined, atShardEnd: true, childShards: [], millisBehindLatest: undefined };

export class PollingSource implements ShardSource {
  readonly streamName: string;
  readonly #options: PollingSourceOptions;
  readonly #clock: Clock;
  readonly #calls: AwsCalls;
  readonly #backlog: Backlog;
  readonly #beginning: Beginning;
  #iterator: string | undefined;
  #nextReadAt = Number.NEGATIVE_INFINITY;

  constructor(options: PollingSourceOptions) {
    this.#options = options;
    this.streamName = options.stream.streamName;
    this.#clock = options.clock;
    this.#backlog = new Backlog({
      maxRecordsPerBatch: options.maxRecordsPerRead,
      hashKeyRange: options.hashKeyRange,
    });
    this.#beginning = new Beginning(options);
    this.#calls = new AwsCalls({
      client: options.client,
      timeoutMs: options.requestTimeoutMs,
      resource: `shard ${options.shardId} of stream ${options.stream.streamArn ?? options.stream.streamName}`,
      codes: { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' },
      clock: options.clock,
    });
  }

  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal): Promise<SourceRead> {
    if (!this.#backlog.isAt(after)) {
      this.#backlog.seek(after);
      this.#iterator = undefined;
    }
    if (this.#backlog.isSpent) {
      const pauseMs = this.#nextReadAt - this.#clock.now();
      if (pauseMs > 0) await delay(this.#clock, pauseMs, signal);
      try {
        await this.#read(after, signal);
      } catch (error) {
        // The KCL's rule: the stream was deleted, or the shard is older than the stream's retention.
        if (isShardlineError(error) && error.code === 'STREAM_NOT_FOUND') return GONE;
        throw error;
      }
    }
    // Batches out of a big answer must not follow each other without letting timers and sockets have their turn.
    else await delay(this.#clock, 0, signal);
    return this.#backlog.read(after);
  }

  close(): void {
    this.#calls.close();
    this.#backlog.drop();
  }

  async #read(after: ExtendedSequenceNumber, signal: AbortSignal): Promise<void> {
    const iterator = this.#iterator ?? (await this.#makeIterator(after, signal));
    this.#iterator = iterator;
    const startedAt = this.#clock.now();
    this.#nextReadAt = startedAt + SHORTEST_READ_INTERVAL_MS;
    const { streamArn: StreamARN } = this.#options.stream;
    const command = new GetRecordsCommand({
      ShardIterator: iterator,
      Limit: this.#options.maxRecordsPerRead,
      // An iterator does not say in which account its stream is (KCL KinesisDataFetcher sends it, too).
      ...(StreamARN !== undefined && { StreamARN }),
    });
    const recordsApart = readRecordsApart(command);
    try {
      const answer = await this.#calls.call(
        'kinesis:GetRecords',
        (options) => this.#options.client.send(command, options),
        signal,
      );
      const next = answer.NextShardIterator || undefined;
      const childShards = endOf(next, answer.ChildShards ?? [], this.#options.shardId);
      const records = recordsApart() ?? (answer.Records ?? []).map(readRecord);
      // An answer is taken whole or, had it thrown above, not at all: the same iterator is then read again.
      this.#backlog.add({ records, millisBehindLatest: answer.MillisBehindLatest, childShards });
      this.#iterator = next;
      const behind = (answer.MillisBehindLatest ?? 0) > 0;
      if (!behind) this.#nextReadAt = startedAt + this.#options.idleTimeBetweenReadsMs;
    } catch (error) {
      const code = awsCodeOf(error);
      // Unused for five minutes, as after a long stay in the handler, or of a server that was replaced: another one is made from
      // the position at the next read (KCL KinesisDataFetcher restarts on both).
      if (code === 'ExpiredIteratorException' || code === 'InvalidArgumentException') this.#iterator = undefined;
      if (code !== 'ExpiredIteratorException') throw error;
    }
  }

  async #makeIterator(after: ExtendedSequenceNumber, signal: AbortSignal): Promise<string> {
    const { client, stream, shardId } = this.#options;
    const { type, sequenceNumber, timestamp } = this.#beginning.of(after);
    const command = new GetShardIteratorCommand({
      ...streamAddress(stream),
      ShardId: shardId,
      ShardIteratorType: type,
      ...(sequenceNumber !== undefined && { StartingSequenceNumber: sequenceNumber }),
      ...(timestamp !== undefined && { Timestamp: timestamp }),
    });
    this.#backlog.expect(after);
    const answer = await this.#calls
      .call('kinesis:GetShardIterator', (options) => client.send(command, options), signal)
      .catch((error: unknown) => {
        throw refusedBeginning(error, after, shardId);
      });
    if (answer.ShardIterator === undefined) {
      throw new OperatingError('REQUEST_FAILED', `shard ${shardId}: Kinesis gave no iterator`, { retryable: true });
    }
    return answer.ShardIterator;
  }
}

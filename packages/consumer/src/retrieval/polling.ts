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

/** Of all shards that are polled. */
export interface PollingOptions {
  readonly client: KinesisClient;
  /** Kinesis records a read, and user records a batch (a single aggregate may pass it). */
  readonly maxRecordsPerRead: number;
  /** The pause between reads at the shard's tip, ms, at least 200; behind it, reads follow each other every 200 ms. */
  readonly idleTimeBetweenReadsMs: number;
  /** One call, ms. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
}

export interface PolledShard extends Omit<BeginningOptions, 'clock'> {
  readonly stream: StreamIdentifier;
  /** Undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
}

/** Reads a second are limited for all polling consumers of a shard together. */
export const SHORTEST_READ_INTERVAL_MS: number = 1000 / SHARD_GET_RECORDS_PER_SECOND;

const ERROR_CODES = { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' } as const;
const GONE: SourceRead = { batch: undefined, atShardEnd: true, childShards: [], millisBehindLatest: undefined };

export class PollingSource implements ShardSource {
  readonly #options: PollingOptions;
  readonly #stream: StreamIdentifier;
  readonly #shardId: string;
  readonly #backlog: Backlog;
  readonly #beginning: Beginning;
  /** Of the fetch under way: a shard rests most of the time, and keeps nothing of its calls then. */
  #calls: AwsCalls | undefined;
  #closed = false;
  #iterator: string | undefined;
  #nextReadAt = Number.NEGATIVE_INFINITY;

  constructor(options: PollingOptions, { stream, hashKeyRange, ...beginning }: PolledShard) {
    this.#options = options;
    this.#stream = stream;
    this.#shardId = beginning.shardId;
    this.#backlog = new Backlog({ maxRecordsPerBatch: options.maxRecordsPerRead, hashKeyRange });
    this.#beginning = new Beginning({ ...beginning, clock: options.clock });
  }

  get streamName(): string {
    return this.#stream.streamName;
  }

  dueAt(after: ExtendedSequenceNumber): number {
    return this.#backlog.isAt(after) && !this.#backlog.isSpent ? Number.NEGATIVE_INFINITY : this.#nextReadAt;
  }

  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal): Promise<SourceRead> {
    if (this.#closed) {
      throw new OperatingError('CLOSED', `shard ${this.#shardId}: closed`, { retryable: false });
    }
    if (!this.#backlog.isAt(after)) {
      this.#backlog.seek(after);
      this.#iterator = undefined;
    }
    if (this.#backlog.isSpent) {
      this.#calls = this.#openCalls();
      try {
        await this.#read(this.#calls, after, signal);
      } catch (error) {
        // The KCL's rule: the stream was deleted, or the shard is older than the stream's retention.
        if (isShardlineError(error) && error.code === 'STREAM_NOT_FOUND') return GONE;
        throw error;
      } finally {
        this.#calls = undefined;
      }
    }
    // Batches out of a big answer must not follow each other without letting timers and sockets have their turn.
    else await delay(this.#options.clock, 0, signal);
    return this.#backlog.read(after);
  }

  close(): void {
    this.#closed = true;
    this.#calls?.close();
    this.#backlog.drop();
  }

  #openCalls(): AwsCalls {
    const { client, requestTimeoutMs: timeoutMs, clock } = this.#options;
    const resource = `shard ${this.#shardId} of stream ${this.#stream.streamArn ?? this.#stream.streamName}`;
    return new AwsCalls({ client, timeoutMs, resource, codes: ERROR_CODES, clock });
  }

  async #read(calls: AwsCalls, after: ExtendedSequenceNumber, signal: AbortSignal): Promise<void> {
    const iterator = this.#iterator ?? (await this.#makeIterator(calls, after, signal));
    this.#iterator = iterator;
    const startedAt = this.#options.clock.now();
    this.#nextReadAt = startedAt + SHORTEST_READ_INTERVAL_MS;
    const { streamArn: StreamARN } = this.#stream;
    const command = new GetRecordsCommand({
      ShardIterator: iterator,
      Limit: this.#options.maxRecordsPerRead,
      // An iterator does not say in which account its stream is (KCL KinesisDataFetcher sends it, too).
      ...(StreamARN !== undefined && { StreamARN }),
    });
    const recordsApart = readRecordsApart(command);
    try {
      const answer = await calls.call(
        'kinesis:GetRecords',
        (options) => this.#options.client.send(command, options),
        signal,
      );
      const next = answer.NextShardIterator || undefined;
      const childShards = endOf(next, answer.ChildShards ?? [], this.#shardId);
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

  async #makeIterator(calls: AwsCalls, after: ExtendedSequenceNumber, signal: AbortSignal): Promise<string> {
    const { client } = this.#options;
    const shardId = this.#shardId;
    const { type, sequenceNumber, timestamp } = this.#beginning.of(after);
    const command = new GetShardIteratorCommand({
      ...streamAddress(this.#stream),
      ShardId: shardId,
      ShardIteratorType: type,
      ...(sequenceNumber !== undefined && { StartingSequenceNumber: sequenceNumber }),
      ...(timestamp !== undefined && { Timestamp: timestamp }),
    });
    this.#backlog.expect(after);
    const answer = await calls
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

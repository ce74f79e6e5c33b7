// Reads one shard by GetRecords, at its own pace (pace.ts). One of the few files that call AWS. Where to begin and the
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
  MAX_GET_RECORDS_BYTES,
  type MetricsSink,
  OperatingError,
  type StreamIdentifier,
  streamAddress,
} from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import { type Amount, type LeastBytes, USUAL_MAX_RECORD_BYTES } from '../coordination/room.ts';
import { Beginning, type BeginningOptions, endOf, readRecord, type StartingPosition } from './answer.ts';
import { Backlog, type StrayRecords } from './backlog.ts';
import { type CallMetrics, callMetricsOf } from './call-metrics.ts';
import { Pace } from './pace.ts';
import { readRecordsApart } from './raw-answer.ts';
import { RetentionEdge } from './retention-edge.ts';
import type { ShardSource, SourceRead } from './source.ts';

/** Of all shards that are polled. */
export interface PollingOptions {
  readonly client: KinesisClient;
  /** Kinesis records a read, and user records a batch (a single aggregate may pass it). */
  readonly maxRecordsPerRead: number;
  /** Default `deliver`. */
  readonly strayRecords?: StrayRecords;
  /** The pause between reads at the shard's tip, ms, at least 200; behind it, reads follow each other every 200 ms. */
  readonly idleTimeBetweenReadsMs: number;
  /** One call, ms. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  /** Default: none. */
  readonly metrics?: MetricsSink;
}

export interface PolledShard extends Omit<BeginningOptions, 'clock'> {
  /** As in the lease key, for metrics; undefined: it is the application's only one. */
  readonly streamId?: string | undefined;
  readonly stream: StreamIdentifier;
  /** Undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
}

const ERROR_CODES = { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' } as const;
const ALL: Amount = { bytes: MAX_GET_RECORDS_BYTES, recordCount: Number.POSITIVE_INFINITY };

export class PollingSource implements ShardSource {
  readonly #options: PollingOptions;
  readonly #stream: StreamIdentifier;
  readonly #shardId: string;
  readonly #backlog: Backlog;
  readonly #beginning: Beginning;
  /** Of the fetch under way: a shard rests most of the time, and keeps nothing of its calls then. */
  #calls: AwsCalls | undefined;
  #closed = false;
  /** What a Kinesis record of the last answer took, on average. */
  #recordBytes: number | undefined;
  #leastBytes: LeastBytes = 0;
  #iterator: string | undefined;
  /** The next iterator is made at the oldest record that is left; what is not after the position is passed over. */
  #isFromHorizon = false;
  /** The iterator was made at a number, or in place of such a one, and no record has come by it: it may stand at the horizon. */
  #awaitsFirst = false;
  readonly #pace: Pace;
  readonly #edge: RetentionEdge;
  readonly #metrics: CallMetrics;

  constructor(options: PollingOptions, { stream, streamId, hashKeyRange, ...beginning }: PolledShard) {
    this.#options = options;
    this.#stream = stream;
    this.#shardId = beginning.shardId;
    this.#edge = new RetentionEdge(options.clock);
    this.#pace = new Pace(options.idleTimeBetweenReadsMs);
    this.#metrics = callMetricsOf(options, { shardId: beginning.shardId, streamId });
    const { maxRecordsPerRead: maxRecordsPerBatch, strayRecords } = options;
    this.#backlog = new Backlog({ maxRecordsPerBatch, hashKeyRange, ...(strayRecords && { strayRecords }) });
    this.#beginning = new Beginning({ ...beginning, clock: options.clock });
  }

  get streamName(): string {
    return this.#stream.streamName;
  }

  dueAt(after: ExtendedSequenceNumber): number {
    return this.#backlog.isAt(after) && !this.#backlog.isSpent ? Number.NEGATIVE_INFINITY : this.#pace.dueAt;
  }

  get heldBytes(): number {
    return this.#backlog.heldBytes;
  }

  get leastBytes(): LeastBytes {
    return this.#leastBytes;
  }

  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most: Amount = ALL): Promise<SourceRead> {
    if (this.#closed) {
      throw new OperatingError('CLOSED', `shard ${this.#shardId}: closed`, { retryable: false });
    }
    if (!this.#backlog.isAt(after)) {
      this.#backlog.seek(after);
      this.#edge.begin();
      this.#iterator = undefined;
      this.#isFromHorizon = false;
    }
    if (this.#backlog.isSpent) {
      if (!this.#hasRoom(most.bytes)) return { ...this.#backlog.read(after), isOld: true };
      this.#calls = this.#openCalls();
      try {
        await this.#read(this.#calls, after, signal, most.bytes);
      } catch (error) {
        // The KCL's rule: the stream was deleted, or the shard is older than the stream's retention.
        if (isShardlineError(error) && error.code === 'STREAM_NOT_FOUND') return this.#backlog.readGone();
        throw error;
      } finally {
        this.#calls = undefined;
      }
    }
    // Batches out of a big answer must not follow each other without letting timers and sockets have their turn.
    else await delay(this.#options.clock, 0, signal);
    return this.#backlog.read(after, most.recordCount);
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

  async #read(calls: AwsCalls, after: ExtendedSequenceNumber, signal: AbortSignal, maxBytes: number): Promise<void> {
    // GetRecords goes on with the oldest record that is left, and does not say so.
    if (this.#edge.mustCheck(after)) this.#iterator = undefined;
    const iterator = this.#iterator ?? (await this.#makeIterator(calls, after, signal));
    this.#iterator = iterator;
    this.#pace.began(this.#options.clock.now());
    this.#edge.asks();
    const { streamArn: StreamARN } = this.#stream;
    const command = new GetRecordsCommand({
      ShardIterator: iterator,
      Limit: this.#limitFor(maxBytes),
      // An iterator does not say in which account its stream is (KCL KinesisDataFetcher sends it, too).
      ...(StreamARN !== undefined && { StreamARN }),
    });
    const recordsApart = readRecordsApart(command);
    try {
      const answer = await this.#metrics.counted('getRecords', signal, () =>
        calls.call('kinesis:GetRecords', (options) => this.#options.client.send(command, options), signal),
      );
      const next = answer.NextShardIterator || undefined;
      const childShards = endOf(next, answer.ChildShards ?? [], this.#shardId);
      const records = recordsApart() ?? (answer.Records ?? []).map(readRecord);
      // An answer is taken whole or, had it thrown above, not at all: the same iterator is then read again.
      this.#backlog.add({ records, millisBehindLatest: answer.MillisBehindLatest, childShards });
      this.#iterator = next;
      if (records.length > 0) this.#awaitsFirst = false;
      this.#edge.answered(answer.MillisBehindLatest, this.#awaitsFirst);
      // Whatever is left that follows the record which is waited for follows the oldest that is left, too.
      if (this.#edge.standsStill(records.length, answer.MillisBehindLatest) && this.#awaitsFirst) {
        this.#iterator = undefined;
        this.#isFromHorizon = true;
      }
      const isBehind = (answer.MillisBehindLatest ?? 0) > 0;
      const bytes = this.#backlog.heldBytes;
      if (records.length > 0) this.#recordBytes = Math.max(1, Math.ceil(bytes / records.length));
      // At the tip nothing may come for long: until then no room is kept free for it.
      this.#leastBytes = isBehind ? (this.#recordBytes ?? 0) : 0;
      this.#pace.answered(bytes, isBehind);
    } catch (error) {
      const code = awsCodeOf(error);
      if (code === 'ProvisionedThroughputExceededException') this.#pace.refused();
      if (code === 'ExpiredIteratorException') this.#metrics.iteratorExpired();
      // Unused for five minutes, as after a long stay in the handler, or of a server that was replaced: another one is made from
      // the position at the next read (KCL KinesisDataFetcher restarts on both).
      if (code === 'ExpiredIteratorException' || code === 'InvalidArgumentException') this.#iterator = undefined;
      if (code !== 'ExpiredIteratorException') throw error;
    }
  }

  /** GetRecords takes no bound in bytes, so it is given one in records, of the size that they had last. */
  #limitFor(maxBytes: number): number {
    const { maxRecordsPerRead } = this.#options;
    if (maxBytes >= MAX_GET_RECORDS_BYTES) return maxRecordsPerRead;
    const recordBytes = this.#recordBytes ?? USUAL_MAX_RECORD_BYTES;
    return Math.max(1, Math.min(maxRecordsPerRead, Math.floor(maxBytes / recordBytes)));
  }

  /** Whether one record fits in, as far as that is known. Who was told that none was seen yet, and asks again, gets one. */
  #hasRoom(bytes: number): boolean {
    if (bytes >= (this.#recordBytes ?? USUAL_MAX_RECORD_BYTES)) return true;
    if (this.#recordBytes === undefined && this.#leastBytes === 'unseen') return true;
    this.#leastBytes = this.#recordBytes ?? 'unseen';
    return false;
  }

  async #makeIterator(calls: AwsCalls, after: ExtendedSequenceNumber, signal: AbortSignal): Promise<string> {
    const { client } = this.#options;
    const shardId = this.#shardId;
    const horizon: StartingPosition = { type: 'TRIM_HORIZON' };
    const { type, sequenceNumber, timestamp } = this.#isFromHorizon ? horizon : this.#beginning.of(after);
    const command = new GetShardIteratorCommand({
      ...streamAddress(this.#stream),
      ShardId: shardId,
      ShardIteratorType: type,
      ...(sequenceNumber !== undefined && { StartingSequenceNumber: sequenceNumber }),
      ...(timestamp !== undefined && { Timestamp: timestamp }),
    });
    this.#edge.beginsAt(after, this.#backlog);
    const answer = await this.#metrics
      .counted('getShardIterator', signal, () =>
        calls.call('kinesis:GetShardIterator', (options) => client.send(command, options), signal),
      )
      .catch((error: unknown) => {
        throw this.#beginning.refused(error, after);
      });
    if (answer.ShardIterator === undefined) {
      throw new OperatingError('REQUEST_FAILED', `shard ${shardId}: Kinesis gave no iterator`, { retryable: true });
    }
    this.#awaitsFirst = this.#isFromHorizon || type === 'AT_SEQUENCE_NUMBER';
    this.#isFromHorizon = false;
    return answer.ShardIterator;
  }
}

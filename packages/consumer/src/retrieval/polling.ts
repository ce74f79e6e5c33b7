// Reads one shard by GetRecords, at most five times a second, and takes aggregated records apart. One of the few files that
// call AWS. Where to begin and the shard's end follow the KCL (KinesisDataFetcher, DataRetrievalUtil); back-off is the core's.
// Invariant: `#position` is the last user record given out, and the iterator stands behind the last record of `#backlog`, so
// that an iterator can be made again at any time from `#position`, with what is at or before it passed over.
import {
  type ChildShard as AnsweredChild,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type GetShardIteratorCommandInput,
  type KinesisClient,
} from '@aws-sdk/client-kinesis';
import {
  type Clock,
  compareExtended,
  delay,
  type ExtendedSequenceNumber,
  type HashKeyRange,
  invariant,
  isShardlineError,
  OperatingError,
  parseSequenceNumber,
  type SequenceNumber,
  SHARD_GET_RECORDS_PER_SECOND,
  type StreamIdentifier,
  streamAddress,
} from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import type { ChildShard } from '../coordination/lease.ts';
import type { UserRecord } from '../handler.ts';
import { deaggregate, type KinesisRecord } from './deaggregate.ts';
import { readChild } from './shards.ts';
import type { Gap, ShardSource, SourceBatch, SourceRead } from './source.ts';

export interface PollingSourceOptions {
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  readonly shardId: string;
  /** The shard's; undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
  /** What AT_TIMESTAMP stands for; it is not kept in the lease table. */
  readonly timestamp: Date | undefined;
  /** What LATEST stands for; undefined: now. */
  readonly latestSince?: Date | undefined;
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

const GONE: SourceRead = { batch: undefined, atShardEnd: true, childShards: [] };

export class PollingSource implements ShardSource {
  readonly streamName: string;
  readonly #options: PollingSourceOptions;
  readonly #clock: Clock;
  readonly #calls: AwsCalls;
  #position: ExtendedSequenceNumber | undefined;
  #iterator: string | undefined;
  /** When reading from LATEST began, by the calendar: what comes after it is ours even if the iterator has to be made again. */
  #latestSince: Date | undefined;
  #backlog: readonly KinesisRecord[] = [];
  #backlogAt = 0;
  #millisBehindLatest: number | undefined;
  /** The number that the iterator was made at: the first record to come, unless it was dropped by the stream. */
  #expected: SequenceNumber | undefined;
  #gap: Gap | undefined;
  /** Set once the shard's last records are in the backlog. */
  #children: readonly ChildShard[] | undefined;
  #nextReadAt = Number.NEGATIVE_INFINITY;

  constructor(options: PollingSourceOptions) {
    this.#options = options;
    this.streamName = options.stream.streamName;
    this.#clock = options.clock;
    this.#calls = new AwsCalls({
      client: options.client,
      timeoutMs: options.requestTimeoutMs,
      resource: `shard ${options.shardId} of stream ${options.stream.streamArn ?? options.stream.streamName}`,
      codes: { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' },
      clock: options.clock,
    });
  }

  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal): Promise<SourceRead> {
    if (this.#position === undefined || compareExtended(after, this.#position) !== 0) this.#seek(after);
    if (this.#backlogAt === this.#backlog.length && this.#children === undefined) {
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
    const batch = this.#takeBatch(after);
    if (this.#children === undefined || this.#backlogAt < this.#backlog.length) {
      return { batch, atShardEnd: false, childShards: [] };
    }
    return { batch, atShardEnd: true, childShards: this.#children };
  }

  close(): void {
    this.#calls.close();
    this.#dropBacklog();
  }

  #seek(after: ExtendedSequenceNumber): void {
    this.#position = after;
    this.#iterator = undefined;
    this.#latestSince = this.#options.latestSince;
    this.#children = undefined;
    this.#dropBacklog();
  }

  #dropBacklog(): void {
    this.#backlog = [];
    this.#backlogAt = 0;
  }

  // --- reading ---

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
    try {
      const answer = await this.#calls.call(
        'kinesis:GetRecords',
        (options) => this.#options.client.send(command, options),
        signal,
      );
      const next = answer.NextShardIterator || undefined;
      const children = endOf(next, answer.ChildShards ?? [], this.#options.shardId);
      const records = (answer.Records ?? []).map(readRecord);
      // An answer is taken whole or, had it thrown above, not at all: the same iterator is then read again.
      this.#children = children;
      this.#iterator = next;
      this.#millisBehindLatest = answer.MillisBehindLatest;
      this.#backlog = records;
      this.#backlogAt = 0;
      this.#lookForGap();
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

  /** KCL IteratorBuilder: a number is read again, as there may be more of its aggregate, and what was handled is passed over. */
  async #makeIterator({ sequenceNumber }: ExtendedSequenceNumber, signal: AbortSignal): Promise<string> {
    const { client, stream, shardId } = this.#options;
    const command = new GetShardIteratorCommand({
      ...streamAddress(stream),
      ShardId: shardId,
      ...this.#startingPosition(sequenceNumber),
    });
    this.#expected = typeof sequenceNumber === 'bigint' ? sequenceNumber : undefined;
    if (sequenceNumber === 'LATEST') this.#latestSince ??= new Date(this.#clock.wallNow());
    const answer = await this.#calls.call(
      'kinesis:GetShardIterator',
      (options) => client.send(command, options),
      signal,
    );
    if (answer.ShardIterator === undefined) {
      throw new OperatingError('REQUEST_FAILED', `shard ${shardId}: Kinesis gave no iterator`, { retryable: true });
    }
    return answer.ShardIterator;
  }

  #startingPosition(
    sequenceNumber: ExtendedSequenceNumber['sequenceNumber'],
  ): Pick<GetShardIteratorCommandInput, 'ShardIteratorType'> & Partial<GetShardIteratorCommandInput> {
    if (typeof sequenceNumber === 'bigint') {
      return { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: String(sequenceNumber) };
    }
    if (sequenceNumber === 'TRIM_HORIZON') return { ShardIteratorType: 'TRIM_HORIZON' };
    if (sequenceNumber === 'LATEST') {
      // A second LATEST would skip what came since the first.
      if (this.#latestSince === undefined) return { ShardIteratorType: 'LATEST' };
      return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: this.#latestSince };
    }
    invariant(sequenceNumber === 'AT_TIMESTAMP', 'nothing is read after SHARD_END');
    const { timestamp, shardId } = this.#options;
    if (timestamp === undefined) {
      const message = `shard ${shardId} begins AT_TIMESTAMP, but initialPosition gives no timestamp`;
      throw new OperatingError('REQUEST_FAILED', message, { retryable: false });
    }
    return { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: timestamp };
  }

  #lookForGap(): void {
    const [first] = this.#backlog;
    if (this.#expected === undefined || first === undefined) return;
    const before = parseSequenceNumber(first.sequenceNumber);
    if (before > this.#expected) this.#gap = { after: this.#expected, before };
    this.#expected = undefined;
  }

  // --- giving out ---

  /** Takes apart as much of the backlog as makes one batch; the rest waits, undecoded, for the next fetch. */
  #takeBatch(after: ExtendedSequenceNumber): SourceBatch | undefined {
    const records: UserRecord[] = [];
    let last = after;
    let byteCount = 0;
    let kinesisRecordCount = 0;
    let corruptCount = 0;
    let strayCount = 0;
    while (this.#backlogAt < this.#backlog.length && records.length < this.#options.maxRecordsPerRead) {
      const record = this.#backlog[this.#backlogAt] as KinesisRecord;
      this.#backlogAt += 1;
      const sequenceNumber = parseSequenceNumber(record.sequenceNumber);
      if (typeof after.sequenceNumber === 'bigint' && sequenceNumber < after.sequenceNumber) continue;
      const known = sequenceNumber === after.sequenceNumber ? after.subSequenceNumber : -1;
      const { records: all, corrupt, strayCount: strays } = deaggregate(record, this.#options.hashKeyRange);
      const position = { sequenceNumber, subSequenceNumber: Math.max(0, all.length - 1) };
      if (compareExtended(position, last) > 0) last = position;
      // Of a record that is read again for its rest, everything was counted the first time.
      if (known < 0) {
        kinesisRecordCount += 1;
        strayCount += strays;
        if (corrupt) corruptCount += 1;
      }
      for (let index = known + 1; index < all.length; index += 1) {
        const userRecord = all[index] as UserRecord;
        byteCount += userRecord.data.length;
        records.push(userRecord);
      }
    }
    if (this.#backlogAt === this.#backlog.length) this.#dropBacklog();
    if (compareExtended(last, after) === 0) return undefined;
    this.#position = last;
    const millisBehindLatest = this.#millisBehindLatest;
    const gap = this.#gap;
    this.#gap = undefined;
    return { records, byteCount, last, millisBehindLatest, kinesisRecordCount, corruptCount, strayCount, gap };
  }
}

/**
 * The children if this was the shard's last answer: it has no next iterator and names its children, or neither. Anything else
 * is a half-made answer of a shard that is just being closed, to be asked for again (KCL DataRetrievalUtil.isValidResult).
 */
function endOf(
  next: string | undefined,
  children: readonly AnsweredChild[],
  shardId: string,
): readonly ChildShard[] | undefined {
  if (next !== undefined && children.length === 0) return undefined;
  if (next === undefined && children.length > 0) return children.map(readChild);
  const what = next === undefined ? 'neither a next iterator nor children' : 'a next iterator beside children';
  throw new OperatingError('REQUEST_FAILED', `shard ${shardId}: Kinesis gave ${what}`, { retryable: true });
}

function readRecord(record: {
  readonly SequenceNumber?: string | undefined;
  readonly Data?: Uint8Array | undefined;
  readonly PartitionKey?: string | undefined;
  readonly ApproximateArrivalTimestamp?: Date | undefined;
}): KinesisRecord {
  if (record.SequenceNumber === undefined || record.Data === undefined) {
    throw new OperatingError('REQUEST_FAILED', 'Kinesis gave a record without sequence number or data', {
      retryable: true,
    });
  }
  return {
    sequenceNumber: record.SequenceNumber,
    data: record.Data,
    // Streams that choose keys by themselves return none.
    partitionKey: record.PartitionKey ?? '',
    approximateArrivalTimestamp: record.ApproximateArrivalTimestamp ?? new Date(0),
  };
}

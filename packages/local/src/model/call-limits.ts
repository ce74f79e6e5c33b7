// How often the operations on streams and their settings may be called, and on how many of them at once, as on AWS: an account's or
// a stream's share of each operation is a token bucket of one second. Off unless asked for: a test calls more often than anybody
// else. The rates of shards are another matter (rate-limit.ts).
import { ACCOUNT_DESCRIBE_STREAM_SUMMARY_PER_SECOND, STREAM_LIST_SHARDS_PER_SECOND } from '@shardline/common/base';
import { KinesisError } from './errors.ts';
import { TokenBucket } from './rate-limit.ts';
import type { Stream, StreamStatus } from './stream.ts';

/** What a call is about, as far as its input says. */
export interface CallSubject {
  readonly streamName?: string | undefined;
  readonly consumerName?: string | undefined;
  readonly shardId?: string | undefined;
}

/** Calls a second, of all that have the same subject down to the scope. */
export interface CallLimit {
  readonly perSecond: number;
  readonly scope: 'account' | 'stream' | 'shard' | 'consumer and shard';
}

/**
 * By operation. From its page of the API reference; where that gives none (retention, monitoring, policies), from "Quotas and
 * limits" of the developer guide. Tagging by ARN, encryption and the stream's capacity have none but those of a day.
 */
export const CALL_LIMITS: Readonly<Record<string, CallLimit>> = {
  AddTagsToStream: { perSecond: 5, scope: 'account' },
  CreateStream: { perSecond: 5, scope: 'account' },
  DecreaseStreamRetentionPeriod: { perSecond: 5, scope: 'stream' },
  DeleteResourcePolicy: { perSecond: 5, scope: 'account' },
  DeleteStream: { perSecond: 5, scope: 'account' },
  DeregisterStreamConsumer: { perSecond: 5, scope: 'stream' },
  DescribeAccountSettings: { perSecond: 5, scope: 'account' },
  DescribeLimits: { perSecond: 1, scope: 'account' },
  DescribeStream: { perSecond: 10, scope: 'account' },
  DescribeStreamConsumer: { perSecond: 20, scope: 'stream' },
  DescribeStreamSummary: { perSecond: ACCOUNT_DESCRIBE_STREAM_SUMMARY_PER_SECOND, scope: 'account' },
  DisableEnhancedMonitoring: { perSecond: 5, scope: 'stream' },
  EnableEnhancedMonitoring: { perSecond: 5, scope: 'stream' },
  GetResourcePolicy: { perSecond: 5, scope: 'account' },
  GetShardIterator: { perSecond: 5, scope: 'shard' },
  IncreaseStreamRetentionPeriod: { perSecond: 5, scope: 'stream' },
  ListShards: { perSecond: STREAM_LIST_SHARDS_PER_SECOND, scope: 'stream' },
  ListStreamConsumers: { perSecond: 5, scope: 'stream' },
  ListStreams: { perSecond: 5, scope: 'account' },
  ListTagsForStream: { perSecond: 5, scope: 'account' },
  MergeShards: { perSecond: 5, scope: 'account' },
  PutResourcePolicy: { perSecond: 5, scope: 'account' },
  RegisterStreamConsumer: { perSecond: 5, scope: 'account' },
  RemoveTagsFromStream: { perSecond: 5, scope: 'account' },
  SplitShard: { perSecond: 5, scope: 'account' },
  SubscribeToShard: { perSecond: 1, scope: 'consumer and shard' },
  UpdateAccountSettings: { perSecond: 5, scope: 'account' },
  UpdateShardCount: { perSecond: 10, scope: 'stream' },
  UpdateStreamWarmThroughput: { perSecond: 5, scope: 'account' },
};

/**
 * Streams that may be CREATING or DELETING at once (API_CreateStream: five), and streams that may be splitting or merging at once:
 * "too many streams in parallel", of which AWS gives no number.
 */
export const MAX_STREAMS_CHANGING = 5;
/** "You cannot have more than 5 consumers in a CREATING status at the same time" (API_RegisterStreamConsumer). */
export const MAX_CONSUMERS_CREATING = 5;

/** A bucket that is full says no more than none: when there are so many, those are let go. */
const MAX_IDLE_BUCKETS = 10_000;

export class CallLimits {
  readonly #accountId: string;
  readonly #buckets: Map<string, TokenBucket> = new Map();
  #sweepAt = MAX_IDLE_BUCKETS;

  constructor(accountId: string) {
    this.#accountId = accountId;
  }

  /** Takes a call. @throws KinesisError LimitExceededException, for GetShardIterator ProvisionedThroughputExceededException */
  admit(operation: string, subject: CallSubject, now: number): void {
    const limit = CALL_LIMITS[operation];
    if (limit === undefined) return;
    const bucket = this.#bucket(`${operation}/${keyOf(limit.scope, subject)}`, limit.perSecond, now);
    if (!bucket.admits(1, now)) throw this.#rateExceeded(operation, subject);
    bucket.take(1, now);
  }

  /** Forgets all calls. */
  clear(): void {
    this.#buckets.clear();
  }

  /** How many buckets are held. */
  get size(): number {
    return this.#buckets.size;
  }

  /** @throws KinesisError LimitExceededException */
  refuseMoreStreams(streams: Iterable<Stream>, ...statuses: StreamStatus[]): void {
    let changing = 0;
    for (const { status } of streams) if (statuses.includes(status)) changing++;
    if (changing < MAX_STREAMS_CHANGING) return;
    throw new KinesisError(
      'LimitExceededException',
      `This request would have exceed the limit on the number of streams that can simultaneously be in ${statuses.join(' or ')} for the account ${this.#accountId}. Limit: ${MAX_STREAMS_CHANGING}.`,
    );
  }

  /** @throws KinesisError LimitExceededException */
  refuseMoreConsumers(streams: Iterable<Stream>): void {
    let creating = 0;
    for (const { consumers } of streams) {
      for (const { status } of consumers.values()) if (status === 'CREATING') creating++;
    }
    if (creating < MAX_CONSUMERS_CREATING) return;
    throw new KinesisError(
      'LimitExceededException',
      `This request would have exceed the limit on the number of consumers that can simultaneously be in CREATING for the account ${this.#accountId}. Limit: ${MAX_CONSUMERS_CREATING}.`,
    );
  }

  #bucket(key: string, perSecond: number, now: number): TokenBucket {
    const held = this.#buckets.get(key);
    if (held !== undefined) return held;
    if (this.#buckets.size >= this.#sweepAt) this.#sweep(now);
    const bucket = new TokenBucket(perSecond);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #sweep(now: number): void {
    for (const [key, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(key);
    this.#sweepAt = Math.max(MAX_IDLE_BUCKETS, this.#buckets.size * 2);
  }

  /** AWS names the stream even when the account's share is used up. */
  #rateExceeded(operation: string, { streamName, shardId }: CallSubject): KinesisError {
    const account = `account ${this.#accountId}`;
    if (streamName === undefined) return new KinesisError('LimitExceededException', `Rate exceeded for ${account}.`);
    const stream = `stream ${streamName} under ${account}`;
    if (operation !== 'GetShardIterator') {
      return new KinesisError('LimitExceededException', `Rate exceeded for ${stream}.`);
    }
    return new KinesisError(
      'ProvisionedThroughputExceededException',
      `Rate exceeded for shard ${shardId} in ${stream}.`,
    );
  }
}

function keyOf(scope: CallLimit['scope'], { streamName, consumerName, shardId }: CallSubject): string {
  switch (scope) {
    case 'account':
      return '';
    case 'stream':
      return `${streamName}`;
    case 'shard':
      return `${streamName}/${shardId}`;
    case 'consumer and shard':
      return `${streamName}/${consumerName}/${shardId}`;
  }
}

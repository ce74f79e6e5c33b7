// The stream's shards by ListShards, and its name and age by DescribeStreamSummary. One of the few files that call AWS; it
// decides nothing about leases.
// Pages after the first are asked for by their token, and the ARN if there is one: the API refuses a token beside a name or a
// filter, but without the ARN a stream of another account isn't found.
import {
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  type Shard as ListedShard,
  ListShardsCommand,
  type ListShardsCommandInput,
  type ListShardsCommandOutput,
  type ShardFilter,
} from '@aws-sdk/client-kinesis';
import {
  type Clock,
  invariant,
  isShardlineError,
  type MultiStreamIdentifier,
  OperatingError,
  parseHashKey,
  parseSequenceNumber,
  parseStream,
  type StreamIdentifier,
  streamAddress,
} from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import type { ListShards } from '../coordination/effects.ts';
import type { ChildShard, Shard } from '../coordination/lease.ts';
import type { InitialPosition } from '../coordination/shard-sync.ts';
import type { NumberAnswer } from './foreign-leases.ts';

export interface StreamShardsOptions {
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  readonly initialPosition: InitialPosition;
  /** With AT_TIMESTAMP. */
  readonly timestamp: Date | undefined;
  /** One call, ms. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
}

/** Shards of the page that is looked at before work begins. */
const MOST_TO_PICK_FROM = 1_000;

export class StreamShards {
  readonly #options: StreamShardsOptions;
  readonly #calls: AwsCalls;

  constructor(options: StreamShardsOptions) {
    this.#options = options;
    const { requestTimeoutMs: timeoutMs, clock } = options;
    this.#calls = new AwsCalls({
      client: options.client,
      timeoutMs,
      clock,
      resource: `stream ${options.stream.streamArn ?? options.stream.streamName}`,
      codes: { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' },
    });
  }

  /** What the stream is called in an application of several, and its ARN. @throws OperatingError STREAM_NOT_FOUND, ACCESS_DENIED */
  async identify(): Promise<{ readonly identifier: MultiStreamIdentifier; readonly streamArn: string }> {
    const command = new DescribeStreamSummaryCommand(streamAddress(this.#options.stream));
    const { StreamDescriptionSummary: summary } = await this.#calls.call('kinesis:DescribeStreamSummary', (options) =>
      this.#options.client.send(command, options),
    );
    if (summary?.StreamARN === undefined || summary.StreamCreationTimestamp === undefined) {
      throw incomplete('StreamDescriptionSummary');
    }
    const { accountId, streamName } = parseStream(summary.StreamARN, 'StreamARN');
    invariant(accountId !== undefined, 'an ARN names an account');
    const creationEpochSeconds = Math.floor(summary.StreamCreationTimestamp.getTime() / 1000);
    return { identifier: { accountId, streamName, creationEpochSeconds }, streamArn: summary.StreamARN };
  }

  /**
   * Whether the stream can be listed and read, tried on a shard of the first page that chance picks, since all workers of a deploy
   * try: its reads are limited for all of them together.
   * @param random 0 ≤ x < 1
   * @throws OperatingError STREAM_NOT_FOUND or ACCESS_DENIED, among others.
   */
  async check(random: number): Promise<void> {
    const Shards = await this.checkListing();
    const picked = Shards[Math.floor(random * Shards.length)]?.ShardId;
    if (picked === undefined) return;
    try {
      await this.#tryToRead(picked);
    } catch (error) {
      // Anything else than a refusal may be the shard's own, as a throttled read is.
      if (isShardlineError(error) && error.code === 'ACCESS_DENIED') throw error;
    }
  }

  /** Whether the stream can be listed. @returns the first page. @throws OperatingError as `check`. */
  async checkListing(): Promise<readonly ListedShard[]> {
    const { Shards } = await this.#page({ ...streamAddress(this.#options.stream), MaxResults: MOST_TO_PICK_FROM });
    return Shards ?? [];
  }

  async #tryToRead(ShardId: string): Promise<void> {
    const { client, stream } = this.#options;
    const from = new GetShardIteratorCommand({ ...streamAddress(stream), ShardId, ShardIteratorType: 'LATEST' });
    const { ShardIterator } = await this.#calls.call('kinesis:GetShardIterator', (options) =>
      client.send(from, options),
    );
    const { streamArn: StreamARN } = stream;
    const read = new GetRecordsCommand({ ShardIterator, Limit: 1, ...(StreamARN !== undefined && { StreamARN }) });
    await this.#calls.call('kinesis:GetRecords', (options) => client.send(read, options));
  }

  /** Whether a checkpoint is a place to read from: Kinesis takes no number that another stream, or another shard, has given out. */
  async knows(ShardId: string, sequenceNumber: bigint): Promise<NumberAnswer> {
    const { client, stream } = this.#options;
    const command = new GetShardIteratorCommand({
      ...streamAddress(stream),
      ShardId,
      ShardIteratorType: 'AT_SEQUENCE_NUMBER',
      StartingSequenceNumber: String(sequenceNumber),
    });
    try {
      await this.#calls.call('kinesis:GetShardIterator', (options) => client.send(command, options));
      return 'taken';
    } catch (error) {
      const code = awsCodeOf(error);
      if (code === 'InvalidArgumentException') return 'refused';
      return code === 'ResourceNotFoundException' ? 'noSuchShard' : undefined;
    }
  }

  /** All shards, or those at the initial position (where records can still be read from there on). */
  async list(filter: ListShards['filter']): Promise<Shard[]> {
    const shards: Shard[] = [];
    const { streamArn } = this.#options.stream;
    let input: ListShardsCommandInput = {
      ...streamAddress(this.#options.stream),
      ...(filter === 'initial' && { ShardFilter: this.#initialFilter() }),
    };
    for (;;) {
      const { Shards, NextToken } = await this.#page(input);
      for (const shard of Shards ?? []) shards.push(readShard(shard));
      if (NextToken === undefined) return shards;
      input = { NextToken, ...(streamArn !== undefined && { StreamARN: streamArn }) };
    }
  }

  close(): void {
    this.#calls.close();
  }

  async #page(input: ListShardsCommandInput): Promise<Pick<ListShardsCommandOutput, 'Shards' | 'NextToken'>> {
    const command = new ListShardsCommand(input);
    return this.#calls.call('kinesis:ListShards', (options) => this.#options.client.send(command, options));
  }

  #initialFilter(): ShardFilter {
    const { initialPosition, timestamp } = this.#options;
    if (initialPosition === 'LATEST') return { Type: 'AT_LATEST' };
    if (initialPosition === 'TRIM_HORIZON') return { Type: 'AT_TRIM_HORIZON' };
    invariant(timestamp !== undefined, 'AT_TIMESTAMP has a timestamp');
    return { Type: 'AT_TIMESTAMP', Timestamp: timestamp };
  }
}

/** A child as the last answer of its parent names it. @throws OperatingError when the answer is incomplete. */
export function readChild(child: {
  readonly ShardId?: string | undefined;
  readonly ParentShards?: readonly string[] | undefined;
  readonly HashKeyRange?: ListedShard['HashKeyRange'];
}): ChildShard {
  const parentShardIds = child.ParentShards ?? [];
  if (child.ShardId === undefined || parentShardIds.length === 0) throw incomplete('ChildShards');
  return { shardId: child.ShardId, parentShardIds, hashKeyRange: readRange(child.HashKeyRange) };
}

function readShard(shard: ListedShard): Shard {
  const starting = shard.SequenceNumberRange?.StartingSequenceNumber;
  const ending = shard.SequenceNumberRange?.EndingSequenceNumber;
  if (shard.ShardId === undefined || starting === undefined) throw incomplete('Shards');
  return {
    shardId: shard.ShardId,
    parentShardIds: [shard.ParentShardId, shard.AdjacentParentShardId].filter((id) => id !== undefined),
    hashKeyRange: readRange(shard.HashKeyRange),
    startingSequenceNumber: parseSequenceNumber(starting),
    endingSequenceNumber: ending === undefined ? undefined : parseSequenceNumber(ending),
  };
}

function readRange(range: ListedShard['HashKeyRange']): Shard['hashKeyRange'] {
  if (range?.StartingHashKey === undefined || range.EndingHashKey === undefined) throw incomplete('HashKeyRange');
  return {
    start: parseHashKey(range.StartingHashKey, 'StartingHashKey'),
    end: parseHashKey(range.EndingHashKey, 'EndingHashKey'),
  };
}

function incomplete(field: string): OperatingError {
  return new OperatingError('REQUEST_FAILED', `Kinesis answered with an incomplete ${field}`, { retryable: true });
}

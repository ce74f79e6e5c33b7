// The Kinesis of a shell's world, as a worker's client: the SDK's commands, answered by the local server's model of Kinesis at the
// time at which they arrive. What it is not taught it refuses, so that nothing passes unseen.
import {
  DescribeStreamSummaryCommand,
  type DescribeStreamSummaryCommandOutput,
  GetRecordsCommand,
  type GetRecordsCommandOutput,
  GetShardIteratorCommand,
  type GetShardIteratorCommandInput,
  type KinesisClient,
  type Shard as ListedShard,
  ListShardsCommand,
  type ListShardsCommandOutput,
} from '@aws-sdk/client-kinesis';
import {
  KinesisError,
  type KinesisModel,
  type ListShardsRequest,
  type Shard,
  type StartingPosition,
} from '@shardline/local';
import { type Host, WALL_START_MS } from './host.ts';
import { type Network, serviceError } from './network.ts';
import type { PlantedBug } from './planted-bugs.ts';
import type { VirtualTime } from './virtual-time.ts';

export const STREAM = 'simulated';
const STREAM_ARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${STREAM}`;

export interface KinesisOptions {
  readonly model: KinesisModel;
  readonly time: VirtualTime;
  readonly network: Pick<Network, 'send'>;
  /** Shards a page of ListShards. */
  readonly pageSize: number;
  /** Whether this call finds its iterator expired. */
  readonly expires: () => boolean;
  readonly bug: PlantedBug | undefined;
}

type Answer = object;

export class SimulatedKinesis {
  readonly #options: KinesisOptions;
  /** Iterators that were found expired, and stay so. */
  readonly #expired = new Set<string>();

  constructor(options: KinesisOptions) {
    this.#options = options;
  }

  /** For one worker. */
  clientOf(host: Host): KinesisClient {
    const { network } = this.#options;
    const send = (command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<Answer> =>
      network.send({
        host,
        what: describe(command),
        signal: options?.abortSignal,
        throttledAs: 'ProvisionedThroughputExceededException',
        // The workers' clients for Kinesis leave every retry to the core.
        mayBeSentAgain: false,
        carryOut: () => this.#answer(command),
      });
    const client = { send, destroy: () => undefined, config: { region: async () => 'us-east-1' } };
    return client as unknown as KinesisClient;
  }

  #answer(command: object): Answer {
    const { bug } = this.#options;
    try {
      return bug?.kinesis?.(command, (asked) => this.#carryOut(asked)) ?? this.#carryOut(command);
    } catch (error) {
      if (error instanceof KinesisError) throw serviceError(error.type, error.message);
      throw error;
    }
  }

  #carryOut(command: object): Answer {
    if (command instanceof GetRecordsCommand) return this.#getRecords(command);
    if (command instanceof GetShardIteratorCommand) return this.#getShardIterator(command);
    if (command instanceof ListShardsCommand) return this.#listShards(command);
    if (command instanceof DescribeStreamSummaryCommand) return this.#describe();
    throw new Error(`expected a command that a polling consumer sends, got ${command.constructor.name}`);
  }

  get #now(): number {
    return WALL_START_MS + this.#options.time.now;
  }

  #getRecords({ input }: GetRecordsCommand): Pick<GetRecordsCommandOutput, 'Records' | 'NextShardIterator'> {
    const { model, expires } = this.#options;
    const shardIterator = input.ShardIterator ?? '';
    if (expires()) this.#expired.add(shardIterator);
    if (this.#expired.has(shardIterator)) throw serviceError('ExpiredIteratorException', 'Iterator expired.');
    const { records, nextShardIterator, millisBehindLatest, childShards } = model.getRecords(
      { shardIterator, limit: input.Limit },
      this.#now,
    );
    const answer = {
      Records: records.map(({ sequenceNumber, data, partitionKey, arrivalMs }) => ({
        SequenceNumber: String(sequenceNumber),
        Data: data,
        PartitionKey: partitionKey ?? '',
        ApproximateArrivalTimestamp: new Date(arrivalMs),
      })),
      MillisBehindLatest: millisBehindLatest,
    };
    if (nextShardIterator !== null) return { ...answer, NextShardIterator: nextShardIterator };
    const ChildShards = childShards.map(({ shardId, parentShards, hashKeyRange }) => ({
      ShardId: shardId,
      ParentShards: [...parentShards],
      HashKeyRange: rangeOf(hashKeyRange),
    }));
    return Object.assign(answer, { ChildShards });
  }

  #getShardIterator({ input }: GetShardIteratorCommand): { ShardIterator: string } {
    const request = { streamName: STREAM, shardId: input.ShardId ?? '', position: positionOf(input) };
    return { ShardIterator: this.#options.model.getShardIterator(request, this.#now) };
  }

  #listShards({ input }: ListShardsCommand): Pick<ListShardsCommandOutput, 'Shards' | 'NextToken'> {
    const { model, pageSize } = this.#options;
    const maxResults = Math.min(input.MaxResults ?? pageSize, pageSize);
    const type = input.ShardFilter?.Type;
    if (type !== undefined && type !== 'AT_TRIM_HORIZON')
      throw new Error(`expected the shard filter AT_TRIM_HORIZON, got ${type}`);
    const first: ListShardsRequest = {
      streamName: STREAM,
      maxResults,
      ...(type !== undefined && { filter: { kind: type } }),
    };
    const request = input.NextToken === undefined ? first : { nextToken: input.NextToken, maxResults };
    const { shards, nextToken } = model.listShards(request, this.#now);
    return { Shards: shards.map(shardOf), ...(nextToken !== undefined && { NextToken: nextToken }) };
  }

  #describe(): Pick<DescribeStreamSummaryCommandOutput, 'StreamDescriptionSummary'> {
    const { createdMs, openShards } = this.#options.model.stream(STREAM, this.#now);
    const summary = {
      StreamName: STREAM,
      StreamARN: STREAM_ARN,
      StreamStatus: 'ACTIVE' as const,
      RetentionPeriodHours: 24,
      StreamCreationTimestamp: new Date(createdMs),
      EnhancedMonitoring: [],
      OpenShardCount: openShards.length,
    };
    return { StreamDescriptionSummary: summary };
  }
}

function positionOf(input: GetShardIteratorCommandInput): StartingPosition {
  const { ShardIteratorType: type, StartingSequenceNumber: number = '' } = input;
  if (type === 'TRIM_HORIZON' || type === 'LATEST') return { kind: type };
  if (type === 'AT_SEQUENCE_NUMBER') return { kind: type, sequenceNumber: BigInt(number) };
  throw new Error(`expected an iterator as a consumer from TRIM_HORIZON asks for, got ${type}`);
}

function shardOf({ id, origin, startingSequenceNumber, end }: Shard): ListedShard {
  const [ParentShardId, AdjacentParentShardId] = origin.parentIds;
  return {
    ShardId: id,
    HashKeyRange: rangeOf(origin.range),
    SequenceNumberRange: {
      StartingSequenceNumber: String(startingSequenceNumber),
      ...(end && { EndingSequenceNumber: String(end.endingSequenceNumber) }),
    },
    ...(ParentShardId !== undefined && { ParentShardId }),
    ...(AdjacentParentShardId !== undefined && { AdjacentParentShardId }),
  };
}

function rangeOf({ start, end }: { start: bigint; end: bigint }): { StartingHashKey: string; EndingHashKey: string } {
  return { StartingHashKey: String(start), EndingHashKey: String(end) };
}

function describe(command: object): string {
  const { name } = command.constructor;
  const { ShardId } = (command as { readonly input: { readonly ShardId?: string } }).input;
  return name.replace(/Command$/, '') + (ShardId === undefined ? '' : ` of ${ShardId}`);
}

// The Kinesis of a shell's world, as a worker's client: the SDK's commands, answered by the local server's model of Kinesis at the
// time at which they arrive. What it is not taught it refuses, so that nothing passes unseen.
import {
  DescribeStreamConsumerCommand,
  type DescribeStreamConsumerCommandInput,
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
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import {
  KinesisError,
  type KinesisModel,
  type ListShardsRequest,
  type Shard,
  type StartingPosition,
  type StreamConsumer,
} from '@shardline/local';
import { EVENT_STREAM_CONTENT_TYPE } from '../../../local/dist/server/event-stream.js';
import type { Connection } from './connection.ts';
import type { SimulatedFanOut } from './fan-out.ts';
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
  readonly fanOut: SimulatedFanOut;
  /** Whether Kinesis no longer knows the number that this subscription is to go on from. */
  readonly forgets: () => boolean;
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
    const call = (command: object, signal: AbortSignal | undefined): Promise<Answer> =>
      network.send({
        host,
        what: describe(command),
        signal,
        throttledAs: ofFanOut(command) ? 'LimitExceededException' : 'ProvisionedThroughputExceededException',
        // The workers' clients for Kinesis leave every retry to the core.
        mayBeSentAgain: false,
        carryOut: () => this.#answer(command, host, signal),
      });
    const send = async (command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<Answer> => {
      const answer = await call(command, options?.abortSignal);
      return command instanceof SubscribeToShardCommand ? takenApart(command, answer as Connection) : answer;
    };
    const client = { send, destroy: () => undefined, config: { region: async () => 'us-east-1' } };
    return client as unknown as KinesisClient;
  }

  #answer(command: object, host: Host, signal: AbortSignal | undefined): Answer {
    const { bug, fanOut } = this.#options;
    const carryOut = (asked: object): Answer =>
      asked instanceof SubscribeToShardCommand ? this.#subscribe(asked, host, signal) : this.#carryOut(asked);
    try {
      return bug?.kinesis?.(command, carryOut, (shardId) => fanOut.arrived(host, shardId)) ?? carryOut(command);
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
    if (command instanceof RegisterStreamConsumerCommand)
      return { Consumer: this.#membersOf(this.#options.fanOut.register(command.input.ConsumerName ?? '')) };
    if (command instanceof DescribeStreamConsumerCommand)
      return { ConsumerDescription: this.#membersOf(this.#options.fanOut.find(addressOf(command.input))) };
    throw new Error(`expected a command that a consumer sends, got ${command.constructor.name}`);
  }

  #subscribe({ input }: SubscribeToShardCommand, host: Host, signal: AbortSignal | undefined): Connection {
    const {
      ConsumerARN: consumerArn = '',
      ShardId: shardId = '',
      StartingPosition: { Type, SequenceNumber } = {},
    } = input;
    const isContinued = Type === 'AFTER_SEQUENCE_NUMBER';
    if (isContinued && this.#options.forgets())
      throw serviceError('InvalidArgumentException', 'simulated: the sequence number is not known');
    const position = isContinued
      ? { kind: Type, sequenceNumber: BigInt(SequenceNumber ?? '') }
      : positionOf({ ShardIteratorType: Type, StartingSequenceNumber: SequenceNumber } as GetShardIteratorCommandInput);
    return this.#options.fanOut.subscribe({ consumerArn, shardId, position }, host, signal);
  }

  #membersOf(consumer: StreamConsumer): object {
    return {
      ConsumerName: consumer.name,
      ConsumerARN: this.#options.fanOut.arnOf(consumer),
      ConsumerStatus: consumer.status,
      ConsumerCreationTimestamp: new Date(consumer.createdMs),
    };
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

function ofFanOut(command: object): boolean {
  return [SubscribeToShardCommand, RegisterStreamConsumerCommand, DescribeStreamConsumerCommand].some(
    (kind) => command instanceof kind,
  );
}

/** An answer in bytes goes the way of the SDK's: what the command's own middleware takes of it, the client's output no longer has. */
async function takenApart(command: SubscribeToShardCommand, connection: Connection): Promise<object> {
  const headers = { 'content-type': EVENT_STREAM_CONTENT_TYPE };
  const response = { statusCode: 200, headers, body: connection.open() };
  const receive = command.middlewareStack.resolve(
    async () => ({ response, output: { $metadata: {}, EventStream: undefined } }),
    {},
  );
  return (await receive({ input: command.input })).output;
}

function addressOf(
  input: DescribeStreamConsumerCommandInput,
): { readonly consumerName: string } | { readonly consumerArn: string } {
  const { ConsumerARN: consumerArn, ConsumerName: consumerName = '' } = input;
  return consumerArn === undefined ? { consumerName } : { consumerArn };
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

// Kinesis as a pure model: what is stored, who may read and write it, how shards split and merge. It reads no clock, does no
// I/O and draws no random number: `now` (ms since 1970) is an argument of every call and should not step back. The HTTP
// shell and the simulator both stand on it. The typed inputs mirror the Kinesis API; every refusal is a KinesisError.
// Changes that take time (CREATING, UPDATING, DELETING) are applied when any later call comes, or by `settle`.
import {
  DEFAULT_LIST_SHARDS_RESULTS,
  DEFAULT_MAX_CONSUMERS_PER_STREAM,
  DEFAULT_MAX_ON_DEMAND_STREAMS,
  DEFAULT_ON_DEMAND_SHARDS,
  DEFAULT_RETENTION_HOURS,
  type HashKey,
  hashKeyOf,
  LIST_SHARDS_TOKEN_TTL_MS,
  MAX_GET_RECORDS_BYTES,
  MAX_RECORDS_PER_GET_RECORDS,
  MAX_RETENTION_HOURS,
  type SequenceNumber,
} from '@shardline/common';
import {
  type AccountSettings,
  commitmentStatus,
  MAX_CONSUMERS_PER_ADVANTAGE_STREAM,
  NEW_ACCOUNT_SETTINGS,
} from './account-settings.ts';
import { CallLimits } from './call-limits.ts';
import {
  type Account,
  type AccountUsage,
  type CapacityRequest,
  evenSteps,
  initialCapacity,
  modeChange,
  type RecordDistributionStrategy,
  refuseOnDemand,
  refuseOverShardLimit,
  refuseProvisioned,
  type StreamMode,
  setDistribution,
  shardCountChange,
  usageOf,
} from './capacity.ts';
import { StreamConsumer, type Subscription } from './consumers.ts';
import { KinesisError } from './errors.ts';
import { openIterator, sealIterator } from './iterator.ts';
import type { Journal, ModelState, RestoredModel } from './journal.ts';
import { counterAt, readShard, type StartingPosition } from './position.ts';
import { checkedSizes, checkPutRecord, type RecordToPut } from './put-check.ts';
import type { StoredRecord } from './record-log.ts';
import { mergedRange, splitRanges } from './reshard.ts';
import type { ConsumerSettings, ResourceSettings, StreamSettings } from './settings.ts';
import { type ChildShard, type Shard, shardIdOf } from './shard.ts';
import { filterOfParts, filterParts, filterShards, type ShardFilter } from './shard-filter.ts';
import { Stream, type StreamChange } from './stream.ts';
import { openToken, sealToken } from './token.ts';
import { shardsFor, type WarmThroughput } from './warm-throughput.ts';

export interface KinesisModelOptions {
  /** Whether rates, and how often a stream is rescaled, are limited as on AWS. Default true. Limits of a request always hold. */
  readonly limits?: boolean;
  /** Whether it matters how often the operations on streams and their settings are called, as on AWS. Default false. */
  readonly controlLimits?: boolean;
  /** How long a new stream is CREATING, ms. Default 0: it is ACTIVE at once. */
  readonly createStreamMs?: number;
  /** How long a deleted stream is DELETING, ms. Default 0. */
  readonly deleteStreamMs?: number;
  /** How long a split or merge keeps the stream UPDATING, ms. Default 0. */
  readonly reshardMs?: number;
  /** How long another change of a stream's settings keeps it UPDATING, ms. Default 0. */
  readonly updateStreamMs?: number;
  /** How long a consumer is CREATING and DELETING, ms. Default 0. */
  readonly registerConsumerMs?: number;
  /** Open shards of all provisioned streams together. Default 20,000. */
  readonly shardLimit?: number;
  /** Streams in on-demand mode. Default 50. */
  readonly onDemandStreamLimit?: number;
  /** How long an on-demand stream's shard must be busy to be split, ms (traffic.ts). Default 300,000. */
  readonly onDemandPeriodMs?: number;
  /** What one shard holds at most; beyond it the oldest records go as if their retention were over. Default: no bound but the retention. */
  readonly maxStoredBytesPerShard?: number;
  /** Marks the iterators and tokens of this model, so that another's are refused. */
  readonly tokenKey?: string;
  /** Named in messages. Default 000000000000. */
  readonly accountId?: string;
  /** What to add to the message that a stream was not found, with a space before it. Default nothing. */
  readonly notFoundHint?: (streamName: string, now: number) => string;
  /** Told when something begins that takes until `dueMs`: whoever has a clock then calls `settle`. */
  readonly onDue?: (dueMs: number) => void;
  /** Told of every change before anybody sees it. Default: nothing outlives the model. */
  readonly journal?: Journal | undefined;
  /** What the model begins with. Default: empty. */
  readonly restored?: RestoredModel | undefined;
}

export interface StoredAt {
  readonly kind: 'stored';
  readonly shardId: string;
  readonly sequenceNumber: SequenceNumber;
}

/** "either ProvisionedThroughputExceededException or InternalFailure" (API_PutRecordsResultEntry). */
export type RecordErrorCode = 'ProvisionedThroughputExceededException' | 'InternalFailure';

/** One entry's outcome, in the order of the request. */
export type PutOutcome =
  | StoredAt
  | { readonly kind: 'refused'; readonly errorCode: RecordErrorCode; readonly message: string };

/** Asked for each record before it is stored: refuses it, as only a fault does. */
export type RefuseRecord = (shardId: string) => RecordErrorCode | undefined;

export interface GetRecordsAnswer {
  readonly records: readonly StoredRecord[];
  /** Null exactly when the shard is closed and all of it was read; then `childShards` is not empty. */
  readonly nextShardIterator: string | null;
  readonly millisBehindLatest: number;
  readonly childShards: readonly ChildShard[];
  /** Whose records they are. */
  readonly shard: Shard;
}

export interface StreamAddress {
  readonly streamName: string;
}

/** A consumer of a stream; `createdSecond`, as in its ARN, tells it from an earlier one of the same name. */
export interface ConsumerAddress {
  readonly streamName: string;
  readonly consumerName: string;
  readonly createdSecond?: number;
}

export interface PutRecordsRequest {
  readonly streamName: string;
  readonly records: readonly RecordToPut[];
  readonly refuseRecord?: RefuseRecord | undefined;
}

/** What a page of a list starts with: a request, or the token of the page before. */
export type ListShardsRequest =
  | {
      readonly streamName: string;
      readonly filter?: ShardFilter | undefined;
      readonly exclusiveStartShardId?: string | undefined;
      readonly maxResults?: number | undefined;
    }
  | { readonly nextToken: string; readonly maxResults?: number | undefined };

export class KinesisModel {
  readonly limits: boolean;
  /** There when `controlLimits` is on. */
  readonly callLimits: CallLimits | undefined;
  readonly #options: Required<Omit<KinesisModelOptions, 'limits' | 'controlLimits' | 'journal' | 'restored'>>;
  readonly #streams: Map<string, Stream> = new Map();
  readonly #journal: Journal | undefined;
  /** That of whose last change the journal does not know yet. Empty but after it failed. */
  readonly #untold: Set<Stream | 'account'> = new Set();
  #accountSettings: AccountSettings = NEW_ACCOUNT_SETTINGS;
  #incarnations = 0;

  constructor(options: KinesisModelOptions = {}) {
    this.limits = options.limits ?? true;
    this.#options = {
      createStreamMs: options.createStreamMs ?? 0,
      deleteStreamMs: options.deleteStreamMs ?? 0,
      reshardMs: options.reshardMs ?? 0,
      updateStreamMs: options.updateStreamMs ?? 0,
      registerConsumerMs: options.registerConsumerMs ?? 0,
      shardLimit: options.shardLimit ?? 20_000,
      onDemandStreamLimit: options.onDemandStreamLimit ?? DEFAULT_MAX_ON_DEMAND_STREAMS,
      onDemandPeriodMs: options.onDemandPeriodMs ?? 300_000,
      maxStoredBytesPerShard: options.maxStoredBytesPerShard ?? Number.POSITIVE_INFINITY,
      tokenKey: options.tokenKey ?? 'shardline',
      accountId: options.accountId ?? '000000000000',
      notFoundHint: options.notFoundHint ?? (() => ''),
      onDue: options.onDue ?? (() => undefined),
    };
    this.callLimits = options.controlLimits === true ? new CallLimits(this.#options.accountId) : undefined;
    this.#journal = options.journal;
    if (options.restored !== undefined) this.#restore(options.restored);
  }

  // ---- streams

  /**
   * Makes a stream. An ON_DEMAND one begins with 4 shards.
   * @throws ResourceInUseException, LimitExceededException, InvalidArgumentException
   */
  createStream(
    {
      name,
      shardCount,
      settings = {},
      ...wanted
    }: { name: string; shardCount?: number | undefined; settings?: Partial<StreamSettings> } & CapacityRequest,
    now: number,
  ): void {
    this.settle(now);
    if (this.#streams.has(name)) {
      throw new KinesisError('ResourceInUseException', `${this.#where(name)} already exists.`);
    }
    this.callLimits?.refuseMoreStreams(this.#streams.values(), 'CREATING', 'DELETING');
    const warm = settings.warmThroughputMiBps ?? null;
    const count =
      warm === null
        ? (shardCount ?? (wanted.mode === 'ON_DEMAND' ? DEFAULT_ON_DEMAND_SHARDS : 1))
        : shardsFor(warm, wanted.mode ?? 'PROVISIONED', this.#accountSettings, now);
    const capacity = initialCapacity(name, wanted, count, this.#account);
    const identity = { name, createdMs: now, incarnation: ++this.#incarnations };
    const stream = Stream.created(identity, capacity, settings, count);
    this.#streams.set(name, stream);
    this.#begin(stream, { kind: 'create' }, this.#options.createStreamMs, now);
  }

  /** Deletes a stream with all it holds. @throws ResourceInUseException when it has consumers and `enforceConsumerDeletion` is not true */
  deleteStream(
    { streamName, enforceConsumerDeletion = false }: { streamName: string; enforceConsumerDeletion?: boolean },
    now: number,
  ): void {
    const stream = this.stream(streamName, now);
    this.#refuseUnless(stream, 'ACTIVE', 'CREATING', 'UPDATING');
    if (stream.consumers.size > 0 && !enforceConsumerDeletion) {
      throw new KinesisError(
        'ResourceInUseException',
        `${this.#where(streamName)} has consumers registered; deregister them, or set EnforceConsumerDeletion.`,
      );
    }
    this.#refuseMoreStreams(now, 'CREATING', 'DELETING');
    for (const consumer of stream.consumers.values()) consumer.delete(Number.POSITIVE_INFINITY, 'stream-deleted');
    this.#begin(stream, { kind: 'delete' }, this.#options.deleteStreamMs, now);
  }

  /** All streams, by name. */
  listStreams(now: number): Stream[] {
    this.settle(now);
    return [...this.#streams.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A stream to look at, in whatever status it is. @throws ResourceNotFoundException */
  stream(streamName: string, now: number): Stream {
    this.#settle(this.#streams.get(streamName), now);
    const stream = this.#streams.get(streamName);
    if (stream !== undefined) return stream;
    const { message } = this.#notFound(streamName);
    throw new KinesisError('ResourceNotFoundException', message + this.#options.notFoundHint(streamName, now));
  }

  /** Whether there is a stream of that name, in whatever status. */
  has(streamName: string, now: number): boolean {
    this.#settle(this.#streams.get(streamName), now);
    return this.#streams.has(streamName);
  }

  /** Sets how long records are kept, 24 to 8,760 hours. @throws InvalidArgumentException when it does not go the way asked for */
  setRetention(
    { streamName, hours, direction }: { streamName: string; hours: number; direction: 'increase' | 'decrease' },
    now: number,
  ): void {
    const stream = this.#activeStream(streamName, now);
    const current = stream.retentionHours;
    if (hours < DEFAULT_RETENTION_HOURS || hours > MAX_RETENTION_HOURS) {
      throw new KinesisError(
        'InvalidArgumentException',
        `Retention period must be from ${DEFAULT_RETENTION_HOURS} to ${MAX_RETENTION_HOURS} hours, got ${hours}.`,
      );
    }
    if (direction === 'increase' ? hours < current : hours > current) {
      throw new KinesisError(
        'InvalidArgumentException',
        `Requested retention period (${hours} hours) for stream ${streamName} can not be ${direction === 'increase' ? 'shorter' : 'longer'} than existing retention period (${current} hours).`,
      );
    }
    stream.setRetention(hours);
    this.#tell(stream);
  }

  // ---- settings

  /** What is set on a stream or a consumer, in whatever status it is. @throws ResourceNotFoundException */
  settingsOf(address: StreamAddress | ConsumerAddress, now: number): ResourceSettings {
    return (isConsumer(address) ? this.consumer(address, now) : this.stream(address.streamName, now)).settings;
  }

  /**
   * Sets at once what a stream or a consumer has. `change` gets the settings as they are.
   * @throws ResourceNotFoundException, ResourceInUseException unless it is ACTIVE, and what `change` throws
   */
  set(
    address: StreamAddress | ConsumerAddress,
    change: (settings: ResourceSettings) => Partial<ResourceSettings>,
    now: number,
  ): void {
    const resource: { settings: ResourceSettings } = isConsumer(address)
      ? this.#activeConsumer(address, now)
      : this.#activeStream(address.streamName, now);
    resource.settings = { ...resource.settings, ...change(resource.settings) };
    this.#tell(this.stream(address.streamName, now));
  }

  /**
   * Sets what a stream has when it has been UPDATING for a while; nothing happens when `change` gives what is there.
   * @throws ResourceNotFoundException, ResourceInUseException unless it is ACTIVE, and what `change` throws
   */
  update(
    { streamName }: StreamAddress,
    change: (settings: StreamSettings) => Partial<StreamSettings>,
    now: number,
  ): void {
    const stream = this.#activeStream(streamName, now);
    const settings = change(stream.settings);
    const names = Object.keys(settings) as (keyof StreamSettings)[];
    if (names.every((name) => settings[name] === stream.settings[name])) return;
    this.#begin(stream, { kind: 'set', settings }, this.#options.updateStreamMs, now);
  }

  /** What is set for the account. Replaced as a whole. */
  get accountSettings(): AccountSettings {
    return this.#accountSettings;
  }

  setAccount(change: (settings: AccountSettings) => AccountSettings): void {
    this.#accountSettings = change(this.#accountSettings);
    this.#tell('account');
  }

  /** What there is of what an account may have only so much of. */
  usage(now: number): AccountUsage {
    this.settle(now);
    return usageOf(this.#account);
  }

  // ---- shards

  /** The shards that match the filter, by number, a page at a time. @throws ExpiredNextTokenException, InvalidArgumentException */
  listShards(request: ListShardsRequest, now: number): { shards: readonly Shard[]; nextToken?: string } {
    const { stream, filter, after } = this.#listShardsFrom(request, now);
    const matching = filterShards(stream, filter, now).filter((shard) => shard.id > after);
    const maxResults = request.maxResults ?? DEFAULT_LIST_SHARDS_RESULTS;
    const shards = matching.slice(0, maxResults);
    const last = shards.at(-1);
    if (last === undefined || shards.length === matching.length) return { shards };
    const place = ['shards', stream.name, stream.incarnation, now, last.id, ...filterParts(filter)];
    return { shards, nextToken: sealToken(this.#options.tokenKey, place) };
  }

  /** Splits an open shard in two; the second one begins at `newStartingHashKey`. */
  splitShard(
    { streamName, shardId, newStartingHashKey }: { streamName: string; shardId: string; newStartingHashKey: HashKey },
    now: number,
  ): void {
    const stream = this.stream(streamName, now);
    const shard = this.#shard(stream, shardId);
    this.#refuseUnless(stream, 'ACTIVE');
    refuseOnDemand(stream, this.#account);
    const ranges = splitRanges(shard, newStartingHashKey, this.#within(streamName));
    refuseOverShardLimit(this.#account, 1);
    this.#refuseMoreStreams(now, 'UPDATING');
    this.#beginUpdate(stream, { kind: 'reshard', steps: [{ parentIds: [shard.id], ranges }] }, now);
  }

  /** Merges two open shards whose ranges touch. */
  mergeShards(
    { streamName, shardId, adjacentShardId }: { streamName: string; shardId: string; adjacentShardId: string },
    now: number,
  ): void {
    const stream = this.stream(streamName, now);
    const shard = this.#shard(stream, shardId);
    const adjacent = this.#shard(stream, adjacentShardId);
    this.#refuseUnless(stream, 'ACTIVE');
    refuseOnDemand(stream, this.#account);
    const range = mergedRange(shard, adjacent, this.#within(streamName));
    this.#refuseMoreStreams(now, 'UPDATING');
    const step = { parentIds: [shard.id, adjacent.id], ranges: [range] };
    this.#beginUpdate(stream, { kind: 'reshard', steps: [step] }, now);
  }

  /**
   * Splits and merges shards until there are `targetShardCount` of even ranges.
   * @throws ResourceInUseException, ValidationException in on-demand mode, LimitExceededException
   */
  updateShardCount(
    { streamName, targetShardCount }: { streamName: string; targetShardCount: number },
    now: number,
  ): { readonly currentShardCount: number } {
    const stream = this.#activeStream(streamName, now);
    const currentShardCount = stream.openShards.length;
    this.#beginUpdate(stream, shardCountChange(stream, targetShardCount, this.#account, now), now);
    return { currentShardCount };
  }

  /**
   * Switches between provisioned and on-demand; the shards stay, unless a warm throughput is named.
   * @throws ResourceInUseException, LimitExceededException, InvalidArgumentException
   */
  updateStreamMode(
    {
      streamName,
      mode,
      warmThroughputMiBps,
    }: { streamName: string; mode: StreamMode; warmThroughputMiBps?: number | undefined },
    now: number,
  ): void {
    const stream = this.#activeStream(streamName, now);
    const shardCount =
      warmThroughputMiBps === undefined ? undefined : shardsFor(warmThroughputMiBps, mode, this.#accountSettings, now);
    const change = modeChange(stream, mode, this.#account, now);
    if (shardCount === undefined) this.#beginUpdate(stream, change, now);
    else this.#warmUp(stream, warmThroughputMiBps ?? null, shardCount, now);
  }

  /**
   * Scales an on-demand stream to so many shards that it takes that much at once.
   * @throws ResourceInUseException, LimitExceededException, InvalidArgumentException without a commitment, or in provisioned mode
   */
  updateWarmThroughput(
    { streamName, warmThroughputMiBps }: { streamName: string; warmThroughputMiBps: number },
    now: number,
  ): WarmThroughput {
    const stream = this.#activeStream(streamName, now);
    const shardCount = shardsFor(warmThroughputMiBps, stream.mode, this.#accountSettings, now);
    const currentMiBps = stream.openShards.length;
    this.#warmUp(stream, warmThroughputMiBps, shardCount, now);
    return { targetMiBps: warmThroughputMiBps, currentMiBps };
  }

  /**
   * Sets what decides the shard of the records to come.
   * @throws ResourceInUseException, InvalidArgumentException in provisioned mode
   */
  updateRecordDistributionStrategy(
    { streamName, strategy }: { streamName: string; strategy: RecordDistributionStrategy },
    now: number,
  ): void {
    const stream = this.#activeStream(streamName, now);
    setDistribution(stream, strategy);
    this.#tell(stream);
  }

  /** Sets how large the records to come may be, data and partition key together. @throws ResourceInUseException */
  updateMaxRecordSize(
    { streamName, maxRecordBytes }: { streamName: string; maxRecordBytes: number },
    now: number,
  ): void {
    const stream = this.#activeStream(streamName, now);
    stream.capacity = { ...stream.capacity, maxRecordBytes };
    this.#tell(stream);
  }

  /**
   * What AWS does to an on-demand stream by itself when its traffic changes, here at once and to any number of even shards.
   * @throws ResourceInUseException, InvalidArgumentException in provisioned mode
   */
  scaleOnDemand({ streamName, targetShardCount }: { streamName: string; targetShardCount: number }, now: number): void {
    const stream = this.#activeStream(streamName, now);
    refuseProvisioned(stream, this.#account);
    this.#beginUpdate(stream, { kind: 'reshard', steps: evenSteps(stream, targetShardCount) }, now);
  }

  // ---- writing

  /**
   * Stores one record; `isOrdered` when it names the one that it comes after (SequenceNumberForOrdering).
   * @throws ProvisionedThroughputExceededException when its shard's share is used up, and what `putRecords` throws
   */
  putRecord(
    { streamName, record, isOrdered = false }: { streamName: string; record: RecordToPut; isOrdered?: boolean },
    now: number,
  ): StoredAt {
    checkPutRecord(record, isOrdered, this.#readable(streamName, now).capacity);
    const [outcome] = this.putRecords({ streamName, records: [record] }, now);
    if (outcome?.kind === 'stored') return outcome;
    throw new KinesisError('ProvisionedThroughputExceededException', outcome?.message ?? 'Rate exceeded.');
  }

  /**
   * Stores up to 500 records of 10 MiB together. Throttled ones are refused one by one; the others are stored, in order.
   * @throws InvalidArgumentException, ValidationException for the whole request: nothing is stored then
   */
  putRecords({ streamName, records, refuseRecord }: PutRecordsRequest, now: number): PutOutcome[] {
    const stream = this.#readable(streamName, now);
    const sizes = checkedSizes(records, stream.capacity);
    this.#growOnDemand(stream, now);
    const horizonMs = now - stream.retentionMs;
    /** With the counter of the first new record. */
    const touched = new Map<Shard, number>();
    const outcomes = records.map((record, index): PutOutcome => {
      const sizeBytes = sizes[index] ?? 0;
      const shard = this.#shardFor(stream, record, sizeBytes, now);
      const refusal = refuseRecord?.(shard.id);
      if (refusal !== undefined) return this.#refused(refusal, shard, streamName);
      if (this.limits && !shard.writeLimit.admit(sizeBytes, now)) {
        return this.#refused('ProvisionedThroughputExceededException', shard, streamName);
      }
      if (!touched.has(shard)) touched.set(shard, shard.log.nextCounter);
      const sequenceNumber = shard.append(record.partitionKey, record.data, sizeBytes, now);
      return { kind: 'stored', shardId: shard.id, sequenceNumber };
    });
    this.#tellAppended(stream, touched);
    for (const [shard, counter] of touched) {
      if (this.limits && stream.mode === 'ON_DEMAND') stream.traffic.note(shard, shard.log.from(counter));
      shard.log.trim(horizonMs, this.#options.maxStoredBytesPerShard);
      if (shard.watchers.size > 0) shard.wake();
    }
    return outcomes;
  }

  // ---- reading

  /** An iterator for GetRecords; it lives 5 minutes. @throws ResourceNotFoundException, InvalidArgumentException */
  getShardIterator(
    { streamName, shardId, position }: { streamName: string; shardId: string; position: StartingPosition },
    now: number,
  ): string {
    const stream = this.#readable(streamName, now);
    const shard = this.#shard(stream, shardId);
    this.#trim(stream, shard, now);
    return this.#sealIterator(stream, shard, counterAt(shard, position, now), now);
  }

  /**
   * Up to `limit` (default 10,000) records and 10 MiB from where the iterator stands.
   * @throws ExpiredIteratorException, InvalidArgumentException, ProvisionedThroughputExceededException, ResourceNotFoundException
   */
  getRecords(
    { shardIterator, limit = MAX_RECORDS_PER_GET_RECORDS }: { shardIterator: string; limit?: number | undefined },
    now: number,
  ): GetRecordsAnswer {
    const { stream, shard, counter } = this.#openIterator(shardIterator, now);
    if (this.limits && !shard.readLimit.admit(now)) {
      throw new KinesisError('ProvisionedThroughputExceededException', this.#rateExceeded(shard, stream.name));
    }
    this.#trim(stream, shard, now);
    const read = readShard(shard, counter, limit, MAX_GET_RECORDS_BYTES, now);
    if (this.limits) shard.readLimit.charge(read.sizeBytes, now);
    const { records, millisBehindLatest, childShards } = read;
    const nextShardIterator = childShards.length > 0 ? null : this.#sealIterator(stream, shard, read.nextCounter, now);
    return { records, nextShardIterator, millisBehindLatest, childShards, shard };
  }

  /** Which shard an iterator reads; undefined for one that `getRecords` would refuse. */
  shardOf(shardIterator: string, now: number): { streamName: string; shardId: string } | undefined {
    try {
      const { stream, shard } = this.#openIterator(shardIterator, now);
      return { streamName: stream.name, shardId: shard.id };
    } catch (error) {
      if (error instanceof KinesisError) return undefined;
      throw error;
    }
  }

  // ---- registered consumers

  /** Registers a consumer for SubscribeToShard. @throws ResourceInUseException, LimitExceededException (20 or 50 a stream) */
  registerConsumer(
    { streamName, consumerName, settings = {} }: ConsumerAddress & { readonly settings?: Partial<ConsumerSettings> },
    now: number,
  ): StreamConsumer {
    const stream = this.#readable(streamName, now);
    if (stream.consumers.has(consumerName)) {
      throw new KinesisError(
        'ResourceInUseException',
        `Consumer ${consumerName} under ${this.#within(streamName)} already exists.`,
      );
    }
    const maxConsumers =
      stream.mode === 'ON_DEMAND' && commitmentStatus(this.#accountSettings, now) !== 'DISABLED'
        ? MAX_CONSUMERS_PER_ADVANTAGE_STREAM
        : DEFAULT_MAX_CONSUMERS_PER_STREAM;
    if (stream.consumers.size >= maxConsumers) {
      throw new KinesisError(
        'LimitExceededException',
        `${this.#where(streamName)} may have at most ${maxConsumers} registered consumers.`,
      );
    }
    if (this.callLimits !== undefined) {
      this.settle(now);
      this.callLimits.refuseMoreConsumers(this.#streams.values());
    }
    const activeAtMs = now + this.#options.registerConsumerMs;
    const consumer = new StreamConsumer(consumerName, now, activeAtMs, settings);
    stream.consumers.set(consumerName, consumer);
    this.#tell(stream);
    this.#settleBy(stream, activeAtMs, now);
    return consumer;
  }

  /** Deregisters it and ends its subscriptions. @throws ResourceNotFoundException */
  deregisterConsumer(address: ConsumerAddress, now: number): void {
    const goneAtMs = now + this.#options.registerConsumerMs;
    this.consumer(address, now).delete(goneAtMs);
    const stream = this.stream(address.streamName, now);
    this.#tell(stream);
    this.#settleBy(stream, goneAtMs, now);
  }

  /** @throws ResourceNotFoundException */
  consumer({ streamName, consumerName, createdSecond }: ConsumerAddress, now: number): StreamConsumer {
    const consumer = this.stream(streamName, now).consumers.get(consumerName);
    const isThatOne = createdSecond === undefined || Math.floor((consumer?.createdMs ?? 0) / 1000) === createdSecond;
    if (consumer !== undefined && isThatOne) return consumer;
    throw new KinesisError(
      'ResourceNotFoundException',
      `Consumer ${consumerName} under ${this.#within(streamName)} not found.`,
    );
  }

  /** A stream's consumers, by name. */
  listConsumers(streamName: string, now: number): StreamConsumer[] {
    return [...this.stream(streamName, now).consumers.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Begins a subscription; poll it for its events.
   * @throws ResourceInUseException within 5 s of the last one, ResourceNotFoundException, InvalidArgumentException
   */
  subscribeToShard(
    request: ConsumerAddress & { readonly shardId: string; readonly position: StartingPosition },
    now: number,
  ): Subscription {
    const stream = this.#readable(request.streamName, now);
    const consumer = this.#activeConsumer(request, now);
    const shard = this.#shard(stream, request.shardId);
    this.#trim(stream, shard, now);
    return consumer.subscribe(shard, counterAt(shard, request.position, now), this.limits, now);
  }

  // ---- time and housekeeping

  /** When `settle` has something to do next; infinite when nothing is under way. */
  nextDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const stream of this.#streams.values()) dueMs = Math.min(dueMs, stream.dueMs);
    return dueMs;
  }

  /** Does everything that has become due by `now`. Calls about a stream do it for that stream by themselves. */
  settle(now: number): void {
    for (const stream of this.#streams.values()) this.#settle(stream, now);
  }

  /** Drops the records whose retention is over, also of shards that nobody touches. */
  trim(now: number): void {
    for (const stream of this.#streams.values()) {
      for (const shard of stream.shards) this.#trim(stream, shard, now);
    }
  }

  /** Ends all subscriptions and forgets everything. */
  clear(): void {
    for (const stream of this.#streams.values()) {
      for (const consumer of stream.consumers.values()) consumer.delete(Number.POSITIVE_INFINITY, 'stream-deleted');
      this.#untold.add(stream);
    }
    this.#streams.clear();
    this.#accountSettings = NEW_ACCOUNT_SETTINGS;
    this.callLimits?.clear();
    this.#untold.add('account');
    this.#tellAll();
  }

  /** All streams, as they are: nothing that is due is done for it. */
  get streams(): readonly Stream[] {
    return [...this.#streams.values()];
  }

  /** All but the records, as it is. */
  get state(): ModelState {
    const streams = this.streams.map(({ state }) => state);
    return { incarnations: this.#incarnations, account: this.#accountSettings, streams };
  }

  // ---- what several of them need

  get #account(): Account {
    return { ...this.#options, limits: this.limits, streams: this.#streams.values() };
  }

  #beginUpdate(stream: Stream, change: StreamChange, now: number): void {
    this.#begin(stream, change, this.#options.reshardMs, now);
  }

  #warmUp(stream: Stream, warmThroughputMiBps: number | null, shardCount: number, now: number): void {
    stream.settings = { ...stream.settings, warmThroughputMiBps };
    this.#beginUpdate(stream, { kind: 'reshard', steps: evenSteps(stream, shardCount) }, now);
  }

  /** Without a key, in AUTO: "distributes records evenly across shards", and not to one that can take no more now. */
  #shardFor(stream: Stream, { partitionKey, explicitHashKey }: RecordToPut, sizeBytes: number, now: number): Shard {
    if (stream.capacity.recordDistributionStrategy === 'AUTO') {
      return stream.shardInTurn(({ writeLimit }) => !this.limits || writeLimit.admits(sizeBytes, now));
    }
    return stream.shardFor(explicitHashKey ?? hashKeyOf(partitionKey ?? ''));
  }

  /** Before a put stores anything, so that what fails here has stored nothing. */
  #growOnDemand(stream: Stream, now: number): void {
    if (!this.limits || stream.mode !== 'ON_DEMAND' || stream.status !== 'ACTIVE') return;
    const steps = stream.traffic.judge(this.#options.onDemandPeriodMs, now);
    if (steps.length > 0) this.#beginUpdate(stream, { kind: 'reshard', steps }, now);
  }

  #begin(stream: Stream, change: StreamChange, forMs: number, now: number): void {
    stream.begin(change, now + forMs);
    this.#tell(stream);
    this.#settleBy(stream, now + forMs, now);
  }

  #settle(stream: Stream | undefined, now: number): void {
    // A change that the journal does not know of may be taken back by a restart: nobody may see it made.
    if (stream === undefined || (this.#untold.size > 0 && !this.#isTold(stream))) return;
    const became = stream.settle(now);
    if (became === 'as-before') return;
    if (became === 'gone') this.#streams.delete(stream.name);
    // Should the journal fail here, a restart makes the same change again, of the plan that it knows.
    if (this.#journal !== undefined) this.#untold.add(stream);
    this.#isTold(stream);
  }

  // ---- the journal

  /** Keeps the change of this, and all that is still to be kept. @throws what the journal throws */
  #tell(changed: Stream | 'account'): void {
    if (this.#journal === undefined) return;
    this.#untold.add(changed);
    this.#tellAll();
  }

  #tellAll(): void {
    for (const changed of this.#untold) {
      if (changed === 'account') this.#journal?.accountChanged(this.#accountSettings);
      else if (this.#streams.get(changed.name) === changed) this.#journal?.changed(changed);
      else this.#journal?.removed(changed);
      this.#untold.delete(changed);
    }
  }

  #isTold(stream: Stream): boolean {
    try {
      this.#tellAll();
    } catch {
      // The journal says why in its own log; whoever next wants to write is refused.
    }
    return !this.#untold.has(stream);
  }

  /** Keeps the records that each of the shards has got from a counter on, or takes them back. @throws what the journal throws */
  #tellAppended(stream: Stream, touched: ReadonlyMap<Shard, number>): void {
    if (this.#journal === undefined) return;
    try {
      this.#tellAll();
      this.#journal.appended(
        stream,
        Array.from(touched, ([shard, counter]) => ({ shard, records: shard.log.from(counter) })),
      );
    } catch (error) {
      for (const [shard, counter] of touched) shard.takeBack(counter);
      throw error;
    }
  }

  #restore({ incarnations, account, streams, recordsOf }: RestoredModel): void {
    this.#incarnations = incarnations;
    this.#accountSettings = account;
    for (const state of streams) {
      const stream = Stream.restored(state, (shard) => recordsOf(state, shard));
      this.#streams.set(stream.name, stream);
      for (const { dueMs } of [...state.consumers, ...(state.change === undefined ? [] : [state.change])]) {
        if (dueMs !== undefined) this.#options.onDue(dueMs);
      }
    }
  }

  #settleBy(stream: Stream, dueMs: number, now: number): void {
    this.#settle(stream, now);
    if (dueMs > now) this.#options.onDue(dueMs);
  }

  #readable(streamName: string, now: number): Stream {
    const stream = this.stream(streamName, now);
    if (stream.status === 'CREATING' || stream.status === 'DELETING') throw this.#notFound(streamName);
    return stream;
  }

  #activeStream(streamName: string, now: number): Stream {
    const stream = this.stream(streamName, now);
    this.#refuseUnless(stream, 'ACTIVE');
    return stream;
  }

  #activeConsumer(address: ConsumerAddress, now: number): StreamConsumer {
    const consumer = this.consumer(address, now);
    if (consumer.status === 'ACTIVE') return consumer;
    throw new KinesisError(
      'ResourceInUseException',
      `Consumer ${consumer.name} with creation timestamp ${Math.floor(consumer.createdMs / 1000)} under stream: ${address.streamName} , account ${this.#options.accountId} is not in ACTIVE status.`,
    );
  }

  #refuseUnless(stream: Stream, ...allowed: Stream['status'][]): void {
    if (allowed.includes(stream.status)) return;
    throw new KinesisError(
      'ResourceInUseException',
      `${this.#where(stream.name)} not ${allowed[0]}, instead in state ${stream.status}`,
    );
  }

  #refuseMoreStreams(now: number, ...statuses: Stream['status'][]): void {
    if (this.callLimits === undefined) return;
    this.settle(now);
    this.callLimits.refuseMoreStreams(this.#streams.values(), ...statuses);
  }

  #shard(stream: Stream, shardId: string): Shard {
    const shard = stream.shard(shardId);
    if (shard !== undefined) return shard;
    throw new KinesisError(
      'ResourceNotFoundException',
      `Shard ${shardId} in ${this.#within(stream.name)} does not exist`,
    );
  }

  #trim(stream: Stream, shard: Shard, now: number): void {
    shard.log.trim(now - stream.retentionMs, this.#options.maxStoredBytesPerShard);
  }

  #sealIterator(stream: Stream, shard: Shard, counter: number, now: number): string {
    const { name: streamName, incarnation } = stream;
    const place = { streamName, incarnation, shardNumber: shard.origin.number, counter };
    return sealIterator(this.#options.tokenKey, place, now);
  }

  #openIterator(shardIterator: string, now: number): { stream: Stream; shard: Shard; counter: number } {
    const place = openIterator(this.#options.tokenKey, shardIterator, now);
    const stream = this.#readable(place.streamName, now);
    if (stream.incarnation !== place.incarnation) throw this.#notFound(place.streamName);
    return { stream, shard: this.#shard(stream, shardIdOf(place.shardNumber)), counter: place.counter };
  }

  #listShardsFrom(
    request: ListShardsRequest,
    now: number,
  ): { stream: Stream; filter: ShardFilter | undefined; after: string } {
    if (!('nextToken' in request)) {
      const stream = this.stream(request.streamName, now);
      return { stream, filter: request.filter, after: request.exclusiveStartShardId ?? '' };
    }
    const parts = openToken(this.#options.tokenKey, request.nextToken);
    if (parts?.[0] !== 'shards') throw new KinesisError('InvalidArgumentException', 'Invalid NextToken.');
    const [, streamName = '', incarnation, issuedMs, after = '', ...filter] = parts;
    if (now - Number(issuedMs) > LIST_SHARDS_TOKEN_TTL_MS) {
      throw new KinesisError(
        'ExpiredNextTokenException',
        `NextToken expired: it lives ${LIST_SHARDS_TOKEN_TTL_MS} ms.`,
      );
    }
    const stream = this.stream(streamName, now);
    if (stream.incarnation !== Number(incarnation)) throw this.#notFound(streamName);
    return { stream, filter: filterOfParts(filter), after };
  }

  #where(streamName: string): string {
    return `Stream ${streamName} under account ${this.#options.accountId}`;
  }

  #within(streamName: string): string {
    return `stream ${streamName} under account ${this.#options.accountId}`;
  }

  #notFound(streamName: string): KinesisError {
    return new KinesisError('ResourceNotFoundException', `${this.#where(streamName)} not found.`);
  }

  #refused(errorCode: RecordErrorCode, shard: Shard, streamName: string): PutOutcome {
    const message =
      errorCode === 'InternalFailure' ? 'Internal Service Failure' : this.#rateExceeded(shard, streamName);
    return { kind: 'refused', errorCode, message };
  }

  #rateExceeded(shard: Shard, streamName: string): string {
    return `Rate exceeded for shard ${shard.id} in ${this.#within(streamName)}.`;
  }
}

function isConsumer(address: StreamAddress | ConsumerAddress): address is ConsumerAddress {
  return 'consumerName' in address;
}

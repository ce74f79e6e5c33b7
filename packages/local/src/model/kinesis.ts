// Kinesis as a pure model: what is stored, who may read and write it, how shards split and merge. It reads no clock, does no
// I/O and draws no random number: `now` (ms since 1970) is an argument of every call and should not step back. The HTTP
// shell and the simulator both stand on it. The typed inputs mirror the Kinesis API; every refusal is a KinesisError.
// Changes that take time (CREATING, UPDATING, DELETING) are applied when any later call comes, or by `settle`.
import {
  DEFAULT_MAX_CONSUMERS_PER_STREAM,
  DEFAULT_ON_DEMAND_SHARDS,
  MAX_GET_RECORDS_BYTES,
  MAX_RECORDS_PER_GET_RECORDS,
} from '@shardline/common/base';
import { Account, type ConsumerAddress, type KinesisModelOptions, type StreamAddress } from './account.ts';
import { type AccountSettings, commitmentStatus, MAX_CONSUMERS_PER_ADVANTAGE_STREAM } from './account-settings.ts';
import type { CallLimits } from './call-limits.ts';
import {
  type AccountUsage,
  type CapacityRequest,
  initialCapacity,
  scaleOnDemand,
  type UpdateDistributionRequest,
  type UpdateMaxRecordSizeRequest,
  type UpdateShardCountRequest,
  type UpdateStreamModeRequest,
  type UpdateWarmThroughputRequest,
  updateMaxRecordSize,
  updateRecordDistributionStrategy,
  updateShardCount,
  updateStreamMode,
  updateWarmThroughput,
  usageOf,
} from './capacity.ts';
import { StreamConsumer, type Subscription } from './consumers.ts';
import { endDryRun, KinesisError } from './errors.ts';
import { openIterator, sealIterator } from './iterator.ts';
import type { ModelState } from './journal.ts';
import { type ListConsumersRequest, listConsumers } from './list-consumers.ts';
import { type ListShardsRequest, listShards } from './list-shards.ts';
import { type ListStreamsRequest, listStreams } from './list-streams.ts';
import { counterAt, readShard, type StartingPosition } from './position.ts';
import {
  type PutOutcome,
  type PutRecordRequest,
  type PutRecordsRequest,
  putRecord,
  putRecords,
  rateExceeded,
  type StoredAt,
} from './put.ts';
import type { StoredRecord } from './record-log.ts';
import { type MergeShardsRequest, mergeShards, type SplitShardRequest, splitShard } from './reshard.ts';
import { type SetRetentionRequest, setRetention } from './retention.ts';
import type { ConsumerSettings, ResourceSettings, StreamSettings } from './settings.ts';
import { type ChildShard, type Shard, shardIdOf } from './shard.ts';
import { Stream } from './stream.ts';
import { shardsFor, type WarmThroughput } from './warm-throughput.ts';

/** Where GetShardIterator and SubscribeToShard begin. */
interface ReadFrom {
  readonly shardId: string;
  readonly position: StartingPosition;
  /** Only asks whether it would succeed, whatever the rates are. */
  readonly isDryRun?: boolean | undefined;
}

interface GetRecordsRequest {
  readonly shardIterator: string;
  /** Default 10,000. */
  readonly limit?: number | undefined;
  /** As in ReadFrom. */
  readonly isDryRun?: boolean | undefined;
}

export interface GetRecordsAnswer {
  readonly records: readonly StoredRecord[];
  /** Null exactly when the shard is closed and all of it was read; then `childShards` is not empty. */
  readonly nextShardIterator: string | null;
  readonly millisBehindLatest: number;
  readonly childShards: readonly ChildShard[];
  /** Whose records they are. */
  readonly shard: Shard;
}

export class KinesisModel {
  readonly limits: boolean;
  readonly #account: Account;

  constructor(options: KinesisModelOptions = {}) {
    this.#account = new Account(options);
    this.limits = this.#account.options.limits;
  }

  /** There when `controlLimits` is on. */
  get callLimits(): CallLimits | undefined {
    return this.#account.callLimits;
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
    if (this.#account.streams.has(name)) {
      throw new KinesisError('ResourceInUseException', `${this.#account.where(name)} already exists.`);
    }
    this.#account.refuseMoreStreams(now, 'CREATING', 'DELETING');
    const warm = settings.warmThroughputMiBps ?? null;
    const count =
      warm === null
        ? (shardCount ?? (wanted.mode === 'ON_DEMAND' ? DEFAULT_ON_DEMAND_SHARDS : 1))
        : shardsFor(warm, wanted.mode ?? 'PROVISIONED', this.accountSettings, now);
    const capacity = initialCapacity(this.#account, name, count, wanted);
    const identity = { name, createdMs: now, incarnation: this.#account.nextIncarnation() };
    const stream = Stream.created(identity, capacity, settings, count);
    this.#account.streams.set(name, stream);
    this.#account.begin(stream, { kind: 'create' }, this.#account.options.createStreamMs, now);
  }

  /** Deletes a stream with all it holds. @throws ResourceInUseException when it has consumers and `enforceConsumerDeletion` is not true */
  deleteStream(
    { streamName, enforceConsumerDeletion = false }: { streamName: string; enforceConsumerDeletion?: boolean },
    now: number,
  ): void {
    const stream = this.stream(streamName, now);
    this.#account.refuseUnless(stream, 'ACTIVE', 'CREATING', 'UPDATING');
    if (stream.consumers.size > 0 && !enforceConsumerDeletion) {
      throw new KinesisError(
        'ResourceInUseException',
        `DeleteStream can't delete ${this.#account.options.accountId}:${streamName} because there are consumers associated with this data stream. To delete ${streamName} anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are associated with it.`,
      );
    }
    this.#account.refuseMoreStreams(now, 'CREATING', 'DELETING');
    for (const consumer of stream.consumers.values()) consumer.delete(Number.POSITIVE_INFINITY, 'stream-deleted');
    this.#account.begin(stream, { kind: 'delete' }, this.#account.options.deleteStreamMs, now);
  }

  /** All streams, by name. */
  listStreams(now: number): Stream[] {
    this.settle(now);
    return [...this.#account.streams.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** All streams, by name, a page at a time. @throws ExpiredNextTokenException, InvalidArgumentException */
  pageOfStreams(request: ListStreamsRequest, now: number): { streams: readonly Stream[]; nextToken?: string } {
    return listStreams(this.#account, request, now);
  }

  /** A stream to look at, in whatever status it is. @throws ResourceNotFoundException */
  stream(streamName: string, now: number): Stream {
    return this.#account.stream(streamName, now);
  }

  /** Whether there is a stream of that name, in whatever status. */
  has(streamName: string, now: number): boolean {
    return this.#account.has(streamName, now);
  }

  /** Sets how long records are kept. @throws what retention.ts says */
  setRetention(request: SetRetentionRequest, now: number): void {
    setRetention(this.#account, request, now);
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
      ? this.#account.activeConsumer(address, now)
      : this.#account.active(address.streamName, now);
    resource.settings = { ...resource.settings, ...change(resource.settings) };
    this.#account.tell(this.stream(address.streamName, now));
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
    const stream = this.#account.active(streamName, now);
    const settings = change(stream.settings);
    const names = Object.keys(settings) as (keyof StreamSettings)[];
    if (names.every((name) => settings[name] === stream.settings[name])) return;
    this.#account.begin(stream, { kind: 'set', settings }, this.#account.options.updateStreamMs, now);
  }

  /** What is set for the account. Replaced as a whole. */
  get accountSettings(): AccountSettings {
    return this.#account.settings;
  }

  setAccount(change: (settings: AccountSettings) => AccountSettings): void {
    this.#account.settings = change(this.#account.settings);
    this.#account.tell('account');
  }

  /** What there is of what an account may have only so much of. */
  usage(now: number): AccountUsage {
    this.settle(now);
    return usageOf(this.#account);
  }

  // ---- shards

  /** The shards that match the filter, by number, a page at a time. @throws ExpiredNextTokenException, InvalidArgumentException */
  listShards(request: ListShardsRequest, now: number): { shards: readonly Shard[]; nextToken?: string } {
    return listShards(this.#account, request, now);
  }

  /** Splits an open shard in two. @throws what reshard.ts says, as the following do */
  splitShard(request: SplitShardRequest, now: number): void {
    splitShard(this.#account, request, now);
  }

  /** Merges two open shards whose ranges touch. */
  mergeShards(request: MergeShardsRequest, now: number): void {
    mergeShards(this.#account, request, now);
  }

  // ---- capacity

  /** Splits and merges shards until there are `targetShardCount` of even ranges. @throws what capacity.ts says, as the following do */
  updateShardCount(request: UpdateShardCountRequest, now: number): { readonly currentShardCount: number } {
    return updateShardCount(this.#account, request, now);
  }

  /** Switches between provisioned and on-demand; the shards stay, unless a warm throughput is named. */
  updateStreamMode(request: UpdateStreamModeRequest, now: number): void {
    updateStreamMode(this.#account, request, now);
  }

  /** Scales an on-demand stream to so many shards that it takes that much at once. */
  updateWarmThroughput(request: UpdateWarmThroughputRequest, now: number): WarmThroughput {
    return updateWarmThroughput(this.#account, request, now);
  }

  /** Sets what decides the shard of the records to come. */
  updateRecordDistributionStrategy(request: UpdateDistributionRequest, now: number): void {
    updateRecordDistributionStrategy(this.#account, request, now);
  }

  /** Sets how large the records to come may be, data and partition key together. */
  updateMaxRecordSize(request: UpdateMaxRecordSizeRequest, now: number): void {
    updateMaxRecordSize(this.#account, request, now);
  }

  /** What AWS does to an on-demand stream by itself when its traffic changes: here at once, and to any number of even shards. */
  scaleOnDemand(request: UpdateShardCountRequest, now: number): void {
    scaleOnDemand(this.#account, request, now);
  }

  // ---- writing

  /** Stores one record. @throws ProvisionedThroughputExceededException when its shard can take no more, and what `putRecords` throws */
  putRecord(request: PutRecordRequest, now: number): StoredAt {
    return putRecord(this.#account, request, now);
  }

  /**
   * Stores up to 500 records of 10 MiB together. Throttled ones are refused one by one; the others are stored, in order.
   * @throws InvalidArgumentException, ValidationException for the whole request: nothing is stored then
   */
  putRecords(request: PutRecordsRequest, now: number): PutOutcome[] {
    return putRecords(this.#account, request, now);
  }

  // ---- reading

  /** An iterator for GetRecords; it lives 5 minutes. @throws ResourceNotFoundException, InvalidArgumentException */
  getShardIterator(
    { streamName, shardId, position, isDryRun }: ReadFrom & { readonly streamName: string },
    now: number,
  ): string {
    const stream = this.#account.readable(streamName, now);
    const shard = this.#account.shard(stream, shardId);
    this.#account.trim(stream, shard, now);
    const counter = counterAt(shard, position, now, this.#account.within(streamName));
    endDryRun(isDryRun);
    return this.#sealIterator(stream, shard, counter, now);
  }

  /**
   * Up to `limit` (default 10,000) records and 10 MiB from where the iterator stands.
   * @throws ExpiredIteratorException, InvalidArgumentException, ProvisionedThroughputExceededException, ResourceNotFoundException
   */
  getRecords(
    { shardIterator, limit = MAX_RECORDS_PER_GET_RECORDS, isDryRun }: GetRecordsRequest,
    now: number,
  ): GetRecordsAnswer {
    const { stream, shard, counter } = this.#openIterator(shardIterator, now);
    endDryRun(isDryRun);
    if (this.limits && !shard.readLimit.admit(now)) {
      throw new KinesisError(
        'ProvisionedThroughputExceededException',
        rateExceeded(shard, this.#account.within(stream.name)),
      );
    }
    this.#account.trim(stream, shard, now);
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
    const stream = this.#account.settled(streamName, now);
    if (stream.consumers.has(consumerName)) {
      throw new KinesisError(
        'ResourceInUseException',
        `Consumer ${consumerName} under ${this.#account.within(streamName)} already exists.`,
      );
    }
    const maxConsumers =
      stream.mode === 'ON_DEMAND' && commitmentStatus(this.accountSettings, now) !== 'DISABLED'
        ? MAX_CONSUMERS_PER_ADVANTAGE_STREAM
        : DEFAULT_MAX_CONSUMERS_PER_STREAM;
    if (stream.consumers.size >= maxConsumers) {
      throw new KinesisError(
        'LimitExceededException',
        `${this.#account.where(streamName)} may have at most ${maxConsumers} registered consumers.`,
      );
    }
    this.#account.refuseMoreConsumers(now);
    const activeAtMs = now + this.#account.options.registerConsumerMs;
    const consumer = new StreamConsumer(consumerName, now, activeAtMs, settings);
    stream.consumers.set(consumerName, consumer);
    this.#account.tell(stream);
    this.#account.settleBy(stream, activeAtMs, now);
    return consumer;
  }

  /** Deregisters it and ends its subscriptions. @throws ResourceNotFoundException */
  deregisterConsumer(address: ConsumerAddress, now: number): void {
    const goneAtMs = now + this.#account.options.registerConsumerMs;
    this.consumer(address, now).delete(goneAtMs);
    const stream = this.stream(address.streamName, now);
    this.#account.tell(stream);
    this.#account.settleBy(stream, goneAtMs, now);
  }

  /** @throws ResourceNotFoundException */
  consumer(address: ConsumerAddress, now: number): StreamConsumer {
    return this.#account.consumer(address, now);
  }

  /** A stream's consumers, by name, a page at a time. @throws ExpiredNextTokenException, InvalidArgumentException */
  listConsumers(
    request: ListConsumersRequest,
    now: number,
  ): { consumers: readonly StreamConsumer[]; nextToken?: string } {
    return listConsumers(this.#account, request, now);
  }

  /**
   * Begins a subscription; poll it for its events.
   * @throws ResourceInUseException within 5 s of the last one, ResourceNotFoundException, InvalidArgumentException
   */
  subscribeToShard(request: ConsumerAddress & ReadFrom, now: number): Subscription {
    const stream = this.#account.readable(request.streamName, now);
    const consumer = this.#account.activeConsumer(request, now);
    const shard = this.#account.shard(stream, request.shardId);
    this.#account.trim(stream, shard, now);
    const counter = counterAt(shard, request.position, now, this.#account.within(stream.name));
    endDryRun(request.isDryRun);
    return consumer.subscribe(shard, counter, this.limits, now);
  }

  // ---- time and housekeeping

  /** When `settle` has something to do next; infinite when nothing is under way. */
  nextDueMs(): number {
    return this.#account.nextDueMs();
  }

  /** Does everything that has become due by `now`. Calls about a stream do it for that stream by themselves. */
  settle(now: number): void {
    this.#account.settle(now);
  }

  /** Drops the records whose retention is over, also of shards that nobody touches. */
  trim(now: number): void {
    this.#account.trimAll(now);
  }

  /** Ends all subscriptions and forgets everything. */
  clear(): void {
    this.#account.clear();
  }

  /** All streams, as they are: nothing that is due is done for it. */
  get streams(): readonly Stream[] {
    return [...this.#account.streams.values()];
  }

  /** All but the records, as it is. */
  get state(): ModelState {
    return this.#account.state;
  }

  // ---- iterators

  #sealIterator(stream: Stream, shard: Shard, counter: number, now: number): string {
    const { name: streamName, incarnation } = stream;
    const place = { streamName, incarnation, shardNumber: shard.origin.number, counter };
    return sealIterator(this.#account.options.tokenKey, place, now);
  }

  #openIterator(shardIterator: string, now: number): { stream: Stream; shard: Shard; counter: number } {
    const place = openIterator(this.#account.options.tokenKey, shardIterator, now);
    const stream = this.#account.readable(place.streamName, now);
    if (stream.incarnation !== place.incarnation) throw this.#account.notFound(place.streamName);
    return { stream, shard: this.#account.shard(stream, shardIdOf(place.shardNumber)), counter: place.counter };
  }
}

function isConsumer(address: StreamAddress | ConsumerAddress): address is ConsumerAddress {
  return 'consumerName' in address;
}

// The streams of one account in one region, as every operation of the model needs them: found in the status that it asks for,
// moved on in time, changed only after the journal knows of it. What is refused here is refused in AWS's words.
import { DEFAULT_MAX_ON_DEMAND_STREAMS } from '@shardline/common/base';
import { type AccountSettings, NEW_ACCOUNT_SETTINGS } from './account-settings.ts';
import { CallLimits } from './call-limits.ts';
import type { StreamConsumer } from './consumers.ts';
import { KinesisError } from './errors.ts';
import type { Journal, ModelState, RestoredModel } from './journal.ts';
import type { Shard } from './shard.ts';
import { type Reshard, Stream, type StreamChange } from './stream.ts';

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
  /** Named in messages. Default us-east-1. */
  readonly region?: string;
  /** What to add to the message that a stream was not found, with a space before it. Default nothing. */
  readonly notFoundHint?: (streamName: string, now: number) => string;
  /** Told when something begins that takes until `dueMs`: whoever has a clock then calls `settle`. */
  readonly onDue?: (dueMs: number) => void;
  /** Told of every change before anybody sees it. Default: nothing outlives the model. */
  readonly journal?: Journal | undefined;
  /** What the model begins with. Default: empty. */
  readonly restored?: RestoredModel | undefined;
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

type ResolvedOptions = Required<Omit<KinesisModelOptions, 'controlLimits' | 'journal' | 'restored'>>;

export class Account {
  readonly options: ResolvedOptions;
  /** By name. */
  readonly streams: Map<string, Stream> = new Map();
  /** What is set for the account itself. Replaced as a whole. */
  settings: AccountSettings = NEW_ACCOUNT_SETTINGS;
  /** There when `controlLimits` is on. */
  readonly callLimits: CallLimits | undefined;
  readonly #journal: Journal | undefined;
  /** That of whose last change the journal does not know yet. Empty but after it failed. */
  readonly #untold: Set<Stream | 'account'> = new Set();
  #incarnations = 0;

  constructor(options: KinesisModelOptions) {
    this.options = {
      limits: options.limits ?? true,
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
      region: options.region ?? 'us-east-1',
      notFoundHint: options.notFoundHint ?? (() => ''),
      onDue: options.onDue ?? (() => undefined),
    };
    this.callLimits = options.controlLimits === true ? new CallLimits(this.options.accountId) : undefined;
    this.#journal = options.journal;
    if (options.restored !== undefined) this.#restore(options.restored);
  }

  // ---- finding

  /** A stream to look at, in whatever status it is. @throws ResourceNotFoundException */
  stream(streamName: string, now: number): Stream {
    this.#settle(this.streams.get(streamName), now);
    const stream = this.streams.get(streamName);
    if (stream !== undefined) return stream;
    const { message } = this.notFound(streamName);
    throw new KinesisError('ResourceNotFoundException', message + this.options.notFoundHint(streamName, now));
  }

  /** Whether there is a stream of that name, in whatever status. */
  has(streamName: string, now: number): boolean {
    this.#settle(this.streams.get(streamName), now);
    return this.streams.has(streamName);
  }

  /** A stream to write to and read from. @throws ResourceNotFoundException */
  readable(streamName: string, now: number): Stream {
    const stream = this.stream(streamName, now);
    if (stream.status === 'CREATING' || stream.status === 'DELETING') throw this.notFound(streamName);
    return stream;
  }

  /** A stream whose shards and consumers are there to see, and to add to. @throws ResourceNotFoundException, ResourceInUseException */
  settled(streamName: string, now: number): Stream {
    const stream = this.stream(streamName, now);
    if (stream.status === 'ACTIVE' || stream.status === 'UPDATING') return stream;
    // In AWS's words (aws-sdk-java-v2#5949).
    throw new KinesisError(
      'ResourceInUseException',
      `${this.where(streamName)} not ACTIVE or UPDATING, instead in state ${stream.status}`,
    );
  }

  /** A stream to change. @throws ResourceNotFoundException, ResourceInUseException */
  active(streamName: string, now: number): Stream {
    const stream = this.stream(streamName, now);
    this.refuseUnless(stream, 'ACTIVE');
    return stream;
  }

  refuseUnless(stream: Stream, ...allowed: Stream['status'][]): void {
    if (allowed.includes(stream.status)) return;
    throw new KinesisError(
      'ResourceInUseException',
      `${this.where(stream.name)} not ${allowed[0]}, instead in state ${stream.status}`,
    );
  }

  /** When as many streams as may be are in these statuses already. @throws LimitExceededException */
  refuseMoreStreams(now: number, ...statuses: Stream['status'][]): void {
    if (this.callLimits === undefined) return;
    this.settle(now);
    this.callLimits.refuseMoreStreams(this.streams.values(), ...statuses);
  }

  /** When as many consumers as may be are CREATING already. @throws LimitExceededException */
  refuseMoreConsumers(now: number): void {
    if (this.callLimits === undefined) return;
    this.settle(now);
    this.callLimits.refuseMoreConsumers(this.streams.values());
  }

  /** Of a stream that is there. @throws ResourceNotFoundException */
  shard(stream: Stream, shardId: string): Shard {
    const shard = stream.shard(shardId);
    if (shard !== undefined) return shard;
    throw new KinesisError(
      'ResourceNotFoundException',
      `Shard ${shardId} in ${this.within(stream.name)} does not exist`,
    );
  }

  /** @throws ResourceNotFoundException */
  consumer({ streamName, consumerName, createdSecond }: ConsumerAddress, now: number): StreamConsumer {
    const consumer = this.stream(streamName, now).consumers.get(consumerName);
    const isThatOne = createdSecond === undefined || Math.floor((consumer?.createdMs ?? 0) / 1000) === createdSecond;
    if (consumer !== undefined && isThatOne) return consumer;
    throw new KinesisError(
      'ResourceNotFoundException',
      `Consumer ${consumerName}, account ${this.options.accountId} not found.`,
    );
  }

  /** A consumer to use or to change. @throws ResourceNotFoundException, ResourceInUseException */
  activeConsumer(address: ConsumerAddress, now: number): StreamConsumer {
    const consumer = this.consumer(address, now);
    if (consumer.status === 'ACTIVE') return consumer;
    throw new KinesisError(
      'ResourceInUseException',
      `Consumer ${consumer.name} with creation timestamp ${Math.floor(consumer.createdMs / 1000)} under stream: ${address.streamName} , account ${this.options.accountId} is not in ACTIVE status.`,
    );
  }

  // ---- changing

  /** A number for a new stream, by which tokens tell it from all others. */
  nextIncarnation(): number {
    return ++this.#incarnations;
  }

  /** Plans a change of a stream, and makes it if it is due already. */
  begin(stream: Stream, change: StreamChange, forMs: number, now: number): void {
    stream.begin(change, now + forMs);
    this.tell(stream);
    this.settleBy(stream, now + forMs, now);
  }

  /** Splits and merges, after the time that takes. */
  reshard(stream: Stream, steps: readonly Reshard[], now: number): void {
    this.begin(stream, { kind: 'reshard', steps }, this.options.reshardMs, now);
  }

  /** Sees to what a stream is to do at `dueMs`. */
  settleBy(stream: Stream, dueMs: number, now: number): void {
    this.#settle(stream, now);
    if (dueMs > now) this.options.onDue(dueMs);
  }

  // ---- time and housekeeping

  /** When `settle` has something to do next; infinite when nothing is under way. */
  nextDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const stream of this.streams.values()) dueMs = Math.min(dueMs, stream.dueMs);
    return dueMs;
  }

  /** Does everything that has become due by `now`. Calls about a stream do it for that stream by themselves. */
  settle(now: number): void {
    for (const stream of this.streams.values()) this.#settle(stream, now);
  }

  /** Drops the records whose retention is over, also of shards that nobody touches. */
  trimAll(now: number): void {
    for (const stream of this.streams.values()) {
      for (const shard of stream.shards) this.trim(stream, shard, now);
    }
  }

  /** Ends all subscriptions and forgets everything. */
  clear(): void {
    for (const stream of this.streams.values()) {
      for (const consumer of stream.consumers.values()) consumer.delete(Number.POSITIVE_INFINITY, 'stream-deleted');
      this.#untold.add(stream);
    }
    this.streams.clear();
    this.settings = NEW_ACCOUNT_SETTINGS;
    this.callLimits?.clear();
    this.#untold.add('account');
    this.#tellAll();
  }

  /** All but the records, as it is. */
  get state(): ModelState {
    const streams = Array.from(this.streams.values(), ({ state }) => state);
    return { incarnations: this.#incarnations, account: this.settings, streams };
  }

  /** Drops what a shard may not hold any longer. */
  trim(stream: Stream, shard: Shard, now: number): void {
    shard.log.trim(now - stream.retentionMs, this.options.maxStoredBytesPerShard);
  }

  #settle(stream: Stream | undefined, now: number): void {
    // A change that the journal does not know of may be taken back by a restart: nobody may see it made.
    if (stream === undefined || (this.#untold.size > 0 && !this.#isTold(stream))) return;
    const became = stream.settle(now);
    if (became === 'as-before') return;
    if (became === 'gone') this.streams.delete(stream.name);
    // Should the journal fail here, a restart makes the same change again, of the plan that it knows.
    if (this.#journal !== undefined) this.#untold.add(stream);
    this.#isTold(stream);
  }

  // ---- the journal

  /** Keeps the change of this, and all that is still to be kept. @throws what the journal throws */
  tell(changed: Stream | 'account'): void {
    if (this.#journal === undefined) return;
    this.#untold.add(changed);
    this.#tellAll();
  }

  #tellAll(): void {
    for (const changed of this.#untold) {
      if (changed === 'account') this.#journal?.accountChanged(this.settings);
      else if (this.streams.get(changed.name) === changed) this.#journal?.changed(changed);
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
  tellAppended(stream: Stream, touched: ReadonlyMap<Shard, number>): void {
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
    this.settings = account;
    for (const state of streams) {
      const stream = Stream.restored(state, (shard) => recordsOf(state, shard));
      this.streams.set(stream.name, stream);
      for (const { dueMs } of [...state.consumers, ...(state.change === undefined ? [] : [state.change])]) {
        if (dueMs !== undefined) this.options.onDue(dueMs);
      }
    }
  }

  // ---- words

  where(streamName: string): string {
    return `Stream ${streamName} under account ${this.options.accountId}`;
  }

  within(streamName: string): string {
    return `stream ${streamName} under account ${this.options.accountId}`;
  }

  notFound(streamName: string): KinesisError {
    return new KinesisError('ResourceNotFoundException', `${this.where(streamName)} not found.`);
  }
}

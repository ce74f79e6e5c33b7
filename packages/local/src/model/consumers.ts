// Registered consumers of a stream and their subscriptions: the reader's side of SubscribeToShard as a state machine that is
// asked for its next event. A subscription holds one place in one shard; it never waits and never sends: the shell (or a
// simulated client) polls it when its watcher says there is news, so a slow reader costs no memory.
import {
  type SequenceNumber,
  SHARD_FAN_OUT_BYTES_PER_SECOND,
  SUBSCRIBE_INTERVAL_MS,
  SUBSCRIPTION_DURATION_MS,
} from '@shardline/common/base';
import { KinesisError } from './errors.ts';
import { readShard } from './position.ts';
import { TokenBucket } from './rate-limit.ts';
import type { StoredRecord } from './record-log.ts';
import { type ConsumerSettings, NEW_CONSUMER_SETTINGS } from './settings.ts';
import type { ChildShard, Shard } from './shard.ts';

export type ConsumerStatus = 'CREATING' | 'ACTIVE' | 'DELETING';

/** Why a subscription brings nothing more. */
export type SubscriptionEnd =
  | 'expired'
  | 'taken-over'
  | 'consumer-deleted'
  | 'stream-deleted'
  | 'shard-end'
  | 'cancelled';

export type SubscriptionEvent =
  | {
      readonly kind: 'records';
      /** At least one. */
      readonly records: readonly StoredRecord[];
      /** Reads on from here, with AT_ as well as with AFTER_SEQUENCE_NUMBER. */
      readonly continuationSequenceNumber: SequenceNumber;
      readonly millisBehindLatest: number;
    }
  /** The last event of a closed shard; it may still hold records. */
  | {
      readonly kind: 'shard-end';
      readonly records: readonly StoredRecord[];
      readonly childShards: readonly ChildShard[];
    }
  /** Nothing now: wait for the watcher. What a heartbeat carries. */
  | { readonly kind: 'idle'; readonly continuationSequenceNumber: SequenceNumber }
  /** Records are there, and the consumer's 2 MiB/s of this shard are used up. */
  | { readonly kind: 'throttled'; readonly untilMs: number }
  | { readonly kind: 'ended'; readonly reason: SubscriptionEnd };

/** One event's share: about 1 MB as JSON, since clients choke on giant ones. A single larger record goes alone. */
const MAX_EVENT_RECORDS = 2000;
const MAX_EVENT_BYTES = 768 * 1024;

export class Subscription {
  readonly shard: Shard;
  readonly startedMs: number;
  /** Called when `poll` may have something new: an append, the shard's end, the subscription's own end. */
  onNews: () => void = () => undefined;
  readonly #rate: TokenBucket | undefined;
  readonly #watcher = (): void => this.onNews();
  #counter: number;
  #end: SubscriptionEnd | undefined;

  constructor(shard: Shard, counter: number, limits: boolean, now: number) {
    this.shard = shard;
    this.#counter = counter;
    this.startedMs = now;
    this.#rate = limits ? new TokenBucket(SHARD_FAN_OUT_BYTES_PER_SECOND) : undefined;
    shard.watchers.add(this.#watcher);
  }

  /** When it ends by itself, 5 minutes after it began. */
  get expiresMs(): number {
    return this.startedMs + SUBSCRIPTION_DURATION_MS;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** The next event. Records are handed out once. */
  poll(now: number): SubscriptionEvent {
    if (this.#end === undefined && now >= this.expiresMs) this.#finish('expired');
    if (this.#end !== undefined) return { kind: 'ended', reason: this.#end };
    if (this.#rate?.inDebt(now) && this.#counter < this.shard.log.nextCounter) {
      return { kind: 'throttled', untilMs: this.#rate.readyAtMs(0, now) };
    }
    const read = readShard(this.shard, this.#counter, MAX_EVENT_RECORDS, MAX_EVENT_BYTES, now);
    this.#counter = read.nextCounter;
    this.#rate?.take(read.sizeBytes, now);
    const { records, childShards, millisBehindLatest } = read;
    if (childShards.length > 0) {
      this.#finish('shard-end');
      return { kind: 'shard-end', records, childShards };
    }
    const continuationSequenceNumber = this.shard.continuationAt(this.#counter);
    if (records.length === 0) return { kind: 'idle', continuationSequenceNumber };
    return { kind: 'records', records, continuationSequenceNumber, millisBehindLatest };
  }

  /** Ends it from outside, which is news; the first reason stays. */
  end(reason: SubscriptionEnd): void {
    if (this.#end !== undefined) return;
    this.#finish(reason);
    this.onNews();
  }

  #finish(reason: SubscriptionEnd): void {
    this.#end = reason;
    this.shard.watchers.delete(this.#watcher);
  }
}

/** A consumer without its subscriptions, as plain data. */
export interface ConsumerState {
  readonly name: string;
  readonly createdMs: number;
  readonly status: ConsumerStatus;
  /** When CREATING or DELETING is over. */
  readonly dueMs?: number;
  readonly settings: ConsumerSettings;
}

export class StreamConsumer {
  readonly name: string;
  /** Replaced as a whole when one of them changes. */
  settings: ConsumerSettings;
  readonly createdMs: number;
  #status: ConsumerStatus = 'CREATING';
  #dueMs: number;
  readonly #subscriptions: Map<string, Subscription> = new Map();

  constructor(name: string, now: number, activeAtMs: number, settings: Partial<ConsumerSettings> = {}) {
    this.name = name;
    this.settings = { ...NEW_CONSUMER_SETTINGS, ...settings };
    this.createdMs = now;
    this.#dueMs = activeAtMs;
  }

  static restored(state: ConsumerState): StreamConsumer {
    const { name, createdMs, status, dueMs = Number.POSITIVE_INFINITY, settings } = state;
    const consumer = new StreamConsumer(name, createdMs, dueMs, settings);
    consumer.#status = status;
    return consumer;
  }

  get state(): ConsumerState {
    const state = {
      name: this.name,
      createdMs: this.createdMs,
      status: this.#status,
      settings: this.settings,
    };
    return Number.isFinite(this.#dueMs) ? { ...state, dueMs: this.#dueMs } : state;
  }

  get status(): ConsumerStatus {
    return this.#status;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  settle(now: number): 'as-before' | 'changed' | 'gone' {
    if (this.#dueMs > now) return 'as-before';
    if (this.#status === 'DELETING') return 'gone';
    this.#status = 'ACTIVE';
    this.#dueMs = Number.POSITIVE_INFINITY;
    return 'changed';
  }

  /** Deregisters it: it is gone at `goneAtMs`, its subscriptions end now. */
  delete(goneAtMs: number, reason: SubscriptionEnd = 'consumer-deleted'): void {
    this.#status = 'DELETING';
    this.#dueMs = goneAtMs;
    for (const subscription of this.#subscriptions.values()) subscription.end(reason);
    this.#subscriptions.clear();
  }

  /**
   * Subscribes to a shard from the record `counter` on.
   * "If you call SubscribeToShard again with the same ConsumerARN and ShardId within 5 seconds of a successful call, you'll
   * get a ResourceInUseException. If you call … 5 seconds or more after a successful call, the second call takes over"
   * (API_SubscribeToShard).
   */
  subscribe(shard: Shard, counter: number, limits: boolean, now: number): Subscription {
    const held = this.#subscriptions.get(shard.id);
    if (held !== undefined && now - held.startedMs < SUBSCRIBE_INTERVAL_MS) {
      throw new KinesisError(
        'ResourceInUseException',
        `Another active subscription exists for this consumer: ${this.name} on ${shard.id}`,
      );
    }
    held?.end('taken-over');
    this.#forgetEnded(now);
    const subscription = new Subscription(shard, counter, limits, now);
    this.#subscriptions.set(shard.id, subscription);
    return subscription;
  }

  /** An ended one still counts for its first 5 s, then it need not be remembered. */
  #forgetEnded(now: number): void {
    for (const [shardId, { hasEnded, startedMs }] of this.#subscriptions) {
      if (hasEnded && now - startedMs >= SUBSCRIBE_INTERVAL_MS) this.#subscriptions.delete(shardId);
    }
  }
}

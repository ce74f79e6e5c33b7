// One stream: its shards, old and open, its consumers, its retention, and the change that is under way (being created,
// resharded, deleted). The open shards cover the hash key space exactly once, at every moment.
import {
  DEFAULT_RETENTION_HOURS,
  evenRanges,
  type HashKey,
  type HashKeyRange,
  invariant,
  unreachable,
} from '@shardline/common/base';
import type { StreamCapacity, StreamMode } from './capacity.ts';
import { type ConsumerState, StreamConsumer } from './consumers.ts';
import type { StoredRecord } from './record-log.ts';
import { NEW_STREAM_SETTINGS, type StreamSettings } from './settings.ts';
import { type ChildShard, Shard, type ShardOrigin, type ShardState } from './shard.ts';
import { Traffic } from './traffic.ts';

export type StreamStatus = 'CREATING' | 'ACTIVE' | 'UPDATING' | 'DELETING';

/** Shards that end together, and the ranges of those that go on in their place. */
export interface Reshard {
  readonly parentIds: readonly string[];
  readonly ranges: readonly HashKeyRange[];
}

/** What a stream becomes when its CREATING, UPDATING or DELETING is over. Plain data, so that it can be kept and restored. */
export type StreamChange =
  | { readonly kind: 'create' }
  | { readonly kind: 'delete' }
  /** One after another; a later step may end the shards that an earlier one opened. None when only settings change. */
  | { readonly kind: 'reshard'; readonly steps: readonly Reshard[] }
  | { readonly kind: 'set'; readonly settings: Partial<StreamSettings> };

/** What never changes about a stream. */
export type StreamIdentity = Pick<StreamState, 'name' | 'createdMs' | 'incarnation'>;

/** When which change is made. */
export interface PlannedChange {
  readonly dueMs: number;
  readonly change: StreamChange;
}

/** A stream without its records, as plain data: what a journal keeps. A field added to the class belongs here as well. */
export interface StreamState {
  readonly name: string;
  readonly createdMs: number;
  readonly incarnation: number;
  readonly capacity: StreamCapacity;
  readonly settings: StreamSettings;
  readonly retentionHours: number;
  readonly nextShardNumber: number;
  readonly change?: PlannedChange;
  readonly consumers: readonly ConsumerState[];
  readonly shards: readonly ShardState[];
}

const statusOf = { create: 'CREATING', delete: 'DELETING', reshard: 'UPDATING', set: 'UPDATING' } as const;

const HOUR_MS = 3_600_000;

export class Stream {
  readonly name: string;
  /** Replaced as a whole when one of its settings changes. */
  capacity: StreamCapacity;
  /** Replaced as a whole, too. */
  settings: StreamSettings;
  readonly createdMs: number;
  /** Tells this stream from an earlier one of the same name, in tokens. */
  readonly incarnation: number;
  readonly consumers: Map<string, StreamConsumer> = new Map();
  /** Of a stream in on-demand mode. */
  readonly traffic: Traffic;
  readonly #shards: Map<string, Shard> = new Map();
  #open: Shard[] = [];
  #nextShardNumber = 0;
  /** Which of the open shards gets the next record that has no say in it. */
  #turn = 0;
  #status: StreamStatus = 'ACTIVE';
  #change: PlannedChange | undefined;
  #retentionHours = DEFAULT_RETENTION_HOURS;
  /** When the first closed shard has outlived its records. */
  #expiryMs = Number.POSITIVE_INFINITY;

  private constructor(
    { name, createdMs, incarnation }: StreamIdentity,
    capacity: StreamCapacity,
    settings: Partial<StreamSettings>,
  ) {
    this.name = name;
    this.capacity = capacity;
    this.settings = { ...NEW_STREAM_SETTINGS, ...settings };
    this.createdMs = createdMs;
    this.traffic = new Traffic(createdMs);
    this.incarnation = incarnation;
  }

  /** A new stream whose shards divide the hash key space evenly. */
  static created(
    identity: StreamIdentity,
    capacity: StreamCapacity,
    settings: Partial<StreamSettings>,
    shardCount: number,
  ): Stream {
    const stream = new Stream(identity, capacity, settings);
    const { createdMs } = identity;
    const epoch = epochAt(createdMs, 0);
    stream.#open = evenRanges(shardCount).map((range) => stream.#add({ range, createdMs, epoch, parentIds: [] }));
    return stream;
  }

  /** The stream of which `state` was taken. `recordsOf` gives a shard's records from its `firstCounter` on. */
  static restored(state: StreamState, recordsOf: (shard: ShardState) => Iterable<StoredRecord>): Stream {
    const stream = new Stream(state, state.capacity, state.settings);
    stream.#retentionHours = state.retentionHours;
    stream.#nextShardNumber = state.nextShardNumber;
    for (const each of state.shards) {
      const shard = Shard.restored(each, recordsOf(each));
      stream.#shards.set(shard.id, shard);
    }
    stream.#open = inHashKeyOrder(stream.shards.filter((shard) => shard.isOpen));
    for (const each of state.consumers) stream.consumers.set(each.name, StreamConsumer.restored(each));
    if (state.change !== undefined) stream.begin(state.change.change, state.change.dueMs);
    stream.#planExpiry();
    return stream;
  }

  get state(): StreamState {
    const { name, createdMs, incarnation, capacity, settings, retentionHours } = this;
    const state = {
      name,
      createdMs,
      incarnation,
      capacity,
      settings,
      retentionHours,
      nextShardNumber: this.#nextShardNumber,
      consumers: [...this.consumers.values()].map((consumer) => consumer.state),
      shards: this.shards.map((shard) => shard.state),
    };
    return this.#change === undefined ? state : { ...state, change: this.#change };
  }

  get mode(): StreamMode {
    return this.capacity.mode;
  }

  /** Whether what is put now is encrypted. */
  get isEncrypted(): boolean {
    return this.settings.encryption.keyId !== null;
  }

  get status(): StreamStatus {
    return this.#status;
  }

  get retentionHours(): number {
    return this.#retentionHours;
  }

  get retentionMs(): number {
    return this.#retentionHours * HOUR_MS;
  }

  /** All shards whose records may still be there, by number. */
  get shards(): readonly Shard[] {
    return [...this.#shards.values()];
  }

  /** The shards that take records, by hash key. */
  get openShards(): readonly Shard[] {
    return this.#open;
  }

  /** What the next shard to be opened is called by. */
  get nextShardNumber(): number {
    return this.#nextShardNumber;
  }

  shard(shardId: string): Shard | undefined {
    return this.#shards.get(shardId);
  }

  /** The open shard whose range holds the key. */
  shardFor(hashKey: HashKey): Shard {
    let low = 0;
    let high = this.#open.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#open[middle]?.origin.range.start ?? 0n) <= hashKey) low = middle;
      else high = middle - 1;
    }
    const shard = this.#open[low];
    invariant(shard !== undefined, 'the open shards cover every hash key');
    return shard;
  }

  /** The first open shard that suits, from the one whose turn it is; that one when none does. */
  shardInTurn(suits: (shard: Shard) => boolean): Shard {
    const count = this.#open.length;
    let at = this.#turn % count;
    for (let passed = 0; passed < count; passed++) {
      const shard = this.#open[(this.#turn + passed) % count];
      if (shard === undefined || !suits(shard)) continue;
      at = (this.#turn + passed) % count;
      break;
    }
    const found = this.#open[at];
    invariant(found !== undefined, 'a stream has an open shard');
    this.#turn = at + 1;
    return found;
  }

  /** When `settle` has something to do next; infinite when nothing is under way. */
  get dueMs(): number {
    let dueMs = Math.min(this.#change?.dueMs ?? Number.POSITIVE_INFINITY, this.#expiryMs);
    for (const consumer of this.consumers.values()) dueMs = Math.min(dueMs, consumer.dueMs);
    return dueMs;
  }

  /** Enters the status that goes with the change until `dueMs`; then the change is made, and the stream is ACTIVE or gone. */
  begin(change: StreamChange, dueMs: number): void {
    this.#status = statusOf[change.kind];
    this.#change = { dueMs, change };
  }

  /** Does what has become due by `now`. */
  settle(now: number): 'as-before' | 'changed' | 'gone' {
    let outcome: 'as-before' | 'changed' = 'as-before';
    const due = this.#change;
    if (due !== undefined && due.dueMs <= now) {
      if (due.change.kind === 'delete') return 'gone';
      this.#change = undefined;
      this.#status = 'ACTIVE';
      this.#apply(due.change, due.dueMs);
      outcome = 'changed';
    }
    if (this.#expiryMs < now) {
      this.#expire(now);
      outcome = 'changed';
    }
    for (const consumer of this.consumers.values()) {
      const became = consumer.settle(now);
      if (became === 'gone') this.consumers.delete(consumer.name);
      if (became !== 'as-before') outcome = 'changed';
    }
    return outcome;
  }

  setRetention(hours: number): void {
    this.#retentionHours = hours;
    this.#planExpiry();
  }

  #apply(change: Exclude<StreamChange, { kind: 'delete' }>, atMs: number): void {
    switch (change.kind) {
      case 'create':
        break;
      case 'reshard':
        this.#reshard(change.steps, atMs);
        break;
      case 'set':
        this.#set(change.settings);
        break;
      default:
        unreachable(change);
    }
  }

  #set(changed: Partial<StreamSettings>): void {
    const wasEncrypted = this.isEncrypted;
    this.settings = { ...this.settings, ...changed };
    if (this.isEncrypted === wasEncrypted) return;
    for (const shard of this.#open) shard.encrypt(this.isEncrypted);
  }

  #reshard(steps: readonly Reshard[], atMs: number): void {
    const closed = steps.flatMap((step) => this.#replace(step, atMs));
    this.#open = inHashKeyOrder(this.shards.filter((shard) => shard.isOpen));
    this.#planExpiry();
    for (const shard of closed) shard.wake();
  }

  /** Closes the parents and opens a shard for each range in their place. */
  #replace({ parentIds, ranges }: Reshard, atMs: number): Shard[] {
    const parents = parentIds.map((id) => {
      const parent = this.#shards.get(id);
      invariant(parent !== undefined, `${id} is there until it has been resharded`);
      return parent;
    });
    const epoch = epochAt(atMs, Math.max(...parents.map((parent) => parent.origin.epoch)) + 1);
    const children = ranges.map((range) => this.#add({ range, createdMs: atMs, epoch, parentIds }));
    const childShards = children.map(
      (child): ChildShard => ({ shardId: child.id, parentShards: parentIds, hashKeyRange: child.origin.range }),
    );
    for (const parent of parents) parent.close(childShards, atMs);
    return parents;
  }

  #add(origin: Omit<ShardOrigin, 'number'>): Shard {
    const shard = new Shard({ ...origin, number: this.#nextShardNumber++ });
    if (this.isEncrypted) shard.encrypt(true);
    this.#shards.set(shard.id, shard);
    return shard;
  }

  /** Forgets closed shards all of whose records are older than the retention. */
  #expire(now: number): void {
    for (const shard of this.#shards.values()) {
      if (shard.end !== undefined && shard.end.atMs + this.retentionMs < now) this.#shards.delete(shard.id);
    }
    this.#planExpiry();
  }

  #planExpiry(): void {
    this.#expiryMs = Number.POSITIVE_INFINITY;
    for (const { end } of this.#shards.values()) {
      if (end !== undefined) this.#expiryMs = Math.min(this.#expiryMs, end.atMs + this.retentionMs);
    }
  }
}

function inHashKeyOrder(shards: Shard[]): Shard[] {
  return shards.sort((a, b) => (a.origin.range.start < b.origin.range.start ? -1 : 1));
}

function epochAt(now: number, atLeast: number): number {
  return Math.max(atLeast, Math.floor(now / 1000));
}

// One stream: its shards, old and open, its consumers, its retention, and the change that is under way (being created,
// resharded, deleted). The open shards cover the hash key space exactly once, at every moment.
import {
  DEFAULT_RETENTION_HOURS,
  evenRanges,
  type HashKey,
  type HashKeyRange,
  invariant,
  unreachable,
} from '@shardline/common';
import type { StreamConsumer } from './consumers.ts';
import { type ChildShard, Shard, type ShardOrigin } from './shard.ts';

export type StreamStatus = 'CREATING' | 'ACTIVE' | 'UPDATING' | 'DELETING';
export type StreamMode = 'PROVISIONED' | 'ON_DEMAND';

/** Shards that end together, and the ranges of those that go on in their place. */
export interface Reshard {
  readonly parentIds: readonly string[];
  readonly ranges: readonly HashKeyRange[];
}

/** What a stream becomes when its CREATING, UPDATING or DELETING is over. Plain data, so that it can be kept and restored. */
export type StreamChange =
  | { readonly kind: 'create' }
  | { readonly kind: 'delete' }
  /** One after another; a later step may end the shards that an earlier one opened. */
  | { readonly kind: 'reshard'; readonly steps: readonly Reshard[] };

const statusOf = { create: 'CREATING', delete: 'DELETING', reshard: 'UPDATING' } as const;

const HOUR_MS = 3_600_000;

export class Stream {
  readonly name: string;
  readonly mode: StreamMode;
  readonly createdMs: number;
  /** Tells this stream from an earlier one of the same name, in tokens. */
  readonly incarnation: number;
  readonly consumers: Map<string, StreamConsumer> = new Map();
  readonly #shards: Map<string, Shard> = new Map();
  #open: Shard[] = [];
  #nextShardNumber = 0;
  #status: StreamStatus = 'ACTIVE';
  #change: { readonly dueMs: number; readonly change: StreamChange } | undefined;
  #retentionHours = DEFAULT_RETENTION_HOURS;
  /** When the first closed shard has outlived its records. */
  #expiryMs = Number.POSITIVE_INFINITY;

  constructor(name: string, shardCount: number, mode: StreamMode, incarnation: number, now: number) {
    this.name = name;
    this.mode = mode;
    this.createdMs = now;
    this.incarnation = incarnation;
    const epoch = epochAt(now, 0);
    this.#open = evenRanges(shardCount).map((range) => this.#add({ range, createdMs: now, epoch, parentIds: [] }));
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
  settle(now: number): 'here' | 'gone' {
    const due = this.#change;
    if (due !== undefined && due.dueMs <= now) {
      if (due.change.kind === 'delete') return 'gone';
      this.#change = undefined;
      this.#status = 'ACTIVE';
      this.#apply(due.change, due.dueMs);
    }
    if (this.#expiryMs < now) this.#expire(now);
    for (const consumer of this.consumers.values()) {
      if (consumer.settle(now) === 'gone') this.consumers.delete(consumer.name);
    }
    return 'here';
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
        for (const step of change.steps) this.#reshard(step, atMs);
        break;
      default:
        unreachable(change);
    }
  }

  /** Closes the parents and opens a shard for each range in their place. */
  #reshard({ parentIds, ranges }: Reshard, atMs: number): void {
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
    this.#open = [...this.#open.filter((shard) => !parents.includes(shard)), ...children].sort((a, b) =>
      a.origin.range.start < b.origin.range.start ? -1 : 1,
    );
    this.#planExpiry();
    for (const parent of parents) parent.wake();
  }

  #add(origin: Omit<ShardOrigin, 'number'>): Shard {
    const shard = new Shard({ ...origin, number: this.#nextShardNumber++ });
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

function epochAt(now: number, atLeast: number): number {
  return Math.max(atLeast, Math.floor(now / 1000));
}

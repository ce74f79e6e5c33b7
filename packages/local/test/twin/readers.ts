// Readers of a stream that know only AT_TRIM_HORIZON and ChildShards: one polls, one subscribes. They die and begin again where they
// were, at any of the five positions that say so. Each read is held against the dumb twin, record by record.
import { expect } from 'vitest';
import {
  type ChildShard,
  KinesisError,
  type StartingPosition,
  type StoredRecord,
  type Subscription,
} from '../../src/model/index.ts';
import { type FlatStream, type Known, streamName } from './flat-stream.ts';

const ITERATOR_MS = 300_000;
const SUBSCRIPTION_MS = 300_000;
const RESUBSCRIBE_MS = 5000;

interface Read {
  readonly records: readonly StoredRecord[];
  /** Not empty at the shard's end. */
  readonly childShards: readonly ChildShard[];
}

/** How a reader goes through a shard: the place of its next new record, and a number that stands for it. */
interface Progress {
  place: number;
  last: Known | undefined;
  continuation: bigint | undefined;
}

export abstract class Reader {
  readonly seen: Known[] = [];
  protected readonly twin: FlatStream;
  readonly #reading: Map<string, Progress> = new Map();
  readonly #finished: Set<string> = new Set();

  /** Begins with the shards that AT_TRIM_HORIZON lists. */
  constructor(twin: FlatStream, now: number) {
    this.twin = twin;
    const filter = { kind: 'AT_TRIM_HORIZON' } as const;
    for (const { id, origin } of twin.model.listShards({ streamName, filter }, now).shards) {
      // What is not listed and is a parent of these is gone.
      for (const parentId of origin.parentIds) expect(twin.shard(parentId).isExpired).toBe(true);
      this.#begin(id);
    }
  }

  /** Reads one of the shards it is in, at most `limit` records where that can be said; `how` picks where to begin, if it must. */
  read(pick: number, limit: number, how: number, now: number): void {
    const shardId = this.shardIds[pick % this.shardIds.length];
    const progress = shardId === undefined ? undefined : this.#reading.get(shardId);
    if (shardId === undefined || progress === undefined) return;
    try {
      const read = this.readShard(shardId, progress, limit, how, now);
      if (read !== undefined) this.#take(shardId, progress, read);
    } catch (error) {
      if (!(error instanceof KinesisError) || error.type !== 'ResourceNotFoundException') throw error;
      expect(this.twin.shard(shardId).isExpired).toBe(true);
      this.#finish(shardId, this.twin.shard(shardId).childIds);
    }
  }

  get shardIds(): string[] {
    return [...this.#reading.keys()];
  }

  /** Forgets everything but how far it came. */
  abstract restart(): void;

  /** Undefined when there was nothing to read from, or no more. */
  protected abstract readShard(
    shardId: string,
    progress: Progress,
    limit: number,
    how: number,
    now: number,
  ): Read | undefined;

  /** A position at or before the next new record, with nothing unseen between. */
  protected position(shardId: string, { place, last, continuation }: Progress, how: number): StartingPosition {
    const { startingSequenceNumber } = this.twin.shard(shardId);
    const positions: StartingPosition[] =
      last === undefined
        ? [
            { kind: 'TRIM_HORIZON' },
            { kind: 'AT_TIMESTAMP', timestampMs: 0 },
            { kind: 'AT_SEQUENCE_NUMBER', sequenceNumber: startingSequenceNumber },
            { kind: 'AFTER_SEQUENCE_NUMBER', sequenceNumber: startingSequenceNumber },
          ]
        : [
            { kind: 'AT_TIMESTAMP', timestampMs: last.arrivalMs },
            { kind: 'AT_SEQUENCE_NUMBER', sequenceNumber: last.sequenceNumber },
            { kind: 'AFTER_SEQUENCE_NUMBER', sequenceNumber: last.sequenceNumber },
          ];
    if (this.twin.from(shardId, place).length === 0) positions.push({ kind: 'LATEST' });
    if (continuation !== undefined) {
      positions.push({ kind: 'AT_SEQUENCE_NUMBER', sequenceNumber: continuation });
      positions.push({ kind: 'AFTER_SEQUENCE_NUMBER', sequenceNumber: continuation });
    }
    return positions[how % positions.length] ?? { kind: 'TRIM_HORIZON' };
  }

  #take(shardId: string, progress: Progress, { records, childShards }: Read): void {
    const all = this.twin.recordsOf(shardId);
    const known = idsOf(records).map((id) => this.twin.records[id]);
    expect(records.map(textOf)).toEqual(known.map(textOf));
    for (const each of known) {
      const place = each === undefined ? -1 : all.indexOf(each);
      // Read again after a restart: nothing new.
      if (each === undefined || place < progress.place) continue;
      this.seen.push(each);
      progress.place = place + 1;
      progress.last = each;
    }
    if (childShards.length === 0) return;
    const { childIds } = this.twin.shard(shardId);
    expect(childShards.map((child) => child.shardId)).toEqual(childIds);
    expect(this.twin.from(shardId, progress.place)).toEqual([]);
    this.#finish(shardId, childIds);
  }

  #finish(shardId: string, childIds: readonly string[]): void {
    this.#reading.delete(shardId);
    this.#finished.add(shardId);
    for (const childId of childIds) {
      if (this.twin.shard(childId).parentIds.every((parentId) => this.#finished.has(parentId))) this.#begin(childId);
    }
  }

  #begin(shardId: string): void {
    this.#reading.set(shardId, { place: 0, last: undefined, continuation: undefined });
  }
}

export class Poller extends Reader {
  readonly #iterators: Map<string, { iterator: string; issuedMs: number; place: number }> = new Map();

  restart(): void {
    this.#iterators.clear();
  }

  protected readShard(shardId: string, progress: Progress, limit: number, how: number, now: number): Read | undefined {
    const { model } = this.twin;
    let held = this.#iterators.get(shardId);
    if (held === undefined) {
      const position = this.position(shardId, progress, how);
      const iterator = model.getShardIterator({ streamName, shardId, position }, now);
      held = { iterator, issuedMs: now, place: this.twin.placeOf(shardId, position) };
    }
    if (now - held.issuedMs > ITERATOR_MS) {
      expect(() => model.getRecords({ shardIterator: held.iterator }, now)).toThrow(/^Iterator expired/);
      this.#iterators.delete(shardId);
      return undefined;
    }
    const answer = model.getRecords({ shardIterator: held.iterator, limit }, now);
    const expected = this.twin.from(shardId, held.place);
    const all = this.twin.recordsOf(shardId);
    expect(idsOf(answer.records)).toEqual(expected.slice(0, limit).map(({ id }) => id));
    expect(answer.millisBehindLatest === 0).toBe(expected.length <= limit);
    const isAtEnd = expected.length <= limit && this.twin.shard(shardId).endedMs !== undefined;
    expect([answer.nextShardIterator === null, answer.childShards.length > 0]).toEqual([isAtEnd, isAtEnd]);
    const last = expected.slice(0, limit).at(-1);
    const place = last === undefined ? held.place : all.indexOf(last) + 1;
    this.#iterators.set(shardId, { iterator: answer.nextShardIterator ?? '', issuedMs: now, place });
    return answer;
  }
}

export class Subscriber extends Reader {
  readonly #subscriptions: Map<string, { subscription: Subscription; place: number }> = new Map();
  readonly #abandoned: Map<string, { subscription: Subscription; place: number }> = new Map();

  constructor(twin: FlatStream, now: number) {
    super(twin, now);
    twin.model.registerConsumer({ streamName, consumerName: 'reader' }, now);
  }

  /** Those of before go on until they are taken over. */
  restart(): void {
    for (const [shardId, held] of this.#subscriptions) this.#abandoned.set(shardId, held);
    this.#subscriptions.clear();
  }

  protected readShard(shardId: string, progress: Progress, _limit: number, how: number, now: number): Read | undefined {
    const held = this.#subscriptions.get(shardId) ?? this.#subscribe(shardId, progress, how, now);
    if (held === undefined) return undefined;
    const event = held.subscription.poll(now);
    if (now >= held.subscription.startedMs + SUBSCRIPTION_MS) {
      expect(event).toEqual({ kind: 'ended', reason: 'expired' });
      this.#subscriptions.delete(shardId);
      return undefined;
    }
    const expected = this.twin.from(shardId, held.place);
    const isAtEnd = this.twin.shard(shardId).endedMs !== undefined;
    expect(event.kind).toBe(isAtEnd ? 'shard-end' : expected.length === 0 ? 'idle' : 'records');
    if (event.kind === 'ended' || event.kind === 'throttled') return undefined;
    const records = event.kind === 'idle' ? [] : event.records;
    expect(idsOf(records)).toEqual(expected.map(({ id }) => id));
    held.place = this.twin.recordsOf(shardId).length;
    if (event.kind === 'shard-end') {
      expect(held.subscription.poll(now)).toEqual({ kind: 'ended', reason: 'shard-end' });
      return event;
    }
    progress.continuation = event.continuationSequenceNumber;
    return { records, childShards: [] };
  }

  /** Undefined when it is too early for another one. */
  #subscribe(
    shardId: string,
    progress: Progress,
    how: number,
    now: number,
  ): { subscription: Subscription; place: number } | undefined {
    const position = this.position(shardId, progress, how);
    const subscribe = (): Subscription =>
      this.twin.model.subscribeToShard({ streamName, consumerName: 'reader', shardId, position }, now);
    const abandoned = this.#abandoned.get(shardId);
    if (abandoned !== undefined && now - abandoned.subscription.startedMs < RESUBSCRIBE_MS) {
      if (this.twin.shard(shardId).isExpired) expect(subscribe).toThrow(/does not exist$/);
      else expect(subscribe).toThrow(/^Another active subscription exists/);
      return undefined;
    }
    const held = { subscription: subscribe(), place: this.twin.placeOf(shardId, position) };
    this.#subscriptions.set(shardId, held);
    this.#abandoned.delete(shardId);
    if (abandoned !== undefined) {
      const isOver = now >= abandoned.subscription.startedMs + SUBSCRIPTION_MS;
      const { kind, reason } = abandoned.subscription.poll(now) as { kind: string; reason?: string };
      expect([kind, isOver ? 'taken-over' : reason]).toEqual(['ended', 'taken-over']);
    }
    return held;
  }
}

/** What of a record is to be the same, whoever tells it. */
function textOf(record: StoredRecord | Known | undefined): string {
  if (record === undefined) return 'unknown';
  const key = 'key' in record ? record.key : record.partitionKey;
  return `${record.sequenceNumber} ${key} ${record.arrivalMs}`;
}

function idsOf(records: readonly StoredRecord[]): number[] {
  return records.map(({ data }) => Buffer.from(data).readUInt32BE());
}

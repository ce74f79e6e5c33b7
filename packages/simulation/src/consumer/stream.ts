// The stream of a simulated world: the local server's own model of Kinesis, written to and resharded by the schedule, read by
// the workers. A Kinesis record stands for one to three user records (an aggregate); its one byte says how many.
import { compareExtended, type ExtendedSequenceNumber, type HashKey, type SequenceNumber } from '@shardline/common';
import { KinesisModel } from '@shardline/local';
import { type Lease, leaseKeyOf, type Shard } from '../../../consumer/dist/coordination/lease.js';
import type { Fetched } from '../../../consumer/dist/coordination/results.js';
import { isStray } from '../../../consumer/dist/coordination/strays.js';
import { counterAt, readShard } from '../../../local/dist/model/position.js';
import type { Prng } from '../prng.ts';
import type { ConsumerCheckers } from './checkers.ts';
import type { Position } from './shard-history.ts';

const STREAM = 'simulated';
/** The data of Kinesis records, by the number of user records in them. */
const AGGREGATES: readonly Uint8Array[] = [0, 1, 2, 3].map((count) => Uint8Array.of(count));

type OpenedShard = Parameters<typeof readShard>[0];

/** What a reader gets of a shard, or a stream, that is not there (polling.ts), but of a shard that the stream never had (same-stream.ts). */
export const GONE: StreamRead = { positions: [], fetched: { batch: undefined, atShardEnd: true, childShards: [] } };

export interface StreamRead {
  readonly positions: readonly Position[];
  readonly fetched: Fetched;
}

/** Where a tenure reads that began at LATEST. */
export interface LatestBeginning {
  /** When a former tenure began there, or this one with its first read; undefined: now. */
  since: number | undefined;
  /** Set by the first read: the iterator, and of which stream it is, by when that was made. */
  counter?: number;
  createdMs?: number;
}

export class SimulatedStream {
  readonly #model = new KinesisModel({ limits: false });
  readonly #checkers: ConsumerCheckers;
  readonly #streamId: string | undefined;
  /** The row of a shard's lease as it stands. */
  readonly #rowOf: (leaseKey: string) => Lease | undefined;
  #createdMs: number | undefined;
  /** There was another one of its name. */
  #isAgain: boolean;

  constructor(
    streamId: string | undefined,
    shardCount: number,
    checkers: ConsumerCheckers,
    rowOf: (leaseKey: string) => Lease | undefined,
    now: number,
    isAgain: boolean,
  ) {
    this.#isAgain = isAgain;
    this.#streamId = streamId;
    this.#checkers = checkers;
    this.#rowOf = rowOf;
    this.create(shardCount, now);
  }

  /** When the stream of that name was made; undefined: there is none. */
  get createdMs(): number | undefined {
    return this.#createdMs;
  }

  /** The first number of its shards. */
  get startsAt(): bigint {
    const { shards } = this.#model.stream(STREAM, this.#createdMs ?? 0);
    return (shards[0] as OpenedShard).startingSequenceNumber;
  }

  has(shardId: string): boolean {
    return this.#createdMs !== undefined && this.#model.stream(STREAM, this.#createdMs).shard(shardId) !== undefined;
  }

  isOpen(shardId: string): boolean {
    return this.has(shardId) && this.#model.stream(STREAM, this.#createdMs ?? 0).shard(shardId)?.isOpen === true;
  }

  /** Not in the second in which the one before was made: their numbers would be the same. */
  create(shardCount: number, now: number): void {
    this.#model.createStream({ name: STREAM, shardCount }, now);
    this.#createdMs = now;
    for (const shard of this.#model.stream(STREAM, now).shards) this.#opened(shard, []);
  }

  delete(now: number): void {
    for (const { id } of this.#model.stream(STREAM, now).shards) this.#checkers.shardGone(this.#keyOf(id));
    this.#model.deleteStream({ streamName: STREAM }, now);
    this.#model.settle(now);
    this.#createdMs = undefined;
    this.#isAgain = true;
  }

  /** Puts one Kinesis record somewhere. */
  put(now: number, prng: Prng): void {
    const explicitHashKey = randomHashKey(prng);
    const userRecordCount = prng.between(1, 3);
    const stored = this.#model.putRecord(
      {
        streamName: STREAM,
        record: { partitionKey: 'k', explicitHashKey, data: AGGREGATES[userRecordCount] as Uint8Array },
      },
      now,
    );
    for (let sub = 0; sub < userRecordCount; sub += 1) {
      this.#checkers.recordPut(this.#keyOf(stored.shardId), {
        sequenceNumber: stored.sequenceNumber,
        subSequenceNumber: sub,
      });
    }
  }

  /** Splits an open shard in the middle. */
  split(now: number, prng: Prng): void {
    const shard = prng.pick(this.#model.stream(STREAM, now).openShards);
    const { start, end } = shard.origin.range;
    if (end - start < 4n) return;
    const newStartingHashKey = (start + (end - start) / 2n) as HashKey;
    this.#model.splitShard({ streamName: STREAM, shardId: shard.id, newStartingHashKey }, now);
    this.#resharded([shard.id], now);
  }

  /** Merges two neighbours, if there are any. */
  merge(now: number, prng: Prng): void {
    const { openShards } = this.#model.stream(STREAM, now);
    if (openShards.length < 2) return;
    const index = prng.int(openShards.length - 1);
    const [shardId, adjacentShardId] = [openShards[index]?.id as string, openShards[index + 1]?.id as string];
    this.#model.mergeShards({ streamName: STREAM, shardId, adjacentShardId }, now);
    this.#resharded([shardId, adjacentShardId], now);
  }

  /** None where there is no stream. */
  listShards(filter: 'initial' | 'all', now: number): Shard[] {
    if (this.#createdMs === undefined) return [];
    const { shards } = this.#model.listShards(
      filter === 'initial' ? { streamName: STREAM, filter: { kind: 'AT_TRIM_HORIZON' } } : { streamName: STREAM },
      now,
    );
    return shards.map((shard) => ({
      shardId: shard.id,
      parentShardIds: shard.origin.parentIds,
      hashKeyRange: shard.origin.range,
      startingSequenceNumber: shard.startingSequenceNumber,
      endingSequenceNumber: shard.end?.endingSequenceNumber,
    }));
  }

  /**
   * Up to `limit` Kinesis records after `after`, as user records. Of a shard that is not there any more it is the end, without children.
   * @returns undefined: the number is none of this stream's, or the shard was none
   */
  read(
    shardId: string,
    after: ExtendedSequenceNumber,
    latest: LatestBeginning,
    limit: number,
    batchId: number,
    now: number,
  ): StreamRead | undefined {
    const { sequenceNumber } = after;
    const shard = this.#createdMs === undefined ? undefined : this.#model.stream(STREAM, now).shard(shardId);
    if (shard === undefined) return this.#isStray(shardId, after, now) ? undefined : GONE;
    if (typeof sequenceNumber === 'bigint' && !shard.owns(sequenceNumber)) return undefined;
    // Without GetShardIterator's tokens, whose checksums took half of the time of a world.
    const counter = this.#counterOf(shard, sequenceNumber, latest, now);
    const answer = readShard(shard, counter, limit, limit * 1000, now);
    const positions: Position[] = [];
    for (const record of answer.records) {
      for (let sub = 0; sub < (record.data[0] ?? 1); sub += 1) {
        const found = { sequenceNumber: record.sequenceNumber, subSequenceNumber: sub };
        if (compareExtended(found, after) > 0) positions.push(found);
      }
    }
    const last = answer.records.at(-1);
    // AT_SEQUENCE_NUMBER reads the last record again, for the rest of its aggregate; alone it is nothing new.
    const batch =
      last === undefined || (positions.length === 0 && last.sequenceNumber === sequenceNumber)
        ? undefined
        : {
            batchId,
            first: (positions[0] as ExtendedSequenceNumber | undefined)?.sequenceNumber as SequenceNumber | undefined,
            recordCount: positions.length,
            byteCount: positions.length,
            last: { sequenceNumber: last.sequenceNumber, subSequenceNumber: (last.data[0] ?? 1) - 1 },
          };
    return {
      positions,
      fetched: {
        batch,
        atShardEnd: answer.childShards.length > 0,
        childShards: answer.childShards.map((child) => ({
          shardId: child.shardId,
          parentShardIds: child.parentShards,
          hashKeyRange: child.hashKeyRange,
        })),
      },
    };
  }

  #isStray(shardId: string, checkpoint: ExtendedSequenceNumber, now: number): boolean {
    if (this.#streamId !== undefined) return false;
    const hashKeyRange = this.#rowOf(this.#keyOf(shardId))?.hashKeyRange;
    return isStray({ shardId, hashKeyRange, checkpoint }, this.listShards('all', now));
  }

  #counterOf(
    shard: OpenedShard,
    sequenceNumber: ExtendedSequenceNumber['sequenceNumber'],
    latest: LatestBeginning,
    now: number,
  ): number {
    if (typeof sequenceNumber === 'bigint')
      return counterAt(shard, { kind: 'AT_SEQUENCE_NUMBER', sequenceNumber }, now, STREAM);
    if (sequenceNumber === 'TRIM_HORIZON') return counterAt(shard, { kind: 'TRIM_HORIZON' }, now, STREAM);
    if (sequenceNumber !== 'LATEST') throw new Error(`simulated worlds do not begin at ${sequenceNumber}`);
    const { since } = latest;
    const position =
      since === undefined ? ({ kind: 'LATEST' } as const) : ({ kind: 'AT_TIMESTAMP', timestampMs: since } as const);
    // An iterator of a stream that was deleted is good for nothing.
    if (latest.counter === undefined || latest.createdMs !== this.#createdMs)
      latest.counter = counterAt(shard, position, now, STREAM);
    latest.createdMs = this.#createdMs as number;
    latest.since ??= now;
    return latest.counter;
  }

  #resharded(closed: readonly string[], now: number): void {
    for (const shardId of closed) this.#checkers.shardClosed(this.#keyOf(shardId));
    for (const shard of this.#model.stream(STREAM, now).openShards) {
      const { parentIds } = shard.origin;
      if (!parentIds.some((parent) => closed.includes(parent))) continue;
      this.#opened(
        shard,
        parentIds.map((parent) => this.#keyOf(parent)),
      );
    }
  }

  #opened({ id, startingSequenceNumber: startsAt }: OpenedShard, parents: readonly string[]): void {
    const leaseKey = this.#keyOf(id);
    this.#checkers.shardOpened(leaseKey, parents, this.#isAgain ? { startsAt, row: this.#rowOf(leaseKey) } : undefined);
  }

  /** The checkers know shards by the keys of their leases. */
  #keyOf(shardId: string): string {
    return leaseKeyOf(this.#streamId, shardId);
  }
}

function randomHashKey(prng: Prng): HashKey {
  return (BigInt(prng.int(1 << 20)) << 108n) as HashKey;
}

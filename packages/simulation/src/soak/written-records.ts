// What a stream holds, shard by shard, read from the model of the local Kinesis behind the consumer's back: the truth that what workers
// say is held against. A record is known by its place, the index of its user record in its shard: two copies of one put are two records.
import { decodeAggregatedRecord } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';
import { numberOf } from '../producer/checkers.ts';

/** One shard: its user records in their order, known by index from 0. */
export interface WrittenShard {
  readonly id: string;
  readonly parentIds: readonly string[];
  /** Nothing is added any more. */
  readonly isClosed: boolean;
  /** The number in each record's data. */
  readonly numbers: readonly number[];
  /** When each arrived, ms since 1970: never less than the one before. */
  readonly arrivals: readonly number[];
}

/** As a handler is given it: decimal, and 0 for a plain record. */
export interface Place {
  readonly sequenceNumber: string;
  readonly subSequenceNumber: number;
}

/** The shards of a stream, for whoever judges what was handled of them. */
export interface Written {
  /** Parents before their children. */
  readonly shards: readonly WrittenShard[];
  shard(shardId: string): WrittenShard | undefined;
  /** Of a user record in its shard; undefined: there is no such record. */
  indexOf(shardId: string, place: Place): number | undefined;
}

interface ReadShard extends WrittenShard {
  isClosed: boolean;
  readonly numbers: number[];
  readonly arrivals: number[];
  readonly indexes: Map<string, number>;
  nextCounter: number;
}

export class WrittenRecords implements Written {
  readonly #shards = new Map<string, ReadShard>();
  readonly #model: KinesisModel;
  readonly #streamName: string;

  constructor(model: KinesisModel, streamName: string) {
    this.#model = model;
    this.#streamName = streamName;
  }

  get shards(): readonly WrittenShard[] {
    return [...this.#shards.values()];
  }

  shard(shardId: string): WrittenShard | undefined {
    return this.#shards.get(shardId);
  }

  indexOf(shardId: string, place: Place): number | undefined {
    return this.#shards.get(shardId)?.indexes.get(keyOf(place));
  }

  /** Reads what has been written since the last time. */
  refresh(nowMs: number): void {
    for (const { id, log, origin, isOpen } of this.#model.stream(this.#streamName, nowMs).shards) {
      let shard = this.#shards.get(id);
      if (shard === undefined) {
        const { parentIds } = origin;
        const lists = { numbers: [], arrivals: [], indexes: new Map() };
        shard = { id, parentIds, isClosed: false, ...lists, nextCounter: log.firstCounter };
        this.#shards.set(id, shard);
      }
      for (; shard.nextCounter < log.nextCounter; shard.nextCounter++) {
        const stored = log.at(shard.nextCounter);
        if (stored === undefined) continue;
        const sequenceNumber = String(stored.sequenceNumber);
        const decoded = decodeAggregatedRecord(stored.data);
        const records = decoded.kind === 'aggregated' ? decoded.records : [stored];
        for (const [subSequenceNumber, { data }] of records.entries()) {
          shard.indexes.set(keyOf({ sequenceNumber, subSequenceNumber }), shard.numbers.length);
          shard.numbers.push(numberOf(data));
          shard.arrivals.push(stored.arrivalMs);
        }
      }
      shard.isClosed = !isOpen;
    }
  }
}

function keyOf({ sequenceNumber, subSequenceNumber }: Place): string {
  return `${sequenceNumber}/${subSequenceNumber}`;
}

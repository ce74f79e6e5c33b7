// The dumb twin of a stream: every record that was ever put, in one flat list, and every shard that ever was. It knows no counter and
// no index; what a read should bring it finds by looking at them all. It asks the model for ranges and parents alone.
import { hashKeyOf, rangeContains } from '@shardline/common';
import { expect } from 'vitest';
import type { KinesisModel, Shard, StartingPosition } from '../../src/model/index.ts';

export const streamName = 'twin';

const hourMs = 3_600_000;

/** One record as the twin knows it. */
export interface Known {
  readonly id: number;
  readonly key: string;
  readonly shardId: string;
  readonly sequenceNumber: bigint;
  readonly arrivalMs: number;
  readonly sizeBytes: number;
  /** Trimmed: its retention is over, or the shard held too much. */
  isGone: boolean;
}

interface KnownShard {
  readonly parentIds: readonly string[];
  readonly startingSequenceNumber: bigint;
  childIds: readonly string[];
  endedMs: number | undefined;
  /** Forgotten with all its records; a longer retention does not bring it back. */
  isExpired: boolean;
}

export class FlatStream {
  readonly model: KinesisModel;
  readonly records: Known[] = [];
  readonly shards: Map<string, KnownShard> = new Map();
  retentionHours = 24;
  readonly #maxBytesPerShard: number;

  constructor(model: KinesisModel, maxBytesPerShard: number, now: number) {
    this.model = model;
    this.#maxBytesPerShard = maxBytesPerShard;
    this.lookAtShards(now);
  }

  /** Puts records, and expects each to be where its key belongs. */
  put(keys: readonly string[], now: number): void {
    const { openShards } = this.model.stream(streamName, now);
    const records = keys.map((partitionKey, index) => {
      const data = Buffer.alloc(4);
      data.writeUInt32BE(this.records.length + index);
      return { partitionKey, data };
    });
    const outcomes = this.model.putRecords({ streamName, records }, now);
    const homes = keys.map((key) => openShards.filter(({ origin }) => rangeContains(origin.range, hashKeyOf(key))));
    const placed = outcomes.map((outcome) => (outcome.kind === 'stored' ? [outcome.shardId] : [outcome.errorCode]));
    expect(placed).toEqual(homes.map((shards) => shards.map(({ id }) => id)));
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.kind !== 'stored') continue;
      const { shardId, sequenceNumber } = outcome;
      const key = keys[index] ?? '';
      const sizeBytes = 4 + Buffer.byteLength(key);
      const id = this.records.length;
      this.records.push({ id, key, shardId, sequenceNumber, arrivalMs: now, sizeBytes, isGone: false });
    }
    for (const { id } of openShards) {
      const held = this.recordsOf(id).filter(({ isGone }) => !isGone);
      let sizeBytes = held.reduce((sum, record) => sum + record.sizeBytes, 0);
      for (const oldest of held) {
        if (sizeBytes <= this.#maxBytesPerShard) break;
        oldest.isGone = true;
        sizeBytes -= oldest.sizeBytes;
      }
    }
  }

  /** Time has passed: the retention of some records and shards may be over. */
  age(now: number): void {
    const horizonMs = now - this.retentionHours * hourMs;
    for (const record of this.records) if (record.arrivalMs < horizonMs) record.isGone = true;
    for (const shard of this.shards.values()) if ((shard.endedMs ?? now) < horizonMs) shard.isExpired = true;
    this.model.trim(now);
  }

  /** Takes down what has become of the shards. */
  lookAtShards(now: number): readonly Shard[] {
    const { shards } = this.model.stream(streamName, now);
    for (const { id, origin, startingSequenceNumber, end } of shards) {
      const known = this.shards.get(id);
      const childIds = end?.childShards.map(({ shardId }) => shardId) ?? [];
      if (known === undefined) {
        const { parentIds } = origin;
        this.shards.set(id, { parentIds, startingSequenceNumber, childIds, endedMs: end?.atMs, isExpired: false });
      } else {
        known.childIds = childIds;
        known.endedMs = end?.atMs;
      }
    }
    return shards;
  }

  shard(shardId: string): KnownShard {
    const shard = this.shards.get(shardId);
    if (shard === undefined) throw new Error(`${shardId} is unknown to the twin`);
    return shard;
  }

  recordsOf(shardId: string): Known[] {
    return this.records.filter((record) => record.shardId === shardId);
  }

  /** What is there from a place on: the place is how many records of the shard lie before it, trimmed ones too. */
  from(shardId: string, place: number): Known[] {
    return this.recordsOf(shardId).filter(({ isGone }, index) => index >= place && !isGone);
  }

  /** The place of a position. */
  placeOf(shardId: string, position: StartingPosition): number {
    const records = this.recordsOf(shardId);
    const first = (suits: (record: Known) => boolean): number => {
      const index = records.findIndex(suits);
      return index < 0 ? records.length : index;
    };
    switch (position.kind) {
      case 'TRIM_HORIZON':
        return 0;
      case 'LATEST':
        return records.length;
      case 'AT_TIMESTAMP':
        return first(({ arrivalMs }) => arrivalMs >= position.timestampMs);
      case 'AT_SEQUENCE_NUMBER':
        return first(({ sequenceNumber }) => sequenceNumber >= position.sequenceNumber);
      case 'AFTER_SEQUENCE_NUMBER':
        return first(({ sequenceNumber }) => sequenceNumber > position.sequenceNumber);
    }
  }
}

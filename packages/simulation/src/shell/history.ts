// What a shell's world knows of its stream, whoever reads it: the shards, whose children they are, and every user record that was put,
// with how often it was handled. Kept outside of the consumers, from what the model of Kinesis gave out.
import { compareExtended, type ExtendedSequenceNumber } from '@shardline/common';

export interface PutRecord {
  /** From 1, in the order in which all were put. It is the record's data. */
  readonly number: number;
  readonly partitionKey: string;
  readonly shard: ShardHistory;
  /** Its place in the shard. */
  readonly index: number;
  readonly position: ExtendedSequenceNumber;
  /** Put when there were no faults any more: it is handled once and no more. */
  readonly isCalm: boolean;
  handledCount: number;
}

export class ShardHistory {
  readonly shardId: string;
  readonly parents: readonly ShardHistory[];
  readonly records: PutRecord[] = [];
  isClosed = false;
  /** Its lease was at SHARD_END. */
  hasEnded = false;
  #handledTo = 0;

  constructor(shardId: string, parents: readonly ShardHistory[]) {
    this.shardId = shardId;
    this.parents = parents;
  }

  /** Records that were handled, up to the first that was not. */
  get handledTo(): number {
    while ((this.records[this.#handledTo]?.handledCount ?? 0) > 0) this.#handledTo += 1;
    return this.#handledTo;
  }

  get isHandled(): boolean {
    return this.handledTo === this.records.length;
  }

  /** How many records a checkpoint covers. */
  covered(checkpoint: ExtendedSequenceNumber): number {
    const after = this.records.findIndex(({ position }) => compareExtended(position, checkpoint) > 0);
    return after < 0 ? this.records.length : after;
  }
}

export class History {
  readonly shards: Map<string, ShardHistory> = new Map();
  /** By number − 1. */
  readonly records: PutRecord[] = [];
  isCalm = false;

  opened(shardId: string, parentIds: readonly string[]): void {
    const parents = parentIds.map((id) => this.of(id));
    for (const parent of parents) parent.isClosed = true;
    this.shards.set(shardId, new ShardHistory(shardId, parents));
  }

  /** It is the last one of its shard. */
  put(shardId: string, partitionKey: string, position: ExtendedSequenceNumber): void {
    const shard = this.of(shardId);
    const { isCalm } = this;
    const [number, index] = [this.records.length + 1, shard.records.length];
    const record = { number, partitionKey, shard, index, position, isCalm, handledCount: 0 };
    shard.records.push(record);
    this.records.push(record);
  }

  of(shardId: string): ShardHistory {
    const shard = this.shards.get(shardId);
    if (shard === undefined) throw new Error(`expected a shard of the stream, got ${shardId}`);
    return shard;
  }

  /** Shards of which something is not handled, or that are closed and not at their end. */
  unfinished(): ShardHistory[] {
    return [...this.shards.values()].filter((shard) => !shard.isHandled || (shard.isClosed && !shard.hasEnded));
  }
}

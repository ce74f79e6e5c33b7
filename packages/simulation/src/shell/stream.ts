// Who writes to the stream of a shell's world, and splits and merges its shards. Some Kinesis records are aggregates of a few user records,
// all of the shard that the Kinesis record goes to.
import { encodeAggregatedRecord, type HashKey, hashKeyOf } from '@shardline/common';
import type { KinesisModel, Shard } from '@shardline/local';
import type { Prng } from '../prng.ts';
import type { History } from './history.ts';
import { WALL_START_MS } from './host.ts';
import { STREAM } from './kinesis.ts';
import type { VirtualTime } from './virtual-time.ts';

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];

export class StreamWriter {
  readonly #model: KinesisModel;
  readonly #history: History;
  readonly #prng: Prng;
  readonly #time: VirtualTime;

  constructor(model: KinesisModel, shardCount: number, history: History, prng: Prng, time: VirtualTime) {
    this.#model = model;
    this.#history = history;
    this.#prng = prng;
    this.#time = time;
    model.createStream({ name: STREAM, shardCount }, this.#now);
    for (const { id } of model.stream(STREAM, this.#now).shards) history.opened(id, []);
  }

  /** @returns how many user records. */
  put(): number {
    const prng = this.#prng;
    const partitionKey = `${prng.pick(KEYS)}${prng.int(4)}`;
    const explicitHashKey = hashKeyOf(partitionKey);
    const first = this.#history.records.length + 1;
    const count = prng.chance(0.5) ? 1 : prng.between(2, 4);
    const userRecords = Array.from({ length: count }, (_, index) => ({ partitionKey, data: dataOf(first + index) }));
    const data = count === 1 ? dataOf(first) : encodeAggregatedRecord(userRecords);
    this.#learn();
    const stored = this.#model.putRecord(
      { streamName: STREAM, record: { partitionKey, explicitHashKey, data } },
      this.#now,
    );
    for (let subSequenceNumber = 0; subSequenceNumber < count; subSequenceNumber += 1)
      this.#history.put(stored.shardId, partitionKey, { sequenceNumber: stored.sequenceNumber, subSequenceNumber });
    return count;
  }

  /** @returns what becomes of it. */
  split(): string {
    if (!this.#canReshard()) return 'no split: the stream is being resharded';
    const { id: shardId, origin } = this.#prng.pick(this.#open);
    const { start, end } = origin.range;
    const newStartingHashKey = (start + (end - start) / 2n) as HashKey;
    this.#model.splitShard({ streamName: STREAM, shardId, newStartingHashKey }, this.#now);
    this.#learn();
    return `${shardId} is split`;
  }

  merge(): string {
    const open = this.#open;
    const index = this.#prng.int(Math.max(1, open.length - 1));
    const [shardId, adjacentShardId] = [open[index]?.id, open[index + 1]?.id];
    if (!this.#canReshard() || shardId === undefined || adjacentShardId === undefined)
      return 'no merge: there is nothing to merge';
    this.#model.mergeShards({ streamName: STREAM, shardId, adjacentShardId }, this.#now);
    this.#learn();
    return `${shardId} and ${adjacentShardId} are merged`;
  }

  /** A reshard takes its time, and whoever comes next sees that it is done: a reader too. */
  learn(): void {
    this.#learn();
  }

  get #now(): number {
    return WALL_START_MS + this.#time.now;
  }

  get #open(): readonly Shard[] {
    return this.#model.stream(STREAM, this.#now).openShards;
  }

  #canReshard(): boolean {
    return this.#model.stream(STREAM, this.#now).status === 'ACTIVE';
  }

  #learn(): void {
    for (const { id, origin } of this.#model.stream(STREAM, this.#now).shards)
      if (!this.#history.shards.has(id)) this.#history.opened(id, origin.parentIds);
  }
}

function dataOf(number: number): Uint8Array {
  return Buffer.from(String(number));
}

/** The number of a user record. */
export function numberIn(data: Uint8Array): number {
  return Number(Buffer.from(data).toString());
}

// A stream of the local Kinesis with what is put into it, so that several can be played on beside each other on one server.
import { type HashKeyRange, toHashKey } from '@shardline/common';
import type { KinesisModel, LocalKinesis } from '@shardline/local';
import { Feed, type FeedOptions, type RecordSource } from './feed.ts';
import { ShardPulse } from './shard-pulse.ts';

export interface FedShard {
  readonly id: string;
  readonly parentIds: readonly string[];
  readonly range: HashKeyRange;
  readonly isOpen: boolean;
  /** A step of UpdateShardCount: opened and closed at once. */
  readonly isShortLived: boolean;
}

export interface FedStreamOptions extends FeedOptions {
  /** The server's time. */
  readonly now?: (() => number) | undefined;
  /** A record straight into every shard, so often, in place of what our producer puts. */
  readonly pulseMs?: number | undefined;
}

export class FedStream {
  readonly stream: string;
  readonly feed: RecordSource;
  readonly #model: KinesisModel;
  readonly #now: () => number;

  constructor(kinesis: LocalKinesis, stream: string, shardCount: number, options: FedStreamOptions = {}) {
    const { now = Date.now, pulseMs } = options;
    this.stream = stream;
    this.#model = kinesis.model;
    this.#now = now;
    this.#model.createStream({ name: stream, shardCount }, this.now);
    this.feed =
      pulseMs === undefined
        ? new Feed(stream, kinesis.clientConfig, options)
        : new ShardPulse(stream, this.#model, { pulseMs, now });
  }

  get now(): number {
    return this.#now();
  }

  get shards(): FedShard[] {
    const { shards } = this.#model.stream(this.stream, this.now);
    return shards.map(({ id, origin, isOpen, end }) => {
      return {
        id,
        parentIds: origin.parentIds,
        range: origin.range,
        isOpen,
        isShortLived: end?.atMs === origin.createdMs,
      };
    });
  }

  /** Cuts a shard in two equal parts. */
  splitShard(number: number): void {
    const shardId = shardIdOf(number);
    const range = this.#model.stream(this.stream, this.now).shard(shardId)?.origin.range;
    if (range === undefined) throw new Error(`${shardId} is not there`);
    const newStartingHashKey = toHashKey((range.start + range.end) / 2n);
    this.#model.splitShard({ streamName: this.stream, shardId, newStartingHashKey }, this.now);
  }

  mergeShards(number: number, adjacent: number): void {
    const shards = { shardId: shardIdOf(number), adjacentShardId: shardIdOf(adjacent) };
    this.#model.mergeShards({ streamName: this.stream, ...shards }, this.now);
  }

  updateShardCount(targetShardCount: number): void {
    this.#model.updateShardCount({ streamName: this.stream, targetShardCount }, this.now);
  }
}

export function shardIdOf(number: number): string {
  return `shardId-${String(number).padStart(12, '0')}`;
}

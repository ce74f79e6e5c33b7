// One small record for every open shard, again and again, put straight into the model: with it a shard's rest can be told as finely
// as the pulse, and the processor is left to the workers. Each shard is a key of its own, its records are numbered.
import type { KinesisModel } from '@shardline/local';
import type { PutRecord, RecordSource } from './feed.ts';

export interface ShardPulseOptions {
  readonly pulseMs: number;
  /** The server's time. */
  readonly now: () => number;
}

export class ShardPulse implements RecordSource {
  readonly records: PutRecord[] = [];
  readonly #streamName: string;
  readonly #model: KinesisModel;
  readonly #options: ShardPulseOptions;
  readonly #nextNumber = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(streamName: string, model: KinesisModel, options: ShardPulseOptions) {
    this.#streamName = streamName;
    this.#model = model;
    this.#options = options;
  }

  put(): Promise<void> {
    const now = this.#options.now();
    for (const { id: key, origin } of this.#model.stream(this.#streamName, now).openShards) {
      const number = this.#nextNumber.get(key) ?? 0;
      this.#nextNumber.set(key, number + 1);
      const record = { partitionKey: key, explicitHashKey: origin.range.start, data: Buffer.from(`${number}`) };
      const { shardId: shard, sequenceNumber } = this.#model.putRecord({ streamName: this.#streamName, record }, now);
      this.records.push({ key, number, shard, sequence: `${sequenceNumber}`, sub: 0, duplicate: false });
    }
    return Promise.resolve();
  }

  run(): void {
    this.#timer = setInterval(() => void this.put(), this.#options.pulseMs);
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.stop();
  }
}

// Counts one shard's calls to Kinesis under the KCL's names (KinesisDataFetcher), beside whoever makes them.
// Invariant: a call that its own tenure's end cut off is no failure, and is not counted.
import { type Clock, type MetricDimensions, type MetricsSink, noMetrics, systemClock } from '@shardline/common';

export interface CallMetricsOptions {
  readonly metrics?: MetricsSink;
  readonly clock: Clock;
}

export interface CountedShard {
  readonly shardId: string;
  /** As in the lease key; undefined: it is the application's only one. */
  readonly streamId: string | undefined;
}

export class CallMetrics {
  readonly #metrics: MetricsSink;
  readonly #clock: Clock;
  readonly #dimensions: MetricDimensions;

  constructor(metrics: MetricsSink, clock: Clock, { shardId, streamId }: CountedShard) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#dimensions = { Operation: 'ProcessTask', ShardId: shardId, ...(streamId && { StreamId: streamId }) };
  }

  async counted<T>(
    name: 'getRecords' | 'getShardIterator',
    signal: AbortSignal | undefined,
    call: () => Promise<T>,
  ): Promise<T> {
    if (this.#metrics === noMetrics) return await call();
    const startedAt = this.#clock.now();
    let isAnswered = false;
    try {
      const answer = await call();
      isAnswered = true;
      return answer;
    } finally {
      if (!signal?.aborted) this.#ended(`KinesisDataFetcher.${name}`, isAnswered, this.#clock.now() - startedAt);
    }
  }

  iteratorExpired(): void {
    // The KCL tells no shards apart here (PrefetchRecordsPublisher).
    const { ShardId: _, ...dimensions } = this.#dimensions;
    this.#metrics.count('ExpiredIterator', 1, dimensions);
  }

  #ended(name: string, isAnswered: boolean, tookMs: number): void {
    this.#metrics.count(`${name}.Success`, isAnswered ? 1 : 0, this.#dimensions);
    this.#metrics.sample(`${name}.Time`, tookMs, 'Milliseconds', this.#dimensions);
  }
}

const UNCOUNTED = new CallMetrics(noMetrics, systemClock, { shardId: 'none', streamId: undefined });

/** One for all shards where nobody wants to know. */
export function callMetricsOf({ metrics = noMetrics, clock }: CallMetricsOptions, shard: CountedShard): CallMetrics {
  return metrics === noMetrics ? UNCOUNTED : new CallMetrics(metrics, clock, shard);
}

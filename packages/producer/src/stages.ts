// The stages of one pipeline, made from the options in the order in which data flows. Beside the records' way: nothing happens here.
import type { ChunkMemory, MemoryLender } from '@shardline/common';
import { Aggregator, type AggregatorOptions } from './aggregator.ts';
import { Collector, type CollectorOptions } from './collector.ts';
import { Expiry } from './expiry.ts';
import { Followers, type FollowersOptions } from './followers.ts';
import { Limiter, type LimiterOptions } from './limiter.ts';
import { KeyOrder } from './order.ts';
import { Retrier, type RetrierOptions } from './retrier.ts';
import { ShardMap } from './shard-map.ts';
import { StreamStrategy, type StreamStrategyOptions } from './stream-strategy.ts';

export interface PipelineOptions
  extends AggregatorOptions,
    FollowersOptions,
    LimiterOptions,
    CollectorOptions,
    RetrierOptions,
    StreamStrategyOptions {
  /** Whether the records of one key keep their order. */
  readonly ordering: 'per-key' | 'none';
  /** Requests that may be on their way before the collector waits for more company instead of sending what is due. */
  readonly maxRequestsInFlight: number;
  /** Shared with other pipelines. Default: its own. */
  readonly memory?: ChunkMemory;
  /** Gives the memory of what is sent, and gets it back when that has arrived. Default: Node's. */
  readonly lender?: MemoryLender;
}

export interface Stages {
  readonly order: KeyOrder;
  readonly strategy: StreamStrategy;
  readonly shardMap: ShardMap;
  readonly aggregator: Aggregator;
  readonly followers: Followers;
  readonly limiter: Limiter;
  readonly collector: Collector;
  readonly retrier: Retrier;
  readonly expiry: Expiry;
}

/** `replaced`: for the simulation to put a broken stage in place of one. */
export function makeStages(options: PipelineOptions, replaced: Partial<Stages>): Stages {
  return {
    order: replaced.order ?? new KeyOrder(),
    strategy: replaced.strategy ?? new StreamStrategy(options),
    shardMap: replaced.shardMap ?? new ShardMap(),
    aggregator: replaced.aggregator ?? new Aggregator(options, options.memory, options.lender),
    followers: replaced.followers ?? new Followers(options),
    limiter: replaced.limiter ?? new Limiter(options),
    collector: replaced.collector ?? new Collector(options),
    retrier: replaced.retrier ?? new Retrier(options),
    expiry: replaced.expiry ?? new Expiry(),
  };
}

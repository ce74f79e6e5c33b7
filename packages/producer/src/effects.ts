// What the pipeline answers with: things to do and things to know, collected while an event goes through the stages. The driver
// carries them out in this order. Pure values.
// Invariant: each effect is taken once, in the order in which the stages gave it.
import type { Request } from './batch.ts';
import type { DeliveredRecords, Failure } from './put.ts';
import type { ShardMapState } from './shard-map.ts';
import type { StrategyState } from './stream-strategy.ts';
import type { UserRecord } from './user-record.ts';

/** Where and when a Kinesis record was written. */
export interface Place {
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly beganAtMs: number;
  readonly endedAtMs: number;
}

/** What the driver is to do. */
export type Effect =
  /** Queue a request: when its turn comes, call `begin`. */
  | { readonly kind: 'send'; readonly request: Request }
  /** Call ListShards, answer with `shardsListed` or `listingFailed`. */
  | { readonly kind: 'list-shards' }
  /** Call DescribeStreamSummary, answer with `described` or `describingFailed`. */
  | { readonly kind: 'describe-stream' }
  /** These user records, all of one Kinesis record, have succeeded. */
  | { readonly kind: 'delivered'; readonly records: DeliveredRecords; readonly place: Place }
  /** These user records have failed. */
  | { readonly kind: 'failed'; readonly records: readonly UserRecord[]; readonly failure: Failure }
  /** For whoever watches. */
  | { readonly kind: 'shard-map-changed'; readonly state: ShardMapState; readonly openShardCount: number }
  | { readonly kind: 'strategy-changed'; readonly state: StrategyState }
  | {
      readonly kind: 'throttled';
      readonly shardId: string | undefined;
      readonly kinesisRecordCount: number;
      /** What the shard, or the AUTO stream, is given from now on, of its quota; undefined where there is no limit. */
      readonly ratePercent: number | undefined;
    };

const NOTHING: readonly Effect[] = [];

/** Nothing is to be done, as after most puts: the record has joined others, and nothing is due earlier than before but what it says itself. */
export const JOINED: readonly Effect[] = [];

export class Outbox {
  #effects: Effect[] = [];

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  take(): readonly Effect[] {
    if (this.#effects.length === 0) return NOTHING;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

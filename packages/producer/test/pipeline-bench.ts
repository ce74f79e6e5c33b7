// A pipeline driven by hand, for the tests of what its stages do together.
import { evenRanges } from '@shardline/common';
import type { Answer, Entry, EntryAnswer, Request } from '../src/batch.ts';
import type { Effect } from '../src/effects.ts';
import { Pipeline } from '../src/pipeline.ts';
import type { DeliveredRecords } from '../src/put.ts';
import type { Shard } from '../src/shard-map.ts';
import type { PipelineOptions } from '../src/stages.ts';
import type { UserRecord } from '../src/user-record.ts';
import { type RecordOptions, userRecord } from './records.ts';

export const DEFAULTS: PipelineOptions = {
  ordering: 'per-key',
  recordDistributionStrategyDefault: 'USER_PARTITION_KEY',
  describeStreamSummaryIntervalMs: 300_000,
  aggregationEnabled: true,
  aggregationMaxCount: 4_294_967_295,
  aggregationMaxSizeBytes: 51_200,
  bufferedTimeMs: 100,
  togetherMs: 20,
  rateLimitPercent: 150,
  collectionMaxCount: 500,
  collectionMaxSizeBytes: 5_242_880,
  failIfThrottled: false,
  maxRequestsInFlight: 24,
};

export function shards(count: number, firstId = 0): Shard[] {
  return evenRanges(count).map((range, index) => ({ shardId: `shard-${firstId + index}`, range }));
}

/** Drives a pipeline by hand and keeps what it said. */
export class Bench {
  readonly pipeline: Pipeline;
  /** By their sequences. */
  readonly delivered: number[] = [];
  readonly failed: { readonly sequence: number; readonly code: string }[] = [];
  listingCount = 0;
  describingCount = 0;
  readonly #queued: Request[] = [];
  #sequenceNumber = 0;

  constructor(options: Partial<PipelineOptions> = {}, shardCount = 1) {
    this.pipeline = new Pipeline({ ...DEFAULTS, ...options });
    this.do(this.pipeline.expire(0));
    if (shardCount > 0) this.do(this.pipeline.shardsListed(shards(shardCount), 0));
  }

  do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'send') this.#queued.push(effect.request);
      else if (effect.kind === 'list-shards') this.listingCount++;
      else if (effect.kind === 'describe-stream') this.describingCount++;
      else if (effect.kind === 'delivered') this.#arrived(effect.records);
      else if (effect.kind === 'failed') {
        this.failed.push(...effect.records.map(({ sequence }) => ({ sequence, code: effect.failure.code })));
      }
    }
  }

  #arrived(records: DeliveredRecords): void {
    for (let index = 0; index < records.length; index++) this.delivered.push(records.at(index)?.sequence ?? -1);
  }

  put(options: RecordOptions): UserRecord {
    const record = userRecord(options);
    this.do(this.pipeline.put(record, options.nowMs ?? 0));
    return record;
  }

  /** Begins the request that waits longest. */
  begin(nowMs: number): { readonly requestId: number; readonly entries: readonly Entry[] } {
    const request = this.#queued.shift();
    if (request === undefined) throw new Error('no request waits');
    const { entries, effects } = this.pipeline.begin(request, nowMs);
    this.do(effects);
    return { requestId: request.requestId, entries };
  }

  get waitingCount(): number {
    return this.#queued.length;
  }

  answer(requestId: number, answer: Answer, nowMs: number, random = 0.5): void {
    this.do(this.pipeline.answered(requestId, answer, nowMs, random));
  }

  written(shardId: string): EntryAnswer {
    return { kind: 'written', shardId, sequenceNumber: String(++this.#sequenceNumber) };
  }
}

export const throttled: EntryAnswer = {
  kind: 'refused',
  errorCode: 'ProvisionedThroughputExceededException',
  errorMessage: 'slow down',
};
export const lost: Extract<Answer, { kind: 'failed' }> = {
  kind: 'failed',
  errorCode: 'RequestTimeout',
  errorMessage: 'late',
  throttled: false,
  written: 'unknown',
};

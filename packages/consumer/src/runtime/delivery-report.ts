// What is told of the records on their way through delivery: metrics, diagnostics channels and log lines of what was read, what
// was handled, what is lost and what does not belong. It looks on; delivery decides and calls the handler.
// Invariant: nothing here changes what is delivered, and a message that nobody subscribes to is not even made.
import { consumerDiagnostics, type Logger, type MetricsSink } from '@shardline/common';
import type { Gap, SourceBatch } from '../retrieval/source.ts';

export interface DeliveryReportOptions {
  readonly application: string;
  readonly workerId: string;
  readonly metrics: MetricsSink;
}

/** One tenure of one shard, as far as a report names it. */
export interface ReportedShard {
  readonly leaseKey: string;
  readonly shardId: string;
  readonly logger: Logger;
  millisBehindLatest(now: number): number | undefined;
}

export class DeliveryReport {
  readonly #options: DeliveryReportOptions;
  /** Tenures whose stray records were logged: once is enough. */
  readonly #straysLogged = new WeakSet<ReportedShard>();

  constructor(options: DeliveryReportOptions) {
    this.#options = options;
  }

  fetched(shard: ReportedShard, batch: SourceBatch): void {
    const { application, workerId: worker, metrics } = this.#options;
    const { records, kinesisRecordCount, corruptCount, strayCount, gap, millisBehindLatest } = batch;
    const { leaseKey, shardId } = shard;
    const dimensions = { ShardId: shardId };
    if (corruptCount > 0) {
      metrics.count('CorruptRecords', corruptCount, dimensions);
      shard.logger.warn(
        { corruptCount },
        'aggregated records could not be read; each is delivered as one plain record',
      );
    }
    if (strayCount > 0) {
      metrics.count('StrayRecords', strayCount, dimensions);
      if (!this.#straysLogged.has(shard)) {
        this.#straysLogged.add(shard);
        shard.logger.warn(
          { strayCount },
          "user records' hash keys lie outside the shard: a producer aggregated across shards, order by key is not kept",
        );
      }
    }
    if (gap !== undefined) this.#missed(shard, gap);
    const { batchFetched } = consumerDiagnostics;
    if (!batchFetched.hasSubscribers) return;
    batchFetched.publish({
      application,
      worker,
      leaseKey,
      kinesisRecordCount,
      userRecordCount: records.length,
      corruptCount,
      strayCount,
      ...(millisBehindLatest !== undefined && { millisBehindLatest }),
    });
  }

  /** Unlike what a batch says, which is as of its read, this grows with the time for which the batch waits. */
  behind(shard: ReportedShard, now: number): void {
    const behindMs = shard.millisBehindLatest(now);
    if (behindMs === undefined) return;
    this.#options.metrics.gauge('MillisBehindLatest', behindMs, { ShardId: shard.shardId });
  }

  handled(shard: ReportedShard, batch: SourceBatch, durationMs: number): void {
    const { metrics } = this.#options;
    const { records, byteCount } = batch;
    this.#handlerReturned(shard, records.length, durationMs, { outcome: 'handled' });
    const dimensions = { ShardId: shard.shardId };
    metrics.count('RecordsProcessed', records.length, dimensions);
    metrics.count('DataBytesProcessed', byteCount, dimensions);
  }

  threw(shard: ReportedShard, { records }: SourceBatch, durationMs: number, cause: unknown): void {
    this.#handlerReturned(shard, records.length, durationMs, { outcome: 'threw', cause });
  }

  ended({ leaseKey }: ReportedShard, childShardIds: readonly string[]): void {
    const { application, workerId: worker } = this.#options;
    const { shardEnded } = consumerDiagnostics;
    if (shardEnded.hasSubscribers) shardEnded.publish({ application, worker, leaseKey, childShardIds });
  }

  #missed({ leaseKey, shardId, logger }: ReportedShard, gap: Gap): void {
    const { application, workerId: worker, metrics } = this.#options;
    const bounds = { after: String(gap.after), before: String(gap.before) };
    metrics.count('RecordGaps', 1, { ShardId: shardId });
    logger.error(
      bounds,
      'the record of the checkpoint is no longer in the stream: records after it may be lost, up to the first that is there',
    );
    const { gap: channel } = consumerDiagnostics;
    if (channel.hasSubscribers) channel.publish({ application, worker, leaseKey, ...bounds });
  }

  #handlerReturned(
    { leaseKey }: ReportedShard,
    userRecordCount: number,
    durationMs: number,
    end: { readonly outcome: 'handled' } | { readonly outcome: 'threw'; readonly cause: unknown },
  ): void {
    const { application, workerId: worker } = this.#options;
    const { batchHandled } = consumerDiagnostics;
    if (!batchHandled.hasSubscribers) return;
    batchHandled.publish({ application, worker, leaseKey, userRecordCount, durationMs, ...end });
  }
}

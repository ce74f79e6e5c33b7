// What is told of the records on their way through delivery: metrics, diagnostics channels and log lines of what was read, what
// was handled, what is lost and what does not belong. It looks on; delivery decides and calls the handler.
// Invariant: nothing here changes what is delivered, and a message that nobody subscribes to is not even made.
import { consumerDiagnostics, type Logger, type MetricDimensions, type MetricsSink } from '@shardline/common';
import { type Failure, stoppedText } from '../handling/handling-options.ts';
import type { Gap, SourceBatch } from '../retrieval/source.ts';
import { shardDimensions } from './effect-metrics.ts';

export interface DeliveryReportOptions {
  readonly application: string;
  readonly workerId: string;
  readonly metrics: MetricsSink;
}

/** One tenure of one shard, as far as a report names it. */
export interface ReportedShard {
  readonly leaseKey: string;
  readonly logger: Logger;
  millisBehindLatest(now: number): number | undefined;
}

const STRAYS = "user records' hash keys lie outside the shard: a producer aggregated across shards";
const STRAYS_DELIVERED = `${STRAYS}; all are delivered, order by key is not kept`;
const STRAYS_DROPPED = `${STRAYS}; the aggregated records with them are left out, as strayRecords: 'kcl' has it`;

const WHY_MISSED = {
  away: 'the record of the checkpoint is no longer in the stream',
  behind: 'the shard is read so late that the record last read is no longer in the stream',
} as const;

export class DeliveryReport {
  readonly #options: DeliveryReportOptions;
  /** Tenures whose stray records were logged: once is enough. */
  readonly #straysLogged = new WeakSet<ReportedShard>();

  constructor(options: DeliveryReportOptions) {
    this.#options = options;
  }

  fetched(shard: ReportedShard, batch: SourceBatch): void {
    const { application, workerId: worker, metrics } = this.#options;
    const {
      recordCount,
      kinesisRecordCount,
      corruptCount,
      strayCount,
      droppedCount = 0,
      gap,
      millisBehindLatest,
    } = batch;
    const { leaseKey } = shard;
    const dimensions = dimensionsOf(shard);
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
        shard.logger.warn({ strayCount, droppedCount }, droppedCount > 0 ? STRAYS_DROPPED : STRAYS_DELIVERED);
      }
    }
    if (droppedCount > 0) metrics.count('DroppedRecords', droppedCount, dimensions);
    if (gap !== undefined) this.missed(shard, gap);
    const { batchFetched } = consumerDiagnostics;
    if (!batchFetched.hasSubscribers) return;
    batchFetched.publish({
      application,
      worker,
      leaseKey,
      kinesisRecordCount,
      userRecordCount: recordCount,
      corruptCount,
      strayCount,
      droppedCount,
      ...(millisBehindLatest !== undefined && { millisBehindLatest }),
    });
  }

  /** Records that may be lost. */
  missed({ leaseKey, logger }: ReportedShard, { cause, after, before }: Gap): void {
    const { application, workerId: worker, metrics } = this.#options;
    const bounds = { cause, after: String(after), ...(before !== undefined && { before: String(before) }) };
    metrics.count('RecordGaps', 1, dimensionsOf({ leaseKey }));
    const upTo =
      before === undefined ? 'the end of the shard, of which there is no record left' : 'the first that is there';
    logger.error(bounds, `${WHY_MISSED[cause]}: records after it may be lost, up to ${upTo}`);
    const { gap: channel } = consumerDiagnostics;
    if (channel.hasSubscribers) channel.publish({ application, worker, leaseKey, ...bounds });
  }

  /** Unlike what a batch says, which is as of its read, this grows with the time for which the batch waits. */
  behind(shard: ReportedShard, now: number): void {
    const behindMs = shard.millisBehindLatest(now);
    if (behindMs === undefined) return;
    const { metrics } = this.#options;
    metrics.gauge('MillisBehindLatest', behindMs, dimensionsOf(shard));
    // Of the whole application, whose shards are not told apart: the greatest of a time is what its worst shard is behind.
    metrics.sample('MillisBehindLatest', behindMs, 'Milliseconds', { Operation: 'ApplicationTracker' });
  }

  /** By the filter. */
  leftOut({ leaseKey }: ReportedShard, userRecordCount: number): void {
    const { application, workerId: worker, metrics } = this.#options;
    metrics.count('RecordsFilteredOut', userRecordCount, dimensionsOf({ leaseKey }));
    const { recordsFilteredOut: channel } = consumerDiagnostics;
    if (channel.hasSubscribers) channel.publish({ application, worker, leaseKey, userRecordCount });
  }

  /** As the KCL does: a read without records says so, and an alarm for want of data tells a worker that is gone from a shard that rests. */
  readNothing(shard: ReportedShard): void {
    const { metrics } = this.#options;
    const dimensions = dimensionsOf(shard);
    metrics.count('RecordsProcessed', 0, dimensions);
    metrics.count('DataBytesProcessed', 0, dimensions);
  }

  handled(shard: ReportedShard, recordCount: number, byteCount: number, durationMs: number): void {
    const { metrics } = this.#options;
    this.#handlerReturned(shard, recordCount, durationMs, { outcome: 'handled' });
    const dimensions = dimensionsOf(shard);
    metrics.count('RecordsProcessed', recordCount, dimensions);
    metrics.count('DataBytesProcessed', byteCount, dimensions);
  }

  threw(shard: ReportedShard, recordCount: number, durationMs: number, cause: unknown): void {
    this.#handlerReturned(shard, recordCount, durationMs, { outcome: 'threw', cause });
  }

  gaveUp({ leaseKey, logger }: ReportedShard, failure: Failure, outcome: 'handedOver' | 'stopped'): void {
    const { application, workerId: worker, metrics } = this.#options;
    const { records, attempts, limit, error: cause } = failure;
    const userRecordCount = records.length;
    const { sequenceNumber = '', subSequenceNumber = 0 } = records[0] ?? {};
    const fields = { sequenceNumber, subSequenceNumber, userRecordCount, attempts, limit };
    if (outcome === 'stopped')
      logger.error({ leaseKey, ...fields, err: cause }, `the shard is ${stoppedText(failure)}`);
    else {
      metrics.count('RecordsHandedOver', userRecordCount, dimensionsOf({ leaseKey }));
      logger.error(
        { leaseKey, ...fields, err: cause },
        'records that the handler did not finish are handed to onFailure',
      );
    }
    const { recordsGivenUp: channel } = consumerDiagnostics;
    if (channel.hasSubscribers) channel.publish({ application, worker, leaseKey, ...fields, outcome, cause });
  }

  endedEarly({ leaseKey, logger }: ReportedShard, stateBytes: number): void {
    this.#options.metrics.count('WindowsTerminatedEarly', 1, dimensionsOf({ leaseKey }));
    logger.warn({ stateBytes }, 'the state of a tumbling window has grown past its limit: the handler took it early');
  }

  /** `leaseLost` of the handler has returned, or thrown (KCL ShutdownTask, which tells no shards apart). */
  leaseLost(durationMs: number): void {
    const { metrics } = this.#options;
    metrics.sample('RecordProcessor.shutdown.Time', durationMs, 'Milliseconds', { Operation: 'ShutdownTask' });
  }

  ended({ leaseKey }: ReportedShard, childShardIds: readonly string[]): void {
    const { application, workerId: worker } = this.#options;
    const { shardEnded } = consumerDiagnostics;
    if (shardEnded.hasSubscribers) shardEnded.publish({ application, worker, leaseKey, childShardIds });
  }

  #handlerReturned(
    { leaseKey }: ReportedShard,
    userRecordCount: number,
    durationMs: number,
    end: { readonly outcome: 'handled' } | { readonly outcome: 'threw'; readonly cause: unknown },
  ): void {
    const { application, workerId: worker, metrics } = this.#options;
    metrics.sample('RecordProcessor.processRecords.Time', durationMs, 'Milliseconds', dimensionsOf({ leaseKey }));
    const { batchHandled } = consumerDiagnostics;
    if (!batchHandled.hasSubscribers) return;
    batchHandled.publish({ application, worker, leaseKey, userRecordCount, durationMs, ...end });
  }
}

/** KCL: what is about records is of its ProcessTask. */
function dimensionsOf({ leaseKey }: Pick<ReportedShard, 'leaseKey'>): MetricDimensions {
  return shardDimensions('ProcessTask', leaseKey);
}

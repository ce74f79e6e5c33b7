// What both kinds of reading share of the API: where a shard's reading begins, in the API's words, and what its answers hold.
// What is incomplete is refused as a whole, so that it is asked for again.
// Invariant: LATEST is asked for once; from then on it is the time of that moment, as a second LATEST would skip what came since.
import type { ChildShard as AnsweredChild, ShardIteratorType } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  type ExtendedSequenceNumber,
  invariant,
  OperatingError,
  parseSequenceNumber,
  shardIdIn,
} from '@shardline/common';
import { awsCodeOf } from '../aws-call.ts';
import type { ChildShard } from '../coordination/lease.ts';
import type { KinesisRecord } from './deaggregate.ts';
import { readChild } from './shards.ts';

/** `Type` is one of GetShardIterator's and of SubscribeToShard's alike. */
export interface StartingPosition {
  readonly type: Exclude<ShardIteratorType, 'AFTER_SEQUENCE_NUMBER'>;
  readonly sequenceNumber?: string;
  readonly timestamp?: Date;
}

export interface BeginningOptions {
  readonly shardId: string;
  /** What AT_TIMESTAMP stands for; it is not kept in the lease table. */
  readonly timestamp: Date | undefined;
  /** What LATEST stands for; undefined: now. */
  readonly latestSince?: Date | undefined;
  readonly clock: Clock;
}

/** Where reading of a shard begins. */
export class Beginning {
  readonly #shardId: string;
  readonly #timestamp: Date | undefined;
  readonly #clock: Clock;
  /** When reading from LATEST began, by the calendar: what comes after it is ours even if reading has to begin again. */
  #latestSince: Date | undefined;

  constructor({ shardId, timestamp, latestSince, clock }: BeginningOptions) {
    this.#shardId = shardId;
    this.#timestamp = timestamp;
    this.#latestSince = latestSince;
    this.#clock = clock;
  }

  /** KCL IteratorBuilder: a number is read again, as there may be more of its aggregate, and what was handled is passed over. */
  of({ sequenceNumber }: ExtendedSequenceNumber): StartingPosition {
    if (typeof sequenceNumber === 'bigint') {
      return { type: 'AT_SEQUENCE_NUMBER', sequenceNumber: String(sequenceNumber) };
    }
    if (sequenceNumber === 'TRIM_HORIZON') return { type: 'TRIM_HORIZON' };
    if (sequenceNumber === 'LATEST') {
      const timestamp = this.#latestSince;
      this.#latestSince ??= new Date(this.#clock.wallNow());
      return timestamp === undefined ? { type: 'LATEST' } : { type: 'AT_TIMESTAMP', timestamp };
    }
    invariant(sequenceNumber === 'AT_TIMESTAMP', 'nothing is read after SHARD_END');
    const timestamp = this.#timestamp;
    if (timestamp === undefined) {
      const message = `shard ${this.#shardId} begins AT_TIMESTAMP, but initialPosition gives no timestamp`;
      throw new OperatingError('REQUEST_FAILED', message, { retryable: false });
    }
    return { type: 'AT_TIMESTAMP', timestamp };
  }

  /** What to throw when Kinesis refuses to read from there: it names no option of ours. */
  refused(error: unknown, after: ExtendedSequenceNumber): unknown {
    if (awsCodeOf(error) !== 'InvalidArgumentException' || !(error instanceof OperatingError)) return error;
    if (typeof after.sequenceNumber === 'bigint') return foreignNumber(error, after, this.#shardId);
    const timestamp = this.#timestamp;
    if (after.sequenceNumber !== 'AT_TIMESTAMP' || timestamp === undefined) return error;
    const { message, cause, action, resource, code, retryable } = error;
    const text =
      `${message}. Reading of ${this.#shardId} is to begin at ${timestamp.toISOString()}, as initialPosition (of a replay: from) says. If that time ` +
      "is still to come by Kinesis's clock, it is refused until then";
    return new OperatingError(code, text, { retryable, cause, action, resource });
  }
}

/** The shard that a place names by its number, if that is another one. */
export function foreignShardOf({ sequenceNumber }: ExtendedSequenceNumber, shardId: string): string | undefined {
  const named = typeof sequenceNumber === 'bigint' ? shardIdIn(sequenceNumber) : undefined;
  return named === shardId ? undefined : named;
}

/** A number that Kinesis does not know is none of the shard's. */
function foreignNumber(
  { message, cause, action, resource }: OperatingError,
  after: ExtendedSequenceNumber,
  shardId: string,
): OperatingError {
  const named = foreignShardOf(after, shardId);
  const text =
    `${message}. The checkpoint of ${shardId} is no sequence number of that shard${named === undefined ? '' : ` but one of ${named}`}, so its lease was written for another stream, or changed ` +
    'by hand: give this consumer an application (or tableName) of its own; a row that was changed by hand needs a number of its shard, or ' +
    'TRIM_HORIZON to begin anew';
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false, cause, action, resource });
}

/**
 * The children if this was the shard's last answer: it says not where to go on and names its children, or neither. Anything else
 * is a half-made answer of a shard that is just being closed, to be asked for again (KCL DataRetrievalUtil.isValidResult).
 */
export function endOf(
  next: string | undefined,
  children: readonly AnsweredChild[],
  shardId: string,
): readonly ChildShard[] | undefined {
  if (next !== undefined && children.length === 0) return undefined;
  if (next === undefined && children.length > 0) return children.map(readChild);
  const what = next === undefined ? 'neither where to read on nor children' : 'where to read on, and children';
  throw new OperatingError('REQUEST_FAILED', `shard ${shardId}: Kinesis gave ${what}`, { retryable: true });
}

export function readRecord(record: {
  readonly SequenceNumber?: string | undefined;
  readonly Data?: Uint8Array | undefined;
  readonly PartitionKey?: string | undefined;
  readonly ApproximateArrivalTimestamp?: Date | undefined;
}): KinesisRecord {
  if (record.SequenceNumber === undefined || record.Data === undefined) {
    throw new OperatingError('REQUEST_FAILED', 'Kinesis gave a record without sequence number or data', {
      retryable: true,
    });
  }
  return {
    // Streams that choose keys by themselves return none.
    partitionKey: record.PartitionKey ?? '',
    data: record.Data,
    // As all are compared: without leading zeros.
    sequenceNumber: String(parseSequenceNumber(record.SequenceNumber)),
    subSequenceNumber: 0,
    approximateArrivalTimestamp: record.ApproximateArrivalTimestamp ?? new Date(0),
    aggregated: false,
  };
}

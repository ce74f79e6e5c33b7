// From the words a reader starts with to a place in a shard, and from a place to what is read there. A place is the counter
// of the next record. Shared by GetRecords and SubscribeToShard, so that both mean the same.
import { unreachable } from '@shardline/common/base';
import { KinesisError } from './errors.ts';
import type { StoredRecord } from './record-log.ts';
import { isSequenceNumber, shardNumberOf } from './sequence.ts';
import { type ChildShard, type Shard, shardIdOf } from './shard.ts';

/** Where reading begins (Kinesis API, GetShardIterator and StartingPosition). */
export type StartingPosition =
  | { readonly kind: 'TRIM_HORIZON' }
  | { readonly kind: 'LATEST' }
  | { readonly kind: 'AT_TIMESTAMP'; readonly timestampMs: number }
  | { readonly kind: 'AT_SEQUENCE_NUMBER'; readonly sequenceNumber: bigint }
  | { readonly kind: 'AFTER_SEQUENCE_NUMBER'; readonly sequenceNumber: bigint };

export interface ShardRead {
  readonly records: readonly StoredRecord[];
  readonly sizeBytes: number;
  /** The place after them. */
  readonly nextCounter: number;
  /** 0 when nothing more was there. */
  readonly millisBehindLatest: number;
  /** Not empty when the shard is closed and this read reached its end. */
  readonly childShards: readonly ChildShard[];
}

/** @throws KinesisError InvalidArgumentException for a number of another shard and for a time in the future. `where` stands in it */
export function counterAt(shard: Shard, position: StartingPosition, now: number, where: string): number {
  switch (position.kind) {
    case 'TRIM_HORIZON':
      return shard.log.firstCounter;
    case 'LATEST':
      return shard.log.nextCounter;
    case 'AT_TIMESTAMP':
      if (position.timestampMs > now) {
        throw new KinesisError(
          'InvalidArgumentException',
          `The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: ${Math.floor(position.timestampMs)}, currentTimestampInMillis: ${Math.floor(now)}`,
        );
      }
      return shard.log.firstAtOrAfter(position.timestampMs);
    case 'AT_SEQUENCE_NUMBER':
      return shard.counterAtOrAfter(owned(shard, position.sequenceNumber, where));
    case 'AFTER_SEQUENCE_NUMBER':
      return shard.counterAfter(owned(shard, position.sequenceNumber, where));
    default:
      return unreachable(position);
  }
}

/** Reads from `counter` on; what was trimmed meanwhile is skipped. */
export function readShard(shard: Shard, counter: number, maxCount: number, maxBytes: number, now: number): ShardRead {
  const { log, end } = shard;
  const from = Math.max(counter, log.firstCounter);
  const { records, sizeBytes } = log.read(from, maxCount, maxBytes);
  const nextCounter = from + records.length;
  const unreadMs = log.arrivalMsAt(nextCounter);
  return {
    records,
    sizeBytes,
    nextCounter,
    // Behind by at least 1 ms while a record is left: 0 means "caught up" (GetRecords, MillisBehindLatest).
    millisBehindLatest:
      unreadMs === undefined ? 0 : Math.max(1, Math.floor(now - (records.at(-1)?.arrivalMs ?? unreadMs))),
    childShards: end !== undefined && unreadMs === undefined ? end.childShards : [],
  };
}

function owned(shard: Shard, sequenceNumber: bigint, where: string): bigint {
  if (shard.owns(sequenceNumber)) return sequenceNumber;
  const used = `StartingSequenceNumber ${sequenceNumber} used in GetShardIterator on shard ${shard.id} in ${where}`;
  if (!isSequenceNumber(sequenceNumber)) throw invalid(`${used} is invalid.`);
  const encoded = shardNumberOf(sequenceNumber);
  if (encoded === shard.origin.number) throw invalid(`${used} is invalid because it did not come from this stream.`);
  throw invalid(
    `Invalid StartingSequenceNumber. It encodes ${shardIdOf(encoded)}, while it was used in a call to a shard with ${shard.id}`,
  );
}

function invalid(message: string): KinesisError {
  return new KinesisError('InvalidArgumentException', message);
}

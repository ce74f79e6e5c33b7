// What one PutRecords request may hold, whatever the shards' rates are. Either all of it passes or nothing is stored.
import {
  DEFAULT_MAX_RECORD_BYTES,
  type HashKey,
  MAX_PARTITION_KEY_UNITS,
  MAX_PUT_RECORDS_BYTES,
  MAX_RECORDS_PER_PUT_RECORDS,
} from '@shardline/common';
import { KinesisError } from './errors.ts';

export interface RecordToPut {
  readonly partitionKey: string;
  /** Decides the shard in place of the partition key's MD5. */
  readonly explicitHashKey?: HashKey;
  /** Kept, not copied: it may not change afterwards. */
  readonly data: Uint8Array;
}

/**
 * The size of each record, data and key together, in the order of the request.
 * @throws KinesisError ValidationException for counts and key lengths, InvalidArgumentException for sizes
 */
export function checkedSizes(records: readonly RecordToPut[]): number[] {
  checkLength('records', records.length, MAX_RECORDS_PER_PUT_RECORDS);
  let totalBytes = 0;
  const sizes = records.map(({ partitionKey, data }, index) => {
    if (partitionKey.length < 1 || partitionKey.length > MAX_PARTITION_KEY_UNITS) {
      checkLength(`records.${index + 1}.member.partitionKey`, partitionKey.length, MAX_PARTITION_KEY_UNITS);
    }
    const sizeBytes = data.byteLength + Buffer.byteLength(partitionKey);
    if (sizeBytes > DEFAULT_MAX_RECORD_BYTES) {
      throw new KinesisError(
        'InvalidArgumentException',
        `Record ${index + 1} has ${sizeBytes} bytes of data and partition key, more than the ${DEFAULT_MAX_RECORD_BYTES} that the stream allows.`,
      );
    }
    totalBytes += sizeBytes;
    return sizeBytes;
  });
  if (totalBytes > MAX_PUT_RECORDS_BYTES) {
    throw new KinesisError(
      'InvalidArgumentException',
      `Records size exceeds ${MAX_PUT_RECORDS_BYTES / 1024 / 1024} MB limit: ${totalBytes} bytes`,
    );
  }
  return sizes;
}

function checkLength(member: string, length: number, max: number): void {
  if (length >= 1 && length <= max) return;
  const rule = length < 1 ? 'greater than or equal to 1' : `less than or equal to ${max}`;
  throw new KinesisError(
    'ValidationException',
    `1 validation error detected: Value of length ${length} at '${member}' failed to satisfy constraint: Member must have length ${rule}`,
  );
}

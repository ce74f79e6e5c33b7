// What one PutRecords request may hold, whatever the shards' rates are. Either all of it passes or nothing is stored.
import {
  type HashKey,
  MAX_PARTITION_KEY_UNITS,
  MAX_PUT_RECORDS_BYTES,
  MAX_RECORDS_PER_PUT_RECORDS,
} from '@shardline/common/base';
import type { StreamCapacity } from './capacity.ts';
import { KinesisError } from './errors.ts';
import { isSequenceNumber, secondOf } from './sequence.ts';

export interface RecordToPut {
  /** Decides the shard, unless the stream's strategy is AUTO; then it may be absent. */
  readonly partitionKey?: string | undefined;
  /** Decides the shard in place of the partition key's MD5. */
  readonly explicitHashKey?: HashKey;
  /** Kept, not copied: it may not change afterwards. */
  readonly data: Uint8Array;
}

/**
 * The size of each record, data and key together, in the order of the request.
 * @throws KinesisError ValidationException for counts, key lengths and missing keys, InvalidArgumentException for sizes
 */
export function checkedSizes(records: readonly RecordToPut[], capacity: StreamCapacity): number[] {
  checkLength('records', records.length, MAX_RECORDS_PER_PUT_RECORDS);
  const { maxRecordBytes } = capacity;
  let totalBytes = 0;
  const sizes = records.map(({ partitionKey, data }, index) => {
    if (partitionKey === undefined) refuseWithoutKey(`records.${index + 1}.member.partitionKey`, capacity);
    else if (partitionKey.length < 1 || partitionKey.length > MAX_PARTITION_KEY_UNITS) {
      checkLength(`records.${index + 1}.member.partitionKey`, partitionKey.length, MAX_PARTITION_KEY_UNITS);
    }
    const sizeBytes = data.byteLength + (partitionKey === undefined ? 0 : Buffer.byteLength(partitionKey));
    if (sizeBytes > maxRecordBytes) {
      throw new KinesisError(
        'InvalidArgumentException',
        `Record ${index + 1} has ${sizeBytes} bytes of data and partition key, more than the ${maxRecordBytes} that the stream allows.`,
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

/**
 * What PutRecord asks for beside that. `where` stands in messages.
 * @throws KinesisError ValidationException, InvalidArgumentException
 */
export function checkPutRecord(
  { partitionKey }: RecordToPut,
  sequenceNumberForOrdering: bigint | undefined,
  capacity: StreamCapacity,
  where: string,
  now: number,
): void {
  if (partitionKey === undefined) refuseWithoutKey('partitionKey', capacity);
  if (sequenceNumberForOrdering === undefined) return;
  if (capacity.recordDistributionStrategy === 'AUTO') {
    throw new KinesisError(
      'InvalidArgumentException',
      'SequenceNumberForOrdering must not be provided for a stream with RecordDistributionStrategy=AUTO.',
    );
  }
  if (!isSequenceNumber(sequenceNumberForOrdering) || secondOf(sequenceNumberForOrdering) > now / 1000) {
    throw new KinesisError(
      'InvalidArgumentException',
      `ExclusiveMinimumSequenceNumber ${sequenceNumberForOrdering} used in PutRecord on ${where} is invalid.`,
    );
  }
}

/** In the words in which every stream refused it before there was AUTO. */
function refuseWithoutKey(member: string, { recordDistributionStrategy }: StreamCapacity): void {
  if (recordDistributionStrategy === 'AUTO') return;
  throw new KinesisError(
    'ValidationException',
    `1 validation error detected: Value null at '${member}' failed to satisfy constraint: Member must not be null`,
  );
}

function checkLength(member: string, length: number, max: number): void {
  if (length >= 1 && length <= max) return;
  const rule = length < 1 ? 'greater than or equal to 1' : `less than or equal to ${max}`;
  throw new KinesisError(
    'ValidationException',
    `1 validation error detected: Value of length ${length} at '${member}' failed to satisfy constraint: Member must have length ${rule}`,
  );
}

// User records for the stages' tests.
import { KinesisRecord } from '../src/batch.ts';
import { checkUserRecord, type PutError, type PutResult, UserRecord } from '../src/user-record.ts';

export interface RecordOptions {
  readonly key?: string;
  readonly data?: Uint8Array | string;
  readonly explicitHashKey?: bigint | string;
  readonly sequence?: number;
  readonly nowMs?: number;
  readonly recordTtlMs?: number;
  readonly bufferedTimeMs?: number;
  readonly onSuccess?: (result: PutResult) => void;
  readonly onFailure?: (error: PutError) => void;
}

let lastSequence = 0;

/** A checked user record with a sequence above all earlier ones. */
export function userRecord(options: RecordOptions = {}): UserRecord {
  const { key: partitionKey = 'key', data = 'data', explicitHashKey } = options;
  const input = explicitHashKey === undefined ? { partitionKey, data } : { partitionKey, data, explicitHashKey };
  lastSequence = options.sequence ?? lastSequence + 1;
  return new UserRecord(checkUserRecord(input, 10 * 1024 * 1024), {
    sequence: lastSequence,
    nowMs: options.nowMs ?? 0,
    recordTtlMs: options.recordTtlMs ?? 30_000,
    bufferedTimeMs: options.bufferedTimeMs ?? 100,
    onSuccess: options.onSuccess ?? (() => undefined),
    onFailure: options.onFailure ?? (() => undefined),
  });
}

/** A sealed Kinesis record of one user record. */
export function loneRecord(shardId: string | undefined, options: RecordOptions = {}): KinesisRecord {
  const record = userRecord(options);
  const kinesisRecord = new KinesisRecord(record, shardId, 1);
  kinesisRecord.phase = 'limited';
  record.carrier = kinesisRecord;
  return kinesisRecord;
}

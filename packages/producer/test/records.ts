// User records for the stages' tests.
import { FIRST_PLACE, type GrowingAggregates, invariant, NO_PLACE } from '@shardline/common';
import { KinesisRecord } from '../src/batch.ts';
import type { PackedRecords } from '../src/packed-records.ts';
import { timesOf, type UserRecord } from '../src/user-record.ts';
import { checkUserRecord } from '../src/user-record-input.ts';

export interface RecordOptions {
  /** Null: none. */
  readonly key?: string | null;
  readonly data?: Uint8Array | string;
  readonly explicitHashKey?: bigint | string;
  readonly sequence?: number;
  readonly nowMs?: number;
  readonly recordTtlMs?: number;
  readonly bufferedTimeMs?: number;
}

let lastSequence = 0;

/** A checked user record with a sequence above all earlier ones. */
export function userRecord(options: RecordOptions = {}): UserRecord {
  const { key: partitionKey = 'key', data = 'data', explicitHashKey } = options;
  const input = {
    data,
    ...(partitionKey === null ? {} : { partitionKey }),
    ...(explicitHashKey === undefined ? {} : { explicitHashKey }),
  };
  lastSequence = options.sequence ?? lastSequence + 1;
  const record = checkUserRecord(input, 10 * 1024 * 1024);
  const { nowMs = 0, recordTtlMs = 30_000, bufferedTimeMs = 100 } = options;
  record.admit(lastSequence, timesOf(nowMs, { recordTtlMs, bufferedTimeMs }));
  return record;
}

/** A sealed Kinesis record of one user record. */
export function loneRecord(shardId: string | undefined, options: RecordOptions = {}): KinesisRecord {
  const record = userRecord(options);
  const kinesisRecord = new KinesisRecord(record, shardId, 1);
  kinesisRecord.phase = 'limited';
  record.carrier = kinesisRecord;
  return kinesisRecord;
}

/** One in which the records are packed, as the aggregator does it: a place that may be the key's is handed in. */
export function packedOf(
  [first, ...others]: readonly UserRecord[],
  growing: GrowingAggregates,
): { readonly carrier: KinesisRecord; readonly packed: PackedRecords } {
  const lane = 3;
  const places = new Map([[first?.partitionKey, FIRST_PLACE]]);
  const carrier = new KinesisRecord(first as UserRecord, '0', 1);
  const packed = carrier.pack(growing, lane);
  for (const record of others) {
    const { partitionKey } = record;
    const place = growing.placeOf(lane, record, places.get(partitionKey) ?? NO_PLACE);
    const announced = growing.sizeBytesWith(lane, record, place);
    packed.tells(record.settle, record.stream);
    places.set(partitionKey, growing.add(lane, record, place));
    record.packedAway(growing.lender);
    invariant(announced === packed.sizeBytes, 'it is as long as was announced');
  }
  return { carrier, packed };
}

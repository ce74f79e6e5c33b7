// The way of records into their shards: checked as a request, then placed, admitted and numbered one by one, kept by the journal,
// and only then seen by whoever waits for them.
import { hashKeyOf, type SequenceNumber } from '@shardline/common/base';
import type { Account } from './account.ts';
import { endDryRun, KinesisError } from './errors.ts';
import { checkedSizes, checkPutRecord, type RecordToPut } from './put-check.ts';
import type { Shard } from './shard.ts';
import type { Stream } from './stream.ts';

export interface StoredAt {
  readonly kind: 'stored';
  readonly shardId: string;
  readonly sequenceNumber: SequenceNumber;
}

/** "either ProvisionedThroughputExceededException or InternalFailure" (API_PutRecordsResultEntry). */
export type RecordErrorCode = 'ProvisionedThroughputExceededException' | 'InternalFailure';

/** One entry's outcome, in the order of the request. */
export type PutOutcome =
  | StoredAt
  | { readonly kind: 'refused'; readonly errorCode: RecordErrorCode; readonly message: string };

/** Asked for each record before it is stored: refuses it, as only a fault does. */
export type RefuseRecord = (shardId: string) => RecordErrorCode | undefined;

export interface PutRecordsRequest {
  readonly streamName: string;
  readonly records: readonly RecordToPut[];
  readonly refuseRecord?: RefuseRecord | undefined;
  /** Only asks whether it would succeed, whatever the rates are. */
  readonly isDryRun?: boolean | undefined;
}

export interface PutRecordRequest {
  readonly streamName: string;
  readonly record: RecordToPut;
  /** Of a record that it comes after; so it does in any case. */
  readonly sequenceNumberForOrdering?: bigint | undefined;
  /** As in PutRecordsRequest. */
  readonly isDryRun?: boolean | undefined;
}

/** @throws KinesisError ProvisionedThroughputExceededException when its shard can take no more, and what `putRecords` throws */
export function putRecord(account: Account, request: PutRecordRequest, now: number): StoredAt {
  const { streamName, record, sequenceNumberForOrdering, isDryRun } = request;
  const { capacity } = account.readable(streamName, now);
  checkPutRecord(record, sequenceNumberForOrdering, capacity, account.within(streamName), now);
  const [outcome] = putRecords(account, { streamName, records: [record], isDryRun }, now);
  if (outcome?.kind === 'stored') return outcome;
  throw new KinesisError('ProvisionedThroughputExceededException', outcome?.message ?? 'Rate exceeded.');
}

/** @throws KinesisError InvalidArgumentException, ValidationException for the whole request: nothing is stored then */
export function putRecords(account: Account, request: PutRecordsRequest, now: number): PutOutcome[] {
  const { streamName, records, refuseRecord, isDryRun } = request;
  const { limits, maxStoredBytesPerShard } = account.options;
  const stream = account.readable(streamName, now);
  const sizes = checkedSizes(records, stream.capacity);
  endDryRun(isDryRun);
  growOnDemand(account, stream, now);
  const isAuto = stream.capacity.recordDistributionStrategy === 'AUTO';
  const horizonMs = now - stream.retentionMs;
  /** With the counter of the first new record. */
  const touched = new Map<Shard, number>();
  const outcomes = records.map((record, index): PutOutcome => {
    const sizeBytes = sizes[index] ?? 0;
    const shard = isAuto ? shardInTurn(stream, sizeBytes, limits, now) : shardByKey(stream, record);
    const refusal = refuseRecord?.(shard.id);
    if (refusal !== undefined) return refused(refusal, shard, account.within(streamName));
    if (limits && !shard.writeLimit.admit(sizeBytes, now)) {
      return refused('ProvisionedThroughputExceededException', shard, account.within(streamName));
    }
    if (!touched.has(shard)) touched.set(shard, shard.log.nextCounter);
    const sequenceNumber = shard.append(record.partitionKey, record.data, sizeBytes, now);
    return { kind: 'stored', shardId: shard.id, sequenceNumber };
  });
  account.tellAppended(stream, touched);
  for (const [shard, counter] of touched) {
    if (limits && stream.mode === 'ON_DEMAND') stream.traffic.note(shard, shard.log.from(counter));
    shard.log.trim(horizonMs, maxStoredBytesPerShard);
    if (shard.watchers.size > 0) shard.wake();
  }
  return outcomes;
}

/** AUTO "distributes records evenly across shards", and here not to one that can take no more while another one can. */
function shardInTurn(stream: Stream, sizeBytes: number, limits: boolean, now: number): Shard {
  return stream.shardInTurn(({ writeLimit }) => !limits || writeLimit.admits(sizeBytes, now));
}

/** The request was checked: a record without a key has passed on AUTO streams alone. */
function shardByKey(stream: Stream, { partitionKey = '', explicitHashKey }: RecordToPut): Shard {
  return stream.shardFor(explicitHashKey ?? hashKeyOf(partitionKey));
}

/** Before a put stores anything, so that what fails here has stored nothing. */
function growOnDemand(account: Account, stream: Stream, now: number): void {
  const { limits, onDemandPeriodMs } = account.options;
  if (!limits || stream.mode !== 'ON_DEMAND' || stream.status !== 'ACTIVE') return;
  const steps = stream.traffic.judge(onDemandPeriodMs, now);
  if (steps.length > 0) account.reshard(stream, steps, now);
}

function refused(errorCode: RecordErrorCode, shard: Shard, where: string): PutOutcome {
  const message = errorCode === 'InternalFailure' ? 'Internal Service Failure' : rateExceeded(shard, where);
  return { kind: 'refused', errorCode, message };
}

/** For PutRecords as for GetRecords; `where`: "stream s under account a". */
export function rateExceeded(shard: Shard, where: string): string {
  return `Rate exceeded for shard ${shard.id} in ${where}.`;
}

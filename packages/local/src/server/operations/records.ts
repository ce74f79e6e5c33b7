// PutRecord, PutRecords, GetShardIterator, GetRecords: the hot path. Data stays in the buffer it was decoded into.
import {
  MAX_PARTITION_KEY_UNITS,
  MAX_RECORD_BYTES,
  MAX_RECORDS_PER_GET_RECORDS,
  MAX_RECORDS_PER_PUT_RECORDS,
} from '@shardline/common/base';
import type { PutOutcome, RecordToPut, Shard, StoredRecord, Stream } from '../../model/index.ts';
import { streamNameOf } from '../caller.ts';
import { blob, integer, list, optional, required, structure, text, timestamp } from '../input-check.ts';
import { type MembersOf, Rows, Timestamp } from '../wire-format.ts';
import {
  childShardMembers,
  dryRun,
  hashKeyIn,
  hashKeyText,
  positionKind,
  positionOf,
  sequenceNumberText,
  shardId,
  streamAddress,
  streamArnText,
  streamId,
} from './members.ts';
import { members, type OperationTable, operation } from './operation.ts';

const recordMembers = {
  Data: required(blob(MAX_RECORD_BYTES)),
  PartitionKey: optional(text({ min: 1, max: MAX_PARTITION_KEY_UNITS })),
  ExplicitHashKey: optional(hashKeyText),
};

const putRecord = operation(
  { ...streamAddress, ...recordMembers, SequenceNumberForOrdering: optional(sequenceNumberText), DryRun: dryRun },
  (input, { model, now }) => {
    const streamName = streamNameOf(input);
    const { SequenceNumberForOrdering: ordering, DryRun: isDryRun } = input;
    const sequenceNumberForOrdering = ordering === undefined ? undefined : BigInt(ordering);
    const stored = model.putRecord({ streamName, record: recordOf(input), sequenceNumberForOrdering, isDryRun }, now);
    return members({
      ShardId: stored.shardId,
      SequenceNumber: stored.sequenceNumber,
      EncryptionType: encryptionType(model.stream(streamName, now)),
    });
  },
);

const putRecords = operation(
  {
    ...streamAddress,
    Records: required(list(structure(recordMembers), { min: 1, max: MAX_RECORDS_PER_PUT_RECORDS, blobs: 'Data' })),
    DryRun: dryRun,
  },
  (input, { model, now, refuseRecord }) => {
    const streamName = streamNameOf(input);
    const records = input.Records.map(recordOf);
    const outcomes = model.putRecords({ streamName, records, refuseRecord, isDryRun: input.DryRun }, now);
    return members({
      FailedRecordCount: outcomes.reduce((count, { kind }) => (kind === 'stored' ? count : count + 1), 0),
      Records: Rows.of(outcomes, outcomeMembers),
      EncryptionType: encryptionType(model.stream(streamName, now)),
    });
  },
);

const outcomeMembers: MembersOf<PutOutcome> = {
  SequenceNumber: (outcome) => (outcome.kind === 'stored' ? outcome.sequenceNumber : undefined),
  ShardId: (outcome) => (outcome.kind === 'stored' ? outcome.shardId : undefined),
  ErrorCode: (outcome) => (outcome.kind === 'refused' ? outcome.errorCode : undefined),
  ErrorMessage: (outcome) => (outcome.kind === 'refused' ? outcome.message : undefined),
};

const getShardIterator = operation(
  {
    ...streamAddress,
    ShardId: required(shardId),
    ShardIteratorType: required(positionKind),
    StartingSequenceNumber: optional(sequenceNumberText),
    Timestamp: optional(timestamp),
    DryRun: dryRun,
  },
  (input, { model, now }) => {
    const position = positionOf(input.ShardIteratorType, input.StartingSequenceNumber, input.Timestamp);
    const { ShardId, DryRun: isDryRun } = input;
    const request = { streamName: streamNameOf(input), shardId: ShardId, position, isDryRun };
    return members({ ShardIterator: model.getShardIterator(request, now) });
  },
);

const getRecords = operation(
  {
    ShardIterator: required(text({ min: 1, max: 512 })),
    Limit: optional(integer({ min: 1, max: MAX_RECORDS_PER_GET_RECORDS })),
    StreamARN: optional(streamArnText),
    StreamId: streamId,
    DryRun: dryRun,
  },
  ({ ShardIterator: shardIterator, Limit: limit, DryRun: isDryRun }, { model, now }) => {
    const answer = model.getRecords({ shardIterator, limit, isDryRun }, now);
    return members({
      Records: storedRecordsMembers(answer.records, answer.shard),
      NextShardIterator: answer.nextShardIterator ?? undefined,
      MillisBehindLatest: answer.millisBehindLatest,
      ChildShards: childShardMembers(answer.childShards),
    });
  },
);

export const recordOperations: OperationTable = {
  PutRecord: putRecord,
  PutRecords: putRecords,
  GetShardIterator: getShardIterator,
  GetRecords: getRecords,
};

/** The Records of GetRecords and SubscribeToShardEvent. */
export function storedRecordsMembers(records: readonly StoredRecord[], shard: Shard): Rows {
  return Rows.of(records, {
    SequenceNumber: (record) => record.sequenceNumber,
    ApproximateArrivalTimestamp: (record) => new Timestamp(record.arrivalMs),
    Data: (record) => record.data,
    PartitionKey: (record) => record.partitionKey,
    EncryptionType: (record) => (shard.isEncrypted(record) ? 'KMS' : undefined),
  });
}

/** As AWS does, NONE goes without saying. */
function encryptionType({ isEncrypted }: Stream): 'KMS' | undefined {
  return isEncrypted ? 'KMS' : undefined;
}

function recordOf(input: {
  Data: Uint8Array;
  PartitionKey: string | undefined;
  ExplicitHashKey: string | undefined;
}): RecordToPut {
  const { Data: data, PartitionKey: partitionKey, ExplicitHashKey } = input;
  if (ExplicitHashKey === undefined) return { partitionKey, data };
  return { partitionKey, data, explicitHashKey: hashKeyIn('ExplicitHashKey', ExplicitHashKey) };
}

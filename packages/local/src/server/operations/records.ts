// PutRecord, PutRecords, GetShardIterator, GetRecords: the hot path. Data stays in the buffer it was decoded into.
import {
  MAX_PARTITION_KEY_UNITS,
  MAX_RECORD_BYTES,
  MAX_RECORDS_PER_GET_RECORDS,
  MAX_RECORDS_PER_PUT_RECORDS,
} from '@shardline/common';
import type { RecordToPut, StoredRecord } from '../../model/index.ts';
import { streamNameOf } from '../caller.ts';
import { blob, integer, list, optional, required, structure, text, timestamp } from '../input-check.ts';
import { Timestamp, type WireObject } from '../wire-format.ts';
import {
  childShardMembers,
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
  PartitionKey: required(text({ min: 1, max: MAX_PARTITION_KEY_UNITS })),
  ExplicitHashKey: optional(hashKeyText),
};

const putRecord = operation(
  { ...streamAddress, ...recordMembers, SequenceNumberForOrdering: optional(sequenceNumberText) },
  (input, { model, now }) => {
    const stored = model.putRecord({ streamName: streamNameOf(input), record: recordOf(input) }, now);
    return members({ ShardId: stored.shardId, SequenceNumber: stored.sequenceNumber });
  },
);

const putRecords = operation(
  { ...streamAddress, Records: required(list(structure(recordMembers), { min: 1, max: MAX_RECORDS_PER_PUT_RECORDS })) },
  (input, { model, now, refuseRecord }) => {
    const records = input.Records.map(recordOf);
    let failedCount = 0;
    const request = { streamName: streamNameOf(input), records, refuseRecord };
    const outcomes = model.putRecords(request, now).map((outcome): WireObject => {
      if (outcome.kind === 'stored') return { SequenceNumber: outcome.sequenceNumber, ShardId: outcome.shardId };
      failedCount++;
      return { ErrorCode: outcome.errorCode, ErrorMessage: outcome.message };
    });
    return members({ FailedRecordCount: failedCount, Records: outcomes });
  },
);

const getShardIterator = operation(
  {
    ...streamAddress,
    ShardId: required(shardId),
    ShardIteratorType: required(positionKind),
    StartingSequenceNumber: optional(sequenceNumberText),
    Timestamp: optional(timestamp),
  },
  (input, { model, now }) => {
    const position = positionOf(input.ShardIteratorType, input.StartingSequenceNumber, input.Timestamp);
    const request = { streamName: streamNameOf(input), shardId: input.ShardId, position };
    return members({ ShardIterator: model.getShardIterator(request, now) });
  },
);

const getRecords = operation(
  {
    ShardIterator: required(text({ min: 1, max: 512 })),
    Limit: optional(integer({ min: 1, max: MAX_RECORDS_PER_GET_RECORDS })),
    StreamARN: optional(streamArnText),
    StreamId: streamId,
  },
  ({ ShardIterator: shardIterator, Limit: limit }, { model, now }) => {
    const answer = model.getRecords({ shardIterator, limit }, now);
    return members({
      Records: answer.records.map(storedRecordMembers),
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

/** A Record of GetRecords and SubscribeToShardEvent. */
export function storedRecordMembers(record: StoredRecord): WireObject {
  return {
    SequenceNumber: record.sequenceNumber,
    ApproximateArrivalTimestamp: new Timestamp(record.arrivalMs),
    Data: record.data,
    PartitionKey: record.partitionKey,
  };
}

function recordOf(input: { Data: Uint8Array; PartitionKey: string; ExplicitHashKey: string | undefined }): RecordToPut {
  const { Data: data, PartitionKey: partitionKey, ExplicitHashKey } = input;
  if (ExplicitHashKey === undefined) return { partitionKey, data };
  return { partitionKey, data, explicitHashKey: hashKeyIn('ExplicitHashKey', ExplicitHashKey) };
}

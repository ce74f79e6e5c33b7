// UpdateShardCount, UpdateStreamMode, UpdateStreamWarmThroughput, UpdateStreamRecordDistributionStrategy, UpdateMaxRecordSize: how
// much a stream takes, and where.
import { streamArn, streamNameOf, streamNameOfArn } from '../caller.ts';
import { integer, oneOf, optional, required } from '../input-check.ts';
import {
  maxRecordSizeInKiB,
  recordDistributionStrategy,
  streamAddress,
  streamArnText,
  streamId,
  streamModeDetails,
  warmThroughput,
  warmThroughputMembers,
} from './members.ts';
import { empty, members, type OperationTable, operation } from './operation.ts';

const updateShardCount = operation(
  {
    ...streamAddress,
    TargetShardCount: required(integer({ min: 1, max: 1_000_000 })),
    ScalingType: required(oneOf('UNIFORM_SCALING')),
  },
  (input, { model, now, caller }) => {
    const name = streamNameOf(input);
    const { TargetShardCount: targetShardCount } = input;
    const { currentShardCount } = model.updateShardCount({ streamName: name, targetShardCount }, now);
    return members({
      StreamName: name,
      CurrentShardCount: currentShardCount,
      TargetShardCount: targetShardCount,
      StreamARN: streamArn(caller, name),
    });
  },
);

const updateStreamMode = operation(
  {
    StreamARN: required(streamArnText),
    StreamId: streamId,
    StreamModeDetails: required(streamModeDetails),
    WarmThroughputMiBps: optional(warmThroughput),
  },
  (
    { StreamARN, StreamModeDetails: { StreamMode: mode }, WarmThroughputMiBps: warmThroughputMiBps },
    { model, now },
  ) => {
    model.updateStreamMode({ streamName: streamNameOfArn(StreamARN), mode, warmThroughputMiBps }, now);
    return empty;
  },
);

const updateStreamWarmThroughput = operation(
  { ...streamAddress, WarmThroughputMiBps: required(warmThroughput) },
  (input, { model, now, caller }) => {
    const streamName = streamNameOf(input);
    const { WarmThroughputMiBps: warmThroughputMiBps } = input;
    const warm = model.updateWarmThroughput({ streamName, warmThroughputMiBps }, now);
    return members({
      StreamName: streamName,
      StreamARN: streamArn(caller, streamName),
      WarmThroughput: warmThroughputMembers(warm),
    });
  },
);

const updateRecordDistributionStrategy = operation(
  {
    StreamARN: required(streamArnText),
    StreamId: streamId,
    RecordDistributionStrategy: required(recordDistributionStrategy),
  },
  ({ StreamARN, RecordDistributionStrategy: strategy }, { model, now }) => {
    model.updateRecordDistributionStrategy({ streamName: streamNameOfArn(StreamARN), strategy }, now);
    return empty;
  },
);

const updateMaxRecordSize = operation(
  { StreamARN: required(streamArnText), StreamId: streamId, MaxRecordSizeInKiB: required(maxRecordSizeInKiB) },
  ({ StreamARN, MaxRecordSizeInKiB }, { model, now }) => {
    const maxRecordBytes = MaxRecordSizeInKiB * 1024;
    model.updateMaxRecordSize({ streamName: streamNameOfArn(StreamARN), maxRecordBytes }, now);
    return empty;
  },
);

export const capacityOperations: OperationTable = {
  UpdateShardCount: updateShardCount,
  UpdateStreamMode: updateStreamMode,
  UpdateStreamWarmThroughput: updateStreamWarmThroughput,
  UpdateStreamRecordDistributionStrategy: updateRecordDistributionStrategy,
  UpdateMaxRecordSize: updateMaxRecordSize,
};

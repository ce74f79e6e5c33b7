// The model's public face: what the shell and the simulator use.

export type { AccountSettings } from './account-settings.ts';
export type { CapacityRequest, RecordDistributionStrategy, StreamCapacity, StreamMode } from './capacity.ts';
export * from './consumers.ts';
export * from './errors.ts';
export type { AppendedRecords, Journal, ModelState, RestoredModel } from './journal.ts';
export {
  type ConsumerAddress,
  type GetRecordsAnswer,
  KinesisModel,
  type KinesisModelOptions,
  type ListShardsRequest,
  type PutOutcome,
  type PutRecordsRequest,
  type RecordErrorCode,
  type RefuseRecord,
  type StoredAt,
  type StreamAddress,
} from './kinesis.ts';
export type { StartingPosition } from './position.ts';
export type { RecordToPut } from './put-check.ts';
export type { StoredRecord } from './record-log.ts';
export { shardNumberOf } from './sequence.ts';
export type { ConsumerSettings, ResourceSettings, StreamSettings } from './settings.ts';
export type { ChildShard, Shard, ShardEnd, ShardOrigin, ShardState } from './shard.ts';
export type { ShardFilter } from './shard-filter.ts';
export type { PlannedChange, Stream, StreamChange, StreamState, StreamStatus } from './stream.ts';
export type { Tags } from './tags.ts';

// The model's public face: what the shell and the simulator use.
export type { ConsumerAddress, KinesisModelOptions, StreamAddress } from './account.ts';
export type { AccountSettings } from './account-settings.ts';
export type { CapacityRequest, RecordDistributionStrategy, StreamCapacity, StreamMode } from './capacity.ts';
export * from './consumers.ts';
export * from './errors.ts';
export type { AppendedRecords, Journal, ModelState, RestoredModel } from './journal.ts';
export { type GetRecordsAnswer, KinesisModel } from './kinesis.ts';
export type { ListShardsRequest } from './list-shards.ts';
export type { StartingPosition } from './position.ts';
export type { PutOutcome, PutRecordsRequest, RecordErrorCode, RefuseRecord, StoredAt } from './put.ts';
export type { RecordToPut } from './put-check.ts';
export type { StoredRecord } from './record-log.ts';
export { shardNumberOf } from './sequence.ts';
export type { ConsumerSettings, ResourceSettings, StreamSettings } from './settings.ts';
export type { ChildShard, Shard, ShardEnd, ShardOrigin, ShardState } from './shard.ts';
export type { ShardFilter } from './shard-filter.ts';
export type { PlannedChange, Stream, StreamChange, StreamState, StreamStatus } from './stream.ts';
export type { Tags } from './tags.ts';

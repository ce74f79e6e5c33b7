// The quotas of Kinesis Data Streams, each written once with its source. Facts about the service, not settings: what a user
// may tune lives in the options of the producer and the consumer. Where AWS raises a limit by stream or account, the name
// says so (DEFAULT_, MAX_). Sizes are bytes before base64, rates are a shard's unless the name says otherwise.

const KIB = 1024;
const MIB = 1024 * KIB;

/** Entries of one PutRecords request (API_PutRecords, Records). */
export const MAX_RECORDS_PER_PUT_RECORDS = 500;
/** One PutRecords request, data and partition keys together (API_PutRecords). */
export const MAX_PUT_RECORDS_BYTES: number = 10 * MIB;
/** Data and partition key of one Kinesis record, on a stream that was not changed (API_CreateStream, MaxRecordSizeInKiB: 1024). */
export const DEFAULT_MAX_RECORD_BYTES: number = 1 * MIB;
/** The most that MaxRecordSizeInKiB can be raised to (API_UpdateMaxRecordSize: 10240). */
export const MAX_RECORD_BYTES: number = 10 * MIB;
/**
 * What one shard takes at once in records above 1 MiB, refilled by 1 MiB a second (Handle large records: "temporarily bursting
 * beyond its sustained write throughput"; AWS's blog on 10x larger records: "bursts up to 10 MiB … a capacity tank").
 */
export const SHARD_WRITE_BURST_BYTES: number = 10 * MIB;
/** A partition key, in UTF-16 units, as the Java SDK and the KPL count (API_PutRecord, PartitionKey: 1 to 256). */
export const MAX_PARTITION_KEY_UNITS = 256;
/** A stream name (API_CreateStream, StreamName: 1 to 128 of [a-zA-Z0-9_.-]). */
export const MAX_STREAM_NAME_LENGTH = 128;

/** Open shards of one stream after UpdateShardCount (API_UpdateShardCount: 10000 unless raised). */
export const DEFAULT_MAX_SHARDS_PER_STREAM = 10_000;
/** UpdateShardCount calls for one stream in a rolling 24 hours (API_UpdateShardCount: ten). */
export const MAX_SHARD_COUNT_UPDATES_PER_DAY = 10;
/** Switches between on-demand and provisioned in a rolling 24 hours, a stream (Choose the right mode to stream in: twice). */
export const MAX_STREAM_MODE_UPDATES_PER_DAY = 2;
/** On-demand streams of one account (Quotas and limits: 50 unless raised). */
export const DEFAULT_MAX_ON_DEMAND_STREAMS = 50;
/** Shards of a new on-demand stream (Quotas and limits: 4 MB/s of write throughput). */
export const DEFAULT_ON_DEMAND_SHARDS = 4;
/** A shard of an on-demand stream is split when more arrives (Choose the right mode to stream in: 500 KB/s per shard). */
export const ON_DEMAND_SPLIT_BYTES_PER_SECOND: number = 500 * KIB;
/** The same in records: AWS names bytes alone, yet scales for records too; half of what the shard takes, as with bytes. */
export const ON_DEMAND_SPLIT_RECORDS_PER_SECOND = 500;

/** Written to one shard in a second, data and partition keys (Quotas and limits: 1 MB, counted as MiB by the KPL and here). */
export const SHARD_WRITE_BYTES_PER_SECOND: number = 1 * MIB;
/** Kinesis records written to one shard in a second (Quotas and limits). */
export const SHARD_WRITE_RECORDS_PER_SECOND = 1000;
/** Read from one shard in a second by all polling consumers together (Quotas and limits: 2 MB). */
export const SHARD_READ_BYTES_PER_SECOND: number = 2 * MIB;
/** GetRecords calls to one shard in a second, all polling consumers together (API_GetRecords). */
export const SHARD_GET_RECORDS_PER_SECOND = 5;
/** Pushed to one registered consumer from one shard in a second (API_SubscribeToShard: 2 MB). */
export const SHARD_FAN_OUT_BYTES_PER_SECOND: number = 2 * MIB;

/** Records in one GetRecords answer (API_GetRecords, Limit). */
export const MAX_RECORDS_PER_GET_RECORDS = 10_000;
/** One GetRecords answer; after such a one, calls within the next 5 s are throttled (API_GetRecords). */
export const MAX_GET_RECORDS_BYTES: number = 10 * MIB;
/** A shard iterator that was not used (API_GetShardIterator: 5 minutes). */
export const SHARD_ITERATOR_TTL_MS = 300_000;

/** One subscription; then the service ends it and the consumer subscribes again (API_SubscribeToShard: 5 minutes). */
export const SUBSCRIPTION_DURATION_MS = 300_000;
/** A second SubscribeToShard for the same consumer and shard within this time gets ResourceInUseException (API_SubscribeToShard). */
export const SUBSCRIBE_INTERVAL_MS = 5_000;
/** Between two calls of SubscribeToShard for the same consumer and shard, refused or not (API_SubscribeToShard: one a second). */
export const SUBSCRIBE_CALL_INTERVAL_MS = 1_000;
/** Registered consumers of one stream (API_RegisterStreamConsumer: 20; 50 with on-demand Advantage). */
export const DEFAULT_MAX_CONSUMERS_PER_STREAM = 20;

/** Shards in one ListShards answer (API_ListShards, MaxResults). */
export const MAX_LIST_SHARDS_RESULTS = 10_000;
/** Shards in one ListShards answer when MaxResults is absent (API_ListShards). */
export const DEFAULT_LIST_SHARDS_RESULTS = 1000;
/** A ListShards NextToken (API_ListShards: 300 seconds). */
export const LIST_SHARDS_TOKEN_TTL_MS = 300_000;
/** ListShards calls a second to one stream (Quotas and limits). */
export const STREAM_LIST_SHARDS_PER_SECOND = 1000;
/** DescribeStreamSummary calls a second of one account (API_DescribeStreamSummary). */
export const ACCOUNT_DESCRIBE_STREAM_SUMMARY_PER_SECOND = 20;

/** How long records are kept when nothing was set (API_IncreaseStreamRetentionPeriod: 24 hours). */
export const DEFAULT_RETENTION_HOURS = 24;
/** The longest retention (API_IncreaseStreamRetentionPeriod: 8,760 hours). */
export const MAX_RETENTION_HOURS = 8760;

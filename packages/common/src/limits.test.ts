// The quotas in the words of the API pages, so that a slip of a unit or a zero shows.
import { expect, test } from 'vitest';
import * as limits from './limits.ts';

const sentences: Record<keyof typeof limits, [string, number]> = {
  MAX_RECORDS_PER_PUT_RECORDS: ['a PutRecords request holds at most 500 records', 500],
  MAX_PUT_RECORDS_BYTES: ['a PutRecords request is at most 10 MiB, partition keys included', 10_485_760],
  DEFAULT_MAX_RECORD_BYTES: ['a record is at most 1 MiB unless the stream was changed', 1_048_576],
  MAX_RECORD_BYTES: ['a stream takes records of at most 10 MiB', 10_485_760],
  SHARD_WRITE_BURST_BYTES: ['a shard bursts up to 10 MiB for large records', 10_485_760],
  MAX_PARTITION_KEY_UNITS: ['a partition key has at most 256 characters', 256],
  MAX_STREAM_NAME_LENGTH: ['a stream name has at most 128 characters', 128],
  DEFAULT_MAX_SHARDS_PER_STREAM: ['UpdateShardCount scales a stream to at most 10000 shards', 10_000],
  MAX_SHARD_COUNT_UPDATES_PER_DAY: ['UpdateShardCount may be called ten times in 24 hours', 10],
  MAX_STREAM_MODE_UPDATES_PER_DAY: ['a stream may switch its mode twice in 24 hours', 2],
  DEFAULT_MAX_ON_DEMAND_STREAMS: ['an account has at most 50 on-demand streams', 50],
  DEFAULT_ON_DEMAND_SHARDS: ['a new on-demand stream takes 4 MB/s', 4],
  ON_DEMAND_SPLIT_BYTES_PER_SECOND: ['an on-demand shard that gets more than 500 KB/s is split', 512_000],
  ON_DEMAND_SPLIT_RECORDS_PER_SECOND: ['an on-demand shard that gets more than 500 records/s is split', 500],
  SHARD_WRITE_BYTES_PER_SECOND: ['a shard takes 1 MiB a second', 1_048_576],
  SHARD_WRITE_RECORDS_PER_SECOND: ['a shard takes 1,000 records a second', 1000],
  SHARD_READ_BYTES_PER_SECOND: ['a shard gives 2 MiB a second to its polling consumers', 2_097_152],
  SHARD_GET_RECORDS_PER_SECOND: ['a shard answers 5 GetRecords calls a second', 5],
  SHARD_FAN_OUT_BYTES_PER_SECOND: ['a shard pushes 2 MiB a second to each registered consumer', 2_097_152],
  MAX_RECORDS_PER_GET_RECORDS: ['GetRecords answers with at most 10,000 records', 10_000],
  MAX_GET_RECORDS_BYTES: ['GetRecords answers with at most 10 MiB', 10_485_760],
  SHARD_ITERATOR_TTL_MS: ['a shard iterator lives for 5 minutes', 5 * 60_000],
  SUBSCRIPTION_DURATION_MS: ['a subscription lasts for 5 minutes', 5 * 60_000],
  SUBSCRIBE_CALL_INTERVAL_MS: ['API_SubscribeToShard: one call a second for each consumer and shard', 1_000],
  SUBSCRIBE_INTERVAL_MS: ['a subscription may be made anew after 5 seconds', 5_000],
  DEFAULT_MAX_CONSUMERS_PER_STREAM: ['a stream has at most 20 registered consumers', 20],
  MAX_LIST_SHARDS_RESULTS: ['ListShards answers with at most 10,000 shards', 10_000],
  DEFAULT_LIST_SHARDS_RESULTS: ['ListShards answers with 1,000 shards when not told otherwise', 1000],
  LIST_SHARDS_TOKEN_TTL_MS: ['a NextToken of ListShards lives for 300 seconds', 300_000],
  STREAM_LIST_SHARDS_PER_SECOND: ['ListShards may be called 1,000 times a second for a stream', 1000],
  ACCOUNT_DESCRIBE_STREAM_SUMMARY_PER_SECOND: ['DescribeStreamSummary may be called 20 times a second', 20],
  DEFAULT_RETENTION_HOURS: ['records are kept for 24 hours unless the stream was changed', 24],
  MAX_RETENTION_HOURS: ['records are kept for at most 365 days', 365 * 24],
};

const written = new Map(Object.entries(limits));

test.each(Object.entries(sentences))('%s: %s', (name, [, value]) => {
  expect(written.get(name)).toBe(value);
});

test('every limit has its sentence', () => {
  expect([...written.keys()].sort()).toEqual(Object.keys(sentences).sort());
});

import { expect, it } from 'vitest';
import type { MetricUnit } from './metrics.ts';
import { labelOf, metricOf, type PrometheusKind } from './prometheus-names.ts';

it.each<[PrometheusKind, string, MetricUnit | undefined, string]>([
  ['counter', 'RecordsProcessed', undefined, 'p_records_processed'],
  ['counter', 'DataBytesProcessed', undefined, 'p_data_processed_bytes'],
  ['counter', 'Success', undefined, 'p_operation_success'],
  ['counter', 'KinesisDataFetcher.getRecords.Success', undefined, 'p_kinesis_data_fetcher_get_records_success'],
  ['counter', 'FailedAssignmentCount', undefined, 'p_failed_assignment'],
  ['histogram', 'RecordProcessor.processRecords.Time', 'Milliseconds', 'p_record_processor_process_records_seconds'],
  ['histogram', 'Time', 'Milliseconds', 'p_operation_duration_seconds'],
  ['gauge', 'MillisBehindLatest', undefined, 'p_behind_latest_seconds'],
  ['histogram', 'MillisBehindLatest', 'Milliseconds', 'p_application_behind_latest_seconds'],
  ['gauge', 'ActiveStreams.Count', undefined, 'p_active_streams'],
  ['gauge', 'LeaderDecider:IsLeader', undefined, 'p_leader_decider_is_leader'],
  ['summary', 'BufferingTime', 'Milliseconds', 'p_buffering_time_seconds'],
  ['summary', 'UserRecordsPerPutRecordsRequest', 'Count', 'p_user_records_per_put_records_request'],
  ['counter', 'UserRecordsDataPut', 'Bytes', 'p_user_records_data_put_bytes'],
])('%s %s (%s) is %s', (kind, name, unit, expected) => {
  expect(metricOf('p', kind, name, unit)).toMatchObject({ name: expected, kind });
});

it('dimensions become labels; the worker is left to the instance', () => {
  const dimensions = ['Operation', 'ShardId', 'StreamId', 'StreamName', 'ErrorCode', 'WorkerIdentifier', 'MyOwn'];
  expect(dimensions.map(labelOf)).toEqual([
    'operation',
    'shard',
    'stream',
    'stream',
    'error_code',
    undefined,
    'my_own',
  ]);
});

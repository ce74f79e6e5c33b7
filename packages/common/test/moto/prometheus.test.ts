// The exposition read by Prometheus's own client for Python, whose reader of OpenMetrics is the strict one.
import { spawnSync } from 'node:child_process';
import { expect, inject, it } from 'vitest';
import { type PrometheusFormat, PrometheusMetrics } from '../../src/prometheus.ts';

const read = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
families = (openmetrics if sys.argv[1] == 'openmetrics' else text)(sys.stdin.read())
print(json.dumps([[f.name, f.type, f.unit, [[s.name, s.labels, s.value] for s in f.samples]] for f in families]))
`;

type Family = [
  name: string,
  type: string,
  unit: string,
  samples: [name: string, labels: Record<string, string>, value: number][],
];

function parsed(text: string, format: PrometheusFormat): Family[] {
  const env = { PATH: process.env['PATH'] ?? '', PYTHONPATH: inject('pythonPackages'), PYTHONDONTWRITEBYTECODE: '1' };
  const { status, stdout, stderr } = spawnSync('python3', ['-c', read, format], { input: text, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Family[];
}

function filled(): PrometheusMetrics {
  const prometheus = new PrometheusMetrics();
  const consumer = prometheus.consumer({ application: 'a "quoted" \\ name\nof two lines, é' });
  for (const ShardId of ['shardId-000000000000', 'shardId-000000000001']) {
    const dimensions = { Operation: 'ProcessTask', ShardId, StreamId: '000000000000:orders:1' };
    consumer.count('RecordsProcessed', 3, dimensions);
    consumer.count('DataBytesProcessed', 1e21, dimensions);
    consumer.count('Success', 1, dimensions);
    consumer.gauge('MillisBehindLatest', 1234, dimensions);
    for (let ms = 0.3; ms < 1e8; ms *= 3)
      consumer.sample('RecordProcessor.processRecords.Time', ms, 'Milliseconds', dimensions);
    consumer.sample('MillisBehindLatest', 1234, 'Milliseconds', { Operation: 'ApplicationTracker' });
  }
  consumer.gauge('LeaderDecider:IsLeader', 1, { Operation: 'LeaderDecider' });
  consumer.gauge('ActiveStreams.Count', 2, { Operation: 'MultiStreamTracker' });
  const producer = prometheus.producer();
  for (const name of ['UserRecordsPut', 'UserRecordsPending', 'RetriesPerRecord', 'AllErrors']) {
    producer.samples(name, { sampleCount: 3, sum: 2, min: 0, max: 1 }, 'Count', { StreamName: 'orders' });
  }
  producer.samples('BufferingTime', { sampleCount: 3, sum: 200, min: 0, max: 100 }, 'Milliseconds', {});
  producer.samples('UserRecordsDataPut', { sampleCount: 3, sum: 200, min: 0, max: 100 }, 'Bytes', {});
  return prometheus;
}

it.each<[PrometheusFormat]>([['openmetrics'], ['text']])(
  'as %s it is read without an error, to the last number',
  (format) => {
    const families = parsed(filled().metricsText(format), format);
    const byName = new Map(families.map(([name, ...rest]) => [name, rest] as const));
    const value = (family: string, sample: string, labels: Record<string, string> = {}): number | undefined =>
      byName
        .get(family)?.[2]
        .find(
          ([name, given]) => name === sample && Object.entries(labels).every(([label, is]) => given[label] === is),
        )?.[2];
    const shard = { shard: 'shardId-000000000001', application: 'a "quoted" \\ name\nof two lines, é' };
    const records = 'shardline_consumer_records_processed';
    expect(byName.get(records)?.[0]).toBe('counter');
    expect(value(records, `${records}_total`, shard)).toBe(3);
    expect(
      value('shardline_consumer_data_processed_bytes', 'shardline_consumer_data_processed_bytes_total', shard),
    ).toBe(1e21);
    expect(value('shardline_consumer_behind_latest_seconds', 'shardline_consumer_behind_latest_seconds', shard)).toBe(
      1.234,
    );
    const times = 'shardline_consumer_record_processor_process_records_seconds';
    expect(byName.get(times)?.[0]).toBe('histogram');
    expect(value(times, `${times}_bucket`, { le: '+Inf' })).toBe(value(times, `${times}_count`));
    expect(byName.get('shardline_producer_buffering_time_seconds')?.slice(0, 2)).toEqual([
      'summary',
      format === 'openmetrics' ? 'seconds' : '',
    ]);
    expect(value('shardline_producer_user_records_pending', 'shardline_producer_user_records_pending')).toBeCloseTo(
      2 / 3,
    );
    expect(families).toHaveLength(14);
  },
);

// What Prometheus is told, line by line, and what bounds it.
import { ManualClock } from '@shardline/local';
import { expect, it } from 'vitest';
import { UsageError } from '../src/errors.ts';
import { PrometheusMetrics, type PrometheusMetricsOptions } from '../src/prometheus.ts';

const ofShard = (shard: string) => ({ Operation: 'ProcessTask', ShardId: shard });
const linesOf = (prometheus: PrometheusMetrics, pattern: RegExp): string[] =>
  prometheus
    .metricsText()
    .split('\n')
    .filter((line) => pattern.test(line));

it('counters, gauges and histograms of a consumer, with its labels, as OpenMetrics has them', () => {
  const prometheus = new PrometheusMetrics({ bucketsSeconds: [0.01, 1] });
  const metrics = prometheus.consumer({ application: 'billing', note: 'a "b" \\ c\n' });
  metrics.count('RecordsProcessed', 3, ofShard('a'));
  metrics.count('RecordsProcessed', 4, ofShard('a'));
  metrics.gauge('MillisBehindLatest', 1500, ofShard('a'));
  for (const ms of [5, 10, 500, 5000]) {
    metrics.sample('RecordProcessor.processRecords.Time', ms, 'Milliseconds', ofShard('a'));
  }
  const labels = 'application="billing",note="a \\"b\\" \\\\ c\\n",operation="ProcessTask"';
  expect(prometheus.metricsText()).toBe(`\
# HELP shardline_consumer_records_processed The KPL's or KCL's RecordsProcessed
# TYPE shardline_consumer_records_processed counter
shardline_consumer_records_processed_total{${labels},shard="a"} 7
# HELP shardline_consumer_behind_latest_seconds The KPL's or KCL's MillisBehindLatest
# TYPE shardline_consumer_behind_latest_seconds gauge
# UNIT shardline_consumer_behind_latest_seconds seconds
shardline_consumer_behind_latest_seconds{${labels},shard="a"} 1.5
# HELP shardline_consumer_record_processor_process_records_seconds The KPL's or KCL's RecordProcessor.processRecords.Time
# TYPE shardline_consumer_record_processor_process_records_seconds histogram
# UNIT shardline_consumer_record_processor_process_records_seconds seconds
shardline_consumer_record_processor_process_records_seconds_bucket{${labels},le="0.01"} 2
shardline_consumer_record_processor_process_records_seconds_bucket{${labels},le="1.0"} 3
shardline_consumer_record_processor_process_records_seconds_bucket{${labels},le="+Inf"} 4
shardline_consumer_record_processor_process_records_seconds_sum{${labels}} 5.515
shardline_consumer_record_processor_process_records_seconds_count{${labels}} 4
# EOF
`);
});

it("a producer's samples are counters where their sum is meant, a gauge where it goes up and down, else summaries", () => {
  const prometheus = new PrometheusMetrics();
  const metrics = prometheus.producer();
  const at = { StreamName: 'orders', ShardId: 'a' };
  const two = { sampleCount: 4, sum: 3, min: 0, max: 1 };
  for (const _ of [1, 2]) metrics.samples('UserRecordsPut', two, 'Count', at);
  metrics.samples('ErrorsByCode', two, 'Count', { ErrorCode: 'Throttled', ...at });
  metrics.samples('UserRecordsPending', { sampleCount: 4, sum: 10, min: 1, max: 5 }, 'Count', { StreamName: 'orders' });
  metrics.samples('RequestTime', { sampleCount: 2, sum: 100, min: 30, max: 70 }, 'Milliseconds', {});
  metrics.samples('RequestTime', { sampleCount: 1, sum: 40, min: 40, max: 40 }, 'Milliseconds', {});
  expect(linesOf(prometheus, /^[^#]/)).toEqual([
    'shardline_producer_user_records_put_total{stream="orders",shard="a"} 6',
    'shardline_producer_errors_by_code_total{error_code="Throttled",stream="orders",shard="a"} 3',
    'shardline_producer_user_records_pending{stream="orders"} 2.5',
    'shardline_producer_request_time_seconds{quantile="0"} 0.04',
    'shardline_producer_request_time_seconds{quantile="1"} 0.04',
    'shardline_producer_request_time_seconds_sum 0.14',
    'shardline_producer_request_time_seconds_count 3',
  ]);
});

it('the older text format names a counter with its _total in every line, and has no end of its own', () => {
  const prometheus = new PrometheusMetrics();
  prometheus.consumer().count('DataBytesProcessed', 7);
  expect(prometheus.metricsText('text')).toBe(`\
# HELP shardline_consumer_data_processed_bytes_total The KPL's or KCL's DataBytesProcessed
# TYPE shardline_consumer_data_processed_bytes_total counter
shardline_consumer_data_processed_bytes_total 7
`);
  expect([prometheus.contentType('text'), prometheus.contentType()]).toEqual([
    'text/plain; version=0.0.4; charset=utf-8',
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
  ]);
});

it('a gauge that nobody sets any more is left out, and comes back when it is set; a counter stays', () => {
  const clock = new ManualClock();
  const prometheus = new PrometheusMetrics({ clock, staleAfterMs: 60_000 });
  const metrics = prometheus.consumer();
  metrics.gauge('MillisBehindLatest', 1000, ofShard('a'));
  metrics.count('RecordsProcessed', 1, ofShard('a'));
  clock.advance(60_000);
  metrics.gauge('MillisBehindLatest', 2000, ofShard('b'));
  clock.advance(1);
  expect(linesOf(prometheus, /^shardline.*shard="a"/)).toEqual([
    'shardline_consumer_records_processed_total{operation="ProcessTask",shard="a"} 1',
  ]);
  expect(linesOf(prometheus, /behind.*shard="b"/)).toHaveLength(1);
  metrics.gauge('MillisBehindLatest', 3000, ofShard('a'));
  expect(linesOf(prometheus, /behind.*shard="a"/)).toHaveLength(1);
});

it('of more shards than maxSeriesPerMetric, nothing counted is lost and no series is added; those long unused make room first', () => {
  const clock = new ManualClock();
  const prometheus = new PrometheusMetrics({ clock, maxSeriesPerMetric: 10, staleAfterMs: 60_000 });
  const metrics = prometheus.consumer();
  const count = (): void => {
    for (let shard = 0; shard < 100; shard += 1) {
      metrics.count('RecordsProcessed', 1, ofShard(`s${shard}`));
      metrics.gauge('MillisBehindLatest', 1, ofShard(`s${shard}`));
    }
  };
  const told = (): number[] => linesOf(prometheus, /_total\{/).map((line) => Number(line.split(' ').at(-1)));
  count();
  count();
  expect(told()).toHaveLength(10);
  expect(told().reduce((sum, each) => sum + each, 0)).toBe(200);
  expect(linesOf(prometheus, /shard="other"/)).toEqual([
    'shardline_consumer_records_processed_total{operation="ProcessTask",shard="other"} 182',
  ]);
  expect(linesOf(prometheus, /behind_latest_seconds\{/)).toHaveLength(9);
  clock.advance(60_001);
  metrics.count('RecordsProcessed', 1, ofShard('new'));
  expect(linesOf(prometheus, /shard="new"/)).toHaveLength(1);
});

it('what is no number changes nothing', () => {
  const prometheus = new PrometheusMetrics();
  const metrics = prometheus.consumer();
  metrics.count('a', 2);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1]) metrics.count('a', value);
  metrics.sample('b', Number.NaN, 'Count');
  expect(linesOf(prometheus, /^shardline_consumer_(a_total|b_count)/)).toEqual([
    'shardline_consumer_a_total 2',
    'shardline_consumer_b_count 0',
  ]);
});

it('one name of two kinds is two metrics', () => {
  const prometheus = new PrometheusMetrics();
  const metrics = prometheus.consumer();
  metrics.gauge('Odd', 1);
  metrics.count('Odd', 1);
  expect(linesOf(prometheus, /^shardline/)).toEqual([
    'shardline_consumer_odd 1',
    'shardline_consumer_odd_counter_total 1',
  ]);
});

it.each<[PrometheusMetricsOptions, RegExp]>([
  [{ bucketsSeconds: [1, 1] }, /bucketsSeconds: expected an array of ascending numbers/],
  [{ maxSeriesPerMetric: 1 }, /maxSeriesPerMetric: expected a whole number from 10/],
  [{ buckets: [1] } as object, /did you mean bucketsSeconds/],
])('%j is refused', (options, message) => {
  expect(() => new PrometheusMetrics(options)).toThrow(UsageError);
  expect(() => new PrometheusMetrics(options)).toThrow(message);
});

it('a label that Prometheus does not allow is refused', () => {
  expect(() => new PrometheusMetrics().consumer({ 'a-b': 'c' })).toThrow(/labels: expected names of a-z A-Z 0-9 _/);
});

it.each([
  [{ shard: 'mine' }, 'labels.shard: expected another name: the metrics themselves have this label, got "mine"'],
  [{ operation: 'x' }, 'labels.operation: expected another name'],
  [{ le: '5' }, 'labels.le: expected another name'],
  [{ port: 5 }, 'labels.port: expected a string, got 5'],
])('labels that would be on some of the metrics alone, or fail them, are refused: %j', (labels, message) => {
  const prometheus = new PrometheusMetrics();
  for (const make of [prometheus.consumer, prometheus.producer])
    expect(() => Reflect.apply(make, prometheus, [labels])).toThrow(message);
  expect(() => prometheus.consumer({ application: 'billing', stream: 'orders' })).not.toThrow();
});

it('another format than the two is refused', () => {
  const prometheus = new PrometheusMetrics();
  const message = "format: expected 'openmetrics' or 'text', got \"json\"";
  expect(() => prometheus.contentType('json' as never)).toThrow(message);
  expect(() => prometheus.metricsText('json' as never)).toThrow(message);
  expect(prometheus.contentType(undefined)).toBe(prometheus.contentType('openmetrics'));
});

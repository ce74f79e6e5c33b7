import { AggregateWriter, type MetricsSink, type Statistics, UsageError } from '@shardline/common';
import { expect, test } from 'vitest';
import { userRecord } from '../test/records.ts';
import { type Answer, KinesisRecord } from './batch.ts';
import { type MetricsLevel, metricKinds, metricNames } from './metrics.ts';
import { MetricsReport, type ProducerMetric } from './metrics-report.ts';
import { noteAttempt } from './put.ts';

const SHARD = 'shardId-000000000000';
const throttled = {
  kind: 'refused',
  errorCode: 'ProvisionedThroughputExceededException',
  errorMessage: 'slow',
} as const;
const written = { kind: 'written', shardId: SHARD, sequenceNumber: '1' } as const;
const by = { metricsLevel: 'detailed', metricsGranularity: 'shard' } as const;

/** Two user records of 4 bytes as one Kinesis record for the first shard. */
function pair(): KinesisRecord {
  const first = userRecord({ key: 'a', nowMs: 0 });
  const kinesisRecord = new KinesisRecord(first, SHARD, 1);
  kinesisRecord.add(userRecord({ key: 'b', nowMs: 40 }));
  for (const record of kinesisRecord.records) record.carrier = kinesisRecord;
  kinesisRecord.seal(new AggregateWriter());
  return kinesisRecord;
}

/** Put at 0 and 40, refused from 100 to 120, written from 200 to 250. */
function play(report: MetricsReport, stream = 'orders'): void {
  const metrics = report.stream(stream);
  const kinesisRecord = pair();
  const answers: Answer[] = [throttled, written].map((entry) => ({ kind: 'answered', entries: [entry] }));
  metrics.looked(2, 2, 100);
  metrics.answered([kinesisRecord], answers[0] as Answer, 20, 120);
  const refused = { errorCode: throttled.errorCode, errorMessage: 'slow', written: 'no' } as const;
  noteAttempt(kinesisRecord.records, 100, 120, refused);
  metrics.answered([kinesisRecord], answers[1] as Answer, 50, 250);
  metrics.delivered(kinesisRecord.records, { shardId: SHARD, beganAtMs: 200, endedAtMs: 250 });
  metrics.looked(0, 0, 250);
}

function at(metrics: readonly ProducerMetric[], name: string, dimensions: object): object {
  const text = JSON.stringify(dimensions);
  const found = metrics.filter((one) => one.name === name && JSON.stringify(one.dimensions) === text);
  expect(found.length, `${name} ${text}`).toBeLessThanOrEqual(1);
  const { sampleCount, sum, min, max } = found[0] ?? { sampleCount: 0, sum: 0, min: 0, max: 0 };
  return [sampleCount, sum, min, max];
}

test('all fifteen metrics of the KPL are counted, each sample at every level of dimensions (KPL retrier.cc, metrics.md)', () => {
  const report = new MetricsReport(by, 0);
  play(report);
  const expired = userRecord({ nowMs: 0 });
  report.stream('orders').failed(expired, true, 500);
  const read = report.read({}, 500);
  const everywhere = (name: string): object => {
    const none = at(read, name, {});
    expect(at(read, name, { StreamName: 'orders' })).toEqual(none);
    return none;
  };
  const shard = { StreamName: 'orders', ShardId: SHARD };
  expect(everywhere('UserRecordsReceived')).toEqual([2, 2, 1, 1]);
  expect(everywhere('UserRecordsPending')).toEqual([2, 2, 0, 2]);
  // Success and failure: the mean is the success rate.
  expect(everywhere('UserRecordsPut')).toEqual([3, 2, 0, 1]);
  expect(at(read, 'UserRecordsPut', shard)).toEqual([2, 2, 1, 1]);
  expect(everywhere('UserRecordExpired')).toEqual([1, 1, 1, 1]);
  expect(at(read, 'UserRecordsDataPut', shard)).toEqual([2, 8, 4, 4]);
  expect(at(read, 'KinesisRecordsPut', shard)).toEqual([2, 1, 0, 1]);
  expect(at(read, 'KinesisRecordsDataPut', shard)).toEqual([1, 46, 46, 46]);
  expect(at(read, 'AllErrors', shard)).toEqual([2, 1, 0, 1]);
  const code = { ErrorCode: throttled.errorCode };
  for (const dimensions of [code, { ...code, StreamName: 'orders' }, { ...code, ...shard }]) {
    expect(at(read, 'ErrorsByCode', dimensions)).toEqual([1, 1, 1, 1]);
  }
  expect(at(read, 'RetriesPerRecord', shard)).toEqual([2, 2, 1, 1]);
  // One sample an attempt: 100 and 60 ms to the first, 80 ms each to the second.
  expect(at(read, 'BufferingTime', shard)).toEqual([4, 320, 60, 100]);
  expect(everywhere('RequestTime')).toEqual([2, 70, 20, 50]);
  expect(at(read, 'UserRecordsPerKinesisRecord', shard)).toEqual([2, 4, 2, 2]);
  expect(everywhere('KinesisRecordsPerPutRecordsRequest')).toEqual([2, 2, 1, 1]);
  expect(everywhere('UserRecordsPerPutRecordsRequest')).toEqual([2, 4, 2, 2]);
  expect(new Set(read.map(({ name }) => name))).toEqual(new Set(metricNames));
  expect(metricNames).toHaveLength(15);
  expect(read.find(({ name }) => name === 'RequestTime')).toMatchObject({
    mean: 35,
    unit: 'Milliseconds',
    durationMs: 500,
  });
  // What the KPL has no shard for has none here.
  const withShard = new Set(read.filter(({ dimensions }) => dimensions['ShardId']).map(({ name }) => name));
  for (const name of metricNames) if (!metricKinds[name].byShard) expect(withShard).not.toContain(name);
});

test('a request that failed as a whole is an error of the stream, of no shard', () => {
  const report = new MetricsReport(by, 0);
  const failed: Answer = {
    ...{ kind: 'failed', errorCode: 'InternalFailure', errorMessage: 'x', throttled: false, written: 'unknown' },
  };
  report.stream('orders').answered([pair()], failed, 5, 10);
  const read = report.read({ name: 'ErrorsByCode' }, 10);
  expect(read.map(({ dimensions }) => dimensions)).toEqual([
    { ErrorCode: 'InternalFailure' },
    { ErrorCode: 'InternalFailure', StreamName: 'orders' },
  ]);
});

test.each<[MetricsLevel, number]>([
  ['none', 0],
  ['summary', 6],
  ['detailed', 15],
])('the level %s counts %i metrics', (metricsLevel, count) => {
  const report = new MetricsReport({ ...by, metricsLevel }, 0);
  play(report);
  report.stream('orders').failed(userRecord(), true, 500);
  const names = new Set(report.read({}, 500).map(({ name }) => name));
  expect(names.size).toBe(count);
  if (metricsLevel !== 'summary') return;
  for (const name of names) expect(metricKinds[name].level).toBe('summary');
});

test('the granularity decides which dimensions there are; the sums are the same', () => {
  for (const metricsGranularity of ['global', 'stream', 'shard'] as const) {
    const report = new MetricsReport({ ...by, metricsGranularity }, 0);
    play(report);
    play(report, 'returns');
    const read = report.read({ name: 'UserRecordsPut' }, 500);
    const dimensions = read.map((metric) => Object.keys(metric.dimensions).join());
    const expected = { global: [''], stream: ['', 'StreamName'], shard: ['', 'StreamName', 'StreamName,ShardId'] };
    expect(new Set(dimensions)).toEqual(new Set(expected[metricsGranularity]));
    expect(at(read, 'UserRecordsPut', {})).toEqual([4, 4, 1, 1]);
  }
});

test('a window holds what came in its seconds', () => {
  const report = new MetricsReport(by, 0);
  play(report);
  report.stream('orders').looked(8, 3, 30_000);
  const sumOf = (windowSeconds: number, nowMs: number): number | undefined =>
    report.read({ name: 'UserRecordsReceived', windowSeconds }, nowMs)[0]?.sum;
  expect(sumOf(60, 30_500)).toBe(10);
  expect(sumOf(5, 30_500)).toBe(8);
  expect(sumOf(5, 40_000)).toBeUndefined();
  expect(report.read({ windowSeconds: 5, name: 'UserRecordsPending' }, 30_500)[0]?.durationMs).toBe(5_000);
});

test('a sink is given everything once, under the finest dimensions', () => {
  const given: [string, Statistics, object | undefined][] = [];
  const sink: MetricsSink = {
    count: () => undefined,
    sample: () => undefined,
    gauge: () => undefined,
    samples: (name, statistics, _unit, dimensions) => given.push([name, statistics, dimensions]),
  };
  const report = new MetricsReport(by, 0);
  play(report);
  report.giveTo(sink);
  const puts = given.filter(([name]) => name === 'UserRecordsPut');
  expect(puts).toEqual([
    ['UserRecordsPut', { sampleCount: 2, sum: 2, min: 1, max: 1 }, { StreamName: 'orders', ShardId: SHARD }],
  ]);
  given.length = 0;
  report.giveTo(sink);
  expect(given).toEqual([]);
  report.stream('orders').looked(5, 0, 1_000);
  report.giveTo(sink);
  expect(given.map(([name]) => name)).toEqual(['UserRecordsReceived', 'UserRecordsPending']);
});

test('shards that come and go are bounded, and what they counted stays in the sums of the stream', () => {
  const report = new MetricsReport(by, 0);
  const metrics = report.stream('orders');
  const shardCount = 25_000;
  for (let number = 0; number < shardCount; number++) {
    const shardId = `shardId-${String(number).padStart(12, '0')}`;
    const kinesisRecord = new KinesisRecord(userRecord(), shardId, 1);
    metrics.delivered(kinesisRecord.records, { shardId, beganAtMs: number, endedAtMs: number });
  }
  const read = report.read({ name: 'UserRecordsPut' }, shardCount);
  expect(at(read, 'UserRecordsPut', { StreamName: 'orders' })).toEqual([shardCount, shardCount, 1, 1]);
  expect(read.length).toBeLessThan(20_003);
  expect(at(read, 'UserRecordsPut', { StreamName: 'orders', ShardId: 'shardId-000000024999' })).toEqual([1, 1, 1, 1]);
});

test('a query that can not be answered says what was expected', () => {
  const report = new MetricsReport(by, 0);
  const wrong = [
    { windowSeconds: 0 },
    { windowSeconds: 61 },
    { windowSeconds: 1.5 },
    { name: 'Nothing' },
    { window: 5 },
  ];
  for (const query of wrong) expect(() => report.read(query as object, 0)).toThrow(UsageError);
  expect(() => report.read({ windowSeconds: 61 }, 0)).toThrow(
    'query.windowSeconds: expected a whole number from 1 to 60',
  );
});

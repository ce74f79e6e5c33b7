// The sink over a Meter, with OpenTelemetry's own SDK and an exporter in memory.
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { ManualClock } from '@shardline/local';
import { expect, it, onTestFinished } from 'vitest';
import type { MetricsSink } from '../src/metrics.ts';
import { type OpenTelemetryMetricsOptions, openTelemetryMetrics } from '../src/opentelemetry-metrics.ts';

interface Told {
  readonly name: string;
  readonly unit: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly points: readonly { readonly attributes: object; readonly value: unknown }[];
}

function scene(options: OpenTelemetryMetricsOptions = {}): { metrics: MetricsSink; told: () => Promise<Told[]> } {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  onTestFinished(() => provider.shutdown());
  const told = async (): Promise<Told[]> => {
    exporter.reset();
    await provider.forceFlush();
    const [exported] = exporter.getMetrics();
    return (exported?.scopeMetrics ?? []).flatMap(({ metrics }) =>
      metrics.map(
        ({ descriptor, dataPointType, dataPoints }): Told => ({
          name: descriptor.name,
          unit: descriptor.unit,
          kind:
            dataPointType === DataPointType.HISTOGRAM
              ? 'histogram'
              : dataPointType === DataPointType.SUM
                ? 'counter'
                : 'gauge',
          points: dataPoints.map(({ attributes, value }) => ({
            attributes,
            value: typeof value === 'number' ? value : { sum: (value as { sum?: number }).sum, count: value.count },
          })),
        }),
      ),
    );
  };
  return { metrics: openTelemetryMetrics(provider.getMeter('test'), options), told };
}

it("a consumer's metrics have the names, units, kinds and attributes of the KCL's own OpenTelemetry backend", async () => {
  const { metrics, told } = scene({ attributes: { 'service.name': 'billing' } });
  const ofShard = { Operation: 'ProcessTask', ShardId: 'a', StreamId: '1:orders:2' };
  metrics.count('RecordsProcessed', 3, ofShard);
  metrics.count('RecordsProcessed', 4, ofShard);
  metrics.count('DataBytesProcessed', 100, ofShard);
  metrics.gauge('MillisBehindLatest', 50, ofShard);
  metrics.sample('MillisBehindLatest', 50, 'Milliseconds', ofShard);
  metrics.sample('RecordProcessor.processRecords.Time', 12, 'Milliseconds', ofShard);
  metrics.gauge('CurrentLeases', 2, { Operation: 'RenewAllLeases', WorkerIdentifier: 'w' });
  metrics.gauge('NumWorkers', 3);
  metrics.gauge('LeaderDecider:IsLeader', 1);
  const attributes = {
    'service.name': 'billing',
    'aws.kinesis.operation': 'ProcessTask',
    'aws.kinesis.shard.id': 'a',
    'aws.kinesis.stream_name': '1:orders:2',
  };
  const client = 'aws.kinesis.client';
  const base = { 'service.name': 'billing' };
  const worker = { ...base, 'aws.kinesis.operation': 'RenewAllLeases', 'aws.kinesis.consumer.name': 'w' };
  const [one, two] = [
    { sum: 12, count: 1 },
    { sum: 100, count: 2 },
  ];
  expect(await told()).toEqual([
    { name: `${client}.records_processed`, unit: '1', kind: 'counter', points: [{ attributes, value: 7 }] },
    {
      name: `${client}.records.size`,
      unit: 'By',
      kind: 'histogram',
      points: [{ attributes, value: { sum: 100, count: 1 } }],
    },
    { name: `${client}.consumer.lag.duration`, unit: 'ms', kind: 'histogram', points: [{ attributes, value: two }] },
    {
      name: `${client}.record_processor.process_records.duration`,
      unit: 'ms',
      kind: 'histogram',
      points: [{ attributes, value: one }],
    },
    { name: `${client}.current_leases`, unit: '1', kind: 'gauge', points: [{ attributes: worker, value: 2 }] },
    { name: `${client}.workers`, unit: '1', kind: 'gauge', points: [{ attributes: base, value: 3 }] },
    { name: `${client}.leader_decider.is_leader`, unit: '1', kind: 'gauge', points: [{ attributes: base, value: 1 }] },
  ]);
});

it("a producer's counts are counters, its distributions two counters and two gauges", async () => {
  const { metrics, told } = scene({ prefix: 'aws.kinesis.producer.' });
  const put = { sampleCount: 4, sum: 3, min: 0, max: 1 };
  for (const _ of [1, 2]) metrics.samples('UserRecordsPut', put, 'Count', { StreamName: 'orders' });
  metrics.samples('ErrorsByCode', put, 'Count', { ErrorCode: 'Throttled' });
  metrics.samples('UserRecordsPending', { ...put, sum: 10 }, 'Count', {});
  for (const max of [70, 90])
    metrics.samples('RequestTime', { sampleCount: 2, sum: 100, min: 30, max }, 'Milliseconds', {});
  const short = (await told()).map(({ name, unit, kind, points }) => [
    name.replace('aws.kinesis.producer.', ''),
    unit,
    kind,
    points[0]?.value,
    Object.keys(points[0]?.attributes ?? {}).join(),
  ]);
  expect(short).toEqual([
    ['user_records_put', '1', 'counter', 6, 'aws.kinesis.stream_name'],
    ['errors_by_code', '1', 'counter', 3, 'error.type'],
    ['user_records_pending', '1', 'gauge', 2.5, ''],
    ['request_time.count', '1', 'counter', 4, ''],
    ['request_time.sum', 'ms', 'counter', 200, ''],
    ['request_time.min', 'ms', 'gauge', 30, ''],
    ['request_time.max', 'ms', 'gauge', 90, ''],
  ]);
});

it('a gauge that nobody sets any more is not observed; of too many the one not set for longest goes', async () => {
  const clock = new ManualClock();
  const { metrics, told } = scene({ clock, staleAfterMs: 60_000 });
  metrics.gauge('TotalLeases', 1, { ShardId: 'old' });
  clock.advance(60_001);
  metrics.gauge('TotalLeases', 2, { ShardId: 'new' });
  expect((await told()).flatMap(({ points }) => points.map(({ value }) => value))).toEqual([2]);
  for (let shard = 0; shard < 2_001; shard += 1) metrics.gauge('NumWorkers', shard, { ShardId: `${shard}` });
  const workers = (await told()).find(({ name }) => name.endsWith('.workers'))?.points ?? [];
  expect(workers.length).toBeLessThanOrEqual(2_000);
  expect(workers.some(({ value }) => value === 0)).toBe(false);
});

it('what is no Meter, and unknown options, are refused', () => {
  expect(() => openTelemetryMetrics({} as never)).toThrow(/meter: expected OpenTelemetry's Meter/);
  expect(() => scene({ prefixes: 'a' } as object)).toThrow(/known are prefix, attributes/);
});

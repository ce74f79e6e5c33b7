import { type MetricsSink, noMetrics, UsageError } from '@shardline/common';
import { describe, expect, it } from 'vitest';
import { readMetrics } from './metrics-selection.ts';

function recording(): { readonly told: unknown[]; readonly sink: MetricsSink } {
  const told: unknown[] = [];
  const note = (...given: unknown[]): void => void told.push(given);
  return { told, sink: { count: note, sample: note, samples: note, gauge: note } };
}

const dimensions = { Operation: 'ProcessTask', ShardId: 'shardId-000000000000' };

describe('metricsLevel', () => {
  it('is detailed by default, and the sink is told all of it', () => {
    const { told, sink } = recording();
    readMetrics({ metrics: sink }).count('RenewLease.Success', 1);
    expect(told).toHaveLength(1);
    expect(readMetrics({})).toBe(noMetrics);
  });

  it('none gives the sink nothing', () => {
    expect(readMetrics({ metrics: recording().sink, metricsLevel: 'none' })).toBe(noMetrics);
  });

  it('summary leaves out what the KCL has at DETAILED, and no more', () => {
    const { told, sink } = recording();
    const summary = readMetrics({ metrics: sink, metricsLevel: 'summary' });
    summary.count('RenewLease.Success', 1, { Operation: 'RenewAllLeases' });
    summary.sample('KinesisDataFetcher.getRecords.Time', 1, 'Milliseconds', dimensions);
    summary.count('NewLeasesDiscovered', 1, { Operation: 'LeaseDiscovery' });
    summary.count('CreateLease_TRIM_HORIZON.Success', 1, { Operation: 'ShardSyncTask' });
    summary.gauge('TotalLeases', 1, { Operation: 'TakeLeases' });
    summary.gauge('TotalLeases', 1, { Operation: 'LeaseAssignmentManager' });
    summary.sample('RecordProcessor.processRecords.Time', 1, 'Milliseconds', dimensions);
    summary.count('Success', 1, dimensions);
    summary.gauge('MillisBehindLatest', 5, dimensions);
    summary.samples('Time', { sampleCount: 1, sum: 1, min: 1, max: 1 }, 'Milliseconds', dimensions);
    expect(told.map((given) => (given as unknown[])[0])).toEqual([
      'TotalLeases',
      'RecordProcessor.processRecords.Time',
      'Success',
      'MillisBehindLatest',
      'Time',
    ]);
  });
});

it('metricsEnabledDimensions leaves the others out', () => {
  const { told, sink } = recording();
  const kept = readMetrics({ metrics: sink, metricsEnabledDimensions: ['Operation'] });
  kept.count('RecordsProcessed', 3, dimensions);
  kept.gauge('MillisBehindLatest', 7);
  expect(told).toEqual([
    ['RecordsProcessed', 3, { Operation: 'ProcessTask' }],
    ['MillisBehindLatest', 7, {}],
  ]);
});

it.each([
  [{ metricsLevel: 'all' }, "metricsLevel: expected 'none', 'summary' or 'detailed', got \"all\""],
  [{ metricsEnabledDimensions: 'ALL' }, /metricsEnabledDimensions: expected an array of Operation/],
  [{ metricsEnabledDimensions: ['shard'] }, /metricsEnabledDimensions: expected some of Operation.*got "shard"/],
])('%j is refused', (options, message) => {
  const read = (): unknown => readMetrics({ metrics: recording().sink, ...(options as object) });
  expect(read).toThrow(UsageError);
  expect(read).toThrow(message);
});

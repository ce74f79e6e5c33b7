// The figures of the KCL's metrics, of a whole worker over real sockets. That all of them are told: kcl-metrics.test.ts.
import { type MetricDimensions, type MetricsSink, noMetrics } from '@shardline/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cloud, handleInTest, runInTest, Scene, SHARD, startCloud, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

class Recorded implements MetricsSink {
  /** `name Operation[others]`. */
  readonly seen: Set<string> = new Set();
  readonly last: Map<string, number> = new Map();
  readonly sums: Map<string, number> = new Map();

  count(name: string, value: number, dimensions?: MetricDimensions): void {
    this.#note(name, value, dimensions);
  }
  sample(name: string, value: number, _unit: unknown, dimensions?: MetricDimensions): void {
    this.#note(name, value, dimensions);
  }
  samples(): void {
    throw new Error('the consumer tells its samples one by one');
  }
  gauge(name: string, value: number, dimensions?: MetricDimensions): void {
    this.#note(name, value, dimensions);
  }

  #note(name: string, value: number, { Operation, ...others }: MetricDimensions = {}): void {
    const key = `${name} ${Operation}[${Object.keys(others)}]`;
    this.seen.add(key);
    this.last.set(key, value);
    this.sums.set(key, (this.sums.get(key) ?? 0) + value);
  }
}

it('figures are those of what was done', async () => {
  const scene = new Scene(cloud, 'kcl-metrics', 2);
  const metrics = new Recorded();
  const consumer = scene.consumer({ metrics });
  const handled = handleInTest(consumer);
  const texts = Array.from({ length: 20 }, (_, number) => `${number} text`);
  await scene.put(...texts);
  await until(() => expect([...handled].sort()).toEqual([...texts].sort()));
  await until(() => {
    expect(metrics.last.get('TotalLeases LeaseAssignmentManager[]')).toBe(2);
    expect(metrics.last.get('NumWorkers LeaseAssignmentManager[]')).toBe(1);
    expect(metrics.last.get('CurrentLeases RenewAllLeases[WorkerIdentifier]')).toBe(2);
    expect(metrics.last.get('LeaderDecider:IsLeader LeaderDecider[]')).toBe(1);
    expect(metrics.last.get('NumStreamsWithPartialLeases PeriodicShardSyncManager[]')).toBe(0);
  });
  expect(metrics.sums.get('RecordsProcessed ProcessTask[ShardId]')).toBe(20);
  expect(metrics.sums.get('DataBytesProcessed ProcessTask[ShardId]')).toBe(texts.join('').length);
  expect(metrics.sums.get('NumOfLeasesReassignment LeaseAssignmentManager[]')).toBe(0);
  await consumer.stop();
  expect(metrics.last.get('CurrentLeases RenewAllLeases[WorkerIdentifier]')).toBe(0);
  expect(metrics.sums.get('LostLeases RenewAllLeases[WorkerIdentifier]')).toBe(0);
});

it('a handler that throws and an iterator that has expired are counted, and the end of a shard as its ShutdownTask', async () => {
  const scene = new Scene(cloud, 'kcl-metrics-faults');
  const metrics = new Recorded();
  // One of them may strike the look whether the stream is still the same.
  cloud.kinesisServer.faults.add({
    kind: 'error',
    type: 'ExpiredIteratorException',
    operation: 'GetRecords',
    count: 2,
  });
  let thrownCount = 0;
  runInTest(scene.consumer({ metrics }), () => {
    thrownCount += 1;
    if (thrownCount <= 2) throw new Error('not yet');
  });
  await scene.put('a 1');
  await until(() => {
    expect(metrics.last.get('Success ProcessTask[ShardId]')).toBe(1);
    expect(metrics.sums.get('RecordProcessor.processRecords.Time ProcessTask[ShardId]')).toBeGreaterThanOrEqual(0);
  });
  expect(metrics.sums.get('Success ProcessTask[ShardId]')).toBe(1);
  expect(metrics.sums.get('ExpiredIterator ProcessTask[]')).toBeGreaterThanOrEqual(1);
  scene.split(0, 2n ** 127n);
  await until(() => {
    const end = ['RecordProcessor.shutdown.Time ShutdownTask[]', 'UpdateLease.Success ShutdownTask[ShardId]'];
    expect([...end, 'CreateLease.Success ShutdownTask[]'].filter((key) => !metrics.seen.has(key))).toEqual([]);
  });
});

it('of several streams each metric of a shard names its stream as the KCL does, in StreamId', async () => {
  const scene = new Scene(cloud, 'kcl-metrics-streams', 1, 1_700_000_000_000);
  const streamIds = new Set<string | undefined>();
  const note: MetricsSink['count'] = (name, _value, dimensions) => {
    const isOfShard = dimensions?.['ShardId'] === SHARD(0);
    if (isOfShard && /^(RecordsProcessed|KinesisDataFetcher|UpdateLease)/.test(name))
      streamIds.add(dimensions?.['StreamId']);
  };
  const consumer = scene.consumer({ streams: [scene.name], metrics: { ...noMetrics, count: note } });
  const handled = handleInTest(consumer);
  await scene.put('a 1');
  await until(() => expect(handled).toEqual(['a 1']));
  await until(() => expect([...streamIds]).toEqual(['000000000000:kcl-metrics-streams:1700000000']));
});

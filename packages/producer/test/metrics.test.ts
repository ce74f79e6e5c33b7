// The producer's metrics and its strategy channel against the local server, over real sockets.
import { createKinesisClient, type MetricsSink, onDiagnostic, type Statistics, silentLogger } from '@shardline/common';
import { startLocalKinesis } from '@shardline/local';
import { expect, test } from 'vitest';
import { Producer, type ProducerOptions } from '../src/index.ts';

const STREAM = 'orders';

interface Setting extends AsyncDisposable {
  readonly local: Awaited<ReturnType<typeof startLocalKinesis>>;
  readonly producerOf: (options?: Partial<ProducerOptions>) => Producer;
}

async function setUp(): Promise<Setting> {
  const local = await startLocalKinesis({ limits: false, streams: [{ name: STREAM, shardCount: 2 }] });
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  return {
    local,
    producerOf: (options = {}) => new Producer({ stream: STREAM, client, ...options }),
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await local.close();
    },
  };
}

class Uploads implements MetricsSink {
  readonly sums: Map<string, number> = new Map();
  count(): void {}
  sample(): void {}
  gauge(): void {}
  samples(name: string, { sum }: Statistics): void {
    this.sums.set(name, (this.sums.get(name) ?? 0) + sum);
  }
}

test('what the metrics say is what was put, by stream and by shard, also in a window', async () => {
  await using setting = await setUp();
  await using producer = setting.producerOf();
  setting.local.faults.add({ kind: 'throttle', operation: 'PutRecords', perRecord: true, count: 3 });
  const puts = Array.from({ length: 500 }, (_, number) =>
    producer.put({ partitionKey: `${number}`, data: 'x'.repeat(20) }),
  );
  await producer.flush();
  const results = await Promise.all(puts);
  const sumOf = (name: string, shardId?: string): number | undefined =>
    producer
      .metrics({ windowSeconds: 60 })
      .find(
        (one) =>
          one.name === name && one.dimensions['ShardId'] === shardId && one.dimensions['StreamName'] !== undefined,
      )?.sum;
  expect(sumOf('UserRecordsReceived')).toBe(500);
  expect(sumOf('UserRecordsPut')).toBe(500);
  expect(sumOf('UserRecordsDataPut')).toBe(10_000);
  for (const shardId of new Set(results.map((result) => result.shardId))) {
    expect(sumOf('UserRecordsPut', shardId)).toBe(results.filter((result) => result.shardId === shardId).length);
  }
  const [errors] = producer.metrics({ name: 'ErrorsByCode' });
  expect(errors).toMatchObject({ dimensions: { ErrorCode: 'ProvisionedThroughputExceededException' }, sum: 3 });
  const retries = results.reduce((sum, { attempts }) => sum + attempts.length - 1, 0);
  expect(sumOf('RetriesPerRecord')).toBe(retries);
  const [pending] = producer.metrics({ name: 'UserRecordsPending' });
  expect(pending).toMatchObject({ min: 0, max: 500 });
});

test('a sink is given everything by the end, and one that throws does no harm', async () => {
  await using setting = await setUp();
  const metrics = new Uploads();
  const warnings: (string | undefined)[] = [];
  const logger = { ...silentLogger, child: () => logger, warn: (_: object, text?: string) => void warnings.push(text) };
  const failing: MetricsSink = {
    ...new Uploads(),
    count: () => undefined,
    sample: () => undefined,
    gauge: () => undefined,
    samples: () => {
      throw new Error('full');
    },
  };
  const producers = [setting.producerOf({ metrics }), setting.producerOf({ metrics: failing, logger })];
  for (const producer of producers) {
    await producer.put({ partitionKey: 'a', data: '12345' });
    await producer.close();
  }
  expect(metrics.sums.get('UserRecordsPut')).toBe(1);
  expect(metrics.sums.get('UserRecordsDataPut')).toBe(5);
  expect(warnings).toEqual([expect.stringContaining('the metrics sink threw')]);
});

test('with the level none nothing is counted', async () => {
  await using setting = await setUp();
  await using producer = setting.producerOf({ metricsLevel: 'none' });
  await producer.put({ partitionKey: 'a', data: 'x' });
  expect(producer.metrics()).toEqual([]);
});

test('the strategy of a stream is told when it is known', async () => {
  await using setting = await setUp();
  const told: unknown[] = [];
  const stop = onDiagnostic('shardline:producer:strategy', (message) => told.push(message));
  await using producer = setting.producerOf();
  await producer.put({ partitionKey: 'a', data: 'x' });
  stop();
  expect(told).toEqual([{ producer: expect.any(String), stream: STREAM, strategy: 'USER_PARTITION_KEY' }]);
});

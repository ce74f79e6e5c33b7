// The CloudWatch sink with AWS's own client against moto's CloudWatch: what was sent is there, by namespace, name, dimensions and unit.
import {
  CloudWatchClient,
  GetMetricStatisticsCommand,
  ListMetricsCommand,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch';
import { expect, inject, it, onTestFinished } from 'vitest';
import { type CloudWatchMetricsOptions, consumerCloudWatch, producerCloudWatch } from '../../src/cloudwatch.ts';

function cloudWatch(): CloudWatchClient {
  const client = new CloudWatchClient({
    endpoint: inject('dynamoDBEndpoint') ?? '',
    region: 'us-east-1',
    credentials: { accessKeyId: 'moto', secretAccessKey: 'moto' },
    maxAttempts: 1,
  });
  onTestFinished(() => client.destroy());
  return client;
}

const sending =
  (client: CloudWatchClient): CloudWatchMetricsOptions['send'] =>
  (input, options) =>
    client.send(new PutMetricDataCommand(input), options);

async function statisticsOf(client: CloudWatchClient, Namespace: string, MetricName: string, dimensions: object) {
  const { Datapoints = [] } = await client.send(
    new GetMetricStatisticsCommand({
      Namespace,
      MetricName,
      Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value: String(Value) })),
      StartTime: new Date(Date.now() - 3_600_000),
      EndTime: new Date(Date.now() + 3_600_000),
      Period: 7_200,
      Statistics: ['SampleCount', 'Sum', 'Minimum', 'Maximum'],
    }),
  );
  return Datapoints.map(({ SampleCount, Sum, Minimum, Maximum, Unit }) => ({
    SampleCount,
    Sum,
    Minimum,
    Maximum,
    Unit,
  }));
}

it("a consumer's metrics are in the application's namespace, with the numbers that were told", async () => {
  const client = cloudWatch();
  const ofShard = { Operation: 'ProcessTask', ShardId: 'shardId-000000000000' };
  const metrics = consumerCloudWatch('billing', { send: sending(client) });
  for (const recordCount of [3, 4, 5]) metrics.count('RecordsProcessed', recordCount, ofShard);
  metrics.gauge('MillisBehindLatest', 1500, ofShard);
  metrics.sample('Time', 12.5, 'Milliseconds', { Operation: 'RenewAllLeases', WorkerIdentifier: 'host:é' });
  await metrics.close();
  expect(metrics.view()).toEqual({ sentDatumCount: 3, queuedDatumCount: 0, droppedDatumCount: 0 });
  expect(await statisticsOf(client, 'billing', 'RecordsProcessed', ofShard)).toEqual([
    { SampleCount: 3, Sum: 12, Minimum: 3, Maximum: 5, Unit: 'Count' },
  ]);
  expect(await statisticsOf(client, 'billing', 'MillisBehindLatest', ofShard)).toMatchObject([
    { Sum: 1500, Unit: 'Milliseconds' },
  ]);
  const { Metrics = [] } = await client.send(new ListMetricsCommand({ Namespace: 'billing' }));
  expect(Metrics.map(({ MetricName }) => MetricName).sort()).toEqual([
    'MillisBehindLatest',
    'RecordsProcessed',
    'Time',
  ]);
});

it("a producer's are in the KPL's, at each of its levels", async () => {
  const client = cloudWatch();
  const metrics = producerCloudWatch({ send: sending(client) });
  for (const ShardId of ['shardId-000000000000', 'shardId-000000000001']) {
    const dimensions = { StreamName: 'orders', ShardId };
    metrics.samples('UserRecordsPut', { sampleCount: 500, sum: 499, min: 0, max: 1 }, 'Count', dimensions);
  }
  await metrics.close();
  const put = (dimensions: object) => statisticsOf(client, 'KinesisProducerLibrary', 'UserRecordsPut', dimensions);
  expect(await put({ StreamName: 'orders', ShardId: 'shardId-000000000001' })).toMatchObject([{ Sum: 499 }]);
  // moto sums up all that has the dimensions asked for, which CloudWatch does not: both shards, and their stream.
  expect(await put({ StreamName: 'orders' })).toMatchObject([{ SampleCount: 2000, Sum: 1996, Minimum: 0, Maximum: 1 }]);
  const { Metrics = [] } = await client.send(new ListMetricsCommand({ Namespace: 'KinesisProducerLibrary' }));
  expect(Metrics.map(({ Dimensions = [] }) => Dimensions.length).sort()).toEqual([0, 1, 2, 2]);
});

it('200 metrics with 150 values each get through in as many requests as 1 MB needs', async () => {
  const client = cloudWatch();
  const metrics = consumerCloudWatch('many', { send: sending(client), distributions: 'values' });
  for (let number = 0; number < 200; number += 1)
    for (let value = 1; value <= 150; value += 1) metrics.sample(`m${number}`, value, 'Milliseconds', { D: 'x' });
  await metrics.close(20_000);
  expect(metrics.view()).toEqual({ sentDatumCount: 200, queuedDatumCount: 0, droppedDatumCount: 0 });
  expect(await statisticsOf(client, 'many', 'm199', { D: 'x' })).toMatchObject([
    { SampleCount: 150, Sum: 11_325, Minimum: 1, Maximum: 150 },
  ]);
});

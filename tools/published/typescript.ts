// The published types as a strict user meets them: what is documented compiles, what is wrong does not, and it runs.
import {
  createDynamoDBClient,
  createKinesisClient,
  type ErrorCode,
  isShardlineError,
  type Logger,
  UsageError,
} from '@shardline/common';
import { type CloudWatchMetricsOptions, consumerCloudWatch } from '@shardline/common/cloudwatch';
import { PrometheusMetrics } from '@shardline/common/prometheus';
import {
  type Batch,
  Consumer,
  type ConsumerOptions,
  type HandlerFactory,
  type ShardContext,
  type ShardHandler,
} from '@shardline/consumer';
import { type LocalKinesis, startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { Producer, type ProducerOptions, type PutResult } from '@shardline/producer';

interface Order {
  readonly id: string;
  readonly amount: number;
}

await using kinesis: LocalKinesis = await startLocalKinesis({ streams: [{ name: 'orders' }] });
await using dynamodb = await startLocalDynamoDB();
const kinesisClient = createKinesisClient({ ...kinesis.clientConfig, maxAttempts: 1 });
const dynamoDBClient = createDynamoDBClient(dynamodb.clientConfig);

const prometheus: PrometheusMetrics = new PrometheusMetrics();
const putMetricData: CloudWatchMetricsOptions['send'] = async ({ MetricData }) => MetricData.length;
await using cloudWatch = consumerCloudWatch('billing', { send: putMetricData });

const producerOptions: ProducerOptions = {
  stream: 'orders',
  client: kinesisClient,
  recordMaxBufferedTimeMs: 10,
  metrics: prometheus.producer(),
};
const order: Order = { id: 'a', amount: 7 };
{
  await using producer = new Producer(producerOptions);
  await producer.ready;
  const result: PutResult = await producer.put({ partitionKey: order.id, data: JSON.stringify(order) });
  const { shardId, sequenceNumber }: { shardId: string; sequenceNumber: string } = result;
  if (shardId === '' || sequenceNumber === '') throw new Error('a put settles with its place');
}

const consumerOptions: ConsumerOptions = {
  application: 'billing',
  stream: 'orders',
  checkpointing: 'manual',
  kinesisClient,
  dynamoDBClient,
  metrics: cloudWatch,
  metricsLevel: 'summary',
  failoverTimeMs: 1000,
  leaseAssignmentIntervalMs: 100,
};
const handled: Order[] = [];
await using consumer = new Consumer(consumerOptions);
const handler: ShardHandler = {
  async processRecords({ records }: Batch, { checkpoint, signal, logger }: ShardContext): Promise<void> {
    const log: Logger = logger;
    log.debug({ aborted: signal.aborted }, 'a batch');
    for (const record of records) handled.push(JSON.parse(new TextDecoder().decode(record.data)));
    await checkpoint();
    consumer.stop().catch(fail);
  },
};
const factory: HandlerFactory = { createHandler: ({ shardId }) => (shardId === '' ? () => undefined : handler) };
await consumer.run(factory);
if (handled[0]?.amount !== order.amount) throw new Error(`handled ${JSON.stringify(handled)}`);
kinesisClient.destroy();
dynamoDBClient.destroy();

try {
  // @ts-expect-error: a misspelt option is found by the types, and by the constructor
  new Producer({ stream: 'orders', recordMaxBufferedTime: 10 });
  throw new Error('the misspelt option was taken');
} catch (error) {
  if (!isShardlineError(error)) throw error;
  const code: ErrorCode = error.code;
  if (code !== 'USAGE' || !(error instanceof UsageError)) throw error;
}

// @ts-expect-error: nobody waits for what a factory makes
await consumer.run({ createHandler: async () => handler }).catch(() => undefined);

function fail(error: unknown): never {
  throw error;
}

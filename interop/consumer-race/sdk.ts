// A loop over the AWS SDK as a contender, in a process of its own: what one writes who has no library, with the SDK's default client. It
// holds no lease, keeps no checkpoint, and does not take aggregated records apart.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  RegisterStreamConsumerCommand,
  type _Record as SdkRecord,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import { Measurement } from './measurement.ts';
import type { Settings } from './settings.ts';

/** Five reads a second are allowed. */
const READ_INTERVAL_MS = 200;
const LIMIT = 10_000;
const LOOK_MS = 500;
const STREAM = { StreamName: 'race' } as const;

const settings = JSON.parse(process.env['SETTINGS'] ?? '{}') as Settings;
const measurement = new Measurement(settings);
const client = new KinesisClient({});

process.stdin.resume().on('end', () => process.exit(0));
const { Shards: shards = [] } = await client.send(new ListShardsCommand(STREAM));
const shardIds = shards.map(({ ShardId }) => ShardId as string);
if (settings.mode === 'polling') await Promise.all(shardIds.map(poll));
else {
  const consumerArn = await activeConsumer();
  await Promise.all(shardIds.map((shardId) => subscribe(shardId, consumerArn)));
}

async function poll(shardId: string): Promise<void> {
  const from = { ...STREAM, ShardId: shardId, ShardIteratorType: 'TRIM_HORIZON' } as const;
  let { ShardIterator } = await client.send(new GetShardIteratorCommand(from));
  while (ShardIterator !== undefined) {
    const pause = sleep(READ_INTERVAL_MS);
    const answer = await client.send(new GetRecordsCommand({ ShardIterator, Limit: LIMIT }));
    handle(shardId, answer.Records);
    ShardIterator = answer.NextShardIterator;
    await pause;
  }
}

async function subscribe(shardId: string, consumerArn: string): Promise<void> {
  const StartingPosition = { Type: 'TRIM_HORIZON' } as const;
  const command = new SubscribeToShardCommand({ ConsumerARN: consumerArn, ShardId: shardId, StartingPosition });
  const { EventStream: events } = await client.send(command);
  for await (const { SubscribeToShardEvent: event } of events ?? []) handle(shardId, event?.Records);
}

function handle(shardId: string, records: readonly SdkRecord[] = []): void {
  const data = records.map(({ Data = new Uint8Array() }) => ({ data: Data }));
  measurement.handled(shardId, data, settings.userRecordCount);
}

async function activeConsumer(): Promise<string> {
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand(STREAM));
  const ConsumerName = settings.application;
  const input = { StreamARN: summary?.StreamARN as string, ConsumerName };
  await client.send(new RegisterStreamConsumerCommand(input));
  for (;;) {
    const { ConsumerDescription: consumer } = await client.send(new DescribeStreamConsumerCommand(input));
    if (consumer?.ConsumerStatus === 'ACTIVE') return consumer.ConsumerARN as string;
    await sleep(LOOK_MS);
  }
}

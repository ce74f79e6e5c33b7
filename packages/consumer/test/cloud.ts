// A Kinesis and a DynamoDB of the loopback, with clients, for the tests of the whole consumer; and short words for what they
// do all the time. Waits are on conditions, with a bound.
import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  PutRecordCommand,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis';
import { createKinesisClient, encodeAggregatedRecord, toHashKey } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { onTestFinished, vi } from 'vitest';
import { Consumer } from '../src/consumer.ts';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import type { Handler } from '../src/handler.ts';
import type { HandlingOptions } from '../src/handling/handling-options.ts';
import { startTestDynamoDB, type TestDynamoDB } from './local-dynamodb.ts';

export interface Cloud {
  readonly kinesisServer: LocalKinesis;
  readonly dynamoDBServer: TestDynamoDB;
  readonly kinesis: KinesisClient;
  readonly dynamoDB: DynamoDBClient;
  close(): Promise<void>;
}

export async function startCloud(): Promise<Cloud> {
  const kinesisServer = await startLocalKinesis();
  const dynamoDBServer = await startTestDynamoDB();
  const kinesis = createKinesisClient({ ...kinesisServer.clientConfig, maxAttempts: 1 });
  const close = async (): Promise<void> => {
    kinesis.destroy();
    await kinesisServer.close();
    await dynamoDBServer.close();
  };
  return { kinesisServer, dynamoDBServer, kinesis, dynamoDB: dynamoDBServer.client, close };
}

/** Everything as on AWS, only sooner. */
export const quick: Partial<ConsumerOptions> = {
  failoverTimeMs: 1_500,
  leaseAssignmentIntervalMs: 200,
  leaseDiscoveryIntervalMs: 100,
  shardSyncIntervalMs: 500,
  parentShardPollIntervalMs: 50,
  checkpointIntervalMs: 50,
  workerMetricsReportIntervalMs: 1_000,
  idleTimeBetweenReadsMs: 200,
  handlerBackoffBaseMs: 20,
  handlerBackoffMaxMs: 50,
  shutdownGraceMs: 5_000,
};

/** A stream, and the application that reads it, of the same name. */
export class Scene {
  readonly cloud: Cloud;
  readonly name: string;

  constructor(cloud: Cloud, name: string, shardCount = 1, createdMs: number = Date.now()) {
    this.cloud = cloud;
    this.name = name;
    this.model.createStream({ name, shardCount }, createdMs);
    this.model.settle(Date.now());
  }

  get model(): LocalKinesis['model'] {
    return this.cloud.kinesisServer.model;
  }

  consumer(options: Partial<ConsumerOptions> = {}): Consumer {
    return new Consumer({
      application: this.name,
      ...(options.streams === undefined && { stream: this.name }),
      kinesisClient: this.cloud.kinesis,
      dynamoDBClient: this.cloud.dynamoDB,
      ...quick,
      ...options,
    });
  }

  /** Cuts a shard in two at `at`. */
  split(shard: number, at: bigint): void {
    const newStartingHashKey = toHashKey(at);
    this.model.splitShard({ streamName: this.name, shardId: SHARD(shard), newStartingHashKey }, Date.now());
  }

  merge(shard: number, adjacent: number): void {
    const shards = { shardId: SHARD(shard), adjacentShardId: SHARD(adjacent) };
    this.model.mergeShards({ streamName: this.name, ...shards }, Date.now());
  }

  /** Puts one Kinesis record for each text, the text's first word being the partition key. */
  async put(...texts: string[]): Promise<void> {
    for (let at = 0; at < texts.length; at += 500) {
      const Records = texts.slice(at, at + 500).map((text) => ({ PartitionKey: keyOf(text), Data: Buffer.from(text) }));
      const { FailedRecordCount } = await this.cloud.kinesis.send(
        new PutRecordsCommand({ StreamName: this.name, Records }),
      );
      if (FailedRecordCount !== 0) throw new Error(`${FailedRecordCount} of ${Records.length} records were refused`);
    }
  }

  /** Puts one aggregated record. */
  async putAggregate(...texts: string[]): Promise<string> {
    const Data = encodeAggregatedRecord(texts.map((text) => ({ partitionKey: keyOf(text), data: Buffer.from(text) })));
    const command = new PutRecordCommand({ StreamName: this.name, PartitionKey: keyOf(texts[0] ?? ''), Data });
    return (await this.cloud.kinesis.send(command)).SequenceNumber ?? '';
  }

  /** What is in a shard, as one read gives it. */
  async recordsOf(shard: number): Promise<{ text: string; sequenceNumber: string }[]> {
    const place = { StreamName: this.name, ShardId: SHARD(shard), ShardIteratorType: 'TRIM_HORIZON' as const };
    const { ShardIterator } = await this.cloud.kinesis.send(new GetShardIteratorCommand(place));
    const { Records = [] } = await this.cloud.kinesis.send(new GetRecordsCommand({ ShardIterator }));
    return Records.map(({ Data = new Uint8Array(), SequenceNumber = '' }) => ({
      text: textOf({ data: Data }),
      sequenceNumber: SequenceNumber,
    }));
  }

  async row(leaseKey: string): Promise<Record<string, AttributeValue> | undefined> {
    const Key = { leaseKey: { S: leaseKey } };
    const command = new GetItemCommand({ TableName: this.name, Key, ConsistentRead: true });
    return (await this.cloud.dynamoDB.send(command)).Item;
  }

  async checkpointOf(leaseKey: string): Promise<string | undefined> {
    const row = await this.row(leaseKey);
    return row && `${row['checkpoint']?.S}:${row['checkpointSubSequenceNumber']?.N}`;
  }

  async rows(): Promise<Record<string, AttributeValue>[]> {
    const { Items } = await this.cloud.dynamoDB.send(new ScanCommand({ TableName: this.name, ConsistentRead: true }));
    return Items ?? [];
  }

  /** Puts rows back as they were. */
  async restore(...rows: (Record<string, AttributeValue> | undefined)[]): Promise<void> {
    for (const Item of rows) await this.cloud.dynamoDB.send(new PutItemCommand({ TableName: this.name, Item }));
  }

  async remove(leaseKey: string): Promise<void> {
    const command = new DeleteItemCommand({ TableName: this.name, Key: { leaseKey: { S: leaseKey } } });
    await this.cloud.dynamoDB.send(command);
  }

  /** Changes a lease behind everybody's back. */
  async meddle(leaseKey: string, input: Partial<UpdateItemCommandInput>): Promise<void> {
    const Key = { leaseKey: { S: leaseKey } };
    await this.cloud.dynamoDB.send(new UpdateItemCommand({ TableName: this.name, Key, ...input }));
  }
}

/** Runs a consumer for the length of the test. @returns what stops it sooner. */
export function runInTest(consumer: Consumer, handler: Handler, handling: HandlingOptions = {}): () => Promise<void> {
  const running = consumer.run(handler, handling);
  const stop = async (): Promise<void> => {
    await consumer.stop();
    await running;
  };
  onTestFinished(stop);
  return stop;
}

/** The same; @returns the texts that it handles. */
export function handleInTest(consumer: Consumer): string[] {
  const handled: string[] = [];
  runInTest(consumer, (batch) => {
    handled.push(...batch.records.map(textOf));
  });
  return handled;
}

export function keyOf(text: string): string {
  return text.split(' ')[0] || '-';
}

/** Resolves as soon as `check` no longer throws; rejects with what it threw after 15 s. */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 25_000, interval: 20 });
}

export const SHARD = (number: number): string => `shardId-${String(number).padStart(12, '0')}`;

export const textOf = (record: { readonly data: Uint8Array }): string => Buffer.from(record.data).toString();

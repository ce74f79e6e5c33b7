// What the spec tests stand on: one local Kinesis a file, reset before every test, whose time stands still until a test moves it,
// and the AWS SDK for JavaScript that asks it over a real socket. A test's title is a sentence of the Kinesis API reference.
import * as kinesis from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { type LocalKinesis, type LocalKinesisOptions, ManualClock, startLocalKinesis } from '../../src/index.ts';

export const StreamName = 'orders';
export const StreamARN: string = arnOf(StreamName);
export const [first, second, third, fourth] = [0, 1, 2, 3].map((number) => `shardId-00000000000${number}`) as [
  string,
  string,
  string,
  string,
];
export const hourMs = 3_600_000;
/** The middle of the hash key space, where the second of two even shards begins. */
export const middle: string = String(2n ** 127n);

type Refusal = abstract new (...args: never[]) => kinesis.KinesisServiceException;

export interface SpecScene {
  readonly clock: ManualClock;
  readonly local: LocalKinesis;
  readonly client: kinesis.KinesisClient;
  put(text: string, ExplicitHashKey?: string): Promise<kinesis.PutRecordCommandOutput>;
  iterator(position?: Position): Promise<string | undefined>;
  get(ShardIterator: string | undefined, Limit?: number): Promise<kinesis.GetRecordsCommandOutput>;
  /** The texts of the records from there on, as far as one call gets them. */
  read(position?: Position): Promise<string[]>;
  split(ShardToSplit?: string, NewStartingHashKey?: string): Promise<unknown>;
  merge(ShardToMerge?: string, AdjacentShardToMerge?: string): Promise<unknown>;
  summary(name?: string): Promise<kinesis.StreamDescriptionSummary | undefined>;
  shards(input?: Omit<kinesis.ListShardsCommandInput, 'StreamName'>): Promise<kinesis.Shard[]>;
}

/** Where GetShardIterator begins; by default TRIM_HORIZON of the first shard. */
export type Position = Partial<Omit<kinesis.GetShardIteratorCommandInput, 'StreamName'>>;

/** With one stream of two shards unless said otherwise. To be called once, at the top of a file. */
export function specScene(options: LocalKinesisOptions = {}): SpecScene {
  const clock = new ManualClock();
  let local: LocalKinesis;
  let client: kinesis.KinesisClient;
  beforeAll(async () => {
    local = await startLocalKinesis({ clock, streams: [{ name: StreamName, shardCount: 2 }], ...options });
    client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  });
  afterAll(async () => {
    client.destroy();
    await local.close();
  });
  beforeEach(() => {
    local.reset();
    clock.advance(10_000);
  });
  const scene: SpecScene = {
    clock,
    get local() {
      return local;
    },
    get client() {
      return client;
    },
    put: (text, ExplicitHashKey = '0') =>
      client.send(
        new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(text), ExplicitHashKey }),
      ),
    iterator: async (position = {}) => {
      const input = { StreamName, ShardId: first, ShardIteratorType: 'TRIM_HORIZON', ...position } as const;
      return (await client.send(new kinesis.GetShardIteratorCommand(input))).ShardIterator;
    },
    get: (ShardIterator, Limit) =>
      client.send(new kinesis.GetRecordsCommand(Limit === undefined ? { ShardIterator } : { ShardIterator, Limit })),
    read: async (position) => textsOf((await scene.get(await scene.iterator(position))).Records),
    split: (ShardToSplit = first, NewStartingHashKey = String(2n ** 126n)) =>
      client.send(new kinesis.SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey })),
    merge: (ShardToMerge = first, AdjacentShardToMerge = second) =>
      client.send(new kinesis.MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge })),
    summary: async (name = StreamName) =>
      (await client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName: name }))).StreamDescriptionSummary,
    shards: async (input = {}) =>
      (await client.send(new kinesis.ListShardsCommand({ StreamName, ...input }))).Shards ?? [],
  };
  return scene;
}

export function arnOf(name: string): string {
  return `arn:aws:kinesis:us-east-1:000000000000:stream/${name}`;
}

export function textsOf(records: readonly kinesis._Record[] = []): string[] {
  return records.map(({ Data }) => Buffer.from(Data ?? []).toString());
}

/** Each of the calls is refused with the exception that the SDK has for it, and, if given, with that message. */
export async function expectRefusal(call: Promise<unknown>, type: Refusal, message?: string): Promise<void> {
  await expect(call).rejects.toThrow(type);
  await expect(call).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } });
  if (message !== undefined) await expect(call).rejects.toMatchObject({ message });
}

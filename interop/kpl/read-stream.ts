// Everything that lies in a stream, read by GetRecords from every shard, old and open, and deaggregated by our codec.
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis';
import { decodeAggregatedRecord } from '@shardline/common';

export interface StoredUserRecord {
  readonly shard: string;
  readonly sequence: string;
  readonly aggregated: boolean;
  readonly key: string;
  readonly data: string;
}

export async function readStream(client: KinesisClient, StreamName: string): Promise<StoredUserRecord[]> {
  const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName }));
  const shards = Shards.map(({ ShardId = '' }) => readShard(client, StreamName, ShardId));
  return (await Promise.all(shards)).flat();
}

async function readShard(client: KinesisClient, StreamName: string, ShardId: string): Promise<StoredUserRecord[]> {
  const start = new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' });
  let { ShardIterator } = await client.send(start);
  const found: StoredUserRecord[] = [];
  while (ShardIterator !== undefined) {
    const answer = await client.send(new GetRecordsCommand({ ShardIterator }));
    for (const { Data, PartitionKey = '', SequenceNumber: sequence = '' } of answer.Records ?? []) {
      const decoded = decodeAggregatedRecord(Data ?? new Uint8Array());
      const aggregated = decoded.kind === 'aggregated';
      const records = aggregated ? decoded.records : [{ partitionKey: PartitionKey, data: Data ?? new Uint8Array() }];
      for (const { partitionKey, data } of records) {
        found.push({ shard: ShardId, sequence, aggregated, key: partitionKey, data: Buffer.from(data).toString() });
      }
    }
    ShardIterator = answer.MillisBehindLatest === 0 ? undefined : answer.NextShardIterator;
  }
  return found;
}

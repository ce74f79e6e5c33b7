// What the quickstart does to its stream besides putting: looks at the shards and splits one. Plain AWS SDK calls; against
// Kinesis itself they would be the same.
import { type KinesisClient, ListShardsCommand, type Shard, SplitShardCommand } from '@aws-sdk/client-kinesis';
import { invariant } from '@shardline/common';

/** Ids of the shards that take records. */
export async function openShardIds(client: KinesisClient, stream: string): Promise<string[]> {
  return (await listShards(client, stream)).filter(isOpen).map(shardIdOf);
}

/** Ids of the shards that were made of `parentId`. */
export async function childShardIds(client: KinesisClient, stream: string, parentId: string): Promise<string[]> {
  return (await listShards(client, stream)).filter(({ ParentShardId }) => ParentShardId === parentId).map(shardIdOf);
}

/** Asks for an open shard to be split in the middle of its hash key range. */
export async function splitInTheMiddle(client: KinesisClient, stream: string, shardId: string): Promise<void> {
  const shard = (await listShards(client, stream)).find(({ ShardId }) => ShardId === shardId);
  const range = shard?.HashKeyRange;
  invariant(
    range?.StartingHashKey !== undefined && range.EndingHashKey !== undefined,
    `${shardId} has a hash key range`,
  );
  const middle = (BigInt(range.StartingHashKey) + BigInt(range.EndingHashKey)) / 2n + 1n;
  await client.send(
    new SplitShardCommand({ StreamName: stream, ShardToSplit: shardId, NewStartingHashKey: String(middle) }),
  );
}

/** All shards; a stream of the quickstart has too few for a second page. */
async function listShards(client: KinesisClient, stream: string): Promise<Shard[]> {
  return (await client.send(new ListShardsCommand({ StreamName: stream }))).Shards ?? [];
}

function isOpen({ SequenceNumberRange }: Shard): boolean {
  return SequenceNumberRange?.EndingSequenceNumber === undefined;
}

function shardIdOf({ ShardId }: Shard): string {
  invariant(ShardId !== undefined, 'every listed shard has an id');
  return ShardId;
}

// Leases of shards that the one stream of an application never had, though Kinesis says the same of them as of shards that have expired: the
// stream was deleted and made again with fewer shards, or the table was written under another stream's name. Readers ask whether they may
// take such a shard for ended (retrieval/streams.ts); the leader is told by each listing which leases it may believe to be such. Pure.
// Invariants: one listing proves nothing, it may be older than a shard that has a lease; a lease that gets on is of a shard that is
// there; and none is to go before each hash key is known to have its lease in this stream (stream-sync.ts): whatever is unfinished above a
// shard has kept that one from being read, so even a lease that was taken for a stray wrongly has nothing to lose, and is made again.
import { compareExtended, findHoles } from '@shardline/common';
import type { Lease, Shard } from './lease.ts';

/** Where a shard was read, that may be one of a stream or not. */
export type PlaceInShard = Pick<Lease, 'shardId' | 'hashKeyRange' | 'checkpoint'>;

/**
 * Whether a stream of these shards never had that one, which is not listed. A shard that has expired has left others behind: all that are open on its
 * hash keys descend from it, so they have a higher id and began after its last number. Where that holds, it may have been the stream's.
 */
export function isStray(place: PlaceInShard, shards: readonly Shard[]): boolean {
  return !shards.some(({ shardId }) => shardId === place.shardId) && hasNoHeirs(place, openOf(shards));
}

function hasNoHeirs({ shardId, hashKeyRange, checkpoint }: PlaceInShard, open: readonly Shard[]): boolean {
  const { sequenceNumber } = checkpoint;
  const mayDescend = (shard: Shard): boolean => {
    const isLater = shard.shardId > shardId || shard.parentShardIds.includes(shardId);
    return isLater && !(typeof sequenceNumber === 'bigint' && shard.startingSequenceNumber <= sequenceNumber);
  };
  if (hashKeyRange === undefined) return open.length > 0 && !open.some(mayDescend);
  const { start, end } = hashKeyRange;
  const onItsKeys = open.filter(({ hashKeyRange: other }) => other.start <= end && start <= other.end);
  return !onItsKeys.every(mayDescend);
}

/** What the listings of one leader, one after the other, say of the leases of one stream. */
export class Strays {
  /** As the last listing found them, by key. */
  #suspects: ReadonlyMap<string, Lease> = new Map();

  /**
   * @param leases read before the shards were listed: one that is made meanwhile is of a shard that the listing may not show.
   * @returns `believed`: the listing before said so, too, and they stand where they stood then; `suspectCount`: with those that are to be confirmed
   */
  listed(
    shards: readonly Shard[],
    leases: readonly Lease[],
  ): { readonly believed: readonly Lease[]; readonly suspectCount: number } {
    const before = this.#suspects;
    const suspects = suspectsOf(shards, leases);
    this.#suspects = new Map(suspects.map((lease) => [lease.leaseKey, lease]));
    const believed = suspects.filter(({ leaseKey, checkpoint }) => {
      const seen = before.get(leaseKey);
      return seen !== undefined && compareExtended(seen.checkpoint, checkpoint) === 0;
    });
    return { believed, suspectCount: suspects.length };
  }

  forget(): void {
    this.#suspects = new Map();
  }
}

function suspectsOf(shards: readonly Shard[], leases: readonly Lease[]): readonly Lease[] {
  const listed = new Set(shards.map(({ shardId }) => shardId));
  const unlisted = leases.filter(({ shardId }) => !listed.has(shardId));
  if (unlisted.length === 0) return unlisted;
  const open = openOf(shards);
  // In the middle of a reshard a listing shows less than there is.
  const isWhole = findHoles(open.map(({ hashKeyRange }) => hashKeyRange)).length === 0;
  return isWhole ? unlisted.filter((lease) => hasNoHeirs(lease, open)) : [];
}

function openOf(shards: readonly Shard[]): readonly Shard[] {
  return shards.filter(({ endingSequenceNumber }) => endingSequenceNumber === undefined);
}

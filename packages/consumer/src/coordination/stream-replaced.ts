// A stream that was deleted and made again under its name, as its leases show it: they bear the names of its shards, and are not of
// them. Says which leases prove it, and, where the application wants to begin anew, what each has to become. Pure; run by the leader.
// Invariants: no lease is begun anew that somebody renews of whom nothing shows that he reads this stream; whatever could be of the
// stream before is read from its beginning, since records may come twice and none may be passed over.
import { isEnded, type Lease, type Shard } from './lease.ts';

/** A lease that is to begin anew on the shard that has its name now. */
export interface Reset {
  readonly lease: Lease;
  readonly shard: Shard;
}

/**
 * The leases that can't be of these shards but bear their names: at the end of a shard that is open, or at a number before its
 * first one.
 * @param isAnother the stream is known to be another one than before: then a finished lease is none of its closed shard either.
 */
export function findReplaced(shards: readonly Shard[], leases: readonly Lease[], isAnother = false): Lease[] {
  const listed = new Map(shards.map((shard) => [shard.shardId, shard]));
  return leases.filter((lease) => {
    const shard = listed.get(lease.shardId);
    if (shard === undefined) return false;
    if (isEnded(lease)) return isAnother || shard.endingSequenceNumber === undefined;
    return isBefore(lease, shard);
  });
}

/** Given that some leases prove it: all that have to begin anew, those included whose position only may be of the stream before. */
export function planAnew(shards: readonly Shard[], leases: readonly Lease[]): Reset[] {
  const listed = new Map(shards.map((shard) => [shard.shardId, shard]));
  return leases.flatMap((lease) => {
    const shard = listed.get(lease.shardId);
    return shard === undefined || isOf(lease, shard) ? [] : [{ lease, shard }];
  });
}

/** Whether the lease is of this shard for certain, or begins at its beginning anyway. */
function isOf(lease: Lease, shard: Shard): boolean {
  const { sequenceNumber } = lease.checkpoint;
  if (typeof sequenceNumber === 'bigint') return !isBefore(lease, shard);
  const { hashKeyRange: range } = lease;
  const isSameRange = range?.start === shard.hashKeyRange.start && range.end === shard.hashKeyRange.end;
  return sequenceNumber === 'TRIM_HORIZON' && isSameRange;
}

function isBefore({ checkpoint: { sequenceNumber } }: Lease, shard: Shard): boolean {
  return typeof sequenceNumber === 'bigint' && sequenceNumber < shard.startingSequenceNumber;
}

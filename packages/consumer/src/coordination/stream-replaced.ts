// A stream that was deleted and made again under its name, as its leases show it: they bear the names of its shards, and are not of
// them. Says which leases prove it, and, where the application wants to begin anew, what each has to become, and in which order, since a
// leader may die between any two writes. Pure; run by the leader.
// Invariants: no lease is begun anew that somebody renews of whom nothing shows that he reads this stream; whatever could be of the
// stream before is read from its beginning, since records may come twice and none may be passed over; no lease begins before those of
// its shard's parents have, nor while one of its shard's children is read, which its former end had let begin; and a lease that proves what happened stands until nothing is left that proves nothing.
import { TRIM_HORIZON } from '@shardline/common';
import { isEnded, type Lease, newLease, type Shard } from './lease.ts';

/** A lease that is to begin anew on the shard that has its name now. */
export interface Reset {
  readonly lease: Lease;
  readonly shard: Shard;
}

/** What is to become of the leases of a stream that was made again. */
export interface Anew {
  /** Of the shards that no lease leads to, or that stand between others that begin anew. */
  readonly missing: readonly Lease[];
  /** All that have to begin anew. */
  readonly pending: readonly Reset[];
  /** Leases that were begun behind an end that is to begin anew: their owners are to let go of them first. */
  readonly early: readonly Lease[];
  /** Those of `pending` that may begin now. */
  readonly resets: readonly Reset[];
  /** Nothing is left to begin, of what is left alone neither. */
  readonly isDone: boolean;
  /** Keys of leases that nobody may begin yet: a lease of their shard's parents is still to begin anew, and may come to its former end first. */
  readonly heldBack: ReadonlySet<string>;
}

/** Leases that were seen to have begun in the stream that is there now: by shard, its first number. Ended, a lease doesn't show it. */
export type Begun = Map<string, bigint>;

/**
 * The leases that can't be of these shards but bear their names: at the end of a shard that is open, or at a number before its
 * first one.
 * @param isAnother the stream is known to be another one than before: then a finished lease is none of its closed shard either.
 */
export function findReplaced(
  shards: readonly Shard[],
  leases: readonly Lease[],
  isAnother = false,
  begun: Begun = new Map(),
): Lease[] {
  const listed = byId(shards);
  return leases.filter((lease) => {
    const shard = listed.get(lease.shardId);
    if (shard === undefined) return false;
    return isProof(lease, shard) || (isAnother && isEnded(lease) && !isCertain(lease, shard, begun));
  });
}

export function noteBegun(shards: readonly Shard[], leases: readonly Lease[], begun: Begun): void {
  const listed = byId(shards);
  for (const lease of leases) {
    const shard = listed.get(lease.shardId);
    if (shard !== undefined && isOf(lease, shard)) begun.set(lease.shardId, shard.startingSequenceNumber);
  }
}

/**
 * Given that the stream is another one: what has to begin, those included whose position only may be of the stream before.
 * @param isLeftAlone leases that are not to be touched.
 */
export function planAnew(
  shards: readonly Shard[],
  leases: readonly Lease[],
  begun: Begun = new Map(),
  isLeftAlone: (lease: Lease) => boolean = () => false,
  mayBeRead: (lease: Lease) => boolean = () => false,
): Anew {
  const listed = byId(shards);
  const rows = new Map(leases.map((lease) => [lease.shardId, lease]));
  const hasBegun = ({ shardId, startingSequenceNumber }: Shard): boolean =>
    begun.get(shardId) === startingSequenceNumber;
  const uncertain = leases.flatMap((lease) => {
    const shard = listed.get(lease.shardId);
    return shard === undefined || isCertain(lease, shard, begun) ? [] : [{ lease, shard }];
  });
  const pending = uncertain.filter(({ lease }) => !isLeftAlone(lease));
  const isUncertain = new Set(uncertain.map(({ lease }) => lease.shardId));
  /** Its lease is at an end that may be another shard's. */
  const endedBefore = (shardId: string): boolean => {
    const row = rows.get(shardId);
    return row !== undefined && isEnded(row) && isUncertain.has(shardId);
  };
  /** Its lease, or that there is none, would be taken for the end of the shard. */
  const looksOver = (shardId: string): boolean => {
    const [shard, row] = [listed.get(shardId), rows.get(shardId)];
    if (shard === undefined) return false;
    return row === undefined ? !hasBegun(shard) : endedBefore(shardId);
  };
  // Everything else gets its lease at the end of its parents, but for what was cleaned up between those and others that begin anew.
  const awaited = ancestors(
    uncertain.map(({ shard }) => shard),
    listed,
  );
  const missing = shards
    .filter((shard) => !rows.has(shard.shardId) && !hasBegun(shard))
    .filter(({ shardId, parentShardIds }) => {
      const isFirst = !parentShardIds.some((parent) => listed.has(parent));
      return isFirst || (awaited.has(shardId) && !parentShardIds.some(looksOver));
    })
    .map((shard) => newLease(shard, TRIM_HORIZON));
  const isBehind = (shard: Shard, isSo: (shardId: string) => boolean): boolean =>
    [...ancestors([shard], listed)].some(isSo);
  const isPending = new Set(pending.map(({ shard }) => shard.shardId));
  const beginsAfterItsEnd = (shardId: string): boolean => endedBefore(shardId) && isPending.has(shardId);
  // Begun behind an end that was another shard's; what stands before its own first record is refused by every read.
  const early = leases.flatMap((lease) => {
    const shard = listed.get(lease.shardId);
    if (shard === undefined || isEnded(lease) || isBefore(lease, shard) || isLeftAlone(lease)) return [];
    return mayBeRead(lease) && isBehind(shard, beginsAfterItsEnd) ? [{ lease, shard }] : [];
  });
  const readBehind = ancestors(
    early.map(({ shard }) => shard),
    listed,
  );
  const ready = pending.filter(
    ({ shard: { shardId, parentShardIds } }) =>
      !parentShardIds.some(looksOver) && !(endedBefore(shardId) && readBehind.has(shardId)),
  );
  const proving = ready.filter(proves);
  const isLast = uncertain.filter(proves).length === proving.length;
  // What is left alone for now will have to begin, too.
  const areOthersLeft = missing.length > 0 || uncertain.some((reset) => !proves(reset));
  const witness = isLast && areOthersLeft ? proving.at(-1) : undefined;
  const heldBack = leases.filter(({ shardId }) => {
    const shard = listed.get(shardId);
    if (shard === undefined) return false;
    return shard.parentShardIds.some((id) => isUncertain.has(id)) || isBehind(shard, endedBefore);
  });
  return {
    missing,
    pending,
    early: early.flatMap(({ lease }) => (lease.leaseOwner === undefined ? [] : [lease])),
    resets: ready.filter((reset) => reset !== witness),
    isDone: missing.length + uncertain.length === 0,
    heldBack: new Set(heldBack.map(({ leaseKey }) => leaseKey)),
  };
}

function ancestors(shards: readonly Shard[], listed: ReadonlyMap<string, Shard>): ReadonlySet<string> {
  const found = new Set<string>();
  const left = shards.flatMap(({ parentShardIds }) => parentShardIds);
  for (let shardId = left.pop(); shardId !== undefined; shardId = left.pop()) {
    const shard = listed.get(shardId);
    if (shard === undefined || found.has(shardId)) continue;
    found.add(shardId);
    left.push(...shard.parentShardIds);
  }
  return found;
}

function byId(shards: readonly Shard[]): ReadonlyMap<string, Shard> {
  return new Map(shards.map((shard) => [shard.shardId, shard]));
}

function proves({ lease, shard }: Reset): boolean {
  return isProof(lease, shard);
}

function isProof(lease: Lease, shard: Shard): boolean {
  return isEnded(lease) ? shard.endingSequenceNumber === undefined : isBefore(lease, shard);
}

function isCertain(lease: Lease, shard: Shard, begun: Begun): boolean {
  return isOf(lease, shard) || (isEnded(lease) && begun.get(lease.shardId) === shard.startingSequenceNumber);
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

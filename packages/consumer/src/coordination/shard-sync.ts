// Which leases are missing: one pure decision over the shards that Kinesis lists and the leases that exist
// (KCL HierarchicalShardSyncer). Run by the leader.
// Invariant: a shard gets a lease here only if no ancestor of it has or gets one; descendants get theirs when a parent ends,
// so that children never overtake parents. The leases must have been read BEFORE the shards were listed: a parent that was
// finished and cleaned up in between would otherwise be made again.
import type { ExtendedSequenceNumber, HashKeyRange } from '@shardline/common';
import { AT_TIMESTAMP, findHoles, LATEST, TRIM_HORIZON } from '@shardline/common';
import { isEnded, type Lease, newLease, type Shard } from './lease.ts';

/** Where an application begins on shards it has never seen. */
export type InitialPosition = 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP';

export function initialCheckpoint(position: InitialPosition): ExtendedSequenceNumber {
  return position === 'LATEST' ? LATEST : position === 'AT_TIMESTAMP' ? AT_TIMESTAMP : TRIM_HORIZON;
}

/** For an empty table: one lease for each shard of the listing that was filtered by the initial position. */
export function planFirstLeases(shards: readonly Shard[], position: InitialPosition, streamId?: string): Lease[] {
  return inOrder(shards).map((shard) => newLease(shard, initialCheckpoint(position), streamId));
}

/**
 * For a table with leases: what is missing of one stream, whose leases these are. A shard that descends from a leased one waits for that one's end. Where nothing
 * of a shard's ancestry is leased, TRIM_HORIZON and AT_TIMESTAMP begin at the oldest listed ancestor, LATEST at the open
 * shard itself. Of a merge's parents, one leased and one not, the latter gets a lease.
 */
export function planMissingLeases(
  shards: readonly Shard[],
  leases: readonly Pick<Lease, 'shardId'>[],
  position: InitialPosition,
  streamId?: string,
): Lease[] {
  const listed = new Map(shards.map((shard) => [shard.shardId, shard]));
  const leased = new Set(leases.map((lease) => lease.shardId));
  const missing = new Map<string, Lease>();
  const answers = new Map<string, boolean>();

  const create = (shard: Shard): void => {
    missing.set(shard.shardId, newLease(shard, initialCheckpoint(position), streamId));
  };
  /** Whether the shard has a lease, or will get one without being created here. */
  const covered = (shardId: string): boolean => {
    if (leased.has(shardId) || missing.has(shardId)) return true;
    const known = answers.get(shardId);
    if (known !== undefined) return known;
    const shard = listed.get(shardId);
    // A parent that is no longer listed has expired: nothing of it can be read.
    if (shard === undefined) return false;
    const parents = shard.parentShardIds.filter((parent) => listed.has(parent));
    const uncovered = parents.filter((parent) => !covered(parent));
    let answer = uncovered.length < parents.length;
    if (answer) {
      for (const parent of uncovered) create(listed.get(parent) as Shard);
    } else if (position !== 'LATEST') {
      create(shard);
      answer = true;
    }
    answers.set(shardId, answer);
    return answer;
  };

  for (const shard of inOrder(shards)) {
    if (shard.endingSequenceNumber === undefined && !covered(shard.shardId)) create(shard);
  }
  return inOrder(shards.filter((shard) => missing.has(shard.shardId))).map(
    (shard) => missing.get(shard.shardId) as Lease,
  );
}

/**
 * What a parent's end should have made leases for and did not: the KCL 1.x finishes a shard first and makes its children's leases
 * after that, so its last worker may have died in between, and nobody comes past that end again. A child whose descendants have
 * leases is none of these: it was worked off and cleaned up.
 */
export function planOrphans(
  shards: readonly Shard[],
  leases: readonly Pick<Lease, 'shardId' | 'checkpoint'>[],
  streamId?: string,
): Lease[] {
  const listed = new Set(shards.map((shard) => shard.shardId));
  const leased = new Map(leases.map((lease) => [lease.shardId, lease.checkpoint.sequenceNumber === 'SHARD_END']));
  const begun = new Set(leased.keys());
  const ordered = inOrder(shards);
  for (const { shardId, parentShardIds } of [...ordered].reverse()) {
    if (begun.has(shardId)) for (const parent of parentShardIds) begun.add(parent);
  }
  const isOver = (parent: string): boolean => leased.get(parent) ?? !listed.has(parent);
  return ordered
    .filter(({ shardId }) => !begun.has(shardId))
    .filter(({ parentShardIds: parents }) => parents.some((parent) => leased.has(parent)) && parents.every(isOver))
    .map((shard) => newLease(shard, TRIM_HORIZON, streamId));
}

/** Says where the unfinished leases leave a hole in the hash key space, or undefined. Leases without a range can't be judged. */
export function describeHole(leases: readonly Lease[]): string | undefined {
  const ranges: HashKeyRange[] = [];
  for (const lease of leases) {
    if (isEnded(lease)) continue;
    if (lease.hashKeyRange === undefined) return undefined;
    ranges.push(lease.hashKeyRange);
  }
  if (ranges.length === 0) return undefined;
  const holes = findHoles(ranges);
  return holes.length === 0 ? undefined : holes.map((hole) => `${hole.start} to ${hole.end}`).join(', ');
}

function inOrder(shards: readonly Shard[]): Shard[] {
  return [...shards].sort((a, b) => {
    if (a.startingSequenceNumber !== b.startingSequenceNumber) {
      return a.startingSequenceNumber < b.startingSequenceNumber ? -1 : 1;
    }
    return a.shardId < b.shardId ? -1 : a.shardId > b.shardId ? 1 : 0;
  });
}

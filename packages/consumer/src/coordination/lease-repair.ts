// What the rows of older fleets lack and the listed shards know: hash key ranges (KCL 1.x wrote none; PeriodicShardSyncManager fills
// them in), children of finished shards (LeaseCleanupManager asks Kinesis for them), and which finished leases are of shards that
// the stream no longer has, so that nobody will ever name their children (its garbage leases). Pure; run by the leader.
// Invariants: only what is absent is filled in, and only from a listing whose open shards cover every hash key; a finished lease
// goes only when every listed child of its shard has begun, since that child's lease may have to be made on its account.
import { findHoles, type HashKeyRange, MAX_HASH_KEY, MIN_HASH_KEY } from '@shardline/common';
import { isEnded, type Lease, type Shard } from './lease.ts';

/** Attributes to be filled in. */
export interface Repair {
  readonly leaseKey: string;
  readonly hashKeyRange: HashKeyRange | undefined;
  readonly childShardIds: readonly string[] | undefined;
}

export interface Repairs {
  readonly fill: readonly Repair[];
  /** Keys of finished leases that may be deleted. */
  readonly garbage: readonly string[];
}

const NOTHING: Repairs = { fill: [], garbage: [] };

/** @param shards all shards of one stream, closed ones included; @param leases the leases of this stream, read before. */
export function planRepairs(shards: readonly Shard[], leases: readonly Lease[]): Repairs {
  const open = shards.filter((shard) => shard.endingSequenceNumber === undefined);
  if (findHoles(open.map((shard) => shard.hashKeyRange)).length > 0) return NOTHING;
  const family = new Family(shards, leases);
  const fill: Repair[] = [];
  const garbage: string[] = [];
  for (const lease of leases) {
    const shard = family.shard(lease.shardId);
    if (shard === undefined) {
      if (isEnded(lease) && family.isSurvived(lease)) garbage.push(lease.leaseKey);
      continue;
    }
    const hashKeyRange = isEnded(lease) || lease.hashKeyRange !== undefined ? undefined : shard.hashKeyRange;
    const childShardIds = isEnded(lease) && lease.childShardIds.length === 0 ? family.childrenOf(shard) : undefined;
    if (hashKeyRange ?? childShardIds) fill.push({ leaseKey: lease.leaseKey, hashKeyRange, childShardIds });
  }
  return { fill, garbage };
}

/** Whether records of the shard were read, or nobody waits for them: a lease that has left its first position. */
export function hasMoved({ checkpoint: { sequenceNumber } }: Lease): boolean {
  return sequenceNumber !== 'TRIM_HORIZON' && sequenceNumber !== 'AT_TIMESTAMP';
}

/** Who descends from whom, by the listing. */
class Family {
  readonly #shards: ReadonlyMap<string, Shard>;
  readonly #leases: ReadonlyMap<string, Lease>;
  readonly #children = new Map<string, Shard[]>();

  constructor(shards: readonly Shard[], leases: readonly Lease[]) {
    this.#shards = new Map(shards.map((shard) => [shard.shardId, shard]));
    this.#leases = new Map(leases.map((lease) => [lease.shardId, lease]));
    for (const shard of shards) {
      for (const parent of shard.parentShardIds) {
        const siblings = this.#children.get(parent);
        if (siblings === undefined) this.#children.set(parent, [shard]);
        else siblings.push(shard);
      }
    }
  }

  shard(shardId: string): Shard | undefined {
    return this.#shards.get(shardId);
  }

  /** The children of a closed shard; undefined while the listing shows only some of them. */
  childrenOf({ shardId, hashKeyRange }: Shard): string[] | undefined {
    const children = this.#children.get(shardId) ?? [];
    const below = { start: MIN_HASH_KEY, end: hashKeyRange.start - 1n };
    const above = { start: hashKeyRange.end + 1n, end: MAX_HASH_KEY };
    const ranges = [...children.map((child) => child.hashKeyRange), below, above].filter(
      ({ start, end }) => start <= end,
    );
    const covered = findHoles(ranges as HashKeyRange[]).length === 0;
    return children.length > 0 && covered ? children.map((child) => child.shardId).sort() : undefined;
  }

  /** Every child that is still there, as listed or as a lease, has begun, or has been worked off and left leases that have. */
  isSurvived({ shardId, childShardIds }: Lease): boolean {
    const listed = (this.#children.get(shardId) ?? []).map((child) => child.shardId);
    const leased = childShardIds.filter((child) => this.#leases.has(child));
    return [...listed, ...leased].every((child) => this.#hasBegun(child));
  }

  #hasBegun(shardId: string): boolean {
    const lease = this.#leases.get(shardId);
    if (lease !== undefined) return hasMoved(lease);
    const children = this.#children.get(shardId) ?? [];
    return children.length > 0 && children.every((child) => this.#hasBegun(child.shardId));
  }
}

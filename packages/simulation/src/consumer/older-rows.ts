// Worlds whose table is written to by an older fleet, too: a KCL 1.x writes no hash key range with a lease and no children with a
// shard's end. And the checker of what becomes of such rows, and of finished leases in all worlds. It knows the shards from the
// stream, never from a row.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type Lease, leaseKeyOf, type Shard } from '../../../consumer/dist/coordination/lease.js';

/** The write as a worker of the KCL 1.x would have made it. */
export function asOlderFleet(effect: TableEffect): TableEffect {
  if (effect.kind === 'createLease') return { ...effect, lease: { ...effect.lease, hashKeyRange: undefined } };
  if (effect.kind === 'checkpointLease') return { ...effect, childShardIds: undefined };
  return effect;
}

export class RowChecker {
  /** All shards of a stream, as they are now. */
  readonly #shardsOf: (streamId: string | undefined) => readonly Shard[];
  /** Leases that have left their first position at some time. */
  readonly #begun = new Set<string>();

  constructor(shardsOf: (streamId: string | undefined) => readonly Shard[]) {
    this.#shardsOf = shardsOf;
  }

  /**
   * A write was applied.
   * @param mayBeFormers the row may be of a stream before that of its name, which nobody knows any more.
   * @returns what is wrong with it
   */
  changed(before: Lease | undefined, after: Lease | undefined, mayBeFormers: boolean): string | undefined {
    if (after !== undefined && after.checkpoint.sequenceNumber !== 'TRIM_HORIZON') this.#begun.add(after.leaseKey);
    if (mayBeFormers) return undefined;
    if (after !== undefined) {
      const isFilled = before?.hashKeyRange !== after.hashKeyRange || before?.childShardIds !== after.childShardIds;
      return isFilled ? (this.#checkRange(after) ?? this.#checkChildren(after)) : undefined;
    }
    if (before === undefined) return undefined;
    const waiting = this.#childrenOf(before).filter((child) => !this.#begun.has(leaseKeyOf(before.streamId, child)));
    if (waiting.length === 0) return undefined;
    return `the lease ${before.leaseKey} was deleted before its children ${waiting.join(', ')} had begun`;
  }

  /** The leases with the ranges of their shards, whatever their rows say. */
  withRanges(leases: Iterable<Lease>): Lease[] {
    return [...leases].map((lease) => ({ ...lease, hashKeyRange: this.#shardOf(lease)?.hashKeyRange }));
  }

  /** Rows that a leader should have filled in by now. */
  lacking(leases: Iterable<Lease>): string[] {
    return [...leases]
      .filter((lease) => (isEnded(lease) ? lease.childShardIds.length === 0 : lease.hashKeyRange === undefined))
      .map((lease) => lease.leaseKey);
  }

  #checkRange(lease: Lease): string | undefined {
    const { start, end } = lease.hashKeyRange ?? {};
    const range = this.#shardOf(lease)?.hashKeyRange;
    if (start === undefined || (start === range?.start && end === range.end)) return undefined;
    return `the lease ${lease.leaseKey} has the hash keys ${start} to ${end}, its shard ${range?.start} to ${range?.end}`;
  }

  #checkChildren(lease: Lease): string | undefined {
    const named = lease.childShardIds;
    const children = this.#childrenOf(lease);
    if (named.length === 0 || [...named].sort().join() === [...children].sort().join()) return undefined;
    return `the lease ${lease.leaseKey} names the children ${named.join(', ')}, its shard has ${children.join(', ')}`;
  }

  #shardOf({ streamId, shardId }: Lease): Shard | undefined {
    return this.#shardsOf(streamId).find((shard) => shard.shardId === shardId);
  }

  #childrenOf({ streamId, shardId }: Lease): string[] {
    return this.#shardsOf(streamId)
      .filter((shard) => shard.parentShardIds.includes(shardId))
      .map((shard) => shard.shardId);
  }
}

// Which completed leases may go: one pure decision over the lease table, taken by the leader (KCL LeaseCleanupManager, which
// keeps a queue in the memory of the worker that finished the shard; reading it off the table survives that worker).
// Invariant: a lease goes only when nothing needs it any more, as the parent that children wait for or as the ancestor that
// keeps shard sync from starting over.
import { isEnded, type Lease, leaseKeyOf } from './lease.ts';
import { hasMoved } from './lease-repair.ts';

/**
 * The keys of leases that are at SHARD_END, whose children all have leases that began to move, and whose parents' leases are gone.
 * @param unreadable keys of rows that are there and cannot be read: they are not gone.
 */
export function planCleanup(leases: readonly Lease[], unreadable: ReadonlySet<string> = new Set()): string[] {
  const byKey = new Map(leases.map((lease) => [lease.leaseKey, lease]));
  return leases.filter((lease) => mayGo(lease, byKey, unreadable)).map((lease) => lease.leaseKey);
}

function mayGo(lease: Lease, byKey: ReadonlyMap<string, Lease>, unreadable: ReadonlySet<string>): boolean {
  const ofShard = (shardId: string): Lease | undefined => byKey.get(leaseKeyOf(lease.streamId, shardId));
  if (!isEnded(lease) || lease.childShardIds.length === 0) return false;
  const isThere = (shardId: string): boolean =>
    ofShard(shardId) !== undefined || unreadable.has(leaseKeyOf(lease.streamId, shardId));
  if (lease.parentShardIds.some(isThere)) return false;
  return lease.childShardIds.every((child) => {
    const lease = ofShard(child);
    return lease !== undefined && hasMoved(lease);
  });
}

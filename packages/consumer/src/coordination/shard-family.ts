// At a shard's end: which leases decide what may be made for its children, and which child is next (KCL ShutdownTask). A question
// put to the table by the shard consumer between the last batch and the handler's `shardEnded`. Pure.
// Invariant: a merge's child is created only when the other parent has a lease, too; it could start before that one was read.
import type { ChildShard, Lease } from './lease.ts';

/** The children and, of a merge, the other parent: their leases are to be looked for. */
export function familyOf(shardId: string, children: readonly ChildShard[]): string[] {
  const family = new Set(children.flatMap((child) => [child.shardId, ...child.parentShardIds]));
  family.delete(shardId);
  return [...family];
}

/**
 * The child whose lease is to be created next.
 * @param family leases of `familyOf` that exist.
 * @returns `complete`: all children have leases; `notYet`: the other parent's has to come first, by shard sync.
 */
export function nextChild(
  shardId: string,
  children: readonly ChildShard[],
  family: readonly Lease[],
): ChildShard | 'complete' | 'notYet' {
  const existing = new Set(family.map((lease) => lease.shardId));
  const next = children.find((child) => !existing.has(child.shardId));
  if (next === undefined) return 'complete';
  return next.parentShardIds.every((parent) => parent === shardId || existing.has(parent)) ? next : 'notYet';
}

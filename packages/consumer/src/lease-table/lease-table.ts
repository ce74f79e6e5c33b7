// The port through which the runtime reaches the lease table: every table effect of the core, run once, with its result.
// Two implementations obey one contract suite: `memory.ts` (also the simulator's table) and `dynamodb.ts`.
import type { ClientVersion } from '../coordination/client-version.ts';
import type { ResultOf, TableEffect } from '../coordination/effects.ts';

export interface LeaseTable {
  /** Creates the table and its owner index if absent, waits until they are usable, checks that it is a lease table. */
  open(): Promise<void>;
  /** Which protocol the fleet spoke when `open` found the table. */
  readonly clientVersion: ClientVersion;
  /** Runs one effect, once. Rejects when it can't be known whether it was applied. */
  run<E extends TableEffect>(effect: E): Promise<ResultOf<E>>;
  close(): Promise<void>;
}

/**
 * 1 when an assignment to `newOwner` counts as a switch of owners, 0 when the lease is his already. The KCL counts none where nobody held the
 * lease, nor where a handoff is completed (DynamoDBLeaseSerializer, getDynamoTakeLeaseUpdate), and no decision of its own asks for the
 * count; ours is 0 only if the owner has made a checkpoint since he got the lease, by which a new leader knows that he has found it.
 */
export function ownerSwitches(
  seen: { readonly leaseOwner: string | undefined; readonly checkpointOwner: string | undefined },
  newOwner: string,
): 0 | 1 {
  return seen.leaseOwner === newOwner && seen.checkpointOwner === undefined ? 0 : 1;
}

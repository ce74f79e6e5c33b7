// What one run of the leader writes, from what it has read and listed: first leases, beginnings anew, assignments, repairs, deletions,
// in the order in which they are begun. Between the questions of each part (assignment.ts, lease-cleanup.ts, stream-sync.ts,
// lease-repair.ts) and leader.ts, which begins the writes while it is sure to lead.
// Invariant: a plan follows from the view alone; nothing is remembered from one run to the next.
import { type AssignableLease, type AssignmentRules, planAssignment } from './assignment.ts';
import type { DeleteLease, Effect } from './effects.ts';
import type { Fleet } from './fleet.ts';
import type { Lease, Shard } from './lease.ts';
import { planCleanup } from './lease-cleanup.ts';
import type { Repair } from './lease-repair.ts';
import type { Notice } from './notice.ts';
import { type SilentWorker, silentWorkers } from './silence.ts';
import type { Reset } from './stream-replaced.ts';

/** What the listings of a run have shown. */
export interface Findings {
  /** Leases of shards that have none. */
  readonly missing: Lease[];
  readonly repairs: Repair[];
  /** Keys of leases whose shards the stream no longer has. */
  readonly garbage: string[];
  /** Leases that are read too early, since the ones of their shards' parents begin anew. */
  readonly early: Lease[];
  /** Leases of an earlier stream of the same name that begin anew. */
  readonly resets: Reset[];
  /** Leases of shards that the stream never had, to be deleted. */
  readonly strays: Lease[];
}

export interface RunView {
  readonly table: readonly Lease[];
  /** Keys of rows that are there and cannot be read. */
  readonly unreadable: ReadonlySet<string>;
  readonly fleet: Fleet;
  /** Keys of leases of streams that are read no longer, to be deleted. */
  readonly former: readonly string[];
  readonly found: Findings;
  /** Whether leases are the leader's to assign. */
  readonly assigns: boolean;
  /** Whether a lease that nobody holds is to stay so for now. */
  readonly isHeldBack: (lease: Lease) => boolean;
  /** Whether a finished lease may be of a stream that is there no more. */
  readonly mayBeOfAnother: (lease: Lease) => boolean;
}

export interface RunPlan {
  readonly writes: Effect[];
  /** Undefined: the run changes nothing that others would follow. */
  readonly planned:
    | { readonly created: number; readonly assigned: number; readonly handedOff: number; readonly deleted: number }
    | undefined;
  /** Live leases that will move once those who are to get them are known to live. */
  readonly putOffCount: number;
  readonly silent: readonly SilentWorker[];
  /** Keys of leases that nobody holds and that no worker has room for. */
  readonly unplaced: readonly string[];
  /** What was seen. */
  readonly counts: RunCounts;
}

/** Of a run: how many leases and workers there are, and what moves. */
export type RunCounts = Omit<Extract<Notice, { kind: 'runPlanned' }>, 'kind' | 'streams'>;

export function nothingFound(): Findings {
  return { missing: [], repairs: [], garbage: [], early: [], resets: [], strays: [] };
}

export function planRun(view: RunView, rules: AssignmentRules): RunPlan {
  const { table, fleet, found } = view;
  const former = new Set(view.former);
  const kept = former.size === 0 ? table : table.filter(({ leaseKey }) => !former.has(leaseKey));
  const byKey = new Map(table.map((lease) => [lease.leaseKey, lease]));
  const judged = fleet
    .judge(kept)
    .filter(({ available, leaseKey }) => !available || !view.isHeldBack(byKey.get(leaseKey) as Lease));
  const workers = view.assigns ? fleet.activeWorkers() : [];
  const planned = planAssignment(judged, workers, rules);
  // Who died before it was seen to live could not take a live lease over, which would rest. Its share is kept for it meanwhile: what
  // went to others would move twice.
  const unsure = new Set(workers.flatMap(({ workerId, lastSeen }) => (lastSeen === 'lately' ? [workerId] : [])));
  const moves = planned.filter(({ to, kind }) => kind === 'assign' || !unsure.has(to));
  const putOffCount = planned.length - moves.length;
  const finished = new Set([...planCleanup(table, view.unreadable), ...found.garbage]);
  const mayBeDeleted = (lease: Lease): boolean => fleet.mayCleanUp(lease.leaseKey) && !view.mayBeOfAnother(lease);
  const strays = new Set(found.strays.map(({ leaseKey }) => leaseKey));
  const deleted = table.filter(({ leaseKey }) => finished.has(leaseKey) && !strays.has(leaseKey)).filter(mayBeDeleted);
  const forgotten = table.filter(({ leaseKey }) => former.has(leaseKey));

  const writes: Effect[] = [];
  for (const lease of found.missing)
    writes.push({ kind: 'createLease', lease, leaseKey: lease.leaseKey, tenure: undefined });
  // Behind the leases that are missing: as long as one of these stands, it is known that the stream is another one.
  for (const lease of found.early) writes.push(...evictionOf(lease));
  for (const { lease, shard } of found.resets) writes.push(resetOf(lease, shard));
  for (const { leaseKey, to, kind } of moves) {
    const lease = byKey.get(leaseKey) as Lease;
    if (kind === 'handOff') writes.push({ kind: 'handOffLease', leaseKey, from: lease.leaseOwner as string, to });
    else {
      writes.push({
        kind: 'assignLease',
        leaseKey,
        seenOwner: lease.leaseOwner,
        seenCheckpointOwner: lease.checkpointOwner,
        // A handoff that is overdue is ended although its old owner still renews.
        seenCounter: fleet.isLive(lease) ? undefined : lease.leaseCounter,
        newOwner: to,
        tenure: undefined,
      });
    }
  }
  for (const repair of found.repairs) writes.push({ kind: 'fillLease', ...repair });
  for (const lease of deleted) writes.push(deletionOf(lease, true));
  for (const lease of forgotten) writes.push(deletionOf(lease, false));
  for (const lease of found.strays) writes.push({ ...deletionOf(lease, false), seenCheckpoint: lease.checkpoint });

  const handedOff = moves.filter((move) => move.kind === 'handOff').length;
  const counted = {
    created: found.missing.length,
    assigned: moves.length - handedOff,
    handedOff,
    deleted: deleted.length + forgotten.length + strays.size,
  };
  const hasChanged = writes.length > 0;
  // Last, and no change that others would follow.
  for (const worker of fleet.goneWorkers(kept)) writes.push({ kind: 'deleteWorker', ...worker });
  const silent = silentWorkers(moves, (leaseKey) => byKey.get(leaseKey), fleet);
  const moved = new Set(moves.map(({ leaseKey }) => leaseKey));
  const isUnplaced = ({ leaseKey, available }: AssignableLease): boolean =>
    available && !moved.has(leaseKey) && !fleet.isLive(byKey.get(leaseKey) as Lease);
  const unplaced = workers.length > 0 ? judged.filter(isUnplaced).map(({ leaseKey }) => leaseKey) : [];
  const availableKeys = new Set(judged.flatMap(({ leaseKey, available }) => (available ? [leaseKey] : [])));
  const counts = {
    leaseCount: table.length,
    workerCount: workers.length,
    availableCount: availableKeys.size,
    movedCount: moves.length,
    balancedCount: rules.balances ? moves.filter(({ leaseKey }) => !availableKeys.has(leaseKey)).length : undefined,
    assigns: view.assigns,
    rows: fleet.rowCounts(table),
    unplacedCount: unplaced.length,
    unreadableCount: view.unreadable.size,
  };
  return { writes, planned: hasChanged ? counted : undefined, putOffCount, silent, unplaced, counts };
}

function deletionOf({ leaseKey, leaseCounter }: Lease, onlyEnded: boolean): DeleteLease {
  return { kind: 'deleteLease', leaseKey, onlyEnded, seenCounter: leaseCounter };
}

/** Its owner may write it at any time, so the counter is not asked for. */
function evictionOf({ leaseKey, leaseOwner: seenOwner }: Lease): Effect[] {
  if (seenOwner === undefined) return [];
  return [{ kind: 'evictLease', leaseKey, seenOwner, seenCounter: undefined, tenure: undefined }];
}

function resetOf({ leaseKey, leaseCounter, checkpoint }: Lease, { parentShardIds, hashKeyRange }: Shard): Effect {
  const seen = { seenCounter: leaseCounter, seenCheckpoint: checkpoint };
  return { kind: 'resetLease', leaseKey, ...seen, parentShardIds, hashKeyRange };
}

// Who takes over when a worker leaves in good order: one pure decision, taken by the worker that leaves, over one look at the
// table. It assigns its leases itself, so that a deploy moves a shard at once whoever leads; a KCL leaves its leases to expire.
// Invariants: only live workers are named, as far as one look can tell; a lease without one is left to nobody and the leader. The row of
// a worker that died shows it alive for another minute, and the fewest leases of all: one that holds none must have said so lately. Who
// declines a lease gets it only where no other one that is surely there has room, of whichever kind.
import { type AssignableLease, type AssignmentLimits, declinedBy } from './assignment.ts';
import { planByCount } from './by-count.ts';
import { actualOwner, isEnded, type Lease, type WorkerRow } from './lease.ts';
import { isSound } from './utilization.ts';

export interface SuccessionRules extends AssignmentLimits {
  readonly leaving: string;
  /** A worker whose metric row is older gets nothing. By the reader's clock: one look can't see it change. */
  readonly workerStaleMs: number;
  /** By then the leases of a worker that died have run out. */
  readonly failoverTimeMs: number;
}

/**
 * Workers of ours find their leases within `leaseDiscoveryIntervalMs`, Java ones every 10 s: ours come first, up to so many times an even
 * share. Whoever leads evens it out later, by handoffs that let no shard rest.
 */
const PROMPT_SHARE = 1.5;

/** A metric row says when in whole seconds: it may be so much younger. */
const REPORTED_WITHIN_MS = 1_000;

/**
 * The heir of each unfinished lease of the worker that leaves; no entry: nobody has room, or nobody is there.
 * @param only these of them, where it does not leave for good. Default: all.
 */
export function planSuccession(
  leases: readonly Lease[],
  workers: readonly WorkerRow[],
  rules: SuccessionRules,
  only?: { has(leaseKey: string): boolean },
): ReadonlyMap<string, string> {
  const { leaving, workerStaleMs, failoverTimeMs } = rules;
  const heirs = workers.filter(
    ({ workerId, ageMs, utilization }) =>
      workerId !== leaving && ageMs - REPORTED_WITHIN_MS < workerStaleMs && isSound(utilization),
  );
  const holders = new Set(leases.flatMap((lease) => (isEnded(lease) ? [] : (lease.leaseOwner ?? []))));
  const sure = heirs.filter(({ workerId, ageMs }) => ageMs < failoverTimeMs || holders.has(workerId));
  const assignable = leases
    .filter((lease) => !isEnded(lease))
    .map((lease) => ({
      leaseKey: lease.leaseKey,
      owner: lease.leaseOwner,
      available:
        actualOwner(lease) === leaving && lease.checkpointOwner === undefined && only?.has(lease.leaseKey) !== false,
      movable: false,
      throughputKBps: lease.throughputKBps,
    }));
  const offered = assignable.map((lease) =>
    // As a lease that its holder wants no more, it goes to nobody who declines it.
    lease.available ? { ...lease, available: false, isGivenUp: true } : lease,
  );
  const prompt = sure.filter((heir) => heir.process !== undefined);
  const most = Math.ceil((PROMPT_SHARE * assignable.length) / sure.length);
  const promptly = plan(offered, prompt, { ...rules, maxLeasesForWorker: Math.min(rules.maxLeasesForWorker, most) });
  const gladly = new Map([...promptly, ...plan(without(offered, promptly), sure, rules)]);
  const surely = new Map([...gladly, ...plan(without(assignable, gladly), sure, rules)]);
  return new Map([...surely, ...plan(without(assignable, surely), heirs, rules)]);
}

/** What is given away is its heir's, and not to be had. */
function without(leases: readonly AssignableLease[], given: ReadonlyMap<string, string>): AssignableLease[] {
  return leases.map((lease) => {
    const owner = given.get(lease.leaseKey);
    return owner === undefined ? lease : { ...lease, owner, available: false, isGivenUp: false };
  });
}

function plan(
  leases: readonly AssignableLease[],
  heirs: readonly WorkerRow[],
  limits: AssignmentLimits,
): ReadonlyMap<string, string> {
  const names = heirs.map(({ workerId }) => workerId);
  const moves = planByCount(leases, names, limits, false, { declined: declinedBy(heirs) });
  return new Map(moves.map(({ leaseKey, to }) => [leaseKey, to]));
}

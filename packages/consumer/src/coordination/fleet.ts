// What the leader knows of the fleet from looking at the table again and again: which leases are expired, which handoffs are
// overdue, which workers live. Judged by change as this process saw it, never by comparing clocks (KCL LeaseAssignmentManager;
// a new leader therefore needs one failoverTimeMs before it can call any owned lease expired).
import type { AssignableLease, AssignableWorker } from './assignment.ts';
import { actualOwner, isEnded, type Lease, NOTHING_MEASURED, type Utilization, type WorkerRow } from './lease.ts';
import { outdatedShare, reportSeen } from './outdated.ts';
import { Trials } from './trials.ts';
import { figureCountOf, isFailing, isSound, isValid, metricsOf } from './utilization.ts';

export interface FleetOptions {
  readonly workerId: string;
  readonly failoverTimeMs: number;
  readonly gracefulLeaseHandoffTimeoutMs: number;
  /** A worker of ours has found by then what it was given. */
  readonly leaseFindingMs: number;
  /** A lease must have been seen at SHARD_END for so long before it may be cleaned up. */
  readonly completedLeaseCleanupIntervalMs: number;
  /** A worker whose metric row has not changed for so long gets no leases. */
  readonly workerStaleMs: number;
  /** A metric row that has not changed for longer is deleted. */
  readonly staleWorkerMetricsEntryCleanupDurationMs: number;
  /** Weight of the last value of a worker metric against those before it, 0 to 1. */
  readonly workerMetricsEMAAlpha: number;
}

/**
 * A lease's throughput is smoothed over about so many looks: its holder measures it between two writes, a few seconds in which three
 * batches come or four.
 */
const SMOOTHED_LOOKS = 5;
/** Of `workerStaleMs`. */
const REPORTS_UNTIL_STALE = 2;

interface LeaseSight {
  readonly counter: number;
  readonly owner: string | undefined;
  /** When this counter was first seen. */
  readonly since: number;
  /** It ran out in an earlier reading, and stands as it did. */
  ranOut: boolean;
  /** Its owner has written it, as far as is known: not one that was given it and may not have found it yet. */
  readonly found: boolean;
  /** When it was first seen to have this owner, or was given to it by this leader. */
  readonly ownedSince: number;
  /** Of one that nobody owns: who did before, and gave it up. */
  readonly leftBy: string | undefined;
  /** Smoothed over this leader's looks; undefined: nobody has measured it. */
  readonly throughputKBps: number | undefined;
  readonly lookCount: number;
  /** Who had it before, and when it was first seen that he has it no longer. */
  readonly came: { readonly from: string | undefined; readonly at: number } | undefined;
  /** `from>to` of the handoff under way, and when it was first seen. */
  readonly handoff: string | undefined;
  readonly handoffSince: number;
  /** When it was first seen at SHARD_END. */
  readonly endedSince: number | undefined;
}

interface Given {
  readonly to: string;
  readonly counter: number | undefined;
  readonly at: number;
}

interface WorkerSight {
  readonly lastUpdateSeconds: number;
  /** When it was written, by its writer's clock at first sight. */
  readonly since: number;
  /** When this leader first saw it so. */
  readonly seenSince: number;
  /** When its last reports were seen, oldest first. */
  readonly reportsSeenAt: readonly number[];
  readonly utilization: Utilization;
  readonly movesRows: boolean;
  readonly declines: WorkerRow['declines'];
  /** Undefined: of a worker of the KCL. */
  readonly processId: string | undefined;
  readonly supportCode: number;
}

/** What is wrong with metric rows, and what they say that the fleet can do: for the leader's metrics alone. */
export interface RowCounts {
  /** Of workers that are given nothing, because a metric has no limit. */
  readonly invalidCount: number;
  /** Of live workers that are given nothing, because a metric could not be measured. */
  readonly failingCount: number;
  /** The least of the support codes of those who hold leases, 0 for one that tells none; undefined: nobody holds any. */
  readonly minSupportCode: number | undefined;
}

export class Fleet {
  readonly #options: FleetOptions;
  #leases = new Map<string, LeaseSight>();
  #workers = new Map<string, WorkerSight>();
  /** Workers that let a lease expire, until they give a sign of life. */
  readonly #suspects = new Set<string>();
  readonly #trials: Trials;
  /** Workers that gave a sign of life since this leader looks: it saw their metric row come or change, or a lease of theirs written. */
  readonly #shown = new Set<string>();
  /** Who owns a lease that has not run out. */
  #holders = new Set<string>();
  /** By worker, kB a second: see AssignableWorker. */
  #outdatedKBps = new Map<string, number>();
  /** What this leader gave away since the last reading. */
  #given = new Map<string, Given>();
  #isSettling = false;
  #readAt = Number.NEGATIVE_INFINITY;
  /** There was a reading before the present one. */
  #hasRead = false;
  #nextExpiryAt = Number.POSITIVE_INFINITY;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#trials = new Trials(options.workerStaleMs);
  }

  /**
   * Takes in one reading of the table. It shows the table at some time between `readAt`, when the read began, and `now`: a
   * change counts from `now`, an age up to `readAt`, so that a slow read never makes anything look older than it is.
   */
  observe(leases: readonly Lease[], workers: readonly WorkerRow[], readAt: number, now: number): void {
    this.#hasRead = this.#readAt !== Number.NEGATIVE_INFINITY;
    this.#readAt = readAt;
    this.#workers = new Map(workers.map((worker) => [worker.workerId, this.#seeWorker(worker, now)]));
    this.#trials.keep((workerId) => this.#workers.has(workerId));
    for (const workerId of this.#shown) if (!this.#workers.has(workerId)) this.#shown.delete(workerId);
    this.#leases = new Map(leases.map((lease) => [lease.leaseKey, this.#seeLease(lease, now)]));
    this.#given = new Map();
    this.#isSettling = false;
    this.#holders = new Set();
    let oldest = Number.POSITIVE_INFINITY;
    /** Who let run out what it never wrote. */
    const untaken = new Set<string>();
    for (const lease of leases) {
      const owner = actualOwner(lease);
      if (owner === undefined || isEnded(lease)) continue;
      const sight = this.#leases.get(lease.leaseKey) as LeaseSight;
      if (this.#isExpired(lease)) {
        this.#suspects.add(owner);
        if (!sight.found && !sight.ranOut) untaken.add(owner);
        sight.ranOut = true;
      } else {
        this.#holders.add(owner);
        if (!this.#isHeld(lease)) this.#isSettling = true;
        // A worker of the KCL that was given one may take failoverTimeMs to find it: no run comes for that. One of ours does so soon.
        const { found, since } = sight;
        if ((found || this.#isOurs(owner)) && since < oldest) oldest = since;
      }
    }
    // Once for all of it. One that holds others ends its trial by its next write to them.
    for (const workerId of untaken) this.#trials.failed(workerId, readAt);
    // Expired is what stood still for longer.
    this.#nextExpiryAt = oldest + this.#options.failoverTimeMs + 1;
    this.#outdatedKBps = new Map();
    for (const lease of leases) if (!isEnded(lease)) this.#countMoves(lease, now);
  }

  /** When the first of the leases runs out that their owners should renew before, if it is not renewed; infinite: there is none. */
  get nextExpiryAt(): number {
    return this.#nextExpiryAt;
  }

  /** Workers that may receive leases, this one among them, but none that fails to measure what it said it would. */
  activeWorkers(): AssignableWorker[] {
    const { workerId: me, workerMetricsEMAAlpha } = this.#options;
    const active: AssignableWorker[] = [];
    for (const [workerId, { utilization, declines }] of this.#workers) {
      // One that wants no more says that it measures nothing, to leaders that know no other words.
      const mayReceive = declines === 'all' || isSound(utilization);
      if ((this.#isActive(workerId) || workerId === me) && mayReceive) {
        const outdatedKBps = this.#outdatedKBps.get(workerId) ?? 0;
        const metrics = declines === 'all' ? [] : metricsOf(utilization, workerMetricsEMAAlpha);
        const isOnTrial = this.#trials.has(workerId);
        active.push({ workerId, metrics, outdatedKBps, isOnTrial, declines, lastSeen: this.#lastSeen(workerId) });
      }
    }
    if (!this.#workers.has(me)) active.push({ workerId: me, metrics: metricsOf(NOTHING_MEASURED, 1) });
    return active;
  }

  rowCounts(leases: readonly Lease[]): RowCounts {
    let invalidCount = 0;
    let failingCount = 0;
    for (const [workerId, { utilization, declines }] of this.#workers) {
      if (!isValid(utilization)) invalidCount += 1;
      else if (isFailing(utilization) && declines !== 'all' && this.reports(workerId)) failingCount += 1;
    }
    const owners = new Set(leases.flatMap((lease) => (this.isLive(lease) ? (lease.leaseOwner ?? []) : [])));
    let minSupportCode: number | undefined;
    for (const owner of owners) {
      const code = this.reports(owner) ? (this.#workers.get(owner)?.supportCode ?? 0) : 0;
      minSupportCode = Math.min(minSupportCode ?? code, code);
    }
    return { invalidCount, failingCount, minSupportCode };
  }

  /** Whether there is a worker that would move the fleet's rows into one table if it led. */
  canBeMoved(): boolean {
    for (const [workerId, { movesRows }] of this.#workers) if (movesRows && this.#isActive(workerId)) return true;
    return false;
  }

  /** The unfinished leases of the last reading, judged. */
  judge(leases: readonly Lease[]): AssignableLease[] {
    return leases
      .filter((lease) => !isEnded(lease))
      .map((lease) => {
        const available = actualOwner(lease) === undefined || this.#isExpired(lease) || this.#isHandoffOverdue(lease);
        const sight = this.#leases.get(lease.leaseKey);
        return {
          leaseKey: lease.leaseKey,
          owner: lease.leaseOwner,
          available,
          movable: !available && lease.checkpointOwner === undefined && this.#isHeld(lease),
          leftBy: sight?.leftBy,
          throughputKBps: sight?.throughputKBps ?? lease.throughputKBps,
        };
      });
  }

  /** Leases were given to workers that may not have found them yet. */
  get isSettling(): boolean {
    return this.#isSettling;
  }

  /** An available lease was given to a worker. `counter`: the lease's since, where it is known. */
  gave(leaseKey: string, to: string, counter: number | undefined, now: number): void {
    this.#given.set(leaseKey, { to, counter, at: now });
  }

  /**
   * Whether the lease ended long enough ago to be deleted. The wait outlives every request that could still make it anew:
   * a creation that was sent before the shard was worked off, and lingered.
   */
  mayCleanUp(leaseKey: string): boolean {
    const endedSince = this.#leases.get(leaseKey)?.endedSince;
    return endedSince !== undefined && this.#readAt - endedSince >= this.#options.completedLeaseCleanupIntervalMs;
  }

  /** Whether someone still renews it, so that a look at its counter is soon out of date. */
  isLive(lease: Lease): boolean {
    return actualOwner(lease) !== undefined && !this.#isExpired(lease);
  }

  /** Whether records of its shard may be on their way to a handler: its owner renews it, or has not had the time to learn that it is his no longer. */
  mayBeRead(lease: Lease): boolean {
    if (actualOwner(lease) !== undefined) return !this.#isExpired(lease);
    const since = this.#leases.get(lease.leaseKey)?.since ?? this.#readAt;
    return lease.leaseCounter > 0 && this.#readAt - since <= this.#options.failoverTimeMs;
  }

  /** For how long its holder has not written it; undefined: it has none, or one that is not silent yet. */
  silentMs(lease: Lease): number | undefined {
    const sight = this.#leases.get(lease.leaseKey);
    return sight !== undefined && this.#isExpired(lease) ? this.#readAt - sight.since : undefined;
  }

  /** Whether its metric row is fresh: a worker of the KCL 2.x has none. */
  reports(workerId: string): boolean {
    const since = this.#workers.get(workerId)?.since ?? Number.NEGATIVE_INFINITY;
    return this.#readAt - since < this.#options.workerStaleMs;
  }

  /**
   * Workers whose metric row is garbage: as old as that, seen to stand still for as long as makes a row stale, since a clock may be
   * wrong by days but a live worker's row changes, and owner of no unfinished lease.
   */
  goneWorkers(leases: readonly Lease[]): Pick<WorkerRow, 'workerId' | 'lastUpdateSeconds'>[] {
    const { workerId: me, workerStaleMs, staleWorkerMetricsEntryCleanupDurationMs } = this.#options;
    const gone: Pick<WorkerRow, 'workerId' | 'lastUpdateSeconds'>[] = [];
    for (const [workerId, { lastUpdateSeconds, since, seenSince }] of this.#workers) {
      const isOld = this.#readAt - since > staleWorkerMetricsEntryCleanupDurationMs;
      if (isOld && this.#readAt - seenSince >= workerStaleMs && workerId !== me) {
        gone.push({ workerId, lastUpdateSeconds });
      }
    }
    if (gone.length === 0) return gone;
    const unfinished = leases.filter((lease) => !isEnded(lease));
    const owners = new Set(unfinished.flatMap(({ leaseOwner, checkpointOwner }) => [leaseOwner, checkpointOwner]));
    return gone.filter(({ workerId }) => !owners.has(workerId));
  }

  /** By its last move, and by the one that is under way. */
  #countMoves({ leaseKey, leaseOwner, checkpointOwner }: Lease, now: number): void {
    const { owner, came, throughputKBps = 0 } = this.#leases.get(leaseKey) as LeaseSight;
    if (throughputKBps === 0) return;
    if (came !== undefined) {
      this.#countMove(came.from, throughputKBps, came.at);
      this.#countMove(owner, -throughputKBps, came.at);
    }
    if (checkpointOwner === undefined) return;
    this.#countMove(checkpointOwner, throughputKBps, now);
    this.#countMove(leaseOwner, -throughputKBps, now);
  }

  #countMove(workerId: string | undefined, kBps: number, at: number): void {
    const worker = workerId === undefined ? undefined : this.#workers.get(workerId);
    if (worker === undefined || workerId === undefined) return;
    const { utilization, reportsSeenAt } = worker;
    const alpha = this.#options.workerMetricsEMAAlpha;
    const outdated = kBps * outdatedShare(reportsSeenAt, figureCountOf(utilization), alpha, at);
    this.#outdatedKBps.set(workerId, (this.#outdatedKBps.get(workerId) ?? 0) + outdated);
  }

  /** When this leader gave a lease to its new owner; undefined after two writes: another one may have had it since, and given it back. */
  #givenAt({ leaseKey, leaseCounter }: Lease, owner: string | undefined): number | undefined {
    const given = this.#given.get(leaseKey);
    const isSameTenure = given?.counter !== undefined && leaseCounter - given.counter <= 1;
    return isSameTenure && given.to === owner ? given.at : undefined;
  }

  /** Who has not found a lease that it was given would never hand it over: it would rest until it runs out. */
  #isHeld(lease: Lease): boolean {
    const { found, ownedSince } = this.#leases.get(lease.leaseKey) as LeaseSight;
    const owner = actualOwner(lease);
    if (found || owner === undefined) return found;
    return this.#isOurs(owner) && this.#readAt - ownedSince >= this.#options.leaseFindingMs;
  }

  #isOurs(workerId: string): boolean {
    return this.#workers.get(workerId)?.processId !== undefined;
  }

  /**
   * A row that this leader has only seen stand still may be that of a worker that died before it led: whoever died holds the fewest leases of all. The
   * leases of one that died within the last failoverTimeMs could not have run out.
   */
  #lastSeen(workerId: string): NonNullable<AssignableWorker['lastSeen']> {
    const { workerId: me, failoverTimeMs, workerStaleMs } = this.#options;
    if (workerId === me || this.#shown.has(workerId)) return 'alive';
    const ageMs = this.#readAt - (this.#workers.get(workerId)?.since ?? Number.NEGATIVE_INFINITY);
    if (ageMs < failoverTimeMs) return 'alive';
    return ageMs < workerStaleMs / REPORTS_UNTIL_STALE || this.#holders.has(workerId) ? 'lately' : 'longAgo';
  }

  #isActive(workerId: string): boolean {
    return this.reports(workerId) && !this.#suspects.has(workerId);
  }

  #seeLease(lease: Lease, now: number): LeaseSight {
    const owner = actualOwner(lease);
    const last = this.#leases.get(lease.leaseKey);
    const same = last !== undefined && last.counter === lease.leaseCounter && last.owner === owner;
    // A counter that moves under an unchanged owner is that owner's heartbeat.
    if (last !== undefined && !same && owner !== undefined && last.owner === owner) {
      this.#suspects.delete(owner);
      this.#trials.passed(owner);
      this.#shown.add(owner);
    }
    const handoff = lease.checkpointOwner === undefined ? undefined : `${lease.checkpointOwner}>${lease.leaseOwner}`;
    const lookCount = lease.throughputKBps === undefined ? 0 : Math.min(SMOOTHED_LOOKS, (last?.lookCount ?? 0) + 1);
    return {
      counter: lease.leaseCounter,
      owner,
      throughputKBps: smoothed(last?.throughputKBps, lease.throughputKBps, lookCount),
      lookCount,
      since: same ? last.since : now,
      ranOut: same && last.ranOut,
      leftBy: owner === undefined ? (last?.owner ?? last?.leftBy) : undefined,
      found: last === undefined ? this.#isFoundAtSight(lease) : same ? last.found : last.owner === owner,
      ownedSince: last !== undefined && last.owner === owner ? last.ownedSince : (this.#givenAt(lease, owner) ?? now),
      came: last === undefined || last.owner === owner ? last?.came : { from: last.owner, at: now },
      handoff,
      handoffSince: last !== undefined && last.handoff === handoff ? last.handoffSince : now,
      endedSince: isEnded(lease) ? (last?.endedSince ?? now) : undefined,
    };
  }

  /** One that was not there at the last reading was given away since; of those of the first one a sign is that there was no switch since the checkpoint. */
  #isFoundAtSight({ ownerSwitchesSinceCheckpoint }: Lease): boolean {
    return !this.#hasRead && ownerSwitchesSinceCheckpoint === 0;
  }

  #seeWorker(worker: WorkerRow, now: number): WorkerSight {
    const { workerId, lastUpdateSeconds, utilization, movesRows = false, declines, supportCode = 0 } = worker;
    const processId = worker.process?.id;
    const last = this.#workers.get(workerId);
    if (processId !== last?.processId) this.#trials.passed(workerId);
    let since = now;
    let seenSince = now;
    let reportsSeenAt = last?.reportsSeenAt ?? [];
    // One that comes was written since.
    if (last === undefined ? this.#hasRead : last.lastUpdateSeconds !== lastUpdateSeconds) this.#shown.add(workerId);
    if (last?.lastUpdateSeconds !== lastUpdateSeconds) reportsSeenAt = reportSeen(reportsSeenAt, now);
    if (last === undefined) since = now - Math.max(0, worker.ageMs);
    else if (last.lastUpdateSeconds === lastUpdateSeconds) ({ since, seenSince } = last);
    else if (this.#trials.mayBegin(workerId, now)) this.#suspects.delete(workerId);
    return {
      lastUpdateSeconds,
      utilization,
      movesRows,
      declines,
      processId,
      supportCode,
      since,
      seenSince,
      reportsSeenAt,
    };
  }

  #isExpired(lease: Lease): boolean {
    const sight = this.#leases.get(lease.leaseKey);
    return sight?.owner !== undefined && this.#readAt - sight.since > this.#options.failoverTimeMs;
  }

  /** KCL: the handoff's time-out plus one failover time, from when this leader first saw it. */
  #isHandoffOverdue(lease: Lease): boolean {
    const sight = this.#leases.get(lease.leaseKey);
    const { gracefulLeaseHandoffTimeoutMs, failoverTimeMs } = this.#options;
    return (
      sight?.handoff !== undefined && this.#readAt - sight.handoffSince > gracefulLeaseHandoffTimeoutMs + failoverTimeMs
    );
  }
}

/** Of the first looks it is the mean. */
function smoothed(before: number | undefined, kBps: number | undefined, lookCount: number): number | undefined {
  return before === undefined || kBps === undefined ? kBps : before + (kBps - before) / lookCount;
}

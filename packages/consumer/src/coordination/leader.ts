// The one leader of a fleet: while it holds the `Leader` row (leader-lock.ts) it looks after the table: first leases, missing
// leases, assignment, clean-up, one run at a time. Pure.
// Invariant: nothing is written for the fleet but while the lock says that we lead.
// While workers take leases themselves, as those of the KCL 2.x do, it assigns none.
// A fleet whose rows Java workers are moving from three tables to one is theirs to lead: ours does one run and stands back.
import type { AssignmentRules } from './assignment.ts';
import type { FleetVersion } from './client-version.ts';
import {
  answers,
  type Done,
  type Effect,
  type Failed,
  type ListShards,
  type Tell,
  type TrackedStream,
} from './effects.ts';
import { Fleet, type FleetOptions } from './fleet.ts';
import { LeaderLock, type LeaderLockOptions } from './leader-lock.ts';
import { type Findings, nothingFound, planRun } from './leader-plan.ts';
import { actualOwner, type Lease } from './lease.ts';
import type { Results } from './results.ts';
import { RunTimes } from './run-times.ts';
import { type FormerStreams, type Listed, StreamSync } from './stream-sync.ts';

export interface LeaderOptions extends FleetOptions, LeaderLockOptions, Omit<AssignmentRules, 'balances' | 'strategy'> {
  /** How long the leases of a stream are kept that is no longer read; infinite: for ever. */
  readonly formerStreamsWaitMs: number;
  /** A stream that was deleted and made again under its name is read from its beginning. Default: it is not read. */
  readonly beginsAnew?: boolean;
  readonly leaseAssignmentIntervalMs: number;
  readonly shardSyncIntervalMs: number;
  readonly assignmentStrategy: AssignmentRules['strategy'];
  /** By utilization, live leases move once in so many intervals only; by count, in each run. */
  readonly varianceBalancingFrequency: number;
  readonly workerMetricsReportIntervalMs: number;
}

/** For so long the row is left to a worker that moves tables; a Java worker looks for it every 30 to 50 s by its defaults. */
const STAND_BACK_MS = 120_000;
/** A leader that could not read the table for so many intervals of assignment lets another one try (KCL: 3 failed runs). */
const FAILING_INTERVALS = 3;
/**
 * Writes for the fleet under way at once; the runtime runs twice as many on the table, so that heartbeats and renewals get through
 * beside a plan of thousands, and the leader knows when each of them begins.
 */
const CONCURRENT_WRITES = 16;
/** Live leases move by utilization only once the figures have followed the last such moves: so many reports of the workers. */
const REPORTS_BETWEEN_MOVES = 2;

export class Leader {
  readonly #options: LeaderOptions;
  readonly #out: (Effect | Tell)[];
  readonly #version: FleetVersion;
  readonly #lock: LeaderLock;
  /** Since when the table could not be read. */
  #failingSince: number | undefined;
  #fleet: Fleet;
  #run: 'reading' | 'listing' | 'writing' | undefined;
  #runStartedAt = 0;
  /** We led no longer since the run began, and lead anew: what it has read and planned is a former leader's. */
  #isFormers = false;
  readonly #runTimes: RunTimes;
  readonly #streams: StreamSync;
  /** As it was read in this run. */
  #table: readonly Lease[] = [];
  /** Keys of rows that are there and cannot be read. */
  #unreadable: ReadonlySet<string> = new Set();
  #listsOpen = 0;
  /** What the listings of this run have shown so far. */
  #found: Findings = nothingFound();
  /** Workers of ours, by the last reading: they read this application's streams. */
  #kin: ReadonlySet<string> = new Set();
  /** What the run still has to write, the last first. */
  #writes: Effect[] = [];
  #writesOpen = 0;
  #createdCount = 0;
  #hasChanged = false;
  /** Leases were left without a worker in the last run. */
  #hasUnplaced = false;
  /** When live leases were last looked at for moves by utilization. */
  #balancedAt = Number.NEGATIVE_INFINITY;

  constructor(options: LeaderOptions, out: (Effect | Tell)[], version: FleetVersion) {
    this.#options = options;
    this.#out = out;
    this.#version = version;
    this.#lock = new LeaderLock(options, out, {
      gained: (now) => this.#begin(now),
      lost: () => version.forget(),
    });
    this.#fleet = new Fleet(options);
    this.#streams = new StreamSync(options);
    this.#runTimes = new RunTimes(options);
  }

  /** These are the streams to look after from now on. */
  track(streams: readonly TrackedStream[], now: number, former: FormerStreams = 'all'): void {
    this.#streams.track(streams, former);
    this.#runTimes.bringForward(now);
  }

  /** Whether a write for the fleet may begin now. */
  isLeader(now: number): boolean {
    return this.#lock.isLeader(now);
  }

  /** Give the row up; nothing is done for the fleet from now on. */
  resign(): void {
    this.#lock.resign();
  }

  /** Whether the row is given up, or was never ours. */
  get resigned(): boolean {
    return this.#lock.resigned;
  }

  deadline(): number {
    const mayRun = this.#lock.holdsRow && this.#run === undefined && !this.#lock.resigning;
    return Math.min(this.#lock.deadline(), mayRun ? this.#runTimes.dueAt : Number.POSITIVE_INFINITY);
  }

  advance(now: number): void {
    this.#lock.advance(now);
    if (this.#run !== undefined || now < this.#runTimes.dueAt) return;
    if (this.isLeader(now)) {
      this.#run = 'reading';
      this.#runStartedAt = now;
      this.#out.push({ kind: 'readTable', for: 'leader' });
    } else if (this.#lock.holdsRow) {
      // Ours but not surely so: look again when the next heartbeat has been answered.
      this.#runTimes.set(now + this.#options.retryMs);
    }
  }

  done(event: Done, now: number): void {
    if (this.#lock.done(event, now)) return;
    if (answers(event, 'readTable')) {
      this.#failingSince = undefined;
      if (this.#isFormers) {
        this.#endRun(now);
        return;
      }
      this.#table = this.#streams.ours(event.result.leases);
      this.#unreadable = new Set(event.result.unreadable);
      const ours = event.result.workers.filter((worker) => worker.process !== undefined);
      this.#kin = new Set(ours.map((worker) => worker.workerId));
      this.#fleet.observe(this.#table, event.result.workers, this.#runStartedAt, now);
      if (this.isLeader(now)) this.#version.fleetRead(this.#table, event.result.workers, this.#fleet, now);
      this.#tableRead(now);
    } else if (answers(event, 'listShards')) this.#shardsListed(event.effect, event.result, now);
    else {
      if (answers(event, 'createLease') && event.result.created) this.#createdCount += 1;
      if (answers(event, 'assignLease') && event.result.applied) {
        const { leaseKey, newOwner, seenCounter } = event.effect;
        this.#fleet.gave(leaseKey, newOwner, seenCounter === undefined ? undefined : seenCounter + 1, now);
      }
      // Whoever holds it has written it meanwhile.
      if (answers(event, 'resetLease') && !event.result.applied) this.#streams.listAgain(undefined, now);
      this.#writeAnswered(now);
    }
  }

  failed(event: Failed, now: number): void {
    const { effect, error } = event;
    const isListing = effect.kind === 'listShards';
    const retryInMs = isListing ? this.#streams.listingFailed(effect.streamId, now) : this.#options.retryMs;
    this.#out.push({
      kind: 'tell',
      notice: {
        kind: 'effectFailed',
        effect: effect.kind,
        leaseKey: 'leaseKey' in effect ? effect.leaseKey : undefined,
        retryInMs,
        error,
      },
    });
    if (this.#lock.failed(event, now)) return;
    switch (effect.kind) {
      case 'readTable':
        this.#run = undefined;
        this.#isFormers = false;
        this.#runTimes.set(now + retryInMs);
        this.#failingSince ??= now;
        if (now - this.#failingSince >= FAILING_INTERVALS * this.#options.leaseAssignmentIntervalMs) {
          const failingForMs = now - this.#failingSince;
          this.#failingSince = undefined;
          this.#out.push({ kind: 'tell', notice: { kind: 'leadershipForfeited', failingForMs } });
          // Long enough for every worker of ours to look at the row.
          this.#lock.standBack(this.#options.leaderLeaseDurationMs, now);
        }
        return;
      case 'listShards':
        this.#listAnswered(now);
        return;
      default:
        if (effect.kind === 'resetLease') this.#streams.listAgain(undefined, now);
        this.#writeAnswered(now);
    }
  }

  // --- one run at a time: read the table, list the shards when due, write what is planned ---

  /** What a former time as the leader has seen is old by now. */
  #begin(now: number): void {
    this.#fleet = new Fleet(this.#options);
    this.#isFormers = this.#run !== undefined;
    this.#failingSince = undefined;
    this.#balancedAt = Number.NEGATIVE_INFINITY;
    this.#streams.forgetListings();
    this.#runTimes.set(now);
  }

  #tableRead(now: number): void {
    if (!this.isLeader(now)) {
      this.#endRun(now);
      return;
    }
    const listings = this.#streams.due(this.#table, now, this.#unreadable);
    this.#found = nothingFound();
    this.#listsOpen = listings.length;
    if (listings.length === 0) {
      this.#write(now);
      return;
    }
    this.#run = 'listing';
    this.#out.push(...listings);
  }

  #shardsListed(listing: ListShards, { shards, isAnother }: Results['listShards'], now: number): void {
    if (this.#isFormers) {
      this.#listAnswered(now);
      return;
    }
    const isStrangers = (lease: Lease): boolean => this.#strangerOf(lease) !== undefined;
    const mayBeRead = (lease: Lease): boolean => this.#fleet.mayBeRead(lease);
    const under = { isAnother, isStrangers, mayBeRead, unreadable: this.#unreadable };
    const listed = this.#streams.listed(listing, shards, this.#table, now, under);
    const { missing, hole, replaced = [], early = [], resets = [], repairs, strays } = listed;
    this.#found.missing.push(...missing);
    this.#found.repairs.push(...(repairs?.fill ?? []));
    this.#found.garbage.push(...(repairs?.garbage ?? []));
    if (hole !== undefined) this.#hole(hole);
    this.#found.early.push(...early);
    this.#found.resets.push(...resets);
    this.#found.strays.push(...(strays?.deleted ?? []));
    if (replaced.length > 0 || listed.anewCount || strays !== undefined) this.#replaced(listing, listed);
    const { streamId } = listing;
    if (listed.isSettled) this.#out.push({ kind: 'tell', notice: { kind: 'streamSettled', streamId } });
    this.#listAnswered(now);
  }

  #replaced({ streamId }: ListShards, { replaced = [], resets = [], anewCount = 0, strays }: Listed): void {
    const leases = replaced.length > 0 ? replaced : resets.map(({ lease }) => lease);
    const { believed = [], toDeleteCount = 0 } = strays ?? {};
    const leaseKeys = leases.map((lease) => lease.leaseKey);
    const strayKeys = believed.map((lease) => lease.leaseKey);
    const renewedBy = [...new Set([...replaced, ...believed].flatMap((lease) => this.#strangerOf(lease) ?? []))];
    const againInMs = this.#options.shardSyncIntervalMs;
    const counts = { anewCount, toDeleteCount, renewedBy, againInMs };
    this.#out.push({ kind: 'tell', notice: { kind: 'streamReplaced', streamId, leaseKeys, strayKeys, ...counts } });
  }

  /** Who renews it and does not say what he reads: it may be of another stream's application. */
  #strangerOf(lease: Lease): string | undefined {
    const owner = actualOwner(lease);
    return owner !== undefined && !this.#kin.has(owner) && this.#fleet.isLive(lease) ? owner : undefined;
  }

  /** A stream that could not be listed does not hold the others up; it comes again soon. */
  #listAnswered(now: number): void {
    this.#listsOpen -= 1;
    if (this.#listsOpen === 0) this.#write(now);
  }

  #write(now: number): void {
    this.#run = 'writing';
    this.#createdCount = 0;
    // The table may have been read long ago; a leader that is no longer sure of itself writes nothing.
    if (!this.isLeader(now) || this.#isFormers) {
      this.#endRun(now);
      return;
    }
    for (const hole of this.#streams.holes(this.#table, this.#found.missing)) this.#hole(hole);
    const former = this.#streams.former(this.#table, now);
    const streams = this.#streams.counts(this.#table, now);
    const balances = this.#mayBalance(now);
    const { writes, planned, putOffCount, silent, unplaced, counts } = planRun(
      {
        table: this.#table,
        unreadable: this.#unreadable,
        fleet: this.#fleet,
        former,
        found: this.#found,
        assigns: !this.#version.takes,
        isHeldBack: (lease) => this.#streams.isHeldBack(lease),
        mayBeOfAnother: (lease) => this.#streams.mayBeOfAnother(lease),
      },
      rulesOf(this.#options, balances),
    );
    // One that could move nothing yet counts for nothing.
    if (balances && (putOffCount === 0 || (planned?.handedOff ?? 0) > 0)) this.#balancedAt = now;
    this.#hasChanged = planned !== undefined || this.#fleet.isSettling || putOffCount > 0;
    for (const worker of silent) {
      // One that was asleep itself is no news to those who look for who died.
      if (worker.workerId !== this.#options.workerId)
        this.#out.push({ kind: 'tell', notice: { kind: 'workerSilent', ...worker } });
    }
    if (planned !== undefined) this.#out.push({ kind: 'tell', notice: { kind: 'leasesPlanned', ...planned } });
    this.#out.push({ kind: 'tell', notice: { kind: 'runPlanned', ...counts, streams } });
    this.#tellUnplaced(unplaced);
    this.#writes = writes.reverse();
    this.#writesOpen = 0;
    this.#beginWrites(now);
  }

  /** In each run, so that whoever is told knows that it is still so; and once when it no longer is. */
  #tellUnplaced(leaseKeys: readonly string[]): void {
    if (leaseKeys.length === 0 && !this.#hasUnplaced) return;
    this.#hasUnplaced = leaseKeys.length > 0;
    const againInMs = this.#options.leaseAssignmentIntervalMs;
    this.#out.push({ kind: 'tell', notice: { kind: 'leasesUnplaced', leaseKeys, againInMs } });
  }

  #mayBalance(now: number): boolean {
    return this.#version.mayBalance(now) && now - this.#balancedAt >= balancingIntervalMs(this.#options);
  }

  /** Begins as many writes as may be under way, and ends the run after the last. What can't begin any more is planned anew. */
  #beginWrites(now: number): void {
    while (this.#writesOpen < CONCURRENT_WRITES) {
      const write = this.#writes.pop();
      if (write === undefined) break;
      if (this.#mayBegin(write, now)) {
        this.#writesOpen += 1;
        this.#out.push(write);
      } else this.#writes = [];
    }
    if (this.#writesOpen === 0) this.#endRun(now);
  }

  /** Leases that are missing, or of a stream that is gone, are so still when the plan is old; who should have which of them is another question by then. */
  #mayBegin(write: Effect, now: number): boolean {
    const isOld = now >= this.#runStartedAt + this.#options.leaseAssignmentIntervalMs;
    return (
      this.isLeader(now) && !this.#isFormers && (write.kind === 'createLease' || write.kind === 'resetLease' || !isOld)
    );
  }

  #hole(text: string): void {
    this.#out.push({ kind: 'tell', notice: { kind: 'hole', text } });
  }

  #writeAnswered(now: number): void {
    this.#writesOpen -= 1;
    this.#beginWrites(now);
  }

  #endRun(now: number): void {
    this.#out.push({ kind: 'tell', notice: { kind: 'runEnded' } });
    this.#run = undefined;
    // Of no use between two runs, and as large as the fleet.
    this.#table = [];
    this.#found = nothingFound();
    this.#runTimes.ended(
      {
        startedAt: this.#runStartedAt,
        hasChanged: this.#hasChanged,
        retryAt: this.#streams.retryAt(),
        // Where workers take leases themselves they look for expired ones, too.
        expiryAt: this.#version.takes ? Number.POSITIVE_INFINITY : this.#fleet.nextExpiryAt,
      },
      now,
    );
    this.#hasChanged = false;
    // What was created just now is to be assigned at once; and whoever leads anew looks for himself.
    if (this.#createdCount > 0 || this.#isFormers) this.#runTimes.set(now);
    this.#isFormers = false;
    if (this.#createdCount === 0 && this.#fleet.canBeMoved() && this.isLeader(now))
      this.#lock.standBack(STAND_BACK_MS, now);
    this.#createdCount = 0;
  }
}

/** Between two runs that move live leases, at the least; a run comes every `leaseAssignmentIntervalMs`. */
export function balancingIntervalMs({
  assignmentStrategy,
  leaseAssignmentIntervalMs,
  varianceBalancingFrequency,
  workerMetricsReportIntervalMs,
}: Pick<
  LeaderOptions,
  'assignmentStrategy' | 'leaseAssignmentIntervalMs' | 'varianceBalancingFrequency' | 'workerMetricsReportIntervalMs'
>): number {
  if (assignmentStrategy === 'count') return 0;
  const reportedMs = REPORTS_BETWEEN_MOVES * workerMetricsReportIntervalMs;
  return Math.max(varianceBalancingFrequency * leaseAssignmentIntervalMs, reportedMs);
}

/** Field by field: copying all options took as long as all the rest of a run over a small table. */
function rulesOf(options: LeaderOptions, balances: boolean): AssignmentRules {
  return {
    strategy: options.assignmentStrategy,
    balances,
    maxLeasesForWorker: options.maxLeasesForWorker,
    maxThroughputPerHostKBps: options.maxThroughputPerHostKBps,
    reBalanceThresholdPercentage: options.reBalanceThresholdPercentage,
    dampeningPercentage: options.dampeningPercentage,
    allowThroughputOvershoot: options.allowThroughputOvershoot,
  };
}

/** Whether the leader, not the holder of a lease, asked for this. */
export function isLeaderEffect(effect: Effect): boolean {
  switch (effect.kind) {
    case 'listShards':
    case 'readLeader':
    case 'writeLeader':
    case 'deleteLeader':
    case 'deleteLease':
    case 'fillLease':
    case 'resetLease':
    case 'deleteWorker':
      return true;
    case 'readTable':
      return effect.for === 'leader';
    case 'createLease':
    case 'assignLease':
    case 'handOffLease':
    case 'evictLease':
      return effect.tenure === undefined;
    default:
      return false;
  }
}

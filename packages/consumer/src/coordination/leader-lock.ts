// The lock of the leader: the `Leader` row (dynamodb-lock-client), asked for, kept by heartbeats, followed when its holder is silent,
// given up for a while or for good. It knows nothing of what a leader does. Pure.
// Others look when the next heartbeat is due: a version that is seen late is waited for as much longer when its writer dies.
// Invariant: `isLeader` holds no longer than the row's lease duration, less a margin, after the START of the last good heartbeat;
// others judge expiry by seeing the same version for that long, and they saw it later than that.
import { answers, type Done, type Effect, type Failed, type Tell, type WriteLeader } from './effects.ts';
import type { LeaderRow } from './lease.ts';

export interface LeaderLockOptions {
  readonly workerId: string;
  /** A UUID of this process: versions are derived from it and never repeat. */
  readonly incarnation: string;
  readonly leaderLeaseDurationMs: number;
  readonly retryMs: number;
}

/** Told before the notices are. */
export interface LeadershipChanges {
  readonly gained: (now: number) => void;
  readonly lost: () => void;
}

/** Part of the lease duration that a leader leaves unused. */
const MARGIN = 0.1;
/** Heartbeats in one lease duration (KCL: 30 s of 120 s). */
const HEARTBEATS = 4;

/** What is known of another's row. */
interface Sight {
  readonly row: LeaderRow;
  /** When this version was seen first. */
  readonly since: number;
  /** The last look. */
  readonly lookedAt: number;
  /** When the next version should show; undefined until one was seen soon after it was written. */
  readonly dueAt: number | undefined;
}

export class LeaderLock {
  readonly #options: LeaderLockOptions;
  readonly #out: (Effect | Tell)[];
  readonly #changed: LeadershipChanges;
  #asking = false;
  #askedAt = 0;
  #nextAt = 0;
  #seen: Sight | undefined;
  /** Our row, while we lead. */
  #row: LeaderRow | undefined;
  #confirmedAt = 0;
  /** Versions that we tried to write and never heard of, with the start of each try. */
  #attempts = new Map<string, number>();
  #versionCount = 0;
  #resigning = false;
  /** The row is being given up, for a while. */
  #standingBack = false;
  #standBackMs = 0;

  constructor(options: LeaderLockOptions, out: (Effect | Tell)[], changed: LeadershipChanges) {
    this.#options = options;
    this.#out = out;
    this.#changed = changed;
  }

  /** Whether a write for the fleet may begin now. */
  isLeader(now: number): boolean {
    return (
      this.#row !== undefined &&
      !this.#resigning &&
      !this.#standingBack &&
      now < this.#confirmedAt + this.#options.leaderLeaseDurationMs * (1 - MARGIN)
    );
  }

  get holdsRow(): boolean {
    return this.#row !== undefined;
  }

  get resigning(): boolean {
    return this.#resigning;
  }

  /** Whether the row is given up, or was never ours. */
  get resigned(): boolean {
    return this.#resigning && this.#row === undefined && !this.#asking;
  }

  /** Give the row up for good. */
  resign(): void {
    this.#resigning = true;
    this.#nextAt = 0;
  }

  /** Give the row up, and leave it alone for so long. */
  standBack(standBackMs: number, now: number): void {
    this.#standingBack = true;
    this.#standBackMs = standBackMs;
    if (!this.#asking) this.#nextAt = now;
  }

  deadline(): number {
    return this.#asking || this.resigned ? Number.POSITIVE_INFINITY : this.#nextAt;
  }

  /** Begins what is due. */
  advance(now: number): void {
    if (this.#asking || now < this.#nextAt) return;
    if (this.#resigning || this.#standingBack) {
      if (this.#row !== undefined) this.#ask({ kind: 'deleteLeader', leader: this.#row }, now);
      else if (this.#standingBack) this.#stoodBack(now);
    } else if (this.#row !== undefined) this.#writeRow(this.#row.version, now);
    else this.#ask({ kind: 'readLeader' }, now);
  }

  /** False: the answer is none to the lock. */
  done(event: Done, now: number): boolean {
    if (answers(event, 'readLeader')) this.#rowRead(event.result.leader, now);
    else if (answers(event, 'writeLeader')) {
      if (event.result.applied) this.#rowWritten(event.effect, now);
      else this.#rowRefused(event.result.leader, now);
    } else if (answers(event, 'deleteLeader')) this.#rowDeleted(now);
    else return false;
    return true;
  }

  /** False: the lock did not ask for that. */
  failed({ effect }: Failed, now: number): boolean {
    switch (effect.kind) {
      case 'readLeader':
      case 'writeLeader':
        this.#asking = false;
        this.#nextAt = now + this.#options.retryMs;
        return true;
      case 'deleteLeader':
        // Its lease runs out by itself.
        this.#rowDeleted(now);
        return true;
      default:
        return false;
    }
  }

  #ask(effect: Effect, now: number): void {
    this.#asking = true;
    this.#askedAt = now;
    this.#out.push(effect);
  }

  #writeRow(expectedVersion: string | undefined, now: number): void {
    this.#versionCount += 1;
    const version = `${this.#options.incarnation.slice(0, 24)}${this.#versionCount.toString(16).padStart(12, '0')}`;
    this.#attempts.set(version, now);
    const { workerId, leaderLeaseDurationMs } = this.#options;
    const leader = { owner: workerId, version, leaseDurationMs: leaderLeaseDurationMs };
    this.#ask({ kind: 'writeLeader', leader, expectedVersion }, now);
  }

  #rowRead(row: LeaderRow | undefined, now: number): void {
    this.#asking = false;
    if (this.#resigning) {
      if (row !== undefined && this.#attempts.has(row.version)) this.#row = row;
      this.#nextAt = now;
      return;
    }
    if (row === undefined) {
      this.#writeRow(undefined, now);
      return;
    }
    const attemptedAt = this.#attempts.get(row.version);
    if (attemptedAt !== undefined) {
      this.#gain(row, attemptedAt, now);
      return;
    }
    const { since } = this.#see(row, now);
    if (row.released === true || this.#askedAt - since > row.leaseDurationMs) this.#writeRow(row.version, now);
  }

  /** Takes in another's row, and plans the next look: when a version is due or this one runs out, and not too late for a row given up. */
  #see(row: LeaderRow, now: number): Sight {
    const { retryMs, leaderLeaseDurationMs } = this.#options;
    const last = this.#seen;
    if (last?.row.owner !== row.owner && row.released !== true) {
      const { owner: workerId, leaseDurationMs } = row;
      this.#out.push({ kind: 'tell', notice: { kind: 'leaderSeen', workerId, leaseDurationMs } });
    }
    const isNew = last?.row.version !== row.version;
    const since = isNew ? now : last.since;
    const dueAt = isNew ? this.#nextVersionAt(row) : last.dueAt;
    this.#seen = { row, since, lookedAt: this.#askedAt, dueAt };
    this.#nextAt = Math.min(
      dueAt === undefined || now >= dueAt ? now + retryMs : dueAt,
      since + row.leaseDurationMs + 1,
      now + leaderLeaseDurationMs / HEARTBEATS,
    );
    return this.#seen;
  }

  /** When a version should follow the one that shows now for the first time; undefined if this one may have stood there for long. */
  #nextVersionAt({ owner, leaseDurationMs }: LeaderRow): number | undefined {
    const { retryMs } = this.#options;
    if (this.#seen === undefined) return undefined;
    const { row, lookedAt, dueAt } = this.#seen;
    const periodMs = leaseDurationMs / HEARTBEATS;
    if (this.#askedAt - lookedAt <= 2 * retryMs) return this.#askedAt + periodMs;
    const isOnTime = dueAt !== undefined && this.#askedAt >= dueAt && this.#askedAt <= dueAt + retryMs;
    // A little sooner each time, so that a look meets the old version again before clocks have drifted apart.
    return isOnTime && row.owner === owner ? dueAt + periodMs - retryMs / 10 : undefined;
  }

  #rowWritten(write: WriteLeader, now: number): void {
    this.#gain(write.leader, this.#askedAt, now);
  }

  #rowRefused(row: LeaderRow | undefined, now: number): void {
    this.#asking = false;
    const attemptedAt = row === undefined ? undefined : this.#attempts.get(row.version);
    if (row !== undefined && attemptedAt !== undefined) {
      // An earlier heartbeat of ours was applied and its answer lost.
      this.#gain(row, attemptedAt, now);
      this.#nextAt = now;
      return;
    }
    this.#lose();
    this.#seen = undefined;
    this.#nextAt = now;
    if (row !== undefined) this.#see(row, now);
  }

  #gain(row: LeaderRow, startedAt: number, now: number): void {
    this.#asking = false;
    const gained = this.#row === undefined;
    this.#row = row;
    this.#confirmedAt = gained ? startedAt : Math.max(this.#confirmedAt, startedAt);
    this.#attempts = new Map([[row.version, startedAt]]);
    this.#nextAt = Math.min(
      now + this.#options.leaderLeaseDurationMs,
      startedAt + this.#options.leaderLeaseDurationMs / HEARTBEATS,
    );
    if (this.#standingBack) this.#nextAt = now;
    if (!gained) return;
    this.#changed.gained(now);
    this.#out.push({ kind: 'tell', notice: { kind: 'leadershipGained' } });
  }

  #lose(): void {
    if (this.#row === undefined) return;
    this.#row = undefined;
    this.#changed.lost();
    this.#out.push({ kind: 'tell', notice: { kind: 'leadershipLost' } });
  }

  #rowDeleted(now: number): void {
    this.#asking = false;
    if (!this.#standingBack) this.#row = undefined;
    else this.#stoodBack(now);
  }

  #stoodBack(now: number): void {
    this.#lose();
    this.#standingBack = false;
    this.#nextAt = this.#resigning ? now : now + this.#standBackMs;
  }
}

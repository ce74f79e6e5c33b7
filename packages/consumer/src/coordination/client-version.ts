// Which protocol the fleet speaks, and when it changes (KCL MigrationStateMachine, MigrationReadyMonitor). The row `Migration3.0`
// says it: by `2X` and `UPGRADE_FROM_2X` workers take leases themselves, as those of the KCL 2.x do; by `3X_WITH_ROLLBACK` and
// `3X` a leader assigns them. Every worker looks at the row; the leader changes it, from what it saw of the fleet. Pure.
// Invariant: the leader goes over only after every owner of a lease has shown a metric row without a break for the stabilizing
// time, and goes back (but for `3X`, which is for good) when a worker without one keeps renewing leases.
import {
  answers,
  type ChangeClientVersion,
  type Done,
  type Effect,
  type Failed,
  type ReadClientVersion,
  type Tell,
} from './effects.ts';
import type { Fleet } from './fleet.ts';
import type { Lease, WorkerRow } from './lease.ts';

/** The `cv` of the row without its prefix `CLIENT_VERSION_`. */
export type ClientVersion = '2X' | 'UPGRADE_FROM_2X' | '3X_WITH_ROLLBACK' | '3X';

/** The row `Migration3.0`. */
export interface ClientVersionRow {
  readonly version: ClientVersion;
  /** A worker's id, or `KclMigrationTool-rollback` when an operator has rolled the fleet back. */
  readonly modifiedBy: string;
}

export interface ClientVersionOptions {
  readonly workerId: string;
  /** How often the row is looked at. */
  readonly leaseAssignmentIntervalMs: number;
  /** How long the fleet must have been ready, without a break, before it goes over to assignment by the leader. */
  readonly flipTo3xStabilizerTimeMs: number;
  /** How long a fleet that we rolled back stays `2X`, so that every Java worker sees it, before it may get ready again. */
  readonly rollForwardMs: number;
  /** A worker that renews leases for so long without a metric row speaks the protocol of the KCL 2.x. */
  readonly strangerMs: number;
  readonly retryMs: number;
}

/** Java workers look at the row every 60 s, the first time up to 30 s later (KCL ClientVersionChangeMonitor). */
export const JAVA_SEES_VERSION_MS = 90_000;
/** What the KCL's KclMigrationTool signs with: such a rollback is an operator's, and his to end. */
const TOOL = 'KclMigrationTool';

/** Whether workers take leases themselves. */
export function takesLeases(version: ClientVersion): boolean {
  return version === '2X' || version === 'UPGRADE_FROM_2X';
}

export class FleetVersion {
  readonly #options: ClientVersionOptions;
  readonly #out: (Effect | Tell)[];
  #row: ClientVersionRow = { version: '3X', modifiedBy: '' };
  /** When this version was first seen. */
  #since = Number.NEGATIVE_INFINITY;
  #asking = false;
  #nextAt = Number.POSITIVE_INFINITY;
  /** Since when every owner of a lease has a metric row. */
  #readySince: number | undefined;
  /** Owners without a metric row, and since when. */
  #strangers = new Map<string, number>();
  #told = new Set<string>();
  #javaReports = false;

  constructor(options: ClientVersionOptions, out: (Effect | Tell)[]) {
    this.#options = options;
    this.#out = out;
  }

  /** As the table was found. */
  begin(version: ClientVersion, now: number): void {
    this.#row = { version, modifiedBy: '' };
    // Nothing has to be waited for: whatever comes, others saw the row as early.
    this.#since = version === '3X' ? Number.NEGATIVE_INFINITY : now;
    this.#nextAt = version === '3X' ? Number.POSITIVE_INFINITY : now;
  }

  get version(): ClientVersion {
    return this.#row.version;
  }

  /** Whether workers, this one among them, take leases themselves. */
  get takes(): boolean {
    return takesLeases(this.#row.version);
  }

  /** Whether the leader may move leases that are held: all workers know by now that they don't take any, and none does. */
  mayBalance(now: number): boolean {
    if (this.takes) return false;
    if (this.#row.version === '3X') return true;
    const seenByAllMs = this.#javaReports ? JAVA_SEES_VERSION_MS : 2 * this.#options.leaseAssignmentIntervalMs;
    return this.#strangers.size === 0 && now >= this.#since + seenByAllMs;
  }

  deadline(): number {
    return this.#asking ? Number.POSITIVE_INFINITY : this.#nextAt;
  }

  advance(now: number): void {
    if (this.#asking || now < this.#nextAt) return;
    this.#ask({ kind: 'readClientVersion' });
  }

  done(event: Done, now: number): void {
    this.#asking = false;
    this.#nextAt = now + this.#options.leaseAssignmentIntervalMs;
    if (answers(event, 'readClientVersion')) this.#see(event.result.row, now);
    else if (answers(event, 'changeClientVersion')) this.#see(event.result.row, now);
  }

  failed(event: Failed, now: number): void {
    this.#asking = false;
    const { retryMs: retryInMs } = this.#options;
    this.#nextAt = now + retryInMs;
    const { effect, error } = event;
    this.#out.push({
      kind: 'tell',
      notice: { kind: 'effectFailed', effect: effect.kind, leaseKey: undefined, retryInMs, error },
    });
  }

  /** The leader has read the table. */
  fleetRead(leases: readonly Lease[], workers: readonly WorkerRow[], fleet: Fleet, now: number): void {
    this.#javaReports = workers.some((worker) => worker.process === undefined && fleet.reports(worker.workerId));
    this.#seeStrangers(leases, fleet, now);
    const { version, modifiedBy } = this.#row;
    const ready = leases.every(({ leaseOwner }) => leaseOwner !== undefined && fleet.reports(leaseOwner));
    if (!ready || version !== 'UPGRADE_FROM_2X') this.#readySince = undefined;
    else this.#readySince ??= now;
    if (version === 'UPGRADE_FROM_2X')
      this.#out.push({ kind: 'tell', notice: { kind: 'fleetReadiness', isReady: ready } });
    const { flipTo3xStabilizerTimeMs, rollForwardMs, strangerMs } = this.#options;
    if (version === 'UPGRADE_FROM_2X') {
      if (this.#readySince !== undefined && now >= this.#readySince + flipTo3xStabilizerTimeMs)
        this.#change(version, '3X_WITH_ROLLBACK');
    } else if (version === '2X') {
      if (now >= this.#since + rollForwardMs && !modifiedBy.startsWith(TOOL)) this.#change(version, 'UPGRADE_FROM_2X');
    } else this.#judgeStrangers(version, now - strangerMs);
  }

  /** Another leads now, or nobody; whoever leads next looks afresh. */
  forget(): void {
    this.#readySince = undefined;
    this.#strangers.clear();
  }

  #seeStrangers(leases: readonly Lease[], fleet: Fleet, now: number): void {
    const strangers = new Map<string, number>();
    for (const lease of leases) {
      const owner = lease.leaseOwner;
      if (owner === undefined || lease.checkpointOwner !== undefined) continue;
      if (fleet.isLive(lease) && !fleet.reports(owner)) strangers.set(owner, this.#strangers.get(owner) ?? now);
    }
    this.#strangers = strangers;
  }

  #judgeStrangers(version: '3X_WITH_ROLLBACK' | '3X', before: number): void {
    const workerIds = [...this.#strangers].filter(([, since]) => since <= before).map(([workerId]) => workerId);
    const goesBack = version === '3X_WITH_ROLLBACK';
    if (workerIds.some((workerId) => !this.#told.has(workerId))) {
      for (const workerId of workerIds) this.#told.add(workerId);
      this.#out.push({ kind: 'tell', notice: { kind: 'workersOf2x', workerIds, goesBack } });
    }
    if (goesBack && workerIds.length > 0) this.#change(version, '2X');
  }

  #change(from: ClientVersion, to: ClientVersion): void {
    if (!this.#asking) this.#ask({ kind: 'changeClientVersion', from, to, workerId: this.#options.workerId });
  }

  #ask(effect: ReadClientVersion | ChangeClientVersion): void {
    this.#asking = true;
    this.#out.push(effect);
  }

  /** No row: somebody has deleted it, and who takes what it said for true does no harm. */
  #see(row: ClientVersionRow | undefined, now: number): void {
    if (row === undefined) return;
    const from = this.#row.version;
    this.#row = row;
    if (row.version === '3X') this.#nextAt = Number.POSITIVE_INFINITY;
    if (row.version === from) return;
    this.#since = now;
    this.forget();
    this.#told.clear();
    this.#out.push({
      kind: 'tell',
      notice: { kind: 'clientVersionChanged', from, to: row.version, by: row.modifiedBy },
    });
  }
}

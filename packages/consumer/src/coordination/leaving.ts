// A worker that leaves: until when it waits for what, who gets each of its leases, and when each is read no longer. The worker
// asks and acts. Its metric row goes, or says so, so that nobody gives it more; heirs are found in one look at the table; a shard is
// read on until its heir was told by the row, as by a leader that begins a handoff, and had the time to notice. Pure.
// Invariant: every wait here ends, whether or not the table answers: heirs by `heirsBy`, leases by `leaveBy`, all by `giveUpAt`.
import type { DiscoveryOptions } from './discovery.ts';
import type { LeaseHolder } from './lease-holder.ts';

export interface LeavingOptions extends DiscoveryOptions {
  readonly failoverTimeMs: number;
  readonly gracefulLeaseHandoffTimeoutMs: number;
  /** How long handlers may take before their signals are aborted, and again until all is given up. */
  readonly shutdownGraceMs: number;
}

/** What is kept of a lease that is left. */
export interface LeavingLease {
  readonly holder: LeaseHolder;
  /** Its heir was to be told. */
  told: boolean;
  /** Its heir knows by then; undefined while that is not so sure. */
  leavesAt: number | undefined;
}

/** A worker that leaves does not wait longer than this to learn who else is there. */
const LONGEST_LOOK_MS = 1_000;
/** So long after a write the owner index may show the row as it was, and a look may take. */
const INDEX_MS = 100;

export class Leaving {
  readonly #options: LeavingOptions;
  readonly #startedAt: number;
  readonly abortAt: number;
  readonly giveUpAt: number;
  readonly #heirsBy: number;
  /** No shard is read beyond that for its heir to notice. */
  readonly #leaveBy: number;
  /** Whether to look for leases that somebody gives to us all the same. */
  readonly looks: boolean;
  /** Who shall have each lease; undefined while that is being found out. */
  #heirs: ReadonlyMap<string, string> | undefined;
  /** Workers that look often for what they are told is on its way. */
  #alert: ReadonlySet<string> = new Set();
  #isAsked = false;
  /** Handlers have had their time. */
  aborted = false;
  /** The metric row is to go. */
  forgetting: boolean;
  /** Since when nobody sees the metric row any more. */
  forgottenAt: number | undefined;

  /**
   * @param keepsRow the metric row is another process's as well. @param rowMade there may be one. @param looksForHeirs there are leases
   * to leave.
   */
  constructor(
    options: LeavingOptions,
    {
      keepsRow,
      rowMade,
      looksForHeirs,
      looks,
    }: {
      readonly keepsRow: boolean;
      readonly rowMade: boolean;
      readonly looksForHeirs: boolean;
      readonly looks: boolean;
    },
    now: number,
  ) {
    const { shutdownGraceMs, failoverTimeMs } = options;
    this.#options = options;
    this.#startedAt = now;
    this.abortAt = now + shutdownGraceMs;
    this.giveUpAt = now + 2 * shutdownGraceMs;
    this.#heirsBy = now + Math.min(LONGEST_LOOK_MS, failoverTimeMs / 3);
    this.#leaveBy = now + Math.min(2 * LONGEST_LOOK_MS, shutdownGraceMs / 2, failoverTimeMs / 2);
    this.looks = looks;
    this.#heirs = looksForHeirs ? undefined : new Map();
    this.forgetting = keepsRow;
    this.forgottenAt = keepsRow || !rowMade ? now : undefined;
  }

  /** When something of it is due by itself. */
  deadline(): number {
    const endsAt = this.aborted ? this.giveUpAt : this.abortAt;
    return this.#heirs === undefined ? Math.min(endsAt, this.#heirsBy) : endsAt;
  }

  /** It is not known yet who gets the leases. */
  get awaitsHeirs(): boolean {
    return this.#heirs === undefined;
  }

  /** Whether to look now, once, who else is there. */
  mayAskForHeirs(): boolean {
    if (this.#isAsked || !this.awaitsHeirs) return false;
    this.#isAsked = true;
    return true;
  }

  /** Nobody has said in time who else is there. */
  heirsOverdue(now: number): boolean {
    return this.awaitsHeirs && now >= this.#heirsBy;
  }

  inherit(heirs: ReadonlyMap<string, string>, alert: ReadonlySet<string>): void {
    this.#heirs = heirs;
    this.#alert = alert;
  }

  /** Who gets a lease. What was given to us while we left goes to one of those who get the others. */
  heirOf(leaseKey: string): string | undefined {
    const [anyHeir] = this.#heirs?.values() ?? [];
    return this.#heirs?.get(leaseKey) ?? anyHeir;
  }

  /** The lease has run out while its release failed: the leader will see it expire, there is nothing to wait for. */
  isPastHelp({ holder }: LeavingLease, now: number): boolean {
    return !holder.isFresh(now) && now >= this.#startedAt + this.#options.failoverTimeMs;
  }

  /**
   * Until when a shard is read: until its heir was told by the row, and had the time to notice. Where a leader has begun a handoff, or
   * the telling went wrong, nothing is waited for.
   */
  leavesAt(lease: LeavingLease, now: number): number {
    const { holder } = lease;
    if (holder.isAnnounced) {
      lease.leavesAt ??= now + noticeMs(this.#options);
      return Math.min(lease.leavesAt, this.#leaveBy);
    }
    if (holder.successor !== undefined || !holder.isFresh(now)) return now;
    if (this.#heirs === undefined || holder.announces) return this.#leaveBy;
    const heir = this.#heirs.get(holder.lease.leaseKey);
    if (heir === undefined || !this.#alert.has(heir) || lease.told) return now;
    lease.told = true;
    holder.announce(heir);
    return this.#leaveBy;
  }
}

/**
 * A leader takes a lease by force when its handoff is overdue. Who leaves may have a handler that takes longer, and is waited for as
 * long as the user says; so in time the handoff is withdrawn. @returns when.
 */
export function withdrawsAt(
  { holder, leavesAt }: LeavingLease,
  { gracefulLeaseHandoffTimeoutMs }: LeavingOptions,
  now: number,
): number {
  if (leavesAt === undefined || !holder.isAnnounced || holder.withdraws) return Number.POSITIVE_INFINITY;
  const at = leavesAt + gracefulLeaseHandoffTimeoutMs / 2;
  if (now < at) return at;
  holder.withdraw();
  return Number.POSITIVE_INFINITY;
}

/** How long a worker of ours takes to find what stands in the table: until its next look, and what that one may be late. */
export function noticeMs({ leaseDiscoveryIntervalMs }: Pick<DiscoveryOptions, 'leaseDiscoveryIntervalMs'>): number {
  return Math.min(leaseDiscoveryIntervalMs + INDEX_MS, LONGEST_LOOK_MS);
}

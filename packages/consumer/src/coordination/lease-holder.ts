// Keeps one lease in this worker's hands: claims it, renews it, writes its checkpoint, gives it up.
// Pure: told what was answered, asked for the next write. Invariant 1 of the whole consumer lives here: every write of the
// holder is conditional on the lease counter, and only one is in flight. A write whose answer was lost is repeated with the
// same counter, so at most one of the two can have been applied, and a refusal tells which (KCL DynamoDBLeaseRefresher).
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { AssignLease, CheckpointLease, EvictLease, HandOffLease, RenewLease, Tenure } from './effects.ts';
import { actualOwner, type Lease, type PendingCheckpoint, sharing } from './lease.ts';
import type { LeaseLoss } from './notice.ts';
import type { LeaseWrite } from './results.ts';
import { Unwritten } from './unwritten.ts';

export type HolderWrite = RenewLease | CheckpointLease | HandOffLease | AssignLease | EvictLease;

export interface LeaseHolderOptions {
  readonly workerId: string;
  readonly failoverTimeMs: number;
  readonly checkpointIntervalMs: number;
  /** How long to wait after a write whose outcome is unknown. */
  readonly retryMs: number;
}

/** Times in a renewal period at which leases are renewed: all together that fall due before the next. */
const RENEWALS_A_PERIOD = 32;
/** Weight of the last period in the smoothed throughput (KCL LeaseStatsRecorder). */
const THROUGHPUT_ALPHA = 0.5;

export class LeaseHolder {
  readonly tenure: Tenure;
  /** When a former tenure began at LATEST, which is still the checkpoint; our own claim notes it for the next one. */
  readonly latestSince: number | undefined;
  readonly #options: LeaseHolderOptions;
  #lease: Lease;
  /** `revision`: how much of `#unwritten` it writes. */
  #inFlight: { readonly write: HolderWrite; readonly startedAt: number; readonly revision: number } | undefined;
  /** When the last write that was applied had begun: from then on the lease is ours for failoverTimeMs. */
  #confirmedAt: number | undefined;
  /** The counter that the claim wrote. */
  #fencingToken = 0;
  #retryAt = 0;
  readonly #unwritten = new Unwritten();
  #checkpointDueAt = 0;
  /** Asked to write soon since the last checkpoint write began. */
  #hurried = false;
  /** Checkpoints that were written. */
  #writtenCount = 0;
  #releasing = false;
  #heir: string | undefined;
  /** Who is to be told that it gets the lease. */
  #announcedTo: string | undefined;
  #isAnnounced = false;
  #isWithdrawing = false;
  /** Bytes read since `#measuredAt`. */
  #bytesRead = 0;
  #measuredAt: number | undefined;
  #throughputKBps: number | undefined;
  #gone: 'lost' | 'released' | undefined;
  #loss: LeaseLoss | undefined;
  /** A write with the present counter may have been applied, or may be yet: its answer never came. */
  #uncertain = false;

  constructor(tenure: Tenure, lease: Lease, options: LeaseHolderOptions) {
    this.tenure = tenure;
    this.latestSince = lease.latestSince;
    this.#lease = lease;
    this.#options = options;
    this.#throughputKBps = lease.throughputKBps;
  }

  /** The row as last seen. */
  get lease(): Lease {
    return this.#lease;
  }

  /** Whether a write of this tenure was ever applied; only then may the shard be opened. */
  get claimed(): boolean {
    return this.#confirmedAt !== undefined;
  }

  /**
   * Greater than that of each earlier tenure of the row, whoever had it: every write but the beginning of a handoff adds to the counter, and
   * each of its values is written once. The same for the whole tenure. 0 until the lease is claimed.
   */
  get fencingToken(): number {
    return this.#fencingToken;
  }

  /** When the last write that was applied had begun; undefined: none was. */
  get confirmedAt(): number | undefined {
    return this.#confirmedAt;
  }

  get gone(): 'lost' | 'released' | undefined {
    return this.#gone;
  }

  /** What became of a lease that is lost. */
  get loss(): LeaseLoss | undefined {
    return this.#loss;
  }

  /** The worker that the leader wants the lease to go to, while a graceful handoff is under way. */
  get successor(): string | undefined {
    const { checkpointOwner, leaseOwner } = this.#lease;
    return checkpointOwner === this.#options.workerId ? leaseOwner : undefined;
  }

  /** The newest position that is written or about to be. */
  get position(): ExtendedSequenceNumber {
    return this.#unwritten.checkpoint ?? this.#lease.checkpoint;
  }

  /** Nothing vouched for or prepared waits to be written. */
  get flushed(): boolean {
    return this.#unwritten.isEmpty;
  }

  /** What `vouch` and `prepare` gave a number of at most this is in the table. */
  get writtenRevision(): number {
    return this.#unwritten.writtenRevision;
  }

  /** While a checkpoint is due: a number that changes with each one that is written. */
  checkpointOwed(now: number): number | undefined {
    const isDue = !this.flushed && this.#gone === undefined && now >= this.#checkpointDueAt;
    return isDue ? this.#writtenCount : undefined;
  }

  /** Nobody else can have been given the lease yet: a batch may be handed to the handler. */
  isFresh(now: number): boolean {
    return (
      this.#gone === undefined &&
      this.#confirmedAt !== undefined &&
      now < this.#confirmedAt + this.#options.failoverTimeMs
    );
  }

  /**
   * The handler vouches for everything up to `position`. Older positions than the known ones change nothing.
   * @returns the revision that is written once this is.
   */
  vouch(position: ExtendedSequenceNumber, childShardIds?: readonly string[]): number {
    return this.#unwritten.vouch(position, this.#lease, childShardIds);
  }

  /** The handler is about to checkpoint, and wants whoever has the shard next to know. @returns as `vouch`. */
  prepare(pending: PendingCheckpoint): number {
    return this.#unwritten.prepare(pending, this.#lease);
  }

  /** An operator wants the shard read again from an earlier place. The shard must be closed by then. */
  rewind(position: ExtendedSequenceNumber): void {
    this.#unwritten.rewind(position);
    this.hurry();
  }

  /** Counts what was read of the shard: the throughput is written with the next renewal. */
  read(byteCount: number): void {
    this.#bytesRead += byteCount;
  }

  /** Write what is vouched for and prepared at the next chance, not at the next interval. */
  hurry(): void {
    this.#checkpointDueAt = 0;
    this.#hurried = true;
  }

  /** Tell this worker, by the row, that it will get the lease, which stays ours until it is released. Tried once. */
  announce(heir: string): void {
    this.#announcedTo = heir;
  }

  /** What was announced holds no longer: the row is to name us as the owner again. */
  withdraw(): void {
    this.#isWithdrawing = true;
  }

  /** Somebody is about to be told. */
  get announces(): boolean {
    return this.#announcedTo !== undefined;
  }

  /** The handoff that the row shows was begun by us. */
  get isAnnounced(): boolean {
    return this.#isAnnounced && this.successor !== undefined;
  }

  get withdraws(): boolean {
    return this.#isWithdrawing && this.successor !== undefined;
  }

  /**
   * Give the lease up once what is vouched for has been written: to the one a handoff names, else to `heir`, else to nobody.
   * The shard must be closed by then.
   */
  release(heir?: string): void {
    this.#releasing = true;
    this.#heir = heir;
    this.hurry();
  }

  /** The next write, if one is due; it is in flight from now on. */
  nextWrite(now: number): HolderWrite | undefined {
    if (this.#inFlight !== undefined || this.#gone !== undefined || now < this.#retryAt) return undefined;
    const write = this.#choose(now);
    if (write !== undefined) this.#inFlight = { write, startedAt: now, revision: this.#unwritten.revision };
    return write;
  }

  /** When `nextWrite` will have something, as far as is known now. */
  deadline(): number {
    if (this.#inFlight !== undefined || this.#gone !== undefined) return Number.POSITIVE_INFINITY;
    const checkpoint = this.flushed ? Number.POSITIVE_INFINITY : this.#checkpointDueAt;
    const due = this.#releasing || this.announces || this.withdraws ? 0 : Math.min(this.#renewalDueAt(), checkpoint);
    return Math.max(due, this.#retryAt);
  }

  /** A write was answered. */
  answered(write: HolderWrite, result: LeaseWrite, now: number): void {
    const { startedAt, revision } = this.#inFlight ?? { startedAt: now, revision: 0 };
    this.#inFlight = undefined;
    if (this.#gone !== undefined) return;
    if (write.kind === 'handOffLease') this.#announcedTo = undefined;
    if (!result.applied) {
      if (result.unreadable) this.#lose({ how: 'unreadable' });
      else this.#refused(result.lease, this.#uncertain || result.repeated === true, now);
      return;
    }
    const place = write.kind === 'checkpointLease' ? write.checkpoint : undefined;
    this.#lease = sharing(result.lease, place === undefined ? this.#lease : { ...this.#lease, checkpoint: place });
    if (write.kind === 'handOffLease') {
      // The counter stands still: to others the lease is as old as before, and what was uncertain may land yet.
      this.#isAnnounced = true;
      return;
    }
    this.#uncertain = false;
    // An assignment to ourselves only withdraws what was announced.
    if (write.kind === 'evictLease' || (write.kind === 'assignLease' && write.newOwner !== this.#options.workerId)) {
      this.#gone = 'released';
      return;
    }
    if (this.#confirmedAt === undefined) this.#fencingToken = result.lease.leaseCounter;
    this.#confirmedAt = startedAt;
    if (write.kind === 'checkpointLease') {
      this.#checkpointDueAt = this.#hurried ? 0 : now + this.#options.checkpointIntervalMs;
      this.#writtenCount += 1;
      this.#unwritten.written(revision, this.#lease);
    }
  }

  /** It isn't known whether the write was applied. */
  failed(now: number): void {
    const write = this.#inFlight?.write;
    this.#inFlight = undefined;
    if (write?.kind === 'handOffLease') {
      // It leaves the counter alone. If it is applied after all, the next write finds out.
      this.#announcedTo = undefined;
      return;
    }
    this.#uncertain = true;
    this.#retryAt = now + this.#options.retryMs;
  }

  #choose(now: number): HolderWrite | undefined {
    const { leaseKey, leaseCounter } = this.#lease;
    const { tenure } = this;
    const renews = now >= this.#renewalDueAt();
    // Where there is something to write, the write that keeps the lease carries it: a checkpoint costs no more than a renewal.
    if (!this.flushed && (renews || now >= this.#checkpointDueAt)) {
      const { checkpoint, pendingCheckpoint, childShardIds } = this.#unwritten;
      this.#hurried = false;
      const throughputKBps = this.#measure(now);
      return {
        kind: 'checkpointLease',
        leaseKey,
        tenure,
        leaseCounter,
        checkpoint,
        pendingCheckpoint,
        childShardIds,
        throughputKBps,
      };
    }
    if (this.#releasing || this.announces || this.withdraws) return this.#passOn();
    if (renews) {
      const throughputKBps = this.#measure(now);
      const handoffKnown = this.successor !== undefined;
      const { checkpoint, latestSince } = this.#lease;
      const beginsAtLatest = checkpoint.sequenceNumber === 'LATEST' && latestSince === undefined;
      return { kind: 'renewLease', leaseKey, tenure, leaseCounter, handoffKnown, beginsAtLatest, throughputKBps };
    }
    return undefined;
  }

  /** The write of one that leaves: it tells the heir, takes that back, or gives the lease up. */
  #passOn(): HandOffLease | AssignLease | EvictLease {
    const { leaseKey, leaseCounter: seenCounter } = this.#lease;
    const { tenure, successor } = this;
    const me = this.#options.workerId;
    if (this.#announcedTo !== undefined && !this.#releasing)
      return { kind: 'handOffLease', leaseKey, from: me, to: this.#announcedTo, seenCounter, tenure };
    const given = { kind: 'assignLease', leaseKey, tenure, seenCounter } as const;
    if (successor !== undefined) {
      const newOwner = this.#releasing ? successor : me;
      return { ...given, seenOwner: successor, seenCheckpointOwner: me, newOwner };
    }
    if (this.#heir !== undefined)
      return { ...given, seenOwner: me, seenCheckpointOwner: undefined, newOwner: this.#heir };
    return { kind: 'evictLease', leaseKey, tenure, seenOwner: me, seenCounter };
  }

  /**
   * Refused: the row as it is now says whether the lease is still ours. It is if we are its actual owner and the counter is the
   * one we knew (only a handoff was begun, which leaves the counter alone) or one more, if an earlier write of ours may have been
   * applied whose answer was lost. In every other case someone else had it in between, be it under our own name.
   */
  #refused(current: Lease | undefined, mayBeOurs: boolean, now: number): void {
    const step = current === undefined ? Number.NaN : current.leaseCounter - this.#lease.leaseCounter;
    const isOwner = current !== undefined && actualOwner(current) === this.#options.workerId;
    const ours = isOwner && (step === 0 || (step === 1 && mayBeOurs));
    // A handoff to oneself is what a leader leaves behind that gave up half way; the KCL counts it as lost, too.
    if (!ours || (current.checkpointOwner !== undefined && current.checkpointOwner === current.leaseOwner)) {
      this.#lose(this.#lossTo(current));
      return;
    }
    if (step === 1) this.#uncertain = false;
    const learned = step === 1 || current.checkpointOwner !== this.#lease.checkpointOwner;
    if (!learned) this.#retryAt = now + this.#options.retryMs;
    this.#lease = sharing(current, this.#lease);
    this.#unwritten.found(current);
  }

  #lose(loss: LeaseLoss): void {
    this.#gone = 'lost';
    this.#loss = loss;
  }

  #lossTo(current: Lease | undefined): LeaseLoss {
    if (current === undefined) return { how: 'deleted' };
    const by = actualOwner(current);
    if (by === this.#options.workerId) return { how: 'ownId' };
    return by !== undefined && by === this.successor ? { how: 'handedOver', to: by } : { how: 'taken', by };
  }

  /** The smoothed throughput once a renewal period has been measured; undefined in between. */
  #measure(now: number): number | undefined {
    this.#measuredAt ??= now;
    const elapsedMs = now - this.#measuredAt;
    if (elapsedMs < this.#renewalPeriodMs() - this.#turnMs()) return undefined;
    const measured = this.#bytesRead / 1024 / (elapsedMs / 1000);
    const before = this.#throughputKBps ?? measured;
    this.#throughputKBps = THROUGHPUT_ALPHA * measured + (1 - THROUGHPUT_ALPHA) * before;
    this.#measuredAt = now;
    this.#bytesRead = 0;
    // As many decimals as the KCL writes.
    return Math.round(this.#throughputKBps * 1e6) / 1e6;
  }

  /**
   * At most a period after the last confirmed write, and together with the leases that fall due soon after this one: to be woken
   * for each by itself costs a process more than the renewals do.
   */
  #renewalDueAt(): number {
    if (this.#confirmedAt === undefined) return 0;
    const turnMs = this.#turnMs();
    return Math.floor((this.#confirmedAt + this.#renewalPeriodMs()) / turnMs) * turnMs;
  }

  /** Whole, so that a turn after a period is a turn again and no lease drifts from one to the turn before. */
  #turnMs(): number {
    return Math.max(1, Math.floor(this.#renewalPeriodMs() / RENEWALS_A_PERIOD));
  }

  #renewalPeriodMs(): number {
    // An ended lease is kept alive like any other until it is cleaned up, so that no leader hands it round.
    return this.#options.failoverTimeMs / 3;
  }
}

/** Whether a discovered row may be claimed by `workerId`: assigned to it, and no old owner still finishing. */
export function mayClaim(lease: Lease, workerId: string): boolean {
  return lease.leaseOwner === workerId && lease.checkpointOwner === undefined;
}

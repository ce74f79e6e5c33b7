// One lease in this worker's hands, for one tenure: its holder, which writes to the row, and from the applied claim on the shard consumer,
// which works the shard off. Here is what the one means for the other: when the consumer begins, why it has to go, and when the lease is
// given up once it has closed. held-leases.ts has all of them. Pure.
// Invariants: the consumer begins at most once; the lease is released only after it has closed, and so after its handler has returned.
import type { Scheduled } from './agenda.ts';
import { settleWaiters, type Waiter } from './checkpoints-by-hand.ts';
import { type Departure, departsAt, type HandOffHow } from './departure.ts';
import type { CloseReason, Effect, ReplayRequested, Tell, Tenure } from './effects.ts';
import { type HandOffOutcome, settleHandOff } from './handing-off.ts';
import { isEnded, type Lease } from './lease.ts';
import { LeaseHolder, type LeaseHolderOptions } from './lease-holder.ts';
import { type Leaving, type LeavingLease, type LeavingOptions, withdrawsAt } from './leaving.ts';
import type { Pauses } from './pauses.ts';
import { type Replay, type ReplayOutcome, refusalOf, settleReplay } from './replaying.ts';
import type { Room } from './room.ts';
import { ShardConsumer, type ShardConsumerOptions } from './shard-consumer.ts';

export interface HeldLeaseOptions extends LeaseHolderOptions, ShardConsumerOptions, LeavingOptions {}

/** What all leases of a worker have in common. */
export interface Common {
  readonly options: HeldLeaseOptions;
  /** Where effects are put, in order. */
  readonly out: (Effect | Tell)[];
  readonly room: Room;
  readonly pauses: Pauses;
}

export class HeldLease implements Scheduled, LeavingLease {
  readonly holder: LeaseHolder;
  /** Undefined before the claim was applied, and once it has closed. */
  consumer: ShardConsumer | undefined;
  /** Checkpoints by hand, each settled once its revision is written. */
  readonly waiters: Waiter[] = [];
  told = false;
  leavesAt: number | undefined;
  dueAt: number;
  place = -1;
  readonly #common: Common;
  /** The consumer has begun; there is one for each tenure at most. */
  #begun = false;
  #replay: Replay | undefined;
  /** The replay's checkpoint is being written. */
  #rewinds = false;
  /** An operator wants another worker to have it. */
  #departure: Departure | undefined;
  /** It is over, and another tenure is to begin. */
  beginsAgain = false;

  constructor(tenure: Tenure, lease: Lease, common: Common, now: number) {
    this.holder = new LeaseHolder(tenure, lease, common.options);
    this.#common = common;
    this.dueAt = now;
  }

  /** It was lost while its handler may have run: by the time that has returned it may have been given back. */
  get mayBeBack(): boolean {
    return this.#begun && this.holder.gone === 'lost';
  }

  /** It is to be read again from an earlier place. @returns why not. */
  replay({ position, requestId }: ReplayRequested, now: number): ReplayOutcome | undefined {
    if (this.#replay !== undefined) return 'underWay';
    const refusal = refusalOf(this.holder, position);
    if (refusal !== undefined) return refusal;
    // Another reason to close it came first.
    if (this.#isLeft) return 'notHeld';
    this.#replay = { position, requestId, abortAt: now + this.#common.options.shutdownGraceMs };
    return undefined;
  }

  /** Why it is not to be handed off; undefined: it may be. */
  get refusesHandOff(): HandOffOutcome | undefined {
    const { holder } = this;
    if (this.#replay !== undefined || this.#rewinds || this.#departure !== undefined) return 'underWay';
    if (holder.gone !== undefined || holder.successor !== undefined) return 'notHeld';
    if (isEnded(holder.lease)) return 'ended';
    return this.#begun && this.#isLeft ? 'notHeld' : undefined;
  }

  /** It is to go to that worker. @returns why not. */
  handOff({ heir, requestId, isTold, isAlert }: HandOffHow, now: number): HandOffOutcome | undefined {
    const refusal = this.refusesHandOff;
    if (refusal !== undefined) return refusal;
    this.#departure = { heir, requestId, isAlert, tellsBy: now + this.#common.options.failoverTimeMs / 3 };
    // One that is just being claimed does not begin.
    if (!this.#begun) this.holder.release(heir);
    else if (isTold) this.holder.announce(heir);
    return undefined;
  }

  /** Its shard is closed, or is about to be for another reason. */
  get #isLeft(): boolean {
    return this.consumer === undefined || this.consumer.closeReason !== undefined || this.#departure !== undefined;
  }

  /**
   * Brings it on as far as it goes without another answer.
   * @param leaving set while the worker leaves.
   * @returns when it has something to do by itself, infinite: never; undefined: it is over.
   */
  advance(leaving: Leaving | undefined, now: number): number | undefined {
    const { holder } = this;
    const { out } = this.#common;
    if (this.#mayBegin(leaving)) this.#begin();
    const staysUntil = this.#leave(leaving, now);
    const { consumer } = this;
    consumer?.advance(now);
    if (consumer?.phase === 'closed') this.#closed(consumer.closeReason as CloseReason, leaving);
    else if (consumer === undefined && (leaving !== undefined || holder.successor !== undefined))
      this.#release(leaving);
    if (this.#isRewound(leaving)) return undefined;
    const write = holder.nextWrite(now);
    if (write !== undefined) out.push(write);
    if (this.waiters.length > 0) settleWaiters(this, out);
    if (this.consumer === undefined && (holder.gone !== undefined || leaving?.isPastHelp(this, now))) {
      this.#settle('leaseLost');
      this.#settleDeparture();
      return undefined;
    }
    return Math.min(holder.deadline(), this.consumer?.deadline() ?? Number.POSITIVE_INFINITY, staysUntil);
  }

  /** The claim was applied, nobody wants the lease back, and there is something left to read. */
  #mayBegin(leaving: Leaving | undefined): boolean {
    const { holder } = this;
    const wanted = holder.gone === undefined && holder.successor === undefined && leaving === undefined;
    return wanted && this.#departure === undefined && !this.#begun && holder.claimed && !isEnded(holder.lease);
  }

  #begin(): void {
    const { holder } = this;
    const { options, out, room, pauses } = this.#common;
    this.#begun = true;
    const { leaseKey, checkpoint } = holder.lease;
    this.consumer = new ShardConsumer(holder, options, out, room.open(leaseKey), pauses);
    const { tenure, fencingToken } = holder;
    out.push({ kind: 'tell', notice: { kind: 'leaseBegun', leaseKey, tenure, fencingToken, checkpoint } });
  }

  /** Tells the consumer why it has to go, if it has to. @returns when it will have to, if it may stay until then. */
  #leave(leaving: Leaving | undefined, now: number): number {
    const { holder, consumer } = this;
    if (consumer === undefined) return Number.POSITIVE_INFINITY;
    if (holder.gone === 'lost') consumer.abort('leaseLost');
    else if (leaving !== undefined && consumer.closeReason === undefined) {
      const leavesAt = leaving.leavesAt(this, now);
      if (now < leavesAt) return leavesAt;
      consumer.drain('stopping');
    } else if (this.#departure !== undefined && leaving === undefined)
      return this.#depart(consumer, this.#departure, now);
    else if (holder.successor !== undefined) consumer.drain('handedOff');
    else if (this.#replay !== undefined) return this.#leaveToReplay(consumer, this.#replay, now);
    return withdrawsAt(this, this.#common.options, now);
  }

  /** As for a handoff, but for no longer than handlers have when a worker stops. */
  #leaveToReplay(consumer: ShardConsumer, { abortAt }: Replay, now: number): number {
    consumer.drain('replaying');
    if (now < abortAt) return abortAt;
    consumer.abort('replaying');
    return Number.POSITIVE_INFINITY;
  }

  /** As when the worker stops: the shard is read until its heir knows, and handlers have as long as then. */
  #depart(consumer: ShardConsumer, departure: Departure, now: number): number {
    const { options } = this.#common;
    const departs = departsAt(departure, this, options, now);
    if (now < departs) return departs;
    departure.abortAt ??= now + options.shutdownGraceMs;
    consumer.drain('handedOff');
    if (now >= departure.abortAt) consumer.abort('handedOff');
    const abortAt = now < departure.abortAt ? departure.abortAt : Number.POSITIVE_INFINITY;
    return Math.min(abortAt, withdrawsAt(this, options, now));
  }

  #settleDeparture(): void {
    if (this.#departure === undefined) return;
    const { requestId, heir } = this.#departure;
    this.#departure = undefined;
    const { gone, loss, lease } = this.holder;
    let to = gone === 'released' ? lease.leaseOwner : loss?.how === 'handedOver' ? loss.to : undefined;
    // Of a write whose answer was lost the refused repeat shows the heir: it has the lease, whoever wrote that.
    if (loss?.how === 'taken' && loss.by === heir) to = heir;
    const outcome = isEnded(lease) ? 'ended' : to === undefined ? 'leaseLost' : 'handedOff';
    settleHandOff({ requestId, leaseKey: lease.leaseKey }, outcome, to, this.#common.out);
  }

  /** The earlier checkpoint is in the table. @returns whether another tenure is to begin there. */
  #isRewound(leaving: Leaving | undefined): boolean {
    const { holder } = this;
    if (!this.#rewinds || !holder.flushed || holder.gone !== undefined) return false;
    this.#rewinds = false;
    this.#settle('replayed');
    // Whoever gets the lease from us reads from there.
    this.beginsAgain = leaving === undefined && holder.successor === undefined;
    return this.beginsAgain;
  }

  #settle(outcome: ReplayOutcome): void {
    if (this.#replay === undefined) return;
    const { requestId, position } = this.#replay;
    this.#replay = undefined;
    settleReplay({ requestId, position, leaseKey: this.holder.lease.leaseKey }, outcome, this.#common.out);
  }

  #closed(reason: CloseReason, leaving: Leaving | undefined): void {
    const { leaseKey } = this.holder.lease;
    this.consumer = undefined;
    const { tenure, loss: known } = this.holder;
    const loss = reason === 'leaseLost' ? known : undefined;
    this.#common.out.push({ kind: 'tell', notice: { kind: 'leaseEnded', leaseKey, tenure, reason, loss } });
    const isWanted = leaving === undefined && this.holder.gone === undefined && this.holder.successor === undefined;
    const hasEnded = isEnded(this.holder.lease);
    if (this.#replay !== undefined && isWanted && !hasEnded) {
      // Of calls that were not written in time nothing holds any more.
      settleWaiters(this, this.#common.out, true);
      this.#rewinds = true;
      this.holder.rewind(this.#replay.position);
      return;
    }
    this.#settle(hasEnded ? 'ended' : 'leaseLost');
    // A finished lease is kept alive until the leader cleans it up, so that it isn't handed round.
    const isFinished = reason === 'shardEnded' || (reason === 'replaying' && hasEnded);
    if (isFinished) this.#settleDeparture();
    if (!isFinished || leaving !== undefined) this.#release(leaving);
  }

  /** A lease that a handoff names nobody for waits a moment for an heir when this worker leaves. */
  #release(leaving: Leaving | undefined): void {
    const { holder } = this;
    if (leaving === undefined || holder.successor !== undefined) holder.release(this.#departure?.heir);
    else if (!leaving.awaitsHeirs) holder.release(leaving.heirOf(holder.lease.leaseKey));
  }
}

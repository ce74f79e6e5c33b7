// All leases that a worker holds, is about to hold or to give up: events, answers and an operator's words go to the one that they are about,
// and each is brought on when it is due, when there is room for its reads, or when the watchdog has lost its patience. What becomes of one
// is in held-lease.ts; which are claimed, and when the worker leaves, is said by worker.ts and stopping.ts. Pure.
// Invariants: at most one tenure of a lease at a time in this worker, and the next one begins only after the handler of the
// last has returned; an answer of another tenure than the present one changes nothing.
import { Agenda } from './agenda.ts';
import { settle, settleWaiters, vouchByHand } from './checkpoints-by-hand.ts';
import type { HandOffHow } from './departure.ts';
import type { Discovery } from './discovery.ts';
import type {
  CheckpointLease,
  CheckpointRequested,
  Control,
  Done,
  Effect,
  Failed,
  ReplayRequested,
  Tell,
  Tenure,
} from './effects.ts';
import { answers } from './effects.ts';
import type { HandOffOutcome } from './handing-off.ts';
import { type Common, HeldLease, type HeldLeaseOptions } from './held-lease.ts';
import { isEnded, type Lease } from './lease.ts';
import type { HolderWrite } from './lease-holder.ts';
import type { Leaving } from './leaving.ts';
import { Pauses } from './pauses.ts';
import { settleReplay } from './replaying.ts';
import { type Amount, Room, type RoomOptions } from './room.ts';
import { Watchdog, type WatchdogOptions } from './watchdog.ts';
import type { WorkerId } from './worker-id.ts';
import { type LeaseView, leaseView } from './worker-view.ts';

export interface HeldLeasesOptions extends HeldLeaseOptions, WatchdogOptions, RoomOptions {}

type HolderAnswer = Extract<Done, { effect: { kind: HolderWrite['kind'] } }>;

export class HeldLeases {
  /** Set once the worker leaves: from then on no tenure begins, and leases are left to others. */
  leaving: Leaving | undefined;
  readonly #out: (Effect | Tell)[];
  readonly #id: WorkerId;
  readonly #discovery: Discovery;
  readonly #leases = new Map<string, HeldLease>();
  /** Each by its own deadline. */
  readonly #agenda = new Agenda<HeldLease>();
  readonly #watchdog: Watchdog;
  readonly #room: Room;
  readonly #pauses = new Pauses();
  readonly #common: Common;
  #tenureCount = 0;

  /** @param out where effects are put, in order. */
  constructor(options: HeldLeasesOptions, out: (Effect | Tell)[], id: WorkerId, discovery: Discovery) {
    this.#out = out;
    this.#id = id;
    this.#discovery = discovery;
    this.#watchdog = new Watchdog(options);
    this.#room = new Room(options);
    this.#common = { options, out, room: this.#room, pauses: this.#pauses };
  }

  get size(): number {
    return this.#leases.size;
  }

  has(leaseKey: string): boolean {
    return this.#leases.has(leaseKey);
  }

  keys(): Iterable<string> {
    return this.#leases.keys();
  }

  /** One that is lost, with its handler still running, is looked for: somebody else may have it under our id. */
  *present(): Iterable<string> {
    for (const [leaseKey, { holder }] of this.#leases) if (holder.gone !== 'lost') yield leaseKey;
  }

  /** When one of them has something to do by itself; infinite: never. */
  deadline(): number {
    const looksAt = this.#leases.size > 0 ? this.#watchdog.deadline() : Number.POSITIVE_INFINITY;
    return Math.min(looksAt, this.#agenda.earliest, this.#room.deadline());
  }

  // --- what an operator sees and says ---

  views(now: number): LeaseView[] {
    return [...this.#leases.values()].map((held) => leaseView(held, this.#watchdog, this.#pauses, now));
  }

  /** Of all of them, read and not handled. */
  get heldAmount(): Amount {
    return this.#room.held;
  }

  /** Since when all are paused. */
  get pausedSince(): number | undefined {
    return this.#pauses.allSince;
  }

  /** Whether an operator has paused it, held or not. */
  isPaused(leaseKey: string): boolean {
    return this.#pauses.since(leaseKey) !== undefined;
  }

  control({ kind: what, leaseKeys }: Control, now: number): void {
    if (what === 'pause') this.#pauses.pause(leaseKeys, now);
    else if (what === 'resume') this.#pauses.resume(leaseKeys);
    const leases = [...this.#leases.values()].filter(
      ({ holder }) => leaseKeys?.includes(holder.lease.leaseKey) ?? true,
    );
    const retried = what === 'retry' ? leases.filter(({ consumer }) => consumer?.retry() === true) : undefined;
    const told = retried?.map(({ holder }) => holder.lease.leaseKey) ?? leaseKeys;
    if (told?.length !== 0) this.#out.push({ kind: 'tell', notice: { kind: 'controlled', what, leaseKeys: told } });
    for (const held of leases) this.#advance(held, now);
  }

  replay(event: ReplayRequested, now: number): void {
    const held = this.#leases.get(event.leaseKey);
    const refusal = held === undefined ? 'notHeld' : (this.#fateOf(held) ?? held.replay(event, now));
    if (refusal !== undefined) settleReplay(event, refusal, this.#out);
    else if (held !== undefined) this.#advance(held, now);
  }

  /** Why a lease is not to be handed off; undefined: it may be. */
  refusesHandOff(leaseKey: string): HandOffOutcome | undefined {
    const held = this.#leases.get(leaseKey);
    return held === undefined ? 'notHeld' : (this.#fateOf(held) ?? held.refusesHandOff);
  }

  /** What an operator is told of a lease while the worker leaves, and gives up all. */
  #fateOf({ holder }: HeldLease): 'ended' | 'leaseLost' | undefined {
    if (this.leaving === undefined) return undefined;
    return isEnded(holder.lease) ? 'ended' : 'leaseLost';
  }

  /** @returns why it is not. */
  handOff(leaseKey: string, how: HandOffHow, now: number): HandOffOutcome | undefined {
    const held = this.leaving === undefined ? this.#leases.get(leaseKey) : undefined;
    const refusal = held === undefined ? 'notHeld' : held.handOff(how, now);
    if (held !== undefined && refusal === undefined) this.#advance(held, now);
    return refusal;
  }

  // --- events and answers, each to the lease it is about ---

  /** Claims a lease that was found. */
  take(lease: Lease, now: number): void {
    this.#tenureCount += 1;
    const held = new HeldLease(this.#tenureCount, lease, this.#common, now);
    this.#leases.set(lease.leaseKey, held);
    this.#advance(held, now);
  }

  checkpointRequested(event: CheckpointRequested, now: number): void {
    const held = this.#find(event.leaseKey, event.tenure);
    if (held === undefined || held.holder.gone !== undefined) settle(event.requestId, 'leaseLost', this.#out);
    else if (vouchByHand(held, event, this.#out)) this.#advance(held, now);
  }

  /** A holder's write was answered. */
  written(event: HolderAnswer, now: number): void {
    const held = this.#find(event.effect.leaseKey, event.effect.tenure as Tenure);
    if (held === undefined) return;
    held.holder.answered(event.effect, event.result, now);
    const { loss, confirmedAt = Number.NEGATIVE_INFINITY } = held.holder;
    if (loss?.how === 'ownId' && !event.result.applied && event.result.lease !== undefined)
      this.#id.lost(event.result.lease, confirmedAt, now);
    if (answers(event, 'checkpointLease') && event.result.applied) this.#tellWritten(event.effect);
    this.#advance(held, now);
  }

  /** It isn't known whether a holder's write was applied. @returns whether it was one of a present tenure. */
  writeFailed(write: HolderWrite, now: number): boolean {
    const held = this.#find(write.leaseKey, write.tenure as Tenure);
    if (held === undefined) return false;
    held.holder.failed(now);
    this.#advance(held, now);
    return true;
  }

  /** What a shard consumer asked for was answered. */
  done(event: Done, now: number, random: number): void {
    const held = this.#askerOf(event.effect);
    if (held?.consumer === undefined) return;
    held.consumer.done(event, now, random);
    this.#advance(held, now);
  }

  failed(event: Failed, now: number, random: number): void {
    const held = this.#askerOf(event.effect);
    if (held?.consumer === undefined) return;
    held.consumer.failed(event, now, random);
    this.#advance(held, now);
  }

  #find(leaseKey: string, tenure: Tenure): HeldLease | undefined {
    const held = this.#leases.get(leaseKey);
    return held?.holder.tenure === tenure ? held : undefined;
  }

  #askerOf(effect: Effect): HeldLease | undefined {
    if (!('leaseKey' in effect) || !('tenure' in effect) || effect.tenure === undefined) return undefined;
    // A child's creation is its parent's business: it carries the parent's key.
    return this.#find(effect.leaseKey, effect.tenure);
  }

  // --- several at once ---

  /** Those that have something to do by now. */
  tick(now: number): void {
    for (const held of this.#agenda.due(now)) this.#advance(held, now);
  }

  advanceAll(now: number): void {
    for (const held of [...this.#leases.values()]) this.#advance(held, now);
  }

  /** The worker's patience with handlers has run out. */
  abortAll(now: number): void {
    for (const held of [...this.#leases.values()]) {
      held.consumer?.abort('stopping');
      this.#advance(held, now);
    }
  }

  /** Those that wait until they may read, as far as there is room for them now. */
  fillRoom(now: number): void {
    for (let leaseKey = this.#room.next(now); leaseKey !== undefined; leaseKey = this.#room.next(now)) {
      const held = this.#leases.get(leaseKey);
      if (held !== undefined) this.#advance(held, now);
    }
  }

  /**
   * Looks, when it is time, whether each lease gets on. One that is given up is closed as if it were lost, but stays ours, renewed, until
   * its handler has returned: before that nobody else may have the shard.
   */
  watch(now: number): void {
    if (now < this.#watchdog.deadline()) return;
    this.#watchdog.begin(now);
    for (const held of this.#leases.values()) {
      const { consumer, holder } = held;
      if (consumer === undefined) continue;
      const verdict = this.#watchdog.look(holder.tenure, consumer.waits(now), now);
      if (verdict === undefined) continue;
      const { leaseKey } = holder.lease;
      const where = consumer.stalledAt(verdict.reason);
      const holdsLease = holder.gone === undefined;
      const notice = { kind: 'stall', leaseKey, tenure: holder.tenure, ...where, holdsLease, ...verdict } as const;
      this.#out.push({ kind: 'tell', notice });
      if (verdict.state !== 'givenUp') continue;
      consumer.abort(consumer.closeReason ?? 'stalled');
      this.#advance(held, now);
    }
  }

  // --- one of them ---

  /** Whatever changes a lease ends with this. */
  #advance(held: HeldLease, now: number): void {
    const dueAt = held.advance(this.leaving, now);
    if (dueAt !== undefined) {
      this.#agenda.set(held, dueAt);
      return;
    }
    const { holder } = held;
    this.#leases.delete(holder.lease.leaseKey);
    if (held.mayBeBack) this.#discovery.hurry(now);
    this.#agenda.remove(held);
    this.#watchdog.forget(holder.tenure);
    settleWaiters(held, this.#out, true);
    if (held.beginsAgain) this.take(holder.lease, now);
  }

  /** Of a write that only prepared, the callers alone are told. */
  #tellWritten({ leaseKey, tenure, checkpoint }: CheckpointLease): void {
    if (checkpoint === undefined) return;
    this.#out.push({ kind: 'tell', notice: { kind: 'checkpointed', leaseKey, tenure, checkpoint } });
  }
}

export function answersHolder(event: Done): event is HolderAnswer {
  return isHolderWrite(event.effect);
}

/** Of the leader's writes of the same kinds it is not asked. */
export function isHolderWrite(effect: Effect): effect is HolderWrite {
  switch (effect.kind) {
    case 'renewLease':
    case 'checkpointLease':
    case 'handOffLease':
    case 'assignLease':
    case 'evictLease':
      return true;
    default:
      return false;
  }
}

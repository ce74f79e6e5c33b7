// ★ Read this first. One worker of an application: step(event, now, random) → effects. Wires the parts in the order of a
// lease's life: the leader assigns it, or beside workers of the KCL 2.x this worker takes it itself, discovery finds it, a holder claims and renews it, a shard consumer works it off and
// gives it up. Pure: no clock, no chance, no I/O, no promise; the runtime is the only caller.
// Invariants: at most one tenure of a lease at a time in this worker, and the next one begins only after the handler of the
// last has returned; an answer of another tenure than the present one changes nothing.
import { Agenda, type Scheduled } from './agenda.ts';
import { settle, settleWaiters, vouchByHand, type Waiter } from './checkpoints-by-hand.ts';
import { type ClientVersionOptions, FleetVersion } from './client-version.ts';
import { Discovery, type DiscoveryOptions } from './discovery.ts';
import type { CheckpointLease, CloseReason, Control, Done, Effect, Event, Failed, Tell, Tenure } from './effects.ts';
import { answers } from './effects.ts';
import { isLeaderEffect, Leader, type LeaderOptions } from './leader.ts';
import { isEnded, type Lease } from './lease.ts';
import { type HolderWrite, LeaseHolder, type LeaseHolderOptions, mayClaim } from './lease-holder.ts';
import { Leaving, type LeavingLease, type LeavingOptions, withdrawsAt } from './leaving.ts';
import { Pauses } from './pauses.ts';
import { Room, type RoomOptions } from './room.ts';
import { ShardConsumer, type ShardConsumerOptions } from './shard-consumer.ts';
import type { InitialPosition } from './shard-sync.ts';
import { planSuccession } from './succession.ts';
import { isTakerEffect, Taker, type TakerOptions } from './taker.ts';
import { Watchdog, type WatchdogOptions } from './watchdog.ts';
import { WorkerId, type WorkerIdOptions } from './worker-id.ts';
import { leaseView, type WorkerView } from './worker-view.ts';

export interface WorkerOptions
  extends LeaderOptions,
    LeaseHolderOptions,
    ShardConsumerOptions,
    WatchdogOptions,
    DiscoveryOptions,
    TakerOptions,
    ClientVersionOptions,
    WorkerIdOptions,
    LeavingOptions,
    RoomOptions {}

/** A lease that this worker holds, or is about to hold or to give up. */
interface Slot extends Scheduled, LeavingLease {
  consumer: ShardConsumer | undefined;
  /** The consumer has begun; there is one for each tenure at most. */
  begun: boolean;
  /** Checkpoints by hand, each settled once its revision is written. */
  readonly waiters: Waiter[];
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #id: WorkerId;
  readonly #version: FleetVersion;
  readonly #leader: Leader;
  readonly #taker: Taker;
  readonly #slots = new Map<string, Slot>();
  /** Each slot by its own deadline. */
  readonly #agenda = new Agenda<Slot>();
  readonly #watchdog: Watchdog;
  readonly #discovery: Discovery;
  readonly #room: Room;
  readonly #pauses = new Pauses();
  #out: (Effect | Tell)[] = [];
  #tenureCount = 0;
  /** Leases were found that may be claimed only when the worker id is known to be this process's. */
  #foundEarly = false;
  #leaving: Leaving | undefined;
  #started = false;
  #stopped = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#id = new WorkerId(options, this.#out);
    this.#version = new FleetVersion(options, this.#out);
    this.#leader = new Leader(options, this.#out, this.#version);
    this.#taker = new Taker(options, this.#out);
    this.#watchdog = new Watchdog(options);
    this.#discovery = new Discovery(options, this.#out);
    this.#room = new Room(options);
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * @param now monotonic ms, never less than before.
   * @param random 0 ≤ x < 1, fresh at each call; spreads retries.
   * @returns what to do, in order.
   */
  step(event: Event, now: number, random: number): (Effect | Tell)[] {
    if (this.#stopped) return [];
    switch (event.kind) {
      case 'start':
        this.#started = true;
        this.#version.begin(event.clientVersion ?? '3X', now);
        this.#discovery.hurry(now);
        this.#id.begin(now);
        break;
      case 'tick':
        for (const slot of this.#agenda.due(now)) this.#advanceSlot(slot, now);
        break;
      case 'streams':
        this.#leader.track(event.streams, now, event.former);
        break;
      case 'stop':
        this.#beginStop(now);
        break;
      case 'checkpointRequested': {
        const slot = this.#slotOf(event.leaseKey, event.tenure);
        if (slot === undefined || slot.holder.gone !== undefined) settle(event.requestId, 'leaseLost', this.#out);
        else if (vouchByHand(slot, event, this.#out)) this.#advanceSlot(slot, now);
        break;
      }
      case 'pause':
      case 'resume':
      case 'retry':
        this.#control(event, now);
        break;
      case 'done':
        this.#done(event, now, random);
        break;
      case 'failed':
        this.#failed(event, now, random);
        break;
      default:
        event satisfies never;
    }
    this.#advance(now);
    this.#fillRoom(now);
    // Most answers ask for nothing.
    if (this.#out.length === 0) return [];
    const out = this.#out.slice();
    this.#out.length = 0;
    return out;
  }

  /** When `step` wants a `tick`, by the clock of its `now`; Infinity if only an answer can bring anything new. */
  deadline(): number {
    if (this.#stopped || !this.#started) return Number.POSITIVE_INFINITY;
    let deadline = this.#leader.deadline();
    if (this.#leaving === undefined) deadline = Math.min(deadline, this.#version.deadline());
    if (this.#takes) deadline = Math.min(deadline, this.#taker.deadline());
    if (this.#looks) deadline = Math.min(deadline, this.#discovery.deadline());
    if (this.#leaving === undefined || this.#keepsId) deadline = Math.min(deadline, this.#id.deadline());
    if (this.#leaving !== undefined) deadline = Math.min(deadline, this.#leaving.deadline());
    if (this.#slots.size > 0) deadline = Math.min(deadline, this.#watchdog.deadline());
    return Math.min(deadline, this.#agenda.earliest, this.#room.deadline());
  }

  view(now: number): WorkerView {
    return {
      workerId: this.#options.workerId,
      leader: this.#leader.isLeader(now),
      stopping: this.#leaving !== undefined,
      pausedSince: this.#pauses.allSince,
      leases: [...this.#slots.values()].map((slot) => leaseView(slot, this.#watchdog, this.#pauses, now)),
      held: this.#room.held,
    };
  }

  /** Whether an operator has paused it. */
  isPaused(leaseKey: string): boolean {
    return this.#pauses.since(leaseKey) !== undefined;
  }

  #control({ kind: what, leaseKeys }: Control, now: number): void {
    if (what === 'pause') this.#pauses.pause(leaseKeys, now);
    else if (what === 'resume') this.#pauses.resume(leaseKeys);
    const slots = [...this.#slots.values()].filter(({ holder }) => leaseKeys?.includes(holder.lease.leaseKey) ?? true);
    const retried = what === 'retry' ? slots.filter(({ consumer }) => consumer?.retry() === true) : undefined;
    const told = retried?.map(({ holder }) => holder.lease.leaseKey) ?? leaseKeys;
    if (told?.length !== 0) this.#out.push({ kind: 'tell', notice: { kind: 'controlled', what, leaseKeys: told } });
    for (const slot of slots) this.#advanceSlot(slot, now);
  }

  #slotOf(leaseKey: string, tenure: Tenure): Slot | undefined {
    const slot = this.#slots.get(leaseKey);
    return slot?.holder.tenure === tenure ? slot : undefined;
  }

  // --- answers, each to the part that asked ---

  #done(event: Done, now: number, random: number): void {
    if (this.#id.done(event, now)) {
      this.#checkId(now);
      if (answers(event, 'reportWorker') && event.effect.leaves === true) this.#askForHeirs();
    } else if (isTakerEffect(event.effect)) {
      const held = new Set(this.#slots.keys());
      this.#taker.done(event, held, this.#takes, now, random);
      if (answers(event, 'takeLease') && event.result.applied) this.#discovered(event.result.lease, now);
    } else if (answers(event, 'readClientVersion') || answers(event, 'changeClientVersion')) {
      this.#version.done(event, now);
    } else if (isLeaderEffect(event.effect)) {
      this.#leader.done(event, now);
      // What the leader gave to itself needn't wait for the next discovery.
      if (answers(event, 'assignLease') && event.effect.newOwner === this.#options.workerId) this.#discovery.hurry(now);
    } else if (answers(event, 'discoverLeases')) {
      this.#discovery.found(event.result.leases, now);
      this.#id.found(event.result.leases, event.effect.among === undefined, now);
      this.#checkId(now);
      for (const lease of event.result.leases) this.#discovered(lease, now);
    } else if (answers(event, 'readTable')) {
      const { leases } = event.result;
      const ours = event.result.workers.filter((worker) => worker.process !== undefined);
      // While workers take leases, those of the KCL look for none that they were given, and none of us knows of handoffs.
      const [workers, alert] = this.#version.takes ? [ours, []] : [event.result.workers, ours];
      const heirs = planSuccession(leases, workers, { ...this.#options, leaving: this.#options.workerId });
      this.#inherit(heirs, new Set(alert.map(({ workerId }) => workerId)), now);
    } else if (answers(event, 'forgetWorker')) this.#forgotten(now);
    else if (
      answers(event, 'renewLease') ||
      answers(event, 'checkpointLease') ||
      answers(event, 'handOffLease') ||
      answers(event, 'assignLease') ||
      answers(event, 'evictLease')
    ) {
      const slot = this.#slotOf(event.effect.leaseKey, event.effect.tenure as Tenure);
      if (slot === undefined) return;
      slot.holder.answered(event.effect, event.result, now);
      const { loss, confirmedAt = Number.NEGATIVE_INFINITY } = slot.holder;
      if (loss?.how === 'ownId' && !event.result.applied && event.result.lease !== undefined)
        this.#id.lost(event.result.lease, confirmedAt, now);
      if (answers(event, 'checkpointLease') && event.result.applied) this.#tellWritten(event.effect);
      this.#advanceSlot(slot, now);
    } else {
      const slot = this.#slotOfShardEffect(event.effect);
      if (slot?.consumer === undefined) return;
      slot.consumer.done(event, now, random);
      this.#advanceSlot(slot, now);
    }
  }

  #failed(event: Failed, now: number, random: number): void {
    const { effect, error } = event;
    if (isTakerEffect(effect)) {
      this.#taker.failed(event, now);
      return;
    }
    if (effect.kind === 'readClientVersion' || effect.kind === 'changeClientVersion') {
      this.#version.failed(event, now);
      return;
    }
    if (isLeaderEffect(effect)) {
      this.#leader.failed(event, now);
      return;
    }
    const retryInMs = this.#options.retryMs;
    const leaseKey = 'leaseKey' in effect ? effect.leaseKey : undefined;
    switch (effect.kind) {
      case 'discoverLeases':
        this.#discovery.failed(now);
        break;
      case 'reportWorker':
      case 'lookAtWorker':
        this.#id.failed(event, now);
        // It may stand there all the same, and the leases can't wait until that is known.
        if (effect.kind === 'reportWorker' && effect.leaves === true) this.#askForHeirs();
        break;
      case 'readTable':
        this.#inherit(new Map(), new Set(), now);
        break;
      case 'forgetWorker':
        // The row grows stale by itself.
        this.#forgotten(now);
        break;
      case 'renewLease':
      case 'checkpointLease':
      case 'handOffLease':
      case 'assignLease':
      case 'evictLease': {
        const slot = this.#slotOf(effect.leaseKey, effect.tenure as Tenure);
        if (slot === undefined) return;
        slot.holder.failed(now);
        this.#advanceSlot(slot, now);
        break;
      }
      default: {
        const slot = this.#slotOfShardEffect(effect);
        if (slot?.consumer === undefined) return;
        slot.consumer.failed(event, now, random);
        this.#advanceSlot(slot, now);
        return;
      }
    }
    this.#out.push({ kind: 'tell', notice: { kind: 'effectFailed', effect: effect.kind, leaseKey, retryInMs, error } });
  }

  #slotOfShardEffect(effect: Effect): Slot | undefined {
    if (!('leaseKey' in effect) || !('tenure' in effect) || effect.tenure === undefined) return undefined;
    // A child's creation is its parent's business: it carries the parent's key.
    return this.#slotOf(effect.leaseKey, effect.tenure);
  }

  // --- what the worker does by itself ---

  #advance(now: number): void {
    if (!this.#started) return;
    this.#leader.advance(now);
    if (now >= this.#watchdog.deadline()) this.#watch(now);
    if (this.#leaving !== undefined) {
      this.#advanceStop(now);
      return;
    }
    this.#version.advance(now);
    if (this.#takes) this.#taker.advance(now);
    this.#id.advance(now);
    this.#discovery.advance(this.#held(), now);
  }

  /** What was learned of the worker id: it is this process's now, and leases may be claimed; or another's, and this one ends. */
  #checkId(now: number): void {
    if (this.#leaving !== undefined) return;
    const { rival, held } = this.#id;
    if (held && this.#foundEarly) {
      this.#foundEarly = false;
      this.#discovery.hurry(now);
    }
    if (rival === undefined) return;
    this.#out.push({ kind: 'tell', notice: { kind: 'workerIdInUse', ...rival } });
    this.#beginStop(now, true);
  }

  /** Whether this worker looks for leases that it may take. */
  get #takes(): boolean {
    return this.#version.takes && this.#leaving === undefined && this.#id.held;
  }

  #discovered(lease: Lease, now: number): void {
    if (!this.#looks || this.#slots.has(lease.leaseKey) || !mayClaim(lease, this.#options.workerId)) return;
    // Finished: whoever leaves leaves it as it is.
    if (this.#leaving !== undefined && isEnded(lease)) return;
    if (!this.#id.held) {
      this.#foundEarly = true;
      return;
    }
    if (this.#id.mayBeShared(lease.leaseKey)) return;
    this.#tenureCount += 1;
    const holder = new LeaseHolder(this.#tenureCount, lease, this.#options);
    const leaving = { told: false, leavesAt: undefined };
    const slot: Slot = { holder, consumer: undefined, begun: false, ...leaving, waiters: [], dueAt: now, place: -1 };
    this.#slots.set(lease.leaseKey, slot);
    this.#advanceSlot(slot, now);
  }

  /** One that is lost, with its handler still running, is looked at: somebody else may have it under our id. */
  *#held(): Iterable<string> {
    for (const [leaseKey, { holder }] of this.#slots) if (holder.gone !== 'lost') yield leaseKey;
  }

  // --- one lease ---

  /** Brings one lease on as far as it goes without another answer. Whatever changes a lease ends with this. */
  #advanceSlot(slot: Slot, now: number): void {
    const { holder } = slot;
    if (this.#mayBegin(slot)) this.#begin(slot);
    const staysUntil = this.#leave(slot, now);
    const { consumer } = slot;
    consumer?.advance(now);
    if (consumer?.phase === 'closed') this.#closed(slot, consumer.closeReason as CloseReason);
    else if (consumer === undefined && (this.#leaving !== undefined || holder.successor !== undefined))
      this.#release(slot);
    const write: HolderWrite | undefined = holder.nextWrite(now);
    if (write !== undefined) this.#out.push(write);
    if (slot.waiters.length > 0) settleWaiters(slot, this.#out);
    if (slot.consumer === undefined && (holder.gone !== undefined || this.#leaving?.isPastHelp(slot, now))) {
      this.#slots.delete(holder.lease.leaseKey);
      // It may have been given back while its handler ran.
      if (slot.begun && holder.gone === 'lost') this.#discovery.hurry(now);
      this.#agenda.remove(slot);
      this.#watchdog.forget(holder.tenure);
      settleWaiters(slot, this.#out, true);
    } else {
      const readsAt = slot.consumer?.deadline() ?? Number.POSITIVE_INFINITY;
      this.#agenda.set(slot, Math.min(holder.deadline(), readsAt, staysUntil));
    }
  }

  /** Those that wait until they may read, as far as there is room for them now. */
  #fillRoom(now: number): void {
    for (let leaseKey = this.#room.next(now); leaseKey !== undefined; leaseKey = this.#room.next(now)) {
      const slot = this.#slots.get(leaseKey);
      if (slot !== undefined) this.#advanceSlot(slot, now);
    }
  }

  /** The claim was applied, nobody wants the lease back, and there is something left to read. */
  #mayBegin({ holder, begun }: Slot): boolean {
    const wanted = holder.gone === undefined && holder.successor === undefined && this.#leaving === undefined;
    return wanted && !begun && holder.claimed && !isEnded(holder.lease);
  }

  #begin(slot: Slot): void {
    const { holder } = slot;
    slot.begun = true;
    const { leaseKey, checkpoint } = holder.lease;
    slot.consumer = new ShardConsumer(holder, this.#options, this.#out, this.#room.open(leaseKey), this.#pauses);
    const { tenure, fencingToken } = holder;
    this.#out.push({ kind: 'tell', notice: { kind: 'leaseBegun', leaseKey, tenure, fencingToken, checkpoint } });
  }

  /** Tells the consumer why it has to go, if it has to. @returns when it will have to, if it may stay until then. */
  #leave(slot: Slot, now: number): number {
    const { holder, consumer } = slot;
    if (consumer === undefined) return Number.POSITIVE_INFINITY;
    if (holder.gone === 'lost') consumer.abort('leaseLost');
    else if (this.#leaving !== undefined && consumer.closeReason === undefined) {
      const leavesAt = this.#leaving.leavesAt(slot, now);
      if (now < leavesAt) return leavesAt;
      consumer.drain('stopping');
    } else if (holder.successor !== undefined) consumer.drain('handedOff');
    return withdrawsAt(slot, this.#options, now);
  }

  #closed(slot: Slot, reason: CloseReason): void {
    const { leaseKey } = slot.holder.lease;
    slot.consumer = undefined;
    const { tenure } = slot.holder;
    const loss = reason === 'leaseLost' ? slot.holder.loss : undefined;
    this.#out.push({ kind: 'tell', notice: { kind: 'leaseEnded', leaseKey, tenure, reason, loss } });
    // A finished lease is kept alive until the leader cleans it up, so that it isn't handed round.
    if (reason !== 'shardEnded' || this.#leaving !== undefined) this.#release(slot);
  }

  /** A lease that a handoff names nobody for waits a moment for an heir when this worker leaves. */
  #release({ holder }: Slot): void {
    if (this.#leaving === undefined || holder.successor !== undefined) holder.release();
    else if (!this.#leaving.awaitsHeirs) holder.release(this.#leaving.heirOf(holder.lease.leaseKey));
  }

  /**
   * Looks whether each lease gets on. One that is given up is closed as if it were lost, but stays ours, renewed, until its
   * handler has returned: before that nobody else may have the shard.
   */
  #watch(now: number): void {
    this.#watchdog.begin(now);
    for (const slot of this.#slots.values()) {
      const { consumer, holder } = slot;
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
      this.#advanceSlot(slot, now);
    }
  }

  /** Of a write that only prepared, the callers alone are told. */
  #tellWritten({ leaseKey, tenure, checkpoint }: CheckpointLease): void {
    if (checkpoint === undefined) return;
    this.#out.push({ kind: 'tell', notice: { kind: 'checkpointed', leaseKey, tenure, checkpoint } });
  }

  // --- stopping: the metric row goes, or says so, so that nobody gives us more; leases are drained and left to the other workers ---

  /** @param keepsRow the metric row is another process's as well. */
  #beginStop(now: number, keepsRow = false): void {
    if (this.#leaving !== undefined) return;
    const looksForHeirs = this.#slots.size > 0;
    // Another process that has or gets the same id looks for the same leases.
    const looks = !keepsRow && this.#started && !this.#id.isShared;
    this.#leaving = new Leaving(this.#options, { keepsRow, rowMade: this.#started, looksForHeirs, looks }, now);
    if (this.#keepsId) this.#id.leave(now);
    else if (keepsRow) this.#askForHeirs();
    this.#leader.resign();
    for (const slot of this.#slots.values()) this.#advanceSlot(slot, now);
    if (!this.#started) this.#finish();
  }

  #advanceStop(now: number): void {
    const leaving = this.#leaving;
    if (leaving === undefined || this.#stopped) return;
    if (now >= leaving.abortAt && !leaving.aborted) {
      leaving.aborted = true;
      for (const slot of this.#slots.values()) {
        slot.consumer?.abort('stopping');
        this.#advanceSlot(slot, now);
      }
    }
    if (leaving.heirsOverdue(now)) this.#inherit(new Map(), new Set(), now);
    if (this.#keepsId) this.#id.advance(now);
    // A report under way would make the row anew.
    else if (!leaving.forgetting && !this.#id.reporting) {
      leaving.forgetting = true;
      const { workerId, incarnation: processId } = this.#options;
      this.#out.push({ kind: 'forgetWorker', workerId, processId });
    }
    if ((!this.#awaitsMore(leaving, now) && this.#leader.resigned) || now >= leaving.giveUpAt) this.#finish();
  }

  /**
   * Whether leases are here or may still come. Who read our metric row before it went, a leader or another worker that leaves, may
   * give us some yet; so the last thing is a look that began after that, and what it finds is passed on.
   */
  #awaitsMore({ forgottenAt, looks }: Leaving, now: number): boolean {
    const isEmpty = forgottenAt !== undefined && this.#slots.size === 0;
    if (!looks) return !isEmpty;
    if (isEmpty) this.#discovery.lookSince(forgottenAt, now);
    this.#discovery.advance(this.#held(), now);
    return !isEmpty || !this.#discovery.hasLookedSince(forgottenAt) || this.#discovery.expects(now);
  }

  /** Whether leases that were given to us are looked for. */
  get #looks(): boolean {
    return this.#leaving === undefined || this.#leaving.looks;
  }

  /**
   * While a handler may run, no other process may take up what stands under the worker id: it would begin beside it. Where no other one
   * can come under that id, nothing keeps the row.
   */
  get #keepsId(): boolean {
    return this.#slots.size > 0 && this.#id.held && this.#id.isShared;
  }

  /** From now on leases go to these; those without one go to nobody, and the leader finds them. The first answer counts. */
  #inherit(heirs: ReadonlyMap<string, string>, alert: ReadonlySet<string>, now: number): void {
    if (this.#leaving?.awaitsHeirs !== true) return;
    this.#leaving.inherit(heirs, alert);
    for (const slot of [...this.#slots.values()]) this.#advanceSlot(slot, now);
  }

  #forgotten(now: number): void {
    if (this.#leaving !== undefined) this.#leaving.forgottenAt = now;
    this.#askForHeirs();
  }

  /**
   * Once our row no longer offers us: of several that stop at the same time none is then named by one that it would name itself, and none
   * is left a lease after it has gone.
   */
  #askForHeirs(): void {
    if (this.#leaving?.mayAskForHeirs() === true) this.#out.push({ kind: 'readTable', for: 'succession' });
  }

  #finish(): void {
    this.#stopped = true;
    this.#out.push({ kind: 'tell', notice: { kind: 'stopped', abandoned: [...this.#slots.keys()] } });
  }
}

export type { InitialPosition, LeaderOptions, LeaseHolderOptions, ShardConsumerOptions };

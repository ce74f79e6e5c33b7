// ★ Read this first. One worker of an application: step(event, now, random) → effects. Wires the parts in the order of a
// lease's life: the leader assigns it, or beside workers of the KCL 2.x this worker takes it itself, discovery finds it, and from its claim
// to its release it is one of the held leases (held-leases.ts), which a worker that stops leaves to others (stopping.ts). Each event and
// each answer goes to the part that it is for. Pure: no clock, no chance, no I/O, no promise; the runtime is the only caller.
// Invariant: a lease is claimed only under a worker id that is known to be this process's.
import { type ClientVersionOptions, FleetVersion } from './client-version.ts';
import { Discovery, type DiscoveryOptions } from './discovery.ts';
import type { Done, Effect, Event, Failed, Tell } from './effects.ts';
import { answers } from './effects.ts';
import { HandingOff, type HandingOffOptions } from './handing-off.ts';
import { answersHolder, HeldLeases, type HeldLeasesOptions, isHolderWrite } from './held-leases.ts';
import { isLeaderEffect, Leader, type LeaderOptions } from './leader.ts';
import { isEnded, type Lease } from './lease.ts';
import { type LeaseHolderOptions, mayClaim } from './lease-holder.ts';
import type { ShardConsumerOptions } from './shard-consumer.ts';
import type { InitialPosition } from './shard-sync.ts';
import { Stopping } from './stopping.ts';
import { isTakerEffect, Taker, type TakerOptions } from './taker.ts';
import { WorkerId, type WorkerIdOptions } from './worker-id.ts';
import type { WorkerView } from './worker-view.ts';

export interface WorkerOptions
  extends LeaderOptions,
    HeldLeasesOptions,
    DiscoveryOptions,
    TakerOptions,
    HandingOffOptions,
    ClientVersionOptions,
    WorkerIdOptions {}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #id: WorkerId;
  readonly #version: FleetVersion;
  readonly #leader: Leader;
  readonly #taker: Taker;
  readonly #discovery: Discovery;
  readonly #leases: HeldLeases;
  readonly #handingOff: HandingOff;
  readonly #stopping: Stopping;
  readonly #out: (Effect | Tell)[] = [];
  /** Leases were found that may be claimed only when the worker id is known to be this process's. */
  #foundEarly = false;
  #started = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#id = new WorkerId(options, this.#out);
    this.#version = new FleetVersion(options, this.#out);
    this.#leader = new Leader(options, this.#out, this.#version);
    this.#taker = new Taker(options, this.#out, (leaseKey) => this.#handingOff.has(leaseKey));
    this.#discovery = new Discovery(options, this.#out);
    this.#leases = new HeldLeases(options, this.#out, this.#id, this.#discovery);
    this.#handingOff = new HandingOff(options, this.#out, this.#id, this.#leases);
    const parts = { id: this.#id, leader: this.#leader, discovery: this.#discovery, leases: this.#leases };
    this.#stopping = new Stopping(options, this.#out, parts);
  }

  get stopped(): boolean {
    return this.#stopping.isOver;
  }

  /**
   * @param now monotonic ms, never less than before.
   * @param random 0 ≤ x < 1, fresh at each call; spreads retries.
   * @returns what to do, in order.
   */
  step(event: Event, now: number, random: number): (Effect | Tell)[] {
    if (this.stopped) return [];
    switch (event.kind) {
      case 'start':
        this.#started = true;
        this.#version.begin(event.clientVersion ?? '3X', now);
        this.#discovery.hurry(now);
        this.#id.begin(now);
        break;
      case 'tick':
        this.#leases.tick(now);
        break;
      case 'streams':
        this.#leader.track(event.streams, now, event.former);
        break;
      case 'stop':
        this.#stop(now);
        break;
      case 'checkpointRequested':
        this.#leases.checkpointRequested(event, now);
        break;
      case 'pause':
      case 'resume':
      case 'retry':
        this.#leases.control(event, now);
        break;
      case 'replay':
        this.#leases.replay(event, now);
        break;
      case 'handOff':
        this.#handingOff.ask(event, now);
        break;
      case 'accept':
        this.#handingOff.accept(event.leaseKeys, now);
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
    this.#leases.fillRoom(now);
    // Most answers ask for nothing.
    if (this.#out.length === 0) return [];
    const out = this.#out.slice();
    this.#out.length = 0;
    return out;
  }

  /** When `step` wants a `tick`, by the clock of its `now`; Infinity if only an answer can bring anything new. */
  deadline(): number {
    if (this.stopped || !this.#started) return Number.POSITIVE_INFINITY;
    const isStopping = this.#stopping.hasBegun;
    let deadline = Math.min(this.#leader.deadline(), this.#stopping.deadline(), this.#leases.deadline());
    deadline = Math.min(deadline, this.#handingOff.deadline());
    if (!isStopping) deadline = Math.min(deadline, this.#version.deadline());
    if (this.#takes) deadline = Math.min(deadline, this.#taker.deadline());
    if (this.#stopping.looks) deadline = Math.min(deadline, this.#discovery.deadline());
    if (!isStopping || this.#stopping.keepsId) deadline = Math.min(deadline, this.#id.deadline());
    return deadline;
  }

  view(now: number): WorkerView {
    return {
      workerId: this.#options.workerId,
      leader: this.#leader.isLeader(now),
      stopping: this.#stopping.hasBegun,
      pausedSince: this.#leases.pausedSince,
      declines: this.#handingOff.declines,
      leases: this.#leases.views(now),
      held: this.#leases.heldAmount,
    };
  }

  /** Whether an operator has paused it. */
  isPaused(leaseKey: string): boolean {
    return this.#leases.isPaused(leaseKey);
  }

  // --- answers, each to the part that asked ---

  #done(event: Done, now: number, random: number): void {
    if (this.#id.done(event, now)) {
      this.#checkId(now);
      if (answers(event, 'reportWorker')) this.#handingOff.reported(event.effect.declines, now);
      if (answers(event, 'reportWorker') && event.effect.leaves === true) this.#stopping.askForHeirs();
    } else if (isTakerEffect(event.effect)) {
      const held = new Set(this.#leases.keys());
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
    } else if (answers(event, 'readTable') && event.effect.for === 'handOff')
      this.#handingOff.tableRead(event.result, this.#version.takes, now);
    else if (answers(event, 'readTable')) this.#stopping.tableRead(event.result, this.#version.takes, now);
    else if (answers(event, 'forgetWorker')) this.#stopping.forgotten(now);
    else if (answersHolder(event)) this.#leases.written(event, now);
    else this.#leases.done(event, now, random);
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
    if (isHolderWrite(effect)) {
      if (!this.#leases.writeFailed(effect, now)) return;
    } else if (effect.kind === 'discoverLeases') this.#discovery.failed(now);
    else if (effect.kind === 'reportWorker' || effect.kind === 'lookAtWorker') {
      this.#id.failed(event, now);
      // It may stand there all the same, and the leases can't wait until that is known.
      if (effect.kind === 'reportWorker' && effect.leaves === true) this.#stopping.askForHeirs();
    } else if (effect.kind === 'readTable' && effect.for === 'handOff') this.#handingOff.tableNotRead(now);
    else if (effect.kind === 'readTable') this.#stopping.tableNotRead(now);
    else if (effect.kind === 'forgetWorker') this.#stopping.forgotten(now);
    else {
      this.#leases.failed(event, now, random);
      return;
    }
    const retryInMs = this.#options.retryMs;
    const leaseKey = 'leaseKey' in effect ? effect.leaseKey : undefined;
    this.#out.push({ kind: 'tell', notice: { kind: 'effectFailed', effect: effect.kind, leaseKey, retryInMs, error } });
  }

  // --- what the worker does by itself ---

  #advance(now: number): void {
    if (!this.#started) return;
    this.#leader.advance(now);
    this.#leases.watch(now);
    if (this.#stopping.hasBegun) {
      this.#stopping.advance(now);
      return;
    }
    this.#version.advance(now);
    this.#handingOff.advance(now);
    if (this.#takes) this.#taker.advance(now);
    this.#id.advance(now);
    this.#discovery.advance(this.#leases.present(), now);
  }

  /** What was learned of the worker id: it is this process's now, and leases may be claimed; or another's, and this one ends. */
  #checkId(now: number): void {
    if (this.#stopping.hasBegun) return;
    const { rival, held } = this.#id;
    if (held && this.#foundEarly) {
      this.#foundEarly = false;
      this.#discovery.hurry(now);
    }
    if (rival === undefined) return;
    this.#out.push({ kind: 'tell', notice: { kind: 'workerIdInUse', ...rival } });
    this.#stop(now, true);
  }

  #stop(now: number, keepsRow = false): void {
    this.#handingOff.end();
    this.#stopping.begin(now, this.#started, keepsRow);
  }

  /** Whether this worker looks for leases that it may take. */
  get #takes(): boolean {
    return this.#version.takes && !this.#stopping.hasBegun && this.#id.held;
  }

  #discovered(lease: Lease, now: number): void {
    const { leaseKey } = lease;
    if (!this.#stopping.looks || this.#leases.has(leaseKey) || !mayClaim(lease, this.#options.workerId)) return;
    // Finished: whoever leaves leaves it as it is.
    if (this.#stopping.hasBegun && isEnded(lease)) return;
    if (!this.#id.held) {
      this.#foundEarly = true;
      return;
    }
    if (this.#id.mayBeShared(leaseKey)) return;
    if (this.#handingOff.has(leaseKey)) this.#handingOff.cameBack(leaseKey, now);
    this.#leases.take(lease, now);
  }
}

export type { InitialPosition, LeaderOptions, LeaseHolderOptions, ShardConsumerOptions };

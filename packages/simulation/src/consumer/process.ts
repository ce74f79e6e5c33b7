// One worker process of a simulated world: the real core, and around it what a runtime does, with the faults that the world has
// for it. It has a clock of its own, which is ahead and may run too fast or too slow; while it is paused nothing happens in it,
// once it is dead nothing ever does. All chance comes from the world.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type {
  Control,
  DeliverBatch,
  Done,
  Effect,
  Event,
  FetchBatch,
  HandOffRequested,
  ListShards,
  ReplayRequested,
  TableEffect,
  TrackedStream,
} from '../../../consumer/dist/coordination/effects.js';
import { answers } from '../../../consumer/dist/coordination/effects.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { RestOfBatch, Results } from '../../../consumer/dist/coordination/results.js';
import { Worker, type WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import { type Hang, judgeStall, type WatchedCall } from './bad-days.ts';
import { LEAST_BYTES, RoomWatch, readable } from './crowded-rooms.ts';
import { type Core, Kcl2xWorker } from './kcl-2x-worker.ts';
import type { TenureRef } from './one-handler.ts';
import type { PlantedBug } from './planted-bugs.ts';
import type { Position } from './shard-history.ts';
import type { SilenceNotice } from './silence-told.ts';
import type { LatestBeginning, StreamRead } from './stream.ts';
import { describeNotice } from './transcript.ts';
import { CANNOT_BE_READ } from './unreadable-row.ts';
import type { World } from './world.ts';

/** How long a client waits for an answer before it gives up. */
export const TIMEOUT_MS = 300;
/** How long a request takes that nothing befalls, or an answer. */
const USUAL_MS = [1, 4] as const;
/** The longest call of a world without faults. */
export const HEALED_CALL_MS: number = 2 * USUAL_MS[1];
/** How much later still a request may land that was given up. */
const LATEST_MS = 3000;
/** How late the index may be that workers look for their leases in, as the core reckons. */
const INDEX_MS = 100;

interface Delivery {
  /** Ends the handler; one that has not handled the batch has finished so many of its records, none by default, and threw or goes on. */
  readonly end: (handled: boolean, finishedCount?: number, goesOn?: boolean) => void;
  readonly hang: Hang | undefined;
  readonly call: WatchedCall;
}

export class SimulatedProcess {
  readonly id: number;
  readonly workerId: string;
  /** A worker of the KCL 2.x, not ours. */
  readonly is2x: boolean;
  alive = true;
  stopping = false;
  /** It has had a lease in its hands. */
  hasBegun = false;
  pausedUntil = 0;
  #awayMs = 0;
  #awayCount = 0;
  #refusedUntil = 0;
  readonly #world: World;
  readonly #worker: Core;
  readonly #clockAhead: number;
  readonly #clockRate: number;
  /** What it showed last; it never goes back. */
  #clock = 0;
  #tickAt = Number.POSITIVE_INFINITY;
  #batchCount = 0;
  readonly #refs = new Map<number, TenureRef>();
  readonly #batches = new Map<number, readonly Position[]>();
  /** Batches at which a shard has stopped. */
  readonly #stopped = new Set<number>();
  readonly #fetchFailures = new Set<number>();
  /** By tenure. */
  readonly #deliveries = new Map<number, Delivery>();
  /** Where its tenures read that began at LATEST. */
  readonly #latest = new Map<number, LatestBeginning>();
  /** When the one stream of its application was made, as it knows it. */
  #knownSince: number | undefined;
  /** Checkpoints by hand that are under way. */
  readonly #requests = new Map<number, (written: boolean) => void>();
  #requestCount = 0;
  readonly #room: RoomWatch;
  /** Closings that wait for a handler, by tenure. */
  readonly #closing = new Map<number, () => void>();

  constructor(world: World, id: number, options: WorkerOptions, is2x = false) {
    const { prng, plan } = world;
    this.id = id;
    this.workerId = options.workerId;
    this.#world = world;
    this.is2x = is2x;
    this.#worker = is2x ? new Kcl2xWorker(options.workerId, options.failoverTimeMs) : new Worker(options);
    this.#room = new RoomWatch(options);
    this.#clockAhead = prng.int(100_000);
    this.#clockRate = 1 + plan.clockDrift * (2 * prng.next() - 1);
  }

  // --- what befalls it ---

  start(streams: readonly TrackedStream[]): void {
    this.#world.transcript?.does(this, this.is2x ? 'starts, a worker of the KCL 2.x' : 'starts');
    this.#recognize();
    this.#tell({ kind: 'streams', streams });
    this.#tell({ kind: 'start', clientVersion: this.#world.table.clientVersion });
  }

  /** Its application reads these from now on. */
  track(streams: readonly TrackedStream[]): void {
    this.#awake(() => this.#tell({ kind: 'streams', streams }));
  }

  stop(): void {
    this.#world.transcript?.does(this, 'is asked to stop');
    this.stopping = true;
    this.#awake(() => this.#tell({ kind: 'stop' }));
  }

  /** @param heard called when it is awake to hear it. */
  control(word: Control, heard: () => void): void {
    this.#awake(() => {
      this.#world.transcript?.happens(`process ${this.id} is told: ${word.kind} ${word.leaseKeys?.join(' ') ?? 'all'}`);
      heard();
      this.#tell(word);
    });
  }

  /** Whether it has the lease in hand. */
  holds(leaseKey: string): boolean {
    return this.#worker.view(this.#readClock()).leases.some((lease) => lease.leaseKey === leaseKey);
  }

  /** It is awake. */
  replay(event: ReplayRequested): void {
    const { sequenceNumber } = event.position;
    this.#world.transcript?.happens(
      `process ${this.id} is told: read ${event.leaseKey} again from ${String(sequenceNumber)}`,
    );
    this.#tell(event);
  }

  /** It is awake. */
  handOff(event: HandOffRequested): void {
    const keys = event.leases.map(({ leaseKey }) => leaseKey).join(' ');
    this.#world.transcript?.happens(`process ${this.id} is told: hand off ${keys}${event.areAll ? ', all' : ''}`);
    this.#tell(event);
  }

  pause(durationMs: number): void {
    this.#world.transcript?.fault(this, `pauses for ${durationMs} ms`);
    const { now } = this.#world.queue;
    const from = Math.max(this.pausedUntil, now);
    // A pause within a longer one changes nothing: what waits for its end would wait on while the process runs again.
    const until = Math.max(from, now + durationMs);
    this.#awayMs += until - from;
    this.#awayCount += 1;
    this.pausedUntil = until;
  }

  /** Every call of its own to AWS is refused for so long. */
  loseCredentials(durationMs: number): void {
    this.#world.transcript?.fault(this, `has no valid credentials for ${durationMs} ms`);
    this.#refusedUntil = this.#world.queue.now + durationMs;
  }

  crash(): void {
    this.#world.transcript?.fault(this, 'crashes');
    this.alive = false;
    this.#deliveries.clear();
    this.#world.ended(this, 50, 2500);
  }

  /** One of its tenures, the same object each time. */
  refOf(tenure: number): TenureRef {
    let ref = this.#refs.get(tenure);
    if (ref === undefined) {
      ref = { process: this.id, tenure };
      this.#refs.set(tenure, ref);
    }
    return ref;
  }

  /**
   * It is away, its calls are refused, a handler hangs in it for its watchdog to see to, or one of a shard that was closed still
   * runs: until that has returned a lease that comes back to this worker is not claimed, and may expire.
   */
  get isUnwell(): boolean {
    if (!this.alive) return false;
    const { now } = this.#world.queue;
    if (this.pausedUntil > now || this.#refusedUntil > now || this.#closing.size > 0) return true;
    return [...this.#deliveries.values()].some(({ hang }) => hang !== undefined);
  }

  /** A handler runs in it. */
  get isHandling(): boolean {
    return this.alive && this.#deliveries.size > 0;
  }

  // --- the core in it ---

  /** What is wrong with ours; the KCL's workers are as they are. */
  get #bug(): PlantedBug | undefined {
    return this.is2x ? undefined : this.#world.bug;
  }

  #tell(event: Event): void {
    const world = this.#world;
    this.#showAnswer(event);
    const now = this.#readClock();
    const seen = this.#bug?.event?.(event, this.#worker.view(now)) ?? event;
    world.eventCount += 1;
    for (const effect of this.#worker.step(seen, now, world.prng.next())) {
      if (effect.kind !== 'tell') {
        this.#execute(this.#bug?.asks?.(effect, world) ?? effect);
        continue;
      }
      const told = this.#bug?.notice === undefined ? effect.notice : this.#bug.notice(effect.notice);
      if (told !== undefined) this.#noticed(told);
    }
    this.#planTick();
  }

  /** For the checkers: what a holder's answer shows. */
  #showAnswer(event: Event): void {
    // A worker of the KCL 2.x knows of no handoff.
    if (event.kind !== 'done' || this.is2x) return;
    const { watched, checkers } = this.#world;
    const { twoPhase } = checkers;
    if (answers(event, 'readTable') && event.effect.for === 'leader') {
      watched.foundFirst.shown(this.id, event.result.leases);
      watched.seenAlive.shown(this.id, event.result, this.#world.queue.now);
    }
    this.#world.handOffs?.shown(this.id, event);
    const { now } = this.#world.queue;
    if (answers(event, 'handOffLease') && event.effect.tenure !== undefined && event.result.applied) {
      twoPhase.announced(this.refOf(event.effect.tenure), now + this.#noticeMs);
    } else if (answers(event, 'renewLease') || answers(event, 'checkpointLease')) {
      twoPhase.answered(this.refOf(event.effect.tenure), event.result.lease, now);
    }
  }

  /** By the world's clock: until a live heir has looked once more. */
  get #noticeMs(): number {
    return (this.#world.plan.leaseDiscoveryIntervalMs + INDEX_MS) / this.#clockRate;
  }

  #readClock(): number {
    const shown = this.#clockAhead + this.#world.queue.now * this.#clockRate;
    if (shown > this.#clock) this.#clock = shown;
    return this.#clock;
  }

  #planTick(): void {
    const deadline = this.#worker.deadline();
    if (deadline >= this.#tickAt || deadline === Number.POSITIVE_INFINITY) return;
    this.#tickAt = deadline;
    this.#world.queue.at((deadline - this.#clockAhead) / this.#clockRate, () => this.#tick(deadline));
  }

  #tick(deadline: number): void {
    if (this.#tickAt !== deadline || !this.alive) return;
    if (this.#isPaused()) {
      this.#world.queue.at(this.pausedUntil, () => this.#tick(deadline));
      return;
    }
    this.#tickAt = Number.POSITIVE_INFINITY;
    // The conversion between the two clocks rounds.
    if (deadline > this.#clock) this.#clock = deadline;
    this.#tell({ kind: 'tick' });
  }

  #noticed(notice: Notice): void {
    this.#world.transcript?.does(this, describeNotice(notice));
    this.#world.ending?.told?.(this, notice);
    if (notice.kind === 'workerSilent') this.#world.checkers.report(this.#judgeSilence(notice));
    if (notice.kind === 'leadershipGained') {
      this.#world.watched.foundFirst.leads(this.id);
      this.#world.watched.seenAlive.leads(this.id);
    }
    if (notice.kind === 'leaseBegun') this.hasBegun = true;
    // As the runtime does: from now on it is this one that another is told from.
    if (notice.kind === 'streamSettled') this.#later(HEALED_CALL_MS, () => this.#recognize());
    if (notice.kind === 'workerIdInUse') this.stopping = true;
    if (notice.kind === 'leaseEnded' && notice.reason === 'leaseLost' && !this.is2x)
      this.#world.handlerReturned(this, notice.leaseKey);
    if (notice.kind === 'checkpointSettled') {
      // The handler's promise settles after the step that settled it.
      this.#later(0, () => {
        this.#requests.get(notice.requestId)?.(notice.outcome === 'done');
        this.#requests.delete(notice.requestId);
      });
    }
    if (notice.kind === 'replaySettled')
      this.#world.checkers.report(
        this.#world.replays?.settled(this, notice.requestId, notice.outcome, (key) =>
          this.#world.table.leases.get(key),
        ),
      );
    if (notice.kind === 'handOffSettled')
      this.#world.checkers.report(this.#world.handOffs?.settled(this, notice.requestId, notice.outcome));
    if (notice.kind === 'stall') this.#stalled(notice);
    if (notice.kind !== 'stopped') return;
    this.alive = false;
    this.#world.ended(this, 10, 500);
  }

  #judgeSilence(notice: SilenceNotice): string | undefined {
    const { watched, queue } = this.#world;
    const { leaderPace, silence } = watched;
    return leaderPace.tells(this.id, notice.kind, queue.now) ?? silence.judge(notice, queue.now);
  }

  /** Who runs the process ends it when it is not live any more. */
  #stalled(notice: Extract<Notice, { kind: 'stall' }>): void {
    const call = this.#deliveries.get(notice.tenure)?.call;
    const wrong = judgeStall(notice, call, this.#callNow());
    if (wrong !== undefined) this.#world.checkers.report(wrong);
    if (notice.state !== 'stuck') return;
    this.#later(0, () => {
      this.#world.transcript?.fault(this, 'is ended: its handler is stuck');
      this.alive = false;
      this.#deliveries.clear();
      this.#world.ended(this, 50, 500, true);
    });
  }

  #callNow(): WatchedCall {
    const { now } = this.#world.queue;
    // Of a pause that is not over only what is behind it.
    const awayMs = this.#awayMs - Math.max(0, this.pausedUntil - now);
    return { startedAt: now, awayMs, awayCount: this.#awayCount };
  }

  /** Whether a call was refused, and answered so. */
  #refused(effect: Effect): boolean {
    if (this.#world.queue.now >= this.#refusedUntil) return false;
    this.#fail(5, effect, 'the credentials have expired');
    return true;
  }

  #isPaused(): boolean {
    return this.pausedUntil > this.#world.queue.now;
  }

  /** Lets something happen in here: not while it is paused, never once it is dead. */
  #later(delayMs: number, run: () => void): void {
    this.#world.queue.after(delayMs, () => this.#awake(run));
  }

  #awake(run: () => void): void {
    if (!this.alive) return;
    if (this.#isPaused()) this.#world.queue.at(this.pausedUntil, () => this.#awake(run));
    else run();
  }

  #done<K extends Effect['kind']>(delayMs: number, effect: Extract<Effect, { kind: K }>, result: Results[K]): void {
    this.#later(delayMs, () => this.#tell({ kind: 'done', effect, result } as Done));
  }

  #fail(delayMs: number, effect: Effect, why: string): void {
    this.#world.transcript?.fault(this, `${effect.kind}: ${why}`);
    this.#later(delayMs, () => this.#tell({ kind: 'failed', effect, error: why }));
  }

  // --- effects ---

  #execute(effect: Effect): void {
    const { prng, checkers, plan } = this.#world;
    checkers.report(this.#world.operator?.judge(this, effect));
    checkers.report(this.#world.handOffs?.judge(this, effect));
    if (!this.is2x) {
      const { watched, queue } = this.#world;
      checkers.report(watched.foundFirst.judge(this.id, effect, queue.now));
      checkers.report(watched.seenAlive.judge(this.id, this.workerId, effect, queue.now));
    }
    switch (effect.kind) {
      case 'listShards':
        this.#listShards(effect);
        return;
      case 'openShard':
        if (!this.is2x) checkers.report(this.#world.sink.opened(effect, this.refOf(effect.tenure)));
        checkers.shardStarted(effect.leaseKey, this.refOf(effect.tenure), effect.checkpoint);
        this.#room.opened(effect.tenure);
        this.#latest.set(effect.tenure, { since: effect.latestSince });
        checkers.twoPhase.opened(effect.leaseKey, this.refOf(effect.tenure), effect.pendingCheckpoint);
        this.#done(prng.int(3), effect, undefined);
        return;
      case 'fetchBatch':
        this.#fetch(effect);
        return;
      case 'deliverBatch':
        this.#deliver(effect);
        return;
      case 'drainShard':
      case 'endShard':
        if (this.#world.mishap(plan.rates.handlerThrows)) this.#fail(3, effect, 'the handler throws');
        else this.#done(prng.between(0, 5), effect, undefined);
        return;
      case 'closeShard':
        this.#room.closed(effect.tenure);
        this.#close(effect.tenure, () => this.#done(0, effect, undefined));
        return;
      default:
        this.#runOnTable(effect);
    }
  }

  #latency(): number {
    const { prng, plan } = this.#world;
    return this.#world.mishap(plan.rates.slow) ? prng.between(20, TIMEOUT_MS - 50) : prng.between(...USUAL_MS);
  }

  #runOnTable(effect: TableEffect): void {
    const world = this.#world;
    const { queue, prng } = world;
    const { rates } = world.plan;
    const sentAt = queue.now;
    if (!this.is2x) world.checkers.report(world.watched.leaderPace.begins(this.id, effect, sentAt));
    if (this.#refused(effect)) return;
    if (world.mishap(rates.lostRequest)) {
      this.#fail(TIMEOUT_MS, effect, 'the request is lost');
      return;
    }
    const requestMs = this.#latency();
    if (world.mishap(rates.lostAnswer)) {
      queue.after(requestMs, () => world.watched.apply(this, effect, sentAt));
      this.#fail(TIMEOUT_MS, effect, 'the answer will be lost');
      return;
    }
    if (world.mishap(rates.late)) {
      const lateMs = TIMEOUT_MS + prng.between(1, LATEST_MS);
      world.lastLateAt = Math.max(world.lastLateAt, queue.now + lateMs);
      queue.after(lateMs, () => world.watched.apply(this, effect, sentAt));
      this.#fail(TIMEOUT_MS, effect, `given up, but the request will land in ${lateMs} ms`);
      return;
    }
    queue.after(requestMs, () => {
      const result = world.watched.apply(this, effect, sentAt);
      if (result === CANNOT_BE_READ) this.#fail(this.#latency(), effect, CANNOT_BE_READ.description ?? '');
      else this.#done(this.#latency(), effect, result as never);
    });
  }

  #listShards(effect: ListShards): void {
    const world = this.#world;
    if (this.#refused(effect)) return;
    if (world.mishap(world.plan.rates.lostRequest)) {
      this.#fail(TIMEOUT_MS, effect, 'the request is lost');
      return;
    }
    world.queue.after(this.#latency(), () => {
      const now = world.queue.now;
      const stream = world.streamOf(effect.streamId);
      const shards = stream.listShards(effect.filter, now);
      const shown = world.ending?.shows?.(this, shards) ?? shards;
      const known = this.#bug?.listing?.(shown, now, effect.streamId) ?? shown;
      const { createdMs } = stream;
      if (createdMs === undefined) this.#fail(this.#latency(), effect, 'there is no such stream');
      else this.#done(this.#latency(), effect, { shards: known, isAnother: this.#isAnother(effect, createdMs) });
    });
  }

  #recognize(): void {
    this.#knownSince = this.#world.streams.get(undefined)?.createdMs;
  }

  /** Of several streams each is known by its age. */
  #isAnother({ streamId }: ListShards, createdMs: number): boolean {
    return streamId === undefined && this.#knownSince !== undefined && this.#knownSince !== createdMs;
  }

  #fetch(effect: FetchBatch): void {
    const world = this.#world;
    const { prng, queue } = world;
    if (this.#refused(effect)) return;
    if (world.mishap(world.plan.rates.fetchFails)) {
      this.#fetchFailures.add(effect.tenure);
      this.#fail(prng.between(5, TIMEOUT_MS), effect, 'the read fails');
      return;
    }
    queue.after(this.#latency(), () => {
      this.#batchCount += 1;
      const failedBefore = this.#fetchFailures.delete(effect.tenure);
      const { leaseKey, shardId, after, tenure } = effect;
      const latest = this.#latest.get(tenure) ?? { since: undefined };
      const { createdMs: readBefore } = latest;
      const stream = world.streamOf(leaseKey === shardId ? undefined : leaseKey.slice(0, -shardId.length - 1));
      const most = readable(effect);
      if (most === 0) {
        this.#done(1, effect, { batch: undefined, atShardEnd: false, childShards: [], leastBytes: LEAST_BYTES });
        return;
      }
      // The record that it goes on after is read again.
      const again = typeof after.sequenceNumber === 'bigint' ? 1 : 0;
      const limit = Math.min(most + again, prng.between(1, 6));
      const read = (from: ExtendedSequenceNumber): StreamRead | undefined =>
        stream.read(shardId, from, latest, limit, this.#batchCount, queue.now);
      const plain = read(after) ?? this.#bug?.refused?.(read);
      if (plain === undefined) {
        this.#fail(this.#latency(), effect, 'the number is none of this stream');
        return;
      }
      if (latest.createdMs !== readBefore) world.checkers.latestBegan(leaseKey, this.refOf(tenure), plain.positions[0]);
      const { positions, fetched } = this.#bug?.read?.(plain, failedBefore) ?? plain;
      if (fetched.batch !== undefined) {
        this.#batches.set(fetched.batch.batchId, positions);
        // What is left of the record that it goes on after comes in any case.
        const fresh = positions.filter(({ sequenceNumber }) => sequenceNumber !== after.sequenceNumber);
        const overfull = this.#room.fetched(tenure, fetched.batch.batchId, fresh.length);
        if (!this.is2x) world.checkers.report(overfull);
      }
      const idleMs = fetched.batch === undefined ? prng.between(200, 700) : prng.between(1, 4);
      this.#done(idleMs, effect, fetched);
    });
  }

  #deliver(effect: DeliverBatch): void {
    const world = this.#world;
    const { prng, checkers } = world;
    const { leaseKey, tenure, batchId } = effect;
    const batch = this.#batches.get(batchId) as readonly Position[];
    const ref = this.refOf(tenure);
    checkers.deliveryStarted(leaseKey, ref, batch, world.queue.now);
    const isStopped = this.#stopped.has(batchId) && effect.anew !== true;
    if (!isStopped) this.#stopped.delete(batchId);
    const fails = world.operator?.fails() === true;
    const throws = isStopped || fails || world.mishap(world.plan.rates.handlerThrows);
    const durationMs = world.mishap(world.plan.rates.slowHandler) ? prng.between(200, 2500) : prng.between(1, 15);
    world.transcript?.handles(this, leaseKey, batch, durationMs);
    const last = batch.at(-1) as ExtendedSequenceNumber;
    const byHand = world.twoPhase && prng.chance(0.5);
    const hang = world.hang();
    const delivery: Delivery = {
      hang,
      call: this.#callNow(),
      end: (handled, finishedCount = 0, goesOn = false) => {
        if (this.#deliveries.get(tenure) !== delivery) return;
        this.#deliveries.delete(tenure);
        const finished = handled ? batch : batch.slice(0, finishedCount);
        checkers.deliveryEnded(leaseKey, ref, finished, finished.length > 0);
        checkers.report(world.sink.write(leaseKey, ref, finished));
        if (handled) {
          this.#batches.delete(batchId);
          this.#room.handled(tenure, batchId);
          this.#tell({ kind: 'done', effect, result: { checkpoint: byHand ? undefined : last } });
        } else {
          const why = goesOn ? 'goes on' : 'throws';
          world.transcript?.fault(this, `the handler of ${leaseKey} ${why}, having finished ${finishedCount}`);
          this.#unfinished(effect, batch, finishedCount, goesOn);
        }
        this.#closing.get(tenure)?.();
      },
    };
    this.#deliveries.set(tenure, delivery);
    if (hang === 'blocks') this.pause(world.badDays?.blockMs() ?? 0);
    else if (hang !== undefined) {
      world.transcript?.fault(this, `the handler of ${leaseKey} ${hang}`);
      return;
    }
    if (byHand) this.#handleByHand(effect, batch, throws ? undefined : durationMs, delivery);
    else {
      // A handler that is bisected to a bad record, or tells which one it is, has finished what is before it, and one of parts
      // says how far it is; not one of the KCL's.
      const finishedCount = throws || batchId % 3 === 0 ? batchId % batch.length : 0;
      const goesOn = !throws && finishedCount > 0;
      if (this.is2x) this.#later(durationMs, () => delivery.end(!throws));
      else this.#later(durationMs, () => delivery.end(!throws && !goesOn, finishedCount, goesOn));
    }
  }

  #unfinished(effect: DeliverBatch, batch: readonly Position[], finishedCount: number, goesOn: boolean): void {
    const error = 'the handler threw';
    const stops = !goesOn && (this.#stopped.has(effect.batchId) || this.#world.operator?.stops() === true);
    if (stops) this.#stopped.add(effect.batchId);
    if (finishedCount === 0 && stops) {
      this.#tell({
        kind: 'done',
        effect,
        result: { checkpoint: undefined, rest: { kind: 'threw', attempt: 1, error, stops } },
      });
      return;
    }
    if (finishedCount === 0) {
      this.#tell({ kind: 'failed', effect, error });
      return;
    }
    this.#batches.set(effect.batchId, batch.slice(finishedCount));
    const checkpoint = batch[finishedCount - 1] as ExtendedSequenceNumber;
    const rest: RestOfBatch = goesOn ? { kind: 'goesOn' } : { kind: 'threw', attempt: 1, error, stops };
    this.#tell({ kind: 'done', effect, result: { checkpoint, rest } });
  }

  /** A handler that prepares, does its work, and settles what it prepared, or throws in between. Not every one settles. */
  #handleByHand(
    { leaseKey, tenure }: DeliverBatch,
    batch: readonly Position[],
    durationMs: number | undefined,
    delivery: Delivery,
  ): void {
    const { prng, checkers } = this.#world;
    const pending = { position: prng.pick(batch) as ExtendedSequenceNumber, state: Uint8Array.of(prng.int(256)) };
    const position = batch.at(-1) as ExtendedSequenceNumber;
    this.#ask(leaseKey, tenure, pending.position, { state: pending.state }, (prepared) => {
      if (prepared) checkers.twoPhase.prepared(leaseKey, this.refOf(tenure), pending);
      if (!prepared || durationMs === undefined) delivery.end(false);
      else {
        this.#later(durationMs, () => {
          if (this.#deliveries.get(tenure) !== delivery) return;
          checkers.handled(leaseKey, batch);
          checkers.report(this.#world.sink.write(leaseKey, this.refOf(tenure), batch));
          if (prng.chance(0.3)) delivery.end(true);
          else this.#ask(leaseKey, tenure, position, undefined, (written) => delivery.end(written));
        });
      }
    });
  }

  #ask(
    leaseKey: string,
    tenure: number,
    position: ExtendedSequenceNumber,
    prepare: { readonly state: Uint8Array } | undefined,
    settled: (written: boolean) => void,
  ): void {
    this.#requestCount += 1;
    const requestId = this.#requestCount;
    this.#requests.set(requestId, settled);
    // The handler runs after the step that called it.
    this.#later(0, () => this.#tell({ kind: 'checkpointRequested', leaseKey, tenure, position, prepare, requestId }));
  }

  /** The handler of a closed shard may take notice of its aborted signal, or not. */
  #close(tenure: number, closed: () => void): void {
    const { prng } = this.#world;
    const delivery = this.#deliveries.get(tenure);
    if (delivery === undefined) {
      closed();
      return;
    }
    const finish = (): void => {
      this.#closing.delete(tenure);
      closed();
    };
    this.#closing.set(tenure, finish);
    const heeds =
      delivery.hang === undefined || delivery.hang === 'blocks' ? prng.chance(0.5) : delivery.hang === 'hangsHeeding';
    if (heeds) this.#later(prng.between(1, 20), () => delivery.end(false));
    if (this.#bug?.closesEarly === true) finish();
  }
}

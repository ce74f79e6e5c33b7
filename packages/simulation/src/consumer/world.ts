// One simulated world: a stream or two, a lease table and some worker processes that run the real coordination core, on one virtual
// clock. Every answer takes its time; requests and answers get lost or come late, processes pause, crash and come back, handlers
// throw. First a while with faults (safety), then one without (everything must drain and balance), then one in which nothing
// may move. All of it follows from the seed.
import type { Done, Effect, Event, Failed, Notice, TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { Worker, type WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng, type Prng } from '../prng.ts';
import { ConsumerCheckers, type Position, type TenureRef } from './checkers.ts';
import type { PlantedBug } from './planted-bugs.ts';
import { SimulatedStream } from './stream.ts';
import { type Plan, planWorld } from './swarm.ts';

export interface WorldResult {
  readonly seed: number;
  readonly violations: readonly string[];
  /** What happened, a line each, when it was asked for. */
  readonly transcript: readonly string[];
  readonly eventCount: number;
}

const TIMES = {
  failoverTimeMs: 1000,
  leaseAssignmentIntervalMs: 600,
  leaseDiscoveryIntervalMs: 300,
  leaderLeaseDurationMs: 2400,
  shardSyncIntervalMs: 2000,
  // Longer than the latest of late requests (TIMEOUT_MS + 3000).
  completedLeaseCleanupIntervalMs: 4000,
  gracefulLeaseHandoffTimeoutMs: 2000,
  workerMetricsReportIntervalMs: 900,
  workerStaleMs: 2000,
  checkpointIntervalMs: 200,
  parentShardPollIntervalMs: 300,
  shutdownGraceMs: 3000,
  retryMs: 100,
} as const;

/** How long a client waits for an answer before it gives up. */
const TIMEOUT_MS = 300;
/** From the last fault to the end of all work: a leader's lease, an expiry, a reshard's generations, with room to spare. */
const DRAIN_MS = 60_000;
/** How long nothing may move once all is balanced. */
const STILL_MS = 4_000;

interface Delivery {
  readonly leaseKey: string;
  readonly ref: TenureRef;
  readonly batch: readonly Position[];
  /** Ends the handler; a failed one handled nothing. */
  readonly end: (handled: boolean) => void;
}

interface Process {
  readonly id: number;
  readonly workerId: string;
  readonly worker: Worker;
  /** This process's clock is ahead by so much. */
  readonly clockOffset: number;
  alive: boolean;
  pausedUntil: number;
  tickAt: number;
  batchCount: number;
  readonly batches: Map<number, readonly Position[]>;
  readonly fetchFailures: Set<number>;
  readonly deliveries: Map<number, Delivery>;
  /** Closings that wait for a handler, by tenure. */
  readonly closing: Map<number, () => void>;
  stopping: boolean;
}

/** Runs the world of a seed. The same seed gives the same result, to the byte. */
export function simulateWorld(
  seed: number,
  options: { bug?: PlantedBug | undefined; transcript?: boolean } = {},
): WorldResult {
  return new World(seed, options.bug, options.transcript ?? false).run();
}

export class World {
  readonly prng: Prng;
  readonly queue: EventQueue = new EventQueue();
  readonly table: MemoryLeaseTable;
  readonly checkers: ConsumerCheckers;
  /** One without an identifier, or two of an application that reads several. */
  readonly streams: ReadonlyMap<string | undefined, SimulatedStream>;
  readonly #seed: number;
  readonly #plan: Plan;
  readonly #strategy: WorkerOptions['assignmentStrategy'];
  readonly #bug: PlantedBug | undefined;
  readonly #processes: Process[] = [];
  readonly #transcript: string[] | undefined;
  #faults = true;
  #eventCount = 0;
  #moveCount = 0;
  #startsToCome = 0;
  /** When the last late request lands; what it does is no unrest of the healed world. */
  #lastLateAt = 0;

  constructor(seed: number, bug: PlantedBug | undefined, transcript: boolean) {
    this.#seed = seed;
    this.#bug = bug;
    this.#transcript = transcript ? [] : undefined;
    this.prng = createPrng(seed);
    this.#plan = planWorld(this.prng);
    this.#strategy = seed % 5 === 4 ? 'utilization' : 'count';
    this.table = new MemoryLeaseTable({ wallNow: () => this.queue.now });
    this.checkers = new ConsumerCheckers(TIMES.failoverTimeMs, TIMES.gracefulLeaseHandoffTimeoutMs);
    const streamIds = seed % 6 === 2 ? ['1:first:1', '1:second:1'] : [undefined];
    this.streams = new Map(
      streamIds.map((streamId) => [streamId, new SimulatedStream(streamId, this.#plan.shardCount, this.checkers)]),
    );
  }

  run(): WorldResult {
    const { queue } = this;
    for (const { at, kind, target } of this.#plan.incidents) queue.at(at, () => this.#incident(kind, target));
    queue.runUntil(this.#plan.faultsUntilMs, () => this.checkers.violations.length > 0);
    this.#heal();
    this.#settle();
    if (this.checkers.violations.length === 0) {
      this.checkers.checkDrained(queue.now);
      this.checkers.checkBalanced(this.table.leases.values(), this.#liveWorkers(), queue.now);
      queue.runUntil(queue.now + STILL_MS, () => this.checkers.violations.length > 0);
    }
    return {
      seed: this.#seed,
      violations: this.checkers.violations,
      transcript: this.#transcript ?? [],
      eventCount: this.#eventCount,
    };
  }

  /** Runs until all is drained and balanced, and stays so for longer than a plan of the leader can be under way. */
  #settle(): void {
    const { queue, checkers } = this;
    const until = queue.now + DRAIN_MS;
    const settled = (): boolean =>
      this.#startsToCome === 0 &&
      queue.now > this.#lastLateAt &&
      this.#processes.every((process) => process.pausedUntil <= queue.now) &&
      checkers.drained() &&
      checkers.balanced(this.table.leases.values(), this.#liveWorkers());
    while (checkers.violations.length === 0 && queue.now < until) {
      queue.runUntil(until, () => checkers.violations.length > 0 || settled());
      const moves = this.#moveCount;
      queue.runUntil(queue.now + 2 * TIMES.leaseAssignmentIntervalMs, () => checkers.violations.length > 0);
      if (settled() && this.#moveCount === moves) return;
    }
  }

  /** For planted bugs: the worker id of the process that asked. */
  workerIdOf(process: { readonly id: number }): string {
    return this.#processes[process.id]?.workerId ?? '';
  }

  #log(text: () => string): void {
    this.#transcript?.push(`${this.queue.now.toFixed(0).padStart(7)}  ${text()}`);
  }

  // --- what befalls the world ---

  #incident(kind: Plan['incidents'][number]['kind'], target: number): void {
    const { queue, prng } = this;
    const alive = this.#processes.filter((process) => process.alive && !process.stopping);
    const victim = alive[target % Math.max(1, alive.length)];
    switch (kind) {
      case 'start':
        this.#start();
        return;
      case 'put':
        this.#someStream().put(queue.now, prng);
        return;
      case 'split':
        this.#log(() => 'split');
        this.#someStream().split(queue.now, prng);
        return;
      case 'merge':
        this.#log(() => 'merge');
        this.#someStream().merge(queue.now, prng);
        return;
      case 'crash':
        if (victim !== undefined) this.#crash(victim);
        return;
      case 'pause':
        if (victim !== undefined) {
          victim.pausedUntil = queue.now + prng.between(300, 4000);
          this.#log(() => `process ${victim.id} pauses until ${victim.pausedUntil}`);
        }
        return;
      case 'fallSilent':
        if (victim !== undefined && victim.pausedUntil < queue.now) {
          victim.pausedUntil = queue.now + prng.between(700, 1700);
          this.#log(() => `process ${victim.id} falls silent until ${victim.pausedUntil}`);
        }
        return;
      case 'stop':
        if (victim !== undefined && alive.length > 1) {
          victim.stopping = true;
          this.#log(() => `process ${victim.id} is asked to stop`);
          this.#tell(victim, { kind: 'stop' });
        }
        return;
      default:
        kind satisfies never;
    }
  }

  #someStream(): SimulatedStream {
    const streams = [...this.streams.values()];
    return streams.length === 1 ? (streams[0] as SimulatedStream) : this.prng.pick(streams);
  }

  #streamOf(streamId: string | undefined): SimulatedStream {
    const stream = this.streams.get(streamId);
    if (stream === undefined) throw new Error(`no stream ${streamId} in this world`);
    return stream;
  }

  #start(): void {
    const { prng } = this;
    const id = this.#processes.length;
    const living = new Set(this.#processes.filter((process) => process.alive).map((process) => process.workerId));
    const dead = this.#processes.filter((process) => !living.has(process.workerId));
    // A worker id is usually fresh; a restarted process with a stable one adopts what it left.
    const workerId = dead.length > 0 && prng.chance(this.#plan.stableIds) ? prng.pick(dead).workerId : `worker-${id}`;
    const options: WorkerOptions = {
      ...TIMES,
      workerId,
      incarnation: `00000000-0000-4000-8000-${id.toString(16).padStart(12, '0')}`,
      formerStreamsWaitMs: Number.POSITIVE_INFINITY,
      maxLeasesForWorker: 1000,
      maxThroughputPerHostKBps: Number.POSITIVE_INFINITY,
      assignmentStrategy: this.#strategy,
      reBalanceThresholdPercentage: 10,
      dampeningPercentage: 60,
      allowThroughputOvershoot: true,
      varianceBalancingFrequency: 3,
      workerMetricsEMAAlpha: 0.5,
      maxPendingBatchCount: prng.between(1, 3),
      maxPendingBytes: 1000,
      handlerBackoff: { baseMs: 20, maxMs: 200 },
      fetchBackoff: { baseMs: 20, maxMs: 200 },
      tableBackoff: { baseMs: 20, maxMs: 200 },
    };
    const process: Process = {
      id,
      workerId,
      worker: new Worker(this.#bug?.options?.(options) ?? options),
      clockOffset: prng.int(100_000),
      alive: true,
      pausedUntil: 0,
      tickAt: Number.POSITIVE_INFINITY,
      batchCount: 0,
      batches: new Map(),
      fetchFailures: new Set(),
      deliveries: new Map(),
      closing: new Map(),
      stopping: false,
    };
    this.#processes.push(process);
    this.#log(() => `process ${id} starts as ${workerId}`);
    const streams = [...this.streams.keys()].map(
      (streamId) => ({ streamId, initialPosition: 'TRIM_HORIZON' }) as const,
    );
    this.#tell(process, { kind: 'streams', streams });
    this.#tell(process, { kind: 'start' });
  }

  #startLater(delayMs: number): void {
    if (!this.#faults) return;
    this.#startsToCome += 1;
    this.queue.after(delayMs, () => {
      this.#startsToCome -= 1;
      this.#start();
    });
  }

  #crash(process: Process): void {
    this.#log(() => `process ${process.id} crashes`);
    process.alive = false;
    this.checkers.processDied(process.id);
    process.deliveries.clear();
    this.#startLater(this.prng.between(50, 2500));
  }

  #heal(): void {
    this.#log(() => 'faults end');
    this.#faults = false;
    if (this.#liveWorkers().length === 0) this.#start();
  }

  #liveWorkers(): string[] {
    return this.#processes.filter((process) => process.alive && !process.stopping).map((process) => process.workerId);
  }

  // --- a process ---

  /** Lets something happen inside a process: not while it is paused, never once it is dead. */
  #inside(process: Process, delayMs: number, run: () => void): void {
    this.queue.after(delayMs, () => {
      if (!process.alive) return;
      const pause = process.pausedUntil - this.queue.now;
      if (pause > 0) this.#inside(process, pause, run);
      else run();
    });
  }

  #tell(process: Process, event: Event): void {
    const seen = this.#bug?.event?.(event, process.worker.view(this.queue.now + process.clockOffset)) ?? event;
    this.#eventCount += 1;
    const now = this.queue.now + process.clockOffset;
    for (const effect of process.worker.step(seen, now, this.prng.next())) {
      if (effect.kind === 'tell') this.#noticed(process, effect.notice);
      else this.#execute(process, effect);
    }
    this.#planTick(process);
  }

  #planTick(process: Process): void {
    const deadline = process.worker.deadline() - process.clockOffset;
    if (deadline >= process.tickAt || deadline === Number.POSITIVE_INFINITY) return;
    process.tickAt = deadline;
    this.queue.at(deadline, () => {
      if (process.tickAt !== deadline) return;
      process.tickAt = Number.POSITIVE_INFINITY;
      this.#inside(process, 0, () => this.#tell(process, { kind: 'tick' }));
    });
  }

  #noticed(process: Process, notice: Notice): void {
    this.#log(() => `process ${process.id}: ${JSON.stringify(notice, jsonable)}`);
    if (notice.kind === 'stopped') {
      process.alive = false;
      this.checkers.processDied(process.id);
      this.#startLater(this.prng.between(10, 500));
    }
  }

  #answer(process: Process, delayMs: number, event: Done | Failed): void {
    this.#inside(process, delayMs, () => this.#tell(process, event));
  }

  #done<E extends Effect>(
    process: Process,
    delayMs: number,
    effect: E,
    result: Extract<Done, { effect: { kind: E['kind'] } }>['result'],
  ): void {
    this.#answer(process, delayMs, { kind: 'done', effect, result } as Done);
  }

  #fail(process: Process, delayMs: number, effect: Effect, why: string): void {
    this.#answer(process, delayMs, { kind: 'failed', effect, error: why });
  }

  // --- effects ---

  #execute(process: Process, effect: Effect): void {
    switch (effect.kind) {
      case 'listShards':
        this.#listShards(process, effect);
        return;
      case 'openShard':
        this.checkers.shardStarted(effect.leaseKey, { process: process.id, tenure: effect.tenure }, effect.checkpoint);
        this.#done(process, this.prng.int(3), effect, undefined);
        return;
      case 'fetchBatch':
        this.#fetch(process, effect);
        return;
      case 'deliverBatch':
        this.#deliver(process, effect);
        return;
      case 'drainShard':
      case 'endShard':
        if (this.#mishap(this.#plan.rates.handlerThrows)) this.#fail(process, 3, effect, 'the handler threw');
        else this.#done(process, this.prng.between(0, 5), effect, undefined);
        return;
      case 'closeShard':
        this.#close(process, effect);
        return;
      default:
        this.#runOnTable(process, effect);
    }
  }

  #mishap(rate: number): boolean {
    return this.#faults && rate > 0 && this.prng.chance(rate);
  }

  #latency(): number {
    return this.#mishap(this.#plan.rates.slow) ? this.prng.between(20, TIMEOUT_MS - 50) : this.prng.between(1, 4);
  }

  #runOnTable(process: Process, effect: TableEffect): void {
    const { rates } = this.#plan;
    if (this.#mishap(rates.lostRequest)) {
      this.#fail(process, TIMEOUT_MS, effect, 'no answer: the request was lost');
      return;
    }
    const requestMs = this.#latency();
    if (this.#mishap(rates.lostAnswer)) {
      this.queue.after(requestMs, () => this.#apply(process, effect));
      this.#fail(process, TIMEOUT_MS, effect, 'no answer: it was lost');
      return;
    }
    if (this.#mishap(rates.late)) {
      const lateMs = TIMEOUT_MS + this.prng.between(1, 3000);
      this.#lastLateAt = Math.max(this.#lastLateAt, this.queue.now + lateMs);
      this.queue.after(lateMs, () => this.#apply(process, effect));
      this.#fail(process, TIMEOUT_MS, effect, 'no answer: the request is late');
      return;
    }
    this.queue.after(requestMs, () => {
      const result = this.#apply(process, effect);
      this.#done(process, this.#latency(), effect, result as never);
    });
  }

  /** Runs one effect on the table and shows the checkers what changed. */
  #apply(process: Process, effect: TableEffect): unknown {
    const key =
      'leaseKey' in effect ? (effect.kind === 'createLease' ? effect.lease.leaseKey : effect.leaseKey) : undefined;
    const before = key === undefined ? undefined : this.table.leases.get(key);
    const run = (toRun: TableEffect): unknown => this.table.apply(toRun);
    const result = this.#bug?.apply === undefined ? run(effect) : this.#bug.apply(effect, this, process.workerId, run);
    const after = key === undefined ? undefined : this.table.leases.get(key);
    if (after !== before) {
      const holder = effect.kind === 'renewLease' || effect.kind === 'checkpointLease';
      const ref = holder ? { process: process.id, tenure: effect.tenure } : undefined;
      this.checkers.tableChanged(before, after, ref, this.queue.now);
      if (
        before?.leaseOwner !== after?.leaseOwner &&
        before !== undefined &&
        after !== undefined &&
        after.checkpoint.sequenceNumber !== 'SHARD_END'
      ) {
        this.#moveCount += 1;
        this.checkers.leaseMoved(key as string, this.queue.now);
      }
      if (effect.kind === 'createLease' || effect.kind === 'deleteLease' || effect.kind === 'checkpointLease') {
        this.checkers.checkHashRange(this.table.leases.values());
      }
      this.#log(() => `process ${process.id}: ${effect.kind} ${key}: ${JSON.stringify(after, jsonable)}`);
    }
    return result;
  }

  #listShards(process: Process, effect: Extract<Effect, { kind: 'listShards' }>): void {
    if (this.#mishap(this.#plan.rates.lostRequest)) {
      this.#fail(process, TIMEOUT_MS, effect, 'no answer');
      return;
    }
    this.queue.after(this.#latency(), () => {
      const now = this.queue.now;
      const shards = this.#streamOf(effect.streamId).listShards(effect.filter, now);
      this.#done(process, this.#latency(), effect, { shards: this.#bug?.listing?.(shards, now) ?? shards });
    });
  }

  #fetch(process: Process, effect: Extract<Effect, { kind: 'fetchBatch' }>): void {
    const { prng, queue } = this;
    if (this.#mishap(this.#plan.rates.fetchFails)) {
      process.fetchFailures.add(effect.tenure);
      this.#fail(process, prng.between(5, TIMEOUT_MS), effect, 'the read failed');
      return;
    }
    queue.after(this.#latency(), () => {
      process.batchCount += 1;
      const failedBefore = process.fetchFailures.delete(effect.tenure);
      const { leaseKey, shardId, after } = effect;
      const stream = this.#streamOf(leaseKey === shardId ? undefined : leaseKey.slice(0, -shardId.length - 1));
      const plain = stream.read(shardId, after, prng.between(1, 6), process.batchCount, queue.now);
      const { positions, fetched } = this.#bug?.read?.(plain, failedBefore) ?? plain;
      if (fetched.batch !== undefined) process.batches.set(fetched.batch.batchId, positions);
      const idleMs = fetched.batch === undefined ? prng.between(150, 400) : prng.between(1, 4);
      this.#done(process, idleMs, effect, fetched);
    });
  }

  #deliver(process: Process, effect: Extract<Effect, { kind: 'deliverBatch' }>): void {
    const { prng, queue } = this;
    const { leaseKey, tenure, batchId } = effect;
    const batch = process.batches.get(batchId) as readonly Position[];
    const ref = { process: process.id, tenure };
    this.checkers.deliveryStarted(leaseKey, ref, batch, queue.now);
    this.#log(() => `process ${process.id}: handles ${batch.length} of ${leaseKey}`);
    const throws = this.#mishap(this.#plan.rates.handlerThrows);
    const durationMs = this.#mishap(this.#plan.rates.slowHandler) ? prng.between(200, 2500) : prng.between(1, 15);
    const delivery: Delivery = {
      leaseKey,
      ref,
      batch,
      end: (handled) => {
        if (process.deliveries.get(tenure) !== delivery) return;
        process.deliveries.delete(tenure);
        this.checkers.deliveryEnded(leaseKey, ref, batch, handled);
        if (handled) {
          process.batches.delete(batchId);
          const last = batch.at(-1) as Position;
          this.#tell(process, { kind: 'done', effect, result: { checkpoint: last as never } });
        } else this.#tell(process, { kind: 'failed', effect, error: 'the handler threw' });
        process.closing.get(tenure)?.();
      },
    };
    process.deliveries.set(tenure, delivery);
    this.#inside(process, durationMs, () => delivery.end(!throws));
  }

  /** The handler of a closed shard may take notice of its aborted signal, or not. */
  #close(process: Process, effect: Extract<Effect, { kind: 'closeShard' }>): void {
    const finish = (): void => {
      process.closing.delete(effect.tenure);
      this.#done(process, 0, effect, undefined);
    };
    const delivery = process.deliveries.get(effect.tenure);
    if (delivery === undefined) {
      finish();
      return;
    }
    process.closing.set(effect.tenure, finish);
    if (this.prng.chance(0.5)) this.#inside(process, this.prng.between(1, 20), () => delivery.end(false));
    if (this.#bug?.closesEarly === true) finish();
  }
}

function jsonable(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

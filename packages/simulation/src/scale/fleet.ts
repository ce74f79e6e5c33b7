// A large fleet in virtual time: hundreds of workers run the real coordination core with its real default options, against one
// metered lease table and a stream of thousands of shards that are never resharded. Nothing fails but what the scenario makes
// fail: this world is about time, moves and cost; the small one (consumer/world.ts) is about what may never happen.
// All of it follows from the seed, but for the processor time that the leader's plans take, which is this machine's.
import type { Done, Effect, Event, TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Shard, Utilization } from '../../../consumer/dist/coordination/lease.js';
import { Worker, type WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng, type Prng } from '../prng.ts';
import { MeteredTable, PAGE_BYTES } from './table.ts';
import { trafficKBps } from './traffic.ts';

export interface FleetPlan {
  readonly seed: number;
  readonly shardCount: number;
  /** Of each worker; the id and the process are the fleet's to give. */
  readonly options: WorkerOptions;
  /** The CPU of a worker with an average share of the records while there are `usualWorkerCount` of them, percent. */
  readonly usualWorkerCount: number;
  readonly usualCpuPercent: number;
  /** The CPU of a worker without any records, percent. */
  readonly idleCpuPercent: number;
  /** By how much a figure of 30 s is off at most, percentage points: other processes on the machine. */
  readonly cpuNoisePercent: number;
}

interface Process {
  readonly workerId: string;
  readonly worker: Worker;
  /** This process's clock is ahead by so much. */
  readonly clockOffset: number;
  alive: boolean;
  tickAt: number;
  /** Effects on the table under way, and those that wait for one of them (runtime.ts). */
  openCount: number;
  readonly waiting: TableEffect[];
  readonly lastReadAt: Map<number, number>;
  batchCount: number;
  /** Read since the last report. */
  readKB: number;
  reportedAt: number;
  readonly cpuPercents: number[];
}

/** As the runtime's: effects on the table under way at once. */
const TABLE_LANES = 32;
/** One call to DynamoDB, one page of a scan, one page of ListShards. */
const CALL_MS = { from: 3, to: 12 } as const;
const SCAN_PAGE_MS = 80;
const LIST_PAGE_MS = 40;
const SHARDS_A_PAGE = 1_000;
/** The default of idleTimeBetweenReadsMs: a reader at the tip. */
const READ_EVERY_MS = 1_000;
const HANDLER_MS = 20;
/** The processes of a deployment start within this time. */
const START_WITHIN_MS = 2_000;
const CPU_FIGURES = 10;
const NOBODY = { leaseOwner: undefined, checkpointOwner: undefined } as const;

export class SimulatedFleet {
  readonly queue: EventQueue = new EventQueue();
  readonly table: MeteredTable = new MeteredTable(() => this.queue.now);
  readonly #plan: FleetPlan;
  readonly #prng: Prng;
  readonly #shards: readonly Shard[];
  /** By shard id, kB a second. */
  readonly #trafficKBps = new Map<string, number>();
  readonly #meanTrafficKBps: number;
  readonly #processes: Process[] = [];
  readonly #workers = new Map<string, Process>();
  /** Who reads each shard. */
  readonly #readers = new Map<string, string>();
  /** Counted last; undefined: owners or readers have changed since. */
  #unservedCount: number | undefined;
  #moveCount = 0;
  #lastMoveAt = 0;
  #mostLeases = 0;
  #planCpuMs: number[] = [];

  constructor(plan: FleetPlan) {
    this.#plan = plan;
    this.#prng = createPrng(plan.seed);
    this.#shards = evenShards(plan.shardCount);
    let totalKBps = 0;
    for (const { shardId } of this.#shards) {
      const kBps = trafficKBps(this.#prng);
      totalKBps += kBps;
      this.#trafficKBps.set(shardId, kBps);
    }
    this.#meanTrafficKBps = totalKBps / plan.shardCount;
  }

  // --- what the scenario does ---

  /** Starts workers within a short time of each other. */
  start(count: number): void {
    for (let index = 0; index < count; index += 1)
      this.queue.after(this.#prng.int(START_WITHIN_MS), () => this.#start());
  }

  /** Ends some workers at once, without a word; the leader is one of them. */
  crash(count: number): void {
    const living = this.#processes.filter(({ alive }) => alive);
    const leader = living.findIndex(({ worker, clockOffset }) => worker.view(this.queue.now + clockOffset).leader);
    for (let index = 0; index < count; index += 1) {
      const victim = index === 0 && leader >= 0 ? leader : this.#prng.int(living.length);
      const [process] = living.splice(victim, 1) as [Process];
      process.alive = false;
      this.#unservedCount = undefined;
      process.waiting.length = 0;
    }
  }

  // --- what is seen from outside ---

  get living(): string[] {
    return this.#processes.filter(({ alive }) => alive).map(({ workerId }) => workerId);
  }

  /** Changes of a lease's owner, first assignments included. */
  get moveCount(): number {
    return this.#moveCount;
  }

  get lastMoveAt(): number {
    return this.#lastMoveAt;
  }

  /** The most leases that any worker ever had. */
  get mostLeases(): number {
    return this.#mostLeases;
  }

  /** Processor ms of each plan since the last call: from a table that was read to the writes that follow from it. */
  takePlanCpuMs(): number[] {
    const taken = this.#planCpuMs;
    this.#planCpuMs = [];
    return taken;
  }

  trafficOf(workerId: string): number {
    let sum = 0;
    for (const leaseKey of this.table.ownedBy(workerId)) sum += this.kBpsOf(leaseKey);
    return sum;
  }

  kBpsOf(leaseKey: string): number {
    return this.#trafficKBps.get(leaseKey) ?? 0;
  }

  /** Leases whose shard nobody reads, or another than their owner. */
  unservedCount(): number {
    if (this.table.leases.size < this.#shards.length) return this.#shards.length;
    this.#unservedCount ??= this.#countUnserved();
    return this.#unservedCount;
  }

  #countUnserved(): number {
    let count = 0;
    for (const { leaseKey, leaseOwner, checkpointOwner } of this.table.leases.values()) {
      const reader = this.#readers.get(leaseKey);
      if (reader === undefined || (checkpointOwner ?? leaseOwner) !== reader || !this.#workers.get(reader)?.alive)
        count += 1;
    }
    return count;
  }

  // --- processes ---

  #start(): void {
    const id = this.#processes.length;
    const incarnation = `00000000-0000-4000-8000-${id.toString(16).padStart(12, '0')}`;
    const workerId = `host:${incarnation}`;
    const process: Process = {
      workerId,
      worker: new Worker({ ...this.#plan.options, workerId, incarnation }),
      clockOffset: this.#prng.int(100_000),
      alive: true,
      tickAt: Number.POSITIVE_INFINITY,
      openCount: 0,
      waiting: [],
      lastReadAt: new Map(),
      batchCount: 0,
      readKB: 0,
      reportedAt: this.queue.now,
      cpuPercents: [],
    };
    this.#processes.push(process);
    this.#workers.set(workerId, process);
    this.#tell(process, { kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
    this.#tell(process, { kind: 'start' });
  }

  #tell(process: Process, event: Event): void {
    if (!process.alive) return;
    for (const asked of this.#step(process, event)) {
      if (asked.kind !== 'tell') this.#execute(process, asked);
    }
    const deadline = process.worker.deadline() - process.clockOffset;
    if (deadline >= process.tickAt || deadline === Number.POSITIVE_INFINITY) return;
    process.tickAt = deadline;
    this.queue.at(deadline, () => {
      if (process.tickAt !== deadline) return;
      process.tickAt = Number.POSITIVE_INFINITY;
      this.#tell(process, { kind: 'tick' });
    });
  }

  #step(process: Process, event: Event): ReturnType<Worker['step']> {
    const now = this.queue.now + process.clockOffset;
    const plans = event.kind === 'done' && (event.effect.kind === 'readTable' || event.effect.kind === 'listShards');
    if (!plans) return process.worker.step(event, now, this.#prng.next());
    const before = globalThis.process.cpuUsage();
    const asked = process.worker.step(event, now, this.#prng.next());
    const { user, system } = globalThis.process.cpuUsage(before);
    this.#planCpuMs.push((user + system) / 1_000);
    return asked;
  }

  #done(process: Process, delayMs: number, effect: Effect, result: Done['result']): void {
    this.queue.after(delayMs, () => this.#tell(process, { kind: 'done', effect, result } as Done));
  }

  // --- effects ---

  #execute(process: Process, effect: Effect): void {
    const { shardId, leaseKey, tenure } = effect as { shardId: string; leaseKey: string; tenure: number };
    switch (effect.kind) {
      case 'listShards':
        this.#done(process, LIST_PAGE_MS * Math.ceil(this.#shards.length / SHARDS_A_PAGE), effect, {
          shards: this.#shards,
        });
        return;
      case 'openShard':
        this.#readers.set(leaseKey, process.workerId);
        this.#unservedCount = undefined;
        process.lastReadAt.set(tenure, this.queue.now);
        this.#done(process, 1, effect, undefined);
        return;
      case 'fetchBatch':
        this.queue.after(READ_EVERY_MS, () => this.#fetched(process, effect, shardId));
        return;
      case 'deliverBatch': {
        const checkpoint = { sequenceNumber: BigInt(effect.batchId), subSequenceNumber: 0 } as never;
        this.#done(process, HANDLER_MS, effect, { checkpoint });
        return;
      }
      case 'closeShard':
        this.#unservedCount = undefined;
        if (this.#readers.get(leaseKey) === process.workerId) this.#readers.delete(leaseKey);
        process.lastReadAt.delete(tenure);
        this.#done(process, 1, effect, undefined);
        return;
      case 'drainShard':
      case 'endShard':
        this.#done(process, 1, effect, undefined);
        return;
      default:
        if (process.openCount < TABLE_LANES) this.#call(process, effect);
        else process.waiting.push(effect);
    }
  }

  /** What came to the shard since it was last read; a batch's number is its position, and grows with the time of all readers. */
  #fetched(process: Process, effect: Extract<Effect, { kind: 'fetchBatch' }>, shardId: string): void {
    if (!process.alive) return;
    const { now } = this.queue;
    const elapsedMs = now - (process.lastReadAt.get(effect.tenure) ?? now);
    process.lastReadAt.set(effect.tenure, now);
    const kB = (this.kBpsOf(shardId) * elapsedMs) / 1_000;
    process.readKB += kB;
    const batchId = Math.round(now * 1_000);
    const last = { sequenceNumber: BigInt(batchId), subSequenceNumber: 0 } as never;
    const batch = { batchId, recordCount: 1, byteCount: Math.round(kB * 1_024), last };
    this.#tell(process, { kind: 'done', effect, result: { batch, atShardEnd: false, childShards: [] } });
  }

  #call(process: Process, effect: TableEffect): void {
    process.openCount += 1;
    const pages = effect.kind === 'readTable' ? Math.ceil(this.table.bytes / PAGE_BYTES) : 0;
    const thereMs = this.#prng.between(CALL_MS.from, CALL_MS.to) / 2;
    this.queue.after(thereMs, () => {
      // What a process sent before it died still arrives.
      const result = this.#apply(effect.kind === 'reportWorker' ? this.#report(process, effect) : effect);
      const backMs = this.#prng.between(CALL_MS.from, CALL_MS.to) / 2 + pages * SCAN_PAGE_MS;
      this.queue.after(backMs, () => {
        process.openCount -= 1;
        const next = process.waiting.shift();
        if (next !== undefined && process.alive) this.#call(process, next);
        this.#tell(process, { kind: 'done', effect, result } as Done);
      });
    });
  }

  #apply(effect: TableEffect): Done['result'] {
    const key = 'leaseKey' in effect ? effect.leaseKey : '';
    const { leaseOwner: before, checkpointOwner: giverBefore } = this.table.leases.get(key) ?? NOBODY;
    const result = this.table.apply(effect);
    const { leaseOwner: after, checkpointOwner: giverAfter } = this.table.leases.get(key) ?? NOBODY;
    if (before !== after || giverBefore !== giverAfter) this.#unservedCount = undefined;
    if (before !== after && after !== undefined) {
      this.#moveCount += 1;
      this.#lastMoveAt = this.queue.now;
      this.#mostLeases = Math.max(this.#mostLeases, this.table.ownedBy(after).size);
    }
    return result;
  }

  /** One more figure: in proportion to what was read since the last one, and off by some noise. */
  #report(process: Process, effect: Extract<Effect, { kind: 'reportWorker' }>): typeof effect {
    const { usualWorkerCount, usualCpuPercent, idleCpuPercent, cpuNoisePercent } = this.#plan;
    const seconds = (this.queue.now - process.reportedAt) / 1_000;
    if (seconds >= 1) {
      const usualKBps = (this.#meanTrafficKBps * this.#shards.length) / usualWorkerCount;
      const share = process.readKB / seconds / usualKBps;
      const noise = cpuNoisePercent * (2 * this.#prng.next() - 1);
      const percent = idleCpuPercent + (usualCpuPercent - idleCpuPercent) * share + noise;
      process.cpuPercents.push(Math.min(100, Math.max(0.1, percent)));
      process.cpuPercents.splice(0, process.cpuPercents.length - CPU_FIGURES);
      process.readKB = 0;
      process.reportedAt = this.queue.now;
    }
    const figures = process.cpuPercents.length === 0 ? [0] : [...process.cpuPercents];
    const utilization: Utilization = { stats: { C: figures }, operatingRange: { C: [100] } };
    return { ...effect, utilization };
  }
}

function evenShards(count: number): Shard[] {
  const width = 2n ** 128n / BigInt(count);
  return Array.from({ length: count }, (_, index) => ({
    shardId: `shardId-${String(index).padStart(12, '0')}`,
    parentShardIds: [],
    hashKeyRange: {
      start: BigInt(index) * width,
      end: (index + 1 === count ? 2n ** 128n : BigInt(index + 1) * width) - 1n,
    } as never,
    startingSequenceNumber: BigInt(index),
    endingSequenceNumber: undefined,
  }));
}

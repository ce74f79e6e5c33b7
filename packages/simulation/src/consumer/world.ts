// One simulated world: a stream or two, a lease table and some worker processes that run the real coordination core, on one virtual
// clock. Every answer takes its time; requests and answers get lost or come late, processes pause, crash and come back, handlers
// throw. First a while with faults (safety), then one without (everything must drain and balance), then one in which nothing
// may move. All of it follows from the seed.

import { TRIM_HORIZON } from '@shardline/common';
import type { TrackedStream } from '../../../consumer/dist/coordination/effects.js';
import { type Lease, newLease } from '../../../consumer/dist/coordination/lease.js';
import type { RoomOptions } from '../../../consumer/dist/coordination/room.js';
import type { WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import type { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng, type Prng } from '../prng.ts';
import { type BadDay, BadDays, STALL_TIMES } from './bad-days.ts';
import { ConsumerCheckers } from './checkers.ts';
import { crowdedRoom } from './crowded-rooms.ts';
import { type Ending, endingOf } from './endings.ts';
import { ExactlyOnceSink } from './exactly-once.ts';
import { HandOffs } from './hand-offs.ts';
import { leaderRowGoesAt } from './leader-row.ts';
import { MixedFleet } from './mixed-fleet.ts';
import { Operator } from './operator.ts';
import type { PlantedBug } from './planted-bugs.ts';
import { SimulatedProcess } from './process.ts';
import { Replays } from './replays.ts';
import { Rest } from './rest.ts';
import { ReturnedLeases } from './returned-leases.ts';
import type { Position } from './shard-history.ts';
import { SimulatedStream } from './stream.ts';
import { type Incident, MAX_CLOCK_DRIFT, type Plan, planWorld, type WorldSize } from './swarm.ts';
import { Transcript } from './transcript.ts';
import { Twins } from './twins.ts';
import { WatchedTable } from './watched-table.ts';
import { TIMES, workerOptions } from './worker-options.ts';

export interface WorldOptions {
  /** Default: small. */
  readonly size?: WorldSize | undefined;
  readonly bug?: PlantedBug | undefined;
  readonly transcript?: boolean;
}

export interface WorldResult {
  readonly seed: number;
  readonly violations: readonly string[];
  /** What happened, a line each, when it was asked for. */
  readonly transcript: readonly string[];
  readonly eventCount: number;
}

/** How long nothing may move once all is balanced; not less than it took to be sure of that. */
const STILL_MS = 2_000;
/** Who cannot start is started again after that. */
const START_AGAIN_MS = 300;
const NOTHING_SPECIAL: Partial<WorkerOptions> = {};

/** Runs the world of a seed. The same seed gives the same result, to the byte. */
export function simulateWorld(seed: number, options: WorldOptions = {}): WorldResult {
  return new World(seed, options).run();
}

export class World {
  readonly prng: Prng;
  readonly queue: EventQueue = new EventQueue();
  readonly watched: WatchedTable;
  readonly checkers: ConsumerCheckers;
  /** What handlers write to. */
  readonly sink: ExactlyOnceSink;
  readonly plan: Plan;
  readonly bug: PlantedBug | undefined;
  /** Some handlers checkpoint by hand, in two phases. Not drawn, so that the other worlds stay as they are. */
  readonly twoPhase: boolean;
  readonly badDays: BadDays | undefined;
  readonly operator: Operator | undefined;
  readonly replays: Replays | undefined;
  readonly handOffs: HandOffs | undefined;
  /** Undefined: wide enough for all. */
  readonly #room: RoomOptions | undefined;
  readonly transcript: Transcript | undefined;
  /** One without an identifier, or two of an application that reads several. */
  readonly streams: Map<string | undefined, SimulatedStream>;
  /** As its application lists them. */
  tracked: readonly TrackedStream[];
  /** Whether workers that start begin a stream anew that was made again; to one that is still the same it does nothing. */
  beginsAnew: boolean;
  /** What the workers are told beside the usual. */
  special: Partial<WorkerOptions> = NOTHING_SPECIAL;
  eventCount = 0;
  /** When the last late request lands; what it does is no unrest of the healed world. */
  lastLateAt = 0;
  readonly #seed: number;
  readonly #initialPosition: 'LATEST' | 'TRIM_HORIZON';
  readonly twins: Twins | undefined;
  /** Undefined until this world is at rest, and in most. */
  ending: Ending | undefined;
  /** Undefined while there are faults. */
  returned: ReturnedLeases | undefined;
  /** Workers of the KCL 2.x take part. */
  readonly mixed: MixedFleet | undefined;
  /** All that ever were. */
  readonly processes: SimulatedProcess[] = [];
  startsToCome = 0;
  readonly #rest: Rest = new Rest(this);
  #faults = true;

  constructor(seed: number, { size = 'small', bug, transcript = false }: WorldOptions) {
    const { queue } = this;
    this.#seed = seed;
    // As a fleet of the KCL 1.x left it.
    const isOlder = seed % 7 === 3;
    this.bug = bug;
    this.beginsAnew = seed % 2 === 0;
    this.twoPhase = seed % 4 === 3;
    // Apart from the worlds of older rows and of checkpoints in two phases.
    const comesBack = bug?.theme === 'comesBack';
    const isMixed = (seed % 8 === 5 || comesBack) && !isOlder;
    this.#initialPosition = seed % 8 === 4 && !isOlder && !isMixed ? 'LATEST' : 'TRIM_HORIZON';
    // Workers of the KCL 2.x have no watchdog.
    this.badDays = isMixed ? undefined : BadDays.of(seed);
    this.operator = isMixed ? undefined : Operator.of(seed);
    this.replays = isMixed || Twins.of(seed) !== undefined ? undefined : Replays.of(seed);
    this.handOffs = isMixed ? undefined : HandOffs.of(seed, bug?.theme === 'handsOff');
    this.#room = crowdedRoom(seed);
    this.twins = isMixed ? undefined : Twins.of(seed);
    this.prng = createPrng(seed);
    this.plan = planWorld(this.prng, size, bug?.theme);
    this.watched = new WatchedTable(this, isOlder);
    this.checkers = new ConsumerCheckers({
      failoverTimeMs: TIMES.failoverTimeMs * (1 - 2 * MAX_CLOCK_DRIFT),
      handoffTimeoutMs: TIMES.gracefulLeaseHandoffTimeoutMs,
      onViolation: () => queue.stop(),
    });
    this.sink = new ExactlyOnceSink((leaseKey, position) => this.checkers.indexOf(leaseKey, position));
    if (isMixed) this.sink.end();
    this.mixed = isMixed ? new MixedFleet(this.prng, this.plan.faultsUntilMs, this.table, comesBack) : undefined;
    this.transcript = transcript ? new Transcript(queue, this.checkers) : undefined;
    const streamIds = this.plan.streamCount > 1 ? ['1:first:1', '1:second:1'] : [undefined];
    this.streams = new Map(streamIds.map((streamId) => [streamId, this.newStream(streamId, this.plan.shardCount)]));
    this.tracked = streamIds.map((streamId) => ({ streamId, initialPosition: this.#initialPosition }));
  }

  get table(): MemoryLeaseTable {
    return this.watched.table;
  }

  get beginsAtLatest(): boolean {
    return this.#initialPosition === 'LATEST';
  }

  newStream(streamId: string | undefined, shardCount: number, isAgain = false): SimulatedStream {
    const rowOf = (leaseKey: string): Lease | undefined => this.table.leases.get(leaseKey);
    return new SimulatedStream(streamId, shardCount, this.checkers, rowOf, this.queue.now, isAgain);
  }

  run(): WorldResult {
    const { queue, checkers } = this;
    for (const incident of this.plan.incidents) queue.at(incident.at, () => this.#incident(incident));
    if (this.mixed !== undefined) this.#begin(this.mixed);
    for (const day of this.badDays?.plan(this.plan.faultsUntilMs) ?? []) queue.at(day.at, () => this.#badDay(day));
    for (const at of this.operator?.times(this.plan.faultsUntilMs) ?? [])
      queue.at(at, () => this.operator?.speak(this.living(), [...this.table.leases.keys()], queue.now));
    for (const at of this.replays?.times(this.plan.faultsUntilMs) ?? []) queue.at(at, () => this.#speakOfReplay());
    for (const at of this.handOffs?.times(this.plan.faultsUntilMs) ?? [])
      queue.at(at, () => this.handOffs?.speak(this.living(), [...this.table.leases.values()], queue.now));
    for (const at of leaderRowGoesAt(this.#seed, this.plan.faultsUntilMs)) queue.at(at, () => this.#deleteLeaderRow());
    queue.runUntil(this.plan.faultsUntilMs);
    if (checkers.violations.length === 0) {
      this.#heal();
      this.settle();
    }
    if (checkers.violations.length === 0) {
      const lacking = this.watched.lacking();
      const speaks = this.table.clientVersion;
      if (!this.#rest.speaksForGood)
        checkers.report(`the fleet speaks ${speaks} at ${queue.now}, and has not settled on it`);
      if (lacking.length > 0) checkers.report(`not filled in at ${queue.now}: ${lacking.join(', ')}`);
      queue.runUntil(queue.now + Math.max(STILL_MS, this.#rest.restMs));
    }
    if (checkers.violations.length === 0) this.#end();
    for (const violation of checkers.violations) this.transcript?.violation(violation);
    return {
      seed: this.#seed,
      violations: checkers.violations,
      transcript: this.transcript?.lines ?? [],
      eventCount: this.eventCount,
    };
  }

  /** Whether a fault of this rate strikes now. */
  mishap(rate: number): boolean {
    return this.#faults && rate > 0 && this.prng.chance(rate);
  }

  /** What a handler does in place of its work, if anything. */
  hang(): ReturnType<BadDays['hang']> {
    return this.#faults ? this.badDays?.hang() : undefined;
  }

  streamOf(streamId: string | undefined): SimulatedStream {
    const stream = this.streams.get(streamId);
    if (stream === undefined) throw new Error(`no stream ${streamId} in this world`);
    return stream;
  }

  /** That of a lost tenure. */
  handlerReturned(process: SimulatedProcess, leaseKey: string): void {
    this.returned?.returned(process, this.table.leases.get(leaseKey), this.queue.now);
  }

  /** A process has stopped in good order, or crashed: another one comes in its place. */
  ended(process: SimulatedProcess, from: number, to: number, always = false): void {
    this.checkers.processDied(process.id);
    this.replays?.ended(process.id);
    this.handOffs?.ended(process.id);
    const delayMs = this.prng.between(from, to);
    if (!this.#faults && !always) return;
    this.startsToCome += 1;
    this.queue.after(delayMs, () => this.#startAgain());
  }

  /** Without its stream none starts. */
  #startAgain(): void {
    const stream = this.streams.get(undefined);
    if (stream !== undefined && stream.createdMs === undefined) {
      this.queue.after(START_AGAIN_MS, () => this.#startAgain());
      return;
    }
    this.startsToCome -= 1;
    this.start();
  }

  /** As workers of the KCL 2.x left it: with leases, and a first worker of ours that joins. */
  #begin(mixed: MixedFleet): void {
    for (const [streamId, stream] of this.streams) {
      for (const shard of stream.listShards('initial', 0)) {
        const lease = newLease(shard, TRIM_HORIZON, streamId);
        this.table.leases.set(lease.leaseKey, lease);
        this.checkers.tableChanged(undefined, lease, undefined, 0);
      }
    }
    this.checkers.checkHashRange(this.table.leases.values());
    if (!mixed.leave) return;
    this.queue.at(mixed.turnAt, () => {
      for (const process of this.processes) if (process.alive && process.is2x && !process.stopping) process.stop();
    });
  }

  // --- what befalls the world ---

  #incident({ kind, target }: Incident): void {
    const { queue, prng } = this;
    const alive = this.processes.filter((process) => process.alive && !process.stopping);
    const victim = alive[target % Math.max(1, alive.length)];
    // What was resharded before the first lease was made is nobody's to read where an application begins at LATEST.
    if (this.#initialPosition === 'LATEST' && (kind === 'split' || kind === 'merge')) return;
    switch (kind) {
      case 'start':
        this.start();
        return;
      case 'put':
        this.put();
        return;
      case 'split':
        this.transcript?.happens('a shard is split');
        this.#someStream().split(queue.now, prng);
        return;
      case 'merge':
        this.transcript?.happens('two shards are merged');
        this.#someStream().merge(queue.now, prng);
        return;
      case 'crash':
        victim?.crash();
        return;
      case 'pause':
        victim?.pause(prng.between(300, 4000));
        return;
      case 'fallSilent':
        if (victim !== undefined && victim.pausedUntil < queue.now) victim.pause(prng.between(700, 1700));
        return;
      case 'stop':
        if (alive.length > 1) victim?.stop();
        return;
      default:
        kind satisfies never;
    }
  }

  #badDay({ kind, target, durationMs }: BadDay): void {
    const alive = this.processes.filter((process) => process.alive && !process.stopping);
    const victim = alive[target % Math.max(1, alive.length)];
    if (kind === 'sleep') victim?.pause(durationMs);
    else victim?.loseCredentials(durationMs);
  }

  #speakOfReplay(): void {
    const recordsOf = (leaseKey: string): readonly Position[] => this.checkers.recordsOf(leaseKey);
    // One that stops hears it, too.
    const alive = this.processes.filter((process) => process.alive);
    this.replays?.speak(alive, [...this.table.leases.values()], recordsOf, this.queue.now);
  }

  put(): void {
    this.#someStream().put(this.queue.now, this.prng);
  }

  #someStream(): SimulatedStream {
    const streams = [...this.streams.values()].filter(({ createdMs }) => createdMs !== undefined);
    return streams.length === 1 ? (streams[0] as SimulatedStream) : this.prng.pick(streams);
  }

  /** @param asked whether it is a worker of the KCL 2.x; undefined: as chance has it, where there are any */
  start(asked?: boolean, given?: string): SimulatedProcess {
    const { prng, plan } = this;
    const is2x = asked ?? this.mixed?.startsAs2x(this.queue.now, !this.#faults) ?? false;
    const id = this.processes.length;
    const living = new Set(this.processes.filter((process) => process.alive).map((process) => process.workerId));
    const dead = this.processes.filter((process) => !living.has(process.workerId));
    // A worker id is usually fresh; a restarted process with a stable one adopts what it left.
    const drawn = dead.length > 0 && prng.chance(plan.stableIds) ? prng.pick(dead).workerId : `worker-${id}`;
    const workerId = given ?? drawn;
    const usual = workerOptions(plan, workerId, id, prng.between(1, 3), this.beginsAnew);
    const watched = this.badDays === undefined ? usual : { ...usual, ...STALL_TIMES };
    const crowded = this.#room === undefined ? watched : { ...watched, ...this.#room };
    const { workerIdLookIntervalMs } = TIMES;
    const options = this.twins === undefined ? crowded : { ...crowded, workerIdLookIntervalMs };
    const all = this.special === NOTHING_SPECIAL ? options : { ...options, ...this.special };
    const process = new SimulatedProcess(this, id, this.bug?.options?.(all) ?? all, is2x);
    this.processes.push(process);
    process.start(this.tracked);
    return process;
  }

  #deleteLeaderRow(): void {
    this.transcript?.happens('the Leader row is deleted by hand');
    this.table.leader = undefined;
  }

  // --- the world without faults ---

  #end(): void {
    const ending = this.mixed === undefined ? endingOf(this.#seed, this.twins !== undefined)?.(this) : undefined;
    if (ending === undefined) return;
    // At any time of the leader's interval.
    this.queue.runUntil(this.queue.now + this.prng.between(0, TIMES.leaseAssignmentIntervalMs));
    this.checkers.balance.mayMove();
    this.ending = ending;
    ending.play();
  }

  /** Faults once more, for so long; who crashes meanwhile comes back. */
  trouble(durationMs: number): void {
    this.transcript?.happens('there are faults again');
    this.#faults = true;
    this.returned = undefined;
    this.queue.runUntil(this.queue.now + durationMs);
    this.#calm();
  }

  #calm(): void {
    this.transcript?.happens('the faults end');
    this.#faults = false;
    this.returned = new ReturnedLeases(this.queue.now, this.twins !== undefined);
  }

  #heal(): void {
    this.#calm();
    const alive = this.processes.filter((process) => process.alive);
    this.operator?.end(alive);
    this.handOffs?.end(alive);
    if (this.living().every(({ is2x }) => is2x)) this.start();
    if (this.mixed?.comesLate === true) this.start(true);
    this.twins?.begin(this.living(), this.queue.now, (workerId) => this.start(false, workerId));
  }

  /** Until all is drained and balanced, in bounded time. */
  settle(): void {
    this.#rest.settle();
  }

  /** Shards wait for each other's room. */
  get isCrowded(): boolean {
    return this.#room !== undefined;
  }

  living(): SimulatedProcess[] {
    return this.processes.filter(({ alive, stopping }) => alive && !stopping);
  }
}

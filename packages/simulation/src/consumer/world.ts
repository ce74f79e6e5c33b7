// One simulated world: a stream or two, a lease table and some worker processes that run the real coordination core, on one virtual
// clock. Every answer takes its time; requests and answers get lost or come late, processes pause, crash and come back, handlers
// throw. First a while with faults (safety), then one without (everything must drain and balance), then one in which nothing
// may move. All of it follows from the seed.

import { TRIM_HORIZON } from '@shardline/common';
import { takesLeases } from '../../../consumer/dist/coordination/client-version.js';
import type { TableEffect, TrackedStream } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type Lease, newLease } from '../../../consumer/dist/coordination/lease.js';
import type { LeaderWrite } from '../../../consumer/dist/coordination/results.js';
import type { RoomOptions } from '../../../consumer/dist/coordination/room.js';
import type { WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng, type Prng } from '../prng.ts';
import { type BadDay, BadDays, STALL_TIMES } from './bad-days.ts';
import { type Balance, ConsumerCheckers } from './checkers.ts';
import { crowdedRoom } from './crowded-rooms.ts';
import { type Ending, endingOf } from './endings.ts';
import { ExactlyOnceSink } from './exactly-once.ts';
import { FoundFirst } from './found-first.ts';
import { takenBy2x } from './kcl-2x-worker.ts';
import { LeaderPaceChecker } from './leader-pace.ts';
import { MetricRowChecker } from './metric-rows.ts';
import { MixedFleet } from './mixed-fleet.ts';
import { asOlderFleet, RowChecker } from './older-rows.ts';
import { Operator } from './operator.ts';
import type { PlantedBug } from './planted-bugs.ts';
import { SimulatedProcess } from './process.ts';
import { ReturnedLeases } from './returned-leases.ts';
import { SilenceChecker } from './silence-told.ts';
import { SimulatedStream } from './stream.ts';
import { type Incident, MAX_CLOCK_DRIFT, type Plan, planWorld, type WorldSize } from './swarm.ts';
import { describeWrite, Transcript } from './transcript.ts';
import { Twins } from './twins.ts';
import { REBALANCE_THRESHOLD_PERCENT, TIMES, VARIANCE_BALANCING_FREQUENCY, workerOptions } from './worker-options.ts';

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

/** From the last fault to the end of all work: a leader's lease, an expiry, a reshard's generations, with room to spare. */
const DRAIN_MS = 60_000;
/** Where shards wait for each other's room, and twenty of them read a record each in turn. */
const CROWDED_DRAIN_MS = 180_000;
/** How long nothing may move once all is balanced; not less than it took to be sure of that. */
const STILL_MS = 2_000;
/** Who cannot start is started again after that. */
const START_AGAIN_MS = 300;
const NOTHING_SPECIAL: Partial<WorkerOptions> = {};
/** How often the healed world is asked whether it has settled. */
const LOOK_MS = 50;

/** Runs the world of a seed. The same seed gives the same result, to the byte. */
export function simulateWorld(seed: number, options: WorldOptions = {}): WorldResult {
  return new World(seed, options).run();
}

export class World {
  readonly prng: Prng;
  readonly queue: EventQueue = new EventQueue();
  readonly table: MemoryLeaseTable;
  readonly checkers: ConsumerCheckers;
  /** What handlers write to. */
  readonly sink: ExactlyOnceSink;
  readonly plan: Plan;
  readonly bug: PlantedBug | undefined;
  /** Some handlers checkpoint by hand, in two phases. Not drawn, so that the other worlds stay as they are. */
  readonly twoPhase: boolean;
  readonly badDays: BadDays | undefined;
  readonly operator: Operator | undefined;
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
  /** Rows are written as the KCL 1.x writes them. */
  readonly #isOlder: boolean;
  readonly #rows: RowChecker;
  readonly #metricRows = new MetricRowChecker();
  readonly leaderPace: LeaderPaceChecker = new LeaderPaceChecker();
  readonly #twins: Twins | undefined;
  /** Undefined until this world is at rest, and in most. */
  ending: Ending | undefined;
  readonly foundFirst: FoundFirst = new FoundFirst();
  readonly silence: SilenceChecker = new SilenceChecker();
  /** Undefined while there are faults. */
  #returned: ReturnedLeases | undefined;
  /** Workers of the KCL 2.x take part. */
  readonly #mixed: MixedFleet | undefined;
  readonly #processes: SimulatedProcess[] = [];
  #faults = true;
  #moveCount = 0;
  #startsToCome = 0;
  /** While a metric row is written: it says when its worker wrote it, not when it lands. */
  #sentAt: number | undefined;

  constructor(seed: number, { size = 'small', bug, transcript = false }: WorldOptions) {
    const { queue } = this;
    this.#seed = seed;
    this.#isOlder = seed % 7 === 3;
    this.#rows = new RowChecker((streamId) => this.streamOf(streamId).listShards('all', queue.now));
    this.bug = bug;
    this.beginsAnew = seed % 2 === 0;
    this.twoPhase = seed % 4 === 3;
    // Apart from the worlds of older rows and of checkpoints in two phases.
    const comesBack = bug?.theme === 'comesBack';
    const isMixed = (seed % 8 === 5 || comesBack) && !this.#isOlder;
    this.#initialPosition = seed % 8 === 4 && !this.#isOlder && !isMixed ? 'LATEST' : 'TRIM_HORIZON';
    // Workers of the KCL 2.x have no watchdog.
    this.badDays = isMixed ? undefined : BadDays.of(seed);
    this.operator = isMixed ? undefined : Operator.of(seed);
    this.#room = crowdedRoom(seed);
    this.#twins = isMixed ? undefined : Twins.of(seed);
    this.prng = createPrng(seed);
    this.plan = planWorld(this.prng, size, bug?.theme);
    this.table = new MemoryLeaseTable({ wallNow: () => this.#sentAt ?? queue.now });
    this.checkers = new ConsumerCheckers({
      failoverTimeMs: TIMES.failoverTimeMs * (1 - 2 * MAX_CLOCK_DRIFT),
      handoffTimeoutMs: TIMES.gracefulLeaseHandoffTimeoutMs,
      onViolation: () => queue.stop(),
    });
    this.sink = new ExactlyOnceSink((leaseKey, position) => this.checkers.indexOf(leaseKey, position));
    if (isMixed) this.sink.end();
    this.#mixed = isMixed ? new MixedFleet(this.prng, this.plan.faultsUntilMs, this.table, comesBack) : undefined;
    this.transcript = transcript ? new Transcript(queue, this.checkers) : undefined;
    const streamIds = this.plan.streamCount > 1 ? ['1:first:1', '1:second:1'] : [undefined];
    this.streams = new Map(streamIds.map((streamId) => [streamId, this.newStream(streamId, this.plan.shardCount)]));
    this.tracked = streamIds.map((streamId) => ({ streamId, initialPosition: this.#initialPosition }));
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
    if (this.#mixed !== undefined) this.#begin(this.#mixed);
    for (const day of this.badDays?.plan(this.plan.faultsUntilMs) ?? []) queue.at(day.at, () => this.#badDay(day));
    for (const at of this.operator?.times(this.plan.faultsUntilMs) ?? [])
      queue.at(at, () => this.operator?.speak(this.living(), [...this.table.leases.keys()], queue.now));
    queue.runUntil(this.plan.faultsUntilMs);
    if (checkers.violations.length === 0) {
      this.#heal();
      this.settle();
    }
    if (checkers.violations.length === 0) {
      const lacking = this.#rows.lacking(this.table.leases.values());
      const speaks = this.table.clientVersion;
      if (!this.#mixedIsSettled)
        checkers.report(`the fleet speaks ${speaks} at ${queue.now}, and has not settled on it`);
      if (lacking.length > 0) checkers.report(`not filled in at ${queue.now}: ${lacking.join(', ')}`);
      queue.runUntil(queue.now + Math.max(STILL_MS, this.#restMs));
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

  /** Runs one effect on the table and shows the checkers what changed. */
  apply(process: SimulatedProcess, asked: TableEffect, sentAt: number): unknown {
    const { table } = this;
    this.#sentAt = asked.kind === 'reportWorker' ? sentAt : undefined;
    const effect = this.#isOlder ? asOlderFleet(asked) : asked;
    const key =
      'leaseKey' in effect ? (effect.kind === 'createLease' ? effect.lease.leaseKey : effect.leaseKey) : undefined;
    const before = key === undefined ? undefined : table.leases.get(key);
    const result =
      this.bug?.apply === undefined || process.is2x
        ? this.#run(effect)
        : this.bug.apply(effect, this, process.workerId, (toRun) => this.#run(toRun));
    let after = key === undefined ? undefined : table.leases.get(key);
    if (
      process.is2x &&
      effect.kind === 'takeLease' &&
      before !== undefined &&
      after !== undefined &&
      after !== before
    ) {
      after = takenBy2x(before, after);
      table.leases.set(after.leaseKey, after);
    }
    if (effect.kind === 'writeLeader' && (result as LeaderWrite).applied)
      this.leaderPace.heartbeat(process.id, sentAt, table.leader?.leaseDurationMs ?? 0);
    this.checkers.report(this.#metricRows.judge(effect, result, this.queue.now, sentAt));
    this.foundFirst.ran(process.id, effect, result, table.leases.values());
    this.#twins?.ran(effect, result, this.queue.now, sentAt);
    this.ending?.ran?.(process, effect, result);
    this.checkers.report(this.#mixed?.judge(effect, this.queue.now, table.clientVersion));
    this.transcript?.does(process, describeWrite(effect, result, before, after));
    if (after !== before) this.#changed(process, effect, before, after);
    return result;
  }

  #run(effect: TableEffect): unknown {
    const row = this.ending?.row;
    return row === undefined ? this.table.apply(effect) : row.run(this.table, effect);
  }

  /** That of a lost tenure. */
  handlerReturned(process: SimulatedProcess, leaseKey: string): void {
    this.#returned?.returned(process, this.table.leases.get(leaseKey), this.queue.now);
  }

  /** A process has stopped in good order, or crashed: another one comes in its place. */
  ended(process: SimulatedProcess, from: number, to: number, always = false): void {
    this.checkers.processDied(process.id);
    const delayMs = this.prng.between(from, to);
    if (!this.#faults && !always) return;
    this.#startsToCome += 1;
    this.queue.after(delayMs, () => this.#startAgain());
  }

  /** Without its stream none starts. */
  #startAgain(): void {
    const stream = this.streams.get(undefined);
    if (stream !== undefined && stream.createdMs === undefined) {
      this.queue.after(START_AGAIN_MS, () => this.#startAgain());
      return;
    }
    this.#startsToCome -= 1;
    this.start();
  }

  #changed(process: SimulatedProcess, effect: TableEffect, before: Lease | undefined, after: Lease | undefined): void {
    const { kind } = effect;
    this.#returned?.changed((after ?? before)?.leaseKey ?? '');
    this.silence.changed(before, after, this.queue.now);
    this.foundFirst.changed(before, after, this.queue.now);
    if (kind === 'takeLease' || kind === 'resetLease') this.checkers.leaseTaken(effect.leaseKey, this.queue.now);
    // A holder that assigns its lease to itself takes back what it has told its heir.
    const isKept = kind === 'assignLease' && effect.newOwner === process.workerId && effect.tenure !== undefined;
    const isHolders = kind === 'renewLease' || kind === 'checkpointLease' || isKept;
    const ref = isHolders ? process.refOf(effect.tenure as number) : undefined;
    if (!isKept && (kind === 'assignLease' || kind === 'evictLease') && effect.tenure !== undefined)
      this.checkers.released(effect.leaseKey, process.refOf(effect.tenure), this.queue.now);
    this.checkers.tableChanged(before, after, ref, this.queue.now);
    this.sink.rowChanged(before, after, ref);
    if (after !== undefined) this.checkers.twoPhase.rowChanged(kind, before, after, ref);
    if (
      before?.leaseOwner !== after?.leaseOwner &&
      before !== undefined &&
      after !== undefined &&
      after.checkpoint.sequenceNumber !== 'SHARD_END'
    ) {
      this.#moveCount += 1;
      this.checkers.leaseMoved(after.leaseKey, this.queue.now);
    }
    if (before === undefined || after === undefined || isEnded(before) !== isEnded(after)) {
      const leases = this.table.leases.values();
      this.checkers.checkHashRange(this.#isOlder ? this.#rows.withRanges(leases) : leases);
    }
    this.checkers.report(this.#rows.changed(before, after, this.checkers.mayBeFormers((after ?? before) as Lease)));
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
      for (const process of this.#processes) if (process.alive && process.is2x && !process.stopping) process.stop();
    });
  }

  // --- what befalls the world ---

  #incident({ kind, target }: Incident): void {
    const { queue, prng } = this;
    const alive = this.#processes.filter((process) => process.alive && !process.stopping);
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
    const alive = this.#processes.filter((process) => process.alive && !process.stopping);
    const victim = alive[target % Math.max(1, alive.length)];
    if (kind === 'sleep') victim?.pause(durationMs);
    else victim?.loseCredentials(durationMs);
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
    const is2x = asked ?? this.#mixed?.startsAs2x(this.queue.now, !this.#faults) ?? false;
    const id = this.#processes.length;
    const living = new Set(this.#processes.filter((process) => process.alive).map((process) => process.workerId));
    const dead = this.#processes.filter((process) => !living.has(process.workerId));
    // A worker id is usually fresh; a restarted process with a stable one adopts what it left.
    const drawn = dead.length > 0 && prng.chance(plan.stableIds) ? prng.pick(dead).workerId : `worker-${id}`;
    const workerId = given ?? drawn;
    const usual = workerOptions(plan, workerId, id, prng.between(1, 3), this.beginsAnew);
    const watched = this.badDays === undefined ? usual : { ...usual, ...STALL_TIMES };
    const crowded = this.#room === undefined ? watched : { ...watched, ...this.#room };
    const { workerIdLookIntervalMs } = TIMES;
    const options = this.#twins === undefined ? crowded : { ...crowded, workerIdLookIntervalMs };
    const all = this.special === NOTHING_SPECIAL ? options : { ...options, ...this.special };
    const process = new SimulatedProcess(this, id, this.bug?.options?.(all) ?? all, is2x);
    this.#processes.push(process);
    process.start(this.tracked);
    return process;
  }

  // --- the world without faults ---

  #end(): void {
    const ending = this.#mixed === undefined ? endingOf(this.#seed, this.#twins !== undefined)?.(this) : undefined;
    if (ending === undefined) return;
    // At any time of the leader's interval.
    this.queue.runUntil(this.queue.now + this.prng.between(0, TIMES.leaseAssignmentIntervalMs));
    this.checkers.mayMove();
    this.ending = ending;
    ending.play();
  }

  /** Faults once more, for so long; who crashes meanwhile comes back. */
  trouble(durationMs: number): void {
    this.transcript?.happens('there are faults again');
    this.#faults = true;
    this.#returned = undefined;
    this.queue.runUntil(this.queue.now + durationMs);
    this.#calm();
  }

  #calm(): void {
    this.transcript?.happens('the faults end');
    this.#faults = false;
    this.#returned = new ReturnedLeases(this.queue.now, this.#twins !== undefined);
  }

  #heal(): void {
    this.#calm();
    this.operator?.end(this.#processes.filter(({ alive }) => alive));
    if (this.living().every(({ is2x }) => is2x)) this.start();
    if (this.#mixed?.comesLate === true) this.start(true);
    this.#twins?.begin(this.living(), this.queue.now, (workerId) => this.start(false, workerId));
  }

  /** Until all is drained and balanced, in bounded time. */
  settle(): void {
    const { queue, checkers } = this;
    this.#rest();
    if (checkers.violations.length > 0) return;
    checkers.checkDrained(queue.now);
    checkers.report(this.sink.judge(checkers.recordCounts()));
    checkers.checkBalanced(this.table.leases.values(), this.#liveWorkers(), this.#balance, queue.now);
  }

  /** Runs until all is drained and balanced, and stays so for longer than a plan of the leader can be under way. */
  #rest(): void {
    const { queue, checkers } = this;
    const until = queue.now + (this.#room === undefined ? DRAIN_MS : CROWDED_DRAIN_MS);
    while (checkers.violations.length === 0 && queue.now < until) {
      queue.runUntil(queue.now + LOOK_MS);
      checkers.report(this.#twins?.judge(queue.now));
      checkers.report(this.#returned?.judge(queue.now));
      if (!this.#isSettled()) continue;
      const moves = this.#moveCount;
      queue.runUntil(queue.now + this.#restMs);
      if (this.#isSettled() && this.#moveCount === moves) return;
    }
  }

  /**
   * How long a balanced fleet must be at rest to be called settled. Workers of the KCL 2.x look at the table every two failover
   * times; by utilization live leases are looked at once in some runs only: a metric row that landed late and keeps a worker that
   * has left among the living for a while can move a lease no sooner than in that run.
   */
  get #restMs(): number {
    const { leaseAssignmentIntervalMs, failoverTimeMs } = TIMES;
    const runs = this.plan.strategy === 'utilization' ? VARIANCE_BALANCING_FREQUENCY + 2 : 2;
    return Math.max(runs * leaseAssignmentIntervalMs, this.#mixed ? 2.5 * failoverTimeMs : 0);
  }

  #isSettled(): boolean {
    const { now } = this.queue;
    return (
      this.#startsToCome === 0 &&
      now > this.lastLateAt &&
      this.#twins?.areBothThere !== true &&
      this.#processes.every((process) => !process.isUnwell) &&
      this.checkers.drained() &&
      this.checkers.balanced(this.table.leases.values(), this.#liveWorkers(), this.#balance) &&
      this.#areLeasesHeld &&
      this.#mixedIsSettled &&
      (!this.#isOlder || this.#rows.lacking(this.table.leases.values()).length === 0)
    );
  }

  /**
   * A lease may stay a live worker's by the row alone: its id was another process's before it, or, of the KCL 2.x, it has taken its
   * own write for somebody else's and dropped the lease. It moves when it has been silent for too long.
   */
  get #areLeasesHeld(): boolean {
    const { now } = this.queue;
    for (const lease of this.table.leases.values()) {
      if (!isEnded(lease) && now - this.silence.writtenAt(lease) > TIMES.failoverTimeMs) return false;
    }
    return true;
  }

  get #mixedIsSettled(): boolean {
    const leases = [...this.table.leases.values()];
    return this.#mixed?.isSettled(this.table.clientVersion, leases, this.#processes) ?? true;
  }

  get #balance(): Balance {
    const countsEnded = takesLeases(this.table.clientVersion);
    const byUtilization = !countsEnded && this.plan.strategy === 'utilization';
    return { countsEnded, marginPercent: byUtilization ? REBALANCE_THRESHOLD_PERCENT : 0 };
  }

  #liveWorkers(): string[] {
    return this.living().map(({ workerId }) => workerId);
  }

  /** Shards wait for each other's room. */
  get isCrowded(): boolean {
    return this.#room !== undefined;
  }

  living(): SimulatedProcess[] {
    return this.#processes.filter(({ alive, stopping }) => alive && !stopping);
  }
}

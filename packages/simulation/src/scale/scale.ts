// The scenario of a large fleet, run once for each strategy of assignment: all workers start on an empty table; when the fleet
// rests, a third of the workers die; when it rests again, the others are doubled. Between the first two a minute at rest is
// metered. What a run must keep is checked here, and said in words when it is not kept.

import { balancingIntervalMs } from '../../../consumer/dist/coordination/leader.js';
import type { WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import { resolveOptions } from '../../../consumer/dist/options.js';
import { workerOptions } from '../../../consumer/dist/worker-options.js';
import { SimulatedFleet } from './fleet.ts';
import { type CostRule, kclCost, total } from './kcl-cost.ts';
import type { TableUse } from './table.ts';

export type Strategy = WorkerOptions['assignmentStrategy'];

export interface ScaleOptions {
  readonly shards: number;
  readonly workers: number;
  readonly seed: number;
  readonly strategy: Strategy;
  /** Default 3 percentage points. */
  readonly cpuNoisePercent?: number;
  /** Default: enough for all after the loss, and little enough to matter. */
  readonly maxLeasesForWorker?: number;
}

export interface PhaseResult {
  readonly phase: 'cold start' | 'a third dies' | 'doubled';
  readonly workers: number;
  /** From the event until every shard is read by its owner, virtual seconds. */
  readonly servedSeconds: number | undefined;
  /** Until the last lease moved, and its new owner reads; undefined: it did not come to rest. */
  readonly balancedSeconds: number | undefined;
  /** Leases that changed their owner, and the fewest that any plan could have moved. */
  readonly moves: number;
  readonly fewestMoves: number;
  /** Leases of a worker, and what they carry beside the fleet's average, percent. */
  readonly leases: { readonly least: number; readonly most: number };
  readonly load: { readonly leastPercent: number; readonly mostPercent: number };
  /** Processor time of the leader's plans. */
  readonly planCpuMs: { readonly count: number; readonly median: number; readonly most: number };
}

export interface ScaleResult extends ScaleOptions {
  readonly phases: readonly PhaseResult[];
  /** A minute of the fleet at rest. */
  readonly minute: TableUse;
  readonly kclMinute: TableUse;
  readonly kclRules: readonly CostRule[];
  readonly failures: readonly string[];
}

/** What the workers' processors do. */
export const CPU = { usualCpuPercent: 40, idleCpuPercent: 4 } as const;
/** No phase may take longer. */
const PATIENCE_MS = 30 * 60_000;
const LOOK_EVERY_MS = 250;
/**
 * So many times the fewest moves, and some more, may be made. At a cold start leases are given to those who are there, and move
 * once more when the others have come.
 */
const MOST_MOVES: Readonly<Record<Strategy, Readonly<Record<PhaseResult['phase'], number>>>> = {
  count: { 'cold start': 2, 'a third dies': 1.1, doubled: 1.1 },
  utilization: { 'cold start': 2, 'a third dies': 2, doubled: 2 },
};
const SPARE_MOVES = 10;
/** By utilization, a worker at rest may carry so much more or less than the fleet's average: figures are off, leases are large. */
const OFF_AVERAGE_PERCENT = 25;

export function simulateScale(given: ScaleOptions): ScaleResult {
  return new Scenario(given).run();
}

class Scenario {
  readonly #given: ScaleOptions;
  readonly #options: WorkerOptions;
  readonly #fleet: SimulatedFleet;
  readonly #failures: string[] = [];

  constructor(given: ScaleOptions) {
    const { shards, workers, seed, strategy, cpuNoisePercent = 3, maxLeasesForWorker = mostLeases(given) } = given;
    this.#given = given;
    this.#options = {
      ...workerOptions(resolveOptions({ application: 'scale', stream: 'scale' }, 'host')),
      assignmentStrategy: strategy,
      maxLeasesForWorker,
    };
    this.#fleet = new SimulatedFleet({
      seed,
      shardCount: shards,
      options: this.#options,
      usualWorkerCount: workers,
      ...CPU,
      cpuNoisePercent,
    });
  }

  run(): ScaleResult {
    const { workers, shards } = this.#given;
    const fleet = this.#fleet;
    const lost = Math.floor(workers / 3);
    const left = workers - lost;
    const cold = this.#phase(
      'cold start',
      () => fleet.start(workers),
      () => shards,
    );
    const minute = this.#minute();
    const loss = this.#phase(
      'a third dies',
      () => fleet.crash(lost),
      () => this.#orphanCount(),
    );
    const doubled = this.#phase(
      'doubled',
      () => fleet.start(left),
      () => this.#fewestToLeave(2 * left),
    );
    const { failoverTimeMs, checkpointIntervalMs: checkpointEveryMs } = this.#options;
    const kclRules = kclCost({ leaseCount: shards, workerCount: workers, failoverTimeMs, checkpointEveryMs });
    const phases = [cold, loss, doubled];
    return { ...this.#given, phases, minute, kclMinute: total(kclRules), kclRules, failures: this.#failures };
  }

  /** @param fewest the fewest moves that the event makes necessary, asked when it has happened. */
  #phase(phase: PhaseResult['phase'], happen: () => void, fewest: () => number): PhaseResult {
    const fleet = this.#fleet;
    const { queue } = fleet;
    const startedAt = queue.now;
    const movesBefore = fleet.moveCount;
    fleet.takePlanCpuMs();
    happen();
    const fewestMoves = fewest();
    let servedAt: number | undefined;
    let unservedAt = startedAt;
    const lastUnrestAt = (): number => Math.max(startedAt, fleet.lastMoveAt, unservedAt);
    const isAtRest = (): boolean => queue.now - lastUnrestAt() >= this.#restMs;
    do {
      queue.runUntil(queue.now + LOOK_EVERY_MS);
      if (fleet.unservedCount() > 0) unservedAt = queue.now;
      else servedAt ??= queue.now;
    } while (!isAtRest() && queue.now - startedAt < PATIENCE_MS);
    const moves = fleet.moveCount - movesBefore;
    const counts = fleet.living.map((workerId) => fleet.table.ownedBy(workerId).size);
    const leases = { least: Math.min(...counts), most: Math.max(...counts) };
    const load = this.#load();
    this.#check(phase, isAtRest(), { moves, fewestMoves, leases, load });
    const seconds = (at: number): number => Math.round((at - startedAt) / 100) / 10;
    return {
      phase,
      workers: counts.length,
      servedSeconds: servedAt && seconds(servedAt),
      balancedSeconds: isAtRest() ? seconds(lastUnrestAt()) : undefined,
      moves,
      fewestMoves,
      leases,
      load,
      planCpuMs: spread(fleet.takePlanCpuMs()),
    };
  }

  #check(
    phase: PhaseResult['phase'],
    rests: boolean,
    { moves, fewestMoves, leases, load }: Pick<PhaseResult, 'moves' | 'fewestMoves' | 'leases' | 'load'>,
  ): void {
    const { strategy } = this.#given;
    const { maxLeasesForWorker } = this.#options;
    const most = Math.floor(MOST_MOVES[strategy][phase] * fewestMoves) + SPARE_MOVES;
    const fail = (text: string): number => this.#failures.push(`${strategy}, ${phase}: ${text}`);
    if (!rests) fail(`the fleet did not come to rest within ${PATIENCE_MS / 60_000} minutes`);
    if (moves > most) fail(`${moves} leases moved where ${fewestMoves} had to, and ${most} may`);
    if (strategy === 'count' && leases.most - leases.least > 1)
      fail(`workers at rest have from ${leases.least} to ${leases.most} leases`);
    if (strategy === 'utilization' && Math.max(load.mostPercent - 100, 100 - load.leastPercent) > OFF_AVERAGE_PERCENT)
      fail(`workers at rest carry from ${load.leastPercent} to ${load.mostPercent} % of the average`);
    if (this.#fleet.mostLeases > maxLeasesForWorker)
      fail(`a worker had ${this.#fleet.mostLeases} leases, and maxLeasesForWorker is ${maxLeasesForWorker}`);
  }

  /** Two plans of the leader's that could have moved anything have come in so long: each a run later than it may, at the most. */
  get #restMs(): number {
    const { leaseAssignmentIntervalMs } = this.#options;
    return 2 * (balancingIntervalMs(this.#options) + leaseAssignmentIntervalMs) + leaseAssignmentIntervalMs / 2;
  }

  #minute(): TableUse {
    const before = this.#fleet.table.use();
    this.#fleet.queue.runUntil(this.#fleet.queue.now + 60_000);
    const after = this.#fleet.table.use();
    return {
      reads: after.reads - before.reads,
      readUnits: after.readUnits - before.readUnits,
      writes: after.writes - before.writes,
      writeUnits: after.writeUnits - before.writeUnits,
    };
  }

  #orphanCount(): number {
    const held = this.#fleet.living.reduce((sum, workerId) => sum + this.#fleet.table.ownedBy(workerId).size, 0);
    return this.#given.shards - held;
  }

  /** How many leases have to leave their workers, if there are to be so many workers. */
  #fewestToLeave(workerCount: number): number {
    const { shards, strategy } = this.#given;
    const held = this.#fleet.living.map((workerId) => [...this.#fleet.table.ownedBy(workerId)]);
    if (strategy === 'count') {
      const counts = held.map((leases) => leases.length).sort((a, b) => b - a);
      const share = Math.floor(shards / workerCount);
      const larger = shards % workerCount;
      return counts.reduce((sum, count, index) => sum + Math.max(0, count - share - (index < larger ? 1 : 0)), 0);
    }
    const loads = held.map((leases) => leases.map((key) => this.#fleet.kBpsOf(key)).sort((a, b) => b - a));
    const all = loads.flat().reduce((sum, kBps) => sum + kBps, 0);
    const most = (all / workerCount) * (1 + this.#options.reBalanceThresholdPercentage / 100);
    return loads.reduce((sum, load) => sum + fewestDownTo(most, load), 0);
  }

  #load(): PhaseResult['load'] {
    const loads = this.#fleet.living.map((workerId) => this.#fleet.trafficOf(workerId));
    const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length;
    const percent = (load: number): number => Math.round((100 * load) / mean);
    return { leastPercent: percent(Math.min(...loads)), mostPercent: percent(Math.max(...loads)) };
  }
}

/** Enough for all after the loss, and little enough to matter. */
export function mostLeases({ shards, workers }: Pick<ScaleOptions, 'shards' | 'workers'>): number {
  return Math.ceil((1.5 * shards) / (workers - Math.floor(workers / 3)));
}

/** How many of these, heaviest first, have to go until no more than `most` is left. */
function fewestDownTo(most: number, heaviestFirst: readonly number[]): number {
  let left = heaviestFirst.reduce((sum, kBps) => sum + kBps, 0);
  let count = 0;
  for (const kBps of heaviestFirst) {
    if (left <= most) break;
    left -= kBps;
    count += 1;
  }
  return count;
}

function spread(values: readonly number[]): PhaseResult['planCpuMs'] {
  const sorted = [...values].sort((a, b) => a - b);
  const tenths = (value: number | undefined): number => Math.round(10 * (value ?? 0)) / 10;
  return { count: sorted.length, median: tenths(sorted[Math.floor(sorted.length / 2)]), most: tenths(sorted.at(-1)) };
}

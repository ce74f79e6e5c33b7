// Endings in which there are more leases than the workers may have: all of them make room for a smaller fleet with a maximum, workers
// come until all leases have one, a worker is killed and another one comes in its place. And the checker: nobody gets beyond the
// maximum; a leader names the leases that nobody has room for in each run, and says once when there are none any more; and they are assigned
// within one interval of its runs once a worker with room shows itself. By what stands in the table and is told.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import type { Ending } from './endings.ts';
import { HEALED_CALL_MS, type SimulatedProcess } from './process.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';
import type { World } from './world.ts';

const { failoverTimeMs: FAILOVER_MS, leaseAssignmentIntervalMs: INTERVAL_MS, leaderLeaseDurationMs: LEADER_MS } = TIMES;
/** A run is under way, the next one reads, lists and writes. */
const PLACED_MS = slowly(INTERVAL_MS) + 6 * HEALED_CALL_MS;
/** The Leader row and leases of workers that are gone run out first. */
const TAKEN_UP_MS = slowly(LEADER_MS + FAILOVER_MS) + 2 * PLACED_MS;
const LEFT_MS = slowly(TIMES.shutdownGraceMs + LEADER_MS);
const LOOK_MS = 20;

/** @returns undefined: each worker must have room for one lease, and one must be too few. */
export function noRoom(world: World): Ending | undefined {
  const { prng, queue, checkers } = world;
  const leaseCount = unfinished(world).length;
  if (leaseCount < 2) return undefined;
  const most = prng.between(1, leaseCount - 1);
  const enough = Math.ceil(leaseCount / most);
  const watch = new RoomWatch(world, most);
  let startCount = 0;
  const start = (): SimulatedProcess => {
    startCount += 1;
    return watch.started(world.start(false, `narrow-${startCount}`));
  };
  const until = (isDone: () => boolean, withinMs: number, what: string): void => {
    const end = queue.now + withinMs;
    while (checkers.violations.length === 0 && queue.now < end && !isDone())
      queue.runUntil(Math.min(end, queue.now + LOOK_MS));
    if (!isDone()) checkers.report(`${what} at ${queue.now}, of workers for ${most} of ${leaseCount} leases each`);
  };
  const placed = (count: number) => (): boolean => watch.placedCount === Math.min(count * most, leaseCount);
  const place = (count: number, withinMs: number): void => {
    until(placed(count), withinMs, `${watch.placedCount} leases have a worker`);
  };
  return {
    ran: (process, effect, result) => checkers.report(watch.ran(process, effect, result)),
    told: (process, notice) => checkers.report(watch.told(process, notice)),
    play: () => {
      const leaving = world.living();
      for (const process of leaving) process.stop();
      until(() => leaving.every(({ alive }) => !alive), LEFT_MS, 'not all have left');
      world.special = { maxLeasesForWorker: most };
      const workers = Array.from({ length: enough - 1 }, start);
      place(workers.length, TAKEN_UP_MS);
      queue.runUntil(queue.now + prng.between(0, 3 * INTERVAL_MS));
      const newcomer = start();
      until(() => watch.hasShownItself(newcomer), TAKEN_UP_MS, `${newcomer.workerId} does not show itself`);
      place(enough, watch.hasFreshLeftovers ? TAKEN_UP_MS : PLACED_MS);
      queue.runUntil(queue.now + PLACED_MS);
      checkers.report(watch.silentOfPlaced());
      const victim = prng.pick([...workers, newcomer]);
      victim.crash();
      queue.runUntil(queue.now + TAKEN_UP_MS);
      start();
      place(enough, TAKEN_UP_MS);
      queue.runUntil(queue.now + PLACED_MS);
      checkers.report(watch.silentOfPlaced());
      if (checkers.violations.length === 0) world.settle();
    },
  };
}

class RoomWatch {
  readonly #world: World;
  readonly #most: number;
  readonly #workers = new Map<string, SimulatedProcess>();
  readonly #shown = new Set<SimulatedProcess>();
  /** Of each leader: what it told last, and since when it reads for its present run, with the leases that were nobody's then. */
  readonly #told = new Map<SimulatedProcess, readonly string[]>();
  readonly #runs = new Map<
    SimulatedProcess,
    { readonly nobodys: readonly string[]; told: readonly string[] | undefined }
  >();

  constructor(world: World, most: number) {
    this.#world = world;
    this.#most = most;
  }

  started(process: SimulatedProcess): SimulatedProcess {
    this.#workers.set(process.workerId, process);
    return process;
  }

  /** Unfinished leases of live workers. */
  get placedCount(): number {
    return unfinished(this.#world).filter(({ leaseOwner = '' }) => this.#workers.get(leaseOwner)?.alive).length;
  }

  /** A worker that left gave a lease to one that had left already, and that has not run out yet. */
  get hasFreshLeftovers(): boolean {
    const { queue, watched } = this.#world;
    const isFresh = (lease: Lease): boolean =>
      queue.now < watched.silence.writtenAt(lease) + slowly(FAILOVER_MS) + PLACED_MS;
    return unfinished(this.#world).some((lease) => {
      const { leaseOwner } = lease;
      return leaseOwner !== undefined && !this.#workers.has(leaseOwner) && isFresh(lease);
    });
  }

  hasShownItself(process: SimulatedProcess): boolean {
    return this.#shown.has(process);
  }

  /** What is wrong with the effect that ran, if anything is. */
  ran(process: SimulatedProcess, effect: TableEffect, result: unknown): string | undefined {
    if (effect.kind === 'reportWorker' && (result as Results['reportWorker']).applied) this.#shown.add(process);
    if (effect.kind === 'readTable' && effect.for === 'leader') return this.#reads(process);
    const counts = new Map<string, number>();
    // What a worker that died was handing to it is nobody's, although the row names it as the heir.
    for (const { leaseOwner, checkpointOwner } of unfinished(this.#world))
      if (leaseOwner !== undefined && checkpointOwner === undefined)
        counts.set(leaseOwner, (counts.get(leaseOwner) ?? 0) + 1);
    for (const [workerId, count] of counts) {
      if (count > this.#most && this.#workers.has(workerId))
        return `${workerId} has ${count} leases at ${this.#world.queue.now}, and may have ${this.#most}`;
    }
    return undefined;
  }

  /** What is wrong with the notice, if anything is. */
  told(process: SimulatedProcess, notice: Notice): string | undefined {
    if (notice.kind !== 'leasesUnplaced') return undefined;
    const { leaseKeys } = notice;
    const before = this.#told.get(process) ?? [];
    this.#told.set(process, leaseKeys);
    const run = this.#runs.get(process);
    if (run !== undefined) run.told = leaseKeys;
    if (leaseKeys.length === 0 && before.length === 0)
      return `${process.workerId} says once more that all leases have a worker`;
    const { queue, watched, table } = this.#world;
    const held = leaseKeys.filter((leaseKey) => {
      const lease = table.leases.get(leaseKey);
      // Since the leader read the table it may have gone to somebody.
      const isFresh =
        lease !== undefined &&
        queue.now - watched.silence.writtenAt(lease) < FAILOVER_MS / (1 + MAX_CLOCK_DRIFT) - PLACED_MS;
      return lease === undefined || isEnded(lease) || (lease.leaseOwner !== undefined && isFresh);
    });
    if (held.length === 0) return undefined;
    return `${process.workerId} says at ${queue.now} that nobody has room for ${held.join(', ')}, which is held`;
  }

  /** All leases have a worker: what a leader that lives has not taken back. */
  silentOfPlaced(): string | undefined {
    for (const [process, leaseKeys] of this.#told)
      if (process.alive && leaseKeys.length > 0 && process.workerId === this.#world.table.leader?.owner)
        return `${process.workerId} has not said that ${leaseKeys.join(', ')} have a worker now`;
    return undefined;
  }

  /** What was nobody's at its last reading and still is it has to have told in between. */
  #reads(process: SimulatedProcess): string | undefined {
    const nobodys = unfinished(this.#world).flatMap(({ leaseKey, leaseOwner }) =>
      leaseOwner === undefined ? [leaseKey] : [],
    );
    const last = this.#runs.get(process);
    this.#runs.set(process, { nobodys, told: undefined });
    const untold =
      last?.nobodys.filter((leaseKey) => nobodys.includes(leaseKey) && !last.told?.includes(leaseKey)) ?? [];
    if (untold.length === 0) return undefined;
    return `${process.workerId} has not said in its run that nobody has room for ${untold.join(', ')}`;
  }
}

function unfinished({ table }: World): Lease[] {
  return [...table.leases.values()].filter((lease) => !isEnded(lease));
}

function slowly(ms: number): number {
  return ms / (1 - MAX_CLOCK_DRIFT);
}

// A simulated world without faults: all of it must drain, balance and stay so, in bounded time.
import { takesLeases } from '../../../consumer/dist/coordination/client-version.js';
import { isEnded } from '../../../consumer/dist/coordination/lease.js';
import { type Balance, isBalanced } from './balance.ts';
import { CROWDED_READ_MS } from './crowded-rooms.ts';
import { REBALANCE_THRESHOLD_PERCENT, TIMES, VARIANCE_BALANCING_FREQUENCY } from './worker-options.ts';
import type { World } from './world.ts';

/** From the last fault to the end of all work: a leader's lease, an expiry, a reshard's generations, with room to spare. */
const DRAIN_MS = 60_000;
/** How often the healed world is asked whether it has settled. */
const LOOK_MS = 50;

export class Rest {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Runs until all is drained and balanced, or the time for it is over, and judges. */
  settle(): void {
    const { queue, checkers, sink, replays, handOffs } = this.#world;
    this.#runUntilSettled();
    if (checkers.violations.length > 0) return;
    checkers.checkDrained(queue.now);
    checkers.report(replays?.judge());
    checkers.report(handOffs?.judgeEnd());
    checkers.report(sink.judge(checkers.recordCounts()));
    checkers.report(checkers.balance.judge(this.#leases, this.#workers, this.#balance, queue.now));
  }

  /**
   * How long a balanced fleet must be at rest to be called settled, ms. Workers of the KCL 2.x look at the table every two failover
   * times; by utilization live leases are looked at once in some runs only: a metric row that landed late and keeps a worker that
   * has left among the living for a while can move a lease no sooner than in that run.
   */
  get restMs(): number {
    const { plan, mixed } = this.#world;
    const { leaseAssignmentIntervalMs, failoverTimeMs } = TIMES;
    const runs = plan.strategy === 'utilization' ? VARIANCE_BALANCING_FREQUENCY + 2 : 2;
    return Math.max(runs * leaseAssignmentIntervalMs, mixed ? 2.5 * failoverTimeMs : 0);
  }

  /** Whether a fleet that the KCL 2.x takes part in has come to the protocol that it ends with. */
  get speaksForGood(): boolean {
    const { mixed, table, processes } = this.#world;
    return mixed?.isSettled(table.clientVersion, [...table.leases.values()], processes) ?? true;
  }

  /** And stays so for longer than a plan of the leader can be under way. */
  #runUntilSettled(): void {
    const { queue, checkers, twins, watched, isCrowded } = this.#world;
    const until = queue.now + (isCrowded ? CROWDED_READ_MS : DRAIN_MS);
    while (checkers.violations.length === 0 && queue.now < until) {
      queue.runUntil(queue.now + LOOK_MS);
      checkers.report(twins?.judge(queue.now));
      checkers.report(this.#world.returned?.judge(queue.now));
      if (!this.#isSettled()) continue;
      const moves = watched.moveCount;
      queue.runUntil(queue.now + this.restMs);
      if (this.#isSettled() && watched.moveCount === moves) return;
    }
  }

  #isSettled(): boolean {
    const { queue, checkers, twins, watched, processes, startsToCome, lastLateAt } = this.#world;
    return (
      startsToCome === 0 &&
      queue.now > lastLateAt &&
      twins?.areBothThere !== true &&
      processes.every((process) => !process.isUnwell) &&
      checkers.drained() &&
      isBalanced(this.#leases, this.#workers, this.#balance) &&
      this.#areLeasesHeld &&
      this.speaksForGood &&
      watched.areRowsFilledIn
    );
  }

  /**
   * A lease may stay a live worker's by the row alone: its id was another process's before it, or, of the KCL 2.x, it has taken its
   * own write for somebody else's and dropped the lease. It moves when it has been silent for too long.
   */
  get #areLeasesHeld(): boolean {
    const { queue, watched } = this.#world;
    for (const lease of this.#leases) {
      if (!isEnded(lease) && queue.now - watched.silence.writtenAt(lease) > TIMES.failoverTimeMs) return false;
    }
    return true;
  }

  get #leases(): ReturnType<World['table']['leases']['values']> {
    return this.#world.table.leases.values();
  }

  get #workers(): string[] {
    return this.#world.living().map(({ workerId }) => workerId);
  }

  get #balance(): Balance {
    const { table, plan } = this.#world;
    const countsEnded = takesLeases(table.clientVersion);
    const byUtilization = !countsEnded && plan.strategy === 'utilization';
    return { countsEnded, marginPercent: byUtilization ? REBALANCE_THRESHOLD_PERCENT : 0 };
  }
}

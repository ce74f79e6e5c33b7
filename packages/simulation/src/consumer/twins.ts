// Worlds in which a user gives one worker id to two processes: once the faults are over, one is started under the id of each that lives.
// And their checker: soon one of the two has ended. It is the newcomer, which has not begun any lease, where the other one was
// well; so nothing moves. In half of these worlds who is at work is told to stop in that moment, and the newcomer has to wait for
// its handlers. Chance has no part in it, so all other worlds stay as they are.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import { HEALED_CALL_MS, type SimulatedProcess, TIMEOUT_MS } from './process.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';

const { workerIdLookIntervalMs: LOOK_MS, workerIdPatienceMs: PATIENCE_MS, retryMs: RETRY_MS } = TIMES;
/** Between two looks of one that waits. */
const WAIT_MS = PATIENCE_MS / 6;
/** The first look of the incumbent may be one that was lost before the faults ended: its time limit, and it is tried again. */
const FIRST_LOOK_MS = TIMEOUT_MS + RETRY_MS;

/**
 * The longest that two may be at it, from when the table is theirs alone: the newcomer has started, and no write of before lands any
 * more. All by a clock that may be slow.
 *
 * Where the incumbent has the id, a dead process may be asking: it answers that one in its first look, in a report (2 calls); the
 * newcomer, which looks, sees that nobody asks any more (a wait, 1 call), and asks (1); the incumbent looks, and answers (a look, 2);
 * the newcomer looks (a wait, 1).
 */
const AT_WORK_MS = slowly(FIRST_LOOK_MS + LOOK_MS + 2 * WAIT_MS + LOOK_MS + 8 * HEALED_CALL_MS);
/**
 * Where a dead process has it, and another dead one asks: the first of the two to see that (its first look, 1 call) waits two patiences
 * for the one that asks, and asks in its place (1); waits a patience, looks, and takes over (2). The other one sees that (a wait, 1), asks
 * (1), is answered (a look, 2), and looks (a wait, 1).
 */
const UNDECIDED_MS = slowly(FIRST_LOOK_MS + 3 * PATIENCE_MS + LOOK_MS + 2 * WAIT_MS + 9 * HEALED_CALL_MS);

interface Pair {
  readonly incumbent: SimulatedProcess;
  readonly newcomer: SimulatedProcess;
  readonly since: number;
  /** When the row was last changed by a request of before `since`; that, at the beginning. */
  aloneSince: number;
  /** The incumbent had the id for sure. */
  readonly wasAtWork: boolean;
  /** The incumbent was told to stop. */
  readonly leaves: boolean;
}

export class Twins {
  readonly #pairs: Pair[] = [];
  readonly #leave: boolean;

  constructor(leave: boolean) {
    this.#leave = leave;
  }

  /** @returns undefined: in this world ids differ. */
  static of(seed: number): Twins | undefined {
    return seed % 6 === 1 ? new Twins(seed % 12 === 1) : undefined;
  }

  /** @param start makes a process of that id and starts it. */
  begin(living: readonly SimulatedProcess[], now: number, start: (workerId: string) => SimulatedProcess): void {
    for (const incumbent of living) {
      if (incumbent.isUnwell) continue;
      const wasAtWork = incumbent.hasBegun;
      const leaves = this.#leave && incumbent.isHandling;
      if (leaves) incumbent.stop();
      const newcomer = start(incumbent.workerId);
      this.#pairs.push({ incumbent, newcomer, since: now, aloneSince: now, wasAtWork, leaves });
    }
  }

  /** A request that was sent at `sentAt` has run. */
  ran(effect: TableEffect, result: unknown, now: number, sentAt: number): void {
    if (this.#pairs.length === 0 || !changesRow(effect, result)) return;
    for (const pair of this.#pairs)
      if (sentAt < pair.since && effect.workerId === pair.incumbent.workerId) pair.aloneSince = now;
  }

  /** Whether two are at it still. */
  get areBothThere(): boolean {
    return this.#pairs.some(({ incumbent, newcomer }) => isAtWork(incumbent) && isAtWork(newcomer));
  }

  /** What is wrong, if anything is. */
  judge(now: number): string | undefined {
    for (const { incumbent, newcomer, since, aloneSince, wasAtWork, leaves } of this.#pairs) {
      const id = incumbent.workerId;
      if (leaves) {
        // That nothing begins beside a handler the checkers of the shards see.
        if (!isAtWork(newcomer)) return `the process that came in the place of one that leaves, ${id}, has ended`;
        continue;
      }
      if (wasAtWork && newcomer.hasBegun) return `a second process of ${id} began a lease, beside one that lives`;
      if (wasAtWork && !isAtWork(incumbent)) return `of two processes under ${id} the one ended that was there first`;
      if (!isAtWork(incumbent) && !isAtWork(newcomer)) return `of two processes under ${id} both ended`;
      const longestMs = wasAtWork ? AT_WORK_MS : UNDECIDED_MS;
      if (now > aloneSince + longestMs && isAtWork(incumbent) && isAtWork(newcomer))
        return `two processes still work under ${id} at ${now}, since ${since}, with its row to themselves since ${aloneSince}`;
    }
    return undefined;
  }
}

function isAtWork({ alive, stopping }: SimulatedProcess): boolean {
  return alive && !stopping;
}

function slowly(ms: number): number {
  return ms / (1 - MAX_CLOCK_DRIFT);
}

/** Whether it changed whose a metric row is, or who asks in it. */
function changesRow(
  effect: TableEffect,
  result: unknown,
): effect is Extract<TableEffect, { kind: 'reportWorker' | 'lookAtWorker' | 'forgetWorker' }> {
  if (effect.kind === 'reportWorker') return (result as Results['reportWorker']).applied;
  if (effect.kind !== 'lookAtWorker') return effect.kind === 'forgetWorker';
  return effect.ask !== undefined && (result as Results['lookAtWorker']).sign?.askedBy === effect.ask.by;
}

// Watches when leaders begin to write for the fleet: never once the duration of their own row, less the margin, has run out since the
// start of the last heartbeat that the table took. What a worker believes of itself is not asked; it cannot know of more heartbeats
// than the table took, so a sound leader is stricter than this.
import type { Effect } from '../../../consumer/dist/coordination/effects.js';
import { isLeaderEffect } from '../../../consumer/dist/coordination/leader.js';
import { MAX_CLOCK_DRIFT } from './swarm.ts';

/** What a leader leaves unused of its row's duration (leader-lock.ts); its clock may run slow. */
const USED = 0.9 * (1 + 2 * MAX_CLOCK_DRIFT);

interface Heartbeat {
  readonly startedAt: number;
  readonly durationMs: number;
}

export class LeaderPaceChecker {
  /** The last one of each process that was applied. */
  readonly #heartbeats = new Map<number, Heartbeat>();

  /** A heartbeat of a process was applied that had begun at `startedAt`; a former one may land after a later one. */
  heartbeat(process: number, startedAt: number, durationMs: number): void {
    const last = this.#heartbeats.get(process);
    if (last === undefined || last.startedAt < startedAt) this.#heartbeats.set(process, { startedAt, durationMs });
  }

  /** What is wrong with an effect that a process begins now, if anything is. */
  begins(process: number, effect: Effect, now: number): string | undefined {
    return isFleetWrite(effect) ? this.tells(process, effect.kind, now) : undefined;
  }

  /** The same of something that is a leader's to say. */
  tells(process: number, what: string, now: number): string | undefined {
    const heartbeat = this.#heartbeats.get(process);
    if (heartbeat === undefined) return `process ${process} began ${what} at ${now} and never led`;
    const { startedAt, durationMs } = heartbeat;
    if (now < startedAt + durationMs * USED) return undefined;
    return `process ${process} began ${what} at ${now}, its last good heartbeat at ${startedAt}, in a row that lasts ${durationMs} ms`;
  }
}

/** Of what a leader asks for: a write to a lease or to another worker's row. */
function isFleetWrite(effect: Effect): boolean {
  switch (effect.kind) {
    case 'createLease':
    case 'assignLease':
    case 'handOffLease':
    case 'deleteLease':
    case 'fillLease':
    case 'resetLease':
    case 'deleteWorker':
      return isLeaderEffect(effect);
    default:
      return false;
  }
}

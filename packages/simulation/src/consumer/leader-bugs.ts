// Planted bugs of leaders: when they write, and for how long they believe that they lead.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';
import { TIMES } from './worker-options.ts';

/** A leader of this bug believes in itself for so many durations of its row. */
const TOO_LONG = 4;

export function leaderBugs(): readonly PlantedBug[] {
  return [outlivesItsRow(), looksOnlyInTurn(), handsOnUnfound(), takesReportsForLife(), balancesToTheDead()];
}

function outlivesItsRow(): PlantedBug {
  return {
    name: 'outlives-its-row',
    mistake: 'a leader begins the writes of its plan although its row has run out since its last heartbeat',
    options: (options) => ({ ...options, leaderLeaseDurationMs: TOO_LONG * options.leaderLeaseDurationMs }),
    apply: (effect, _world, _workerId, run) => {
      if (effect.kind !== 'writeLeader') return run(effect);
      const { leader } = effect;
      return run({ ...effect, leader: { ...leader, leaseDurationMs: leader.leaseDurationMs / TOO_LONG } });
    },
  };
}

/** Was ours once, and is the KCL's. A silence that is counted in whole intervals ends with a regular run. */
function looksOnlyInTurn(): PlantedBug {
  const { failoverTimeMs, leaseAssignmentIntervalMs: intervalMs } = TIMES;
  return {
    name: 'looks-only-in-turn',
    mistake: 'the leader does not look when a lease runs out, but with its next regular run',
    options: (options) => ({ ...options, failoverTimeMs: Math.ceil(failoverTimeMs / intervalMs) * intervalMs }),
  };
}

/** Was ours once, and is the KCL's. */
function handsOnUnfound(): PlantedBug {
  return {
    name: 'hands-on-unfound',
    mistake: 'the leader hands a lease on that its owner was just given and has not found',
    options: (options) => ({ ...options, leaseFindingMs: 0 }),
  };
}

/** The KCL's, which gives such a worker its share after each report. */
function takesReportsForLife(): PlantedBug {
  return {
    name: 'takes-reports-for-life',
    mistake: 'each report of a worker that takes up nothing counts like that of another process',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readTable') return event;
      const result = event.result as Results['readTable'];
      const workers = result.workers.map((worker) =>
        worker.process === undefined
          ? { ...worker, process: { id: String(worker.lastUpdateSeconds), sinceSeconds: 1 } }
          : worker,
      );
      return { ...event, result: { ...result, workers } } as Event;
    },
  };
}

/** Was ours once, and is the KCL's. */
function balancesToTheDead(): PlantedBug {
  return {
    name: 'balances-to-the-dead',
    mistake: 'a new leader hands live leases to whoever has reported lately, though it never saw him to live',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readTable' || event.effect.for !== 'leader') return event;
      const result = event.result as Results['readTable'];
      const workers = result.workers.map((worker) =>
        worker.ageMs < TIMES.workerStaleMs ? { ...worker, ageMs: 0 } : worker,
      );
      return { ...event, result: { ...result, workers } } as unknown as Event;
    },
  };
}

// Planted bugs of leaders: when they write, and for how long they believe that they lead.
import type { PlantedBug } from './planted-bugs.ts';
import { TIMES } from './worker-options.ts';

/** A leader of this bug believes in itself for so many durations of its row. */
const TOO_LONG = 4;

export function leaderBugs(): readonly PlantedBug[] {
  return [outlivesItsRow(), looksOnlyInTurn(), handsOnUnfound()];
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

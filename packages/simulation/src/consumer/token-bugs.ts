// Planted bugs of fencing tokens.
import type { Effect } from '../../../consumer/dist/coordination/effects.js';
import type { PlantedBug } from './planted-bugs.ts';

export function tokenBugs(): readonly PlantedBug[] {
  return [tokenOfTheProcess(), switchesAsToken()];
}

function tokenOfTheProcess(): PlantedBug {
  return {
    name: 'token-of-the-process',
    mistake: 'the fencing token counts the tenures of its own process',
    asks: (effect): Effect => (effect.kind === 'openShard' ? { ...effect, fencingToken: effect.tenure } : effect),
  };
}

function switchesAsToken(): PlantedBug {
  return {
    name: 'switches-as-token',
    mistake: 'the fencing token is ownerSwitchesSinceCheckpoint, which a checkpoint sets to 0',
    asks: (effect, { table }): Effect => {
      if (effect.kind !== 'openShard') return effect;
      return { ...effect, fencingToken: table.leases.get(effect.leaseKey)?.ownerSwitchesSinceCheckpoint ?? 0 };
    },
  };
}

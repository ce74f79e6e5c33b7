// Planted bugs of leases that are handed off because an operator said so.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';

export function handOffBugs(): readonly PlantedBug[] {
  return [givesBack(), wishesOn(), saysHandedOff(), answersForOne()];
}

function givesBack(): PlantedBug {
  return {
    name: 'gives-back',
    mistake: 'a leader does not heed what workers decline, and balances a lease back to the one that handed it off',
    theme: 'handsOff',
    apply: (effect, _world, _workerId, run) => {
      if (effect.kind !== 'readTable' || effect.for !== 'leader') return run(effect);
      return deaf(run(effect) as Results['readTable']);
    },
  };
}

/** Was ours once. */
function wishesOn(): PlantedBug {
  return {
    name: 'wishes-on',
    mistake: 'a worker that hands its leases off, or leaves, does not heed what its heirs decline',
    theme: 'handsOff',
    apply: (effect, _world, _workerId, run) => {
      if (effect.kind !== 'readTable' || effect.for === 'leader') return run(effect);
      return deaf(run(effect) as Results['readTable']);
    },
  };
}

function deaf(result: Results['readTable']): Results['readTable'] {
  return { ...result, workers: result.workers.map(({ declines: _, ...worker }) => worker) };
}

function saysHandedOff(): PlantedBug {
  return {
    name: 'says-handed-off',
    mistake: 'a lease for which there is no heir is said to be handed off',
    notice: (notice): Notice => {
      if (notice.kind !== 'handOffSettled' || notice.outcome !== 'noHeir') return notice;
      return { ...notice, outcome: 'handedOff' };
    },
  };
}

function answersForOne(): PlantedBug {
  return {
    name: 'answers-for-one',
    mistake: 'of several leases that are to be handed off only the first is',
    event: (event): Event => (event.kind === 'handOff' ? { ...event, leases: event.leases.slice(0, 1) } : event),
  };
}

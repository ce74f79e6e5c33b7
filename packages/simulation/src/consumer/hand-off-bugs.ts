// Planted bugs of leases that are handed off because an operator said so.
import type { Event, ReadTable } from '../../../consumer/dist/coordination/effects.js';
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
    apply: deaf((reader) => reader === 'leader'),
  };
}

/** Was ours once. */
function wishesOn(): PlantedBug {
  return {
    name: 'wishes-on',
    mistake: 'a worker that hands its leases off, or leaves, does not heed what its heirs decline',
    theme: 'handsOff',
    apply: deaf((reader) => reader !== 'leader'),
  };
}

/** These readers are not shown what workers decline. */
function deaf(are: (reader: ReadTable['for']) => boolean): NonNullable<PlantedBug['apply']> {
  return (effect, _world, _workerId, run) => {
    if (effect.kind !== 'readTable' || !are(effect.for)) return run(effect);
    const result = run(effect) as Results['readTable'];
    return { ...result, workers: result.workers.map(({ declines: _, ...worker }) => worker) };
  };
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

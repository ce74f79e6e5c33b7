// Planted bugs of what an operator says to a worker.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { PlantedBug } from './planted-bugs.ts';

export function controlBugs(): readonly PlantedBug[] {
  return [pausesOnlyWhatIsHeld(), resumesOnlyWhatIsHeld(), triesAsBefore()];
}

function pausesOnlyWhatIsHeld(): PlantedBug {
  return {
    name: 'pauses-only-what-is-held',
    mistake: 'a pause is about the leases that are held when it is said, not about those that come or come back',
    event: (event, { leases }): Event => {
      if (event.kind !== 'pause') return event;
      const held = leases.map(({ leaseKey }) => leaseKey);
      return { ...event, leaseKeys: event.leaseKeys?.filter((leaseKey) => held.includes(leaseKey)) ?? held };
    },
  };
}

function resumesOnlyWhatIsHeld(): PlantedBug {
  return {
    name: 'resumes-only-what-is-held',
    mistake: 'a word about all leases that resumes them is about those that are held when it is said',
    event: (event, { leases }): Event => {
      if (event.kind !== 'resume' || event.leaseKeys !== undefined) return event;
      return { ...event, leaseKeys: leases.map(({ leaseKey }) => leaseKey) };
    },
  };
}

function triesAsBefore(): PlantedBug {
  return {
    name: 'tries-as-before',
    mistake: 'a batch that is asked for again is given to the policy that has stopped at it, which stops again',
    asks: (effect) => {
      if (effect.kind !== 'deliverBatch') return effect;
      const { anew: _, ...delivery } = effect;
      return delivery;
    },
  };
}

// Planted bugs of the room that the shards of a worker share.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { Fetched } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';

export function roomBugs(): readonly PlantedBug[] {
  return [onlyReadsCount()];
}

function onlyReadsCount(): PlantedBug {
  return {
    name: 'only-reads-count',
    mistake: 'a read takes room while it is under way, but what it brought takes none',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'fetchBatch') return event;
      const fetched = event.result as Fetched;
      if (fetched.batch === undefined) return event;
      return { ...event, result: { ...fetched, batch: { ...fetched.batch, byteCount: 0 } } } as Event;
    },
  };
}

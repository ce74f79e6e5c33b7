// Planted bugs of shards that are read again from an earlier place.
import { compareExtended, type ExtendedSequenceNumber, TRIM_HORIZON } from '@shardline/common';
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';

export function replayBugs(): readonly PlantedBug[] {
  return [replaysUnfenced(), readsOnAfterReplay(), saysSoOnly(), passesOver(), deniesWhatItHolds()];
}

function replaysUnfenced(): PlantedBug {
  const asked = new Map<string, ExtendedSequenceNumber>();
  return {
    name: 'replays-unfenced',
    mistake: 'the earlier checkpoint of a replay is written without the condition on the lease counter',
    event: (event) => {
      if (event.kind === 'replay') asked.set(event.leaseKey, event.position);
      return event;
    },
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'checkpointLease' || effect.checkpoint === undefined) return run(effect);
      const position = asked.get(effect.leaseKey);
      const leaseCounter = world.table.leases.get(effect.leaseKey)?.leaseCounter ?? effect.leaseCounter;
      const isReplay = position !== undefined && compareExtended(effect.checkpoint, position) === 0;
      return run(isReplay ? { ...effect, leaseCounter } : effect);
    },
  };
}

/** The place is written, and not read from. */
function readsOnAfterReplay(): PlantedBug {
  const readTo = new Map<string, ExtendedSequenceNumber>();
  const goesOnAt = new Map<string, ExtendedSequenceNumber>();
  return {
    name: 'reads-on-after-replay',
    mistake: 'after a replay the shard is read on from where it had been read to',
    event: (event) => {
      const position = event.kind === 'replay' ? readTo.get(event.leaseKey) : undefined;
      if (event.kind === 'replay' && position !== undefined) goesOnAt.set(event.leaseKey, position);
      return event;
    },
    asks: (effect) => {
      if (effect.kind !== 'fetchBatch') return effect;
      readTo.set(effect.leaseKey, effect.after);
      const position = goesOnAt.get(effect.leaseKey);
      if (position === undefined || compareExtended(effect.after, position) >= 0) return effect;
      goesOnAt.delete(effect.leaseKey);
      return { ...effect, after: position };
    },
  };
}

function saysSoOnly(): PlantedBug {
  return {
    name: 'says-so-only',
    mistake:
      'a shard is read again from an earlier place that is not written: whoever has it next goes on where it was',
    apply: (effect, world, _workerId, run) => {
      const row = effect.kind === 'checkpointLease' ? world.table.leases.get(effect.leaseKey) : undefined;
      if (effect.kind !== 'checkpointLease' || row === undefined || effect.checkpoint === undefined) return run(effect);
      if (compareExtended(effect.checkpoint, row.checkpoint) >= 0) return run(effect);
      const result = run({ ...effect, checkpoint: row.checkpoint }) as LeaseWrite;
      if (result.lease === undefined) return result;
      return { ...result, lease: { ...result.lease, checkpoint: effect.checkpoint } };
    },
  };
}

function passesOver(): PlantedBug {
  const asked = new Map<string, ExtendedSequenceNumber>();
  return {
    name: 'passes-over',
    mistake: 'a replay from a place ahead of what was handled is not refused',
    event: (event, { leases }): Event => {
      if (event.kind !== 'replay') return event;
      const at = leases.find(({ leaseKey }) => leaseKey === event.leaseKey)?.checkpoint;
      if (at === undefined || compareExtended(event.position, at) <= 0) return event;
      asked.set(event.leaseKey, event.position);
      return { ...event, position: TRIM_HORIZON };
    },
    apply: (effect, _world, _workerId, run) => {
      const position = effect.kind === 'checkpointLease' ? asked.get(effect.leaseKey) : undefined;
      if (effect.kind !== 'checkpointLease' || position === undefined) return run(effect);
      return run(effect.checkpoint?.sequenceNumber === 'TRIM_HORIZON' ? { ...effect, checkpoint: position } : effect);
    },
  };
}

/** Was ours once. */
function deniesWhatItHolds(): PlantedBug {
  return {
    name: 'denies-what-it-holds',
    mistake: 'a worker that is asked for a replay while it stops says that it does not hold what it gives up',
    notice: (notice): Notice =>
      notice.kind === 'replaySettled' && notice.outcome === 'leaseLost' ? { ...notice, outcome: 'notHeld' } : notice,
  };
}

// Planted bugs that show in what is told of a silent worker, and in worlds at their end: a freed lease, a row that cannot be read.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { LeaseWrite, Results } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';
import { TIMES } from './worker-options.ts';

export function endingBugs(): readonly PlantedBug[] {
  return [
    namesTheHeir(),
    leavesInSilence(),
    leavesToTheDead(),
    waitsForTheFirstRenewal(),
    freeingIsSharing(),
    unreadableIsMissing(),
  ];
}

function namesTheHeir(): PlantedBug {
  return {
    name: 'names-the-heir',
    mistake: 'the worker that gets the leases is called silent, not the one that let them run out',
    notice: (notice) => {
      const heir = notice.kind === 'workerSilent' ? notice.leases[0]?.to : undefined;
      return notice.kind === 'workerSilent' && heir !== undefined ? { ...notice, workerId: heir } : notice;
    },
  };
}

function leavesInSilence(): PlantedBug {
  return {
    name: 'leaves-in-silence',
    mistake: 'a worker that leaves believes that it has given its leases away, and lets them run out',
    apply: (effect, world, _workerId, run) => {
      const isRelease = (effect.kind === 'evictLease' || effect.kind === 'assignLease') && effect.tenure !== undefined;
      const lease = isRelease ? world.table.leases.get(effect.leaseKey) : undefined;
      return lease === undefined ? run(effect) : { applied: true, lease };
    },
  };
}

function leavesToTheDead(): PlantedBug {
  return {
    name: 'leaves-to-the-dead',
    mistake: 'whoever has reported in the last minute is taken for alive, though its leases have run out',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readTable' || event.effect.for !== 'succession') return event;
      const result = event.result as Results['readTable'];
      const workers = result.workers.map((worker) => ({
        ...worker,
        ageMs: worker.ageMs < TIMES.workerStaleMs ? 0 : worker.ageMs,
      }));
      return { ...event, result: { ...result, workers } } as unknown as Event;
    },
  };
}

/** Right where its owner is a worker of the KCL. */
function waitsForTheFirstRenewal(): PlantedBug {
  return {
    name: 'waits-for-the-first-renewal',
    mistake:
      'the leader looks in turn only after leases that their owners have not been seen to renew, whosever they are',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readTable' || event.effect.for !== 'leader') return event;
      const result = event.result as Results['readTable'];
      const given = result.leases.filter(({ ownerSwitchesSinceCheckpoint }) => (ownerSwitchesSinceCheckpoint ?? 0) > 0);
      const heirs = new Set(given.map(({ leaseOwner }) => leaseOwner));
      const hide = (workerId: string): boolean => heirs.has(workerId);
      const workers = result.workers.map((each) => (hide(each.workerId) ? { ...each, process: undefined } : each));
      return { ...event, result: { ...result, workers } } as unknown as Event;
    },
  };
}

/** Freeing a lease and giving it back are two writes, one renewal is one. */
function freeingIsSharing(): PlantedBug {
  return {
    name: 'freeing-is-sharing',
    mistake: 'a lease that was freed and given back is taken for one that a second process renews',
    apply: (effect, _world, workerId, run) => {
      const result = run(effect);
      if (effect.kind !== 'renewLease' && effect.kind !== 'checkpointLease') return result;
      const { applied, lease } = result as LeaseWrite;
      if (applied || lease?.leaseOwner !== workerId || lease.leaseCounter !== effect.leaseCounter + 2) return result;
      return { applied, lease: { ...lease, leaseCounter: lease.leaseCounter - 1 } };
    },
  };
}

function unreadableIsMissing(): PlantedBug {
  return {
    name: 'unreadable-is-missing',
    mistake: 'a shard whose lease row cannot be read is taken for one that has none',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readTable') return event;
      return { ...event, result: { ...(event.result as object), unreadable: [] } } as unknown as Event;
    },
  };
}

// Bugs planted in what a worker of ours does beside workers of the KCL 2.x; those themselves have none.
import { answers, type Event } from '../../../consumer/dist/coordination/effects.js';
import { type Lease, NOTHING_MEASURED, type WorkerRow } from '../../../consumer/dist/coordination/lease.js';
import type { PlantedBug } from './planted-bugs.ts';

export function mixedBugs(): readonly PlantedBug[] {
  return [assignsBeside2x(), takesBeyondItsShare(), takesFromTheLiving(), goesOverUnseen(), neverGoesBack()];
}

function assignsBeside2x(): PlantedBug {
  return {
    name: 'assigns-beside-2x',
    mistake: 'a leader assigns leases while workers of the KCL 2.x take them',
    event: (event) => (event.kind === 'start' ? { ...event, clientVersion: '3X' } : event),
  };
}

function takesBeyondItsShare(): PlantedBug {
  return {
    name: 'takes-beyond-its-share',
    mistake: 'the taker does not count what it has itself, and steals from a fleet that is balanced',
    event: (event, { workerId }) =>
      takerSees(event, (lease) => (lease.leaseOwner === workerId ? { ...lease, leaseOwner: 'nobody' } : lease)),
  };
}

function takesFromTheLiving(): PlantedBug {
  return {
    name: 'takes-from-the-living',
    mistake: 'the taker takes leases for expired that are renewed',
    event: (event, { workerId }) =>
      takerSees(event, (lease) => (lease.leaseOwner === workerId ? lease : { ...lease, leaseOwner: undefined })),
  };
}

function goesOverUnseen(): PlantedBug {
  return {
    name: 'goes-over-unseen',
    mistake: 'the fleet goes over to a leader although owners of leases have never shown a metric row',
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'readTable' || effect.for !== 'leader') return run(effect);
      const { leases, workers } = run(effect) as { leases: readonly Lease[]; workers: readonly WorkerRow[] };
      const seen = new Set(workers.map(({ workerId }) => workerId));
      const owners = new Set(leases.flatMap(({ leaseOwner }) => leaseOwner ?? []));
      const row = { lastUpdateSeconds: world.queue.now, ageMs: 0, utilization: NOTHING_MEASURED, process: undefined };
      const made = [...owners].filter((id) => !seen.has(id)).map((workerId) => ({ ...row, workerId }));
      return { leases, workers: [...workers, ...made] };
    },
  };
}

function neverGoesBack(): PlantedBug {
  return {
    name: 'never-goes-back',
    mistake: 'a leader goes on assigning leases when workers of the KCL 2.x have come back',
    theme: 'comesBack',
    apply: (effect, _world, _workerId, run) =>
      run(effect.kind === 'changeClientVersion' && effect.to === '2X' ? { kind: 'readClientVersion' } : effect),
  };
}

/** The same answer, with other leases in it if it is the taker's. */
function takerSees(event: Event, change: (lease: Lease) => Lease): Event {
  if (event.kind !== 'done' || !answers(event, 'readTable') || event.effect.for !== 'taker') return event;
  return { ...event, result: { ...event.result, leases: event.result.leases.map(change) } };
}

// Planted bugs of checkpoints: in two phases, and as the writes by which a busy holder learns of a handoff.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';

export function checkpointBugs(): readonly PlantedBug[] {
  return [preparedIsDone(), pendingUntold(), renewalForgets(), deafCheckpoint(), latestAnew()];
}

function preparedIsDone(): PlantedBug {
  return {
    name: 'prepared-is-done',
    mistake: 'what is only prepared is written as the checkpoint',
    apply: (effect, _world, _workerId, run) => {
      if (effect.kind !== 'checkpointLease' || effect.pendingCheckpoint === undefined) return run(effect);
      return run({ ...effect, checkpoint: effect.pendingCheckpoint.position });
    },
  };
}

function pendingUntold(): PlantedBug {
  return {
    name: 'pending-untold',
    mistake: 'whoever opens a shard is not told what its former holder had prepared',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'renewLease') return event;
      const write = event.result as LeaseWrite;
      if (write.lease === undefined) return event;
      return { ...event, result: { ...write, lease: { ...write.lease, pendingCheckpoint: undefined } } } as Event;
    },
  };
}

function renewalForgets(): PlantedBug {
  return {
    name: 'renewal-forgets',
    mistake: 'a renewal writes the whole row, without what is pending',
    apply: (effect, world, _workerId, run) => {
      const result = run(effect);
      const row = effect.kind === 'renewLease' ? world.table.leases.get(effect.leaseKey) : undefined;
      if (row === undefined || !(result as LeaseWrite).applied) return result;
      const lease = { ...row, pendingCheckpoint: undefined };
      world.table.leases.set(row.leaseKey, lease);
      return { applied: true, lease };
    },
  };
}

function deafCheckpoint(): PlantedBug {
  return {
    name: 'deaf-checkpoint',
    mistake: 'the answer to a checkpoint is not looked at for checkpointOwner',
    event: (event, view) => {
      if (event.kind !== 'done' || event.effect.kind !== 'checkpointLease') return event;
      const write = event.result as LeaseWrite;
      if (!write.applied || write.lease.checkpointOwner === undefined) return event;
      const lease = { ...write.lease, leaseOwner: view.workerId, checkpointOwner: undefined };
      return { ...event, result: { applied: true, lease } } as Event;
    },
  };
}

/** Was ours once, and is the KCL's. */
function latestAnew(): PlantedBug {
  return {
    name: 'latest-anew',
    mistake: 'every worker that finds a lease at LATEST begins at LATEST anew',
    apply: (effect, _world, _workerId, run) =>
      run(effect.kind === 'renewLease' ? { ...effect, beginsAtLatest: false } : effect),
  };
}

// Planted bugs of two processes under one worker id.
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';

export function twinBugs(): readonly PlantedBug[] {
  return [takesTheIdOfTheLiving(), ownNameIsOwnWrite(), waitsForADeadAsker(), givesTheIdUpAtOnce()];
}

function takesTheIdOfTheLiving(): PlantedBug {
  return {
    name: 'takes-the-id-of-the-living',
    mistake: 'whoever finds its worker id taken does not wait for an answer of the one that has it',
    options: (options) => ({ ...options, workerIdPatienceMs: 0 }),
  };
}

/** Was ours once, and is the KCL's. */
function ownNameIsOwnWrite(): PlantedBug {
  return {
    name: 'own-name-is-own-write',
    mistake: "a worker id is nobody's, and a lease that was written in the own name was written by oneself",
    apply: (effect, world, _workerId, run) => {
      if (effect.kind === 'reportWorker') {
        const row = world.table.workers.get(effect.workerId);
        return run({ ...effect, over: row && { ...row, askedBy: undefined, answers: undefined } });
      }
      const result = run(effect);
      if (effect.kind === 'lookAtWorker') return { sign: undefined };
      if (effect.kind !== 'renewLease' && effect.kind !== 'checkpointLease') return result;
      const write = result as LeaseWrite;
      return write.applied ? write : { ...write, repeated: true };
    },
  };
}

function waitsForADeadAsker(): PlantedBug {
  return {
    name: 'waits-for-a-dead-asker',
    mistake: 'whoever finds another process asking for the worker id lets it go first, though it has died since',
    theme: 'restarts',
    apply: (effect, _world, _workerId, run) =>
      run(effect.kind === 'lookAtWorker' && effect.ask?.after !== undefined ? { ...effect, ask: undefined } : effect),
  };
}

/** Was ours once. */
function givesTheIdUpAtOnce(): PlantedBug {
  return {
    name: 'gives-the-id-up-at-once',
    mistake: 'a worker that stops gives its worker id up before its last handlers have returned',
    apply: (effect, _world, _workerId, run) => {
      const result = run(effect);
      if (effect.kind === 'reportWorker' && effect.leaves)
        run({ kind: 'forgetWorker', workerId: effect.workerId, processId: effect.processId });
      return result;
    },
  };
}

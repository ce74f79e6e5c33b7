// Planted bugs of a stream that is deleted and made again under its name.
import { LATEST, TRIM_HORIZON } from '@shardline/common';
import { answers } from '../../../consumer/dist/coordination/effects.js';
import type { Shard } from '../../../consumer/dist/coordination/lease.js';
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { PlantedBug } from './planted-bugs.ts';
import { GONE } from './stream.ts';

export function madeAgainBugs(): readonly PlantedBug[] {
  return [
    readsOnRegardless(),
    beginsAnewAtTheTip(),
    finishedIsFinished(),
    newToTheApplication(),
    saysNothing(),
    forgetsWhatHasBegun(),
    goneIsEnded(),
    leavesStrays(),
    deletesBeforeSettled(),
    believesOneListing(),
  ];
}

function readsOnRegardless(): PlantedBug {
  return {
    name: 'reads-on-regardless',
    mistake:
      'a number that the stream refuses is taken for one that has expired, and the shard is read from its beginning',
    refused: (read) => read(TRIM_HORIZON),
  };
}

function beginsAnewAtTheTip(): PlantedBug {
  return {
    name: 'begins-anew-at-the-tip',
    mistake: 'a lease of a stream that was made again begins anew at LATEST',
    apply: (effect, world, _workerId, run) => {
      const result = run(effect);
      const write = result as LeaseWrite;
      if (effect.kind === 'resetLease' && write.applied)
        world.table.leases.set(effect.leaseKey, { ...write.lease, checkpoint: LATEST });
      return result;
    },
  };
}

/** Is the KCL's. */
function finishedIsFinished(): PlantedBug {
  return {
    name: 'finished-is-finished',
    mistake: 'a lease at SHARD_END does not begin anew, though its shard is another one',
    apply: (effect, world, _workerId, run) => {
      const isFinished = effect.kind === 'resetLease' && effect.seenCheckpoint.sequenceNumber === 'SHARD_END';
      return isFinished ? { applied: false, lease: world.table.leases.get(effect.leaseKey) } : run(effect);
    },
  };
}

/** Was ours once, and is the KCL's. */
function newToTheApplication(): PlantedBug {
  return {
    name: 'new-to-the-application',
    mistake: 'of several streams one that was made again begins where one does that nobody has read before',
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'createLease' || effect.tenure !== undefined) return run(effect);
      const { initialPosition } =
        world.tracked.find(({ streamId }) => streamId === effect.lease.streamId) ??
        ({ initialPosition: undefined } as const);
      return run(initialPosition === 'LATEST' ? { ...effect, lease: { ...effect.lease, checkpoint: LATEST } } : effect);
    },
  };
}

function saysNothing(): PlantedBug {
  return {
    name: 'says-nothing',
    mistake: 'leases of a stream that is gone are left alone, and nobody is told that nothing is read',
    notice: (notice) => (notice.kind === 'streamReplaced' ? undefined : notice),
  };
}

/** Was ours once; found by seven seeds. */
function forgetsWhatHasBegun(): PlantedBug {
  let isAnother = false;
  let listingCount = 0n;
  /** It is not known by its shards. */
  const unknown = ({ startingSequenceNumber, ...shard }: Shard): Shard => ({
    ...shard,
    startingSequenceNumber: (startingSequenceNumber - listingCount) as Shard['startingSequenceNumber'],
  });
  return {
    name: 'forgets-what-has-begun',
    mistake: 'a stream that was found to be another one and has begun anew is found to be so again by the next listing',
    event: (event) => {
      if (event.kind !== 'done' || !answers(event, 'listShards')) return event;
      isAnother ||= event.result.isAnother === true;
      if (!isAnother) return event;
      listingCount += 1n;
      return { ...event, result: { shards: event.result.shards.map(unknown), isAnother } };
    },
  };
}

/** Was ours once, and is the KCL's. */
function goneIsEnded(): PlantedBug {
  return {
    name: 'gone-is-ended',
    mistake: 'a shard that the stream never had is taken for one that has expired, and its lease is ended',
    refused: () => GONE,
  };
}

/** Was ours once. */
function leavesStrays(): PlantedBug {
  return {
    name: 'leaves-strays',
    mistake: 'of a stream that begins anew the leases stay whose shards only the stream before had',
    apply: (effect, _world, _workerId, run) =>
      effect.kind === 'deleteLease' && effect.seenCheckpoint !== undefined ? { deleted: false } : run(effect),
  };
}

function deletesBeforeSettled(): PlantedBug {
  return {
    name: 'deletes-before-settled',
    mistake: 'leases whose shards only the stream before had are deleted with the first that begins anew',
    apply: (effect, world, _workerId, run) => {
      if (effect.kind === 'resetLease') {
        const stream = world.streamOf(undefined);
        for (const { leaseKey, shardId, leaseCounter: seenCounter, checkpoint } of [...world.table.leases.values()])
          if (!stream.has(shardId))
            run({ kind: 'deleteLease', leaseKey, onlyEnded: false, seenCounter, seenCheckpoint: checkpoint });
      }
      return run(effect);
    },
  };
}

function believesOneListing(): PlantedBug {
  let last: { readonly at: number; readonly shards: Shard[] } | undefined;
  return {
    name: 'believes-one-listing',
    mistake: 'what a listing says of the leases is confirmed by the same listing, kept for a second',
    listing: (shards, now, streamId) => {
      if (streamId !== undefined) return shards;
      if (last === undefined || now - last.at >= 1000) last = { at: now, shards };
      return last.shards;
    },
  };
}

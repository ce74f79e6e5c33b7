// Bugs planted on purpose, one switch each, to show that the checkers would see them. They live out here: each one bends what
// the core is told or what the table does, and the core itself has no switch. CI asserts that every one is found.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { Effect, Event, TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Lease, Shard } from '../../../consumer/dist/coordination/lease.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { Delivered, LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import type { WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import type { WorkerView } from '../../../consumer/dist/coordination/worker-view.js';
import { checkpointBugs } from './checkpoint-bugs.ts';
import { controlBugs } from './control-bugs.ts';
import { endingBugs } from './ending-bugs.ts';
import { handOffBugs } from './hand-off-bugs.ts';
import { leaderBugs } from './leader-bugs.ts';
import { madeAgainBugs } from './made-again-bugs.ts';
import { mixedBugs } from './mixed-bugs.ts';
import { noRoomBugs } from './no-room-bugs.ts';
import { replayBugs } from './replay-bugs.ts';
import { roomBugs } from './room-bugs.ts';
import type { StreamRead } from './stream.ts';
import type { Theme } from './swarm.ts';
import { tokenBugs } from './token-bugs.ts';
import { twinBugs } from './twin-bugs.ts';
import type { World } from './world.ts';

export interface PlantedBug {
  readonly name: string;
  /** What a programmer would have done wrong. */
  readonly mistake: string;
  /** What the worlds are about in which it is looked for; without one it would be met too rarely. */
  readonly theme?: Theme;
  readonly options?: (options: WorkerOptions) => WorkerOptions;
  readonly event?: (event: Event, view: WorkerView) => Event;
  readonly apply?: (
    effect: TableEffect,
    world: World,
    workerId: string,
    run: (effect: TableEffect) => unknown,
  ) => unknown;
  /** In place of what its core asks for. */
  readonly asks?: (effect: Effect, world: World) => Effect;
  /** Of what its core tells; undefined: not that. */
  readonly notice?: (notice: Notice) => Notice | undefined;
  /** In place of a read whose number the stream refuses; undefined: it fails. */
  readonly refused?: (read: (from: ExtendedSequenceNumber) => StreamRead | undefined) => StreamRead | undefined;
  readonly read?: (read: StreamRead, failedBefore: boolean) => StreamRead;
  readonly listing?: (shards: Shard[], now: number, streamId: string | undefined) => Shard[];
  readonly closesEarly?: boolean;
}

/** Fresh ones for each world: some keep state. */
export function plantedBugs(): readonly PlantedBug[] {
  return [
    noFence(),
    silentRenewal(),
    checkpointFetched(),
    skipFailedBatch(),
    skipTheRest(),
    ignoreParents(),
    childrenAfterEnd(),
    endOnEmptyRead(),
    skipAfterFailedRead(),
    impatientLeader(),
    staleListing(),
    ghostWorker(),
    answersAcrossTenures(),
    adoptStrangers(),
    eagerCleanUp(),
    blindAssignment(),
    handsOverEarly(),
    impatientHeir(),
    cannotLeave(),
    streamsMixedUp(),
    halfAFamily(),
    takenForGarbage(),
    leavesRowsBare(),
    ...checkpointBugs(),
    ...mixedBugs(),
    ...leaderBugs(),
    releasedWhileRunning(),
    sleepingWatchdog(),
    hastyWatchdog(),
    sweepsTheLiving(),
    ...twinBugs(),
    looksPastTheReturned(),
    ...endingBugs(),
    ...roomBugs(),
    ...madeAgainBugs(),
    ...noRoomBugs(),
    ...tokenBugs(),
    ...controlBugs(),
    ...replayBugs(),
    ...handOffBugs(),
  ];
}

function looksPastTheReturned(): PlantedBug {
  const held = new Map<string, readonly string[]>();
  return {
    name: 'looks-past-the-returned',
    mistake:
      'a lease that came back while its old handler ran is found only with a later look, not when that has returned',
    theme: 'silence',
    apply: (effect, _world, workerId, run) => {
      if (effect.kind !== 'discoverLeases') return run(effect);
      const before = held.get(workerId) ?? [];
      held.set(workerId, effect.held);
      return run({ ...effect, held: [...before, ...effect.held] });
    },
  };
}

function releasedWhileRunning(): PlantedBug {
  return {
    name: 'released-while-running',
    mistake: 'a lease that is given up or handed off is released while its handler runs',
    closesEarly: true,
  };
}

function sleepingWatchdog(): PlantedBug {
  return {
    name: 'sleeping-watchdog',
    mistake: 'a lease whose handler never returns is held for ever, and nobody is told',
    options: (options) => ({ ...options, stallWarningMs: Infinity, stallLimitMs: Infinity }),
  };
}

function hastyWatchdog(): PlantedBug {
  return {
    name: 'hasty-watchdog',
    mistake: 'the watchdog tells of handlers that have not run for long yet',
    options: (options) => ({ ...options, stallWarningMs: options.stallWarningMs / 2 }),
  };
}

function sweepsTheLiving(): PlantedBug {
  return {
    name: 'sweeps-the-living',
    mistake: 'a worker that paused for two reports has its metric row deleted, as if it were gone',
    options: (options) => ({ ...options, staleWorkerMetricsEntryCleanupDurationMs: 0 }),
  };
}

function noFence(): PlantedBug {
  return {
    name: 'no-fence',
    mistake: 'the holder writes without the condition on the lease counter',
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'renewLease' && effect.kind !== 'checkpointLease') return run(effect);
      const leaseCounter = world.table.leases.get(effect.leaseKey)?.leaseCounter ?? effect.leaseCounter;
      return run({ ...effect, leaseCounter });
    },
  };
}

function silentRenewal(): PlantedBug {
  return {
    name: 'silent-renewal',
    mistake: 'a renewal does not move the counter, so others see a dead lease',
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'renewLease') return run(effect);
      const before = world.table.leases.get(effect.leaseKey);
      const result = run(effect) as LeaseWrite;
      if (!result.applied || before === undefined) return result;
      world.table.leases.set(effect.leaseKey, { ...before });
      return { applied: true, lease: before };
    },
  };
}

function checkpointFetched(): PlantedBug {
  let fetchedTo: ReadonlyMap<number, unknown> = new Map();
  return {
    name: 'checkpoint-fetched',
    mistake: 'the checkpoint follows what was fetched, not what was handled',
    event: (event) => {
      if (event.kind !== 'done') return event;
      if (event.effect.kind === 'fetchBatch') {
        const batch = (
          event as Extract<Event, { effect: { kind: 'fetchBatch' } }> & { result: { batch?: { last: unknown } } }
        ).result.batch;
        if (batch !== undefined) fetchedTo = new Map(fetchedTo).set(event.effect.tenure, batch.last);
      }
      if (event.effect.kind !== 'deliverBatch') return event;
      return { ...event, result: { checkpoint: fetchedTo.get(event.effect.tenure) } } as Event;
    },
  };
}

function skipFailedBatch(): PlantedBug {
  const last = new Map<number, unknown>();
  return {
    name: 'skip-failed-batch',
    mistake: 'a batch whose handler threw counts as handled, as in the Java KCL',
    event: (event) => {
      if (event.kind === 'done' && event.effect.kind === 'fetchBatch') {
        const { batch } = event.result as { batch: { batchId: number; last: unknown } | undefined };
        if (batch !== undefined) last.set(batch.batchId, batch.last);
      }
      if (event.kind !== 'failed' || event.effect.kind !== 'deliverBatch') return event;
      return { kind: 'done', effect: event.effect, result: { checkpoint: last.get(event.effect.batchId) } } as Event;
    },
  };
}

function skipTheRest(): PlantedBug {
  return {
    name: 'skip-the-rest',
    mistake: 'a batch of which some records were finished when the handler threw counts as handled',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'deliverBatch') return event;
      const { checkpoint } = event.result as Delivered;
      return { ...event, result: { checkpoint } } as Event;
    },
  };
}

function ignoreParents(): PlantedBug {
  return {
    name: 'ignore-parents',
    mistake: 'a child does not wait for its parents',
    event: (event, view) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readLeases') return event;
      const { leaseKey } = event.effect;
      const waiting = view.leases.some((lease) => lease.leaseKey === leaseKey && lease.phase === 'waitingForParents');
      return waiting ? ({ ...event, result: { leases: [] } } as Event) : event;
    },
  };
}

function childrenAfterEnd(): PlantedBug {
  return {
    name: 'children-after-end',
    mistake: "SHARD_END is written before the children's leases exist",
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'createLease' || effect.tenure === undefined) {
        if (effect.kind !== 'readLeases') return run(effect);
        // The creation is believed at once, so the family looks complete.
        const result = run(effect) as { leases: readonly Lease[] };
        const found = new Set(result.leases.map((lease) => lease.leaseKey));
        const believed = effect.leaseKeys
          .filter((key) => !found.has(key))
          .map((key) => ({ leaseKey: key, shardId: key }) as Lease);
        const parent = world.table.leases.get(effect.leaseKey);
        return parent?.parentShardIds.some((key) => effect.leaseKeys.includes(key))
          ? result
          : { leases: [...result.leases, ...believed] };
      }
      return run(effect);
    },
  };
}

function endOnEmptyRead(): PlantedBug {
  let reads = 0;
  return {
    name: 'end-on-empty-read',
    mistake: 'a run of empty reads is taken for the end of the shard',
    read: (read) => {
      reads = read.fetched.batch === undefined ? reads + 1 : 0;
      return reads < 5 ? read : { ...read, fetched: { ...read.fetched, atShardEnd: true } };
    },
  };
}

function skipAfterFailedRead(): PlantedBug {
  return {
    name: 'skip-after-failed-read',
    mistake: 'after a failed read the next one begins a record too late',
    read: (read, failedBefore) => {
      if (!failedBefore || read.positions.length < 2) return read;
      return { ...read, positions: read.positions.slice(1) };
    },
  };
}

function impatientLeader(): PlantedBug {
  return {
    name: 'impatient-leader',
    mistake: 'the leader calls a lease expired too early',
    // Every other process counts ten times too fast, whether it leads or not.
    options: (options) =>
      /[02468ace]$/.test(options.incarnation)
        ? { ...options, failoverTimeMs: options.failoverTimeMs / 10, retryMs: 20 }
        : options,
  };
}

function staleListing(): PlantedBug {
  const listings: { readonly now: number; readonly shards: Shard[] }[] = [];
  return {
    name: 'stale-listing',
    mistake: 'the shards are listed before the leases are read, and long before',
    listing: (shards, now) => {
      listings.push({ now, shards });
      return listings.findLast((listing) => listing.now <= now - 4000)?.shards ?? shards;
    },
  };
}

function ghostWorker(): PlantedBug {
  let updates = 0;
  return {
    name: 'ghost-worker',
    mistake: 'the leader gives leases to a worker that is long gone',
    event: (event) => {
      if (event.kind !== 'done' || event.effect.kind !== 'readTable') return event;
      updates += 1;
      const result = event.result as { leases: readonly Lease[]; workers: readonly unknown[] };
      const ghost = {
        workerId: 'ghost',
        lastUpdateSeconds: updates,
        ageMs: 0,
        utilization: { stats: {}, operatingRange: {} },
      };
      return { ...event, result: { ...result, workers: [...result.workers, ghost] } } as Event;
    },
  };
}

function answersAcrossTenures(): PlantedBug {
  return {
    name: 'answers-across-tenures',
    mistake: 'an answer is taken for the lease, whichever tenure had asked',
    closesEarly: true,
    event: (event, view) => {
      if ((event.kind !== 'done' && event.kind !== 'failed') || !('tenure' in event.effect)) return event;
      const { leaseKey } = event.effect;
      const tenure = view.leases.find((lease) => lease.leaseKey === leaseKey)?.tenure ?? event.effect.tenure;
      return { ...event, effect: { ...event.effect, tenure } } as Event;
    },
  };
}

function adoptStrangers(): PlantedBug {
  return {
    name: 'adopt-strangers',
    mistake: 'every refused write is taken for an own one whose answer was lost',
    apply: (effect, _world, workerId, run) => {
      const result = run(effect);
      if (effect.kind !== 'renewLease' && effect.kind !== 'checkpointLease') return result;
      const write = result as LeaseWrite;
      if (write.applied || write.lease === undefined) return result;
      const lease = {
        ...write.lease,
        leaseOwner: workerId,
        checkpointOwner: undefined,
        leaseCounter: effect.leaseCounter + 1,
      };
      return { applied: false, lease };
    },
  };
}

/** Was ours once; found by a seed. */
function eagerCleanUp(): PlantedBug {
  return {
    name: 'eager-clean-up',
    mistake: 'a finished lease is deleted while a request that makes it may still be under way',
    options: (options) => ({ ...options, completedLeaseCleanupIntervalMs: 0 }),
  };
}

/** Was ours once, and is the KCL's; found by a seed. */
function blindAssignment(): PlantedBug {
  return {
    name: 'blind-assignment',
    mistake: 'the leader takes a silent lease without looking whether it is still silent',
    theme: 'silence',
    apply: (effect, _world, _workerId, run) =>
      run(
        effect.kind === 'assignLease' && effect.tenure === undefined ? { ...effect, seenCounter: undefined } : effect,
      ),
  };
}

function streamsMixedUp(): PlantedBug {
  return {
    name: 'streams-mixed-up',
    mistake: 'a shard is looked up by its id alone, and two streams have shards of the same id',
    apply: (effect, world, _workerId, run) => {
      const [first] = world.streams.keys();
      if (effect.kind !== 'readLeases' || first === undefined) return run(effect);
      const leaseKeys = effect.leaseKeys.map((key) => `${first}:${key.slice(key.lastIndexOf(':') + 1)}`);
      return run({ ...effect, leaseKeys });
    },
  };
}

function halfAFamily(): PlantedBug {
  return {
    name: 'half-a-family',
    mistake: 'the children of a finished shard are taken from a listing that shows one of them',
    apply: (effect, _world, _workerId, run) =>
      run(effect.kind === 'fillLease' ? { ...effect, childShardIds: effect.childShardIds?.slice(0, 1) } : effect),
  };
}

function takenForGarbage(): PlantedBug {
  return {
    name: 'taken-for-garbage',
    mistake: 'a finished lease whose row names no children is deleted without asking for them',
    apply: (effect, world, _workerId, run) => {
      if (effect.kind !== 'fillLease' || effect.childShardIds === undefined) return run(effect);
      const { leaseKey } = effect;
      const seenCounter = world.table.leases.get(leaseKey)?.leaseCounter ?? 0;
      run({ kind: 'deleteLease', leaseKey, onlyEnded: true, seenCounter });
      return { applied: false, lease: undefined };
    },
  };
}

function leavesRowsBare(): PlantedBug {
  return {
    name: 'leaves-rows-bare',
    mistake: 'nobody fills in what the rows of an older fleet lack',
    apply: (effect, _world, _workerId, run) =>
      effect.kind === 'fillLease' ? { applied: false, lease: undefined } : run(effect),
  };
}

function impatientHeir(): PlantedBug {
  return {
    name: 'impatient-heir',
    mistake: 'a worker that is told which leases it will get takes them before they are released',
    apply: (effect, world, workerId, run) => {
      if (effect.kind !== 'discoverLeases') return run(effect);
      const held = new Set(effect.held);
      for (const lease of world.table.leases.values()) {
        if (lease.leaseOwner === workerId && lease.checkpointOwner !== undefined && !held.has(lease.leaseKey))
          world.table.leases.set(lease.leaseKey, { ...lease, checkpointOwner: undefined });
      }
      return run(effect);
    },
  };
}

function cannotLeave(): PlantedBug {
  return {
    name: 'cannot-leave',
    mistake: 'a worker that has told its heirs reads on for longer than they take to notice',
    options: (options) => ({ ...options, leaseDiscoveryIntervalMs: 4 * options.leaseDiscoveryIntervalMs }),
  };
}

function handsOverEarly(): PlantedBug {
  return {
    name: 'hands-over-early',
    mistake: 'a worker that leaves gives its leases away before its handlers have returned',
    apply: (effect, world, workerId, run) => {
      const result = run(effect);
      if (effect.kind !== 'readTable' || effect.for !== 'succession') return result;
      const { leases, workers } = result as { leases: readonly Lease[]; workers: readonly { workerId: string }[] };
      const heir = workers.find((worker) => worker.workerId !== workerId);
      for (const lease of leases) {
        if (lease.leaseOwner !== workerId || heir === undefined) continue;
        world.table.leases.set(lease.leaseKey, {
          ...lease,
          leaseOwner: heir.workerId,
          leaseCounter: lease.leaseCounter + 1,
        });
      }
      return result;
    },
  };
}

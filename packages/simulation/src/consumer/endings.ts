// What befalls some worlds at their very end, when nothing goes wrong any more and all is at rest, and the checkers of what follows.
// A worker that does not lead is killed just after it has written a lease, and each of its leases is another's within failoverTimeMs
// and one interval of the leader's runs, and held by that one a discovery later; the leader names it, with each lease once. Whoever
// leaves after that leaves it nothing. Or some that come are killed with their first leases, one after the other: these are another's as soon. Or a worker
// stops in good order, and nobody calls it silent. Or a lease is freed by hand and given back before its owner looks: that one goes on.
// Or a row is made unreadable: its holder says so, nobody ends, the other shards are read on, and it is read on once it is mended.
// Or the leader leaves soon after somebody died: that one gets nothing from the next. By what stands in the table, is written to it, and is told.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { RENEWAL_PATIENCE } from '../../../consumer/dist/coordination/foreign-renewals.js';
import { isEnded, type Lease, NOTHING_MEASURED, type Shard } from '../../../consumer/dist/coordination/lease.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { LeaseWrite } from '../../../consumer/dist/coordination/results.js';
import { CROWDED_READ_MS } from './crowded-rooms.ts';
import { madeAgain } from './made-again.ts';
import { mute } from './mute.ts';
import { noRoom } from './no-room.ts';
import { olderListings } from './older-listings.ts';
import { HEALED_CALL_MS, type SimulatedProcess } from './process.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { UnreadableRow } from './unreadable-row.ts';
import { TIMES } from './worker-options.ts';
import type { World } from './world.ts';

export interface Ending {
  /** A request has run. */
  readonly ran?: (process: SimulatedProcess, effect: TableEffect, result: unknown) => void;
  readonly told?: (process: SimulatedProcess, notice: Notice) => void;
  readonly row?: UnreadableRow | undefined;
  /** In place of what it lists. */
  readonly shows?: (process: SimulatedProcess, shards: Shard[]) => Shard[];
  /** Lets it happen. */
  readonly play: () => void;
}

const { failoverTimeMs: FAILOVER_MS, leaseAssignmentIntervalMs: INTERVAL_MS } = TIMES;
/** By when leases are assigned: the reading that sees the last change, a run under way, its listing, the next reading, and the write. */
const ASSIGNED_MS = slowly(FAILOVER_MS + INTERVAL_MS) + 6 * HEALED_CALL_MS;
/** Within a renewal period a holder writes its lease. */
const WRITES_WITHIN_MS = slowly(FAILOVER_MS / 3) + 2 * HEALED_CALL_MS;
/** What is put is read, wherever its lease goes meanwhile; so often it is asked whether it is. */
const READ_ON_MS = 5_000;
/** A worker that leaves asks who else is there, and tells them, in less. */
const LEFT_WITHIN_MS = 1_000;
const LOOK_MS = 50;
/** One that leaves gives its row up. */
const LED_WITHIN_MS = TIMES.shutdownGraceMs + slowly(TIMES.leaderLeaseDurationMs);
const DEAD = 'dead';
const NEWCOMERS = 4;
/** One that comes is given its first lease in less, if it gets any. */
const COMES_WITHIN_MS = 4_000;
const PUTS = 6;
/**
 * So often a leader may give a lease away again that its owner leaves alone. A second time only if the owner's look after the first one
 * came late in its interval, and then the look after the second comes so early that a third would be too late.
 */
const MOST_AGAIN = 2;

/** What comes after the rest of a world; undefined: nothing. Chance has no part in which, so all other worlds stay as they are. */
export function endingOf(seed: number, hasTwins: boolean): ((world: World) => Ending | undefined) | undefined {
  if (hasTwins) return seed % 36 === 7 ? freed : undefined;
  if (seed % 7 === 2) return seed % 14 === 9 ? stopped : killed;
  if (seed % 21 === 5) return unreadable;
  if (seed % 21 === 11) return newcomersKilled;
  // Apart from the worlds of older rows.
  if (seed % 7 === 3) return undefined;
  if (seed % 11 === 3) return madeAgain;
  if (seed % 11 === 8) return noRoom;
  if (seed % 13 === 4) return mute;
  if (seed % 13 === 6) return olderListings;
  return seed % 13 === 9 ? deadLately : undefined;
}

/** One that does not lead, with the leases that it holds. */
function victimOf(world: World): { readonly leader: SimulatedProcess; readonly victim: SimulatedProcess } | undefined {
  const living = world.living();
  const leader = living.find(({ workerId }) => workerId === world.table.leader?.owner);
  const others = living.filter((process) => process !== leader && leasesOf(world, process).length > 0);
  return leader === undefined || others.length === 0 ? undefined : { leader, victim: world.prng.pick(others) };
}

function killed(world: World): Ending | undefined {
  const { queue, checkers, table } = world;
  const found = victimOf(world);
  if (found === undefined) return undefined;
  const { leader, victim } = found;
  const { workerId } = victim;
  /** Those that nobody else has written yet. */
  const left = new Set(leasesOf(world, victim).map(({ leaseKey }) => leaseKey));
  const untold = new Set(left);
  /** By one that could not tell. */
  const leftToIt = new Set<string>();
  let killedAt: number | undefined;
  /** Another one that leaves in good order, once the leases of the first are others'. */
  let leaver: SimulatedProcess | undefined;
  const leave = (): void => {
    const others = world.living().filter((process) => process !== leader && process !== victim);
    leaver = others.find((process) => leasesOf(world, process).length > 0);
    leaver?.stop();
  };
  const judge = (leaseKeys: readonly string[], how: string): void => {
    if (leaseKeys.length > 0 && leader.alive)
      checkers.report(`${workerId} was killed at ${killedAt}, and at ${queue.now} ${leaseKeys.join(', ')} are ${how}`);
  };
  return {
    ran: (process, effect, result) => {
      // Who holds nothing shows by its row alone that it lives, which is as old as that of one that died lately.
      const isHolderThere = leader.alive && leasesOf(world, leader).length > 0;
      if (process === leaver && heirOf(effect) === workerId && !isHolderThere && 'leaseKey' in effect)
        leftToIt.add(effect.leaseKey);
      else if (process === leaver && heirOf(effect) === workerId)
        checkers.report(`a lease was left at ${queue.now} to ${workerId}, killed at ${killedAt}`);
      if (!isHoldersWrite(effect) || !left.has(effect.leaseKey) || !(result as LeaseWrite).applied) return;
      if (process !== victim) {
        left.delete(effect.leaseKey);
        // While its row still shows the dead one alive.
        if (left.size === 0) queue.after(0, leave);
      } else if (killedAt === undefined) {
        killedAt = queue.now;
        victim.crash();
      }
    },
    told: (_, notice) => {
      if (notice.kind !== 'workerSilent') return;
      for (const { leaseKey } of notice.leases)
        if (notice.workerId !== workerId || !(untold.delete(leaseKey) || leftToIt.delete(leaseKey)))
          checkers.report(`${notice.workerId} is called silent for ${leaseKey} once more, or is at work`);
    },
    play: () => {
      queue.runUntil(queue.now + WRITES_WITHIN_MS);
      if (killedAt === undefined) {
        checkers.report(`${workerId} wrote none of ${[...left].join(', ')} until ${queue.now}`);
        return;
      }
      queue.runUntil(killedAt + ASSIGNED_MS);
      judge(
        [...left].filter((leaseKey) => table.leases.get(leaseKey)?.leaseOwner === workerId),
        'still assigned to it',
      );
      judge([...untold], 'not told to be silent');
      queue.runUntil(queue.now + slowly(world.plan.leaseDiscoveryIntervalMs) + 4 * HEALED_CALL_MS);
      judge([...left], 'held by nobody');
      queue.runUntil(queue.now + LEFT_WITHIN_MS);
    },
  };
}

/**
 * Its leases are others' when the leader leaves in good order, and to who leads next its row shows it alive: as where workers report more rarely
 * than leases run out. To whom live leases may go is judged by seen-alive.ts.
 */
function deadLately(world: World): Ending | undefined {
  const { queue, checkers, table } = world;
  const leader = victimOf(world)?.leader;
  if (leader === undefined) return undefined;
  let isLed = false;
  return {
    told: (process, notice) => {
      if (notice.kind !== 'leadershipGained' || process === leader) return;
      isLed = true;
      const lastUpdateSeconds = Math.floor((queue.now - FAILOVER_MS) / 1000);
      table.workers.set(DEAD, { lastUpdateSeconds, utilization: NOTHING_MEASURED, process: undefined });
    },
    play: () => {
      leader.stop();
      const until = queue.now + LED_WITHIN_MS;
      while (!isLed && checkers.violations.length === 0 && queue.now < until) queue.runUntil(queue.now + LOOK_MS);
      if (!isLed) checkers.report(`${leader.workerId} has left, and nobody leads at ${queue.now}`);
      queue.runUntil(queue.now + slowly(TIMES.workerStaleMs));
      table.workers.delete(DEAD);
      if (checkers.violations.length === 0) world.settle();
    },
  };
}

/** The leader sees the first write of each with its next reading, and looks again when that runs out. */
function newcomersKilled(world: World): Ending | undefined {
  const { queue, checkers, table, prng } = world;
  const leader = victimOf(world)?.leader;
  if (leader === undefined) return undefined;
  let newcomer: SimulatedProcess | undefined;
  let killedAt = Number.POSITIVE_INFINITY;
  let seenAt: number | undefined;
  let left: string[] = [];
  const comes = (): void => {
    [newcomer, killedAt, seenAt, left] = [world.start(false), Number.POSITIVE_INFINITY, undefined, []];
    const until = queue.now + slowly(COMES_WITHIN_MS);
    while (queue.now < until && killedAt > queue.now) queue.runUntil(queue.now + LOOK_MS);
    if (left.length === 0) return;
    queue.runUntil(Math.max(queue.now, killedAt + slowly(INTERVAL_MS) + 2 * HEALED_CALL_MS));
    if (seenAt === undefined) checkers.report(`${leader.workerId} leads, and has not looked since ${killedAt}`);
    // Another lease may have run out just before, and the run for that one is followed by one soon.
    queue.runUntil((seenAt ?? queue.now) + slowly(FAILOVER_MS + INTERVAL_MS / 8) + 6 * HEALED_CALL_MS);
    const { workerId } = newcomer;
    const stuck = left.filter((leaseKey) => table.leases.get(leaseKey)?.leaseOwner === workerId);
    if (stuck.length > 0)
      checkers.report(
        `${workerId} was killed at ${killedAt}, just given ${stuck.join(', ')}, seen at ${seenAt} and its own at ${queue.now}`,
      );
  };
  return {
    ran: (process, effect, result) => {
      if (process === leader && effect.kind === 'readTable' && effect.for === 'leader' && queue.now > killedAt)
        seenAt ??= queue.now;
      if (process !== newcomer || !isHoldersWrite(effect) || !(result as LeaseWrite).applied) return;
      killedAt = queue.now;
      // Of a write that was on its way when it died the leader learns by a later reading.
      if (!process.alive) {
        seenAt = undefined;
        return;
      }
      // What is still on its way there comes later.
      const settled = leasesOf(world, process).filter(({ checkpointOwner }) => checkpointOwner === undefined);
      left = settled.map(({ leaseKey }) => leaseKey);
      process.crash();
    },
    play: () => {
      for (let count = 0; count < NEWCOMERS && leader.alive && checkers.violations.length === 0; count += 1) {
        comes();
        queue.runUntil(queue.now + prng.between(0, 2 * INTERVAL_MS));
      }
    },
  };
}

/** To whom one that leaves gives a lease, at once or once that one has noticed. */
function heirOf(effect: TableEffect): string | undefined {
  if (effect.kind === 'assignLease' && effect.tenure !== undefined) return effect.newOwner;
  return effect.kind === 'handOffLease' && effect.tenure !== undefined ? effect.to : undefined;
}

function stopped(world: World): Ending | undefined {
  const { queue, checkers } = world;
  const found = victimOf(world);
  if (found === undefined) return undefined;
  const { victim } = found;
  return {
    told: (_, notice) => {
      if (notice.kind === 'workerSilent')
        checkers.report(`${notice.workerId} is called silent, and ${victim.workerId} left in good order`);
    },
    play: () => {
      victim.stop();
      queue.runUntil(queue.now + ASSIGNED_MS);
    },
  };
}

/**
 * Where ids are given a second process may be behind one, so what is lost to the own name is left alone for a patience. With the renewal
 * before and the look after it that may take longer than failoverTimeMs: a leader then takes the owner for silent, and gives it away again.
 */
function freed(world: World): Ending | undefined {
  const { queue, checkers, table, prng } = world;
  const [holder] = world.living().filter((process) => leasesOf(world, process).length > 0);
  if (holder === undefined) return undefined;
  const { leaseKey } = prng.pick(leasesOf(world, holder));
  const { workerId } = holder;
  const lookMs = world.plan.leaseDiscoveryIntervalMs;
  const patienceMs = RENEWAL_PATIENCE * FAILOVER_MS;
  let owner: string | undefined;
  let isFound = false;
  let isHeld = false;
  let givenAt = queue.now;
  let heldUntil = Number.POSITIVE_INFINITY;
  let againCount = 0;
  const given = (to: string, withinMs: number): void => {
    [owner, givenAt, heldUntil] = [to, queue.now, queue.now + slowly(withinMs) + 4 * HEALED_CALL_MS];
  };
  const givenAgain = (to: string): void => {
    againCount += 1;
    if (queue.now < givenAt + FAILOVER_MS / (1 + MAX_CLOCK_DRIFT) || againCount > MOST_AGAIN)
      checkers.report(`${leaseKey} was given to ${to} at ${queue.now}, and to ${owner} at ${givenAt}`);
    // Its owner sees with a look that it was written, and waits another patience; anybody else claims it with a look.
    given(to, to === workerId ? lookMs + patienceMs + lookMs : lookMs);
  };
  return {
    ran: (process, effect, result) => {
      if (owner === undefined || isHeld || !('leaseKey' in effect) || effect.leaseKey !== leaseKey) return;
      if (effect.kind === 'assignLease' && (result as LeaseWrite).applied) givenAgain(effect.newOwner);
      // From one that has not found it yet: neither of the two claims it, until that one is taken for silent.
      if (effect.kind === 'handOffLease' && (result as LeaseWrite).applied) heldUntil = queue.now + ASSIGNED_MS;
      if (!isHoldersWrite(effect)) return;
      // The first one of him that had it is refused.
      if (!(result as LeaseWrite).applied) isFound ||= process === holder;
      else if (process.workerId === owner && isFound) isHeld = true;
    },
    play: () => {
      const before = table.leases.get(leaseKey) as Lease;
      const free = { ...before, leaseOwner: undefined, leaseCounter: before.leaseCounter + 1 };
      table.leases.set(leaseKey, free);
      checkers.tableChanged(before, free, undefined, queue.now);
      const seen = { seenOwner: undefined, seenCheckpointOwner: undefined, seenCounter: free.leaseCounter };
      world.watched.apply(
        holder,
        { kind: 'assignLease', leaseKey, ...seen, newOwner: workerId, tenure: undefined },
        queue.now,
      );
      given(workerId, FAILOVER_MS / 3 + patienceMs + lookMs);
      while (!isHeld && checkers.violations.length === 0 && queue.now < heldUntil) queue.runUntil(heldUntil);
      if (!holder.alive || holder.stopping) checkers.report(`${workerId} ended: ${leaseKey} was freed and given back`);
      else if (!isHeld) checkers.report(`${leaseKey} was given to ${owner} at ${givenAt}, which does not hold it`);
    },
  };
}

function unreadable(world: World): Ending | undefined {
  const { queue, checkers, prng } = world;
  const holders = world.living().filter((process) => leasesOf(world, process).length > 0);
  if (holders.length === 0) return undefined;
  const holder = prng.pick(holders);
  const { leaseKey } = prng.pick(leasesOf(world, holder));
  let row: UnreadableRow | undefined;
  let isNamed = false;
  const untilRead = (except: string | undefined): void => {
    const until = queue.now + (world.isCrowded ? CROWDED_READ_MS : READ_ON_MS);
    // A violation stops the clock.
    while (checkers.violations.length === 0 && queue.now < until && !checkers.drained(except))
      queue.runUntil(queue.now + LOOK_MS);
    if (!checkers.drained(except)) checkers.checkDrained(queue.now);
  };
  return {
    get row() {
      return row;
    },
    told: (process, notice) => {
      if (notice.kind === 'workerIdInUse' || notice.kind === 'stopped')
        checkers.report(`${process.workerId} ends: the row of ${leaseKey} cannot be read`);
      if (process === holder && notice.kind === 'leaseEnded' && notice.leaseKey === leaseKey)
        isNamed = notice.loss?.how === 'unreadable';
    },
    play: () => {
      row = new UnreadableRow(leaseKey);
      queue.runUntil(queue.now + WRITES_WITHIN_MS + 2 * HEALED_CALL_MS);
      if (!isNamed) checkers.report(`the row of ${leaseKey} cannot be read, and ${holder.workerId} does not say so`);
      for (let put = 0; put < PUTS; put += 1) world.put();
      // Until a leader has listed the shards, and looked what is missing.
      queue.runUntil(queue.now + slowly(TIMES.shardSyncIntervalMs + INTERVAL_MS) + 4 * HEALED_CALL_MS);
      untilRead(leaseKey);
      checkers.report(row.wrong);
      row = undefined;
      untilRead(undefined);
    },
  };
}

function leasesOf(world: World, { workerId }: SimulatedProcess): Lease[] {
  return [...world.table.leases.values()].filter((lease) => lease.leaseOwner === workerId && !isEnded(lease));
}

function isHoldersWrite(
  effect: TableEffect,
): effect is Extract<TableEffect, { kind: 'renewLease' | 'checkpointLease' }> {
  return effect.kind === 'renewLease' || effect.kind === 'checkpointLease';
}

function slowly(ms: number): number {
  return ms / (1 - MAX_CLOCK_DRIFT);
}

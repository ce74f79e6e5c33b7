// Endings in which a stream is deleted and made again under its name, on a fleet at rest: records come at once, shards are split and
// merged before anybody has listed them, and in half of these worlds there are faults again meanwhile. One stream begins anew where
// its workers are told so, from the start or by a deploy; one of several is another one by its age, and is found when each
// worker looks at the list. That all of the new stream is handled, and nothing of it read from a place in the one before, is judged by the
// checkers of the shards; here, that it is told of for as long as nobody has said that it is meant, and that nobody begins it anew who has found
// all of it begun. And of the leases whose shards only the stream before had: nobody ends them, they stand until all others have begun anew, and
// none is left then, since a later shard of that name would find it.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { Ending } from './endings.ts';
import { HEALED_CALL_MS, type SimulatedProcess } from './process.ts';
import type { SimulatedStream } from './stream.ts';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';
import type { World } from './world.ts';

/** What comes into it before and while it is found. */
const PUTS = 12;
const PUTS_WITHIN_MS = 3_000;
/** Until a leader has listed the shards, or for longer. */
const TROUBLE_MS = [2_000, 6_000] as const;
/** By when each worker has looked at the list of streams. */
const LOOKED_MS = 1_500;
/** A listing is begun, and is the second one that shows the end of a shard that is open. */
const TOLD_MS =
  (2 * TIMES.shardSyncIntervalMs + TIMES.leaseAssignmentIntervalMs) / (1 - MAX_CLOCK_DRIFT) + 6 * HEALED_CALL_MS;
const MOST_SHARDS = 3;
/** By when somebody leads after everybody crashed, and how often that is looked at. */
const LED_MS = 30_000;
const LED_LOOK_MS = 100;

export function madeAgain(world: World): Ending {
  return world.streams.size > 1 ? oneOfSeveral(world) : theOnlyOne(world);
}

function theOnlyOne(world: World): Ending {
  const { queue, checkers, prng } = world;
  const stream = world.streamOf(undefined);
  let toldAt = Number.NEGATIVE_INFINITY;
  const strays = new StrayWatch(world, stream);
  const settledBy = new Set<SimulatedProcess>();
  return {
    told: (process, notice) => {
      if (notice.kind === 'streamSettled') settledBy.add(process);
      if (notice.kind !== 'streamReplaced') return;
      if (notice.leaseKeys.length > 0) toldAt = queue.now;
      strays.told(notice.strayKeys);
      if (notice.anewCount > 0 && settledBy.has(process))
        checkers.report(`${process.workerId} had found all begun, and begins ${notice.leaseKeys.join(', ')} anew`);
    },
    ran: (_, effect) => checkers.report(strays.ran(effect)),
    play: () => {
      world.transcript?.happens('the stream is deleted');
      stream.delete(queue.now);
      world.sink.end();
      const gapMs = prng.pick([0, 0, 300, 1500]);
      queue.runUntil(queue.now + gapMs);
      const shardCount = prng.between(1, MOST_SHARDS);
      world.transcript?.happens(`the stream is made again, with ${shardCount} shards`);
      stream.create(shardCount, queue.now);
      strays.begin(gapMs > 0);
      const areInRows = (): boolean => areLeft(world, stream);
      // A process that was not there before knows it by the rows alone: an end is one in a shard that is closed, too, and LATEST says nothing.
      const isKnown = gapMs === 0 && areInRows();
      const isTroubled = prng.chance(0.5) && (isKnown || !world.beginsAtLatest);
      const isDeployed = !world.beginsAnew;
      comesIn(world, stream, isKnown || !(isTroubled || isDeployed));
      if (isTroubled) trouble(world);
      if (isDeployed && checkers.violations.length === 0) {
        untilLed(world);
        queue.runUntil(queue.now + TOLD_MS);
        if (areInRows() && queue.now - toldAt > TOLD_MS)
          checkers.report(`the stream was made again, and nobody has said so at ${queue.now}`);
        checkers.report(strays.untold());
        deploy(world);
      }
      world.settle();
      if (checkers.violations.length > 0) return;
      // Who has listed nothing since may find only now what had ended before, and begin it anew.
      checkers.balance.mayMove();
      queue.runUntil(queue.now + TOLD_MS);
      if (checkers.violations.length === 0) world.settle();
      if (checkers.violations.length === 0) checkers.report(strays.left());
    },
  };
}

/** Leases of its shards stand in the stream before. */
function areLeft({ table }: World, stream: SimulatedStream): boolean {
  const { startsAt } = stream;
  return [...table.leases.values()].some(({ shardId, checkpoint: { sequenceNumber } }) => {
    return stream.has(shardId) && typeof sequenceNumber === 'bigint' && sequenceNumber < startsAt;
  });
}

/** Leases of shards that only the stream before had. */
class StrayWatch {
  readonly #world: World;
  readonly #stream: SimulatedStream;
  /** As they stood after the last request; undefined: nothing was made again yet. */
  #rows: ReadonlyMap<string, Lease> | undefined;
  /** Reads have found no stream: what they were for has ended. */
  #mayEnd = false;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(world: World, stream: SimulatedStream) {
    this.#world = world;
    this.#stream = stream;
  }

  begin(mayEnd: boolean): void {
    this.#mayEnd = mayEnd;
    this.#rows = this.#strays();
  }

  told(leaseKeys: readonly string[]): void {
    if (leaseKeys.length > 0) this.#toldAt = this.#world.queue.now;
  }

  ran(effect: TableEffect): string | undefined {
    const before = this.#rows;
    if (before === undefined) return undefined;
    this.#rows = this.#strays();
    const { leases } = this.#world.table;
    for (const [leaseKey, lease] of before) {
      const after = leases.get(leaseKey);
      const isCleanUp = effect.kind === 'deleteLease' && effect.onlyEnded && effect.leaseKey === leaseKey;
      if (after === undefined && !isCleanUp && (areLeft(this.#world, this.#stream) || this.#isOpenEnded()))
        return `${leaseKey} was deleted before all others had begun anew`;
      const hasEnded = after !== undefined && isEnded(after) && !isEnded(lease);
      if (hasEnded && after.childShardIds.length === 0 && !this.#mayEnd)
        return `${leaseKey} was ended, and the stream never had its shard`;
    }
    return undefined;
  }

  /** What is wrong where they stay for good. */
  untold(): string | undefined {
    const { now } = this.#world.queue;
    // One that has ended may go as any other.
    const left = [...this.#strays().values()].filter((lease) => !isEnded(lease));
    if (left.length === 0 || now - this.#toldAt <= TOLD_MS) return undefined;
    return `nobody has said by ${now} that the stream never had the shards of ${keysOf(left)}`;
  }

  left(): string | undefined {
    const left = [...this.#strays().values()];
    if (left.length === 0) return undefined;
    return `${keysOf(left)} are left at ${this.#world.queue.now}, of shards that only the stream before had`;
  }

  /** There is an end that can't be its shard's. */
  #isOpenEnded(): boolean {
    const { leases } = this.#world.table;
    return [...leases.values()].some((lease) => isEnded(lease) && this.#stream.isOpen(lease.shardId));
  }

  #strays(): ReadonlyMap<string, Lease> {
    const { leases } = this.#world.table;
    return new Map([...leases].filter(([, { shardId }]) => !this.#stream.has(shardId)));
  }
}

function keysOf(leases: readonly Lease[]): string {
  return leases.map(({ leaseKey }) => leaseKey).join(', ');
}

function oneOfSeveral(world: World): Ending {
  const { queue, prng } = world;
  return {
    play: () => {
      const [formerId, former] = prng.pick([...world.streams]);
      world.transcript?.happens(`${formerId} is deleted`);
      former.delete(queue.now);
      world.sink.end();
      const others = world.tracked.filter(({ streamId }) => streamId !== formerId);
      if (prng.chance(0.5)) list(world, others);
      queue.runUntil(queue.now + prng.pick([0, 300, 1500]));
      const streamId = (formerId as string).replace(/:1$/, ':2');
      world.transcript?.happens(`${streamId} is made`);
      const stream = world.newStream(streamId, prng.between(1, MOST_SHARDS), true);
      world.streams.set(streamId, stream);
      comesIn(world, stream, true);
      list(world, [...others, { streamId, initialPosition: prng.pick(['LATEST', 'LATEST', 'TRIM_HORIZON']) }]);
      if (prng.chance(0.5)) trouble(world);
      world.settle();
    },
  };
}

/** Some of it at once, the rest in the next seconds. */
function comesIn({ queue, prng }: World, stream: SimulatedStream, reshards: boolean): void {
  const put = (): void => stream.put(queue.now, prng);
  for (let count = 0; count < PUTS / 2; count += 1) put();
  for (let count = reshards ? prng.between(0, 2) : 0; count > 0; count -= 1) {
    stream.split(queue.now, prng);
    if (prng.chance(0.5)) stream.merge(queue.now, prng);
    put();
  }
  for (let count = 0; count < PUTS / 2; count += 1) queue.after(prng.between(0, PUTS_WITHIN_MS), put);
}

/** All may have crashed: the next ones are started, and the row of the leader before runs out. */
function untilLed(world: World): void {
  const { queue, table } = world;
  const bestBeforeMs = queue.now + LED_MS;
  const isLed = (): boolean => world.living().some(({ workerId }) => workerId === table.leader?.owner);
  while (!isLed() && queue.now < bestBeforeMs) queue.runUntil(queue.now + LED_LOOK_MS);
}

/** The list of streams is another one; each worker sees it with its next look. */
function list(world: World, streams: World['tracked']): void {
  world.tracked = streams;
  for (const process of world.living())
    world.queue.after(world.prng.between(0, LOOKED_MS), () => process.track(world.tracked));
}

function trouble(world: World): void {
  const { queue, prng } = world;
  const durationMs = prng.between(...TROUBLE_MS);
  for (let count = prng.between(0, 2); count > 0; count -= 1) {
    queue.after(prng.between(0, durationMs), () => {
      const living = world.living();
      if (living.length > 0) prng.pick(living).crash();
    });
  }
  world.trouble(durationMs);
}

/** Each worker makes room for one that begins such a stream anew. */
function deploy(world: World): void {
  world.beginsAnew = true;
  for (const process of world.living()) {
    process.stop();
    world.start(false);
    world.queue.runUntil(world.queue.now + world.prng.between(0, TIMES.leaseAssignmentIntervalMs));
  }
}

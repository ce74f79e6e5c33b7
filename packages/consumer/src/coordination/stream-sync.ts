// The streams of an application, as its leader looks after them: which of them are to be listed, what a listing means for the
// table, where the leases leave a hole, and whose leases are kept although nobody reads their stream any more. One stream
// without an identifier, or several with one each (KCL multi-stream: PeriodicShardSyncManager, Scheduler). Pure.
// Invariant: leases are read before shards are listed (shard-sync.ts), and a first set of leases has no hole.
import { findHoles, TRIM_HORIZON } from '@shardline/common';
import { EarlierStreams } from './earlier-streams.ts';
import type { ListShards, TrackedStream } from './effects.ts';
import { isEnded, type Lease, leaseKeyOf, newLease, type Shard } from './lease.ts';
import { planRepairs, type Repairs } from './lease-repair.ts';
import type { InitialPosition } from './shard-sync.ts';
import { describeHole, planFirstLeases, planMissingLeases, planOrphans } from './shard-sync.ts';
import { Strays } from './strays.ts';
import { type Begun, findReplaced, noteBegun, planAnew, type Reset } from './stream-replaced.ts';

export interface StreamSyncOptions {
  readonly shardSyncIntervalMs: number;
  readonly formerStreamsWaitMs: number;
  /** Whether a stream that was deleted and made again under its name is read from its beginning. Default: it is not read. */
  readonly beginsAnew?: boolean;
  /** After a listing that failed; doubled with each further failure. */
  readonly retryMs: number;
}

/** What a listing means for the table. */
export interface Listed {
  /** The leases that the stream lacks. */
  readonly missing: readonly Lease[];
  /** The listing was taken in the middle of a reshard, and leaves hash keys out: nothing is to be made of it. */
  readonly hole?: string;
  /** Leases that are of an earlier stream of the same name. */
  readonly replaced?: readonly Lease[];
  /** Those of them, and of others that may be of it, that begin anew now. */
  readonly resets?: readonly Reset[];
  /** Leases whose owners are to let go of them before that. */
  readonly early?: readonly Lease[];
  /** How many have to, now or with a later listing. */
  readonly anewCount?: number;
  /** The stream is another one than before, and all of its leases are of it. */
  readonly isSettled?: boolean;
  readonly repairs?: Repairs;
  /** Leases of shards that the stream never had, if there are any. */
  readonly strays?: {
    readonly believed: readonly Lease[];
    /** Those of them that go now. */
    readonly deleted: readonly Lease[];
    /** How many go, now or with a later listing. */
    readonly toDeleteCount: number;
  };
}

/** What else is known when the listing comes. */
export interface ListedUnder {
  /** The stream was made again since the listing worker began to read it. */
  readonly isAnother?: boolean | undefined;
  /** Whether a lease is somebody's of whom nothing shows that he reads this stream: it is left alone. */
  readonly isStrangers?: (lease: Lease) => boolean;
  /** Whether records of its shard may be on their way to a handler. */
  readonly mayBeRead?: (lease: Lease) => boolean;
  /** Keys of rows that are there and cannot be read. */
  readonly unreadable?: ReadonlySet<string>;
}

/** Of a run, for the leader's metrics alone. */
export interface StreamCounts {
  /** Whose leases leave hash keys out. */
  readonly partialCount: number;
  /** Which need a listing out of turn: those without a lease, and those whose hole is believed. */
  readonly toSyncCount: number;
  /** Of these, those that wait because the last listing failed. */
  readonly skippedCount: number;
  /** Undefined: the application reads one stream. */
  readonly several:
    | {
        readonly activeCount: number;
        /** Read no longer; their leases are still kept. */
        readonly pendingDeletionCount: number;
        /** Whose leases are deleted now. */
        readonly deletedCount: number;
      }
    | undefined;
}

type StreamId = string | undefined;

/** Of the streams that are read no longer, those whose leases may be deleted. */
export type FormerStreams = 'none' | 'all' | readonly string[];

/**
 * So often in a row the same hole must be seen before it is believed: leases are read one after the other, and a fleet of the KCL 1.x
 * makes the leases of children after their parent's end (KCL leasesRecoveryAuditorInconsistencyConfidenceThreshold).
 */
const HOLE_CONFIDENCE = 3;
/** A listing that is to confirm another one comes after this part of the interval. */
const CONFIRMING = 6;

export class StreamSync {
  readonly #options: StreamSyncOptions;
  #streams: ReadonlyMap<StreamId, TrackedStream> = new Map();
  #former: FormerStreams = 'none';
  readonly #earlier = new EarlierStreams();
  /** When each stream is to be listed next; absent: now. */
  readonly #dueAt = new Map<StreamId, number>();
  /** Listings that failed: how often in a row, and when to try again. */
  readonly #failures = new Map<StreamId, { readonly count: number; readonly retryAt: number }>();
  /** Finished leases whose shard the last listing shows open. */
  readonly #endedOpen = new Map<StreamId, ReadonlySet<string>>();
  /** Of streams that were made again, until all of their leases are of them. */
  readonly #begun = new Map<StreamId, Begun>();
  /** Streams that are others than this process began to read, and have begun: shards of them, with their first numbers. */
  readonly #settled = new Map<StreamId, ReadonlyMap<string, bigint>>();
  /** Of streams that were made again: the leases that are not to be given to anybody yet. */
  readonly #heldBack = new Map<StreamId, ReadonlySet<string>>();
  /** Of an application of one stream: leases of shards that it never had. */
  readonly #strays = new Strays();
  /** Keys of those that are to be deleted. */
  #toDelete: ReadonlySet<string> = new Set();
  /** Holes, and in how many readings of the table in a row. */
  readonly #holes = new Map<StreamId, { readonly text: string; readonly count: number }>();
  /** Streams with leases that nobody reads any more, and when that was first seen. */
  #formerSince = new Map<StreamId, number>();
  /** Of these, those whose leases were found to be deleted at the last look. */
  #deletedCount = 0;

  constructor(options: StreamSyncOptions) {
    this.#options = options;
  }

  track(streams: readonly TrackedStream[], former: FormerStreams = 'all'): void {
    this.#former = former;
    this.#streams = new Map(streams.map((stream) => [stream.streamId, stream]));
    this.#earlier.track(this.#streams.keys());
    for (const streamId of this.#streams.keys()) this.#formerSince.delete(streamId);
    const ofListings = [
      this.#dueAt,
      this.#failures,
      this.#holes,
      this.#endedOpen,
      this.#begun,
      this.#settled,
      this.#heldBack,
    ];
    for (const perStream of ofListings) {
      for (const streamId of perStream.keys()) if (!this.#streams.has(streamId)) perStream.delete(streamId);
    }
  }

  /** A new leader lists everything. */
  forgetListings(): void {
    this.#dueAt.clear();
    this.#failures.clear();
    this.#holes.clear();
    this.#endedOpen.clear();
    this.#begun.clear();
    this.#settled.clear();
    this.#heldBack.clear();
    this.#strays.forget();
    this.#toDelete = new Set();
    this.#formerSince.clear();
  }

  /** A table that once belonged to an application of the other kind holds leases that mean nothing to this one. */
  ours(leases: readonly Lease[]): Lease[] {
    const isSingle = this.#streams.has(undefined);
    return leases.filter((lease) => (lease.streamId === undefined) === isSingle);
  }

  /** What to list before this run's writes. An empty table begins with the shards at the initial positions. */
  due(table: readonly Lease[], now: number, unreadable: ReadonlySet<string> = new Set()): ListShards[] {
    const isEmpty = table.length === 0 && unreadable.size === 0;
    const listings: ListShards[] = [];
    for (const streamId of this.#streams.keys()) {
      if (!isEmpty && now < (this.#dueAt.get(streamId) ?? now)) continue;
      if (now < (this.#failures.get(streamId)?.retryAt ?? now)) continue;
      const isFirst = isEmpty && !this.#earlier.precede(streamId, table, unreadable);
      listings.push({ kind: 'listShards', streamId, filter: isFirst ? 'initial' : 'all' });
    }
    return listings;
  }

  listed(
    listing: ListShards,
    shards: readonly Shard[],
    table: readonly Lease[],
    now: number,
    under: ListedUnder = {},
  ): Listed {
    const listed = this.#listed(listing, shards, table, now, under);
    // Of several streams each has its own keys.
    if (listing.streamId !== undefined || listing.filter !== 'all' || !this.#streams.has(undefined)) return listed;
    const strays = this.#straysOf(listed, shards, table, now, under);
    return strays === undefined ? listed : { ...listed, strays };
  }

  #listed(
    { streamId, filter }: ListShards,
    shards: readonly Shard[],
    table: readonly Lease[],
    now: number,
    { isAnother = false, isStrangers, mayBeRead, unreadable = new Set() }: ListedUnder,
  ): Listed {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return { missing: [] };
    // What came into a stream that was made again came after what was read of the earlier one: nothing of it is passed over.
    const isFirst = !isAnother && !this.#earlier.precede(streamId, table, unreadable);
    const initialPosition = isFirst ? stream.initialPosition : 'TRIM_HORIZON';
    this.#failures.delete(streamId);
    if (filter === 'all') {
      this.#dueAt.set(streamId, now + this.#options.shardSyncIntervalMs);
      const leases = table.filter((lease) => lease.streamId === streamId);
      // A row that can't be read stands for a shard somewhere on its way: neither it nor what comes after it is missing.
      const unread = shards.filter(({ shardId }) => unreadable.has(leaseKeyOf(streamId, shardId)));
      const leased = [...leases, ...unread.map((shard) => newLease(shard, TRIM_HORIZON, streamId))];
      const missingFrom = (position: InitialPosition): Lease[] => [
        ...planMissingLeases(shards, leased, position, streamId),
        ...planOrphans(shards, leased, streamId),
      ];
      const { beginsAnew = false } = this.#options;
      const begun = this.#begun.get(streamId) ?? new Map();
      // What has begun once is of it, and so is whatever begins and ends before the next listing.
      const isNews = isAnother && !this.#hasSettled(streamId, shards);
      // Whoever has seen it once goes on to the end: a holder of before may write over what proved it.
      const isKnown = isNews || (beginsAnew && this.#begun.has(streamId));
      const found = findReplaced(shards, leases, isKnown, begun);
      const replaced = isKnown ? found : this.#confirmed(streamId, found, now);
      if (isKnown || replaced.length > 0) {
        noteBegun(shards, leases, begun);
        this.#begun.set(streamId, begun);
      } else if (found.length === 0) this.#begun.delete(streamId);
      this.#heldBack.delete(streamId);
      // Of several streams each is known by its age, so one that was made again is another stream.
      if (beginsAnew && streamId === undefined && (isKnown || replaced.length > 0)) {
        const { missing, pending, early, resets, isDone, heldBack } = planAnew(
          shards,
          leased,
          begun,
          isStrangers,
          mayBeRead,
        );
        if (heldBack.size > 0) this.#heldBack.set(streamId, heldBack);
        if (missing.length + early.length + resets.length > 0) this.#dueAt.delete(streamId);
        else if (!isDone) this.#dueAt.set(streamId, now + this.#options.shardSyncIntervalMs / CONFIRMING);
        if (!isDone) return { missing, replaced, early, resets, anewCount: pending.length };
        this.#begun.delete(streamId);
        if (isAnother) this.#settles(streamId, shards);
        return { missing: missingFrom('TRIM_HORIZON'), isSettled: isAnother };
      }
      // What is known of another stream's shards says nothing of these leases.
      if (found.length > 0) return { missing: [], replaced };
      const missing = missingFrom(initialPosition);
      // What a finished lease waits for may be what can't be read.
      if (unread.length > 0) return { missing };
      const isSettled = isAnother && missing.length === 0;
      if (isSettled) this.#settles(streamId, shards);
      return { missing, repairs: planRepairs(shards, leases), isSettled };
    }
    const holes = findHoles(shards.map((shard) => shard.hashKeyRange));
    if (holes.length === 0) return { missing: planFirstLeases(shards, initialPosition, streamId) };
    // Leases made from it would miss records for ever.
    const ranges = holes.map((hole) => `${hole.start} to ${hole.end}`).join(', ');
    this.listingFailed(streamId, now);
    return { missing: [], hole: `the listed shards${ofStream(streamId)} leave out ${ranges}` };
  }

  /**
   * A number before its shard's first is proof. The end of an open shard may be one that a listing from before that end does not show:
   * it is believed when the next listing shows it, too, which then comes sooner.
   */
  #confirmed(streamId: StreamId, found: readonly Lease[], now: number): Lease[] {
    const before = this.#endedOpen.get(streamId);
    const ended = new Set(found.filter(isEnded).map(({ leaseKey }) => leaseKey));
    this.#endedOpen.set(streamId, ended);
    const replaced = found.filter(({ leaseKey }) => !ended.has(leaseKey) || before?.has(leaseKey));
    const { shardSyncIntervalMs } = this.#options;
    if (replaced.length < found.length) this.#dueAt.set(streamId, now + shardSyncIntervalMs / CONFIRMING);
    return replaced;
  }

  #settles(streamId: StreamId, shards: readonly Shard[]): void {
    const firsts = shards.map(({ shardId, startingSequenceNumber }) => [shardId, startingSequenceNumber] as const);
    this.#settled.set(streamId, new Map(firsts));
  }

  /** This very stream, not one that was made after it: no shard of that one begins at the same number. */
  #hasSettled(streamId: StreamId, shards: readonly Shard[]): boolean {
    const firsts = this.#settled.get(streamId);
    return shards.some(({ shardId, startingSequenceNumber: first }) => firsts?.get(shardId) === first);
  }

  /**
   * They have no part in what begins anew, and hold none of it up. They go where the application wants that, and only when every hash key has its
   * lease in this stream: none is missing, and none is of another stream or may be.
   */
  #straysOf(
    { missing, replaced }: Listed,
    shards: readonly Shard[],
    table: readonly Lease[],
    now: number,
    { isStrangers = () => false, unreadable }: ListedUnder,
  ): Listed['strays'] {
    const leases = table.filter(({ streamId }) => streamId === undefined);
    const { believed, suspectCount } = this.#strays.listed(shards, leases);
    const toDelete = this.#options.beginsAnew === true ? believed.filter((lease) => !isStrangers(lease)) : [];
    this.#toDelete = new Set(toDelete.map(({ leaseKey }) => leaseKey));
    // To be confirmed, or seen to be gone.
    if (suspectCount > believed.length || toDelete.length > 0) this.#listSooner(undefined, now);
    if (believed.length === 0) return undefined;
    const isSettled = replaced === undefined && missing.length === 0 && (unreadable?.size ?? 0) === 0;
    return { believed, deleted: isSettled ? toDelete : [], toDeleteCount: toDelete.length };
  }

  #listSooner(streamId: StreamId, now: number): void {
    const soon = now + this.#options.shardSyncIntervalMs / CONFIRMING;
    if ((this.#dueAt.get(streamId) ?? soon) > soon) this.#dueAt.set(streamId, soon);
  }

  /** Whether the lease waits for those of its shard's parents to begin anew, or is to be deleted. */
  isHeldBack({ streamId, leaseKey }: Lease): boolean {
    return this.#heldBack.get(streamId)?.has(leaseKey) === true || this.#toDelete.has(leaseKey);
  }

  /**
   * Whether a finished lease may be of the stream before: whoever came to the end of its shard's parent since has found it there and made none,
   * so without it the shard would never be read.
   */
  mayBeOfAnother({ streamId }: Lease): boolean {
    return this.#begun.has(streamId);
  }

  /** A stream that can't be listed comes again later and later, up to the interval between listings. @returns in how many ms */
  listingFailed(streamId: StreamId, now: number): number {
    const count = (this.#failures.get(streamId)?.count ?? 0) + 1;
    const { retryMs, shardSyncIntervalMs } = this.#options;
    const retryInMs = Math.max(retryMs, Math.min(shardSyncIntervalMs, retryMs * 2 ** (count - 1)));
    if (this.#streams.has(streamId)) this.#failures.set(streamId, { count, retryAt: now + retryInMs });
    return retryInMs;
  }

  /** What a listing has led to could not be written: it comes again as one that failed does. */
  listAgain(streamId: StreamId, now: number): void {
    this.#dueAt.delete(streamId);
    this.listingFailed(streamId, now);
  }

  /** When the next of the listings that failed is to be tried again. */
  retryAt(): number {
    return Math.min(...[...this.#failures.values()].map(({ retryAt }) => retryAt));
  }

  /**
   * Where the leases of a stream leave hash keys out although none of its leases is about to be made, seen so often in a row that it
   * is believed. The shards of that stream are then listed again at the next chance.
   */
  holes(table: readonly Lease[], missing: readonly Lease[]): string[] {
    const completed = new Set(missing.map((lease) => lease.streamId));
    const holes: string[] = [];
    for (const [streamId, leases] of leasesByStream(table)) {
      const hole = completed.has(streamId) || !this.#streams.has(streamId) ? undefined : describeHole(leases);
      const count = this.#countHole(streamId, hole);
      if (count < HOLE_CONFIDENCE) continue;
      this.#dueAt.delete(streamId);
      if (count === HOLE_CONFIDENCE) holes.push(`no lease${ofStream(streamId)} covers the hash keys ${hole}`);
    }
    return holes;
  }

  #countHole(streamId: StreamId, text: string | undefined): number {
    if (text === undefined) {
      this.#holes.delete(streamId);
      return 0;
    }
    const last = this.#holes.get(streamId);
    const count = last?.text === text ? last.count + 1 : 1;
    this.#holes.set(streamId, { text, count });
    return count;
  }

  /**
   * The keys of leases whose stream has not been read for long enough (KCL FormerStreamsLeasesDeletionStrategy). Only in an
   * application of several streams; before it knows any, nothing is former.
   */
  former(table: readonly Lease[], now: number): string[] {
    this.#deletedCount = 0;
    if (this.#former === 'none' || this.#streams.size === 0 || this.#streams.has(undefined)) {
      this.#formerSince.clear();
      return [];
    }
    const may = this.#former;
    const since = new Map<StreamId, number>();
    const keys: string[] = [];
    for (const [streamId, leases] of leasesByStream(table)) {
      if (streamId === undefined || this.#streams.has(streamId)) continue;
      if (may !== 'all' && !may.includes(streamId)) continue;
      const first = this.#formerSince.get(streamId) ?? now;
      since.set(streamId, first);
      if (now - first < this.#options.formerStreamsWaitMs) continue;
      keys.push(...leases.map((lease) => lease.leaseKey));
      this.#deletedCount += 1;
    }
    this.#formerSince = since;
    return keys;
  }

  /** As of the last `holes` and `former`. */
  counts(table: readonly Lease[], now: number): StreamCounts {
    const streamIds = [...this.#streams.keys()];
    const leased = new Set(table.map(({ streamId }) => streamId));
    const toSync = streamIds.filter((id) => !leased.has(id) || (this.#holes.get(id)?.count ?? 0) >= HOLE_CONFIDENCE);
    const pendingDeletionCount = this.#formerSince.size - this.#deletedCount;
    const several = { activeCount: streamIds.length, pendingDeletionCount, deletedCount: this.#deletedCount };
    return {
      partialCount: countOf(streamIds, (id) => this.#holes.has(id)),
      toSyncCount: toSync.length,
      skippedCount: countOf(toSync, (id) => now < (this.#failures.get(id)?.retryAt ?? now)),
      several: this.#streams.has(undefined) ? undefined : several,
    };
  }
}

function countOf<T>(items: readonly T[], holds: (item: T) => boolean): number {
  return items.reduce((count, item) => count + (holds(item) ? 1 : 0), 0);
}

function leasesByStream(table: readonly Lease[]): Map<StreamId, Lease[]> {
  const leases = new Map<StreamId, Lease[]>();
  for (const lease of table) {
    const others = leases.get(lease.streamId);
    if (others === undefined) leases.set(lease.streamId, [lease]);
    else others.push(lease);
  }
  return leases;
}

function ofStream(streamId: StreamId): string {
  return streamId === undefined ? '' : ` of ${streamId}`;
}

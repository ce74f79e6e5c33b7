// The streams of an application, as its leader looks after them: which of them are to be listed, what a listing means for the
// table, where the leases leave a hole, and whose leases are kept although nobody reads their stream any more. One stream
// without an identifier, or several with one each (KCL multi-stream: PeriodicShardSyncManager, Scheduler). Pure.
// Invariant: leases are read before shards are listed (shard-sync.ts), and a first set of leases has no hole.
import { findHoles } from '@shardline/common';
import type { ListShards, TrackedStream } from './effects.ts';
import type { Lease, Shard } from './lease.ts';
import { describeHole, findReplaced, planFirstLeases, planMissingLeases, planOrphans } from './shard-sync.ts';

export interface StreamSyncOptions {
  readonly shardSyncIntervalMs: number;
  readonly formerStreamsWaitMs: number;
}

type StreamId = string | undefined;

export class StreamSync {
  readonly #options: StreamSyncOptions;
  #streams: ReadonlyMap<StreamId, TrackedStream> = new Map();
  /** When each stream is to be listed next; absent: now. */
  readonly #dueAt = new Map<StreamId, number>();
  /** Streams with leases that nobody reads any more, and when that was first seen. */
  #formerSince = new Map<StreamId, number>();

  constructor(options: StreamSyncOptions) {
    this.#options = options;
  }

  track(streams: readonly TrackedStream[]): void {
    this.#streams = new Map(streams.map((stream) => [stream.streamId, stream]));
    for (const streamId of this.#dueAt.keys()) if (!this.#streams.has(streamId)) this.#dueAt.delete(streamId);
  }

  /** A new leader lists everything. */
  forgetListings(): void {
    this.#dueAt.clear();
    this.#formerSince.clear();
  }

  /** A table that once belonged to an application of the other kind holds leases that mean nothing to this one. */
  ours(leases: readonly Lease[]): Lease[] {
    const isSingle = this.#streams.has(undefined);
    return leases.filter((lease) => (lease.streamId === undefined) === isSingle);
  }

  /** What to list before this run's writes. An empty table begins with the shards at the initial positions. */
  due(table: readonly Lease[], now: number): ListShards[] {
    const isEmpty = table.length === 0;
    const listings: ListShards[] = [];
    for (const streamId of this.#streams.keys()) {
      if (!isEmpty && now < (this.#dueAt.get(streamId) ?? now)) continue;
      listings.push({ kind: 'listShards', streamId, filter: isEmpty ? 'initial' : 'all' });
    }
    return listings;
  }

  /** The leases that a stream lacks, and those that are not its own; or the hole in a listing taken in the middle of a reshard. */
  listed(
    { streamId, filter }: ListShards,
    shards: readonly Shard[],
    table: readonly Lease[],
    now: number,
  ): { readonly missing: readonly Lease[]; readonly hole?: string; readonly replaced?: readonly Lease[] } {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return { missing: [] };
    const { initialPosition } = stream;
    if (filter === 'all') {
      this.#dueAt.set(streamId, now + this.#options.shardSyncIntervalMs);
      const leases = table.filter((lease) => lease.streamId === streamId);
      const missing = [
        ...planMissingLeases(shards, leases, initialPosition, streamId),
        ...planOrphans(shards, leases, streamId),
      ];
      return { missing, replaced: findReplaced(shards, leases) };
    }
    const holes = findHoles(shards.map((shard) => shard.hashKeyRange));
    if (holes.length === 0) return { missing: planFirstLeases(shards, initialPosition, streamId) };
    // Leases made from it would miss records for ever.
    const ranges = holes.map((hole) => `${hole.start} to ${hole.end}`).join(', ');
    return { missing: [], hole: `the listed shards${ofStream(streamId)} leave out ${ranges}` };
  }

  /** Where the leases of a stream leave hash keys out although none of its leases is about to be made. */
  holes(table: readonly Lease[], missing: readonly Lease[]): string[] {
    const completed = new Set(missing.map((lease) => lease.streamId));
    const holes: string[] = [];
    for (const [streamId, leases] of leasesByStream(table)) {
      const hole = completed.has(streamId) || !this.#streams.has(streamId) ? undefined : describeHole(leases);
      if (hole !== undefined) holes.push(`no lease${ofStream(streamId)} covers the hash keys ${hole}`);
    }
    return holes;
  }

  /**
   * The keys of leases whose stream has not been read for long enough (KCL FormerStreamsLeasesDeletionStrategy). Only in an
   * application of several streams; before it knows any, nothing is former.
   */
  former(table: readonly Lease[], now: number): string[] {
    if (this.#streams.size === 0 || this.#streams.has(undefined)) return [];
    const since = new Map<StreamId, number>();
    const keys: string[] = [];
    for (const [streamId, leases] of leasesByStream(table)) {
      if (streamId === undefined || this.#streams.has(streamId)) continue;
      const first = this.#formerSince.get(streamId) ?? now;
      since.set(streamId, first);
      if (now - first >= this.#options.formerStreamsWaitMs) keys.push(...leases.map((lease) => lease.leaseKey));
    }
    this.#formerSince = since;
    return keys;
  }
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

// A shard's lease as every worker of an application sees it: one row of the lease table (KCL's Lease, DynamoDBLeaseSerializer).
// Plain values, no behaviour that depends on time. `lease-table/item.ts` turns them into DynamoDB items and back.
import type { ExtendedSequenceNumber, HashKeyRange } from '@shardline/common';

/** One lease row. Attributes we don't know stay in the table untouched: every write names the attributes it sets. */
export interface Lease {
  /** The shard id in a single-stream application, else `leaseKeyOf` stream and shard. */
  readonly leaseKey: string;
  /** `account:name:epoch` in an application that reads several streams, undefined in one that reads one. */
  readonly streamId: string | undefined;
  readonly shardId: string;
  /** The worker that owns the lease or, while `checkpointOwner` is set, the one that will. Undefined: unassigned. */
  readonly leaseOwner: string | undefined;
  /** Heartbeat and version in one: every write of the holder is conditional on it and adds one. */
  readonly leaseCounter: number;
  /** Present while a graceful handoff is under way: the old owner, which may still checkpoint. */
  readonly checkpointOwner: string | undefined;
  /** Everything up to here, this included, was handled. */
  readonly checkpoint: ExtendedSequenceNumber;
  /** What a handler has prepared and not settled since: the first of two phases. Every checkpoint removes it. */
  readonly pendingCheckpoint: PendingCheckpoint | undefined;
  /**
   * While the checkpoint is LATEST: when one of our workers first read from there, ms since 1970 by its clock. In an attribute of
   * our own, which Java workers leave as it is.
   */
  readonly latestSince?: number | undefined;
  readonly ownerSwitchesSinceCheckpoint: number;
  /** None, one (split) or two (merge), of the same stream. */
  readonly parentShardIds: readonly string[];
  /** Known once the shard's end was seen. */
  readonly childShardIds: readonly string[];
  readonly hashKeyRange: HashKeyRange | undefined;
  /** Smoothed, as its holders measured it; undefined until one has. */
  readonly throughputKBps: number | undefined;
}

/** A checkpoint that a handler is about to make, so that whoever has the shard after it knows what may be half done. */
export interface PendingCheckpoint {
  readonly position: ExtendedSequenceNumber;
  /** The application's own bytes. */
  readonly state: Uint8Array | undefined;
}

/** A shard as ListShards describes it. Without `endingSequenceNumber` it is open. */
export interface Shard {
  readonly shardId: string;
  /** Parent and adjacent parent, in this order; those that ListShards names, whether or not still listed. */
  readonly parentShardIds: readonly string[];
  readonly hashKeyRange: HashKeyRange;
  readonly startingSequenceNumber: bigint;
  readonly endingSequenceNumber: bigint | undefined;
}

/** A child as the end of its parent names it (ChildShards of GetRecords and SubscribeToShard). */
export interface ChildShard {
  readonly shardId: string;
  readonly parentShardIds: readonly string[];
  readonly hashKeyRange: HashKeyRange;
}

/** The `Leader` row (dynamodb-lock-client's LockItem). */
export interface LeaderRow {
  readonly owner: string;
  /** recordVersionNumber: a fresh one at each heartbeat. */
  readonly version: string;
  readonly leaseDurationMs: number;
  /** Its owner gave it up without deleting it. */
  readonly released?: true;
}

/** How busy a worker is, as it says itself; both empty: it can't measure that (KCL WorkerMetricStats `sts`, `opr`). */
export interface Utilization {
  /** By metric (`C` is CPU) the averages of its last reporting periods, percent, oldest first; -1: it could not be measured. */
  readonly stats: Readonly<Record<string, readonly number[]>>;
  /** By metric the percentage that it should stay below, in a list of one. */
  readonly operatingRange: Readonly<Record<string, readonly number[]>>;
}

export const NOTHING_MEASURED: Utilization = { stats: {}, operatingRange: {} };
/** In the row of a worker that leaves, or wants no further lease: whoever leads, a Java worker too, gives nothing to one whose last value is missing. */
export const LEAVES: Utilization = { stats: { C: [-1] }, operatingRange: { C: [100] } };

/** Which process wrote a metric row; a worker id should have one process, but nothing keeps a user from giving it to two. */
export interface WorkerProcess {
  /** A UUID. */
  readonly id: string;
  /** Its first report, seconds since 1970 by its own clock. */
  readonly sinceSeconds: number;
  /** The stream that it reads, or words for several; undefined: it doesn't say. */
  readonly reads?: string;
  /** For people: where it runs. */
  readonly host?: string | undefined;
}

/** What a metric row says of who has the worker id. */
export interface WorkerSign {
  /** Undefined: a Java worker's row. */
  readonly process: WorkerProcess | undefined;
  /** `lut`, as in `WorkerRow`. */
  readonly lastUpdateSeconds: number;
  /** The process that asks whether the one that has the id still lives; each report takes the question away. */
  readonly askedBy: string | undefined;
  /** The process whose question this row answers. */
  readonly answers: string | undefined;
  /** It works no longer, but its last handlers still run. */
  readonly leaves?: true | undefined;
}

/** A worker's metric row. */
export interface WorkerRow {
  readonly workerId: string;
  /** `lut`, seconds since 1970 by the writer's clock. */
  readonly lastUpdateSeconds: number;
  /** Its age by the reader's clock, ms; only a first impression, later looks compare `lastUpdateSeconds`. */
  readonly ageMs: number;
  readonly utilization: Utilization;
  /** Undefined: a Java worker's row. */
  readonly process: WorkerProcess | undefined;
  /** It handed these leases off and wants none of them, or no further one at all, while it can be helped. */
  readonly declines?: 'all' | readonly string[] | undefined;
  /** What it says it can do, newest feature (KCL WorkerMetricStats.Features; 1: rows in one table); absent: nothing, or not lately. */
  readonly supportCode?: number;
  /** The fleet's rows stand in three tables, and this worker, if it led, would move them into one; we would not. */
  readonly movesRows?: true;
}

/** Who may checkpoint the lease now. */
export function actualOwner(lease: Lease): string | undefined {
  return lease.checkpointOwner ?? lease.leaseOwner;
}

/** `fresh`, with what it says as `known` did from there, so that who sees a lease again and again keeps one copy of that. */
export function sharing(fresh: Lease, known: Lease): Lease {
  const range = fresh.hashKeyRange;
  const { leaseKey, streamId, shardId, hashKeyRange, checkpoint, parentShardIds } = known;
  if (fresh.leaseKey !== leaseKey || fresh.shardId !== shardId || fresh.streamId !== streamId) return fresh;
  const isSameRange = range?.start === hashKeyRange?.start && range?.end === hashKeyRange?.end;
  const { sequenceNumber, subSequenceNumber } = fresh.checkpoint;
  const isSamePlace =
    sequenceNumber === checkpoint.sequenceNumber && subSequenceNumber === checkpoint.subSequenceNumber;
  const hasSameParents = isEqualList(fresh.parentShardIds, parentShardIds);
  return {
    ...fresh,
    leaseKey,
    streamId,
    shardId,
    checkpoint: isSamePlace ? checkpoint : fresh.checkpoint,
    parentShardIds: hasSameParents ? parentShardIds : fresh.parentShardIds,
    hashKeyRange: isSameRange ? hashKeyRange : range,
  };
}

function isEqualList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each, at) => each === other[at]);
}

/** Whether the whole shard was handled. */
export function isEnded(lease: Lease): boolean {
  return lease.checkpoint.sequenceNumber === 'SHARD_END';
}

/** The key of a shard's lease (KCL MultiStreamLease.getLeaseKey). */
export function leaseKeyOf(streamId: string | undefined, shardId: string): string {
  return streamId === undefined ? shardId : `${streamId}:${shardId}`;
}

/** A new, unassigned lease. */
export function newLease(
  shard: Pick<Shard, 'shardId' | 'parentShardIds' | 'hashKeyRange'>,
  checkpoint: ExtendedSequenceNumber,
  streamId?: string,
): Lease {
  return {
    leaseKey: leaseKeyOf(streamId, shard.shardId),
    streamId,
    shardId: shard.shardId,
    leaseOwner: undefined,
    leaseCounter: 0,
    checkpointOwner: undefined,
    checkpoint,
    pendingCheckpoint: undefined,
    latestSince: undefined,
    ownerSwitchesSinceCheckpoint: 0,
    parentShardIds: shard.parentShardIds,
    childShardIds: [],
    hashKeyRange: shard.hashKeyRange,
    throughputKBps: undefined,
  };
}

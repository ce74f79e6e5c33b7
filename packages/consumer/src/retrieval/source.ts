// The port through which a tenure reads its shard: Kinesis records in, user records out, in order, from a position on.
// One source serves one tenure; polling.ts is one kind, fan-out.ts the other. A source says when it may be read next, decides no
// retry (a failed fetch is asked again by the core) and holds at most one answer of Kinesis.
// Invariant: between two fetches with `after` of the second = `last` of the first, no record is left out and none repeated.
import type { ExtendedSequenceNumber, HashKeyRange, SequenceNumber } from '@shardline/common';
import type { ChildShard } from '../coordination/lease.ts';
import type { Amount, LeastBytes } from '../coordination/room.ts';
import type { UserRecord } from '../handler.ts';
import type { WindowRun } from './window-cutter.ts';

/**
 * Records that may have been lost: the one last handled is no longer in the stream, so what followed it may be gone as well, up to
 * the first one that is still there, or up to the shard's end. Whether anything followed it nobody can say any more.
 */
export interface Gap {
  /** `away`: nobody is known to have read meanwhile, as after the retention without a worker; `behind`: this reader was too slow. */
  readonly cause: 'away' | 'behind';
  /** Handled, or, `behind`, read. */
  readonly after: SequenceNumber;
  /** The first that could be read; undefined: there is none, the shard ends. */
  readonly before: SequenceNumber | undefined;
}

export interface SourceBatch {
  /** May be empty where only the position moved on: every record was before it, or an aggregate held none. Plain ones are made when they are first asked for. Emptied once they are handled. */
  readonly records: UserRecord[];
  /** How many they are. */
  readonly recordCount: number;
  /** Number of the first of them. */
  readonly first: SequenceNumber | undefined;
  /** Places of the records that the handler's filter lets pass, upwards; undefined: all of them. */
  readonly passing?: readonly number[] | undefined;
  /** Which tumbling windows the records are of, one run after the other; undefined: there are no windows. */
  readonly windowRuns?: readonly WindowRun[];
  /** No record of the open tumbling window will follow. Such a batch may have no records, and goes to the handling all the same. */
  readonly endsWindow?: boolean;
  /** Data bytes of `records`. */
  readonly byteCount: number;
  /** Position of the last user record, later than `after`. */
  readonly last: ExtendedSequenceNumber;
  readonly millisBehindLatest: number | undefined;
  readonly kinesisRecordCount: number;
  /** Aggregated records that couldn't be read and are delivered as they are. */
  readonly corruptCount: number;
  /** User records whose hash key lies outside the shard's range. */
  readonly strayCount: number;
  /** User records that were left out, with the strays beside them (`strayRecords: 'kcl'`). Default 0. */
  readonly droppedCount?: number;
  /** Before the first of the records. */
  readonly gap: Gap | undefined;
}

export interface SourceRead {
  /** Undefined: nothing new. */
  readonly batch: SourceBatch | undefined;
  /** No record will ever follow. */
  readonly atShardEnd: boolean;
  /** At the end: the children; empty only if the shard or its stream is gone. */
  readonly childShards: readonly ChildShard[];
  /** At the end, of a shard that had no record any more. Default: none. */
  readonly gap?: Gap;
  /** As the newest answer says it, which may hold no records: ms. */
  readonly millisBehindLatest: number | undefined;
  /** Kinesis was not heard: what is said is what it answered before. Default false. */
  readonly isOld?: boolean;
}

export interface ShardSource {
  readonly streamName: string;
  /** When the next fetch may begin, by the clock: past, if there is no pause. Who fetches waits for it. */
  dueAt(after: ExtendedSequenceNumber): number;
  /** Data bytes of its last answer that are in no batch yet. */
  readonly heldBytes: number;
  /** Data bytes that the next read takes at least. */
  readonly leastBytes: LeastBytes;
  /**
   * Reads once; nothing at or before `after` is returned. One call at a time.
   * @param most about so many bytes; what comes next stays where it is while it takes more, and `leastBytes` says so. And so many user
   * records a batch, but for those of a single Kinesis record. Default: as much as there is.
   * @throws OperatingError; the signal's reason when it is aborted.
   */
  fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead>;
  /** Ends a fetch under way and drops what is held. */
  close(): void;
}

/** A shard as its lease row tells of it. */
export interface ShardToRead {
  readonly streamId: string | undefined;
  readonly shardId: string;
  /** Undefined: the row does not say. */
  readonly hashKeyRange: HashKeyRange | undefined;
  /** Since when LATEST stands for what comes; undefined: for what comes from now on. */
  readonly latestSince?: Date | undefined;
}

/** Makes the source of one tenure. */
export type OpenSource = (shard: ShardToRead) => ShardSource;

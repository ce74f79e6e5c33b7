// Whether a lease table was written for another stream, as its checkpoints show it: a stream takes its own sequence numbers and no
// others. Asked at the start, by the worker that finds no other at work; what a stream made again under its name has left behind is not
// judged here but told by the leader (coordination/stream-replaced.ts). Pure; it asks Kinesis through the function that it is given.
// Invariant: a table is refused only if none of the leases that were asked for could be read, and one of them is of another stream for
// certain. Who does not answer proves nothing.
import type { Lease, Shard } from '../coordination/lease.ts';

/** What Kinesis says to a checkpoint as a place to read from. Undefined: it gave no answer, or none that says anything. */
export type NumberAnswer = 'taken' | 'refused' | 'noSuchShard' | undefined;

export interface AskedLease {
  readonly lease: Lease;
  readonly answer: NumberAnswer;
}

/** Leases asked for one after the other until one is taken: of a table in order the first is. */
export const MOST_ASKED = 10;

/** @returns what was said, the first first; undefined: one was taken, or was not answered. */
export async function askLeases(
  leases: readonly Lease[],
  ask: (lease: Lease) => Promise<NumberAnswer>,
): Promise<readonly AskedLease[] | undefined> {
  const asked: AskedLease[] = [];
  for (const lease of leases.slice(0, MOST_ASKED)) {
    const answer = await ask(lease);
    if (answer === 'taken' || answer === undefined) return undefined;
    asked.push({ lease, answer });
  }
  return asked;
}

/** The first lease that can't be of any stream whose shards these are, nor of an earlier one of its name. */
export function findForeign(asked: readonly AskedLease[], shards: readonly Shard[]): Lease | undefined {
  if (asked.some(({ answer }) => answer === 'taken')) return undefined;
  const listed = new Map(shards.map((shard) => [shard.shardId, shard]));
  return asked.find(({ lease, answer }) => {
    const shard = listed.get(lease.shardId);
    if (answer === 'refused') return shard !== undefined && isFrom(lease, shard);
    return answer === 'noSuchShard' && shard === undefined && isAfterAll(lease, shards);
  })?.lease;
}

/** Numbers grow with the time at which their shard was made: those of an earlier stream of the name are all before this one's first. */
function isFrom({ checkpoint: { sequenceNumber } }: Lease, { startingSequenceNumber }: Shard): boolean {
  return typeof sequenceNumber === 'bigint' && sequenceNumber >= startingSequenceNumber;
}

/** A shard that has expired has left children, which began after its last number and have a higher id. */
function isAfterAll(lease: Lease, shards: readonly Shard[]): boolean {
  return shards.length > 0 && shards.every((shard) => isFrom(lease, shard) && lease.shardId > shard.shardId);
}

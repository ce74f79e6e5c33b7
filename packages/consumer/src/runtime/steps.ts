// What each step of the work is in plain words, for the lines that tell of its failures: the names are those of the core's effects,
// of four things that the runtime does beside it, and of the leader's plan. Invariant: every step that can fail has words.
import type { Effect } from '../coordination/effects.ts';

/** A step's name; `opening` is what `run` does before it works, `readStream` the look at which stream it is, `findStream` that for one that may be gone. */
export type Step = Effect['kind'] | 'opening' | 'refreshStreams' | 'readStream' | 'findStream' | 'placeLeases';

const words: Readonly<Record<Step, string>> = {
  opening: 'finding the streams and the lease table',
  refreshStreams: 'asking for the list of streams',
  findStream: 'finding a stream that is to be read',
  readStream: 'telling whether the stream is still the same',
  placeLeases: 'finding a worker for every lease',
  readTable: 'reading the whole lease table',
  discoverLeases: 'looking for leases given to this worker',
  readLeases: 'reading leases',
  createLease: 'making a lease',
  renewLease: 'renewing a lease',
  checkpointLease: 'writing a checkpoint',
  assignLease: 'giving a lease to a worker',
  takeLease: 'taking a lease',
  handOffLease: 'beginning a handoff',
  evictLease: 'giving a lease up',
  deleteLease: 'deleting a lease that nobody needs',
  fillLease: 'filling in what a lease lacks',
  resetLease: 'beginning a lease anew',
  readLeader: 'looking who leads',
  writeLeader: 'writing the Leader row',
  deleteLeader: 'giving the Leader row up',
  reportWorker: "writing this worker's metric row",
  lookAtWorker: 'looking whether another process has this worker id',
  forgetWorker: "deleting this worker's metric row",
  deleteWorker: 'deleting the metric row of a worker that is gone',
  readClientVersion: 'looking who assigns the leases, in the row Migration3.0',
  changeClientVersion: 'changing who assigns the leases, in the row Migration3.0',
  listShards: 'listing the shards of a stream',
  openShard: 'opening a shard',
  fetchBatch: 'reading a shard',
  deliverBatch: 'giving a batch to the handler',
  drainShard: 'letting the handler finish with a shard',
  endShard: 'ending a shard',
  closeShard: 'closing a shard',
};

/** `reading a shard (fetchBatch)`. */
export function inWords(step: Step): string {
  return `${words[step]} (${step})`;
}

const stepsOfLeader: ReadonlySet<Step> = new Set<Step>([
  'readTable',
  'listShards',
  'readStream',
  'placeLeases',
  'createLease',
  'assignLease',
  'handOffLease',
  'deleteLease',
  'fillLease',
  'resetLease',
  'deleteWorker',
]);

/** What a leader does for all. Others make the leases of children, and hand over their own. */
export function isLeaderStep(step: Step): boolean {
  return stepsOfLeader.has(step);
}

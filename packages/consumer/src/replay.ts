// Reads shards again from an earlier place while the consumer runs, for an operator: what is meant is checked, a time is looked for in the
// shard, and each lease that this worker holds is told so. It decides nothing: what it means for a lease is the core's
// (coordination/replaying.ts). Invariant: a place that cannot be read from is never told to a lease.
import {
  type Clock,
  checkNames,
  describe,
  type ExtendedSequenceNumber,
  formatExtended,
  justBefore,
  OperatingError,
  parseSequenceNumber,
  shardIdIn,
  TRIM_HORIZON,
  UsageError,
} from '@shardline/common';
import { awsCodeOf } from './aws-call.ts';
import { type LeaseKeys, readLeaseKeys } from './control.ts';
import type { ReplayOutcome } from './coordination/replaying.ts';
import type { ShardSource } from './retrieval/source.ts';
import type { Runtime } from './runtime/runtime.ts';

/** The first record that is read again: the oldest that is there, the first that was put at or after a time, or this one. */
export type ReplayFrom =
  | 'TRIM_HORIZON'
  | { readonly timestamp: Date }
  | { readonly sequenceNumber: string; readonly subSequenceNumber?: number };

export interface ReplayOptions {
  /** As `view()` has them. Default: all leases that this worker holds; with a sequence number, which is of one shard, name that. */
  readonly leaseKeys?: LeaseKeys;
  readonly from: ReplayFrom;
}

export interface ReplayedShard {
  readonly leaseKey: string;
  /**
   * `replayed`: the earlier checkpoint is written, and the shard is read from there. `ahead`: nothing that was handled is behind that place;
   * records would be passed over. `ended`: the shard is at SHARD_END. `underWay`: another replay of it is, or this worker takes it just now. `notHeld`: by this worker; ask
   * `heldBy`. `leaseLost`: given up before it was done; what is written then is the next owner's to read from.
   */
  readonly outcome: ReplayOutcome;
  /** Behind which it is read again; undefined: no record is there at or after the time. */
  readonly checkpoint: string | undefined;
  /** The worker that holds the lease, or that it is being handed over to; undefined: nobody, there is no such lease, or the table could not be asked. */
  readonly heldBy: string | undefined;
}

/** How long a time is looked for in one shard, and how often a read of it may fail. */
const FINDING_MS = 60_000;
const MOST_FAILURES = 20;
const RETRY_MS = 500;
/** AWS takes no call that is signed by a clock further off. */
const CLOCKS_DIFFER_MS = 300_000;

export interface ReplayPorts {
  readonly runtime: Runtime | undefined;
  readonly state: string;
  readonly workerId: string;
  readonly clock: Clock;
}

/** @throws UsageError while nothing runs, for what is no place, or none of a shard's, and of named leases for a place ahead and for one that has ended. */
export async function replay(ports: ReplayPorts, options: ReplayOptions): Promise<readonly ReplayedShard[]> {
  const { runtime, state, workerId } = ports;
  if (runtime === undefined) throw new UsageError('replay', 'a consumer that runs', `one that is ${state}`);
  checkNames(options, ['leaseKeys', 'from'], { expected: 'an option of replay' });
  const from: ReplayFrom | undefined = options.from;
  checkFrom(from);
  const named = options.leaseKeys === undefined ? undefined : readLeaseKeys(options.leaseKeys);
  const held = new Map(runtime.view().leases.map((lease) => [lease.leaseKey, lease]));
  for (const leaseKey of named ?? []) {
    const lease = held.get(leaseKey);
    if (lease !== undefined && lease.phase === 'ended')
      throw new UsageError('leaseKeys', 'shards that have not ended', `${leaseKey}, which is at SHARD_END`);
  }
  const leaseKeys = named ?? [...held.keys()];
  // Before any of them is told: once a number that is another shard's is written, nothing of the shard can be read.
  await Promise.all(leaseKeys.map((leaseKey) => held.has(leaseKey) && checkNumber(runtime, leaseKey, from)));
  const one = async (leaseKey: string): Promise<ReplayedShard> => {
    const position = held.has(leaseKey) ? await placeIn(ports, runtime, leaseKey, from) : undefined;
    const outcome = held.has(leaseKey) ? await outcomeAt(runtime, leaseKey, position) : 'notHeld';
    const heldBy = outcome === 'notHeld' || outcome === 'leaseLost' ? await ownerOf(runtime, leaseKey) : workerId;
    const checkpoint = position && formatExtended(position);
    // This worker lets go of it and takes it again.
    const isTaken = outcome === 'notHeld' && heldBy === workerId;
    return { leaseKey, outcome: isTaken ? 'underWay' : outcome, checkpoint, heldBy };
  };
  const shards = await Promise.all(leaseKeys.map(one));
  const ahead = named === undefined ? undefined : shards.find(({ outcome }) => outcome === 'ahead');
  if (ahead === undefined) return shards;
  const expected = `a place before what was handled of ${ahead.leaseKey}: from a later one on records would be passed over`;
  const time = typeof from === 'object' && 'timestamp' in from ? from.timestamp.toISOString() : 'a time';
  throw new UsageError('from', expected, ahead.checkpoint ?? `${time}, which no record has come at or after`);
}

/** Undefined: the place is still to come. */
async function outcomeAt(
  runtime: Runtime,
  leaseKey: string,
  position: ExtendedSequenceNumber | undefined,
): Promise<ReplayedShard['outcome']> {
  return position === undefined ? 'ahead' : await runtime.replay(leaseKey, position);
}

/** What became of a shard is said although the table cannot be asked, as of a worker that has stopped meanwhile. */
function ownerOf(runtime: Runtime, leaseKey: string): Promise<string | undefined> {
  return runtime.ownerOf(leaseKey).catch(() => undefined);
}

function checkFrom(from: ReplayFrom | undefined): asserts from is ReplayFrom {
  const expected = "'TRIM_HORIZON', { timestamp: Date } or { sequenceNumber, subSequenceNumber? }";
  if (from === 'TRIM_HORIZON') return;
  if (typeof from !== 'object' || from === null) throw new UsageError('from', expected, describe(from));
  checkNames(from, 'timestamp' in from ? ['timestamp'] : ['sequenceNumber', 'subSequenceNumber'], {
    expected,
    owner: 'from',
  });
  if ('timestamp' in from) {
    if (from.timestamp instanceof Date && !Number.isNaN(from.timestamp.getTime())) return;
    throw new UsageError('from.timestamp', 'a valid Date', describe(from.timestamp));
  }
  if (!('sequenceNumber' in from)) throw new UsageError('from', expected, describe(from));
  parseSequenceNumber(from.sequenceNumber, 'from.sequenceNumber');
  const { subSequenceNumber = 0 } = from;
  if (!Number.isSafeInteger(subSequenceNumber) || subSequenceNumber < 0)
    throw new UsageError('from.subSequenceNumber', 'a whole number from 0 on', describe(subSequenceNumber));
}

/** @throws UsageError for a number that another shard, or another stream, has given out. */
async function checkNumber(runtime: Runtime, leaseKey: string, from: ReplayFrom): Promise<void> {
  if (from === 'TRIM_HORIZON' || 'timestamp' in from) return;
  const sequenceNumber = parseSequenceNumber(from.sequenceNumber);
  const refuse = (what: string): never => {
    const expected = `a sequence number of ${leaseKey} (name the shard of the number in leaseKeys)`;
    throw new UsageError('from.sequenceNumber', expected, `${sequenceNumber}, ${what}`);
  };
  const shardId = shardIdIn(sequenceNumber);
  if (shardId !== undefined && !`:${leaseKey}`.endsWith(`:${shardId}`)) refuse(`which is one of ${shardId}`);
  // Its shard says nothing of its stream. Who cannot ask goes by the number.
  if ((await runtime.takes(leaseKey, sequenceNumber)) === false)
    refuse('which Kinesis does not take for it: it is of another shard, or of a stream that was deleted');
}

/** The place before the first record that is meant; undefined: there is none yet. */
async function placeIn(
  { clock }: ReplayPorts,
  runtime: Runtime,
  leaseKey: string,
  from: ReplayFrom,
): Promise<ExtendedSequenceNumber | undefined> {
  if (from === 'TRIM_HORIZON') return TRIM_HORIZON;
  if ('sequenceNumber' in from) {
    const before = justBefore(parseSequenceNumber(from.sequenceNumber));
    return { ...before, subSequenceNumber: before.subSequenceNumber + (from.subSequenceNumber ?? 0) };
  }
  if (from.timestamp.getTime() > clock.wallNow()) return undefined;
  const source = runtime.openSource(leaseKey, from.timestamp);
  try {
    return await firstIn(source, clock, leaseKey, from.timestamp);
  } finally {
    source.close();
  }
}

async function firstIn(
  source: ShardSource,
  clock: Clock,
  leaseKey: string,
  timestamp: Date,
): Promise<ExtendedSequenceNumber | undefined> {
  const givesUpAt = clock.now() + FINDING_MS;
  const controller = new AbortController();
  const cancel = clock.setTimer(() => controller.abort(), FINDING_MS);
  // A source that was given a time begins there at LATEST.
  let after: ExtendedSequenceNumber = { sequenceNumber: 'LATEST', subSequenceNumber: 0 };
  let failures = 0;
  try {
    while (clock.now() < givesUpAt) {
      await pause(clock, source.dueAt(after) - clock.now());
      try {
        const { batch, atShardEnd, millisBehindLatest } = await source.fetch(after, controller.signal);
        const [record] = batch?.records ?? [];
        if (record !== undefined) return justBefore(parseSequenceNumber(record.sequenceNumber));
        if (atShardEnd || millisBehindLatest === 0) return undefined;
        if (batch !== undefined) after = batch.last;
      } catch (error) {
        // Kinesis reads from no time that is still to come by its own clock.
        const isToCome = clock.wallNow() - timestamp.getTime() < CLOCKS_DIFFER_MS;
        if (isToCome && awsCodeOf(error) === 'InvalidArgumentException') return undefined;
        failures += 1;
        if (failures > MOST_FAILURES || (error instanceof OperatingError && !error.retryable)) throw error;
        await pause(clock, RETRY_MS);
      }
    }
  } finally {
    cancel();
  }
  const text = `no record of ${leaseKey} was found at that time within ${FINDING_MS} ms`;
  throw new OperatingError('TIMEOUT', text, { retryable: true });
}

function pause(clock: Clock, ms: number): Promise<void> {
  if (!(ms > 0)) return Promise.resolve();
  return new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });
}

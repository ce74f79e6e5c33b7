// Has other workers take over shards of this one while it runs, for an operator: what is meant is checked, and the core is told. It decides
// nothing: who gets them is coordination/handing-off.ts's. Invariant: every lease that was named is answered for.
import { checkNames, describe, UsageError } from '@shardline/common';
import { type LeaseKeys, readLeaseKeys } from './control.ts';
import { MOST_DECLINED } from './coordination/declined.ts';
import type { HandOffOutcome } from './coordination/handing-off.ts';
import type { Runtime } from './runtime/runtime.ts';

export interface HandOffOptions {
  /** As `view()` has them, 100 at the most. Default: all leases that this worker holds, and no further one is to be given to it. */
  readonly leaseKeys?: LeaseKeys;
  /** For so long, ms, they are not to come back, from this call on; 0: they may at once. Default 600000. */
  readonly awayMs?: number;
}

export interface HandedOffShard {
  readonly leaseKey: string;
  /**
   * `handedOff`: `to` has the lease. `noHeir`: no other live worker has room, or the table could not be read; the shard is read on here.
   * `ended`: it is at SHARD_END. `underWay`: another word of the kind, or a replay, is. `notHeld`: by this worker, or given up already.
   * `leaseLost`: lost, or the worker stopped, before it was done.
   */
  readonly outcome: HandOffOutcome;
  /** The worker that got it. Undefined unless `handedOff`. */
  readonly to: string | undefined;
}

export const DEFAULT_AWAY_MS = 600_000;
/** As long as a timer may take. */
const MOST_AWAY_MS = 2_147_483_647;

/** @throws UsageError while nothing runs, for what are no lease keys or more than 100, and for what is no time. */
export function handOff(
  runtime: Runtime | undefined,
  state: string,
  options: HandOffOptions = {},
): Promise<readonly HandedOffShard[]> {
  checkNames(options, ['leaseKeys', 'awayMs'], { expected: 'an option of handOff' });
  const { leaseKeys, awayMs = DEFAULT_AWAY_MS } = options;
  if (runtime === undefined) throw new UsageError('handOff', 'a consumer that runs', `one that is ${state}`);
  if (typeof awayMs !== 'number' || !(awayMs >= 0 && awayMs <= MOST_AWAY_MS))
    throw new UsageError('awayMs', `milliseconds from 0 to ${MOST_AWAY_MS}`, describe(awayMs));
  const named = leaseKeys === undefined ? undefined : [...new Set(readLeaseKeys(leaseKeys))];
  if (named !== undefined && named.length > MOST_DECLINED)
    throw new UsageError('leaseKeys', `at most ${MOST_DECLINED}; none for all`, `${named.length} of them`);
  const unfinished = runtime.view().leases.filter(({ phase }) => phase !== 'ended');
  return runtime.handOff(named ?? unfinished.map(({ leaseKey }) => leaseKey), named === undefined, awayMs);
}

// What an operator says to a running consumer, checked and put into the core's words. It decides nothing: what a word means for a lease is the
// core's (coordination/pauses.ts, coordination/shard-consumer.ts). Invariant: a word that was taken is heeded when the call returns.
import { describe, UsageError } from '@shardline/common';
import type { Control } from './coordination/effects.ts';
import type { Runtime } from './runtime/runtime.ts';

/** A lease key, or several: of an application that reads one stream, shard ids. */
export type LeaseKeys = string | readonly string[];

/** @throws UsageError while nothing runs, and for what are no lease keys; for `retry`, of leases that this worker does not hold; for `accept`, while all are declined. */
export function control(runtime: Runtime | undefined, state: string, what: Control['kind'], keys?: LeaseKeys): void {
  if (runtime === undefined) throw new UsageError(what, 'a consumer that runs', `one that is ${state}`);
  const leaseKeys = keys === undefined ? undefined : readLeaseKeys(keys);
  if (what === 'retry' && leaseKeys !== undefined) {
    const held = new Set(runtime.view().leases.map(({ leaseKey }) => leaseKey));
    const strange = leaseKeys.find((leaseKey) => !held.has(leaseKey));
    if (strange !== undefined) throw new UsageError('leaseKeys', 'keys of leases that this worker holds', strange);
  }
  if (what === 'accept' && leaseKeys !== undefined && runtime.view().declines === 'all') {
    const expected = 'none while all leases are declined, as handOff() without keys said; accept() takes that back';
    throw new UsageError('leaseKeys', expected, leaseKeys.join(', '));
  }
  runtime.control({ kind: what, leaseKeys });
}

/** @throws UsageError for what are no lease keys */
export function readLeaseKeys(keys: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(keys) ? keys : [keys];
  const isKey = (key: unknown): key is string => typeof key === 'string' && key !== '';
  if (list.length > 0 && list.every(isKey)) return [...list];
  const expected = 'a lease key or a list of some, as view() has them; nothing for all';
  throw new UsageError('leaseKeys', expected, describe(keys));
}

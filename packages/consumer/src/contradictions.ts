// Options that are good each by itself and cannot be meant together: part of `options.ts`. What an application did not say gives way to
// what it said, so only what was given is refused.
// Invariant: past here no option silently undoes another one.
import { describe, SUBSCRIBE_INTERVAL_MS, UsageError } from '@shardline/common';
import type { ConsumerOptions } from './consumer-options.ts';

/** @throws UsageError naming both options. `resolved`: the same options with every value filled in. */
export function refuseContradictions(
  given: ConsumerOptions,
  resolved: {
    readonly failoverTimeMs: number;
    readonly stallWarningMs: number;
    readonly idleTimeBetweenReadsMs: number;
    readonly tableName: string;
    readonly coordinatorStateTableName: string;
    readonly workerMetricsTableName: string;
  },
): void {
  const { failoverTimeMs, stallWarningMs } = resolved;
  const { leaderLeaseDurationMs, dynamoDBRequestTimeoutMs, stallLimitMs, billingMode } = given;
  if (leaderLeaseDurationMs !== undefined && leaderLeaseDurationMs < failoverTimeMs) {
    const why = `at least failoverTimeMs, ${failoverTimeMs}: a new leader watches for so long before it takes a lease from a silent worker`;
    throw new UsageError('leaderLeaseDurationMs', why, String(leaderLeaseDurationMs));
  }
  if (dynamoDBRequestTimeoutMs !== undefined && dynamoDBRequestTimeoutMs > failoverTimeMs) {
    const why = `at most failoverTimeMs, ${failoverTimeMs}: a renewal that hangs for longer has cost the lease`;
    throw new UsageError('dynamoDBRequestTimeoutMs', why, String(dynamoDBRequestTimeoutMs));
  }
  refuseEarlyStalls(given, resolved.idleTimeBetweenReadsMs);
  if (stallLimitMs !== undefined && stallLimitMs < stallWarningMs) {
    const why = `at least stallWarningMs, ${stallWarningMs}: a lease would be given up before anybody was warned`;
    throw new UsageError('stallLimitMs', why, String(stallLimitMs));
  }
  const { handlerBackoffBaseMs, handlerBackoffMaxMs } = given;
  if (
    handlerBackoffBaseMs !== undefined &&
    handlerBackoffMaxMs !== undefined &&
    handlerBackoffBaseMs > handlerBackoffMaxMs
  ) {
    const why = `at least handlerBackoffBaseMs, ${handlerBackoffBaseMs}: the bound of the first wait would never hold`;
    throw new UsageError('handlerBackoffMaxMs', why, String(handlerBackoffMaxMs));
  }
  for (const name of ['initialLeaseTableReadCapacity', 'initialLeaseTableWriteCapacity'] as const) {
    if (given[name] === undefined || billingMode === 'PROVISIONED') continue;
    const why = "to be given with billingMode 'PROVISIONED' alone: a table on demand has no capacity";
    throw new UsageError(name, why, `${given[name]} with billingMode '${billingMode ?? 'PAY_PER_REQUEST'}'`);
  }
  if (given.clientVersionConfig === 'compatible-with-2x' && given.leaseTableLayout === 'single') {
    const why =
      "'auto' or 'three' with clientVersionConfig 'compatible-with-2x': a worker of the KCL 2.x fails on rows that are no leases";
    throw new UsageError('leaseTableLayout', why, "'single'");
  }
  if (given.onStreamRecreated !== undefined && given.streams !== undefined) {
    const why =
      'to be given with stream alone: of streams, one that is made again is another stream and begins by itself';
    throw new UsageError('onStreamRecreated', why, `"${given.onStreamRecreated}" with streams`);
  }
  for (const name of ['formerStreamsWaitMs', 'formerStreamsLeasesDeletionStrategy', 'formerStreams'] as const) {
    if (given[name] === undefined || given.streams !== undefined) continue;
    const why =
      'to be given with streams alone: where there is one stream, the leases of another one are never deleted';
    throw new UsageError(name, why, `${describe(given[name])} with stream`);
  }
  refuseSharedTable(resolved);
}

/** Between two events of a shard without records, some 5 s (API_SubscribeToShard). */
const EVENT_INTERVAL_MS = 5_000;

/** A shard at rest is answered seldom: that is no stall. */
function refuseEarlyStalls(given: ConsumerOptions, idleTimeBetweenReadsMs: number): void {
  const { retrievalMode, fallbackToPolling } = given;
  const isPushed = retrievalMode === 'fanout';
  const pushedMs = isPushed ? EVENT_INTERVAL_MS + SUBSCRIBE_INTERVAL_MS : 0;
  const polledMs = isPushed && fallbackToPolling !== true ? 0 : 2 * idleTimeBetweenReadsMs;
  const why =
    pushedMs >= polledMs
      ? `at least ${pushedMs} with retrievalMode 'fanout': a shard at rest sends an event every 5 s, up to 5 s later where its subscription is made anew`
      : `at least ${polledMs}, twice idleTimeBetweenReadsMs: a shard at rest is read once in that time`;
  for (const name of ['stallWarningMs', 'stallLimitMs'] as const) {
    const value = given[name];
    if (value !== undefined && value < Math.max(pushedMs, polledMs))
      throw new UsageError(name, `${why}, and would be told as stalled`, String(value));
  }
}

/** Rows of the three kinds have keys of their own in each table. */
function refuseSharedTable(
  names: Readonly<Record<'tableName' | 'coordinatorStateTableName' | 'workerMetricsTableName', string>>,
): void {
  const { tableName, coordinatorStateTableName, workerMetricsTableName } = names;
  const taken = new Map<string, string>();
  for (const [field, name] of Object.entries({ tableName, coordinatorStateTableName, workerMetricsTableName })) {
    const other = taken.get(name);
    if (other !== undefined) {
      const why = `another table than ${other}: the tables of the KCL 3.0 to 3.4 have different keys`;
      throw new UsageError(field, why, `"${name}" for both`);
    }
    taken.set(name, field);
  }
}

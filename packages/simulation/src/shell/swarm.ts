// What a shell's world of one seed is like: its options, its records, its faults and incidents. Swarm testing: each seed draws which
// faults exist at all and how strong they are, so that rare ones are not drowned by common ones.

import { SUBSCRIBE_INTERVAL_MS, SUBSCRIPTION_DURATION_MS } from '@shardline/common';
import type { ConsumerOptions, HandlingOptions } from '@shardline/consumer';
import type { Prng } from '../prng.ts';
import { CONNECTION_FAULTS, type ConnectionFault } from './connection.ts';
import type { NetworkFaults } from './network.ts';

export type Incident = 'put' | 'split' | 'merge' | 'start' | 'kill' | 'stop' | 'sleep' | 'strike' | 'deregister';

export interface HandlerPlan {
  /** Most that a call takes. */
  readonly maxCallMs: number;
  /** Chance that a call takes seconds. */
  readonly hangs: number;
  /** Chance that a call throws. */
  readonly throws: number;
  /** Whether a call comes back when its signal is aborted. */
  readonly heedsSignal: boolean;
  /** Records that throw each time, one of so many; undefined: none. With a limit alone, or they would stop their shard. */
  readonly poisonEvery: number | undefined;
}

export interface Plan {
  readonly shardCount: number;
  readonly reshardMs: number;
  readonly createTableMs: number;
  readonly pageSize: number;
  /** Shards read at more than Kinesis's rates are refused. */
  readonly limits: boolean;
  readonly maxLatencyMs: number;
  readonly faults: { readonly kinesis: NetworkFaults; readonly dynamoDB: NetworkFaults };
  /** Chance that a read finds its iterator expired. */
  readonly expiredIterator: number;
  readonly handler: HandlerPlan;
  /** Without `onFailure`, which is the world's. */
  readonly handling: Omit<HandlingOptions, 'onFailure'>;
  readonly options: Omit<ConsumerOptions, 'application' | 'stream'>;
  readonly incidents: readonly { readonly atMs: number; readonly kind: Incident }[];
  readonly faultsUntilMs: number;
}

/** How shards are read, and what befalls who subscribes to them. */
export interface FanOutPlan {
  /** Of the workers: 0, all poll; 1, all subscribe. */
  readonly share: number;
  /** How long a registered consumer is CREATING, and DELETING. */
  readonly registerConsumerMs: number;
  /** The longest that a subscription lasts. */
  readonly durationMs: number;
  /** So much of a subscription may wait to be read. */
  readonly windowBytes: number;
  /** What there is of faults that strike subscriptions. */
  readonly faults: readonly ConnectionFault[];
  /** Chance that Kinesis no longer knows the number to go on from. */
  readonly unknownContinuation: number;
  readonly options: Pick<ConsumerOptions, 'subscriptionTimeoutMs' | 'fallbackToPolling'>;
  readonly incidents: Plan['incidents'];
  readonly faultsUntilMs: number;
}

/** Where what handlers never finish goes, in worlds whose handlers have a limit. */
export interface SinkPlan {
  readonly kind: 'stream' | 'queue' | 'bucket';
  /** Most that it takes until it has a letter, and until it says so. */
  readonly maxMs: number;
  /** Chance that it does not take a letter, and says so. */
  readonly refuses: number;
  /** Chance that it has a letter, and says that it has not. */
  readonly losesAnswer: number;
  /** Beside the limit of tries. */
  readonly maxRecordAgeMs: number | undefined;
}

export const NO_FAULTS: NetworkFaults = {
  throttled: 0,
  failed: 0,
  lostRequest: 0,
  lostAnswer: 0,
  slow: 0,
  sentAgain: 0,
};

/** Longer than the pause between two events. */
export const SUBSCRIPTION_TIMEOUT_MS = 6_000;

/** Times a tenth or so of the usual ones. */
const TIMES: Omit<ConsumerOptions, 'application' | 'stream'> = {
  failoverTimeMs: 2_000,
  leaseAssignmentIntervalMs: 1_000,
  leaseDiscoveryIntervalMs: 500,
  leaderLeaseDurationMs: 3_000,
  shardSyncIntervalMs: 2_000,
  parentShardPollIntervalMs: 300,
  // Longer than the latest of late calls (network.ts).
  completedLeaseCleanupIntervalMs: 6_000,
  gracefulLeaseHandoffTimeoutMs: 3_000,
  workerMetricsReportIntervalMs: 1_000,
  shutdownGraceMs: 3_000,
  handlerBackoffBaseMs: 50,
  handlerBackoffMaxMs: 500,
  kinesisRequestTimeoutMs: 1_000,
  dynamoDBRequestTimeoutMs: 500,
  // What the process's own CPU does is no part of the schedule.
  disableWorkerMetrics: true,
};

export function planWorld(prng: Prng): Plan {
  const faultsUntilMs = prng.between(2_000, 7_000);
  const gives = prng.chance(0.25);
  const checkpointing = prng.chance(0.35) ? 'manual' : 'auto';
  return {
    shardCount: prng.between(1, 4),
    reshardMs: prng.pick([0, 0, 30, 200]),
    createTableMs: prng.pick([0, 50, 800]),
    pageSize: prng.pick([2, 5, 1_000]),
    limits: prng.chance(0.5),
    maxLatencyMs: prng.pick([2, 20, 90]),
    faults: { kinesis: planFaults(prng), dynamoDB: planFaults(prng) },
    expiredIterator: rate(prng, 0.1),
    handler: {
      maxCallMs: prng.pick([0, 5, 100]),
      hangs: rate(prng, 0.05),
      throws: rate(prng, 0.3),
      heedsSignal: prng.chance(0.5),
      poisonEvery: gives ? prng.between(5, 20) : undefined,
    },
    handling: planHandling(prng, gives, checkpointing),
    options: {
      ...TIMES,
      checkpointing,
      checkpointIntervalMs: prng.pick([0, 100, 1_000]),
      maxPendingBatchCount: prng.between(1, 4),
      idleTimeBetweenReadsMs: prng.pick([300, 600, 1_000]),
      maxRecordsPerRead: prng.pick([1, 3, 10_000]),
    },
    incidents: planIncidents(prng, faultsUntilMs),
    faultsUntilMs,
  };
}

/**
 * @param untilMs how long there are faults, but for the time that who subscribes takes to begin anew. All of it is less than a worker
 * tries to start.
 */
export function planFanOut(prng: Prng, untilMs: number): FanOutPlan {
  const share = prng.pick([0, 0, 0.5, 1, 1]);
  const faultsUntilMs = share === 0 ? untilMs : untilMs + prng.between(1, 2) * SUBSCRIBE_INTERVAL_MS;
  return {
    share,
    registerConsumerMs: prng.pick([0, 500, 3_000]),
    durationMs: prng.pick([3_000, 8_000, 20_000, SUBSCRIPTION_DURATION_MS]),
    windowBytes: prng.pick([200, 2_000, 65_536]),
    faults: CONNECTION_FAULTS.filter(() => prng.chance(0.6)),
    unknownContinuation: rate(prng, 0.3),
    options: { subscriptionTimeoutMs: SUBSCRIPTION_TIMEOUT_MS, fallbackToPolling: prng.chance(0.3) },
    incidents: share === 0 ? [] : planPushed(prng, faultsUntilMs),
    faultsUntilMs,
  };
}

/** So much at once that a part of it waits in sockets; faults, often just then; and, maybe, the end of the registered consumer. */
function planPushed(prng: Prng, untilMs: number): Plan['incidents'] {
  const some = (count: number, at: () => number, kind: Incident): Plan['incidents'] =>
    Array.from({ length: count }, () => ({ atMs: at(), kind }));
  const bursts = Array.from({ length: prng.between(2, 6) }, () => prng.int(untilMs));
  return [
    ...bursts.flatMap((atMs) => some(prng.between(3, 8), () => atMs, 'put')),
    ...some(prng.int(6), () => prng.int(untilMs), 'strike'),
    ...some(prng.int(6), () => prng.pick(bursts) + prng.int(100), 'strike'),
    ...(prng.chance(0.3) ? some(1, () => prng.int(untilMs), 'deregister') : []),
  ];
}

export function planSink(prng: Prng): SinkPlan {
  return {
    kind: prng.pick(['stream', 'queue', 'bucket']),
    maxMs: prng.pick([0, 5, 100]),
    refuses: rate(prng, 0.6),
    losesAnswer: rate(prng, 0.4),
    maxRecordAgeMs: prng.chance(0.3) ? prng.pick([100, 1_000]) : undefined,
  };
}

function planFaults(prng: Prng): NetworkFaults {
  return {
    throttled: rate(prng, 0.15),
    failed: rate(prng, 0.15),
    lostRequest: rate(prng, 0.1),
    lostAnswer: rate(prng, 0.1),
    slow: rate(prng, 0.1),
    sentAgain: rate(prng, 0.2),
  };
}

/** Often no such fault at all. */
function rate(prng: Prng, most: number): number {
  return prng.chance(0.5) ? 0 : prng.next() * most;
}

function planHandling(prng: Prng, gives: boolean, checkpointing: 'auto' | 'manual'): Plan['handling'] {
  return {
    ...(gives && { maxRetryAttempts: prng.between(0, 3) }),
    ...(gives && { bisectBatch: prng.pick(['after-retries', 'at-once', 'never'] as const) }),
    ...(prng.chance(0.3) && { maxBatchSize: prng.between(1, 5) }),
    ...(prng.chance(0.2) && { batchWindowMs: prng.pick([100, 500]) }),
    ...(checkpointing === 'auto' && prng.chance(0.3) && { concurrency: prng.between(2, 4) }),
  };
}

function planIncidents(prng: Prng, untilMs: number): Plan['incidents'] {
  const kinds: readonly Incident[] = ['split', 'merge', 'start', 'kill', 'stop', 'sleep'];
  const likely = kinds.filter(() => prng.chance(0.5));
  const some = (count: number, kind: () => Incident): Plan['incidents'] =>
    Array.from({ length: count }, () => ({ atMs: prng.int(untilMs), kind: kind() }));
  return [
    { atMs: 0, kind: 'start' },
    ...some(prng.between(1, 2), () => 'start'),
    ...some(prng.between(10, 60), () => 'put'),
    ...(likely.length === 0 ? [] : some(prng.int(9), () => prng.pick(likely))),
  ];
}

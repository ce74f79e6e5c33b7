// What a shell's world of one seed is like: its options, its records, its faults and incidents. Swarm testing: each seed draws which
// faults exist at all and how strong they are, so that rare ones are not drowned by common ones.
import type { ConsumerOptions, HandlingOptions } from '@shardline/consumer';
import type { Prng } from '../prng.ts';
import type { NetworkFaults } from './network.ts';

export type Incident = 'put' | 'split' | 'merge' | 'start' | 'kill' | 'stop' | 'sleep';

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

export const NO_FAULTS: NetworkFaults = {
  throttled: 0,
  failed: 0,
  lostRequest: 0,
  lostAnswer: 0,
  slow: 0,
  sentAgain: 0,
};

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

// What a producer's world of one seed is like: its options, its puts, its faults and incidents. Swarm testing: each seed draws
// which faults exist at all and how strong they are, so that rare ones are not drowned by common ones.
import type { PipelineOptions } from '../../../producer/dist/stages.js';
import type { RecordDistributionStrategy } from '../../../producer/dist/stream-strategy.js';
import type { Prng } from '../prng.ts';

export interface PlannedPut {
  readonly atMs: number;
  readonly partitionKey: string | undefined;
  readonly explicitHashKey: bigint | undefined;
  readonly dataBytes: number;
  /** Into the world's other stream. */
  readonly toOther?: boolean;
}

/** Chances of what may happen to a request, each 0 to 1. */
export interface FaultRates {
  /** An entry is refused for its rate. */
  readonly throttledEntry: number;
  /** An entry is refused with InternalFailure. */
  readonly failedEntry: number;
  /** The whole request is refused for its rate. */
  readonly throttledRequest: number;
  /** The request is applied, its answer never comes; the application may come long after the timeout. */
  readonly lostAnswer: number;
  /** The request never arrives. */
  readonly lostRequest: number;
  /** The whole request is refused for good. */
  readonly refusedRequest: number;
  readonly failedListing: number;
  readonly failedDescribing: number;
}

export type Incident = 'strategy' | 'split' | 'merge' | 'pause' | 'flush' | 'press' | 'release';

export interface Plan {
  readonly shardCount: number;
  /** Of an on-demand stream; undefined: a provisioned one, which has none. */
  readonly strategy: RecordDistributionStrategy | undefined;
  readonly reshardMs: number;
  readonly recordTtlMs: number;
  readonly bufferedTimeMs: number;
  readonly requestTimeoutMs: number;
  readonly maxLatencyMs: number;
  readonly options: PipelineOptions;
  readonly maxOutstandingRecordCount: number;
  readonly maxStreamCount: number;
  /** The other stream is put to by its ARN. */
  readonly otherByArn: boolean;
  readonly faults: FaultRates;
  readonly puts: readonly PlannedPut[];
  readonly incidents: readonly { readonly atMs: number; readonly kind: Incident }[];
  /** When faults end. */
  readonly faultsUntilMs: number;
  /** When everything left is given up, as `close` does past its deadline; undefined for most. */
  readonly abandonAtMs: number | undefined;
}

export function planWorld(prng: Prng): Plan {
  const faultsUntilMs = prng.between(500, 3_000);
  const bufferedTimeMs = prng.pick([0, 5, 50, 100]);
  const aggregationMaxSizeBytes = prng.pick([64, 150, 400, 2_000]);
  const strategy = prng.chance(0.25) ? prng.pick(['AUTO', 'AUTO', 'USER_PARTITION_KEY'] as const) : undefined;
  return {
    shardCount: prng.between(1, 4),
    strategy,
    reshardMs: prng.pick([0, 0, 30, 200]),
    recordTtlMs: prng.pick([150, 600, 3_000, 30_000, 30_000]),
    bufferedTimeMs,
    requestTimeoutMs: prng.pick([100, 400]),
    maxLatencyMs: prng.pick([2, 20, 90]),
    options: {
      ordering: prng.chance(0.15) ? 'none' : 'per-key',
      recordDistributionStrategyDefault: strategy === undefined && prng.chance(0.2) ? 'USER_PARTITION_KEY' : undefined,
      describeStreamSummaryIntervalMs: prng.pick([100, 1_000, 300_000]),
      aggregationEnabled: prng.chance(0.85),
      aggregationMaxCount: prng.pick([4_294_967_295, 4_294_967_295, 1, 3]),
      aggregationMaxSizeBytes,
      bufferedTimeMs,
      togetherMs: Math.min(50, bufferedTimeMs * 0.2),
      rateLimitPercent: prng.pick([150, 150, 1]),
      collectionMaxCount: prng.pick([1, 3, 10, 500]),
      collectionMaxSizeBytes: prng.pick([200, 1_000, 5_242_880]),
      failIfThrottled: prng.chance(0.1),
      maxRequestsInFlight: prng.pick([1, 2, 5, 24]),
    },
    maxOutstandingRecordCount: 100_000,
    maxStreamCount: 100,
    otherByArn: false,
    faults: {
      throttledEntry: rate(prng, 0.5),
      failedEntry: rate(prng, 0.3),
      throttledRequest: rate(prng, 0.3),
      lostAnswer: rate(prng, 0.3),
      lostRequest: rate(prng, 0.3),
      refusedRequest: prng.chance(0.1) ? 0.1 : 0,
      failedListing: rate(prng, 0.5),
      failedDescribing: rate(prng, 0.5),
    },
    puts: planPuts(prng, faultsUntilMs, strategy !== undefined && prng.chance(0.6)),
    incidents: planIncidents(prng, faultsUntilMs, strategy !== undefined),
    faultsUntilMs,
    abandonAtMs: prng.chance(0.05) ? prng.between(100, faultsUntilMs) : undefined,
  };
}

/** Often no such fault at all. */
function rate(prng: Prng, most: number): number {
  return prng.chance(0.5) ? 0 : prng.next() * most;
}

function planPuts(prng: Prng, untilMs: number, someKeyless: boolean): PlannedPut[] {
  const keys: Pick<PlannedPut, 'partitionKey' | 'explicitHashKey'>[] = Array.from(
    { length: prng.between(1, 12) },
    (_, index) => ({
      partitionKey: `key-${index}`,
      explicitHashKey: prng.chance(0.2) ? randomHashKey(prng) : undefined,
    }),
  );
  if (someKeyless) keys.push({ partitionKey: undefined, explicitHashKey: undefined });
  const spreads = prng.chance(0.3);
  const count = prng.between(5, 120);
  let atMs = 0;
  return Array.from({ length: count }, () => {
    if (prng.chance(0.4)) atMs += prng.int((2 * untilMs) / count + 1);
    const { partitionKey, explicitHashKey } = prng.pick(keys);
    return {
      atMs,
      partitionKey,
      // One partition key that its user spreads by random hash keys.
      explicitHashKey: spreads && partitionKey === 'key-0' ? randomHashKey(prng) : explicitHashKey,
      dataBytes: prng.chance(0.05) ? prng.between(60, 500) : prng.between(8, 40),
    };
  });
}

function planIncidents(
  prng: Prng,
  untilMs: number,
  isOnDemand: boolean,
): { readonly atMs: number; readonly kind: Incident }[] {
  const kinds: readonly Incident[] = [
    ...(isOnDemand ? (['strategy'] as const) : []),
    'split',
    'merge',
    'pause',
    'flush',
    'press',
    'release',
  ];
  const likely = kinds.filter(() => prng.chance(0.6));
  if (likely.length === 0) return [];
  return Array.from({ length: prng.int(8) }, () => ({ atMs: prng.int(untilMs), kind: prng.pick(likely) }));
}

function randomHashKey(prng: Prng): bigint {
  return (((1n << 128n) - 1n) * BigInt(prng.int(1 << 20))) / BigInt(1 << 20);
}

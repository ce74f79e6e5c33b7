// What is set on a stream or a consumer and reported again: tags, a policy, monitoring. All of it is plain data, so that it can be
// kept and restored; a change makes new data and never alters the old. Nothing here measures or grants anything.
import { type Encryption, NOT_ENCRYPTED } from './encryption.ts';
import type { Tags } from './tags.ts';

/** What a stream and a consumer both have. */
export interface ResourceSettings {
  readonly tags: Tags;
  /** JSON; null when there is none. */
  readonly policy: string | null;
}

export type ConsumerSettings = ResourceSettings;

export interface StreamSettings extends ResourceSettings {
  readonly encryption: Encryption;
  /** In the order of SHARD_LEVEL_METRICS, each once. */
  readonly shardLevelMetrics: readonly ShardLevelMetric[];
  /** The write throughput that an on-demand stream is kept ready for; null when nobody has said. */
  readonly warmThroughputMiBps: number | null;
}

/** All that enhanced monitoring knows (Kinesis API, MetricsName without ALL). */
export const SHARD_LEVEL_METRICS = [
  'IncomingBytes',
  'IncomingRecords',
  'OutgoingBytes',
  'OutgoingRecords',
  'WriteProvisionedThroughputExceeded',
  'ReadProvisionedThroughputExceeded',
  'IteratorAgeMilliseconds',
] as const;
export type ShardLevelMetric = (typeof SHARD_LEVEL_METRICS)[number];

export const NEW_CONSUMER_SETTINGS: ConsumerSettings = { tags: {}, policy: null };

export const NEW_STREAM_SETTINGS: StreamSettings = {
  ...NEW_CONSUMER_SETTINGS,
  encryption: NOT_ENCRYPTED,
  shardLevelMetrics: [],
  warmThroughputMiBps: null,
};

/** "The value ALL enhances every metric" (API_EnableEnhancedMonitoring). The same array when nothing changes. */
export function withMetrics(
  metrics: readonly ShardLevelMetric[],
  enabled: readonly (ShardLevelMetric | 'ALL')[],
): readonly ShardLevelMetric[] {
  const all = SHARD_LEVEL_METRICS.filter(
    (metric) => metrics.includes(metric) || enabled.includes(metric) || enabled.includes('ALL'),
  );
  return all.length === metrics.length ? metrics : all;
}

/** "The value ALL disables every metric" (API_DisableEnhancedMonitoring). The same array when nothing changes. */
export function withoutMetrics(
  metrics: readonly ShardLevelMetric[],
  disabled: readonly (ShardLevelMetric | 'ALL')[],
): readonly ShardLevelMetric[] {
  const left = metrics.filter((metric) => !disabled.includes(metric) && !disabled.includes('ALL'));
  return left.length === metrics.length ? metrics : left;
}

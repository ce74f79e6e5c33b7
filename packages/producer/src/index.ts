export type { PutAllOptions, PutAllResult } from './faces.ts';
export type { MetricsGranularity, MetricsLevel, ProducerMetricName } from './metrics.ts';
export type { MetricsQuery, ProducerMetric } from './metrics-report.ts';
export type { ProducerOptions } from './options.ts';
export { type CloseOptions, Producer } from './producer.ts';
export {
  type Attempt,
  isPutError,
  type OnSettled,
  type PutError,
  type PutResult,
  type UserRecordInput,
} from './put.ts';
export type { RecordDistributionStrategy } from './stream-strategy.ts';

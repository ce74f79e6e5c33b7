// OpenTelemetry's subpath: metrics through a Meter, and spans for what is put and handled. `@opentelemetry/api` is an optional peer; it
// is loaded here and nowhere else.
export { type OpenTelemetryMetricsOptions, openTelemetryMetrics } from './opentelemetry-metrics.ts';
export {
  MESSAGING_SYSTEM,
  type ReceivedRecord,
  type TracedBatch,
  type TracedProducer,
  type TraceHandlingOptions,
  type TracePutsOptions,
  tracedHandler,
  tracedProducer,
  tracedRecordHandler,
} from './opentelemetry-tracing.ts';

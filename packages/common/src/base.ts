// All of common but the SDK's clients: for who calls no AWS and would wait a fifth of a second for them to load.
export { FRAME_BYTES } from './aggregate-wire.ts';
export * from './aggregate-writer.ts';
export * from './aggregated-record.ts';
export * from './backoff.ts';
export * from './chunk-memory.ts';
export * from './clock.ts';
export * from './diagnostics.ts';
export * from './errors.ts';
export * from './growing-aggregate.ts';
export * from './hash-key.ts';
export * from './invariant.ts';
export * from './limits.ts';
export * from './logger.ts';
export * from './metrics.ts';
export * from './option-checks.ts';
export * from './random.ts';
export * from './sequence-number.ts';
export * from './stream.ts';

export * from './backoff.ts';
export * from './clock.ts';
export * from './errors.ts';
export * from './hash-key.ts';
export * from './invariant.ts';
export * from './random.ts';
export * from './sequence-number.ts';

export * from './consumer.ts';
export type * from './handler.ts';
export type { ConsumerOptions, InitialPosition } from './options.ts';

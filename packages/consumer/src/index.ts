export { Consumer, type ConsumerState, type ConsumerView, type ShardView } from './consumer.ts';
export type { ConsumerOptions, InitialPosition } from './consumer-options.ts';
export type {
  Batch,
  BatchHandler,
  Handler,
  PendingCheckpoint,
  Position,
  PreparedCheckpointer,
  ShardContext,
  ShardHandler,
  UserRecord,
} from './handler.ts';
export type { ConsumerHealth, ShardHealth } from './health.ts';

export { Consumer, type ConsumerState, type ConsumerView, type ShardView } from './consumer.ts';
export type { ConsumerOptions, InitialPosition } from './consumer-options.ts';
export { type FilterCriteria, type RecordFilter, recordFilter } from './filtering/record-filter.ts';
export {
  type FleetLeader,
  type FleetLease,
  FleetReader,
  type FleetReaderOptions,
  type FleetView,
  type FleetWorker,
} from './fleet-reader.ts';
export type { HandedOffShard, HandOffOptions } from './hand-off.ts';
export type {
  Batch,
  BatchHandler,
  BatchWindow,
  Handler,
  HandlerFactory,
  PendingCheckpoint,
  Position,
  PreparedCheckpointer,
  RecordHandler,
  ShardContext,
  ShardHandler,
  UserRecord,
  WindowResult,
} from './handler.ts';
export type { BatchInHand } from './handling/batches.ts';
export { type DeadLetter, parseDeadLetter } from './handling/dead-letter.ts';
export {
  type BucketObject,
  type DeadLetterBucketOptions,
  type DeadLetterProducer,
  type DeadLetterQueueOptions,
  deadLetterBucket,
  deadLetterFile,
  deadLetterQueue,
  deadLetterStream,
  type QueueMessage,
} from './handling/dead-letter-sinks.ts';
export type { Failure, HandlingOptions, OnFailure } from './handling/handling-options.ts';
export type {
  LambdaContext,
  LambdaKinesisEvent,
  LambdaKinesisRecord,
  LambdaKinesisWindowEvent,
} from './handling/lambda-event.ts';
export {
  type LambdaCallback,
  type LambdaFunction,
  type LambdaOptions,
  type LambdaWindowFunction,
  type LambdaWindowResult,
  lambdaHandler,
} from './handling/lambda-handler.ts';
export type { PartialResult } from './handling/partial-result.ts';
export type { TumblingWindowOptions } from './handling/tumbling-window.ts';
export type { ConsumerHealth, ShardHealth } from './health.ts';
export type { ReplayedShard, ReplayFrom, ReplayOptions } from './replay.ts';

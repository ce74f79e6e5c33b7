// The public face of @shardline/local: the servers to start, and the model under the Kinesis one.
export { type LocalDynamoDB, startLocalDynamoDB } from './local-dynamodb.ts';
export {
  type LocalClientConfig,
  type LocalKinesis,
  type LocalTls,
  type LocalTlsClientConfig,
  startLocalKinesis,
} from './local-kinesis.ts';
export { ManualClock } from './manual-clock.ts';
export * from './model/index.ts';
export type { InitialStream, LocalDynamoDBOptions, LocalKinesisOptions, TlsCertificate } from './options.ts';
export type {
  Amount,
  Breakage,
  Fault,
  FaultKind,
  FaultReport,
  FaultRule,
  FaultScope,
} from './server/faults/fault-rule.ts';
export type { FaultHandle, LocalFaults } from './server/faults/local-faults.ts';

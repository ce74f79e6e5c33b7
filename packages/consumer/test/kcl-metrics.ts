// Every metric of the Java KCL 3.5.1, as its source tells it: each call of MetricsUtil and of MetricsScope.addData, with the operation
// of its scope, the dimensions added to that, the unit and the level. Read beside kcl-metrics.test.ts, which shows that a worker of ours
// tells the same, and docs/metrics.md, which says of each what it is, or why it is not here.

export type Level = 'SUMMARY' | 'DETAILED';
export type Unit = 'Count' | 'Bytes' | 'Milliseconds' | 'None';

export interface KclMetric {
  readonly operation: string;
  readonly name: string;
  readonly unit: Unit;
  readonly level: Level;
  /** Beside `Operation`, sorted. `StreamId` is there in an application of several streams alone. */
  readonly dimensions: readonly string[];
  /** The test that shows it; `absent`: it counts what does not exist here. */
  readonly shown: Shown;
}

export type Shown =
  | 'worker'
  | 'begins at LATEST'
  | 'begins at a time'
  | 'expired iterator'
  | 'shard end'
  | 'merge'
  | 'lagging index'
  | 'several streams'
  | 'taking over'
  | 'going over fails'
  | 'table unreadable'
  | 'CPU unreadable'
  | 'absent';

const shard = ['ShardId', 'StreamId'];
const worker = ['WorkerIdentifier'];

export const kclMetrics: readonly KclMetric[] = [
  // lifecycle/ProcessTask, retrieval/polling/KinesisDataFetcher, leases/dynamodb/DynamoDBLeaseRenewer.updateLease
  ...rows('worker', 'ProcessTask', shard, 'SUMMARY Count', 'RecordsProcessed', 'Success'),
  ...rows('worker', 'ProcessTask', shard, 'SUMMARY Bytes', 'DataBytesProcessed'),
  ...rows('worker', 'ProcessTask', shard, 'SUMMARY Milliseconds', 'MillisBehindLatest', 'Time'),
  ...rows('worker', 'ProcessTask', shard, 'SUMMARY Milliseconds', 'RecordProcessor.processRecords.Time'),
  ...calls('worker', 'ProcessTask', shard, 'KinesisDataFetcher.getRecords', 'KinesisDataFetcher.getShardIterator'),
  ...calls('worker', 'ProcessTask', shard, 'UpdateLease'),
  // retrieval/polling/PrefetchRecordsPublisher
  ...rows('expired iterator', 'ProcessTask', ['StreamId'], 'SUMMARY Count', 'ExpiredIterator'),
  ...rows('worker', 'ApplicationTracker', [], 'SUMMARY Milliseconds', 'MillisBehindLatest'),
  // lifecycle/InitializeTask, lifecycle/ShutdownTask
  ...rows('worker', 'InitializeTask', [], 'SUMMARY Milliseconds', 'RecordProcessor.initialize.Time'),
  ...rows('worker', 'ShutdownTask', [], 'SUMMARY Milliseconds', 'RecordProcessor.shutdown.Time'),
  ...calls('shard end', 'ShutdownTask', shard, 'UpdateLease'),
  ...calls('shard end', 'ShutdownTask', [], 'CreateLease'),
  ...rows('shard end', 'ShutdownTask', [], 'DETAILED Count', 'CreateLease_TRIM_HORIZON.Success'),
  ...rows('merge', 'ShutdownTask', [], 'SUMMARY Count', 'MissingMergeParentLease'),
  ...rows('absent', 'ShutdownTask', [], 'SUMMARY Count', 'MissingMergeParent'),
  // leases/ShardSyncTask, its MetricsCollectingTaskDecorator, leases/HierarchicalShardSyncer
  ...rows('worker', 'ShardSyncTask', [], 'SUMMARY Count', 'Success'),
  ...rows('worker', 'ShardSyncTask', [], 'SUMMARY Milliseconds', 'Time'),
  ...rows('worker', 'ShardSyncTask', [], 'DETAILED Count', 'SyncShards.Success', 'CreateLease_TRIM_HORIZON.Success'),
  ...calls('worker', 'ShardSyncTask', [], 'CreateLease'),
  ...rows('begins at LATEST', 'ShardSyncTask', [], 'DETAILED Count', 'CreateLease_LATEST.Success'),
  ...rows('begins at a time', 'ShardSyncTask', [], 'DETAILED Count', 'CreateLease_AT_TIMESTAMP.Success'),
  // leases/dynamodb/DynamoDBLeaseRenewer
  ...rows('worker', 'RenewAllLeases', worker, 'SUMMARY Count', 'LostLeases', 'CurrentLeases', 'Success'),
  ...rows('worker', 'RenewAllLeases', worker, 'SUMMARY Milliseconds', 'Time'),
  ...calls('worker', 'RenewAllLeases', worker, 'RenewLease'),
  ...rows('worker', 'LeaseRenewerInitialize', [], 'DETAILED Count', 'Fault'),
  // leases/dynamodb/DynamoDBLeaseDiscoverer
  ...rows('worker', 'LeaseDiscovery', worker, 'SUMMARY Count', 'Success'),
  ...rows('worker', 'LeaseDiscovery', worker, 'SUMMARY Milliseconds', 'Time'),
  ...rows('worker', 'LeaseDiscovery', worker, 'DETAILED Count', 'NewLeasesDiscovered'),
  ...rows('worker', 'LeaseDiscovery', worker, 'DETAILED Milliseconds', 'ListLeaseKeysForWorker.Time'),
  ...rows('worker', 'LeaseDiscovery', worker, 'DETAILED Milliseconds', 'FetchNewLeases.Time'),
  ...rows('lagging index', 'LeaseDiscovery', worker, 'DETAILED Count', 'OwnerMismatch'),
  ...rows('lagging index', 'LeaseDiscovery', worker, 'SUMMARY Count', 'GetLease:Error'),
  // leases/dynamodb/DynamoDBLeaseTaker, DynamoDBLeaseCoordinator
  ...rows('taking over', 'TakeLeases', worker, 'SUMMARY Count', 'TakenLeases', 'UntakenLeases', 'ExpiredLeases'),
  ...rows('taking over', 'TakeLeases', worker, 'SUMMARY Count', 'LeaseSpillover', 'NumWorkers', 'VeryOldLeases'),
  ...rows('taking over', 'TakeLeases', worker, 'SUMMARY Count', 'Success'),
  ...rows('taking over', 'TakeLeases', worker, 'SUMMARY Milliseconds', 'Time'),
  ...rows('taking over', 'TakeLeases', worker, 'DETAILED Count', 'LeasesToTake', 'NeededLeases', 'TotalLeases'),
  ...calls('taking over', 'TakeLeases', worker, 'ListLeases', 'TakeLease'),
  // coordinator/assignment/LeaseAssignmentManager, MigrationAwareLAMDataManager
  ...rows('worker', 'LeaseAssignmentManager', [], 'SUMMARY Count', 'TotalLeases', 'NumWorkers', 'ExpiredLeases'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'SUMMARY Count', 'LeaseSpillover', 'NumOfLeasesReassignment'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'SUMMARY Count', 'LeaseDeserializationFailureCount', 'Success'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'SUMMARY Count', 'NumWorkersWithInvalidEntry'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'SUMMARY Count', 'NumWorkersWithFailingWorkerMetric'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'SUMMARY Milliseconds', 'Time'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'DETAILED Count', 'FailedAssignmentCount'),
  ...rows('worker', 'LeaseAssignmentManager', [], 'DETAILED Milliseconds', 'LeaseAndWorkerMetricsLoad.Time'),
  ...calls('worker', 'LeaseAssignmentManager', [], 'ParallelyAssignLeases'),
  ...rows('table unreadable', 'LeaseAssignmentManager', [], 'SUMMARY Count', 'ForceLeaderRelease'),
  ...rows('absent', 'LeaseAssignmentManager', [], 'DETAILED Milliseconds', 'AssignExpiredOrUnassignedLeases.Time'),
  ...rows('absent', 'LeaseAssignmentManager', [], 'DETAILED Milliseconds', 'BalanceWorkerVariance.Time'),
  ...rows('worker', 'WorkerMetrics', [], 'SUMMARY None', 'FleetMinSupportCode'),
  // coordinator/PeriodicShardSyncManager
  ...rows('worker', 'PeriodicShardSyncManager', [], 'SUMMARY Count', 'NumStreamsWithPartialLeases'),
  ...rows('worker', 'PeriodicShardSyncManager', [], 'SUMMARY Count', 'NumStreamsToSync', 'NumSkippedShardSyncTask'),
  ...rows('worker', 'PeriodicShardSyncManager', [], 'SUMMARY Count', 'Success'),
  ...rows('worker', 'PeriodicShardSyncManager', [], 'SUMMARY Milliseconds', 'Time'),
  // coordinator/Scheduler
  ...rows('worker', 'Scheduler:Initialize', [], 'SUMMARY Count', 'Initialize.Success'),
  ...rows('several streams', 'MultiStreamTracker', [], 'SUMMARY Count', 'ActiveStreams.Count'),
  ...rows('several streams', 'MultiStreamTracker', [], 'SUMMARY Count', 'StreamsPendingDeletion.Count'),
  ...rows('several streams', 'MultiStreamTracker', [], 'SUMMARY Count', 'DeletedStreams.Count'),
  ...rows('absent', 'MultiStreamTracker', [], 'SUMMARY Count', 'NonExistingStreamDelete.Count'),
  // worker/metricstats/WorkerMetricStatsReporter, WorkerMetricStatsManager
  ...rows('worker', 'WorkerMetricStatsReporter', worker, 'SUMMARY Count', 'Success'),
  ...rows('worker', 'WorkerMetricStatsReporter', worker, 'SUMMARY Milliseconds', 'Time'),
  ...rows('CPU unreadable', 'WorkerMetricStatsReporter', [], 'SUMMARY Count', 'InMemoryMetricStatsReporterFailure'),
  // leader/DynamoDBLockBasedLeaderDecider, MigrationAdaptiveLeaderDecider, coordinator/DeterministicShuffleShardSyncLeaderDecider
  ...rows('worker', 'LeaderDecider', [], 'DETAILED Count', 'LeaderDecider:IsLeader'),
  ...rows('absent', 'LeaderDecider', [], 'DETAILED Count', 'DynamoDBLockBasedLeaderDecider'),
  ...rows('absent', 'LeaderDecider', [], 'DETAILED Count', 'DeterministicShuffleShardSyncLeaderDecider'),
  // coordinator/migration: ClientVersionChangeMonitor, MigrationReadyMonitor, MigrationStateMachineImpl and its states
  ...rows('taking over', 'Migration', [], 'SUMMARY Count', 'CurrentState:3xWorker', 'CurrentState:2xCompatibleWorker'),
  ...rows('taking over', 'Migration', [], 'SUMMARY Count', 'GsiReadyStatus', 'WorkerMetricsReadyStatus'),
  ...rows('going over fails', 'Migration', [], 'SUMMARY Count', 'Fault'),
  // coordinator/migration/TableMigrationStateMachineImpl
  ...rows('absent', 'TableMigration', [], 'SUMMARY None', 'StatusOrdinal'),
  ...rows('absent', 'TableMigration', [], 'SUMMARY Count', 'Phase1Worker', 'Phase2Worker', 'PrePhase1Worker'),
  ...rows('absent', 'TableMigration', [], 'SUMMARY Count', 'ReadFault', 'WriteFault', 'DeleteFault', 'CompletionFault'),
  ...rows('absent', 'TableMigration', [], 'SUMMARY Milliseconds', 'Time'),
  ...rows('absent', 'TableMigrationInitialize', [], 'SUMMARY Count', 'Success', 'ReadFault'),
  ...rows('absent', 'TableMigrationInitialize', [], 'SUMMARY Milliseconds', 'Time'),
  ...rows('absent', 'TableMigrationAsyncMove', [], 'SUMMARY Count', 'BatchCount', 'Success'),
  ...rows('absent', 'TableMigrationAsyncMove', [], 'SUMMARY Milliseconds', 'Time'),
  // coordinator/streamInfo/StreamIdCacheManager
  ...rows('absent', 'StreamIdFetch', [], 'SUMMARY Count', 'Success', 'QueueSize'),
];

/** Of ours, beside the KCL's: what it passes over in silence, or does not have. All are SUMMARY. */
export const ourMetrics: readonly string[] = [
  'CorruptRecords',
  'StrayRecords',
  'DroppedRecords',
  'RecordGaps',
  'RecordsHandedOver',
  'RecordsFilteredOut',
  'WindowsTerminatedEarly',
];

function rows(
  shown: Shown,
  operation: string,
  dimensions: readonly string[],
  levelAndUnit: `${Level} ${Unit}`,
  ...names: string[]
): KclMetric[] {
  const [level, unit] = levelAndUnit.split(' ') as [Level, Unit];
  return names.map((name) => ({ operation, name, unit, level, dimensions, shown }));
}

/** MetricsUtil.addSuccessAndLatency of a call, always DETAILED. */
function calls(shown: Shown, operation: string, dimensions: readonly string[], ...names: string[]): KclMetric[] {
  return names.flatMap((name) => [
    ...rows(shown, operation, dimensions, 'DETAILED Count', `${name}.Success`),
    ...rows(shown, operation, dimensions, 'DETAILED Milliseconds', `${name}.Time`),
  ]);
}

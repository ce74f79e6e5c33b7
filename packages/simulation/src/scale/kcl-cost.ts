// What the Java KCL 3.5 would ask of the lease table for the same fleet at rest, a minute, by the rules of its sources and its
// defaults for a failover time F. A model, not a measurement: what is left out (start-up, clean-up, retries, graceful handoffs)
// makes it cheaper than the real one. Requests and units are those of `table.ts`.
import {
  INDEX_ENTRY_BYTES,
  LEASE_ROW_BYTES,
  PAGE_BYTES,
  READ_UNIT_BYTES,
  type TableUse,
  WORKER_ROW_BYTES,
} from './table.ts';

export interface KclFleet {
  readonly leaseCount: number;
  readonly workerCount: number;
  readonly failoverTimeMs: number;
  /** How often each lease's record processor checkpoints, ms. */
  readonly checkpointEveryMs: number;
}

export interface CostRule {
  readonly what: string;
  /** Class of the KCL, and its interval. */
  readonly source: string;
  readonly use: TableUse;
}

const MINUTE_MS = 60_000;
/** LeaseCoordinator's EPSILON_MS. */
const EPSILON_MS = 25;
const METRIC_REPORT_MS = 30_000;
const LEADER_HEARTBEAT_MS = 30_000;
const AUDIT_MS = 120_000;

export function kclCost({ leaseCount, workerCount, failoverTimeMs, checkpointEveryMs }: KclFleet): CostRule[] {
  const assignmentMs = 2 * failoverTimeMs;
  const leaseBytes = leaseCount * LEASE_ROW_BYTES;
  const tableBytes = leaseBytes + workerCount * WORKER_ROW_BYTES;
  const indexBytes = (leaseCount / workerCount) * INDEX_ENTRY_BYTES;
  return [
    rule(
      'each lease renewed',
      `DynamoDBLeaseRenewer, every F/3 − ${EPSILON_MS} ms`,
      writes(leaseCount / (failoverTimeMs / 3 - EPSILON_MS)),
    ),
    rule(
      'each lease checkpointed, a write of its own',
      `DynamoDBCheckpointer, every ${checkpointEveryMs} ms`,
      writes(leaseCount / checkpointEveryMs),
    ),
    rule(
      'metric row of each worker',
      `WorkerMetricStatsReporter, every ${METRIC_REPORT_MS} ms`,
      writes(workerCount / METRIC_REPORT_MS),
    ),
    rule(
      'heartbeat of the leader',
      `AmazonDynamoDBLockClient, every ${LEADER_HEARTBEAT_MS} ms`,
      writes(1 / LEADER_HEARTBEAT_MS),
    ),
    rule(
      'every other worker looks at the Leader row',
      `DynamoDBLockBasedLeaderDecider, every ${LEADER_HEARTBEAT_MS} ms`,
      reads((workerCount - 1) / LEADER_HEARTBEAT_MS, READ_UNIT_BYTES, 1),
    ),
    rule(
      'the leader scans the table',
      'LeaseAssignmentManager, every 2 F',
      reads(Math.ceil(tableBytes / PAGE_BYTES) / assignmentMs, tableBytes / Math.ceil(tableBytes / PAGE_BYTES), 1),
    ),
    rule(
      'the leader scans the leases for holes',
      `PeriodicShardSyncManager, every ${AUDIT_MS} ms`,
      reads(Math.ceil(leaseBytes / PAGE_BYTES) / AUDIT_MS, leaseBytes / Math.ceil(leaseBytes / PAGE_BYTES), 1),
    ),
    rule(
      'each worker queries the owner index',
      `LeaseDiscoverer, every F − ${EPSILON_MS} ms`,
      reads(workerCount / (assignmentMs / 2 - EPSILON_MS), indexBytes, 0.5),
    ),
  ];
}

export function total(rules: readonly CostRule[]): TableUse {
  const sum = (of: (use: TableUse) => number): number => rules.reduce((all, { use }) => all + of(use), 0);
  return {
    reads: sum(({ reads: it }) => it),
    readUnits: sum(({ readUnits: it }) => it),
    writes: sum(({ writes: it }) => it),
    writeUnits: sum(({ writeUnits: it }) => it),
  };
}

function rule(what: string, source: string, use: TableUse): CostRule {
  return { what, source, use };
}

/** A row of a lease is below 1 kB, and none of these writes changes its owner. */
function writes(perMs: number): TableUse {
  return { reads: 0, readUnits: 0, writes: perMs * MINUTE_MS, writeUnits: perMs * MINUTE_MS };
}

/** @param share 1: consistent, 0.5: eventually. */
function reads(perMs: number, bytesEach: number, share: number): TableUse {
  const units = Math.max(1, Math.ceil(bytesEach / READ_UNIT_BYTES)) * share;
  return { reads: perMs * MINUTE_MS, readUnits: perMs * MINUTE_MS * units, writes: 0, writeUnits: 0 };
}

// The lease table as plain Maps: the simulator's table, and the fake that tests of the runtime use. It holds exactly the
// conditions that `dynamodb.ts` writes as ConditionExpressions; one contract suite runs on both, which is what makes the
// simulation mean anything. It may not wait, read a clock by itself or mutate a row: every write puts a new Lease object,
// so a row once handed out never changes.
import { SHARD_END, systemClock, TRIM_HORIZON } from '@shardline/common';
import type { ClientVersion, ClientVersionRow } from '../coordination/client-version.ts';
import type { ResultOf, TableEffect } from '../coordination/effects.ts';
import type { LeaderRow, Lease, WorkerRow, WorkerSign } from '../coordination/lease.ts';
import type { LeaderWrite, LeaseWrite, Results } from '../coordination/results.ts';
import { type LeaseTable, ownerSwitches } from './lease-table.ts';

export interface MemoryLeaseTableOptions {
  /** Milliseconds since 1970, for worker rows. Default: the system's clock. */
  readonly wallNow?: () => number;
}

type StoredWorker = Omit<WorkerRow, 'workerId' | 'ageMs'> & Partial<Pick<WorkerSign, 'askedBy' | 'answers' | 'leaves'>>;

type Operations = {
  readonly [K in TableEffect['kind']]: (
    table: MemoryLeaseTable,
    effect: Extract<TableEffect, { kind: K }>,
  ) => Results[K];
};

export class MemoryLeaseTable implements LeaseTable {
  /** By lease key. */
  readonly leases: Map<string, Lease> = new Map();
  /** By worker id. */
  readonly workers: Map<string, StoredWorker> = new Map();
  /** When each process first tried to report. */
  readonly processes: Map<string, number> = new Map();
  leader: LeaderRow | undefined = undefined;
  /** A new table is one of the KCL 3.x. */
  versionRow: ClientVersionRow = { version: '3X', modifiedBy: '' };
  readonly wallNow: () => number;

  constructor(options?: MemoryLeaseTableOptions) {
    this.wallNow = options?.wallNow ?? systemClock.wallNow;
  }

  /** Runs one effect at once; what a failed condition means is in the result. */
  apply<E extends TableEffect>(effect: E): ResultOf<E> {
    // The table of operations pairs each kind with its result; TypeScript can't follow that through a type parameter.
    const operation = operations[effect.kind] as unknown as (table: MemoryLeaseTable, effect: E) => ResultOf<E>;
    return operation(this, effect);
  }

  get clientVersion(): ClientVersion {
    return this.versionRow.version;
  }

  async open(): Promise<void> {
    await Promise.resolve();
  }

  async run<E extends TableEffect>(effect: E): Promise<ResultOf<E>> {
    return this.apply(effect);
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}

const operations: Operations = {
  readTable: (table) => ({ leases: [...table.leases.values()], workers: workerRows(table) }),

  discoverLeases: (table, { owner, held, among }) => {
    const leases: Lease[] = [];
    for (const lease of table.leases.values()) {
      const { leaseKey } = lease;
      const isAsked = among === undefined || among.includes(leaseKey);
      if (lease.leaseOwner === owner && isAsked && !held.includes(leaseKey)) leases.push(lease);
    }
    return { leases };
  },

  readLeases: (table, { leaseKeys }) => {
    const leases: Lease[] = [];
    for (const key of leaseKeys) {
      const lease = table.leases.get(key);
      if (lease !== undefined) leases.push(lease);
    }
    return { leases };
  },

  createLease: (table, { lease }) => {
    if (table.leases.has(lease.leaseKey)) return { created: false };
    table.leases.set(lease.leaseKey, lease);
    return { created: true };
  },

  renewLease: (table, { leaseKey, leaseCounter, handoffKnown, beginsAtLatest, throughputKBps }) =>
    write(
      table,
      leaseKey,
      (row) => row.leaseCounter === leaseCounter && (handoffKnown || row.checkpointOwner === undefined),
      (row) => {
        const latestSince = row.latestSince ?? (beginsAtLatest === true ? Math.floor(table.wallNow()) : undefined);
        const { checkpoint, pendingCheckpoint, ownerSwitchesSinceCheckpoint, childShardIds } = row;
        return held(row, {
          checkpoint,
          pendingCheckpoint,
          latestSince,
          ownerSwitchesSinceCheckpoint,
          childShardIds,
          throughputKBps: throughputKBps ?? row.throughputKBps,
        });
      },
    ),

  checkpointLease: (table, { leaseKey, leaseCounter, checkpoint, pendingCheckpoint, childShardIds, throughputKBps }) =>
    write(
      table,
      leaseKey,
      (row) => row.leaseCounter === leaseCounter,
      (row) =>
        held(row, {
          checkpoint: checkpoint ?? row.checkpoint,
          pendingCheckpoint,
          latestSince: checkpoint === undefined ? row.latestSince : undefined,
          ownerSwitchesSinceCheckpoint: checkpoint === undefined ? row.ownerSwitchesSinceCheckpoint : 0,
          // A DynamoDB set can't be empty: no children (the stream is gone) leaves the attribute as it is.
          childShardIds: childShardIds?.length ? childShardIds : row.childShardIds,
          throughputKBps: throughputKBps ?? row.throughputKBps,
        }),
    ),

  assignLease: (table, { leaseKey, seenOwner, seenCheckpointOwner, seenCounter, newOwner }) =>
    write(
      table,
      leaseKey,
      (row) =>
        row.leaseOwner === seenOwner &&
        row.checkpointOwner === seenCheckpointOwner &&
        (seenCounter === undefined || row.leaseCounter === seenCounter),
      (row) => givenTo(row, newOwner),
    ),

  takeLease: (table, { leaseKey, leaseCounter, newOwner }) =>
    write(
      table,
      leaseKey,
      (row) => row.leaseCounter === leaseCounter,
      (row) => givenTo(row, newOwner),
    ),

  handOffLease: (table, { leaseKey, from, to, seenCounter }) =>
    write(
      table,
      leaseKey,
      (row) =>
        row.leaseOwner === from &&
        row.checkpointOwner === undefined &&
        (seenCounter === undefined || row.leaseCounter === seenCounter),
      (row) => ({ ...row, leaseOwner: to, checkpointOwner: from }),
    ),

  evictLease: (table, { leaseKey, seenOwner, seenCounter }) =>
    write(
      table,
      leaseKey,
      (row) =>
        row.leaseOwner === seenOwner &&
        row.checkpointOwner === undefined &&
        (seenCounter === undefined || row.leaseCounter === seenCounter),
      (row) => ({ ...row, leaseOwner: undefined, leaseCounter: row.leaseCounter + 1 }),
    ),

  deleteLease: (table, { leaseKey, onlyEnded, seenCounter, seenCheckpoint }) => {
    const row = table.leases.get(leaseKey);
    if (row === undefined) return { deleted: false };
    const checkpoint = onlyEnded ? SHARD_END : seenCheckpoint;
    const isAsSeen =
      checkpoint === undefined
        ? row.leaseCounter >= seenCounter
        : row.leaseCounter === seenCounter && row.checkpoint.sequenceNumber === checkpoint.sequenceNumber;
    return { deleted: isAsSeen && table.leases.delete(leaseKey) };
  },

  fillLease: (table, { leaseKey, hashKeyRange, childShardIds }) =>
    write(
      table,
      leaseKey,
      (row) =>
        (hashKeyRange === undefined || row.hashKeyRange === undefined) &&
        (childShardIds === undefined || row.childShardIds.length === 0),
      (row) => ({
        ...row,
        hashKeyRange: hashKeyRange ?? row.hashKeyRange,
        childShardIds: childShardIds ?? row.childShardIds,
      }),
    ),

  resetLease: (table, { leaseKey, seenCounter, seenCheckpoint, parentShardIds, hashKeyRange }) =>
    write(
      table,
      leaseKey,
      ({ leaseCounter, checkpoint }) =>
        leaseCounter === seenCounter && checkpoint.sequenceNumber === seenCheckpoint.sequenceNumber,
      ({ latestSince: _, ...row }) => ({
        ...row,
        leaseOwner: undefined,
        leaseCounter: row.leaseCounter + 1,
        checkpointOwner: undefined,
        checkpoint: TRIM_HORIZON,
        pendingCheckpoint: undefined,
        ownerSwitchesSinceCheckpoint: 0,
        parentShardIds,
        childShardIds: [],
        hashKeyRange,
      }),
    ),

  readLeader: (table) => ({ leader: table.leader }),

  writeLeader: (table, { leader, expectedVersion }): LeaderWrite => {
    if (table.leader?.version !== expectedVersion) return { applied: false, leader: table.leader };
    table.leader = leader;
    return { applied: true };
  },

  deleteLeader: (table, { leader }): LeaderWrite => {
    if (table.leader?.owner !== leader.owner || table.leader.version !== leader.version) {
      return { applied: false, leader: table.leader };
    }
    table.leader = undefined;
    return { applied: true };
  },

  reportWorker: (table, { workerId, utilization, processId, over, answers, leaves, declines }) => {
    const row = table.workers.get(workerId);
    const isFree = row === undefined || row.process?.id === processId;
    const isAsSeen =
      row?.process?.id === over?.process?.id &&
      row?.lastUpdateSeconds === over?.lastUpdateSeconds &&
      row?.askedBy === over?.askedBy;
    const lastUpdateSeconds = Math.floor(table.wallNow() / 1000);
    const sinceSeconds = table.processes.get(processId) ?? lastUpdateSeconds;
    table.processes.set(processId, sinceSeconds);
    if (!isFree && !(over !== undefined && isAsSeen)) return { applied: false, sign: signOf(row) };
    const process = { id: processId, sinceSeconds };
    table.workers.set(workerId, { lastUpdateSeconds, utilization, process, supportCode: 1, answers, leaves, declines });
    return { applied: true, process };
  },

  lookAtWorker: (table, { workerId, ask }) => {
    const row = table.workers.get(workerId);
    const stands = row?.askedBy === undefined || row.askedBy === ask?.after;
    if (row !== undefined && ask !== undefined && row.process?.id === ask.of && stands)
      table.workers.set(workerId, { ...row, askedBy: ask.by });
    const seen = table.workers.get(workerId);
    return { sign: seen && signOf(seen) };
  },

  forgetWorker: (table, { workerId, processId }) => {
    if (table.workers.get(workerId)?.process?.id === processId) table.workers.delete(workerId);
    return undefined;
  },

  deleteWorker: (table, { workerId, lastUpdateSeconds }) => ({
    deleted: table.workers.get(workerId)?.lastUpdateSeconds === lastUpdateSeconds && table.workers.delete(workerId),
  }),

  readClientVersion: (table) => ({ row: table.versionRow }),

  changeClientVersion: (table, { from, to, workerId }) => {
    if (table.versionRow.version === from) table.versionRow = { version: to, modifiedBy: workerId };
    return { row: table.versionRow };
  },
};

/** Assigned or taken: the row is the same. */
/** What a holder's write may change beside the counter. */
type HoldersChange = Required<
  Pick<
    Lease,
    | 'checkpoint'
    | 'pendingCheckpoint'
    | 'latestSince'
    | 'ownerSwitchesSinceCheckpoint'
    | 'childShardIds'
    | 'throughputKBps'
  >
>;

/** Field by field: these are most writes of a fleet, and spreading the row took longer than all the rest of one. */
function held(row: Lease, change: HoldersChange): Lease {
  return {
    leaseKey: row.leaseKey,
    streamId: row.streamId,
    shardId: row.shardId,
    leaseOwner: row.leaseOwner,
    leaseCounter: row.leaseCounter + 1,
    checkpointOwner: row.checkpointOwner,
    checkpoint: change.checkpoint,
    pendingCheckpoint: change.pendingCheckpoint,
    latestSince: change.latestSince,
    ownerSwitchesSinceCheckpoint: change.ownerSwitchesSinceCheckpoint,
    parentShardIds: row.parentShardIds,
    childShardIds: change.childShardIds,
    hashKeyRange: row.hashKeyRange,
    throughputKBps: change.throughputKBps,
  };
}

function givenTo(row: Lease, newOwner: string): Lease {
  return {
    ...row,
    leaseOwner: newOwner,
    checkpointOwner: undefined,
    leaseCounter: row.leaseCounter + 1,
    ownerSwitchesSinceCheckpoint: row.ownerSwitchesSinceCheckpoint + ownerSwitches(row, newOwner),
  };
}

function write(
  table: MemoryLeaseTable,
  leaseKey: string,
  condition: (row: Lease) => boolean,
  update: (row: Lease) => Lease,
): LeaseWrite {
  const row = table.leases.get(leaseKey);
  if (row === undefined || !condition(row)) return { applied: false, lease: row };
  const lease = update(row);
  table.leases.set(leaseKey, lease);
  return { applied: true, lease };
}

function signOf({ process, lastUpdateSeconds, askedBy, answers, leaves }: StoredWorker): WorkerSign {
  return { process, lastUpdateSeconds, askedBy, answers, leaves };
}

function workerRows(table: MemoryLeaseTable): WorkerRow[] {
  const now = table.wallNow();
  const rows: WorkerRow[] = [];
  for (const [workerId, row] of table.workers) {
    const { lastUpdateSeconds, utilization, process, movesRows, declines, supportCode } = row;
    const ageMs = now - lastUpdateSeconds * 1000;
    const said = { ...(declines && { declines }), ...(supportCode !== undefined && { supportCode }) };
    const seen = { workerId, lastUpdateSeconds, utilization, process, ageMs, ...said };
    rows.push(movesRows === true ? { ...seen, movesRows } : seen);
  }
  return rows;
}

// The lease table in DynamoDB: every table effect as a write with the conditions of the KCL's DynamoDBLeaseRefresher, written
// as expressions. It decides nothing: a refused condition is a result with the row as it is now, a failure is thrown and never
// says whether the write was applied. `opening.ts` makes the table ready, `rows.ts` knows its rows, `table.ts` calls AWS.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  type Clock,
  type Logger,
  type MetricsSink,
  OperatingError,
  SHARD_END,
  systemClock,
  TRIM_HORIZON,
} from '@shardline/common';
import type { ClientVersion } from '../coordination/client-version.ts';
import type { ResultOf, TableEffect } from '../coordination/effects.ts';
import type { Results } from '../coordination/results.ts';
import { checkBelonging, type FindForeign, type Reads } from './belonging.ts';
import { type ClientVersionConfig, isFor2x, joinFleet } from './client-version.ts';
import { DEFAULT_TABLE_SETTINGS, type TableSettings } from './control.ts';
import {
  checkpointAttributes,
  LATEST_SINCE,
  leaseItem,
  PENDING_ATTRIBUTES,
  pendingAttributes,
  rangeAttributes,
} from './item.ts';
import { Layout, type LayoutTables, type LeaseTableLayout, layoutTables } from './layout.ts';
import { type LeaseTable, ownerSwitches } from './lease-table.ts';
import { LookMetrics } from './look-metrics.ts';
import { openOwnerIndex, openTable } from './opening.ts';
import { checkPermissions } from './permissions.ts';
import { assign, Rows } from './rows.ts';
import type { Values } from './table.ts';

export interface DynamoDBLeaseTableOptions {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  /** The tables of the KCL 3.0 to 3.4. Default: the lease table's name with -CoordinatorState, -WorkerMetricStats. */
  readonly coordinatorStateTableName?: string;
  readonly workerMetricsTableName?: string;
  /** Default `auto`. */
  readonly layout?: LeaseTableLayout;
  /** How tables are made. Default: on demand, and nothing else. */
  readonly settings?: TableSettings;
  /** Default `auto`. */
  readonly clientVersionConfig?: ClientVersionConfig;
  /** Who made the migration row, should this worker be the first. */
  readonly workerId: string;
  /** Where this process runs: written to its metric row, for people. */
  readonly host?: string;
  /** Default 10000. A table of the KCL 2.x is watched for twice as long before it is taken over. */
  readonly failoverTimeMs?: number;
  readonly logger: Logger;
  /** Where looks for leases are counted. Default: nowhere. */
  readonly metrics?: MetricsSink;
  readonly clock?: Clock;
  /** One call, ms. Default 10000. */
  readonly requestTimeoutMs?: number;
  /** Until a new table is ACTIVE, ms. Default 600000, the KCL's. */
  readonly tableTimeoutMs?: number;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
const DEFAULT_FAILOVER_TIME_MS = 10_000;
const DEFAULT_TABLE_TIMEOUT_MS = 600_000;

export class DynamoDBLeaseTable implements LeaseTable {
  readonly #options: DynamoDBLeaseTableOptions;
  readonly #clock: Clock;
  readonly #tables: LayoutTables;
  readonly #layout: Layout;
  readonly #rows: Rows;
  readonly #closing = new AbortController();
  #clientVersion: ClientVersion = '3X';

  constructor(options: DynamoDBLeaseTableOptions) {
    const { client, logger, clock = systemClock } = options;
    const { requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS, failoverTimeMs = DEFAULT_FAILOVER_TIME_MS } = options;
    this.#options = options;
    this.#clock = clock;
    this.#tables = layoutTables(options, { client, clock, requestTimeoutMs });
    this.#layout = new Layout(this.#tables, logger);
    const looks = new LookMetrics({ ...options, clock });
    this.#rows = new Rows(this.#tables.leases, this.#layout, {
      logger,
      clock,
      failoverTimeMs,
      host: options.host,
      looks,
    });
  }

  get clientVersion(): ClientVersion {
    return this.#clientVersion;
  }

  /** What only a hand can mend, a sentence each. */
  get troubles(): string[] {
    return this.#rows.troubles;
  }

  async run<E extends TableEffect>(effect: E): Promise<ResultOf<E>> {
    // The table of operations pairs each kind with its result; TypeScript can't follow that through a type parameter.
    const operation = operations[effect.kind] as unknown as (rows: Rows, effect: E) => Promise<ResultOf<E>>;
    return operation(this.#rows, effect);
  }

  async close(): Promise<void> {
    this.#closing.abort(new OperatingError('CLOSED', 'the lease table was closed', { retryable: false }));
    for (const table of Object.values(this.#tables)) table.close();
    await Promise.resolve();
  }

  /**
   * @throws OperatingError LEASE_TABLE_FORMAT for a table that isn't a lease table, or whose workers of the KCL 2.x live when
   * `clientVersionConfig` or `layout` leave no way to work beside them; ACCESS_DENIED naming the action; LEASE_TABLE_UNAVAILABLE when the table doesn't become usable in time.
   */
  async open(): Promise<void> {
    const { logger, workerId, layout = 'auto', tableTimeoutMs = DEFAULT_TABLE_TIMEOUT_MS } = this.#options;
    const { failoverTimeMs = DEFAULT_FAILOVER_TIME_MS, settings = DEFAULT_TABLE_SETTINGS } = this.#options;
    const { clientVersionConfig = 'auto' } = this.#options;
    const { leases } = this.#tables;
    const opening = { logger, clock: this.#clock, settings, tableTimeoutMs, closing: this.#closing.signal };
    const found = await openTable(leases, 'lease table', opening);
    await this.#layout.open(layout, await isFor2x(leases, clientVersionConfig), opening);
    // Before the index: the table of a fleet that we must not join stays as it is.
    const joining = { ...opening, workerId, failoverTimeMs, clientVersionConfig };
    this.#clientVersion = await joinFleet(leases, this.#rows, this.#layout, joining);
    await openOwnerIndex(leases, found, logger, opening);
  }

  /**
   * Whether this worker may work on the table it has opened, reading that: the table's fleet reads the same, and IAM lets it.
   * @param workerStaleMs the age at which a metric row no longer shows that its worker lives.
   * @param findForeign asks the stream whether leases were written for another one.
   * @throws OperatingError LEASE_TABLE_FORMAT, ACCESS_DENIED naming the action
   */
  async admit(reads: Reads, workerStaleMs: number, findForeign: FindForeign): Promise<void> {
    const { logger, workerId } = this.#options;
    const { leases } = this.#tables;
    const { otherWorkers, leader, worker } = this.#layout;
    const tables = [leases, ...(otherWorkers === undefined ? [] : [otherWorkers])];
    const { wallNow } = this.#rows;
    await checkBelonging(tables, { reads, workerStaleMs, workerId, wallNow, logger, findForeign });
    await checkPermissions(leases, [leader, worker], logger);
    this.#rows.belong({ reads, workerStaleMs });
  }
}

const operations: {
  readonly [K in TableEffect['kind']]: (rows: Rows, effect: Extract<TableEffect, { kind: K }>) => Promise<Results[K]>;
} = {
  readTable: (rows) => rows.scan(),

  discoverLeases: async (rows, { owner, held, among }) => {
    const known = new Set(held);
    await rows.rereadUnreadable();
    const keys = among ?? (await rows.looks.timed('ListLeaseKeysForWorker', () => rows.queryOwner(owner)));
    if (keys === undefined)
      return { leases: (await rows.scanNow(owner)).filter((lease) => !known.has(lease.leaseKey)) };
    const fresh = keys.filter((key) => !known.has(key));
    const leases = await rows.looks.timed('FetchNewLeases', () => rows.getLeases(fresh));
    // The index lags behind the table.
    const ours = leases.filter((lease) => lease.leaseOwner === owner);
    if (among === undefined) rows.looks.mismatched(leases.length - ours.length);
    return { leases: ours };
  },

  readLeases: async (rows, { leaseKeys }) => ({ leases: await rows.getReadableLeases(leaseKeys) }),

  createLease: async (rows, { lease }) => ({
    created: await rows.create({ ...leaseItem(lease), entityType: { S: 'LEASE' } }),
  }),

  renewLease: (rows, { beginsAtLatest, ...renewal }) =>
    rows.renew(beginsAtLatest === true ? { ...renewal, latestSince: rows.wallNow } : renewal),

  checkpointLease: (rows, effect) => {
    const { leaseKey, leaseCounter, checkpoint, pendingCheckpoint, childShardIds, throughputKBps } = effect;
    const pending = pendingCheckpoint === undefined ? {} : pendingAttributes(pendingCheckpoint);
    const { assignments, values } = assign({
      ...(checkpoint && { ...checkpointAttributes(checkpoint), ownerSwitchesSinceCheckpoint: { N: '0' } }),
      ...pending,
      // A set can't be empty.
      ...(childShardIds?.length ? { childShardIds: { SS: [...childShardIds] } } : {}),
      ...(throughputKBps === undefined ? {} : { throughputKBps: { N: String(throughputKBps) } }),
    });
    const removed: string[] = PENDING_ATTRIBUTES.filter((name) => !(name in pending));
    if (checkpoint !== undefined) removed.push(LATEST_SINCE);
    return rows.update(
      leaseKey,
      'leaseCounter = :counter',
      `SET leaseCounter = :next, ${assignments}${removed.length > 0 ? ` REMOVE ${removed.join(', ')}` : ''}`,
      { ...counters(leaseCounter), ...values },
    );
  },

  assignLease: (rows, { leaseKey, seenOwner, seenCheckpointOwner, seenCounter, newOwner }) => {
    const owner = seenAs('leaseOwner', seenOwner);
    const checkpointOwner = seenAs('checkpointOwner', seenCheckpointOwner);
    const switches = ownerSwitches({ leaseOwner: seenOwner, checkpointOwner: seenCheckpointOwner }, newOwner);
    const counter = counterAs(seenCounter);
    return rows.update(
      leaseKey,
      `attribute_exists(#key) AND ${owner.condition} AND ${checkpointOwner.condition}${counter.condition}`,
      'SET leaseOwner = :newOwner REMOVE checkpointOwner ADD leaseCounter :one, ownerSwitchesSinceCheckpoint :switches',
      {
        ...owner.values,
        ...checkpointOwner.values,
        ...counter.values,
        ':newOwner': { S: newOwner },
        ':one': { N: '1' },
        ':switches': { N: String(switches) },
      },
    );
  },

  takeLease: (rows, { leaseKey, leaseCounter, seenOwner, seenCheckpointOwner, newOwner }) => {
    const switches = ownerSwitches({ leaseOwner: seenOwner, checkpointOwner: seenCheckpointOwner }, newOwner);
    return rows.update(
      leaseKey,
      'leaseCounter = :counter',
      'SET leaseOwner = :newOwner, leaseCounter = :next REMOVE checkpointOwner ADD ownerSwitchesSinceCheckpoint :switches',
      { ...counters(leaseCounter), ':newOwner': { S: newOwner }, ':switches': { N: String(switches) } },
    );
  },

  handOffLease: (rows, { leaseKey, from, to, seenCounter }) => {
    const counter = counterAs(seenCounter);
    return rows.update(
      leaseKey,
      `leaseOwner = :from AND attribute_not_exists(checkpointOwner)${counter.condition}`,
      'SET leaseOwner = :to, checkpointOwner = :from',
      { ':from': { S: from }, ':to': { S: to }, ...counter.values },
    );
  },

  evictLease: (rows, { leaseKey, seenOwner, seenCounter }) => {
    const counter = counterAs(seenCounter);
    return rows.update(
      leaseKey,
      `leaseOwner = :owner AND attribute_not_exists(checkpointOwner)${counter.condition}`,
      'REMOVE leaseOwner ADD leaseCounter :one',
      { ':owner': { S: seenOwner }, ':one': { N: '1' }, ...counter.values },
    );
  },

  deleteLease: async (rows, { leaseKey, onlyEnded, seenCounter, seenCheckpoint }) => {
    const seen = { ':seenCounter': { N: String(seenCounter) } };
    const checkpoint = onlyEnded ? SHARD_END : seenCheckpoint;
    if (checkpoint === undefined) return { deleted: await rows.delete(leaseKey, 'leaseCounter >= :seenCounter', seen) };
    const values = { ...seen, ':seen': checkpointAttributes(checkpoint).checkpoint };
    return { deleted: await rows.delete(leaseKey, 'checkpoint = :seen AND leaseCounter = :seenCounter', values) };
  },

  fillLease: (rows, { leaseKey, hashKeyRange, childShardIds }) => {
    const { assignments, values } = assign({
      ...(hashKeyRange && rangeAttributes(hashKeyRange)),
      ...(childShardIds && { childShardIds: { SS: [...childShardIds] } }),
    });
    const absent = [
      ...(hashKeyRange ? ['attribute_not_exists(startingHashKey)'] : []),
      ...(childShardIds ? ['attribute_not_exists(childShardIds)'] : []),
    ];
    return rows.update(leaseKey, ['attribute_exists(#key)', ...absent].join(' AND '), `SET ${assignments}`, values);
  },

  resetLease: (rows, { leaseKey, seenCounter, seenCheckpoint, parentShardIds, hashKeyRange }) => {
    const parents = parentShardIds.length === 0 ? {} : { parentShardId: { SS: [...parentShardIds] } };
    const { assignments, values } = assign({
      ...checkpointAttributes(TRIM_HORIZON),
      ...rangeAttributes(hashKeyRange),
      ...parents,
      ownerSwitchesSinceCheckpoint: { N: '0' },
    });
    const old = ['leaseOwner', 'checkpointOwner', 'childShardIds', LATEST_SINCE, ...PENDING_ATTRIBUTES];
    if (parentShardIds.length === 0) old.push('parentShardId');
    const seen = { ':seen': checkpointAttributes(seenCheckpoint).checkpoint };
    return rows.update(
      leaseKey,
      'leaseCounter = :counter AND checkpoint = :seen',
      `SET leaseCounter = :next, ${assignments} REMOVE ${old.join(', ')}`,
      { ...counters(seenCounter), ...values, ...seen },
    );
  },

  readLeader: async (rows) => ({ leader: await rows.getLeader() }),

  writeLeader: (rows, { leader, expectedVersion }) =>
    expectedVersion === undefined
      ? rows.updateLeader(leader, 'attribute_not_exists(#key)', {})
      : rows.updateLeader(leader, 'recordVersionNumber = :expected', { ':expected': { S: expectedVersion } }),

  deleteLeader: async (rows, { leader }) =>
    (await rows.deleteLeader(leader)) ? { applied: true } : { applied: false, leader: await rows.getLeader() },

  reportWorker: (rows, report) => rows.updateWorker(report),

  lookAtWorker: async (rows, look) => ({ sign: await rows.lookAtWorker(look) }),

  forgetWorker: async (rows, forget) => {
    await rows.forgetWorker(forget);
    return undefined;
  },

  deleteWorker: async (rows, { workerId, lastUpdateSeconds }) => ({
    deleted: await rows.deleteWorker(workerId, lastUpdateSeconds),
  }),

  readClientVersion: async (rows) => ({ row: await rows.getClientVersion() }),

  changeClientVersion: async (rows, change) => ({ row: await rows.changeClientVersion(change) }),
};

function counters(leaseCounter: number): Values {
  return { ':counter': { N: String(leaseCounter) }, ':next': { N: String(leaseCounter + 1) } };
}

/** The condition, after others, that the counter still is as it was seen; none where it was not. */
function counterAs(seen: number | undefined): { condition: string; values: Values } {
  if (seen === undefined) return { condition: '', values: {} };
  return { condition: ' AND leaseCounter = :seenCounter', values: { ':seenCounter': { N: String(seen) } } };
}

/** The condition that an attribute is still as it was seen: with that value, or absent. */
function seenAs(name: string, seen: string | undefined): { condition: string; values: Values } {
  if (seen === undefined) return { condition: `attribute_not_exists(${name})`, values: {} };
  return { condition: `${name} = :seen_${name}`, values: { [`:seen_${name}`]: { S: seen } } };
}

// Who owns what in the whole fleet, by the rows of its lease table: for a command, a probe or a dashboard that has no worker running. It writes
// nothing, makes no table and asks nobody but DynamoDB; where rows stand beside the lease table (KCL 3.0 to 3.4) they are read there.
// Invariant: no clocks are compared to call anybody silent: that is how long this reader saw a counter stand still.
import {
  type Clock,
  checkNames,
  createDynamoDBClient,
  formatExtended,
  regionOf,
  systemClock,
  UsageError,
} from '@shardline/common';
import type { ConsumerOptions } from './consumer-options.ts';
import { actualOwner, isEnded, type LeaderRow, type Lease, type WorkerRow } from './coordination/lease.ts';
import { type Item, LEADER_KEY, type Row, readRow, TABLE_MIGRATION_KEY } from './lease-table/item.ts';
import { hasMoved, type LayoutTables, layoutTables } from './lease-table/layout.ts';
import { isNotFound, type Table } from './lease-table/table.ts';

export interface FleetReaderOptions {
  /** As the consumers have it: the lease table's name, unless `tableName` says another. One of the two is needed. */
  readonly application?: string;
  readonly tableName?: string;
  /** The tables of the KCL 3.0 to 3.4. Default: the lease table's name with -CoordinatorState, -WorkerMetricStats. */
  readonly coordinatorStateTableName?: string;
  readonly workerMetricsTableName?: string;
  /** Default: one from the environment, ended by `close`. */
  readonly dynamoDBClient?: NonNullable<ConsumerOptions['dynamoDBClient']>;
  /** One call, ms. Default 10000. */
  readonly dynamoDBRequestTimeoutMs?: number;
  /** For tests. */
  readonly clock?: Clock;
}

const optionNames: readonly (keyof FleetReaderOptions)[] = [
  'application',
  'tableName',
  'coordinatorStateTableName',
  'workerMetricsTableName',
  'dynamoDBClient',
  'dynamoDBRequestTimeoutMs',
  'clock',
];

/** Plain data, fit for JSON. */
export interface FleetView {
  readonly tableName: string;
  readonly readAt: Date;
  /** Undefined: nobody leads, or its row cannot be read. */
  readonly leader: FleetLeader | undefined;
  /** By their keys, finished ones too. */
  readonly leases: readonly FleetLease[];
  /** By their ids: all that have a metric row, live or not. Workers of the KCL 2.x have none. */
  readonly workers: readonly FleetWorker[];
  /** Rows that cannot be read, and why. */
  readonly unreadable: readonly { readonly key: string; readonly reason: string }[];
}

export interface FleetLeader {
  readonly workerId: string;
  /** Without a heartbeat for so long, another worker takes the row. */
  readonly leaseDurationMs: number;
  /** As of a lease: for how long this reader has seen no heartbeat. */
  readonly silentMs: number;
}

export interface FleetLease {
  readonly leaseKey: string;
  /** `account:name:epoch`; undefined in an application that reads one stream. */
  readonly streamId: string | undefined;
  readonly shardId: string;
  /** Who reads it, also while it is being handed off; undefined: nobody. */
  readonly owner: string | undefined;
  /** Who gets it next, while a handoff is under way. */
  readonly handingOffTo: string | undefined;
  /** A sequence number with `:sub`, or a sentinel. */
  readonly checkpoint: string;
  readonly pendingCheckpoint: string | undefined;
  /** At SHARD_END. */
  readonly hasEnded: boolean;
  readonly leaseCounter: number;
  /** Since when this reader sees this counter, by its clock; and for how long, ms: 0 at first sight. A holder writes every third of `failoverTimeMs`. */
  readonly counterSeenAt: Date;
  readonly silentMs: number;
  /** As its holder measured it last. */
  readonly throughputKBps: number | undefined;
}

export interface FleetWorker {
  readonly workerId: string;
  /** By its own clock, in whole seconds. */
  readonly reportedAt: Date;
  /** For how long this reader has seen no report: 0 at first sight. One of ours reports every `workerMetricsReportIntervalMs`. */
  readonly silentMs: number;
  /** Of the leases, how many it owns that have not ended. */
  readonly leaseCount: number;
  /** By metric (`C` is CPU) its last figures, percent; none: it measures nothing. */
  readonly utilization: Readonly<Record<string, readonly number[]>>;
  /** Where it runs, as it says; undefined: a Java worker, which does not. */
  readonly host: string | undefined;
  readonly isShardline: boolean;
  /** As in `ConsumerView`. */
  readonly declines: 'all' | readonly string[] | undefined;
}

interface Sight {
  readonly version: string;
  readonly at: number;
}

interface Rows {
  readonly leases: Lease[];
  readonly workers: Map<string, WorkerRow>;
  readonly unreadable: { readonly key: string; readonly reason: string }[];
  leader: LeaderRow | undefined;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;

/**
 * Reads the fleet of an application by its lease table. Each `read` is a scan; a reader that is kept knows more with the second one: who stands still.
 *
 * ```ts
 * await using fleet = new FleetReader({ application: 'billing' });
 * console.table((await fleet.read()).leases);
 * ```
 */
export class FleetReader implements AsyncDisposable {
  readonly #tables: LayoutTables;
  readonly #client: NonNullable<ConsumerOptions['dynamoDBClient']>;
  readonly #ownsClient: boolean;
  readonly #clock: Clock;
  /** By the row, from the reading before. */
  #sights = new Map<string, Sight>();

  /** @throws UsageError without an application and a table. */
  constructor(options: FleetReaderOptions) {
    checkNames(options, optionNames);
    const tableName = options.tableName ?? options.application;
    if (typeof tableName !== 'string' || tableName === '')
      throw new UsageError('application', 'the name of an application, or a tableName', String(tableName));
    const { dynamoDBRequestTimeoutMs: requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS } = options;
    this.#clock = options.clock ?? systemClock;
    this.#ownsClient = options.dynamoDBClient === undefined;
    this.#client = options.dynamoDBClient ?? createDynamoDBClient();
    const { coordinatorStateTableName, workerMetricsTableName } = options;
    const names = { tableName, coordinatorStateTableName, workerMetricsTableName };
    this.#tables = layoutTables(names, { client: this.#client, clock: this.#clock, requestTimeoutMs });
  }

  /**
   * Looks at all rows, read consistently, page by page: what changes meanwhile may be seen or not.
   * @throws UsageError where the client has no region; OperatingError LEASE_TABLE_UNAVAILABLE where there is no such table or it does not answer; ACCESS_DENIED naming action and table
   * (Scan of the tables there are, GetItem of that of coordinator states, which is asked for also where there is none); THROTTLED and others.
   */
  async read(): Promise<FleetView> {
    const rows: Rows = { leases: [], workers: new Map(), unreadable: [], leader: undefined };
    const { leases, states, metrics } = this.#tables;
    await regionOf('dynamoDBClient', this.#client);
    await this.#scan(leases, rows);
    if (await this.#areBeside(states)) {
      // Until the move is complete the one that counts stands there.
      rows.leader = undefined;
      const item = await states.get(LEADER_KEY);
      if (item !== undefined) this.#take(readRow(item, this.#clock.wallNow()), rows);
      await this.#scan(metrics, rows).catch(passNotFound);
    }
    return this.#view(rows);
  }

  async close(): Promise<void> {
    for (const table of Object.values(this.#tables)) table.close();
    if (this.#ownsClient) this.#client.destroy();
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Whether rows stand beside the lease table, in the tables of the KCL 3.0 to 3.4. */
  async #areBeside(states: Table): Promise<boolean> {
    try {
      return !hasMoved(await states.get(TABLE_MIGRATION_KEY));
    } catch (error) {
      passNotFound(error);
      return false;
    }
  }

  async #scan(table: Table, rows: Rows): Promise<void> {
    for await (const page of table.scan())
      for (const item of page) this.#take(readRow(item as Item, this.#clock.wallNow()), rows);
  }

  #take(row: Row, rows: Rows): void {
    if (row.kind === 'lease') rows.leases.push(row.lease);
    else if (row.kind === 'leader') rows.leader = row.leader;
    else if (row.kind === 'unreadable') rows.unreadable.push({ key: row.key, reason: row.reason });
    else if (row.kind === 'worker') {
      // One that was started anew in the middle of a move may have a row in either table.
      const other = rows.workers.get(row.worker.workerId);
      if (other === undefined || other.lastUpdateSeconds < row.worker.lastUpdateSeconds)
        rows.workers.set(row.worker.workerId, row.worker);
    }
  }

  #view({ leases, workers, unreadable, leader }: Rows): FleetView {
    const now = this.#clock.now();
    const wallNow = this.#clock.wallNow();
    const before = this.#sights;
    const sights = new Map<string, Sight>();
    const silentMs = (row: string, version: string): number => {
      const last = before.get(row);
      const sight = last?.version === version ? last : { version, at: now };
      sights.set(row, sight);
      return now - sight.at;
    };
    const counts = new Map<string, number>();
    for (const lease of leases) {
      const owner = actualOwner(lease);
      if (owner !== undefined && !isEnded(lease)) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    const view: FleetView = {
      tableName: this.#tables.leases.name,
      readAt: new Date(wallNow),
      leader:
        leader === undefined || leader.released
          ? undefined
          : {
              workerId: leader.owner,
              leaseDurationMs: leader.leaseDurationMs,
              silentMs: silentMs('leader', `${leader.owner} ${leader.version}`),
            },
      leases: leases.sort(by(({ leaseKey }) => leaseKey)).map((lease) => {
        const forMs = silentMs(`lease ${lease.leaseKey}`, `${actualOwner(lease)} ${lease.leaseCounter}`);
        return leaseOf(lease, forMs, new Date(wallNow - forMs));
      }),
      workers: [...workers.values()].sort(by(({ workerId }) => workerId)).map((worker) => {
        const version = `${worker.process?.id} ${worker.lastUpdateSeconds}`;
        return workerOf(worker, silentMs(`worker ${worker.workerId}`, version), counts.get(worker.workerId) ?? 0);
      }),
      unreadable,
    };
    this.#sights = sights;
    return view;
  }
}

function leaseOf(lease: Lease, silentMs: number, counterSeenAt: Date): FleetLease {
  const { leaseKey, streamId, shardId, checkpoint, pendingCheckpoint, leaseCounter, throughputKBps } = lease;
  return {
    leaseKey,
    streamId,
    shardId,
    owner: actualOwner(lease),
    handingOffTo: lease.checkpointOwner === undefined ? undefined : lease.leaseOwner,
    checkpoint: formatExtended(checkpoint),
    pendingCheckpoint: pendingCheckpoint && formatExtended(pendingCheckpoint.position),
    hasEnded: isEnded(lease),
    leaseCounter,
    counterSeenAt,
    silentMs,
    throughputKBps,
  };
}

function workerOf(worker: WorkerRow, silentMs: number, leaseCount: number): FleetWorker {
  const { workerId, lastUpdateSeconds, utilization, process, declines } = worker;
  return {
    workerId,
    reportedAt: new Date(lastUpdateSeconds * 1_000),
    silentMs,
    leaseCount,
    utilization: utilization.stats,
    host: process?.host,
    isShardline: process !== undefined,
    declines,
  };
}

function by<T>(keyOf: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0);
}

function passNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

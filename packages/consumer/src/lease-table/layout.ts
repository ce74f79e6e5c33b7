// Where the rows stand that are not leases: in the lease table (KCL 3.5) or in two tables beside it (KCL 3.0 to 3.4, and a
// fleet of 3.5 that came from them, until its leader has moved all rows and written COMPLETE to the row TableMigration3.5).
// Only a Java leader moves rows; this file follows. What is written goes to where this worker's start found it should
// (KCL CoordinatorStateDAO), but once COMPLETE nobody looks at the other tables any more, so neither do we.
// Invariant: until COMPLETE the one `Leader` row of a fleet stands in the table of coordinator states, after it in the lease table.
import { type Logger, OperatingError } from '@shardline/common';
import { createTable, DEFAULT_TABLE_SETTINGS, describeTable, type TableSettings } from './control.ts';
import { CLIENT_VERSION_KEY, type Item, LEADER_KEY, TABLE_MIGRATION_KEY, type WrittenItem } from './item.ts';
import { badFormat, deniedFor, type OpeningOptions, openTable, unavailable } from './opening.ts';
import { isNotFound, Table, type TableOptions } from './table.ts';

/**
 * `auto`: as the tables say. `single`: rows go to the lease table, which a fleet of three tables must be ready for (the KCL's
 * `migrateAllEntitiesToLeaseTable`). `three`: they go to the tables beside it, which are made if they are not there.
 */
export type LeaseTableLayout = 'auto' | 'single' | 'three';

export interface LayoutTables {
  readonly leases: Table;
  readonly states: Table;
  readonly metrics: Table;
}

/** The `tm` of the row TableMigration3.5. `NONE`: no row. */
type Migration = (typeof migrations)[number] | 'NONE';

const migrations = ['INIT', 'DEPLOYED', 'PENDING', 'COMPLETE'] as const;
const PREFIX = 'TABLE_MIGRATION_STATUS_';

export interface TableNames {
  /** The lease table's. */
  readonly tableName: string;
  /** Of the KCL 3.0 to 3.4. Default: the lease table's name and `-CoordinatorState`, `-WorkerMetricStats`. */
  readonly coordinatorStateTableName?: string | undefined;
  readonly workerMetricsTableName?: string | undefined;
}

/** The tables that an application may have, by their names; nothing is asked of them yet. */
export function layoutTables(
  {
    tableName,
    coordinatorStateTableName = `${tableName}-CoordinatorState`,
    workerMetricsTableName = `${tableName}-WorkerMetricStats`,
  }: TableNames,
  options: Omit<TableOptions, 'name' | 'keyName'>,
): LayoutTables {
  return {
    leases: new Table({ ...options, name: tableName, keyName: 'leaseKey' }),
    states: new Table({ ...options, name: coordinatorStateTableName, keyName: 'key' }),
    metrics: new Table({ ...options, name: workerMetricsTableName, keyName: 'wid' }),
  };
}

/** @param row TableMigration3.5. @returns whether all rows are in the lease table. */
export function hasMoved(row: Item | undefined): boolean {
  return row?.['tm']?.S === `${PREFIX}COMPLETE`;
}

export class Layout {
  readonly #tables: LayoutTables;
  readonly #logger: Logger;
  /** Whether rows may stand beside the lease table. */
  #isSpread = false;
  /** Whether our own go there. */
  #writesBeside = false;
  #hasMetricsTable = false;
  #settings: TableSettings = DEFAULT_TABLE_SETTINGS;

  constructor(tables: LayoutTables, logger: Logger) {
    this.#tables = tables;
    this.#logger = logger;
  }

  /**
   * Finds out where rows stand, and says so in one line.
   * @param forWorkersOf2x workers of the KCL 1.x or 2.x may use the table; they fail on every row of it that is no lease.
   * @throws OperatingError LEASE_TABLE_FORMAT when the tables contradict `asked`.
   */
  async open(asked: LeaseTableLayout, forWorkersOf2x: boolean, opening: OpeningOptions): Promise<void> {
    const { leases, states, metrics } = this.#tables;
    const found = await this.#mayHaveStates();
    const wanted = asked === 'auto' && !found && forWorkersOf2x ? 'three' : asked;
    const isSpread = found || (wanted === 'three' && (await this.#mayBeMade()));
    this.#settings = opening.settings;
    if (isSpread) await openTable(states, 'table of coordinator states', opening);
    const migration = isSpread ? await this.#migration() : 'COMPLETE';
    this.#check(wanted, isSpread, migration);
    this.#isSpread = migration !== 'COMPLETE';
    this.#writesBeside = this.#isSpread && (wanted === 'auto' ? migration !== 'PENDING' : wanted === 'three');
    if (this.#writesBeside) await openTable(metrics, 'table of worker metrics', opening);
    this.#hasMetricsTable = this.#isSpread && (this.#writesBeside || (await describeTable(metrics)) !== undefined);
    const fields = {
      table: leases.name,
      layout: this.#isSpread ? 'three' : 'single',
      ...(isSpread && { coordinatorStateTable: states.name, workerMetricsTable: metrics.name, migration }),
      writesTo: this.#writesBeside ? 'three' : 'single',
    };
    this.#logger.info(fields, 'found the layout of the lease table');
  }

  /** Whether rows are on their way, or could be, from three tables into one. */
  get isSpread(): boolean {
    return this.#isSpread;
  }

  /** Where the `Leader` row stands. */
  get leader(): Table {
    return this.#isSpread ? this.#tables.states : this.#tables.leases;
  }

  /** Where this worker's metric row goes. */
  get worker(): Table {
    return this.#isSpread && this.#writesBeside ? this.#tables.metrics : this.#tables.leases;
  }

  /** Where other workers' metric rows may stand, beside the lease table. */
  get otherWorkers(): Table | undefined {
    return this.#isSpread && this.#hasMetricsTable ? this.#tables.metrics : undefined;
  }

  /** A row of the fleet's state. Until the move is complete the table of states is asked first. */
  async getState(key: string): Promise<Item | undefined> {
    return (await this.findState(key))?.item;
  }

  /** The same, with the table that it stands in. */
  async findState(key: string): Promise<{ readonly table: Table; readonly item: Item } | undefined> {
    const { leases, states } = this.#tables;
    if (this.#isSpread) {
      const item = await states.get(key).catch(async (error: unknown) => {
        if (!isNotFound(error)) throw error;
        await this.abandon(states);
        return undefined;
      });
      if (item !== undefined) return { table: states, item };
    }
    const item = await leases.get(key);
    return item && { table: leases, item };
  }

  /** Whether nothing but leases stands in the lease table, and what we write does not change that. */
  get leavesLeasesAlone(): boolean {
    return this.#isSpread && this.#writesBeside;
  }

  /** False: it was there. */
  async putState(item: WrittenItem): Promise<boolean> {
    const { leases, states } = this.#tables;
    return (this.#isSpread && this.#writesBeside ? states : leases).put(item);
  }

  /** Looks whether the move has become complete, and follows it. */
  async follow(): Promise<void> {
    if (!this.#isSpread || (await this.#migration()) !== 'COMPLETE') return;
    this.#isSpread = false;
    this.#logger.info({ table: this.#tables.leases.name }, 'the move from three tables to one is complete');
  }

  /**
   * Runs `call` on the table that `pick` names. Once the move is complete the old tables may be deleted at any time: then it is
   * run again, on the table that is picked now.
   */
  async on<T>(pick: () => Table, call: (table: Table) => Promise<T>): Promise<T> {
    const table = pick();
    try {
      return await call(table);
    } catch (error) {
      if (!isNotFound(error) || table === this.#tables.leases) throw error;
      await this.abandon(table);
      return await call(pick());
    }
  }

  /** A table beside the lease table is gone, which is as it should be once the move is complete. @throws OperatingError if it is not */
  async abandon(table: Table): Promise<void> {
    await this.follow();
    if (!this.#isSpread) return;
    // An operator who rolls a fleet back to the KCL 2.x deletes the table of metrics (KclMigrationTool of the KCL 3.0 to 3.4).
    const isMadeAnew = table === this.#tables.metrics && (await createTable(table, false, this.#settings));
    const what = isMadeAnew ? 'was gone, and is made anew' : 'is gone';
    throw unavailable(table, `${what}, but the fleet has not moved its rows into the lease table`);
  }

  /** Whether there is a table of states. */
  async #mayHaveStates(): Promise<boolean> {
    try {
      return (await describeTable(this.#tables.states)) !== undefined;
    } catch (error) {
      throw deniedFor(
        error,
        'Whether there is such a table tells where the Leader row of the fleet stands (it does in fleets of the KCL 3.0 to 3.4): ' +
          'allow this action on that name, even if there is none',
      );
    }
  }

  async #migration(): Promise<Migration> {
    const { leases, states } = this.#tables;
    let row: Item | undefined;
    try {
      row = await states.get(TABLE_MIGRATION_KEY);
    } catch (error) {
      // Once the move is complete, the table may be deleted.
      if (!isNotFound(error)) throw error;
      row = await leases.get(TABLE_MIGRATION_KEY);
      if (row === undefined) throw error;
    }
    if (row === undefined) return 'NONE';
    const text = row['tm']?.S ?? '';
    const migration = migrations.find((it) => text === PREFIX + it);
    if (migration !== undefined) return migration;
    throw badFormat(states, `a row ${TABLE_MIGRATION_KEY} with tm ${PREFIX}${migrations.join('|')}`, text || 'no tm');
  }

  /** A fleet that keeps its rows in the lease table must not be given a second `Leader` row. */
  async #mayBeMade(): Promise<true> {
    const { leases } = this.#tables;
    for (const key of [CLIENT_VERSION_KEY, LEADER_KEY]) {
      if ((await leases.get(key)) === undefined) continue;
      throw this.#contradiction('three', `a fleet with one table: there is a row ${key} in ${leases.name}`);
    }
    return true;
  }

  #check(wanted: LeaseTableLayout, isSpread: boolean, migration: Migration): void {
    if (wanted === 'three' && migration === 'COMPLETE') {
      throw this.#contradiction(wanted, 'a fleet that has moved to one table');
    }
    if (wanted === 'single' && isSpread && (migration === 'NONE' || migration === 'INIT')) {
      const got = `three tables and a fleet that is not ready to move (${TABLE_MIGRATION_KEY} ${migration})`;
      throw this.#contradiction(wanted, `${got}: begin with 'auto', and with 'single' once it is DEPLOYED`);
    }
  }

  #contradiction(wanted: LeaseTableLayout, got: string): OperatingError {
    const text = `table ${this.#tables.states.name}: expected leaseTableLayout '${wanted}', got ${got}`;
    return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
  }
}

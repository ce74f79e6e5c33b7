// The rows of a lease table, read into what the core knows and written from it. Rows that can't be read are told of (unreadable.ts)
// and passed over; attributes that we don't know stay untouched, since every update names what it sets.
import type { Clock, Logger } from '@shardline/common';
import type { ClientVersionRow } from '../coordination/client-version.ts';
import type { ChangeClientVersion, ForgetWorker, LookAtWorker, ReportWorker } from '../coordination/effects.ts';
import type { LeaderRow, Lease, WorkerRow, WorkerSign } from '../coordination/lease.ts';
import type { LeaderWrite, LeaseWrite, Results } from '../coordination/results.ts';
import { anotherApplication, type BelongingOptions, describeReads, readsTheSame } from './belonging.ts';
import { changeVersion, readVersion } from './client-version.ts';
import { Ids } from './ids.ts';
import {
  ASKED_BY_PATH,
  type Item,
  LEADER_KEY,
  leaderItem,
  movesRows,
  PROCESS_PATH,
  readRow,
  readSign,
  type WrittenItem,
  type WrittenValue,
  workerItem,
} from './item.ts';
import type { Layout } from './layout.ts';
import type { LookMetrics } from './look-metrics.ts';
import { badFormat, isDenied, unavailable } from './opening.ts';
import { type Renewal, Renewals } from './renewals.ts';
import { isNotFound, OWNER_INDEX, type Table, type Values, type Write } from './table.ts';
import { UnreadableRows } from './unreadable.ts';

/** Between two looks for leases of ours while there is no index, unless that is too late: half of the KCL's default of leaseAssignmentIntervalMillis. */
const SCAN_INTERVAL_MS = 10_000;
/** A lease that was given to us expires after `failoverTimeMs`; so many looks fall into that time. */
const SCANS_BEFORE_EXPIRY = 3;
/** Rows read at once within one effect. */
const CONCURRENT_READS = 16;
/** Rows that could not be read and that are read again with a look for leases. */
const MOST_REREAD = 16;

const NOBODY_LEADS = `Nobody leads while it is so. Delete the row ${LEADER_KEY}: unlike a lease's it holds no position, and whoever looks first writes it anew`;

export interface RowsOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly failoverTimeMs: number;
  /** Where this process runs, for people. */
  readonly host?: string | undefined;
  readonly looks: LookMetrics;
}

/** What a row that was asked for by its key holds. */
interface AskedRow {
  readonly lease: Lease | undefined;
  readonly unreadable: boolean;
}

export class Rows {
  readonly looks: LookMetrics;
  readonly #table: Table;
  readonly #layout: Layout;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #host: string | undefined;
  readonly #scanIntervalMs: number;
  readonly #unreadable: UnreadableRows;
  readonly #renewals: Renewals;
  readonly #ids = new Ids();
  #rereadAt = Number.NEGATIVE_INFINITY;
  #hasWarnedOfIndex = false;
  #scannedAt = Number.NEGATIVE_INFINITY;
  /** After a refusal. */
  #queryAgainAt = Number.NEGATIVE_INFINITY;
  /** When each process first reported; one, outside of tests. */
  readonly #since = new Map<string, number>();
  /** Undefined: not said yet. */
  #belonging: Pick<BelongingOptions, 'reads' | 'workerStaleMs'> | undefined;

  constructor(table: Table, layout: Layout, { logger, clock, failoverTimeMs, host, looks }: RowsOptions) {
    this.looks = looks;
    this.#host = host;
    this.#scanIntervalMs = Math.min(SCAN_INTERVAL_MS, failoverTimeMs / SCANS_BEFORE_EXPIRY);
    this.#table = table;
    this.#layout = layout;
    this.#logger = logger;
    this.#clock = clock;
    this.#unreadable = new UnreadableRows(table.name, { logger, clock });
    this.#renewals = new Renewals(table, { logger, clock });
  }

  /** Why shards are not read whose rows cannot be understood. */
  get troubles(): string[] {
    return this.#unreadable.reasons();
  }

  /** This worker reads that, says so in its row, and refuses a table on which a worker of another application lives. */
  belong(belonging: Pick<BelongingOptions, 'reads' | 'workerStaleMs'>): void {
    this.#belonging = belonging;
  }

  /** Whole milliseconds since 1970. */
  get wallNow(): number {
    return Math.floor(this.#clock.wallNow());
  }

  // --- leases ---

  /** False: it was there. */
  create(item: WrittenItem): Promise<boolean> {
    return this.#table.put(item);
  }

  /** Those that are there and can be read. */
  async getLeases(leaseKeys: readonly string[]): Promise<Lease[]> {
    const rows = await mapBounded(leaseKeys, CONCURRENT_READS, (key) =>
      this.#getLease(key).catch((error: unknown) => {
        this.looks.unread(1);
        throw error;
      }),
    );
    this.looks.unread(rows.filter((row) => row.unreadable).length);
    return rows.flatMap((row) => row.lease ?? []);
  }

  /** The same, for whom an absent row means something. @throws OperatingError LEASE_TABLE_FORMAT for one that can't be read */
  async getReadableLeases(leaseKeys: readonly string[]): Promise<Lease[]> {
    const rows = await mapBounded(leaseKeys, CONCURRENT_READS, (key) => this.#getLease(key));
    const unreadable = leaseKeys.filter((_, index) => rows[index]?.unreadable);
    if (unreadable.length > 0)
      throw badFormat(this.#table, 'leases', `rows that cannot be read: ${unreadable.join(', ')}`);
    return rows.flatMap((row) => row.lease ?? []);
  }

  /** Looks whether rows that could not be read can be by now; not at every call. */
  async rereadUnreadable(): Promise<void> {
    const { keys } = this.#unreadable;
    const now = this.#clock.now();
    if (keys.length === 0 || now - this.#rereadAt < this.#scanIntervalMs) return;
    this.#rereadAt = now;
    await mapBounded(keys.slice(0, MOST_REREAD), CONCURRENT_READS, (key) => this.#getLease(key));
  }

  /** All leases and workers; with `owner`, only the leases of that one. */
  async scan(owner?: string): Promise<{ leases: Lease[]; workers: WorkerRow[]; unreadable?: string[] }> {
    const leases: Lease[] = [];
    const unreadable: string[] = [];
    const workers = new Map<string, WorkerRow>();
    const read = async (table: Table): Promise<void> => {
      for await (const page of table.scan(owner)) {
        for (const item of page) {
          const row = readRow(item, this.#clock.wallNow(), this.#ids.one);
          if (row.kind === 'lease') leases.push(row.lease);
          else if (row.kind === 'worker') this.#note(workers, row.worker, item);
          else if (row.kind === 'unreadable') {
            this.#unreadable.found(row);
            unreadable.push(row.key);
          }
        }
      }
    };
    const others = owner === undefined ? this.#layout.otherWorkers : undefined;
    await read(this.#table);
    if (others !== undefined) {
      await read(others).catch(async (error: unknown) => {
        if (!isNotFound(error)) throw error;
        await this.#layout.abandon(others);
      });
    }
    if (owner === undefined) {
      const bad = new Set(unreadable);
      for (const key of this.#unreadable.keys) if (!bad.has(key)) this.#unreadable.mended(key);
    }
    this.#refuseStrangers(workers.values());
    return { leases, workers: [...workers.values()], ...(unreadable.length > 0 && { unreadable }) };
  }

  /** One that began in the same moment as we did, so that neither saw the other. @throws OperatingError LEASE_TABLE_FORMAT */
  #refuseStrangers(workers: Iterable<WorkerRow>): void {
    if (this.#belonging === undefined) return;
    const { reads, workerStaleMs } = this.#belonging;
    for (const { workerId, ageMs, process } of workers) {
      if (process?.reads === undefined || ageMs >= workerStaleMs) continue;
      if (readsTheSame(process.reads, describeReads(reads))) continue;
      throw anotherApplication(this.#table, reads, process.reads, workerId, workerStaleMs);
    }
  }

  /** A worker that was started anew in the middle of a move may have left a row in the other table. */
  #note(workers: Map<string, WorkerRow>, worker: WorkerRow, item: Item): void {
    const other = workers.get(worker.workerId);
    if (other !== undefined && other.lastUpdateSeconds >= worker.lastUpdateSeconds) return;
    const moves = this.#layout.isSpread && movesRows(item);
    workers.set(worker.workerId, moves ? { ...worker, movesRows: true } : worker);
  }

  /** The owner's leases without the help of an index, but not at every call: a scan pays for the whole table. */
  async scanNow(owner: string): Promise<Lease[]> {
    const now = this.#clock.now();
    if (now - this.#scannedAt < this.#scanIntervalMs) return [];
    this.#scannedAt = now;
    return (await this.scan(owner)).leases;
  }

  /** By the index; undefined while there is none that may be asked. */
  async queryOwner(owner: string): Promise<string[] | undefined> {
    if (this.#clock.now() < this.#queryAgainAt) return undefined;
    try {
      return await this.#table.queryOwner(owner);
    } catch (error) {
      if (!isDenied(error)) throw error;
      this.#queryAgainAt = this.#clock.now() + SCAN_INTERVAL_MS;
      this.#warnOnce(error, 'the owner index may not be asked; leases are found by scanning');
      return undefined;
    }
  }

  /** Updates one lease row; a refused condition gives the row as it is now. */
  async update(leaseKey: string, condition: string, update: string, values: Values): Promise<LeaseWrite> {
    return this.#leaseWrite(leaseKey, await this.#table.update(leaseKey, { condition, update, values }));
  }

  /** Together with others where that can be. */
  async renew(renewal: Renewal): Promise<LeaseWrite> {
    return this.#leaseWrite(renewal.leaseKey, await this.#renewals.renew(renewal));
  }

  async #leaseWrite(leaseKey: string, { applied, item, repeated }: Write): Promise<LeaseWrite> {
    // Not every server sends the old row along with a refusal.
    if (applied && item === undefined) throw unavailable(this.#table, `gave no row back for ${leaseKey}`);
    const { lease, unreadable } = item === undefined ? await this.#getLease(leaseKey) : this.#leaseOf(item);
    // Whoever holds a lease whose row can't be read does not know it any more, applied or not.
    if (unreadable) return { applied: false, lease, unreadable };
    if (!applied) return { applied, lease, ...(repeated && { repeated }) };
    if (lease === undefined) throw badFormat(this.#table, 'a lease', `another row (${leaseKey})`);
    return { applied, lease };
  }

  /** False: the condition failed. */
  delete(leaseKey: string, condition?: string, values?: Values): Promise<boolean> {
    return this.#table.delete(leaseKey, condition, values);
  }

  // --- the leader, and workers ---

  async getLeader(): Promise<LeaderRow | undefined> {
    await this.#layout.follow();
    const item = await this.#layout.on(this.#leaderTable, (table) => table.get(LEADER_KEY));
    if (item === undefined) return undefined;
    const row = readRow(item, this.#clock.wallNow(), this.#ids.one);
    if (row.kind === 'leader') return row.leader;
    const got = row.kind === 'unreadable' ? row.reason : `one of a ${row.kind}`;
    throw badFormat(this.#layout.leader, 'a Leader row', `${got}. ${NOBODY_LEADS}`);
  }

  async updateLeader(leader: LeaderRow, condition: string, values: Values): Promise<LeaderWrite> {
    const { assignments, values: leaderValues } = assign(leaderItem(leader));
    // A row that a Java worker released instead of deleting is ours again.
    const update = `SET ${assignments} REMOVE isReleased`;
    const write = { condition, update, values: { ...leaderValues, ...values } };
    const { applied, table } = await this.#layout.on(this.#leaderTable, async (written) => ({
      ...(await written.update(LEADER_KEY, write)),
      table: written,
    }));
    // Another leader may have completed the move and left this table since we looked. It can't while the row is ours.
    if (applied) await this.#layout.follow();
    if (applied && table === this.#layout.leader) return { applied };
    if (applied) await this.#takeBack(leader, table);
    return { applied: false, leader: await this.getLeader() };
  }

  /** Condition: owner and version as given. */
  deleteLeader(leader: LeaderRow): Promise<boolean> {
    return this.#layout.on(this.#leaderTable, (table) => deleteLeaderFrom(table, leader));
  }

  async #takeBack(leader: LeaderRow, table: Table): Promise<void> {
    await deleteLeaderFrom(table, leader).catch((error: unknown) => {
      // The row went with its table.
      if (!isNotFound(error)) throw error;
    });
  }

  async updateWorker({
    workerId,
    utilization,
    processId,
    over,
    answers,
    leaves,
    declines,
  }: ReportWorker): Promise<Results['reportWorker']> {
    const nowSeconds = Math.floor(this.#clock.wallNow() / 1000);
    const sinceSeconds = this.#since.get(processId) ?? nowSeconds;
    this.#since.set(processId, sinceSeconds);
    const process = {
      id: processId,
      sinceSeconds,
      ...(this.#belonging !== undefined && { reads: describeReads(this.#belonging.reads) }),
      ...(this.#host !== undefined && { host: this.#host }),
    };
    const { assignments, values } = assign(workerItem(nowSeconds, utilization, process, answers, leaves, declines));
    const free = `attribute_not_exists(#key) OR ${PROCESS_PATH} = :me`;
    const taken = over && asSeen(over);
    const write = {
      condition: taken === undefined ? free : `${free} OR (${taken.condition})`,
      update: `SET ${assignments}`,
      values: { ...values, ':me': { S: processId }, ...taken?.values },
    };
    const result = await this.#layout.on(this.#workerTable, (table) => table.update(workerId, write));
    if (result.applied) return { applied: true, process };
    const sign = result.item === undefined ? await this.#getSign(workerId) : readSign(result.item);
    if (sign === undefined) throw unavailable(this.#table, `refused the metric row of ${workerId} and has none`);
    return { applied: false, sign };
  }

  /** Refused questions are looks. */
  async lookAtWorker({ workerId, ask }: LookAtWorker): Promise<WorkerSign | undefined> {
    if (ask === undefined) return this.#getSign(workerId, true);
    const after: Values = ask.after === undefined ? {} : { ':after': { S: ask.after } };
    const stands = ask.after === undefined ? '' : ` OR ${ASKED_BY_PATH} = :after`;
    const write = {
      condition: `${PROCESS_PATH} = :of AND (attribute_not_exists(${ASKED_BY_PATH})${stands})`,
      update: `SET ${ASKED_BY_PATH} = :by`,
      values: { ':of': { S: ask.of }, ':by': { S: ask.by }, ...after },
    };
    const { item } = await this.#layout.on(this.#workerTable, (table) => table.update(workerId, write));
    return item === undefined ? this.#getSign(workerId) : readSign(item);
  }

  async forgetWorker({ workerId, processId }: ForgetWorker): Promise<void> {
    const values = { ':me': { S: processId } };
    await this.#layout.on(this.#workerTable, (table) => table.delete(workerId, `${PROCESS_PATH} = :me`, values));
  }

  async #getSign(workerId: string, mayBeOld = false): Promise<WorkerSign | undefined> {
    const item = await this.#layout.on(this.#workerTable, (table) => table.get(workerId, mayBeOld));
    return item && readSign(item);
  }

  /** It may stand in either table. False: in neither, or it was updated since. */
  async deleteWorker(workerId: string, lastUpdateSeconds: number): Promise<boolean> {
    const deleteFrom = (table: Table): Promise<boolean> =>
      // A lease of that key has no such attribute.
      table.delete(workerId, 'lut = :seen', { ':seen': { N: String(lastUpdateSeconds) } });
    const others = this.#layout.otherWorkers;
    if (others === undefined) return deleteFrom(this.#table);
    const deleted = await this.#layout.on(() => this.#layout.otherWorkers ?? this.#table, deleteFrom);
    return deleted || deleteFrom(this.#table);
  }

  getClientVersion(): Promise<ClientVersionRow | undefined> {
    return readVersion(this.#table, this.#layout);
  }

  changeClientVersion(change: ChangeClientVersion): Promise<ClientVersionRow | undefined> {
    return changeVersion(this.#table, this.#layout, change, { logger: this.#logger, clock: this.#clock });
  }

  readonly #leaderTable = (): Table => this.#layout.leader;
  readonly #workerTable = (): Table => this.#layout.worker;

  /** The lease of that key, if there is one. */
  async #getLease(leaseKey: string): Promise<AskedRow> {
    const item = await this.#table.get(leaseKey);
    if (item !== undefined) return this.#leaseOf(item);
    this.#unreadable.mended(leaseKey);
    return { lease: undefined, unreadable: false };
  }

  /** The lease in a row that was asked for by its key; none for a row of another kind. */
  #leaseOf(item: Item): AskedRow {
    const row = readRow(item, this.#clock.wallNow(), this.#ids.one);
    if (row.kind === 'unreadable') this.#unreadable.found(row);
    else this.#unreadable.mended(item['leaseKey']?.S ?? '');
    return { lease: row.kind === 'lease' ? row.lease : undefined, unreadable: row.kind === 'unreadable' };
  }

  #warnOnce(error: Error, message: string): void {
    if (this.#hasWarnedOfIndex) return;
    this.#hasWarnedOfIndex = true;
    this.#logger.warn({ table: this.#table.name, index: OWNER_INDEX, err: error }, message);
  }
}

/** The condition that a metric row is still as it was seen: `lut` is in whole seconds, but each report takes the question away. */
function asSeen({ process, lastUpdateSeconds, askedBy }: WorkerSign): { condition: string; values: Values } {
  const is = (path: string, name: string, value: string | undefined): string =>
    value === undefined ? `attribute_not_exists(${path})` : `${path} = ${name}`;
  const seenProcess = is(PROCESS_PATH, ':seenProcess', process?.id);
  const seenAsker = is(ASKED_BY_PATH, ':seenAsker', askedBy);
  return {
    condition: `lut = :seenLut AND ${seenProcess} AND ${seenAsker}`,
    values: {
      ':seenLut': { N: String(lastUpdateSeconds) },
      ...(process !== undefined && { ':seenProcess': { S: process.id } }),
      ...(askedBy !== undefined && { ':seenAsker': { S: askedBy } }),
    },
  };
}

function deleteLeaderFrom(table: Table, { owner, version }: LeaderRow): Promise<boolean> {
  const values = { ':owner': { S: owner }, ':version': { S: version } };
  return table.delete(LEADER_KEY, 'ownerName = :owner AND recordVersionNumber = :version', values);
}

/** `a = :a, b = :b` and the values. */
export function assign(attributes: Record<string, WrittenValue>): { assignments: string; values: Values } {
  const names = Object.keys(attributes);
  return {
    assignments: names.map((name) => `${name} = :${name}`).join(', '),
    values: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`:${name}`, value])),
  };
}

/** Maps with at most `limit` calls under way. */
async function mapBounded<T, R>(items: readonly T[], limit: number, map: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await map(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

// The row `Migration3.0`: which protocol the fleet speaks. By the KCL 2.x workers take leases by themselves, by 3.x a leader assigns
// them; a fleet of 1.x or 2.x has no such row. Joined as it is, such a fleet gets one that says UPGRADE_FROM_2X, as from a Java
// worker of 3.x that is compatible with 2.x; the core sees to what follows. The other way, `3x`, is a leader at once: for a table
// on which nobody of the old fleet lives, told as the KCL tells life, by counters that move (who holds no lease can't be seen).
// Invariant: a table that workers of the KCL 2.x may use gets no row but leases: they fail on any other.
import { type Clock, delay, type Logger, OperatingError } from '@shardline/common';
import type { ClientVersion, ClientVersionRow } from '../coordination/client-version.ts';
import type { ChangeClientVersion } from '../coordination/effects.ts';
import type { Lease } from '../coordination/lease.ts';
import { describeTable } from './control.ts';
import {
  CLIENT_VERSION_KEY,
  clientVersionItem,
  type Item,
  LEADER_KEY,
  type WrittenItem,
  type WrittenValue,
} from './item.ts';
import type { Layout } from './layout.ts';
import { badFormat, openOwnerIndex } from './opening.ts';
import type { Rows } from './rows.ts';
import type { Table } from './table.ts';

/** How to treat a table of the KCL 1.x or 2.x (KCL ClientVersionConfig, but for `auto`). */
export type ClientVersionConfig = 'auto' | 'compatible-with-2x' | '3x';

export interface JoiningOptions {
  readonly workerId: string;
  /** Of the fleet: a lease whose counter rests for twice as long has no living owner. */
  readonly failoverTimeMs: number;
  readonly clientVersionConfig: ClientVersionConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Ends the watching. */
  readonly closing: AbortSignal;
}

const PREFIX = 'CLIENT_VERSION_';
const versions: readonly ClientVersion[] = ['2X', 'UPGRADE_FROM_2X', '3X_WITH_ROLLBACK', '3X'];
/** KCL MigrationState. */
const MOST_HISTORY = 10;
/** Looks while a lease may expire twice. */
const LOOKS = 8;
/** Names in a message. */
const MOST_NAMED = 5;

/** Whether workers of the KCL 1.x or 2.x may use this table: it has leases, and no row that a worker of 3.x leaves there. */
export async function isFor2x(leases: Table, config: ClientVersionConfig): Promise<boolean> {
  if (config === '3x' || (await hasRowOf3x(leases))) return false;
  if (config === 'compatible-with-2x') return true;
  for await (const page of leases.scan()) {
    // Once more: a worker of 3.x that began a new fleet meanwhile left its row before it made these leases.
    if (page.some((item) => item['leaseCounter'] !== undefined)) return !(await hasRowOf3x(leases));
  }
  return false;
}

async function hasRowOf3x(leases: Table): Promise<boolean> {
  for (const key of [CLIENT_VERSION_KEY, LEADER_KEY]) if ((await leases.get(key)) !== undefined) return true;
  return false;
}

/**
 * Finds out which protocol the fleet speaks, says it in one line, and writes it down where nobody has.
 * @throws OperatingError LEASE_TABLE_FORMAT
 */
export async function joinFleet(
  leases: Table,
  rows: Rows,
  layout: Layout,
  options: JoiningOptions,
): Promise<ClientVersion> {
  const { clientVersionConfig, logger } = options;
  const found = await readVersion(leases, layout);
  const clientVersion =
    found === undefined
      ? await begin(leases, rows, layout, options)
      : await joinAs(found.version, leases, layout, options);
  const assigns = clientVersion.startsWith('3X') ? 'a leader' : 'each worker for itself';
  logger.info({ table: leases.name, clientVersion, clientVersionConfig, assigns }, 'found who assigns the leases');
  return clientVersion;
}

/** The row as it is now; undefined: there is none. */
export async function readVersion(leases: Table, layout: Layout): Promise<ClientVersionRow | undefined> {
  const item = await layout.getState(CLIENT_VERSION_KEY);
  return item && parseVersion(leases, item);
}

/** Changes what the row says, if it still says `from`. @returns the row as it is now. */
export async function changeVersion(
  leases: Table,
  layout: Layout,
  { from, to, workerId }: ChangeClientVersion,
  { logger, clock }: Pick<JoiningOptions, 'logger' | 'clock'>,
): Promise<ClientVersionRow | undefined> {
  const state = await layout.findState(CLIENT_VERSION_KEY);
  if (state === undefined) return undefined;
  const { table, item } = state;
  const row = parseVersion(leases, item);
  if (row.version !== from) return row;
  if (to === '3X_WITH_ROLLBACK' || to === 'UPGRADE_FROM_2X') {
    const found = await describeTable(leases);
    if (found !== undefined) await openOwnerIndex(leases, found, logger);
    // Java workers find what they are given by the index alone.
    if (to === '3X_WITH_ROLLBACK' && found?.ownerIndexIsActive !== true) return row;
  }
  const { cv, mb, mts, h } = item as unknown as WrittenItem;
  const before = { M: { cv, mb, mts } as Record<string, WrittenValue> };
  const history = [before, ...((h as { L?: WrittenValue[] } | undefined)?.L ?? [])].slice(0, MOST_HISTORY);
  const { applied } = await table.update(CLIENT_VERSION_KEY, {
    condition: 'cv = :from',
    update: 'SET cv = :to, mb = :by, mts = :at, h = :history',
    values: {
      ':from': { S: PREFIX + from },
      ':to': { S: PREFIX + to },
      ':by': { S: workerId },
      ':at': { N: String(Math.floor(clock.wallNow())) },
      ':history': { L: history },
    },
  });
  return applied ? { version: to, modifiedBy: workerId } : readVersion(leases, layout);
}

function parseVersion(leases: Table, item: Item): ClientVersionRow {
  const text = item['cv']?.S ?? '';
  const version = versions.find((it) => text === PREFIX + it);
  if (version !== undefined) return { version, modifiedBy: item['mb']?.S ?? '' };
  const expected = `a row ${CLIENT_VERSION_KEY} with cv ${PREFIX}${versions.join('|')}`;
  throw badFormat(leases, expected, text || 'no cv');
}

/** Somebody has written it down. Who configures 3.x ends the time in which a fleet that went over could go back, as in the KCL. */
async function joinAs(
  version: ClientVersion,
  leases: Table,
  layout: Layout,
  { clientVersionConfig, workerId, ...ports }: JoiningOptions,
): Promise<ClientVersion> {
  if (clientVersionConfig !== '3x' || version !== '3X_WITH_ROLLBACK') return version;
  const change = { kind: 'changeClientVersion', from: version, to: '3X', workerId } as const;
  return (await changeVersion(leases, layout, change, ports))?.version ?? version;
}

/** Nobody has: a new table, or one of the KCL 1.x or 2.x. */
async function begin(leases: Table, rows: Rows, layout: Layout, options: JoiningOptions): Promise<ClientVersion> {
  const { clientVersionConfig, workerId, clock } = options;
  const before = (await rows.scan()).leases;
  const maySpeak2x =
    clientVersionConfig === 'compatible-with-2x' || (clientVersionConfig === 'auto' && before.length > 0);
  const version = maySpeak2x && layout.leavesLeasesAlone ? 'UPGRADE_FROM_2X' : '3X';
  if (version === '3X') await checkNobodyLives(leases, rows, layout, before, options);
  if (await layout.putState(clientVersionItem(workerId, clock.wallNow(), version))) return version;
  // Another worker was faster.
  return (await readVersion(leases, layout))?.version ?? version;
}

async function checkNobodyLives(
  leases: Table,
  rows: Rows,
  layout: Layout,
  before: readonly Lease[],
  options: JoiningOptions,
): Promise<void> {
  const owners = [...new Set(before.flatMap((lease) => lease.leaseOwner ?? []))];
  if (owners.length === 0) return;
  const { failoverTimeMs, logger } = options;
  const fields = { table: leases.name, owners: owners.slice(0, MOST_NAMED), watchedMs: 2 * failoverTimeMs };
  logger.info(fields, 'no leader has ever led this fleet; watching whether a worker of the KCL 2.x holds its leases');
  const moved = await watch(rows, before, options);
  // Another worker of ours may have taken over meanwhile, and then it is its leases that move.
  if (moved.length > 0 && (await layout.getState(CLIENT_VERSION_KEY)) === undefined) {
    throw fleetLives(leases, owners, moved);
  }
}

/** What of these leases moved before they had time to expire twice; returns as soon as something has. */
async function watch(rows: Rows, before: readonly Lease[], options: JoiningOptions): Promise<string[]> {
  const { clock, failoverTimeMs, closing } = options;
  const startedAt = clock.now();
  for (;;) {
    await delay(clock, (2 * failoverTimeMs) / LOOKS, closing);
    const lookedAt = clock.now();
    const { leases } = await rows.scan();
    const moved = describeMoves(before, leases);
    if (moved.length > 0 || lookedAt - startedAt >= 2 * failoverTimeMs) return moved;
  }
}

function describeMoves(before: readonly Lease[], after: readonly Lease[]): string[] {
  const old = new Map(before.map((lease) => [lease.leaseKey, lease]));
  const kept = new Set(after.map((lease) => lease.leaseKey));
  const gone = before.filter(({ leaseKey }) => !kept.has(leaseKey)).map(({ leaseKey }) => `${leaseKey} was deleted`);
  const changed = after.flatMap(({ leaseKey, leaseCounter, leaseOwner = 'nobody' }) => {
    const counter = old.get(leaseKey)?.leaseCounter;
    if (counter === leaseCounter) return [];
    return counter === undefined
      ? [`${leaseKey} was made`]
      : [`${leaseKey} of ${leaseOwner} went from ${counter} to ${leaseCounter}`];
  });
  return [...changed, ...gone];
}

function fleetLives(leases: Table, owners: readonly string[], moved: readonly string[]): OperatingError {
  const text =
    `table ${leases.name}: expected that no worker of the KCL 2.x holds its leases any more (there is no row ` +
    `${CLIENT_VERSION_KEY}), got owners ${some(owners)}, and counters that move: ${some(moved)}. Stop those workers, then ` +
    "start this one; or work beside them, with clientVersionConfig 'auto' and leaseTableLayout 'auto' or 'three'";
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

function some(texts: readonly string[]): string {
  const more = texts.length > MOST_NAMED ? ` and ${texts.length - MOST_NAMED} more` : '';
  return texts.slice(0, MOST_NAMED).join(', ') + more;
}

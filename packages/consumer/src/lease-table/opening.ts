// Opening a lease table: found or made, of the right format, active, with the owner index and, if wanted, its backups. It changes
// nothing of a table that is of another format, and waits no longer than it is told to. A table that is as it should be is
// looked at and nothing else, so a worker needs no permission to make or change one; what it may not do and can do without is
// one warning, what it can't do without ends the start with the action and the table.
import { type Clock, delay, isShardlineError, type Logger, OperatingError } from '@shardline/common';
import {
  addOwnerIndex,
  createTable,
  describeTable,
  type FoundTable,
  keepPointInTimeRecovery,
  type TableSettings,
} from './control.ts';
import { OWNER_INDEX, type Table } from './table.ts';

interface Refusal {
  readonly error: unknown;
  readonly retryable: boolean;
}

export interface OpeningOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly settings: TableSettings;
  /** Until a new table is ACTIVE, ms. */
  readonly tableTimeoutMs: number;
  /** Ends the waiting. */
  readonly closing: AbortSignal;
}

const FIRST_POLL_MS = 100;
const LONGEST_POLL_MS = 5_000;
/** Within three seconds. */
const INDEX_TRIES = 6;
/** DynamoDB needs some seconds until a new table has backups to continue. */
const LONGEST_WAIT_FOR_BACKUPS_MS = 60_000;

/**
 * Finds the table or makes it, and waits until it can be used.
 * @throws OperatingError LEASE_TABLE_FORMAT for another key; LEASE_TABLE_UNAVAILABLE when it isn't usable in time; ACCESS_DENIED
 * when it may not be looked at, or made.
 */
export async function openTable(
  table: Table,
  what: 'lease table' | 'table of coordinator states' | 'table of worker metrics',
  options: OpeningOptions,
): Promise<FoundTable> {
  const isLeaseTable = what === 'lease table';
  const existing = await describeTable(table);
  const found = existing ?? (await create(table, what, options));
  if (found.key !== table.key) throw badFormat(table, `the key of a ${what}, ${table.key}`, found.key);
  await untilActive(table, found, options);
  // KCL: of the lease table at every start, of the others when they are made.
  if (options.settings.pointInTimeRecovery && (isLeaseTable || existing === undefined))
    await keepBackups(table, options);
  return found;
}

/**
 * Leases are found without the index too, at the price of a scan, so a failure is no reason not to begin. But nobody adds it later: a table
 * that is in use for another reason, or a call that may succeed the next time, is tried again for some seconds. Without `patience` it is not.
 */
export async function openOwnerIndex(
  table: Table,
  found: FoundTable,
  logger: Logger,
  patience?: Pick<OpeningOptions, 'clock' | 'closing'>,
): Promise<void> {
  if (found.hasOwnerIndex) return;
  const names = { table: table.name, index: OWNER_INDEX };
  for (let tries = 1, pollMs = FIRST_POLL_MS; ; tries++, pollMs *= 2) {
    const refusal = await tryToAddOwnerIndex(table, found);
    if (refusal === undefined) {
      logger.info(names, 'adding the owner index to the lease table');
      return;
    }
    // Another worker adds it, or has added it since we looked.
    if (await hasOwnerIndex(table)) return;
    if (patience === undefined || !refusal.retryable || tries === INDEX_TRIES) {
      logger.warn({ ...names, err: refusal.error }, 'no owner index; leases are found by scanning');
      return;
    }
    await delay(patience.clock, pollMs, patience.closing);
  }
}

async function tryToAddOwnerIndex(table: Table, found: FoundTable): Promise<Refusal | undefined> {
  try {
    if (await addOwnerIndex(table, found)) return undefined;
    return { error: unavailable(table, 'is being changed'), retryable: true };
  } catch (error) {
    return { error, retryable: isShardlineError(error) && 'retryable' in error && error.retryable === true };
  }
}

async function hasOwnerIndex(table: Table): Promise<boolean> {
  try {
    return (await describeTable(table))?.hasOwnerIndex === true;
  } catch {
    return false;
  }
}

export function badFormat(table: Table, expected: string, got: string): OperatingError {
  const text = `table ${table.name}: expected ${expected}, got ${got}`;
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

export function unavailable(table: Table, text: string): OperatingError {
  return new OperatingError('LEASE_TABLE_UNAVAILABLE', `table ${table.name} ${text}`, { retryable: true });
}

/** The same refusal, with what it was needed for; any other error as it is. */
export function deniedFor(error: unknown, purpose: string): unknown {
  if (!isDenied(error)) return error;
  const { message, cause, action, resource } = error;
  return new OperatingError('ACCESS_DENIED', `${message}. ${purpose}`, { retryable: false, cause, action, resource });
}

/** A permission is missing, as opposed to credentials that have expired. */
export function isDenied(error: unknown): error is OperatingError {
  return isShardlineError(error) && error.code === 'ACCESS_DENIED' && !error.retryable;
}

async function create(table: Table, what: string, { logger, settings }: OpeningOptions): Promise<FoundTable> {
  try {
    const isOurs = await createTable(table, what === 'lease table', settings);
    if (isOurs) logger.info({ table: table.name }, `created the ${what}`);
  } catch (error) {
    throw deniedFor(error, `There is no such table: it is the ${what}; make it beforehand, or allow this action on it`);
  }
  const made = await describeTable(table);
  if (made === undefined) throw unavailable(table, 'vanished while it was created');
  return made;
}

async function untilActive(table: Table, found: FoundTable, options: OpeningOptions): Promise<void> {
  const { clock, tableTimeoutMs: timeoutMs, closing } = options;
  const startedAt = clock.now();
  let { status } = found;
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(2 * pollMs, LONGEST_POLL_MS)) {
    if (status === 'ACTIVE' || status === 'UPDATING') return;
    if (clock.now() - startedAt >= timeoutMs) {
      throw unavailable(table, `is not ACTIVE after ${timeoutMs} ms but ${status ?? 'gone'}`);
    }
    await delay(clock, pollMs, closing);
    status = (await describeTable(table))?.status;
  }
}

/** Leases are safe without backups, so a failure is told and work begins; the next start tries again. */
async function keepBackups(table: Table, { clock, logger, closing }: OpeningOptions): Promise<void> {
  const startedAt = clock.now();
  try {
    for (
      let pollMs = FIRST_POLL_MS;
      !(await keepPointInTimeRecovery(table));
      pollMs = Math.min(2 * pollMs, LONGEST_POLL_MS)
    ) {
      if (clock.now() - startedAt >= LONGEST_WAIT_FOR_BACKUPS_MS)
        throw unavailable(table, 'has no backups to continue yet');
      await delay(clock, pollMs, closing);
    }
  } catch (error) {
    closing.throwIfAborted();
    logger.warn({ table: table.name, err: error }, 'point-in-time recovery could not be turned on for this table');
  }
}

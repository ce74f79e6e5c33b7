// Opening a lease table: found or made, of the right format, active, with the owner index. It changes nothing of a table that
// is of another format, and waits no longer than it is told to.
import { type Clock, delay, type Logger, OperatingError } from '@shardline/common';
import { type FoundTable, OWNER_INDEX, type Table } from './table.ts';

export interface OpeningOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Until a new table is ACTIVE, ms. */
  readonly tableTimeoutMs: number;
  /** Ends the waiting. */
  readonly closing: AbortSignal;
}

const FIRST_POLL_MS = 100;
const LONGEST_POLL_MS = 5_000;

/**
 * Finds the table or makes it, and waits until it can be used.
 * @throws OperatingError LEASE_TABLE_FORMAT for another key; LEASE_TABLE_UNAVAILABLE when it isn't usable in time.
 */
export async function openTable(
  table: Table,
  what: 'lease table' | 'table of coordinator states' | 'table of worker metrics',
  options: OpeningOptions,
): Promise<FoundTable> {
  const found = (await table.describe()) ?? (await create(table, what, options));
  if (found.key !== table.key) throw badFormat(table, `the key of a ${what}, ${table.key}`, found.key);
  await untilActive(table, found, options);
  return found;
}

/** Leases are found without the index too, at the price of a scan, so a failure is no reason not to begin. */
export async function addOwnerIndex(table: Table, found: FoundTable, logger: Logger): Promise<void> {
  if (found.hasOwnerIndex) return;
  const names = { table: table.name, index: OWNER_INDEX };
  try {
    if (await table.addOwnerIndex(found)) logger.info(names, 'adding the owner index to the lease table');
  } catch (error) {
    // Another worker has added it since we looked.
    if ((await table.describe())?.hasOwnerIndex) return;
    logger.warn({ ...names, err: error }, 'no owner index; leases are found by scanning');
  }
}

export function badFormat(table: Table, expected: string, got: string): OperatingError {
  const text = `table ${table.name}: expected ${expected}, got ${got}`;
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

export function unavailable(table: Table, text: string): OperatingError {
  return new OperatingError('LEASE_TABLE_UNAVAILABLE', `table ${table.name} ${text}`, { retryable: true });
}

async function create(table: Table, what: string, { logger }: OpeningOptions): Promise<FoundTable> {
  if (await table.create(what === 'lease table')) logger.info({ table: table.name }, `created the ${what}`);
  const made = await table.describe();
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
    status = (await table.describe())?.status;
  }
}

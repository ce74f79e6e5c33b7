// The protocol that a fleet speaks: by the KCL 2.x workers take leases by themselves, by 3.x a leader assigns them. The row
// `Migration3.0` says which, but a fleet of 1.x or 2.x has no such row. We speak the second one only, so a table without the row
// is taken over when nobody of the old fleet lives, and refused when somebody does: two protocols on one table would fight
// over its leases. A life is told as the KCL tells it, by counters that move; a worker that holds no lease can't be seen.
import { type Clock, delay, type Logger, OperatingError } from '@shardline/common';
import type { Lease } from '../coordination/lease.ts';
import { CLIENT_VERSION_KEY, clientVersionItem, type Item } from './item.ts';
import type { Layout } from './layout.ts';
import { badFormat } from './opening.ts';
import type { Rows } from './rows.ts';
import type { Table } from './table.ts';

export interface JoiningOptions {
  readonly workerId: string;
  /** Of the fleet: a lease whose counter rests for twice as long has no living owner. */
  readonly failoverTimeMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Ends the watching. */
  readonly closing: AbortSignal;
}

/** Looks while a lease may expire twice. */
const LOOKS = 8;
/** Names in a message. */
const MOST_NAMED = 5;

/**
 * Says once that this fleet speaks the protocol of the KCL 3.x, or finds out that it doesn't.
 * @throws OperatingError LEASE_TABLE_FORMAT
 */
export async function joinFleet(leases: Table, rows: Rows, layout: Layout, options: JoiningOptions): Promise<void> {
  const row = await layout.getState(CLIENT_VERSION_KEY);
  if (row === undefined) await takeOver(leases, rows, layout, options);
  else checkVersion(leases, row);
}

function checkVersion(leases: Table, row: Item | undefined): void {
  const version = row?.['cv']?.S;
  if (version === 'CLIENT_VERSION_3X' || version === 'CLIENT_VERSION_3X_WITH_ROLLBACK') return;
  const expected = `a fleet that speaks the KCL's 3.x protocol (row ${CLIENT_VERSION_KEY}, cv CLIENT_VERSION_3X)`;
  throw badFormat(leases, expected, version ?? 'no cv');
}

async function takeOver(leases: Table, rows: Rows, layout: Layout, options: JoiningOptions): Promise<void> {
  const { workerId, clock, logger } = options;
  const before = (await rows.scan()).leases;
  const owners = [...new Set(before.flatMap((lease) => lease.leaseOwner ?? []))];
  if (owners.length > 0) {
    const fields = { table: leases.name, owners: owners.slice(0, MOST_NAMED), watchedMs: 2 * options.failoverTimeMs };
    logger.info(fields, 'no leader has ever led this fleet; watching whether a worker of the KCL 2.x holds its leases');
    const moved = await watch(rows, before, options);
    // Another worker of ours may have taken over meanwhile, and then it is its leases that move.
    if (moved.length > 0 && (await layout.getState(CLIENT_VERSION_KEY)) === undefined) {
      throw fleetLives(leases, owners, moved);
    }
  }
  if (await layout.putState(clientVersionItem(workerId, clock.wallNow()))) {
    if (owners.length > 0) logger.info({ table: leases.name }, 'took over a lease table of the KCL 2.x');
  } else checkVersion(leases, await layout.getState(CLIENT_VERSION_KEY));
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
    'start this one; or move their fleet to the KCL 3.x first';
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

function some(texts: readonly string[]): string {
  const more = texts.length > MOST_NAMED ? ` and ${texts.length - MOST_NAMED} more` : '';
  return texts.slice(0, MOST_NAMED).join(', ') + more;
}

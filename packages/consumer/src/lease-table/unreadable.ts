// Lease rows that cannot be read, as long as that is so: told at once, again once a minute while they are seen, and at their end.
// Between rows.ts, which finds them, and health, which says of them what has to be done. Another hand wrote such a row, and only a hand
// can mend it: nothing here does, and nobody makes, takes or cleans up a lease on its account.
// Invariant: a row is over once it was read well, or seen to be gone; it is not enough that nobody looked.
import type { Clock, Logger } from '@shardline/common';

/** A row that is there and cannot be read. */
export interface UnreadableRow {
  readonly key: string;
  /** Whether a shard hangs on it. */
  readonly isLease: boolean;
  /** The attribute, what was expected of it and what it is. */
  readonly reason: string;
}

/** Between two lines about one row. */
const TELL_INTERVAL_MS = 60_000;
/** Bad rows that are remembered. */
const MOST_ROWS = 1_000;
/** Rows that health names one by one. */
const MOST_NAMED = 10;

export class UnreadableRows {
  readonly #tableName: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #rows = new Map<string, { readonly row: UnreadableRow; readonly since: number; toldAt: number }>();

  constructor(tableName: string, { logger, clock }: { readonly logger: Logger; readonly clock: Clock }) {
    this.#tableName = tableName;
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Keys of the rows that were last seen so. */
  get keys(): readonly string[] {
    return [...this.#rows.keys()];
  }

  /** It was read, and cannot be understood. */
  found(row: UnreadableRow): void {
    const now = this.#clock.now();
    const known = this.#rows.get(row.key);
    if (known === undefined && this.#rows.size >= MOST_ROWS) return;
    const isTold = known?.row.reason === row.reason && now < known.toldAt + TELL_INTERVAL_MS;
    this.#rows.set(row.key, { row, since: known?.since ?? now, toldAt: isTold ? known.toldAt : now });
    if (isTold) return;
    const fields = { table: this.#tableName, leaseKey: row.key, reason: row.reason };
    this.#logger.error(fields, 'a row of the lease table cannot be read and is passed over');
  }

  /** It can be read, or is there no longer. */
  mended(key: string): void {
    const known = this.#rows.get(key);
    if (known === undefined) return;
    this.#rows.delete(key);
    const forMs = Math.round(this.#clock.now() - known.since);
    const fields = { table: this.#tableName, leaseKey: key, forMs };
    this.#logger.info(fields, 'the row of the lease table can be read again, or is gone');
  }

  /** A sentence for each lease that nobody reads on this account. */
  reasons(): string[] {
    const leases = [...this.#rows.values()].filter(({ row }) => row.isLease);
    const reasons = leases
      .slice(0, MOST_NAMED)
      .map(
        ({ row: { key, reason } }) =>
          `table ${this.#tableName}: the row of lease ${key} cannot be read (${reason}), so nobody reads its shard. Put that attribute ` +
          'right, and leave the row where it is: docs/lease-lifecycle.md, "A row that cannot be read"',
      );
    if (leases.length > MOST_NAMED) reasons.push(`${leases.length - MOST_NAMED} more rows of leases cannot be read`);
    return reasons;
  }
}

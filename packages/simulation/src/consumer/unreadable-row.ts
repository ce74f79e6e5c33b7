// A lease row that another hand has made unreadable, as the table's shell shows it to the core (lease-table/rows.ts): a scan names its
// key, looks for leases pass over it, and whoever writes it learns only that. And the checker of what is written to it: it is left alone.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import type { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';

/** In place of a result: the call fails. */
export const CANNOT_BE_READ: unique symbol = Symbol('a row that cannot be read');

export class UnreadableRow {
  readonly leaseKey: string;
  /** What is wrong with what was written to it, if anything is. */
  wrong: string | undefined;
  #isFound = false;

  constructor(leaseKey: string) {
    this.leaseKey = leaseKey;
  }

  /** Runs an effect on a table with this row. */
  run(table: MemoryLeaseTable, effect: TableEffect): unknown {
    const isOther = ({ leaseKey }: Lease): boolean => leaseKey !== this.leaseKey;
    switch (effect.kind) {
      case 'readTable': {
        const { leases, workers } = table.apply(effect);
        return { leases: leases.filter(isOther), workers, unreadable: [this.leaseKey] };
      }
      case 'discoverLeases':
        return { leases: table.apply(effect).leases.filter(isOther) };
      case 'readLeases':
        return effect.leaseKeys.includes(this.leaseKey) ? CANNOT_BE_READ : table.apply(effect);
      default:
        if (!('leaseKey' in effect) || effect.leaseKey !== this.leaseKey) return table.apply(effect);
        return this.#write(effect);
    }
  }

  #write({ kind }: TableEffect): unknown {
    const isRenewal = kind === 'renewLease' || kind === 'checkpointLease';
    // By one its holder finds out; of a lease one is under way at a time.
    if (!isRenewal || this.#isFound) this.wrong ??= `${kind} was sent to ${this.leaseKey}, which cannot be read`;
    this.#isFound = true;
    if (kind === 'createLease') return { created: false };
    return kind === 'deleteLease' ? { deleted: false } : { applied: false, lease: undefined, unreadable: true };
  }
}

// The lease table of a large fleet: the memory table with an index by owner, as DynamoDB has one, and a meter that counts what each
// effect would cost there. Requests are calls; units are those of DynamoDB's on-demand billing: 1 kB a write, 4 kB a consistent
// read, half of that for the index, and a write more for each entry of the index that appears or goes.
import type { DiscoverLeases, TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { type Lease, newLease } from '../../../consumer/dist/coordination/lease.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import { leaseItem, workerItem } from '../../../consumer/dist/lease-table/item.js';
import { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';

/** What was asked of the table. */
export interface TableUse {
  readonly reads: number;
  readonly readUnits: number;
  readonly writes: number;
  readonly writeUnits: number;
}

/** Of a Scan's or Query's answer (API_Scan: 1 MB). */
export const PAGE_BYTES = 1_000_000;
export const READ_UNIT_BYTES = 4_096;
/** A shard id and a worker id with their names: an entry of the owner index. */
export const INDEX_ENTRY_BYTES: number =
  'leaseKey'.length + 'shardId-000000000000'.length + 'leaseOwner'.length + 'host:'.length + 36;

/** A lease's row that its holder has checkpointed, as it is billed: names and values. */
export const LEASE_ROW_BYTES: number = rowBytes(
  leaseItem({
    ...newLease(
      {
        shardId: 'shardId-000000000000',
        parentShardIds: [],
        hashKeyRange: { start: 0n, end: 2n ** 128n - 1n } as never,
      },
      { sequenceNumber: (10n ** 55n) as never, subSequenceNumber: 0 },
    ),
    leaseOwner: `host:${'x'.repeat(36)}`,
    leaseCounter: 100_000,
    throughputKBps: 123.456789,
  }),
);
/** A worker's row with ten figures of its CPU. */
export const WORKER_ROW_BYTES: number = rowBytes({
  leaseKey: { S: `host:${'x'.repeat(36)}` },
  ...workerItem(
    1_700_000_000,
    { stats: { C: Array.from({ length: 10 }, () => 12.345678) }, operatingRange: { C: [100] } },
    { id: 'x'.repeat(36), sinceSeconds: 1_700_000_000 },
  ),
});

export class MeteredTable {
  readonly #table: MemoryLeaseTable;
  readonly #byOwner = new Map<string, Set<string>>();
  readonly #use = { reads: 0, readUnits: 0, writes: 0, writeUnits: 0 };

  constructor(wallNow: () => number) {
    this.#table = new MemoryLeaseTable({ wallNow });
  }

  get leases(): ReadonlyMap<string, Lease> {
    return this.#table.leases;
  }

  /** Bytes that a scan reads. */
  get bytes(): number {
    return this.#table.leases.size * LEASE_ROW_BYTES + this.#table.workers.size * WORKER_ROW_BYTES;
  }

  ownedBy(workerId: string): ReadonlySet<string> {
    return this.#byOwner.get(workerId) ?? NOTHING;
  }

  /** What was asked so far. */
  use(): TableUse {
    return { ...this.#use };
  }

  apply(effect: TableEffect): Results[TableEffect['kind']] {
    switch (effect.kind) {
      case 'readTable':
        this.#read(Math.ceil(this.bytes / PAGE_BYTES), this.bytes / READ_UNIT_BYTES);
        return this.#table.apply(effect);
      case 'discoverLeases':
        return this.#discover(effect);
      case 'readLeases':
        this.#read(effect.leaseKeys.length, effect.leaseKeys.length);
        return this.#table.apply(effect);
      case 'readLeader':
        this.#read(1, 1);
        return this.#table.apply(effect);
      default:
        return this.#write(effect);
    }
  }

  #discover({ owner, held, among }: DiscoverLeases): Results['discoverLeases'] {
    const owned = this.ownedBy(owner);
    if (among === undefined) {
      this.#read(1, Math.max(1, Math.ceil((owned.size * INDEX_ENTRY_BYTES) / READ_UNIT_BYTES)) / 2);
    }
    const known = new Set(held);
    const keys = [...(among ?? owned)].filter((key) => !known.has(key));
    this.#read(keys.length, keys.length);
    return { leases: keys.flatMap((key) => (owned.has(key) ? [this.#table.leases.get(key) as Lease] : [])) };
  }

  #write(effect: TableEffect): Results[TableEffect['kind']] {
    const key = 'leaseKey' in effect ? effect.leaseKey : undefined;
    const before = key === undefined ? undefined : this.#table.leases.get(key)?.leaseOwner;
    const result = this.#table.apply(effect);
    const after = key === undefined ? undefined : this.#table.leases.get(key)?.leaseOwner;
    this.#use.writes += 1;
    this.#use.writeUnits += 1;
    if (key !== undefined && before !== after) this.#reindex(key, before, after);
    return result;
  }

  #reindex(key: string, before: string | undefined, after: string | undefined): void {
    if (before !== undefined) {
      this.#byOwner.get(before)?.delete(key);
      this.#use.writeUnits += 1;
    }
    if (after === undefined) return;
    const owned = this.#byOwner.get(after);
    if (owned === undefined) this.#byOwner.set(after, new Set([key]));
    else owned.add(key);
    this.#use.writeUnits += 1;
  }

  #read(requests: number, units: number): void {
    this.#use.reads += requests;
    this.#use.readUnits += units;
  }
}

const NOTHING: ReadonlySet<string> = new Set();

/** DynamoDB's rule, near enough: names and values as UTF-8, a number a byte for two digits and one more. */
function rowBytes(item: Readonly<Record<string, unknown>>): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + name.length + valueBytes(value), 0);
}

function valueBytes(value: unknown): number {
  const { S, N, SS, L, M } = value as {
    S?: string;
    N?: string;
    SS?: readonly string[];
    L?: readonly unknown[];
    M?: Readonly<Record<string, unknown>>;
  };
  if (S !== undefined) return S.length;
  if (N !== undefined) return Math.ceil(N.length / 2) + 1;
  if (SS !== undefined) return SS.reduce((sum, each) => sum + each.length, 0);
  if (L !== undefined) return 3 + L.reduce<number>((sum, each) => sum + 1 + valueBytes(each), 0);
  return 3 + rowBytes(M ?? {});
}

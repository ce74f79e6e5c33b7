// Whose lease table it is, looked at before anything is done with it. Rows of an application of one stream are called by the shard
// alone, and every stream has a shard of that name: under one application name, workers of two streams would be given each other's
// leases. Rows of an application of several streams have other keys, so who goes from `stream` to `streams` would begin anew
// without a word. Metric rows of ours say what their worker reads; Java's say nothing, and the rows of a fleet that has ended are gone.
// Then its checkpoints say it: Kinesis takes those of its own stream and no others.
// Invariant: reads until it knows, changes nothing, and advises nobody to delete what a fleet that lives may need.
import { formatExtended, type Logger, OperatingError } from '@shardline/common';
import type { Lease } from '../coordination/lease.ts';
import { type Item, readRow } from './item.ts';
import type { Table } from './table.ts';

/** What a worker reads: one stream, by its ARN if that is known, else by its name, or several. */
export type Reads = { readonly kind: 'several' } | { readonly kind: 'one'; readonly stream: string };

export interface BelongingOptions {
  readonly reads: Reads;
  readonly workerId: string;
  /** The age at which a metric row no longer shows that its worker lives, ms. */
  readonly workerStaleMs: number;
  readonly wallNow: number;
  readonly logger: Logger;
  readonly findForeign: FindForeign;
}

/** Of some leases with a sequence number one that was written for another stream, if that is certain. */
export type FindForeign = (leases: readonly Lease[]) => Promise<Lease | undefined>;

/** Leases that are kept to be asked about. */
const MOST_KEPT = 100;

const SEVERAL = 'several streams';

/** As a metric row says it. */
export function describeReads(reads: Reads): string {
  return reads.kind === 'several' ? SEVERAL : reads.stream;
}

/** One may have been given a name, the other an ARN. */
export function readsTheSame(one: string, other: string): boolean {
  if (one.startsWith('arn:') === other.startsWith('arn:')) return one === other;
  return nameIn(one) === nameIn(other);
}

/** @throws OperatingError LEASE_TABLE_FORMAT when the table is that of another stream's application, or was used in the other way. */
export async function checkBelonging(tables: readonly Table[], options: BelongingOptions): Promise<void> {
  const { reads, workerId, workerStaleMs, wallNow, logger, findForeign } = options;
  const numbered: Lease[] = [];
  const [leases] = tables as [Table];
  let own: string | undefined;
  let other: string | undefined;
  let hasCompany = false;
  for await (const item of itemsOf(tables)) {
    const row = readRow(item, wallNow);
    if (row.kind === 'lease') {
      if ((row.lease.streamId === undefined) === (reads.kind === 'one')) {
        own ??= row.lease.leaseKey;
        if (typeof row.lease.checkpoint.sequenceNumber === 'bigint' && numbered.length < MOST_KEPT)
          numbered.push(row.lease);
      } else other ??= row.lease.leaseKey;
    } else if (row.kind === 'worker' && row.worker.workerId !== workerId && row.worker.ageMs < workerStaleMs) {
      const theirs = row.worker.process?.reads;
      if (theirs === undefined) continue;
      if (!readsTheSame(theirs, describeReads(reads))) {
        throw anotherApplication(leases, reads, theirs, row.worker.workerId, workerStaleMs);
      }
      hasCompany = true;
    }
    // Whoever works here already has looked at the rest.
    if (own !== undefined && hasCompany) return;
  }
  // Whose rows they are is known where somebody lives on them.
  const foreign = hasCompany ? undefined : await findForeign(numbered);
  if (foreign !== undefined) throw writtenForAnother(leases, reads, foreign);
  if (other === undefined) return;
  if (own === undefined) throw otherModality(leases, reads, other);
  const fields = { table: leases.name, leaseKey: other };
  logger.warn(
    fields,
    `the lease table also holds leases of an application that reads ${otherWay(reads)}; they are passed over`,
  );
}

/** A worker of another stream lives on this table. */
export function anotherApplication(
  table: Table,
  reads: Reads,
  theirs: string,
  workerId: string,
  workerStaleMs: number,
): OperatingError {
  const text =
    `table ${table.name}: expected that its application reads ${describeReads(reads)}, got worker ${workerId}, which lives and ` +
    `reads ${theirs}. One application name stands for what one fleet reads, or the two would be given each other's leases: give ` +
    `this consumer another application (or tableName). The rows are that fleet's; leave them. If it has ended, start again in ` +
    `${Math.ceil(workerStaleMs / 1000)} s`;
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

/** Nobody lives on this table, as far as its rows say; Java workers say nothing of what they read. */
function writtenForAnother(
  table: Table,
  reads: Reads,
  { leaseKey, checkpoint, leaseOwner, shardId }: Lease,
): OperatingError {
  const text =
    `table ${table.name}: expected leases of ${describeReads(reads)}, got leases that were written for another stream: Kinesis knows the ` +
    `checkpoint of ${leaseKey}, ${formatExtended(checkpoint)}${leaseOwner === undefined ? '' : ` (last owner ${leaseOwner})`}, for none of ` +
    `${shardId} in this one. Under them records would be passed over, and the other stream's places lost: give this consumer another ` +
    'application (or tableName). Only if no worker, Java ones included, will ever read that other stream from there again may the table ' +
    'be deleted instead: this consumer then makes a new one, and begins at its initialPosition';
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

function otherModality(table: Table, reads: Reads, leaseKey: string): OperatingError {
  const [given, asBefore] = reads.kind === 'one' ? ['stream', 'streams'] : ['streams', 'stream'];
  const text =
    `table ${table.name}: expected leases of an application that reads ${ownWay(reads)} (option ${given}), got leases of one that ` +
    `reads ${otherWay(reads)} (${leaseKey}). Their checkpoints mean nothing under the other keys, so everything would be read anew ` +
    `from initialPosition. To go on where it stopped, give option ${asBefore} as before (one stream may be listed alone in streams); ` +
    `to begin anew on purpose, give another application or tableName, and keep this table for as long as you may want to go back`;
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

function ownWay(reads: Reads): string {
  return reads.kind === 'one' ? 'one stream' : SEVERAL;
}

function otherWay(reads: Reads): string {
  return reads.kind === 'one' ? SEVERAL : 'one stream';
}

async function* itemsOf(tables: readonly Table[]): AsyncGenerator<Item> {
  // Workers first, where they stand apart: they are few.
  for (const table of [...tables].reverse()) for await (const page of table.scan()) yield* page;
}

function nameIn(stream: string): string {
  return stream.slice(stream.lastIndexOf('/') + 1);
}

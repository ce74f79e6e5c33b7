// Whether this worker may do what its work on the tables is made of, asked at the start by writes whose condition can't hold: IAM
// decides before DynamoDB looks at a condition. What is missing and necessary ends the start, with action and table; without it a
// worker would be given leases that it can't hold, and try for ever.
// Invariant: changes nothing.
import type { Logger } from '@shardline/common';
import type { WrittenItem } from './item.ts';
import { deniedFor, isDenied } from './opening.ts';
import type { Table } from './table.ts';

/** No row is there and not there. */
const NEVER = 'attribute_exists(#key) AND attribute_not_exists(#key)';
/** The key of no row. */
const PROBE_KEY = 'ShardlineProbe';

/**
 * @param written those in which rows of this worker change: the lease table, and where the `Leader` row and metric rows stand.
 * @throws OperatingError ACCESS_DENIED naming action and resource.
 */
export async function checkPermissions(leases: Table, written: readonly Table[], logger: Logger): Promise<void> {
  const tables = [...new Set([leases, ...written])];
  const update = { condition: NEVER, update: 'SET probe = :probe', values: { ':probe': { S: '' } } };
  const item: WrittenItem = { leaseKey: { S: PROBE_KEY } };
  await Promise.all([
    needed(leases.put(item, NEVER), 'Without it no lease can be made, for a shard or for the children of one'),
    ...tables.map((table) =>
      needed(
        table.update(PROBE_KEY, update),
        'Without it no lease can be held, no checkpoint written, and nobody leads',
      ),
    ),
    ...tables.map((table) =>
      table.delete(PROBE_KEY, NEVER).catch((error: unknown) => {
        if (!isDenied(error)) throw error;
        const text =
          'rows may not be deleted: finished leases and the rows of workers that have left stay in the table';
        logger.warn({ table: table.name, err: error }, text);
      }),
    ),
  ]);
}

async function needed(probe: Promise<unknown>, purpose: string): Promise<void> {
  try {
    await probe;
  } catch (error) {
    throw deniedFor(error, `${purpose}: allow this action on it`);
  }
}

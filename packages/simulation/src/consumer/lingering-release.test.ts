// A schedule that chance meets once in tens of thousands of worlds, and that the KCL's release falls for; so it is played by hand, by
// the real holder and the real table.
import { expect, test } from 'vitest';
import { type Lease, newLease } from '../../../consumer/dist/coordination/lease.js';
import { LeaseHolder } from '../../../consumer/dist/coordination/lease-holder.js';
import { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';

const leaseKey = 'shardId-000000000000';
const times = { failoverTimeMs: 1000, checkpointIntervalMs: 200, retryMs: 100 };

/** A holder whose claim of the lease has been applied. */
function claim(table: MemoryLeaseTable, tenure: number, now: number): LeaseHolder {
  const holder = new LeaseHolder(tenure, table.leases.get(leaseKey) as Lease, { workerId: 'a', ...times });
  write(table, holder, now);
  expect(holder.claimed).toBe(true);
  return holder;
}

function write(table: MemoryLeaseTable, holder: LeaseHolder, now: number): void {
  const effect = holder.nextWrite(now);
  if (effect === undefined) throw new Error('the holder has nothing to write');
  holder.answered(effect, table.apply(effect) as never, now);
}

/** Worker a claims, and releases twice, the first time with a request that lingers; it is given the lease again and claims it. */
function play(): { table: MemoryLeaseTable; lingering: ReturnType<LeaseHolder['nextWrite']>; later: LeaseHolder } {
  const table = new MemoryLeaseTable();
  const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: { start: 0n, end: 1n } };
  const lease = newLease(shard as never, { sequenceNumber: 'TRIM_HORIZON', subSequenceNumber: 0 } as never);
  table.leases.set(leaseKey, { ...lease, leaseOwner: 'a' });
  const first = claim(table, 1, 0);
  first.release();
  const lingering = first.nextWrite(10);
  first.failed(310);
  write(table, first, 410);
  expect(first.gone).toBe('released');
  const assign = { kind: 'assignLease', leaseKey, tenure: undefined, newOwner: 'a' } as const;
  table.apply({ ...assign, seenOwner: undefined, seenCheckpointOwner: undefined, seenCounter: undefined });
  return { table, lingering, later: claim(table, 2, 500) };
}

test('a release that lingers does not end a later tenure of the same worker', () => {
  const { table, lingering, later } = play();
  expect(lingering).toMatchObject({ kind: 'evictLease', seenOwner: 'a' });
  expect(table.apply(lingering as never)).toMatchObject({ applied: false });
  expect(table.leases.get(leaseKey)?.leaseOwner).toBe('a');
  write(table, later, 900);
  expect(later.gone).toBeUndefined();
});

test("without the counter in its condition, as the KCL's, it would, while that tenure takes the lease for its own", () => {
  const { table, lingering, later } = play();
  expect(table.apply({ ...lingering, seenCounter: undefined } as never)).toMatchObject({ applied: true });
  expect(table.leases.get(leaseKey)?.leaseOwner).toBeUndefined();
  expect(later.isFresh(900)).toBe(true);
});

// The whole fleet by its tables, for who has no worker running: in one table and in three, of one stream and of several, and what stands still.
// All of it holds on dynalite and on AWS's DynamoDB Local.
import { silentLogger, TRIM_HORIZON } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NOTHING_MEASURED, newLease } from '../src/coordination/lease.ts';
import { FleetReader } from '../src/fleet-reader.ts';
import { DynamoDBLeaseTable } from '../src/lease-table/dynamodb.ts';
import * as fleet from './java-fleet.ts';
import { javaRows, METRICS, STATES } from './java-fleet.ts';
import { startTestDynamoDB, type TestDynamoDB } from './local-dynamodb.ts';

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
});
afterAll(async () => {
  await dynamodb.close();
});

const hashKeyRange = { start: 0n, end: 1n } as never;

async function tableOf(tableName: string): Promise<DynamoDBLeaseTable> {
  const { client } = dynamodb;
  await fleet.makeLeaseTable(client, tableName);
  const table = new DynamoDBLeaseTable({
    client,
    tableName,
    workerId: 'w1',
    host: 'here, pid 1',
    logger: silentLogger,
  });
  await table.open();
  return table;
}

function readerOf(tableName: string): { readonly reader: FleetReader; readonly clock: ManualClock } {
  const clock = new ManualClock();
  return { reader: new FleetReader({ application: tableName, dynamoDBClient: dynamodb.client, clock }), clock };
}

describe('a fleet in one table', () => {
  it('is seen as it stands: owners, handoffs, checkpoints, workers, who leads; and from the second reading on what stands still', async () => {
    const table = await tableOf('fleet-one');
    for (const [shardId, streamId] of [['s1'], ['s2', '1:orders:7'], ['s3', '1:refunds:8']] as const) {
      const lease = newLease({ shardId, parentShardIds: [], hashKeyRange }, TRIM_HORIZON, streamId);
      await table.run({ kind: 'createLease', lease, leaseKey: lease.leaseKey, tenure: undefined });
    }
    const assign = (leaseKey: string, newOwner: string): Promise<unknown> =>
      table.run({
        kind: 'assignLease',
        leaseKey,
        newOwner,
        seenOwner: undefined,
        seenCheckpointOwner: undefined,
        seenCounter: 0,
        tenure: undefined,
      });
    await assign('s1', 'w1');
    await assign('1:orders:7:s2', 'w1');
    await table.run({ kind: 'handOffLease', leaseKey: '1:orders:7:s2', from: 'w1', to: 'w2' });
    await table.run({
      kind: 'reportWorker',
      workerId: 'w1',
      processId: 'p1',
      utilization: { stats: { C: [12, 40] }, operatingRange: { C: [100] } },
      declines: ['s9'],
    });
    await table.run({ kind: 'reportWorker', workerId: 'w2', processId: 'p2', utilization: NOTHING_MEASURED });
    const leader = { owner: 'w1', version: 'v1', leaseDurationMs: 30_000 };
    await table.run({ kind: 'writeLeader', leader, expectedVersion: undefined });

    const { reader, clock } = readerOf('fleet-one');
    const first = await reader.read();
    expect(first).toMatchObject({
      tableName: 'fleet-one',
      leader: { workerId: 'w1', leaseDurationMs: 30_000, silentMs: 0 },
      leases: [
        {
          leaseKey: '1:orders:7:s2',
          streamId: '1:orders:7',
          shardId: 's2',
          owner: 'w1',
          handingOffTo: 'w2',
          leaseCounter: 1,
        },
        { leaseKey: '1:refunds:8:s3', owner: undefined, handingOffTo: undefined, silentMs: 0 },
        { leaseKey: 's1', streamId: undefined, owner: 'w1', checkpoint: 'TRIM_HORIZON', hasEnded: false },
      ],
      workers: [
        {
          workerId: 'w1',
          leaseCount: 2,
          utilization: { C: [12, 40] },
          host: 'here, pid 1',
          isShardline: true,
          declines: ['s9'],
        },
        { workerId: 'w2', leaseCount: 0, utilization: {}, declines: undefined },
      ],
      unreadable: [],
    });
    const write = {
      kind: 'checkpointLease',
      leaseKey: 's1',
      tenure: 1,
      leaseCounter: 1,
      pendingCheckpoint: undefined,
    } as const;
    const checkpoint = { sequenceNumber: 42n, subSequenceNumber: 3 } as never;
    await table.run({ ...write, checkpoint, childShardIds: undefined, throughputKBps: 1.5 });
    clock.advance(7_000);
    const second = await reader.read();
    expect(second.leases.find(({ leaseKey }) => leaseKey === 's1')).toMatchObject({
      checkpoint: '42:3',
      leaseCounter: 2,
      throughputKBps: 1.5,
      silentMs: 0,
      counterSeenAt: second.readAt,
    });
    expect(second.leases[0]).toMatchObject({ silentMs: 7_000, counterSeenAt: first.readAt });
    expect(second.leader?.silentMs).toBe(7_000);
    expect(second.workers.map(({ silentMs }) => silentMs)).toEqual([7_000, 7_000]);
    await table.close();
    await reader.close();
  });

  it('names rows that cannot be read, and reads the others', async () => {
    const table = await tableOf('fleet-bad');
    const lease = newLease({ shardId: 's1', parentShardIds: [], hashKeyRange }, TRIM_HORIZON);
    await table.run({ kind: 'createLease', lease, leaseKey: 's1', tenure: undefined });
    await fleet.put(dynamodb.client, 'fleet-bad', {
      leaseKey: { S: 's2' },
      entityType: { S: 'LEASE' },
      checkpoint: { S: 'x' },
    });
    const { reader } = readerOf('fleet-bad');
    expect(await reader.read()).toMatchObject({
      leader: undefined,
      leases: [{ leaseKey: 's1' }],
      unreadable: [{ key: 's2', reason: expect.stringContaining('leaseCounter') }],
    });
    await table.close();
  });
});

describe('a Java fleet in three tables', () => {
  it('is read from all three, and once it has moved from the lease table alone', async () => {
    const { client } = dynamodb;
    await fleet.javaFleet(client, 'fleet-three');
    const { reader } = readerOf('fleet-three');
    const recorded = (suffix: string): number => javaRows[suffix]?.length ?? 0;
    const leaderOf = javaRows[STATES]?.find((row) => row['key']?.S === 'Leader')?.['ownerName']?.S;
    const before = await reader.read();
    expect(before.leases).toHaveLength(recorded(''));
    expect(before.workers).toHaveLength(recorded(METRICS));
    expect(before.workers.every(({ isShardline, host }) => !isShardline && host === undefined)).toBe(true);
    expect(before.leader?.workerId).toBe(leaderOf);
    expect(before.unreadable).toEqual([]);
    await fleet.moveTo(client, 'fleet-three', 'COMPLETE');
    const after = await reader.read();
    expect(after.leases).toHaveLength(recorded(''));
    // What stands in the tables beside it counts no longer.
    expect([after.workers, after.leader]).toEqual([[], undefined]);
  });
});

it('a table that is not there, and no name, are errors that say so; nothing is made', async () => {
  const { reader } = readerOf('fleet-none');
  await expect(reader.read()).rejects.toMatchObject({ code: 'LEASE_TABLE_UNAVAILABLE' });
  await expect(reader.read()).rejects.toThrow('fleet-none');
  expect(() => new FleetReader({})).toThrow('the name of an application, or a tableName');
});

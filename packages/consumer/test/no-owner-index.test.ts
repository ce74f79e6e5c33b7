// Living without the owner index: dynalite cannot add one to a table, as an account may not be allowed to.
import { evenRanges, type HashKeyRange, type Logger, parseCheckpoint, silentLogger } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { expect, it } from 'vitest';
import { newLease } from '../src/coordination/lease.ts';
import { DynamoDBLeaseTable } from '../src/lease-table/dynamodb.ts';
import { makeTable } from './java-fleet.ts';
import { startTestDynamoDB } from './local-dynamodb.ts';

it('leases are found by scanning where the owner index cannot be had, which is said once', async () => {
  const dynamodb = await startTestDynamoDB();
  await makeTable(dynamodb.client, 'noindex', 'leaseKey');
  const warnings: (string | undefined)[] = [];
  const logger: Logger = { ...silentLogger, warn: (_: object, message?: string) => void warnings.push(message) };
  const clock = new ManualClock(0);
  const options = { client: dynamodb.client, tableName: 'noindex', workerId: 'w1', logger, clock };
  const table = new DynamoDBLeaseTable({ ...options, failoverTimeMs: 3_000 });
  await table.open();
  expect(warnings).toEqual(['no owner index; leases are found by scanning']);
  for (const leaseOwner of ['w1', 'w2']) {
    const leaseKey = `of ${leaseOwner}`;
    const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: evenRanges(1)[0] as HashKeyRange };
    const row = { ...newLease(shard, parseCheckpoint('LATEST')), leaseOwner };
    await table.run({ kind: 'createLease', lease: row, leaseKey, tenure: undefined });
  }
  const found = async (): Promise<string[]> => {
    const { leases } = await table.run({ kind: 'discoverLeases', owner: 'w1', held: [] });
    return leases.map((row) => row.leaseKey);
  };
  expect(await found()).toEqual(['of w1']);
  // A scan pays for the whole table, but a lease that is not found within the failover time goes to another.
  clock.advance(999);
  expect(await found()).toEqual([]);
  clock.advance(1);
  expect(await found()).toEqual(['of w1']);
  await table.close();
  await dynamodb.close();
});

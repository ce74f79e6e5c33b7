// Living without the owner index: dynalite cannot add one to a table, as an account may not be allowed to.
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { evenRanges, type HashKeyRange, type Logger, parseCheckpoint, silentLogger } from '@shardline/common';
import { expect, it } from 'vitest';
import { newLease } from '../src/coordination/lease.ts';
import { DynamoDBLeaseTable } from '../src/lease-table/dynamodb.ts';
import { startTestDynamoDB } from './local-dynamodb.ts';

it('leases are found by scanning where the owner index cannot be had, which is said once', async () => {
  const dynamodb = await startTestDynamoDB();
  await dynamodb.client.send(
    new CreateTableCommand({
      TableName: 'noindex',
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    }),
  );
  const warnings: (string | undefined)[] = [];
  const logger: Logger = { ...silentLogger, warn: (_: object, message?: string) => void warnings.push(message) };
  const table = new DynamoDBLeaseTable({ client: dynamodb.client, tableName: 'noindex', workerId: 'w1', logger });
  await table.open();
  expect(warnings).toEqual(['no owner index; leases are found by scanning']);
  for (const leaseOwner of ['w1', 'w2']) {
    const leaseKey = `of ${leaseOwner}`;
    const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: evenRanges(1)[0] as HashKeyRange };
    const row = { ...newLease(shard, parseCheckpoint('LATEST')), leaseOwner };
    await table.run({ kind: 'createLease', lease: row, leaseKey, tenure: undefined });
  }
  const { leases } = await table.run({ kind: 'discoverLeases', owner: 'w1', held: [] });
  expect(leases.map((row) => row.leaseKey)).toEqual(['of w1']);
  await table.close();
  await dynamodb.close();
});

// What is set for a table as a whole, on the one server of ours that keeps all of it: tags, point-in-time recovery, protection
// against deletion, beside capacities. The server is moto (interop/moto).
import {
  CreateTableCommand,
  DescribeContinuousBackupsCommand,
  DescribeTableCommand,
  ListTagsOfResourceCommand,
  type TableDescription,
} from '@aws-sdk/client-dynamodb';
import { silentLogger } from '@shardline/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TableSettings } from '../../src/lease-table/control.ts';
import { DynamoDBLeaseTable, type DynamoDBLeaseTableOptions } from '../../src/lease-table/dynamodb.ts';
import { METRICS, STATES } from '../java-fleet.ts';
import { startTestDynamoDB, type TestDynamoDB } from '../local-dynamodb.ts';

let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startTestDynamoDB();
});
afterAll(async () => {
  await dynamodb.close();
});

const settings: TableSettings = {
  throughput: { readCapacity: 3, writeCapacity: 4 },
  deletionProtection: true,
  pointInTimeRecovery: true,
  tags: { team: 'billing', stage: 'test', 'cost centre': '' },
};
const nothing: TableSettings = {
  throughput: undefined,
  deletionProtection: false,
  pointInTimeRecovery: false,
  tags: {},
};

async function open(tableName: string, options: Partial<DynamoDBLeaseTableOptions>): Promise<void> {
  const table = new DynamoDBLeaseTable({
    client: dynamodb.client,
    tableName,
    workerId: 'w1',
    logger: silentLogger,
    ...options,
  });
  await table.open();
  await table.close();
}

async function describeTable(TableName: string): Promise<TableDescription | undefined> {
  return (await dynamodb.client.send(new DescribeTableCommand({ TableName }))).Table;
}

/** What was set of a table, in the words of the settings. */
async function settingsOf(TableName: string): Promise<TableSettings> {
  const table = await describeTable(TableName);
  const { Tags } = await dynamodb.client.send(new ListTagsOfResourceCommand({ ResourceArn: table?.TableArn }));
  const backups = await dynamodb.client.send(new DescribeContinuousBackupsCommand({ TableName }));
  const recovery = backups.ContinuousBackupsDescription?.PointInTimeRecoveryDescription?.PointInTimeRecoveryStatus;
  const { ReadCapacityUnits = 0, WriteCapacityUnits = 0 } = table?.ProvisionedThroughput ?? {};
  const isOnDemand = table?.BillingModeSummary?.BillingMode === 'PAY_PER_REQUEST';
  return {
    throughput: isOnDemand ? undefined : { readCapacity: ReadCapacityUnits, writeCapacity: WriteCapacityUnits },
    deletionProtection: table?.DeletionProtectionEnabled ?? false,
    pointInTimeRecovery: recovery === 'ENABLED',
    tags: Object.fromEntries((Tags ?? []).map(({ Key, Value }) => [Key, Value])),
  };
}

it('a lease table is made with all of it, and its owner index with the same capacities', async () => {
  await open('whole', { settings });
  expect(await settingsOf('whole')).toEqual(settings);
  const [index] = (await describeTable('whole'))?.GlobalSecondaryIndexes ?? [];
  expect(index?.ProvisionedThroughput).toMatchObject({ ReadCapacityUnits: 3, WriteCapacityUnits: 4 });
});

it('so are the tables of coordinator states and of worker metrics', async () => {
  await open('three', { settings, layout: 'three' });
  for (const name of ['three', `three${STATES}`, `three${METRICS}`]) expect(await settingsOf(name)).toEqual(settings);
});

it('by default none of it is set', async () => {
  await open('plain', {});
  expect(await settingsOf('plain')).toEqual(nothing);
});

it('of a table that is there, only point-in-time recovery is turned on, and never off', async () => {
  await dynamodb.client.send(
    new CreateTableCommand({
      TableName: 'there',
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    }),
  );
  await open('there', { settings });
  expect(await settingsOf('there')).toEqual({ ...nothing, pointInTimeRecovery: true });
  await open('there', { settings: nothing });
  expect(await settingsOf('there')).toEqual({ ...nothing, pointInTimeRecovery: true });
});

it('the index that is added to a provisioned table has the capacities of the table', async () => {
  const ProvisionedThroughput = { ReadCapacityUnits: 7, WriteCapacityUnits: 9 };
  await dynamodb.client.send(
    new CreateTableCommand({
      TableName: 'older',
      ProvisionedThroughput,
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    }),
  );
  await open('older', { settings });
  const [index] = (await describeTable('older'))?.GlobalSecondaryIndexes ?? [];
  expect(index?.ProvisionedThroughput).toMatchObject(ProvisionedThroughput);
});

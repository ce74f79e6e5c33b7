// The tables that a Java fleet left: rows of a real KCL 3.4.2, put into tables with its keys, and the row by which a Java leader
// of 3.5 moves them into one.
import { readFileSync } from 'node:fs';
import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { OWNER_INDEX } from '../src/lease-table/table.ts';
import { createTable } from './create-table.ts';

export type Item = Record<string, AttributeValue>;

export const STATES = '-CoordinatorState';
export const METRICS = '-WorkerMetricStats';
/** By the suffix of the table's name. */
export const keyNames: Readonly<Record<string, string>> = { '': 'leaseKey', [STATES]: 'key', [METRICS]: 'wid' };

interface Recording {
  readonly snapshots: readonly { readonly tables: Readonly<Record<string, readonly Item[]>> }[];
}

const recorded = readFileSync(new URL('./fixtures/java-kcl-tables.json', import.meta.url), 'utf8');
const { 'kcl-3.4.2-fresh-app': fleet } = JSON.parse(recorded) as { 'kcl-3.4.2-fresh-app': Recording };

/** All rows of the fleet at its end, by the suffix of the table. */
export const javaRows: Readonly<Record<string, readonly Item[]>> = Object.fromEntries(
  Object.entries(fleet.snapshots.at(-1)?.tables ?? {}).map(([table, items]) => [table.replace('g342', ''), items]),
);

export async function put(client: DynamoDBClient, TableName: string, Item: Item): Promise<void> {
  await client.send(new PutItemCommand({ TableName, Item }));
}

export async function rows(client: DynamoDBClient, TableName: string): Promise<Item[]> {
  return (await client.send(new ScanCommand({ TableName, ConsistentRead: true }))).Items ?? [];
}

/** A table with a key of type S, as Java workers make it. */
export async function makeTable(client: DynamoDBClient, TableName: string, AttributeName: string): Promise<void> {
  await createTable(client, {
    TableName,
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: [{ AttributeName, KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName, AttributeType: 'S' }],
  });
}

/** A lease table that has its owner index already: dynalite can't add one, and scans come every 10 s. */
export async function makeLeaseTable(client: DynamoDBClient, TableName: string): Promise<void> {
  const KeySchema = (names: string[]): { AttributeName: string; KeyType: 'HASH' | 'RANGE' }[] =>
    names.map((AttributeName, at) => ({ AttributeName, KeyType: at === 0 ? 'HASH' : 'RANGE' }));
  await createTable(client, {
    TableName,
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: KeySchema(['leaseKey']),
    AttributeDefinitions: ['leaseKey', 'leaseOwner'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    GlobalSecondaryIndexes: [
      {
        IndexName: OWNER_INDEX,
        KeySchema: KeySchema(['leaseOwner', 'leaseKey']),
        Projection: { ProjectionType: 'KEYS_ONLY' },
      },
    ],
  });
}

/** The three tables of the fleet, and the state of its move into one. */
export async function javaFleet(
  client: DynamoDBClient,
  name: string,
  migration?: string,
  change: (row: Item) => Item = (row) => row,
): Promise<void> {
  for (const [suffix, items] of Object.entries(javaRows)) {
    if (suffix === '') await makeLeaseTable(client, name);
    else await makeTable(client, name + suffix, keyNames[suffix] ?? '');
    for (const item of items) await put(client, name + suffix, change(item));
  }
  await moveTo(client, name, migration);
}

/** As a Java leader does it: all rows but its own and this one are in the lease table before it writes PENDING. */
export async function moveTo(client: DynamoDBClient, name: string, migration: string | undefined): Promise<void> {
  if (migration === undefined) return;
  const attributes = { tm: { S: `TABLE_MIGRATION_STATUS_${migration}` }, mb: { S: 'java' }, mts: { N: '1' } };
  await put(client, name + STATES, { key: { S: 'TableMigration3.5' }, ...attributes });
  if (migration === 'COMPLETE') await put(client, name, { leaseKey: { S: 'TableMigration3.5' }, ...attributes });
  if (migration !== 'COMPLETE' && migration !== 'PENDING') return;
  for (const { key, ...row } of javaRows[STATES] ?? []) {
    await put(client, name, { ...row, leaseKey: key as AttributeValue });
    await client.send(new DeleteItemCommand({ TableName: name + STATES, Key: { key: key as AttributeValue } }));
  }
}

// A table of ours as a whole, as opposed to its rows: described, made, given its index and its backups. Every call here needs a
// permission that a worker can do without once the table is as it should be, but for the look at it; none is made before that
// look has shown that it is needed.
import {
  CreateTableCommand,
  DescribeTableCommand,
  type TableDescription,
  UpdateContinuousBackupsCommand,
  UpdateTableCommand,
} from '@aws-sdk/client-dynamodb';
import { awsCodeOf } from '../aws-call.ts';
import { isNotFound, OWNER_INDEX, type Table } from './table.ts';

/** How tables are made that are not there (KCL LeaseManagementConfig, DdbTableConfig). */
export interface TableSettings {
  /** Undefined: on demand (PAY_PER_REQUEST). */
  readonly throughput: { readonly readCapacity: number; readonly writeCapacity: number } | undefined;
  readonly deletionProtection: boolean;
  readonly pointInTimeRecovery: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

export const DEFAULT_TABLE_SETTINGS: TableSettings = {
  throughput: undefined,
  deletionProtection: false,
  pointInTimeRecovery: false,
  tags: {},
};

/** A table as it was found. */
export interface FoundTable {
  readonly status: string | undefined;
  /** `HASH leaseKey (S)`. */
  readonly key: string;
  readonly hasOwnerIndex: boolean;
  /** It can be asked. */
  readonly ownerIndexIsActive: boolean;
  /** Undefined: on demand. */
  readonly throughput: Throughput | undefined;
}

interface Throughput {
  readonly ReadCapacityUnits: number | undefined;
  readonly WriteCapacityUnits: number | undefined;
}

/** Undefined: there is none. */
export async function describeTable({ client, calls, name }: Table): Promise<FoundTable | undefined> {
  const command = new DescribeTableCommand({ TableName: name });
  try {
    const answer = await calls.call('dynamodb:DescribeTable', (options) => client.send(command, options));
    return answer.Table && foundTable(answer.Table);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** False: another worker was faster. An index made with the table is usable at once, and not every server can add one later. */
export async function createTable(
  { client, calls, name, keyName }: Table,
  withOwnerIndex: boolean,
  { throughput, deletionProtection, tags }: TableSettings,
): Promise<boolean> {
  const provisioned = throughput && {
    ProvisionedThroughput: {
      ReadCapacityUnits: throughput.readCapacity,
      WriteCapacityUnits: throughput.writeCapacity,
    },
  };
  const pairs = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const command = new CreateTableCommand({
    TableName: name,
    BillingMode: provisioned === undefined ? 'PAY_PER_REQUEST' : 'PROVISIONED',
    KeySchema: [{ AttributeName: keyName, KeyType: 'HASH' }],
    AttributeDefinitions: withOwnerIndex ? ownerAttributes() : [{ AttributeName: keyName, AttributeType: 'S' }],
    ...provisioned,
    ...(withOwnerIndex && { GlobalSecondaryIndexes: [{ ...ownerIndex(), ...provisioned }] }),
    ...(deletionProtection && { DeletionProtectionEnabled: true }),
    ...(pairs.length > 0 && { Tags: pairs }),
  });
  return unlessInUse(() => calls.call('dynamodb:CreateTable', (options) => client.send(command, options)));
}

/** False: another worker adds it. What the table is given of throughput the index is given, too, as in the KCL. */
export async function addOwnerIndex({ client, calls, name }: Table, { throughput }: FoundTable): Promise<boolean> {
  const command = new UpdateTableCommand({
    TableName: name,
    AttributeDefinitions: ownerAttributes(),
    GlobalSecondaryIndexUpdates: [
      { Create: { ...ownerIndex(), ...(throughput && { ProvisionedThroughput: throughput }) } },
    ],
  });
  return unlessInUse(() => calls.call('dynamodb:UpdateTable', (options) => client.send(command, options)));
}

/** False: not yet. A table that was made just now has no backups to continue. */
export async function keepPointInTimeRecovery({ client, calls, name }: Table): Promise<boolean> {
  const command = new UpdateContinuousBackupsCommand({
    TableName: name,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  });
  try {
    await calls.call('dynamodb:UpdateContinuousBackups', (options) => client.send(command, options));
    return true;
  } catch (error) {
    if (awsCodeOf(error) === 'ContinuousBackupsUnavailableException') return false;
    throw error;
  }
}

async function unlessInUse(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (awsCodeOf(error) === 'ResourceInUseException') return false;
    throw error;
  }
}

function foundTable(table: TableDescription): FoundTable {
  const types = new Map(table.AttributeDefinitions?.map((it) => [it.AttributeName, it.AttributeType]));
  const keys = (table.KeySchema ?? []).map(
    (key) => `${key.KeyType} ${key.AttributeName} (${types.get(key.AttributeName) ?? '?'})`,
  );
  const { ReadCapacityUnits, WriteCapacityUnits } = table.ProvisionedThroughput ?? {};
  const provisioned = table.BillingModeSummary?.BillingMode !== 'PAY_PER_REQUEST';
  const ownerIndex = table.GlobalSecondaryIndexes?.find((index) => index.IndexName === OWNER_INDEX);
  return {
    status: table.TableStatus,
    key: keys.join(', ') || 'no key',
    hasOwnerIndex: ownerIndex !== undefined,
    ownerIndexIsActive: ownerIndex?.IndexStatus === 'ACTIVE',
    throughput: provisioned ? { ReadCapacityUnits, WriteCapacityUnits } : undefined,
  };
}

function ownerAttributes(): { AttributeName: string; AttributeType: 'S' }[] {
  return [
    { AttributeName: 'leaseKey', AttributeType: 'S' },
    { AttributeName: 'leaseOwner', AttributeType: 'S' },
  ];
}

function ownerIndex(): {
  IndexName: string;
  KeySchema: { AttributeName: string; KeyType: 'HASH' | 'RANGE' }[];
  Projection: { ProjectionType: 'KEYS_ONLY' };
} {
  return {
    IndexName: OWNER_INDEX,
    KeySchema: [
      { AttributeName: 'leaseOwner', KeyType: 'HASH' },
      { AttributeName: 'leaseKey', KeyType: 'RANGE' },
    ],
    Projection: { ProjectionType: 'KEYS_ONLY' },
  };
}

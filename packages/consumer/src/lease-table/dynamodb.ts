// The lease table in DynamoDB: every table effect as calls with the conditions of the KCL's DynamoDBLeaseRefresher, written
// as expressions. One of the few files that call AWS. It decides nothing: a refused condition is a result with the row as it
// is now, a failure is thrown and never says whether the write was applied. Every update names the attributes it sets, so
// attributes and rows that we don't know stay untouched; reads are consistent, but for the owner index, which can't be.
import {
  type AttributeValue,
  ConditionalCheckFailedException,
  CreateTableCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  type TableDescription,
  UpdateItemCommand,
  type UpdateItemCommandInput,
  UpdateTableCommand,
} from '@aws-sdk/client-dynamodb';
import { type Clock, delay, type Logger, OperatingError, systemClock } from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import type { LeaderWrite, LeaseWrite, ReportWorker, ResultOf, Results, TableEffect } from '../coordination/effects.ts';
import type { LeaderRow, Lease, WorkerRow } from '../coordination/lease.ts';
import {
  CLIENT_VERSION_KEY,
  checkpointAttributes,
  clientVersionItem,
  type Item,
  LEADER_KEY,
  leaderItem,
  leaseItem,
  readProcess,
  readRow,
  type WrittenValue,
  workerItem,
} from './item.ts';
import { type LeaseTable, ownerSwitches } from './lease-table.ts';

export interface DynamoDBLeaseTableOptions {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  /** Who made the migration row, should this worker be the first. */
  readonly workerId: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** One call, ms. Default 10000. */
  readonly requestTimeoutMs?: number;
  /** Until a new table is ACTIVE, ms. Default 600000, the KCL's. */
  readonly tableTimeoutMs?: number;
}

/** The index by which a worker finds its leases (KCL 3.x). */
export const OWNER_INDEX = 'LeaseOwnerToLeaseKeyIndex';

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
const DEFAULT_TABLE_TIMEOUT_MS = 600_000;
const FIRST_POLL_MS = 100;
const LONGEST_POLL_MS = 5_000;
/** Between two looks for leases of ours while there is no index: half the KCL's default of leaseAssignmentIntervalMillis. */
const SCAN_INTERVAL_MS = 10_000;
/** Rows read at once within one effect. */
const CONCURRENT_READS = 16;

type Values = Record<string, WrittenValue>;

export class DynamoDBLeaseTable implements LeaseTable {
  readonly #options: DynamoDBLeaseTableOptions;
  readonly #client: DynamoDBClient;
  readonly #clock: Clock;
  readonly #calls: AwsCalls;
  readonly #rows: Rows;
  readonly #closing = new AbortController();

  constructor(options: DynamoDBLeaseTableOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#clock = options.clock ?? systemClock;
    this.#calls = new AwsCalls({
      timeoutMs: options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
      resource: `table ${options.tableName}`,
      codes: { notFound: 'LEASE_TABLE_UNAVAILABLE', failed: 'LEASE_TABLE_UNAVAILABLE' },
      clock: this.#clock,
    });
    this.#rows = new Rows(options, this.#calls, this.#clock);
  }

  async run<E extends TableEffect>(effect: E): Promise<ResultOf<E>> {
    // The table of operations pairs each kind with its result; TypeScript can't follow that through a type parameter.
    const operation = operations[effect.kind] as unknown as (rows: Rows, effect: E) => Promise<ResultOf<E>>;
    return operation(this.#rows, effect);
  }

  async close(): Promise<void> {
    this.#closing.abort(new OperatingError('CLOSED', 'the lease table was closed', { retryable: false }));
    this.#calls.close();
    await Promise.resolve();
  }

  /**
   * @throws OperatingError LEASE_TABLE_FORMAT for a table that isn't a lease table or whose fleet speaks the protocol of the
   * KCL 2.x; ACCESS_DENIED naming the action; LEASE_TABLE_UNAVAILABLE when the table doesn't become usable in time.
   */
  async open(): Promise<void> {
    const found = (await this.#describe()) ?? (await this.#create());
    this.#checkFormat(found);
    await this.#untilActive(found);
    // Before the index: the table of a fleet that we must not join stays as it is.
    await this.#joinFleet();
    if (!hasOwnerIndex(found)) await this.#addIndex(found);
  }

  // --- opening ---

  async #describe(): Promise<TableDescription | undefined> {
    try {
      const command = new DescribeTableCommand({ TableName: this.#options.tableName });
      const answer = await this.#calls.call('dynamodb:DescribeTable', (options) => this.#client.send(command, options));
      return answer.Table;
    } catch (error) {
      if (awsCodeOf(error) === 'ResourceNotFoundException') return undefined;
      throw error;
    }
  }

  /** The index is made with the table: it is usable at once, and not every server can add one later. */
  async #create(): Promise<TableDescription> {
    const { tableName, logger } = this.#options;
    const command = new CreateTableCommand({
      TableName: tableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      AttributeDefinitions: [
        { AttributeName: 'leaseKey', AttributeType: 'S' },
        { AttributeName: 'leaseOwner', AttributeType: 'S' },
      ],
      GlobalSecondaryIndexes: [ownerIndex()],
    });
    try {
      await this.#calls.call('dynamodb:CreateTable', (options) => this.#client.send(command, options));
      logger.info({ table: tableName }, 'created the lease table');
    } catch (error) {
      // Another worker was faster.
      if (awsCodeOf(error) !== 'ResourceInUseException') throw error;
    }
    const made = await this.#describe();
    if (made === undefined) throw this.#unavailable('vanished while it was created');
    return made;
  }

  #checkFormat(table: TableDescription): void {
    const types = new Map(table.AttributeDefinitions?.map((it) => [it.AttributeName, it.AttributeType]));
    const keys = (table.KeySchema ?? []).map(
      (key) => `${key.KeyType} ${key.AttributeName} (${types.get(key.AttributeName) ?? '?'})`,
    );
    if (keys.length === 1 && keys[0] === 'HASH leaseKey (S)') return;
    throw this.#badFormat('the key of a lease table, HASH leaseKey (S)', keys.join(', ') || 'no key');
  }

  async #untilActive(found: TableDescription): Promise<void> {
    const timeoutMs = this.#options.tableTimeoutMs ?? DEFAULT_TABLE_TIMEOUT_MS;
    const startedAt = this.#clock.now();
    let status = found.TableStatus;
    for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(2 * pollMs, LONGEST_POLL_MS)) {
      if (status === 'ACTIVE' || status === 'UPDATING') return;
      if (this.#clock.now() - startedAt >= timeoutMs) {
        throw this.#unavailable(`is not ACTIVE after ${timeoutMs} ms but ${status ?? 'gone'}`);
      }
      await delay(this.#clock, pollMs, this.#closing.signal);
      status = (await this.#describe())?.TableStatus;
    }
  }

  /** Leases are found without the index too, at the price of a scan, so a failure is no reason not to begin. */
  async #addIndex(table: TableDescription): Promise<void> {
    const { tableName, logger } = this.#options;
    const provisioned = table.BillingModeSummary?.BillingMode !== 'PAY_PER_REQUEST';
    const { ReadCapacityUnits, WriteCapacityUnits } = table.ProvisionedThroughput ?? {};
    const throughput = provisioned && { ProvisionedThroughput: { ReadCapacityUnits, WriteCapacityUnits } };
    const command = new UpdateTableCommand({
      TableName: tableName,
      AttributeDefinitions: [
        { AttributeName: 'leaseKey', AttributeType: 'S' },
        { AttributeName: 'leaseOwner', AttributeType: 'S' },
      ],
      GlobalSecondaryIndexUpdates: [{ Create: { ...ownerIndex(), ...throughput } }],
    });
    try {
      await this.#calls.call('dynamodb:UpdateTable', (options) => this.#client.send(command, options));
      logger.info({ table: tableName, index: OWNER_INDEX }, 'adding the owner index to the lease table');
    } catch (error) {
      // Another worker adds it, or has added it since we looked.
      if (awsCodeOf(error) === 'ResourceInUseException' || hasOwnerIndex(await this.#describe())) return;
      logger.warn({ table: tableName, index: OWNER_INDEX, err: error }, 'no owner index; leases are found by scanning');
    }
  }

  /** Says once that this fleet speaks the protocol of the KCL 3.x, or finds out that it doesn't. */
  async #joinFleet(): Promise<void> {
    if (await this.#rows.put(clientVersionItem(this.#options.workerId, this.#clock.wallNow()))) return;
    const version = (await this.#rows.get(CLIENT_VERSION_KEY))?.['cv']?.S;
    if (version === 'CLIENT_VERSION_3X' || version === 'CLIENT_VERSION_3X_WITH_ROLLBACK') return;
    throw this.#badFormat(
      `a fleet that speaks the KCL's 3.x protocol (row ${CLIENT_VERSION_KEY}, cv CLIENT_VERSION_3X)`,
      version ?? 'no cv',
    );
  }

  #badFormat(expected: string, got: string): OperatingError {
    return badFormat(this.#options.tableName, expected, got);
  }

  #unavailable(text: string): OperatingError {
    return unavailable(this.#options.tableName, text);
  }
}

/** The calls that operations are made of, each on rows of the one table. */
class Rows {
  readonly #client: DynamoDBClient;
  readonly #tableName: string;
  readonly #logger: Logger;
  readonly #calls: AwsCalls;
  readonly #clock: Clock;
  /** Reports made, so that a row that stays bad is not reported at every look. */
  readonly #reported = new Set<string>();
  #scannedAt = Number.NEGATIVE_INFINITY;
  /** When each process first reported; one, outside of tests. */
  readonly #since = new Map<string, number>();

  constructor({ client, tableName, logger }: DynamoDBLeaseTableOptions, calls: AwsCalls, clock: Clock) {
    this.#client = client;
    this.#tableName = tableName;
    this.#logger = logger;
    this.#calls = calls;
    this.#clock = clock;
  }

  get wallNow(): number {
    return this.#clock.wallNow();
  }

  async get(leaseKey: string): Promise<Item | undefined> {
    const command = new GetItemCommand({
      TableName: this.#tableName,
      Key: { leaseKey: { S: leaseKey } },
      ConsistentRead: true,
    });
    const answer = await this.#calls.call('dynamodb:GetItem', (options) => this.#client.send(command, options));
    return answer.Item;
  }

  /** The lease of that key; undefined if there is none. */
  async getLease(leaseKey: string): Promise<Lease | undefined> {
    const item = await this.get(leaseKey);
    return item === undefined ? undefined : this.leaseOf(item);
  }

  async getLeases(leaseKeys: readonly string[]): Promise<Lease[]> {
    const found = await mapBounded(leaseKeys, CONCURRENT_READS, (key) => this.getLease(key));
    return found.filter((lease) => lease !== undefined);
  }

  async getLeader(): Promise<LeaderRow | undefined> {
    const item = await this.get(LEADER_KEY);
    if (item === undefined) return undefined;
    const row = readRow(item, this.wallNow);
    if (row.kind === 'leader') return row.leader;
    throw badFormat(this.#tableName, 'a Leader row', row.kind === 'unreadable' ? row.reason : row.kind);
  }

  /** All rows of the table, page by page; with `owner`, only the leases of that one. */
  async scan(owner?: string): Promise<{ leases: Lease[]; workers: WorkerRow[] }> {
    const leases: Lease[] = [];
    const workers: WorkerRow[] = [];
    const filter =
      owner !== undefined &&
      ({ FilterExpression: 'leaseOwner = :owner', ExpressionAttributeValues: { ':owner': { S: owner } } } as const);
    let from: Record<string, AttributeValue> | undefined;
    do {
      const command: ScanCommand = new ScanCommand({
        TableName: this.#tableName,
        ConsistentRead: true,
        ...filter,
        ...(from && { ExclusiveStartKey: from }),
      });
      const page = await this.#calls.call('dynamodb:Scan', (options) => this.#client.send(command, options));
      for (const item of page.Items ?? []) {
        const row = readRow(item, this.wallNow);
        if (row.kind === 'lease') leases.push(row.lease);
        else if (row.kind === 'worker') workers.push(row.worker);
        else if (row.kind === 'unreadable') this.#report(row.key, row.reason);
      }
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
    return { leases, workers };
  }

  /** The owner's leases without the help of an index, but not at every call: a scan pays for the whole table. */
  async scanNow(owner: string): Promise<Lease[]> {
    const now = this.#clock.now();
    if (now - this.#scannedAt < SCAN_INTERVAL_MS) return [];
    this.#scannedAt = now;
    return (await this.scan(owner)).leases;
  }

  /** The keys of the owner's leases by the index, which may lag; undefined while there is no index that can be asked. */
  async queryOwner(owner: string): Promise<string[] | undefined> {
    const keys: string[] = [];
    let from: Record<string, AttributeValue> | undefined;
    try {
      do {
        const command: QueryCommand = new QueryCommand({
          TableName: this.#tableName,
          IndexName: OWNER_INDEX,
          KeyConditionExpression: 'leaseOwner = :owner',
          ExpressionAttributeValues: { ':owner': { S: owner } },
          ...(from && { ExclusiveStartKey: from }),
        });
        const page = await this.#calls.call('dynamodb:Query', (options) => this.#client.send(command, options));
        for (const item of page.Items ?? []) if (item['leaseKey']?.S !== undefined) keys.push(item['leaseKey'].S);
        from = page.LastEvaluatedKey;
      } while (from !== undefined);
    } catch (error) {
      const code = awsCodeOf(error);
      if (code === 'ValidationException' || code === 'ResourceNotFoundException') return undefined;
      throw error;
    }
    return keys;
  }

  /** Updates one lease row; a refused condition gives the row as it is now. */
  async update(leaseKey: string, condition: string, update: string, values: Values): Promise<LeaseWrite> {
    try {
      const row = await this.#updateItem(leaseKey, { condition, update, values });
      const lease = row && this.leaseOf(row);
      if (lease === undefined) throw unavailable(this.#tableName, `gave no row back for ${leaseKey}`);
      return { applied: true, lease };
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      // Not every server sends the old row along.
      const lease = error.Item === undefined ? await this.getLease(leaseKey) : this.leaseOf(error.Item);
      return { applied: false, lease };
    }
  }

  async updateLeader(leader: LeaderRow, condition: string, values: Values): Promise<LeaderWrite> {
    const { assignments, values: leaderValues } = assign(leaderItem(leader));
    try {
      // A row that a Java worker released instead of deleting is ours again.
      const update = `SET ${assignments} REMOVE isReleased`;
      await this.#updateItem(LEADER_KEY, { condition, update, values: { ...leaderValues, ...values } });
      return { applied: true };
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      return { applied: false, leader: await this.getLeader() };
    }
  }

  async updateWorker({ workerId, utilization, processId }: ReportWorker): Promise<Results['reportWorker']> {
    const nowSeconds = Math.floor(this.wallNow / 1000);
    const now = { id: processId, sinceSeconds: this.#since.get(processId) ?? nowSeconds };
    this.#since.set(processId, now.sinceSeconds);
    const { assignments, values } = assign(workerItem(nowSeconds, utilization, now));
    const before = await this.#updateItem(workerId, { update: `SET ${assignments}`, values, returns: 'ALL_OLD' });
    return { before: before && readProcess(before), now };
  }

  /** Puts a row if its key is absent. False: it was there. */
  async put(item: Record<string, WrittenValue>): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: this.#tableName,
      Item: item,
      ConditionExpression: 'attribute_not_exists(leaseKey)',
    });
    try {
      await this.#calls.call('dynamodb:PutItem', (options) => this.#client.send(command, options));
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }

  /** False: the condition failed. */
  async delete(leaseKey: string, condition?: string, values?: Values): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: this.#tableName,
      Key: { leaseKey: { S: leaseKey } },
      ...(condition !== undefined && { ConditionExpression: condition }),
      ...(values !== undefined && { ExpressionAttributeValues: values }),
    });
    try {
      await this.#calls.call('dynamodb:DeleteItem', (options) => this.#client.send(command, options));
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }

  async #updateItem(
    leaseKey: string,
    {
      condition,
      update,
      values,
      returns = 'ALL_NEW',
    }: { condition?: string; update: string; values: Values; returns?: 'ALL_NEW' | 'ALL_OLD' },
  ): Promise<Item | undefined> {
    const input: UpdateItemCommandInput = {
      TableName: this.#tableName,
      Key: { leaseKey: { S: leaseKey } },
      UpdateExpression: update,
      ExpressionAttributeValues: values,
      ReturnValues: returns,
    };
    if (condition !== undefined) {
      input.ConditionExpression = condition;
      input.ReturnValuesOnConditionCheckFailure = 'ALL_OLD';
    }
    const command = new UpdateItemCommand(input);
    const answer = await this.#calls.call('dynamodb:UpdateItem', (options) => this.#client.send(command, options));
    return answer.Attributes;
  }

  /** The lease in a row that was asked for by its key; undefined for a row of another kind. */
  leaseOf(item: Item): Lease | undefined {
    const row = readRow(item, this.wallNow);
    if (row.kind === 'lease') return row.lease;
    if (row.kind === 'unreadable') this.#report(row.key, row.reason);
    return undefined;
  }

  #report(leaseKey: string, reason: string): void {
    const report = `${leaseKey}: ${reason}`;
    if (this.#reported.has(report) || this.#reported.size >= 1000) return;
    this.#reported.add(report);
    this.#logger.error({ leaseKey, reason }, 'a row of the lease table cannot be read and is passed over');
  }
}

const operations: {
  readonly [K in TableEffect['kind']]: (rows: Rows, effect: Extract<TableEffect, { kind: K }>) => Promise<Results[K]>;
} = {
  readTable: (rows) => rows.scan(),

  discoverLeases: async (rows, { owner, held }) => {
    const known = new Set(held);
    const keys = await rows.queryOwner(owner);
    if (keys === undefined)
      return { leases: (await rows.scanNow(owner)).filter((lease) => !known.has(lease.leaseKey)) };
    const leases = await rows.getLeases(keys.filter((key) => !known.has(key)));
    // The index lags behind the table.
    return { leases: leases.filter((lease) => lease.leaseOwner === owner) };
  },

  readLeases: async (rows, { leaseKeys }) => ({ leases: await rows.getLeases(leaseKeys) }),

  createLease: async (rows, { lease }) => ({
    created: await rows.put({ ...leaseItem(lease), entityType: { S: 'LEASE' } }),
  }),

  renewLease: (rows, { leaseKey, leaseCounter, handoffKnown, throughputKBps }) =>
    rows.update(
      leaseKey,
      handoffKnown ? 'leaseCounter = :counter' : 'leaseCounter = :counter AND attribute_not_exists(checkpointOwner)',
      throughputKBps === undefined ? 'SET leaseCounter = :next' : 'SET leaseCounter = :next, throughputKBps = :kBps',
      {
        ...counters(leaseCounter),
        ...(throughputKBps !== undefined && { ':kBps': { N: String(throughputKBps) } }),
      },
    ),

  checkpointLease: (rows, { leaseKey, leaseCounter, checkpoint, childShardIds, throughputKBps }) => {
    const { assignments, values } = assign({
      ...checkpointAttributes(checkpoint),
      ownerSwitchesSinceCheckpoint: { N: '0' },
      // A set can't be empty.
      ...(childShardIds?.length ? { childShardIds: { SS: [...childShardIds] } } : {}),
      ...(throughputKBps === undefined ? {} : { throughputKBps: { N: String(throughputKBps) } }),
    });
    return rows.update(
      leaseKey,
      'leaseCounter = :counter',
      `SET leaseCounter = :next, ${assignments} ` +
        'REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState',
      { ...counters(leaseCounter), ...values },
    );
  },

  assignLease: (rows, { leaseKey, seenOwner, seenCheckpointOwner, seenCounter, newOwner }) => {
    const owner = seenAs('leaseOwner', seenOwner);
    const checkpointOwner = seenAs('checkpointOwner', seenCheckpointOwner);
    const switches = ownerSwitches({ leaseOwner: seenOwner, checkpointOwner: seenCheckpointOwner }, newOwner);
    const counter = seenCounter === undefined ? '' : ' AND leaseCounter = :seenCounter';
    return rows.update(
      leaseKey,
      `attribute_exists(leaseKey) AND ${owner.condition} AND ${checkpointOwner.condition}${counter}`,
      'SET leaseOwner = :newOwner REMOVE checkpointOwner ADD leaseCounter :one, ownerSwitchesSinceCheckpoint :switches',
      {
        ...owner.values,
        ...checkpointOwner.values,
        ...(seenCounter === undefined ? {} : { ':seenCounter': { N: String(seenCounter) } }),
        ':newOwner': { S: newOwner },
        ':one': { N: '1' },
        ':switches': { N: String(switches) },
      },
    );
  },

  handOffLease: (rows, { leaseKey, from, to }) =>
    rows.update(
      leaseKey,
      'leaseOwner = :from AND attribute_not_exists(checkpointOwner)',
      'SET leaseOwner = :to, checkpointOwner = :from',
      { ':from': { S: from }, ':to': { S: to } },
    ),

  evictLease: (rows, { leaseKey, seenOwner, seenCounter }) =>
    rows.update(
      leaseKey,
      `leaseOwner = :owner AND attribute_not_exists(checkpointOwner)${seenCounter === undefined ? '' : ' AND leaseCounter = :seenCounter'}`,
      'REMOVE leaseOwner ADD leaseCounter :one',
      {
        ':owner': { S: seenOwner },
        ':one': { N: '1' },
        ...(seenCounter === undefined ? {} : { ':seenCounter': { N: String(seenCounter) } }),
      },
    ),

  deleteLease: async (rows, { leaseKey, onlyEnded }) => ({
    deleted: onlyEnded
      ? await rows.delete(leaseKey, 'checkpoint = :end', { ':end': { S: 'SHARD_END' } })
      : await rows.delete(leaseKey, 'attribute_exists(leaseKey)'),
  }),

  readLeader: async (rows) => ({ leader: await rows.getLeader() }),

  writeLeader: (rows, { leader, expectedVersion }) =>
    expectedVersion === undefined
      ? rows.updateLeader(leader, 'attribute_not_exists(leaseKey)', {})
      : rows.updateLeader(leader, 'recordVersionNumber = :expected', { ':expected': { S: expectedVersion } }),

  deleteLeader: async (rows, { leader }) => {
    const deleted = await rows.delete(LEADER_KEY, 'ownerName = :owner AND recordVersionNumber = :version', {
      ':owner': { S: leader.owner },
      ':version': { S: leader.version },
    });
    return deleted ? { applied: true } : { applied: false, leader: await rows.getLeader() };
  },

  reportWorker: (rows, report) => rows.updateWorker(report),

  forgetWorker: async (rows, { workerId }) => {
    await rows.delete(workerId);
    return undefined;
  },
};

function badFormat(tableName: string, expected: string, got: string): OperatingError {
  const text = `table ${tableName}: expected ${expected}, got ${got}`;
  return new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
}

function unavailable(tableName: string, text: string): OperatingError {
  return new OperatingError('LEASE_TABLE_UNAVAILABLE', `table ${tableName} ${text}`, { retryable: true });
}

function hasOwnerIndex(table: TableDescription | undefined): boolean {
  return table?.GlobalSecondaryIndexes?.some((index) => index.IndexName === OWNER_INDEX) ?? false;
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

function counters(leaseCounter: number): Values {
  return { ':counter': { N: String(leaseCounter) }, ':next': { N: String(leaseCounter + 1) } };
}

/** `a = :a, b = :b` and the values. */
function assign(attributes: Record<string, WrittenValue>): { assignments: string; values: Values } {
  const names = Object.keys(attributes);
  return {
    assignments: names.map((name) => `${name} = :${name}`).join(', '),
    values: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`:${name}`, value])),
  };
}

/** The condition that an attribute is still as it was seen: with that value, or absent. */
function seenAs(name: string, seen: string | undefined): { condition: string; values: Values } {
  if (seen === undefined) return { condition: `attribute_not_exists(${name})`, values: {} };
  return { condition: `${name} = :seen_${name}`, values: { [`:seen_${name}`]: { S: seen } } };
}

/** Maps with at most `limit` calls under way. */
async function mapBounded<T, R>(items: readonly T[], limit: number, map: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await map(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

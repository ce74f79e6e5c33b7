// The DynamoDB of a shell's world, as a worker's client: the SDK's commands on tables in memory, so that the real lease table runs with
// its own conditions, layouts and renewals for many. A twin test holds it against the lease table in memory, which the contract suite
// holds against dynalite and AWS's DynamoDB Local. What it is not taught it refuses.
import {
  type AttributeValue,
  BatchExecuteStatementCommand,
  type BatchStatementRequest,
  type BatchStatementResponse,
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
} from '@aws-sdk/client-dynamodb';
import { holds, isEqual, type Row, type Terms, updated } from './expressions.ts';
import type { Host } from './host.ts';
import { type Network, serviceError } from './network.ts';
import type { PlantedBug } from './planted-bugs.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface DynamoDBOptions {
  readonly time: Pick<VirtualTime, 'now'>;
  readonly network: Pick<Network, 'send'>;
  /** Until a table that is made can be used. */
  readonly createTableMs: number;
  /** Rows a page of Scan and Query. */
  readonly pageSize: number;
  /** A write was applied. */
  readonly onWrite: (table: string, before: Row | undefined, after: Row | undefined) => void;
  readonly bug: PlantedBug | undefined;
}

interface Table {
  readonly description: TableDescription;
  readonly keyName: string;
  readonly activeAt: number;
  readonly rows: Map<string, Row>;
}

interface KeyedInput {
  readonly TableName: string | undefined;
  readonly Key: Readonly<Record<string, AttributeValue>> | undefined;
}

interface ConditionalInput {
  readonly ConditionExpression?: string | undefined;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>> | undefined;
  readonly ExpressionAttributeValues?: Readonly<Record<string, AttributeValue>> | undefined;
  readonly ReturnValuesOnConditionCheckFailure?: string | undefined;
}

/** The renewal of a lease among others: the four texts that the lease table has for it. */
const STATEMENT =
  /^UPDATE "([^"]+)" SET "leaseCounter" = \?( SET "throughputKBps" = \?)? WHERE "leaseKey" = \? AND "leaseCounter" = \?( AND "checkpointOwner" IS MISSING)? RETURNING ALL NEW \*$/;

export class SimulatedDynamoDB {
  readonly #options: DynamoDBOptions;
  readonly #tables = new Map<string, Table>();

  constructor(options: DynamoDBOptions) {
    this.#options = options;
  }

  /** For one worker. */
  clientOf(host: Host): DynamoDBClient {
    const { network, bug } = this.#options;
    const send = (command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<object> =>
      network.send({
        host,
        what: describe(command),
        signal: options?.abortSignal,
        throttledAs: 'ProvisionedThroughputExceededException',
        mayBeSentAgain: true,
        carryOut: (attempts) =>
          bug?.dynamoDB?.(command, (key) => this.#rowOf(command, key)) ?? this.#carryOut(command, attempts),
      });
    return { send, destroy: () => undefined, config: {} } as unknown as DynamoDBClient;
  }

  #rowOf(command: object, key: string): Row | undefined {
    const { input } = command as { readonly input: { readonly TableName?: string } };
    return this.#tables.get(input.TableName ?? '')?.rows.get(key);
  }

  #carryOut(command: object, attempts: number): object {
    if (command instanceof UpdateItemCommand) return this.#update(command, attempts);
    if (command instanceof GetItemCommand) {
      const { rows, key } = this.#place(command.input as KeyedInput);
      const Item = rows.get(key);
      return Item === undefined ? {} : { Item };
    }
    if (command instanceof QueryCommand) return this.#query(command);
    if (command instanceof ScanCommand) return this.#scan(command);
    if (command instanceof PutItemCommand) return this.#put(command, attempts);
    if (command instanceof DeleteItemCommand) return this.#delete(command, attempts);
    if (command instanceof BatchExecuteStatementCommand) {
      const Responses = (command.input.Statements ?? []).map((statement) => this.#execute(statement));
      return { Responses, $metadata: { attempts } };
    }
    if (command instanceof DescribeTableCommand) return this.#describeTable(command.input.TableName);
    if (command instanceof CreateTableCommand) return this.#createTable(command);
    throw new Error(`expected a command that a lease table sends, got ${command.constructor.name}`);
  }

  // --- tables ---

  #describeTable(name: string | undefined): object {
    const table = this.#tables.get(name ?? '');
    if (table === undefined) throw notFound(name);
    const isActive = this.#options.time.now >= table.activeAt;
    return { Table: { ...table.description, TableStatus: isActive ? 'ACTIVE' : 'CREATING' } };
  }

  #createTable({ input }: CreateTableCommand): object {
    const { TableName: name = '', KeySchema, AttributeDefinitions, GlobalSecondaryIndexes: indexes = [] } = input;
    if (this.#tables.has(name)) throw serviceError('ResourceInUseException', `there is a table ${name}`);
    const description = {
      KeySchema,
      AttributeDefinitions,
      BillingModeSummary: { BillingMode: input.BillingMode },
      GlobalSecondaryIndexes: indexes.map(({ IndexName }) => ({ IndexName, IndexStatus: 'ACTIVE' as const })),
    };
    const keyName = KeySchema?.[0]?.AttributeName ?? '';
    const activeAt = this.#options.time.now + this.#options.createTableMs;
    this.#tables.set(name, { description: description as TableDescription, keyName, activeAt, rows: new Map() });
    return {};
  }

  #table(name: string | undefined): Table {
    const table = this.#tables.get(name ?? '');
    if (table === undefined || this.#options.time.now < table.activeAt) throw notFound(name);
    return table;
  }

  // --- rows ---

  #place({ TableName, Key }: KeyedInput): Table & { readonly key: string } {
    const table = this.#table(TableName);
    return { ...table, key: Key?.[table.keyName]?.S ?? '' };
  }

  #put({ input }: PutItemCommand, attempts: number): object {
    const { rows, keyName } = this.#table(input.TableName);
    const row = input.Item ?? {};
    const key = row[keyName]?.S ?? '';
    refuseUnless(input, rows.get(key), attempts);
    this.#write(input.TableName, rows, key, row);
    return {};
  }

  #update({ input }: UpdateItemCommand, attempts: number): object {
    const { rows, keyName, key } = this.#place(input as KeyedInput);
    const before = rows.get(key);
    refuseUnless(input, before, attempts);
    const after = updated(input.UpdateExpression ?? '', before ?? { [keyName]: { S: key } }, termsOf(input));
    this.#write(input.TableName, rows, key, after);
    const old = before === undefined ? {} : { Attributes: before };
    return input.ReturnValues === 'ALL_OLD' ? old : { Attributes: after };
  }

  #delete({ input }: DeleteItemCommand, attempts: number): object {
    const { rows, key } = this.#place(input as KeyedInput);
    refuseUnless(input, rows.get(key), attempts);
    this.#write(input.TableName, rows, key, undefined);
    return {};
  }

  #execute({ Statement: text = '', Parameters: parameters = [] }: BatchStatementRequest): BatchStatementResponse {
    const found = STATEMENT.exec(text);
    if (found === null) throw new Error(`expected a renewal as the lease table writes it, got ${text}`);
    const [, name = '', throughput, unlessHandedOff] = found;
    const { rows } = this.#table(name);
    const [next, ...rest] = parameters as [AttributeValue, ...AttributeValue[]];
    const kBps = throughput === undefined ? undefined : rest.shift();
    const [key, counter] = rest;
    const row = rows.get(key?.S ?? '');
    const isMet =
      row !== undefined &&
      isEqual(row['leaseCounter'], counter) &&
      (unlessHandedOff === undefined || row['checkpointOwner'] === undefined);
    if (!isMet)
      return {
        Error: { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed', ...(row && { Item: row }) },
      };
    const after = { ...row, leaseCounter: next, ...(kBps && { throughputKBps: kBps }) };
    this.#write(name, rows, key?.S ?? '', after);
    return { TableName: name, Item: after };
  }

  #query({ input }: QueryCommand): object {
    if (input.KeyConditionExpression !== 'leaseOwner = :owner' || input.IndexName === undefined)
      throw new Error(`expected the leases of an owner, got ${input.KeyConditionExpression}`);
    const owner = input.ExpressionAttributeValues?.[':owner'];
    const { rows } = this.#table(input.TableName);
    const Items = [...rows.values()]
      .filter((row) => isEqual(row['leaseOwner'], owner))
      .map(({ leaseKey, leaseOwner }) => ({ leaseKey, leaseOwner }));
    return { Items };
  }

  /** A page reads so many rows, whatever becomes of them. */
  #scan({ input }: ScanCommand): object {
    const { rows, keyName } = this.#table(input.TableName);
    const from = input.ExclusiveStartKey?.[keyName]?.S;
    const keys = [...rows.keys()].sort().filter((key) => from === undefined || key > from);
    const page = keys.slice(0, this.#options.pageSize);
    const last = page.at(-1);
    const isFit = (row: Row): boolean =>
      input.FilterExpression === undefined || holds(input.FilterExpression, row, termsOf(input));
    return {
      Items: page.map((key) => rows.get(key) as Row).filter(isFit),
      ...(last !== undefined && page.length < keys.length && { LastEvaluatedKey: { [keyName]: { S: last } } }),
    };
  }

  #write(table: string | undefined, rows: Map<string, Row>, key: string, after: Row | undefined): void {
    const before = rows.get(key);
    if (after === undefined) rows.delete(key);
    else rows.set(key, after);
    this.#options.onWrite(table ?? '', before, after);
  }
}

function termsOf({ ExpressionAttributeNames: names, ExpressionAttributeValues: values }: ConditionalInput): Terms {
  return { names, values };
}

function refuseUnless(input: ConditionalInput, row: Row | undefined, attempts: number): void {
  const { ConditionExpression: condition } = input;
  if (condition === undefined || holds(condition, row, termsOf(input))) return;
  throw new ConditionalCheckFailedException({
    message: 'The conditional request failed',
    $metadata: { httpStatusCode: 400, attempts },
    ...(row !== undefined && input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && { Item: row }),
  });
}

function notFound(name: string | undefined): Error {
  return serviceError('ResourceNotFoundException', `Requested resource not found: Table: ${name} not found`);
}

function describe(command: object): string {
  const { input } = command as { readonly input: Partial<KeyedInput> & { readonly TableName?: string } };
  const name = command.constructor.name.replace(/Command$/, '');
  const [key] = Object.values(input.Key ?? {});
  return key?.S === undefined ? name : `${name} of ${key.S}`;
}

// One DynamoDB table and the calls that rows are read and written by; `control.ts` has those about the table as a whole, and no
// other file of the consumer calls DynamoDB. It knows names and conditions, not what a row means. Whatever a table's key is
// called (`leaseKey`, and `key` and `wid` in the tables of the KCL 3.0 to 3.4), items come out and go in with it under
// `leaseKey`; `#key` stands for it in conditions.
// A refused condition is a result; a failure is thrown and never says whether the write was applied. Reads are consistent,
// but for the owner index, which can't be.
import {
  type AttributeValue,
  BatchExecuteStatementCommand,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import type { Clock } from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import type { Item, WrittenItem, WrittenValue } from './item.ts';

export interface TableOptions {
  readonly client: DynamoDBClient;
  readonly name: string;
  /** The attribute that is the table's only key, a string. */
  readonly keyName: string;
  readonly clock: Clock;
  /** One call, ms. */
  readonly requestTimeoutMs: number;
}

/** `item`: the row as it is now; of a refused write only if the server sent it. */
export interface Write {
  readonly applied: boolean;
  readonly item: Item | undefined;
  /** Refused, and the SDK had sent it before: that may have been applied. */
  readonly repeated?: true;
}

export type Values = Record<string, WrittenValue>;

/** A PartiQL UPDATE of one row, with `?` for each parameter. */
export interface Statement {
  readonly text: string;
  readonly parameters: readonly WrittenValue[];
}

/** Why a statement among others came to nothing, as a call of its own would have thrown it. */
export interface StatementFailure {
  readonly error: unknown;
}

/** Those of a statement that are called otherwise when they are a call's (BatchStatementError). */
const exceptionNames: Readonly<Record<string, string>> = {
  AccessDenied: 'AccessDeniedException',
  ProvisionedThroughputExceeded: 'ProvisionedThroughputExceededException',
  ResourceNotFound: 'ResourceNotFoundException',
  ThrottlingError: 'ThrottlingException',
  TransactionConflict: 'TransactionConflictException',
  ValidationError: 'ValidationException',
};

/** The index by which a worker finds its leases (KCL 3.x). */
export const OWNER_INDEX = 'LeaseOwnerToLeaseKeyIndex';

export class Table {
  readonly name: string;
  readonly keyName: string;
  readonly client: DynamoDBClient;
  readonly calls: AwsCalls;

  constructor({ client, name, keyName, clock, requestTimeoutMs }: TableOptions) {
    this.name = name;
    this.keyName = keyName;
    this.client = client;
    this.calls = new AwsCalls({
      client,
      timeoutMs: requestTimeoutMs,
      resource: `table ${name}`,
      codes: { notFound: 'LEASE_TABLE_UNAVAILABLE', failed: 'LEASE_TABLE_UNAVAILABLE' },
      clock,
    });
  }

  /** As `FoundTable` says it. */
  get key(): string {
    return `HASH ${this.keyName} (S)`;
  }

  close(): void {
    this.calls.close();
  }

  /** @param mayBeOld it costs half. */
  async get(key: string, mayBeOld = false): Promise<Item | undefined> {
    const command = new GetItemCommand({ TableName: this.name, Key: this.#keyOf(key), ConsistentRead: !mayBeOld });
    const answer = await this.calls.call('dynamodb:GetItem', (options) => this.client.send(command, options));
    return answer.Item && this.#itemOf(answer.Item);
  }

  /** Puts a row if its key is absent. False: it was there. */
  async put({ leaseKey, ...attributes }: WrittenItem, condition = 'attribute_not_exists(#key)'): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: this.name,
      Item: { ...attributes, [this.keyName]: leaseKey as WrittenValue },
      ...this.#condition(condition),
    });
    return this.#unlessRefused(() =>
      this.calls.call('dynamodb:PutItem', (options) => this.client.send(command, options)),
    );
  }

  /** Updates one row, or makes it where the condition lets it. `returns`: which row comes back from a write that was applied. */
  async update(
    key: string,
    {
      condition,
      update,
      values,
      returns = 'ALL_NEW',
    }: { condition?: string; update: string; values: Values; returns?: 'ALL_NEW' | 'ALL_OLD' },
  ): Promise<Write> {
    const input: UpdateItemCommandInput = {
      TableName: this.name,
      Key: this.#keyOf(key),
      UpdateExpression: update,
      ExpressionAttributeValues: values,
      ReturnValues: returns,
      ...this.#condition(condition),
    };
    if (condition !== undefined) input.ReturnValuesOnConditionCheckFailure = 'ALL_OLD';
    const command = new UpdateItemCommand(input);
    try {
      const answer = await this.calls.call('dynamodb:UpdateItem', (options) => this.client.send(command, options));
      return { applied: true, item: answer.Attributes && this.#itemOf(answer.Attributes) };
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      const repeated = (error.$metadata.attempts ?? 1) > 1;
      return { applied: false, item: error.Item && this.#itemOf(error.Item), ...(repeated && { repeated: true }) };
    }
  }

  /**
   * Updates up to 25 rows, no two the same, in one call, each for itself: the answers stand in the statements' order, each with the row as
   * it is now. A row that is absent is a refused condition. It costs what as many updates cost.
   */
  async updateMany(statements: readonly Statement[]): Promise<(Write | StatementFailure)[]> {
    const action = 'dynamodb:PartiQLUpdate';
    const command = new BatchExecuteStatementCommand({
      Statements: statements.map(({ text, parameters }) => ({
        Statement: text,
        Parameters: parameters as AttributeValue[],
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      })),
    });
    const { Responses: answers = [], $metadata } = await this.calls.call(action, (options) =>
      this.client.send(command, options),
    );
    const repeated = ($metadata.attempts ?? 1) > 1;
    return Promise.all(
      answers.map(async ({ Error: failure, Item: item }) => {
        if (failure === undefined) return { applied: true, item: item && this.#itemOf(item) };
        const { Code: code = 'UnknownError', Message: message, Item: current } = failure;
        if (code === 'ConditionalCheckFailed')
          return { applied: false, item: current && this.#itemOf(current), ...(repeated && { repeated: true }) };
        const error = Object.assign(new Error(message), { name: exceptionNames[code] ?? code });
        return { error: await this.calls.translate(error, action) };
      }),
    );
  }

  /** False: the condition failed. */
  async delete(key: string, condition?: string, values?: Values): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: this.name,
      Key: this.#keyOf(key),
      ...this.#condition(condition),
      ...(values !== undefined && { ExpressionAttributeValues: values }),
    });
    return this.#unlessRefused(() =>
      this.calls.call('dynamodb:DeleteItem', (options) => this.client.send(command, options)),
    );
  }

  /** All rows, page by page; with `owner`, only the leases of that one. */
  async *scan(owner?: string): AsyncGenerator<Item[]> {
    const filter = owner !== undefined && {
      FilterExpression: 'leaseOwner = :owner',
      ExpressionAttributeValues: { ':owner': { S: owner } },
    };
    let from: Record<string, AttributeValue> | undefined;
    do {
      const command: ScanCommand = new ScanCommand({
        TableName: this.name,
        ConsistentRead: true,
        ...filter,
        ...(from && { ExclusiveStartKey: from }),
      });
      const page = await this.calls.call('dynamodb:Scan', (options) => this.client.send(command, options));
      yield (page.Items ?? []).map((item) => this.#itemOf(item));
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
  }

  /** The keys of the owner's leases by the index, which may lag; undefined while there is no index that can be asked. */
  async queryOwner(owner: string): Promise<string[] | undefined> {
    const keys: string[] = [];
    let from: Record<string, AttributeValue> | undefined;
    try {
      do {
        const command: QueryCommand = new QueryCommand({
          TableName: this.name,
          IndexName: OWNER_INDEX,
          KeyConditionExpression: 'leaseOwner = :owner',
          ExpressionAttributeValues: { ':owner': { S: owner } },
          ...(from && { ExclusiveStartKey: from }),
        });
        const page = await this.calls.call('dynamodb:Query', (options) => this.client.send(command, options));
        for (const item of page.Items ?? []) if (item['leaseKey']?.S !== undefined) keys.push(item['leaseKey'].S);
        from = page.LastEvaluatedKey;
      } while (from !== undefined);
    } catch (error) {
      if (awsCodeOf(error) === 'ValidationException' || isNotFound(error)) return undefined;
      throw error;
    }
    return keys;
  }

  #keyOf(key: string): Record<string, AttributeValue> {
    return { [this.keyName]: { S: key } };
  }

  #itemOf({ [this.keyName]: leaseKey, ...attributes }: Record<string, AttributeValue>): Item {
    return { ...attributes, leaseKey };
  }

  #condition(condition: string | undefined): {
    ConditionExpression?: string;
    ExpressionAttributeNames?: Record<string, string>;
  } {
    if (condition === undefined) return {};
    const names = condition.includes('#key') && { ExpressionAttributeNames: { '#key': this.keyName } };
    return { ConditionExpression: condition, ...names };
  }

  async #unlessRefused(write: () => Promise<unknown>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }
}

/** Whether a call failed because there is no such table (or index). */
export function isNotFound(error: unknown): boolean {
  return awsCodeOf(error) === 'ResourceNotFoundException';
}

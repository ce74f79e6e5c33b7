// What the spec tests of rows and conditions stand on: the lease table in DynamoDB, and between it and the client a proxy that
// writes down every request as it comes over the wire. A request is compared by what it says, not by how its placeholders are
// called: `leaseCounter = 4` for `leaseCounter = :counter`, numbers bare, strings quoted.
// Titles of the spec tests are our rules, in our words; where the KCL's is another one, the title ends with it.
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AttributeValue, DeleteItemCommand, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import {
  createDynamoDBClient,
  evenRanges,
  type HashKeyRange,
  type Logger,
  silentLogger,
  TRIM_HORIZON,
} from '@shardline/common';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { type Lease, newLease } from '../../src/coordination/lease.ts';
import { DynamoDBLeaseTable, type DynamoDBLeaseTableOptions } from '../../src/lease-table/dynamodb.ts';
import { createTable } from '../create-table.ts';
import { startTestDynamoDB, type TestDynamoDB } from '../local-dynamodb.ts';

const [whole] = evenRanges(1) as [HashKeyRange];

export type Item = Record<string, AttributeValue>;

/** A request as it came over the wire; `input` is its whole body. */
export interface Sent {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** What an UpdateItem, PutItem or DeleteItem says. Absent: it says nothing of the kind. */
export interface SaidWrite {
  readonly operation: string;
  readonly key: string | undefined;
  /** The parts of its condition that are joined by AND. */
  readonly conditions?: ReadonlySet<string>;
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: ReadonlySet<string>;
  readonly item?: Readonly<Record<string, string>>;
}

export interface Wire {
  readonly dynamodb: TestDynamoDB;
  /** A lease table, opened; its name is new for each test. What opening sent is forgotten. */
  open(options?: Partial<DynamoDBLeaseTableOptions>): Promise<DynamoDBLeaseTable>;
  /** A lease table that is not opened yet. */
  table(options?: Partial<DynamoDBLeaseTableOptions>): DynamoDBLeaseTable;
  readonly tableName: string;
  /** Every request since the test began, or since `forget`. */
  readonly sent: readonly Sent[];
  forget(): void;
  /** Writes since then, as they read. */
  writes(): SaidWrite[];
  get(key: string, tableName?: string, keyName?: string): Promise<Item | undefined>;
  put(item: Item, tableName?: string): Promise<void>;
  remove(key: string): Promise<void>;
  /** Set: changes an answer on its way back. */
  tamper: ((operation: string, answer: Record<string, unknown>) => void) | undefined;
}

/** To be called once, at the top of a file. @param tables by default each test has a table of its own. */
export function wireScene(tables: 'one table' | 'a table a test' = 'a table a test'): Wire {
  let dynamodb: TestDynamoDB;
  let proxy: Server;
  let client: ReturnType<typeof createDynamoDBClient>;
  let sent: Sent[] = [];
  let count = 0;
  let tableName = `spec-${process.pid}-0`;
  beforeAll(async () => {
    dynamodb = await startTestDynamoDB();
    proxy = createProxy(
      dynamodb.clientConfig.endpoint,
      (each) => sent.push(each),
      (...answer) => wire.tamper?.(...answer),
    );
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    client = createDynamoDBClient({ ...dynamodb.clientConfig, endpoint });
  });
  afterAll(async () => {
    client.destroy();
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
    await dynamodb.close();
  });
  beforeEach(() => {
    if (tables === 'a table a test') count += 1;
    tableName = `spec-${process.pid}-${count}`;
    sent = [];
    wire.tamper = undefined;
  });
  const wire: Wire = {
    tamper: undefined,
    get dynamodb() {
      return dynamodb;
    },
    get tableName() {
      return tableName;
    },
    get sent() {
      return sent;
    },
    forget: () => {
      sent = [];
    },
    table: (options = {}) =>
      new DynamoDBLeaseTable({ client, tableName, workerId: 'w1', logger: silentLogger, ...options }),
    open: async (options) => {
      const table = wire.table(options);
      await table.open();
      sent = [];
      return table;
    },
    writes: () => sent.filter(({ operation }) => /^(Update|Put|Delete)Item$/.test(operation)).map(said),
    get: async (key, name = tableName, keyName = 'leaseKey') => {
      const command = new GetItemCommand({ TableName: name, Key: { [keyName]: { S: key } }, ConsistentRead: true });
      return (await dynamodb.client.send(command)).Item;
    },
    put: async (Item, TableName = tableName) => {
      await dynamodb.client.send(new PutItemCommand({ TableName, Item }));
    },
    remove: async (key) => {
      await dynamodb.client.send(new DeleteItemCommand({ TableName: tableName, Key: { leaseKey: { S: key } } }));
    },
  };
  return wire;
}

/** Tables with that one key, as others made them, once they are ACTIVE. */
export async function makeTables({ dynamodb: { client } }: Wire, ...tables: readonly MadeTable[]): Promise<void> {
  for (const [TableName, AttributeName, more = { BillingMode: 'PAY_PER_REQUEST' }] of tables) {
    const KeySchema = [{ AttributeName, KeyType: 'HASH' }] as const;
    const AttributeDefinitions = [{ AttributeName, AttributeType: 'S' }] as const;
    await createTable(client, {
      TableName,
      KeySchema: [...KeySchema],
      AttributeDefinitions: [...AttributeDefinitions],
      ...more,
    });
  }
}
/** Its name, its key, and what else it is made with. */
export type MadeTable = readonly [name: string, key: string, more?: object];

/** A lease that nobody has and nobody began, but for what is given. */
export function leaseOf(fields: Partial<Lease> = {}): Lease {
  const leaseKey = fields.leaseKey ?? 'shardId-000000000000';
  const lease = newLease({ shardId: leaseKey, parentShardIds: [], hashKeyRange: whole }, TRIM_HORIZON);
  return { ...lease, hashKeyRange: undefined, ...fields };
}

/** Keeps what is logged, by level. */
export function recordingLogger(): {
  readonly logger: Logger;
  readonly lines: { level: string; fields: object; text: string }[];
} {
  const lines: { level: string; fields: object; text: string }[] = [];
  const at =
    (level: string) =>
    (fields: object, text?: string): void =>
      void lines.push({ level, fields, text: text ?? '' });
  return { lines, logger: { ...silentLogger, info: at('info'), warn: at('warn'), error: at('error') } };
}

/** `"text"`, `5`, `{"a", "b"}` for a set, and JSON for the rest. */
export function shown(value: AttributeValue | undefined): string {
  if (value?.S !== undefined) return JSON.stringify(value.S);
  if (value?.N !== undefined) return value.N;
  if (value?.SS !== undefined)
    return `{${[...value.SS]
      .sort()
      .map((each) => JSON.stringify(each))
      .join(', ')}}`;
  if (value?.L !== undefined) return `[${value.L.map(shown).join(', ')}]`;
  if (value?.M !== undefined) return JSON.stringify(shownItem(value.M));
  return JSON.stringify(value);
}

export function shownItem(item: Readonly<Record<string, AttributeValue>>): Record<string, string> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, shown(value)]));
}

function said({ operation, input }: Sent): SaidWrite {
  const names = (input['ExpressionAttributeNames'] ?? {}) as Record<string, string>;
  const values = (input['ExpressionAttributeValues'] ?? {}) as Record<string, AttributeValue>;
  const inWords = (text: string): string =>
    text
      .replaceAll(/#\w+/g, (name) => names[name] ?? name)
      .replaceAll(/:\w+/g, (name) => shown(values[name]))
      .trim();
  const {
    ConditionExpression: condition,
    UpdateExpression: update,
    Item: item,
    Key: key,
  } = input as Record<string, unknown>;
  const clauses = String(update ?? '').split(/\b(SET|REMOVE|ADD)\b/);
  const clause = (word: string): string[] => {
    const index = clauses.indexOf(word);
    return index < 0 ? [] : (clauses[index + 1] ?? '').split(',').map((part) => part.trim());
  };
  const pairs = (word: string, between: string): Record<string, string> =>
    Object.fromEntries(clause(word).map((part) => part.split(between).map(inWords) as [string, string]));
  const set = pairs('SET', ' = ');
  const add = pairs('ADD', ' ');
  const keyed = Object.values((key ?? {}) as Item)[0];
  return {
    operation,
    key: keyed?.S ?? (item as Item | undefined)?.['leaseKey']?.S,
    ...(condition !== undefined && { conditions: new Set(String(condition).split(' AND ').map(inWords)) }),
    ...(Object.keys(set).length > 0 && { set }),
    ...(Object.keys(add).length > 0 && { add }),
    ...(clause('REMOVE').length > 0 && { remove: new Set(clause('REMOVE').map(inWords)) }),
    ...(item !== undefined && { item: shownItem(item as Item) }),
  };
}

function createProxy(
  endpoint: string,
  onRequest: (sent: Sent) => void,
  onAnswer: (operation: string, answer: Record<string, unknown>) => void,
): Server {
  const { hostname, port } = new URL(endpoint);
  return createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const operation = String(incoming.headers['x-amz-target']).split('.')[1] ?? '';
    onRequest({ operation, input: JSON.parse(body.toString()) as Record<string, unknown> });
    const { url, method, headers } = incoming;
    const onward = request({ hostname, port, path: url, method, headers }, async (answer) => {
      const parts: Buffer[] = [];
      for await (const part of answer) parts.push(part as Buffer);
      const parsed = JSON.parse(Buffer.concat(parts).toString() || '{}') as Record<string, unknown>;
      onAnswer(operation, parsed);
      const text = JSON.stringify(parsed);
      // The server's checksum is of its own text.
      const { 'x-amz-crc32': _, 'content-length': __, 'transfer-encoding': ___, ...kept } = answer.headers;
      const status = parsed['__type'] === undefined ? (answer.statusCode ?? 500) : 400;
      outgoing.writeHead(status, { ...kept, 'content-length': Buffer.byteLength(text) }).end(text);
    });
    onward.on('error', () => outgoing.destroy()).end(body);
  });
}

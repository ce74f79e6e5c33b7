// The short way of frequent calls against a tiny server over real sockets: its requests are read, and signed, as the SDK's are, its
// answers are the SDK's, and whatever is no plain success is the SDK's business.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  BatchExecuteStatementCommand,
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import { GetRecordsCommand, GetShardIteratorCommand, KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterEach, expect, test } from 'vitest';
import {
  classifyAwsError,
  createDynamoDBClient,
  createKinesisClient,
  type HttpClientOptions,
  hasNeverLeft,
  messageOfAwsError,
} from '../src/aws-client.ts';
import { sendsShortly, wasSentShortly } from '../src/aws-shortcut.ts';

interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Answers request by request; the last answer goes for all that follow. */
async function serve(
  ...answers: ((response: ServerResponse) => void)[]
): Promise<{ endpoint: string; asked: Asked[]; connections: () => Promise<number> }> {
  const asked: Asked[] = [];
  const http = createServer(async (request: IncomingMessage, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    asked.push({ headers: request.headers, body });
    answers[Math.min(asked.length, answers.length) - 1]?.(response);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  cleanUps.push(async () => {
    http.closeAllConnections();
    http.close();
    await once(http, 'close');
  });
  const connections = promisify(http.getConnections.bind(http));
  return { endpoint: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, asked, connections };
}

const json =
  (status: number, body: object) =>
  (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': 'r1' });
    response.end(JSON.stringify(body));
  };

const account = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'secret' } };

function dynamodb(endpoint: string, options: HttpClientOptions = {}): DynamoDBClient {
  const client = createDynamoDBClient({ endpoint, ...account, ...options });
  cleanUps.push(() => client.destroy());
  return client;
}

const input: UpdateItemCommandInput = {
  TableName: 'orders',
  Key: { leaseKey: { S: 'shardId-1' } },
  UpdateExpression: 'SET a = :a',
  ExpressionAttributeValues: { ':a': { M: { bytes: { B: Buffer.from('ab') }, more: { BS: [new Uint8Array([1])] } } } },
  ReturnValues: undefined,
};
const update = (): UpdateItemCommand => new UpdateItemCommand(input);

const signedNames = ({ headers }: Asked): string | undefined =>
  /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1];
/** The SDK signs more headers than it must. */
const isShort = (asked: Asked): boolean => signedNames(asked)?.split(';').includes('amz-sdk-invocation-id') === false;

test("the first call of an operation is the SDK's, the later ones say the same in the same words, signed as the SDK signs", async () => {
  const { endpoint, asked } = await serve(json(200, {}));
  const client = dynamodb(endpoint);
  await client.send(update());
  await client.send(update());
  const [first, second] = asked as [Asked, Asked];
  expect([isShort(first), isShort(second)]).toEqual([false, true]);
  expect(JSON.parse(second.body)).toEqual(JSON.parse(first.body));
  for (const name of ['host', 'user-agent', 'x-amz-user-agent', 'x-amz-target', 'content-type', 'content-length'])
    expect(second.headers[name]).toBe(first.headers[name]);
  const { headers, body } = second;
  const time = headers['x-amz-date'] as string;
  const signer = new SignatureV4({ ...account, service: 'dynamodb', sha256: Sha256 });
  const given = Object.fromEntries(
    (signedNames(second) ?? '').split(';').map((name) => [name, headers[name] as string]),
  );
  const { hostname, port } = new URL(endpoint);
  const request = { method: 'POST', protocol: 'http:', hostname, port: Number(port), path: '/', headers: given, body };
  const isoTime = time.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z');
  const signed = await signer.sign(request, { signingDate: new Date(isoTime) });
  expect(headers.authorization).toBe(signed.headers['authorization']);
});

test('an item that comes the short way is the one that the SDK reads', async () => {
  const item = {
    s: { S: 'x' },
    n: { N: '1' },
    ss: { SS: ['a'] },
    ns: { NS: ['1'] },
    b: { B: 'AQI=' },
    bs: { BS: ['AQI=', ''] },
    bool: { BOOL: true },
    nothing: { NULL: true },
    l: { L: [{ B: 'AQI=' }, { M: { b: { B: 'AQ==' } } }] },
  };
  const { endpoint, asked } = await serve(
    json(200, { Attributes: item }),
    json(200, { Attributes: item }),
    json(200, { Items: [item], Count: 1, LastEvaluatedKey: { b: { B: 'AQI=' } } }),
  );
  const client = dynamodb(endpoint);
  const answers = [await client.send(update()), await client.send(update())];
  expect(answers[1]).toEqual(answers[0]);
  const query = (): QueryCommand => new QueryCommand({ TableName: 'orders' });
  const pages = [await client.send(query()), await client.send(query())];
  expect(pages[1]).toEqual(pages[0]);
  expect(asked.map(isShort)).toEqual([false, true, false, true]);
});

test('statements are answered as by the SDK, with the row of each and of each refusal', async () => {
  const row = { key: { S: 'a' }, bytes: { B: 'AQI=' } };
  const refused = { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed', Item: row };
  const { endpoint, asked } = await serve(
    json(200, { Responses: [{ TableName: 'orders', Item: row }, { Error: refused }, { TableName: 'orders' }] }),
  );
  const client = dynamodb(endpoint);
  const statement = { Statement: 'UPDATE "orders" SET a = ? WHERE key = ?', Parameters: [{ N: '1' }, { S: 'a' }] };
  const run = (): BatchExecuteStatementCommand => new BatchExecuteStatementCommand({ Statements: [statement] });
  const answers = [await client.send(run()), await client.send(run())];
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[1]?.Responses?.[1]?.Error?.Item?.['bytes']?.B).toEqual(new Uint8Array([1, 2]));
  expect(asked.map(isShort)).toEqual([false, true]);
  expect(JSON.parse(asked[1]?.body ?? '')).toEqual(JSON.parse(asked[0]?.body ?? ''));
});

test("records that come the short way are those that the SDK reads, at the shard's end as well", async () => {
  const records = [
    { SequenceNumber: '1', PartitionKey: 'k', Data: 'AQI=', ApproximateArrivalTimestamp: 1_700_000_000.123 },
  ];
  const children = [{ ShardId: 's', ParentShards: ['p'], HashKeyRange: { StartingHashKey: '0', EndingHashKey: '1' } }];
  const answer = json(200, { Records: records, NextShardIterator: 'next', MillisBehindLatest: 7 });
  const end = json(200, { Records: [], NextShardIterator: null, MillisBehindLatest: 0, ChildShards: children });
  const { endpoint, asked } = await serve(answer, end, answer, end);
  const client = createKinesisClient({ endpoint, ...account });
  cleanUps.push(() => client.destroy());
  const read = (): GetRecordsCommand => new GetRecordsCommand({ ShardIterator: 'i' });
  const bySdk = await client.send(read());
  const endShortly = await client.send(read());
  const shortly = await client.send(read());
  expect(shortly).toEqual(bySdk);
  expect(asked.map(isShort)).toEqual([false, true, true]);
  client.middlewareStack.add((next) => next, { step: 'initialize' });
  expect(endShortly).toEqual(await client.send(read()));
  expect(isShort(asked[3] as Asked)).toBe(false);
});

test('a time is sent as the SDK sends it', async () => {
  const { endpoint, asked } = await serve(json(200, { ShardIterator: 'i' }));
  const client = createKinesisClient({ endpoint, ...account });
  cleanUps.push(() => client.destroy());
  const iterator = (): GetShardIteratorCommand =>
    new GetShardIteratorCommand({
      StreamName: 'orders',
      ShardId: 's',
      ShardIteratorType: 'AT_TIMESTAMP',
      Timestamp: new Date(1_700_000_000_123),
    });
  const answers = [await client.send(iterator()), await client.send(iterator())];
  expect(answers[1]).toEqual(answers[0]);
  expect(asked.map(isShort)).toEqual([false, true]);
  expect(JSON.parse(asked[1]?.body ?? '')).toEqual(JSON.parse(asked[0]?.body ?? ''));
});

test('rows are put and got as by the SDK', async () => {
  const row = { key: { S: 'a' }, bytes: { B: new Uint8Array([1, 2]) } };
  const { endpoint, asked } = await serve(
    json(200, {}),
    json(200, {}),
    json(200, { Item: { ...row, bytes: { B: 'AQI=' } } }),
  );
  const client = dynamodb(endpoint);
  for (let call = 0; call < 2; call += 1) await client.send(new PutItemCommand({ TableName: 'orders', Item: row }));
  const get = (): GetItemCommand => new GetItemCommand({ TableName: 'orders', Key: { key: { S: 'a' } } });
  for (let call = 0; call < 2; call += 1) expect((await client.send(get())).Item).toEqual(row);
  expect(asked.map(isShort)).toEqual([false, true, false, true]);
  expect(JSON.parse(asked[1]?.body ?? '')).toEqual(JSON.parse(asked[0]?.body ?? ''));
});

test('a refusal is the error that the SDK makes of it, and nothing is asked twice', async () => {
  const refusal = {
    __type: 'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException',
    message: 'no',
    Item: { a: { S: 'b' } },
  };
  const { endpoint, asked } = await serve(json(200, {}), json(400, refusal));
  const client = dynamodb(endpoint);
  await client.send(update());
  const error = await client.send(update()).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConditionalCheckFailedException);
  expect(error).toMatchObject({ Item: { a: { S: 'b' } }, $metadata: { httpStatusCode: 400, attempts: 1 } });
  expect(asked.map(isShort)).toEqual([false, true]);
});

test("a failure is the first of the SDK's attempts, be it an answer, a broken connection or a broken answer", async () => {
  const failure = json(500, { __type: 'InternalServerError' });
  const reset = (response: ServerResponse): void => void response.destroy();
  const torn = (response: ServerResponse): void => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{', () => response.destroy());
  };
  const good = json(200, { Attributes: { a: { S: 'b' } } });
  const { endpoint, asked } = await serve(good, failure, good, reset, good, torn, good);
  const client = dynamodb(endpoint, { maxAttempts: 2 });
  await client.send(update());
  for (let round = 1; round <= 3; round += 1) {
    const answer = await client.send(update());
    expect(answer.Attributes).toEqual({ a: { S: 'b' } });
    expect(answer.$metadata.attempts).toBe(2);
    expect(asked).toHaveLength(1 + 2 * round);
  }
});

test('middleware that is added to a client sees every call from then on', async () => {
  const { endpoint, asked } = await serve(json(200, {}));
  const client = dynamodb(endpoint);
  await client.send(update());
  await client.send(update());
  let seen = 0;
  client.middlewareStack.add(
    (next) => (args) => {
      seen += 1;
      return next(args);
    },
    { step: 'initialize' },
  );
  for (let call = 0; call < 3; call += 1) await client.send(update());
  expect(seen).toBe(3);
  expect(asked.map(isShort)).toEqual([false, true, false, false, false]);
});

test('a client tells whether somebody stands between it and its short way', () => {
  const client = createKinesisClient({ endpoint: 'http://127.0.0.1:1', ...account });
  cleanUps.push(() => client.destroy());
  expect(sendsShortly(client)).toBe(true);
  const { send } = client;
  client.send = () => Promise.resolve({});
  expect(sendsShortly(client)).toBe(false);
  client.send = send;
  expect(sendsShortly(client)).toBe(true);
  client.middlewareStack.add((next) => next, { step: 'initialize' });
  expect(sendsShortly(client)).toBe(false);
  expect(sendsShortly(new KinesisClient(account))).toBe(false);
});

test('a command that the SDK has seen is no one that was sent shortly', async () => {
  const refused = json(400, { __type: 'ValidationException' });
  const { endpoint } = await serve(json(200, {}), json(200, {}), refused);
  const client = dynamodb(endpoint);
  const sent: boolean[] = [];
  for (let call = 0; call < 3; call++) {
    const command = update();
    await client.send(command).catch(() => undefined);
    sent.push(wasSentShortly(command));
  }
  expect(sent).toEqual([false, true, false]);
});

test('a body arrives whole whatever its length, at the bounds of its parts as well', async () => {
  const { endpoint, asked } = await serve(json(200, { FailedRecordCount: 0, Records: [] }));
  const client = createKinesisClient({ endpoint, ...account });
  cleanUps.push(() => client.destroy());
  const put = async (PartitionKey: string): Promise<string> => {
    const Records = [{ Data: Buffer.alloc(0), PartitionKey }];
    await client.send(new PutRecordsCommand({ StreamName: 's', Records }));
    return asked.at(-1)?.body ?? '';
  };
  const emptyBytes = (await put('')).length;
  for (const partCount of [1, 2, 3]) {
    for (const more of [-1, 0, 1]) {
      const key = 'k'.repeat(partCount * 256 * 1024 + more - emptyBytes);
      expect((await put(key)).length).toBe(partCount * 256 * 1024 + more);
    }
  }
});

test("a command with middleware of its own goes the SDK's way", async () => {
  const { endpoint } = await serve(json(200, {}));
  const client = dynamodb(endpoint);
  await client.send(update());
  const command = update();
  let seen = 0;
  command.middlewareStack.add(
    (next) => (args) => {
      seen += 1;
      return next(args);
    },
    { step: 'initialize' },
  );
  await client.send(command);
  expect(seen).toBe(1);
});

test('other credentials are learnt of by way of the SDK, and their token is sent', async () => {
  const { endpoint, asked } = await serve(json(200, {}));
  let accessKeyId = 'one';
  const expiration = new Date(0);
  const credentials = async () => ({
    accessKeyId,
    secretAccessKey: 's',
    sessionToken: `token ${accessKeyId}`,
    expiration,
  });
  const client = dynamodb(endpoint, { credentials });
  await client.send(update());
  await client.send(update());
  accessKeyId = 'two';
  await client.send(update());
  await client.send(update());
  expect(asked.map(({ headers }) => headers['x-amz-security-token'])).toEqual([
    'token one',
    'token one',
    'token two',
    'token two',
  ]);
  const isSigned = (name: string): boolean[] =>
    asked.map((each) => signedNames(each)?.split(';').includes(name) ?? false);
  expect(isSigned('x-amz-security-token')).toEqual([true, true, true, true]);
  expect(isSigned('amz-sdk-invocation-id')).toEqual([true, false, true, false]);
});

test('each table and each stream is learnt of by itself, since the endpoint may be that of its account', async () => {
  const { endpoint, asked } = await serve(json(200, {}));
  const client = dynamodb(endpoint);
  for (const TableName of ['orders', 'bills', 'orders', 'bills'])
    await client.send(new UpdateItemCommand({ ...input, TableName }));
  const kinesis = createKinesisClient({ endpoint, ...account });
  cleanUps.push(() => kinesis.destroy());
  const arn = (accountId: string): string => `arn:aws:kinesis:eu-central-1:${accountId}:stream/orders`;
  for (const accountId of ['111111111111', '222222222222', '111111111111'])
    await kinesis.send(new GetRecordsCommand({ ShardIterator: 'i', StreamARN: arn(accountId) }));
  expect(asked.map(isShort)).toEqual([false, false, true, true, false, false, true]);
});

test('an aborted call ends at once and is not tried again', async () => {
  const controller = new AbortController();
  const { endpoint, asked } = await serve(json(200, {}), () => controller.abort());
  const client = dynamodb(endpoint, { maxAttempts: 3 });
  await client.send(update());
  await expect(client.send(update(), { abortSignal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
  expect(asked).toHaveLength(2);
});

const stopsMidway = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('{');
};
test.each<[string, (response: ServerResponse) => void, string]>([
  ['an answer that does not come', () => undefined, 'heard nothing'],
  ['an answer that stops midway', stopsMidway, 'heard nothing'],
])('the short wait for %s ends', async (_, never, said) => {
  const answer = (response: ServerResponse): void => {
    const isFromShort = isShort(asked.at(-1) as Asked);
    (isFromShort ? never : json(200, {}))(response);
  };
  const { endpoint, asked } = await serve(answer);
  const client = dynamodb(endpoint, { requestTimeoutMs: 40, maxAttempts: 1 });
  // A busy machine may keep the SDK's own request, or its answer, beyond the bound: then the operation is not learnt of yet.
  let error: unknown;
  while (!asked.some(isShort)) error = await client.send(update()).catch((thrown: unknown) => thrown);
  expect(classifyAwsError(error)).toEqual({ kind: 'transient', code: 'ETIMEDOUT' });
  expect(String(error)).toContain(said);
});

test.each([
  ['a page', '<html>Please log in</html>'],
  ['nothing', ''],
  ['null', 'null'],
])(
  "of a short call's answer that is not the service's, %s, its status is told, and the next one is short",
  async (_, body) => {
    const page = (response: ServerResponse): void => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end(body);
    };
    const { endpoint, asked } = await serve(json(200, {}), page, json(200, {}));
    const client = dynamodb(endpoint, { maxAttempts: 1 });
    await client.send(update());
    const outcome = await client.send(update()).catch((thrown: unknown) => thrown);
    if (body.startsWith('<')) {
      expect(classifyAwsError(outcome)).toEqual({ kind: 'transient', code: 'HTTP 200' });
      expect(messageOfAwsError(outcome)).toContain("not the service's: text/html, Unexpected token '<'");
    }
    await client.send(update());
    expect(asked).toHaveLength(3);
    expect(asked.slice(1).every(isShort)).toBe(true);
  },
);

test('the short wait for a free socket ends, and leaves the one that is in use alone', async () => {
  let answerLate = (): void => undefined;
  const late = (response: ServerResponse): void => {
    answerLate = () => json(200, { Attributes: { a: { S: 'late' } } })(response);
  };
  const { endpoint, asked } = await serve(json(200, {}), late);
  const client = dynamodb(endpoint, { maxSockets: 1, connectionTimeoutMs: 40, maxAttempts: 1 });
  await client.send(update());
  const first = client.send(update());
  const error = await client.send(update()).catch((thrown: unknown) => thrown);
  expect(classifyAwsError(error)).toEqual({ kind: 'transient', code: 'ETIMEDOUT' });
  expect(String(error)).toContain('got no connection');
  expect(hasNeverLeft(error)).toBe(true);
  expect(asked).toHaveLength(2);
  answerLate();
  expect((await first).Attributes).toEqual({ a: { S: 'late' } });
});

test('an answer that takes longer than requestTimeoutMs is waited for while it goes on', async () => {
  const slowly = async (response: ServerResponse): Promise<void> => {
    const body = JSON.stringify({ Attributes: { a: { S: 'x'.repeat(20) } } });
    response.writeHead(200, { 'content-length': body.length });
    for (const letter of body) {
      response.write(letter);
      await delay(20);
    }
  };
  const { endpoint, asked } = await serve(json(200, {}), (response) => void slowly(response));
  const client = dynamodb(endpoint, { requestTimeoutMs: 300, maxAttempts: 1 });
  await client.send(update());
  expect((await client.send(update())).Attributes).toEqual({ a: { S: 'x'.repeat(20) } });
  expect(asked.map(isShort)).toEqual([false, true]);
});

test('a client that is destroyed keeps no connection of the short way open', async () => {
  const { endpoint, connections } = await serve(json(200, {}));
  const client = dynamodb(endpoint);
  for (let call = 0; call < 3; call += 1) await client.send(update());
  expect(await connections()).toBe(1);
  client.destroy();
  await expect.poll(connections).toBe(0);
});

test('PutRecords says by the short way what it says by the SDK, and is answered alike', async () => {
  const answer = { FailedRecordCount: 0, Records: [{ SequenceNumber: '1', ShardId: 's' }], EncryptionType: 'NONE' };
  const { endpoint, asked } = await serve(json(200, answer));
  const client = createKinesisClient({ endpoint, ...account });
  cleanUps.push(() => client.destroy());
  const Records = [
    { Data: Buffer.from('of \u{1f600}'), PartitionKey: 'a"\u{1f600}', ExplicitHashKey: '7' },
    { Data: new Uint8Array(), PartitionKey: undefined },
  ];
  const put = (): PutRecordsCommand => new PutRecordsCommand({ StreamName: 'orders', StreamARN: undefined, Records });
  const [bySdk, shortly] = [await client.send(put()), await client.send(put())];
  expect(asked.map(isShort)).toEqual([false, true]);
  expect(JSON.parse(asked[1]?.body ?? '')).toEqual(JSON.parse(asked[0]?.body ?? ''));
  expect(Number(asked[1]?.headers['content-length'])).toBe(Buffer.byteLength(asked[1]?.body ?? ''));
  expect({ ...shortly, $metadata: 0 }).toEqual({ ...bySdk, $metadata: 0 });
});

test('bodies of PutRecords that follow each other in the same memory arrive as they were, and one that was answered before it had left is cut off', async () => {
  const arrived = new Map<number, Promise<Buffer | undefined>>();
  let letRead: () => void = () => undefined;
  const mayRead = new Promise<void>((resolve) => {
    letRead = resolve;
  });
  let count = 0;
  const http = createServer((request, response) => {
    const index = count++;
    // The first call is the SDK's. Of the second nothing is read until all others have been answered.
    const waits = index === 1 ? mayRead : Promise.resolve();
    arrived.set(
      index,
      waits.then(async () => Buffer.concat((await request.toArray()) as Buffer[])).catch(() => undefined),
    );
    // Past Node's response, which would have the rest of the request read.
    if (index === 1) request.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"Records":[]}');
    else void arrived.get(index)?.then(() => json(200, { FailedRecordCount: 0, Records: [] })(response));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  cleanUps.push(() => http.closeAllConnections());
  cleanUps.push(() => http.close());
  const client = createKinesisClient({
    endpoint: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    ...account,
  });
  cleanUps.push(() => client.destroy());
  const put = (index: number): Promise<unknown> => {
    const Data = Buffer.alloc(8_000_000, index);
    return client.send(new PutRecordsCommand({ StreamName: 's', Records: [{ Data, PartitionKey: 'k' }] }));
  };
  await put(0);
  await put(1);
  for (let index = 2; index < 5; index++) await put(index);
  letRead();
  for (const [index, body] of arrived) {
    const whole = await body;
    expect(whole === undefined).toBe(index === 1);
    if (whole === undefined) continue;
    const { Records: records } = JSON.parse(whole.toString()) as { Records: { Data: string }[] };
    const data = Buffer.from(records[0]?.Data ?? '', 'base64');
    expect(data.equals(Buffer.alloc(8_000_000, index))).toBe(true);
  }
});

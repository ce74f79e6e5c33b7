// The SDK clients against tiny servers of our own over real sockets: how many connections they open, that every wait ends,
// and what the SDK's real errors are read as.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import {
  DescribeTableCommand,
  type DynamoDBClient,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { type KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  type AwsErrorClass,
  classifyAwsError,
  createDynamoDBClient,
  createKinesisClient,
  type HttpClientOptions,
  httpStatusOf,
  isThrottling,
  isTransient,
} from '../src/aws-client.ts';

const account = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface TestServer {
  readonly endpoint: string;
  /** Connections accepted so far. */
  connectionCount: number;
  requestCount: number;
}

/** An HTTP server that reads each request whole before `answer` is called. */
async function serve(answer: (response: ServerResponse, request: IncomingMessage) => void): Promise<TestServer> {
  const http: Server = createServer(async (request, response) => {
    server.requestCount++;
    request.resume();
    await once(request, 'end');
    answer(response, request);
  });
  http.on('connection', () => server.connectionCount++);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const server: TestServer = { endpoint: `http://127.0.0.1:${port}`, connectionCount: 0, requestCount: 0 };
  cleanUps.push(async () => {
    http.closeAllConnections();
    http.close();
    await once(http, 'close');
  });
  return server;
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': 'r1' });
  response.end(JSON.stringify(body));
}

function kinesis(endpoint: string, options: HttpClientOptions = {}): KinesisClient {
  const client = createKinesisClient({ endpoint, ...account, maxAttempts: 1, ...options });
  cleanUps.push(() => client.destroy());
  return client;
}

function dynamodb(endpoint: string, options: HttpClientOptions = {}): DynamoDBClient {
  const client = createDynamoDBClient({ endpoint, ...account, maxAttempts: 1, ...options });
  cleanUps.push(() => client.destroy());
  return client;
}

const putRecords = (): PutRecordsCommand =>
  new PutRecordsCommand({ StreamName: 'orders', Records: [{ PartitionKey: 'k', Data: new Uint8Array(100) }] });
const putAnswer = { FailedRecordCount: 0, Records: [{ SequenceNumber: '1', ShardId: 'shardId-000000000000' }] };

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('expected a rejection');
    },
    (error: unknown) => error,
  );
}

describe('connections', () => {
  test('200 calls of the Kinesis client one after the other share one', async () => {
    const server = await serve((response) => json(response, 200, putAnswer));
    const client = kinesis(server.endpoint);
    for (let i = 0; i < 200; i++) {
      expect((await client.send(putRecords())).Records?.[0]?.SequenceNumber).toBe('1');
    }
    expect(server.connectionCount).toBe(1);
  });

  test('200 calls at once open at most maxSockets, and a second wave opens none', async () => {
    const server = await serve((response) => json(response, 200, putAnswer));
    const client = kinesis(server.endpoint, { maxSockets: 7 });
    for (let wave = 0; wave < 2; wave++) {
      await Promise.all(Array.from({ length: 200 }, () => client.send(putRecords())));
      expect(server.connectionCount).toBe(7);
    }
    expect(server.requestCount).toBe(400);
  });

  test('50 is the default bound', async () => {
    const server = await serve((response) => json(response, 200, putAnswer));
    const client = kinesis(server.endpoint);
    await Promise.all(Array.from({ length: 200 }, () => client.send(putRecords())));
    expect(server.connectionCount).toBe(50);
  });

  test('the DynamoDB client shares likewise', async () => {
    const server = await serve((response) => json(response, 200, { Table: { TableName: 'leases' } }));
    const client = dynamodb(server.endpoint, { maxSockets: 5 });
    const describeTable = () => client.send(new DescribeTableCommand({ TableName: 'leases' }));
    for (let i = 0; i < 20; i++) await describeTable();
    expect(server.connectionCount).toBe(1);
    await Promise.all(Array.from({ length: 100 }, describeTable));
    expect(server.connectionCount).toBe(5);
  });

  test('an error answer does not cost the connection', async () => {
    const server = await serve((response) => json(response, 400, { __type: 'ValidationException', message: 'no' }));
    const client = kinesis(server.endpoint);
    for (let i = 0; i < 20; i++) await rejection(client.send(putRecords()));
    expect(server.connectionCount).toBe(1);
  });

  test('destroy closes those that are kept alive', async () => {
    const sockets: Socket[] = [];
    const server = await serve((response) => {
      if (response.socket !== null) sockets.push(response.socket);
      json(response, 200, putAnswer);
    });
    const client = kinesis(server.endpoint);
    await client.send(putRecords());
    const [socket] = sockets as [Socket];
    const closed = once(socket, 'close');
    client.destroy();
    await closed;
    expect(sockets).toHaveLength(1);
  });
});

describe('every wait ends', () => {
  test('for an answer that does not come', async () => {
    const server = await serve(() => undefined);
    const error = await rejection(kinesis(server.endpoint, { requestTimeoutMs: 40 }).send(putRecords()));
    expect(classifyAwsError(error)).toEqual({ kind: 'transient', code: 'ETIMEDOUT' });
  });

  test('for an answer that stops midway', async () => {
    const server = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': '1000' });
      response.write('{"FailedRecordCount":');
    });
    const error = await rejection(kinesis(server.endpoint, { requestTimeoutMs: 40 }).send(putRecords()));
    expect(classifyAwsError(error).kind).toBe('transient');
  });

  test('for a free socket', async () => {
    const server = await serve(() => undefined);
    const client = kinesis(server.endpoint, { maxSockets: 1, requestTimeoutMs: 60 });
    const errors = await Promise.all([rejection(client.send(putRecords())), rejection(client.send(putRecords()))]);
    expect(errors.map((error) => classifyAwsError(error).kind)).toEqual(['transient', 'transient']);
    expect(server.connectionCount).toBeLessThanOrEqual(2);
  });

  test("for a call whose signal aborts, which is the caller's own doing and not transient", async () => {
    const controller = new AbortController();
    const server = await serve(() => controller.abort());
    const error = await rejection(kinesis(server.endpoint).send(putRecords(), { abortSignal: controller.signal }));
    expect(classifyAwsError(error)).toEqual({ kind: 'unknown', code: 'AbortError' });
  });
});

describe('classifyAwsError on what the SDK raises', () => {
  const kinesisErrors: [string, number, AwsErrorClass['kind']][] = [
    ['ProvisionedThroughputExceededException', 400, 'throttled'],
    ['LimitExceededException', 400, 'throttled'],
    ['ThrottlingException', 400, 'throttled'],
    ['KMSThrottlingException', 400, 'throttled'],
    ['InternalFailure', 500, 'transient'],
    ['ServiceUnavailable', 503, 'transient'],
    ['InternalFailureException', 500, 'transient'],
    ['SomethingNewException', 500, 'transient'],
    ['SomethingNewException', 429, 'throttled'],
    ['SomethingNewException', 403, 'access-denied'],
    ['SomethingNewException', 400, 'invalid'],
    ['ResourceNotFoundException', 400, 'not-found'],
    ['AccessDeniedException', 400, 'access-denied'],
    ['UnrecognizedClientException', 400, 'access-denied'],
    ['InvalidSignatureException', 400, 'access-denied'],
    ['MissingAuthenticationTokenException', 400, 'access-denied'],
    ['KMSAccessDeniedException', 400, 'access-denied'],
    ['KMSNotFoundException', 400, 'access-denied'],
    ['ExpiredTokenException', 400, 'expired-credentials'],
    ['ValidationException', 400, 'invalid'],
    ['InvalidArgumentException', 400, 'invalid'],
    ['ExpiredIteratorException', 400, 'invalid'],
    ['ExpiredNextTokenException', 400, 'invalid'],
    ['ResourceInUseException', 400, 'invalid'],
  ];

  test.each(kinesisErrors)('Kinesis %s, status %i: %s', async (code, status, kind) => {
    const server = await serve((response) =>
      json(response, status, { __type: `com.amazonaws.kinesis.v20131202#${code}`, message: 'as AWS says it' }),
    );
    const error = await rejection(kinesis(server.endpoint).send(putRecords()));
    expect(classifyAwsError(error)).toEqual({ kind, code });
    expect(httpStatusOf(error)).toBe(status);
    expect(isThrottling(error)).toBe(kind === 'throttled');
    expect(isTransient(error)).toBe(kind === 'transient');
  });

  const dynamodbErrors: [string, number, AwsErrorClass['kind']][] = [
    ['com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException', 400, 'condition-failed'],
    ['com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException', 400, 'throttled'],
    ['com.amazonaws.dynamodb.v20120810#RequestLimitExceeded', 400, 'throttled'],
    ['com.amazon.coral.availability#ThrottlingException', 400, 'throttled'],
    ['com.amazonaws.dynamodb.v20120810#InternalServerError', 500, 'transient'],
    ['com.amazonaws.dynamodb.v20120810#TransactionConflictException', 400, 'transient'],
    ['com.amazonaws.dynamodb.v20120810#ResourceNotFoundException', 400, 'not-found'],
    ['com.amazon.coral.service#ExpiredTokenException', 400, 'expired-credentials'],
    ['com.amazon.coral.validate#ValidationException', 400, 'invalid'],
    ['com.amazonaws.dynamodb.v20120810#ItemCollectionSizeLimitExceededException', 400, 'invalid'],
  ];

  test.each(dynamodbErrors)('DynamoDB %s, status %i: %s', async (type, status, kind) => {
    const server = await serve((response) => json(response, status, { __type: type, message: 'as AWS says it' }));
    const update = new UpdateItemCommand({ TableName: 'leases', Key: { leaseKey: { S: 'x' } } });
    const error = await rejection(dynamodb(server.endpoint).send(update));
    expect(classifyAwsError(error)).toEqual({ kind, code: type.split('#')[1] });
    expect(httpStatusOf(error)).toBe(status);
  });

  const cancellations: [string[], AwsErrorClass['kind']][] = [
    [['None', 'ConditionalCheckFailed'], 'condition-failed'],
    [['TransactionConflict', 'ConditionalCheckFailed'], 'condition-failed'],
    [['TransactionConflict', 'None'], 'transient'],
    [['ThrottlingError'], 'throttled'],
    [['ProvisionedThroughputExceeded', 'None'], 'throttled'],
    [['ValidationError'], 'invalid'],
  ];

  test.each(cancellations)('a transaction cancelled for %j: %s', async (codes, kind) => {
    const server = await serve((response) =>
      json(response, 400, {
        __type: 'com.amazonaws.dynamodb.v20120810#TransactionCanceledException',
        message: `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes.join(', ')}]`,
        CancellationReasons: codes.map((Code) => ({ Code })),
      }),
    );
    const write = new TransactWriteItemsCommand({
      TransactItems: [{ Delete: { TableName: 'leases', Key: { leaseKey: { S: 'x' } } } }],
    });
    const error = await rejection(dynamodb(server.endpoint).send(write));
    expect(classifyAwsError(error)).toEqual({ kind, code: 'TransactionCanceledException' });
  });

  test('an answer that is not JSON, as a proxy gives it: by its status', async () => {
    for (const [status, kind] of [
      [503, 'transient'],
      [502, 'transient'],
      [403, 'transient'],
      [413, 'invalid'],
    ] as const) {
      const server = await serve((response) => {
        response.writeHead(status, { 'content-type': 'text/html' });
        response.end('<html>no</html>');
      });
      const error = await rejection(kinesis(server.endpoint).send(putRecords()));
      expect([httpStatusOf(error), classifyAwsError(error).kind]).toEqual([status, kind]);
    }
  });

  test('a connection that is refused', async () => {
    const probe = createTcpServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const error = await rejection(kinesis(`http://127.0.0.1:${port}`).send(putRecords()));
    expect(classifyAwsError(error)).toEqual({ kind: 'transient', code: 'ECONNREFUSED' });
    expect(httpStatusOf(error)).toBeUndefined();
  });

  test('a connection that breaks before the answer, and within it', async () => {
    const before = await serve((response) => response.destroy());
    expect(classifyAwsError(await rejection(kinesis(before.endpoint).send(putRecords())))).toEqual({
      kind: 'transient',
      code: 'ECONNRESET',
    });
    const within = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': '1000' });
      response.write('{"FailedRecordCount":', () => response.destroy());
    });
    expect(classifyAwsError(await rejection(kinesis(within.endpoint).send(putRecords()))).kind).toBe('transient');
  });

  test('no credentials anywhere', async () => {
    const server = await serve((response) => json(response, 200, putAnswer));
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE']) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
    vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
    const client = createKinesisClient({ endpoint: server.endpoint, region: 'eu-central-1' });
    cleanUps.push(() => client.destroy());
    const error = await rejection(client.send(putRecords()));
    expect(classifyAwsError(error)).toEqual({ kind: 'access-denied', code: 'CredentialsProviderError' });
    expect(server.requestCount).toBe(0);
  });
});

describe('maxAttempts', () => {
  test('1 leaves the retries to the caller', async () => {
    const server = await serve((response) => json(response, 500, { __type: 'InternalFailure' }));
    await rejection(kinesis(server.endpoint, { maxAttempts: 1 }).send(putRecords()));
    expect(server.requestCount).toBe(1);
  });

  test('2 has the SDK try once more', async () => {
    const server = await serve((response) =>
      server.requestCount === 1 ? json(response, 500, { __type: 'InternalFailure' }) : json(response, 200, putAnswer),
    );
    const answer = await kinesis(server.endpoint, { maxAttempts: 2 }).send(putRecords());
    expect(answer.Records).toHaveLength(1);
    expect(server.connectionCount).toBe(1);
  });
});

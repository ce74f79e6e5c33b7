// Starting, resetting and ending the local servers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  CreateTableCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { ListStreamsCommand, SubscribeToShardCommand } from '@aws-sdk/client-kinesis';
import { createDynamoDBClient, createKinesisClient, OperatingError, UsageError } from '@shardline/common';
import { expect, test } from 'vitest';
import { ManualClock, startLocalDynamoDB, startLocalKinesis } from '../src/index.ts';

const starts = [
  ['startLocalKinesis', startLocalKinesis],
  ['startLocalDynamoDB', startLocalDynamoDB],
] as const;

test.each(starts)('%s: a port in use is an operating error that names it', async (_, start) => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const refused = start({ port });
  await expect(refused).rejects.toThrow(OperatingError);
  await expect(refused).rejects.toMatchObject({ code: 'PORT_IN_USE', message: expect.stringContaining(String(port)) });
  other.close();
});

test.each(starts)('%s: what cannot work is a usage error that names the option', async (_, start) => {
  for (const options of [
    { port: -1 },
    { port: 70_000 },
    { port: '80' },
    { host: '' },
    { host: 'no.such.host.invalid' },
    { prot: 80 },
  ]) {
    const refused = start(options as { port: number });
    await expect(refused, JSON.stringify(options)).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(Object.keys(options)[0]);
  }
});

test.each(starts)(
  '%s listens on the loopback only, and is closed once, however often it is asked to',
  async (_, start) => {
    const local = await start();
    expect(local.endpoint).toBe(`http://127.0.0.1:${local.port}`);
    expect(local.clientConfig.endpoint).toBe(local.endpoint);
    await Promise.all([local.close(), local.close(), local[Symbol.asyncDispose]()]);
    await expect(fetch(local.endpoint)).rejects.toThrow();
    await using again = await start({ port: local.port });
    expect(again.port).toBe(local.port);
  },
);

test('startLocalKinesis: options that cannot work', async () => {
  const bad: readonly [Parameters<typeof startLocalKinesis>[0] | Record<string, unknown>, string][] = [
    [{ streams: [{ name: 'a/b' }] }, 'streams[0].name'],
    [{ streams: [{ name: 'a' }, { name: 'a' }] }, 'streams[1].name'],
    [{ streams: [{ name: 'a', shardCount: 0 }] }, 'streams[0].shardCount'],
    [{ streams: 'a' }, 'streams'],
    [{ streams: [5] }, 'streams[0]'],
    [{ limits: 'off' }, 'limits'],
    [{ clock: {} }, 'clock'],
    [{ logger: {} }, 'logger'],
    [{ reshardMs: 1.5 }, 'reshardMs'],
    [{ maxStoredBytesPerShard: 0 }, 'maxStoredBytesPerShard'],
  ];
  for (const [options, field] of bad) {
    await expect(startLocalKinesis(options as object), field).rejects.toMatchObject({ code: 'USAGE', field });
  }
});

test('close hangs up on every client, a subscribed one too', async () => {
  const local = await startLocalKinesis({ streams: [{ name: 's' }] });
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  const consumer = local.model.registerConsumer({ streamName: 's', consumerName: 'c' }, Date.now());
  const createdSecond = Math.floor(consumer.createdMs / 1000);
  const { EventStream } = await client.send(
    new SubscribeToShardCommand({
      ConsumerARN: `arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:${createdSecond}`,
      ShardId: 'shardId-000000000000',
      StartingPosition: { Type: 'LATEST' },
    }),
  );
  const drain = async (): Promise<void> => {
    for await (const event of EventStream ?? []) expect(event.SubscribeToShardEvent).toBeDefined();
  };
  const drained = drain().catch((error: unknown) => expect(error).toBeInstanceOf(Error));
  await local.close();
  await drained;
  client.destroy();
});

test('a program that closes what it started ends by itself: no timer, no socket is left', async () => {
  const program = `
    import { once } from 'node:events';
    import { connect } from 'node:tls';
    import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
    const local = await startLocalKinesis({ tlsPort: 0, streams: [{ name: 's' }], createStreamMs: 60_000, reshardMs: 60_000 });
    const beside = await startLocalDynamoDB();
    local.model.createStream({ name: 'slow' }, Date.now());
    local.model.splitShard({ streamName: 's', shardId: 'shardId-000000000000', newStartingHashKey: 2n ** 100n }, Date.now());
    for (const { endpoint } of [local, beside]) await (await fetch(endpoint)).text();
    await once(connect({ port: local.tlsPort, host: '127.0.0.1', ca: local.certificate }), 'secureConnect');
    await Promise.all([local.close(), beside.close()]);
    console.log('closed');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
  });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
  // A process that is kept alive would be killed by the timeout, and have no exit code.
  const [code] = await once(child, 'close');
  expect([Buffer.concat(output).toString(), code]).toEqual(['closed\n', 0]);
});

test('initial streams are ACTIVE at once, and come back empty with reset', async () => {
  const clock = new ManualClock();
  await using local = await startLocalKinesis({
    clock,
    streams: [{ name: 'a' }, { name: 'b', shardCount: 3 }],
    createStreamMs: 500,
  });
  const record = { partitionKey: 'k', data: new Uint8Array(1) };
  local.model.putRecord({ streamName: 'a', record }, clock.wallNow());
  local.model.createStream({ name: 'c' }, clock.wallNow());
  local.reset();
  const client = createKinesisClient(local.clientConfig);
  const { StreamNames, StreamSummaries } = await client.send(new ListStreamsCommand({}));
  expect(StreamNames).toEqual(['a', 'b']);
  expect(StreamSummaries?.map(({ StreamStatus }) => StreamStatus)).toEqual(['ACTIVE', 'ACTIVE']);
  expect(local.model.stream('a', clock.wallNow()).shards[0]?.log.sizeBytes).toBe(0);
  expect(local.model.stream('b', clock.wallNow()).openShards).toHaveLength(3);
  client.destroy();
});

test('what has outlived its retention is freed although nobody touches the stream', async () => {
  const clock = new ManualClock();
  await using local = await startLocalKinesis({ clock, streams: [{ name: 'a' }] });
  local.model.putRecord({ streamName: 'a', record: { partitionKey: 'k', data: new Uint8Array(9) } }, clock.wallNow());
  const [shard] = local.model.stream('a', clock.wallNow()).shards;
  expect(shard?.log.sizeBytes).toBe(10);
  clock.advance(25 * 3_600_000);
  expect(shard?.log.sizeBytes).toBe(0);
});

test('startLocalDynamoDB: closed under the calls of a client that has gone, it breaks no process', async () => {
  // An error of dynalite's store under a request is thrown where nobody catches it: the process says so by ending.
  const source = `
    import { CreateTableCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
    import { createDynamoDBClient } from '@shardline/common';
    import { startLocalDynamoDB } from '@shardline/local';
    const local = await startLocalDynamoDB();
    const client = createDynamoDBClient({ ...local.clientConfig, maxAttempts: 1 });
    await client.send(new CreateTableCommand({
      TableName: 'leases',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    }));
    const put = (n) => client.send(new PutItemCommand({ TableName: 'leases', Item: { leaseKey: { S: String(n) } } }));
    const puts = Array.from({ length: 400 }, (_, n) => put(n));
    await Promise.any(puts);
    client.destroy();
    await local.close();
    await Promise.allSettled(puts);
    console.log('closed');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [said, warned] = ['', ''];
  child.stdout.on('data', (bytes) => (said += bytes));
  child.stderr.on('data', (bytes) => (warned += bytes));
  const [code] = await once(child, 'close');
  expect({ code, said, warned }).toMatchObject({ code: 0, said: 'closed\n' });
});

test('startLocalDynamoDB: a table with an index, conditional updates, a query', async () => {
  await using local = await startLocalDynamoDB();
  const client: DynamoDBClient = createDynamoDBClient({ ...local.clientConfig, maxAttempts: 1 });
  const TableName = 'leases';
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'leaseKey', AttributeType: 'S' },
        { AttributeName: 'leaseOwner', AttributeType: 'S' },
      ],
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'LeaseOwnerToLeaseKeyIndex',
          KeySchema: [
            { AttributeName: 'leaseOwner', KeyType: 'HASH' },
            { AttributeName: 'leaseKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    }),
  );
  const Key = { leaseKey: { S: 'shardId-000000000000' } };
  await client.send(
    new PutItemCommand({ TableName, Item: { ...Key, leaseOwner: { S: 'a' }, leaseCounter: { N: '0' } } }),
  );
  const take = (owner: string) =>
    client.send(
      new UpdateItemCommand({
        TableName,
        Key,
        UpdateExpression: 'SET leaseOwner = :owner, leaseCounter = leaseCounter + :one',
        ConditionExpression: 'leaseCounter = :seen',
        ExpressionAttributeValues: { ':owner': { S: owner }, ':one': { N: '1' }, ':seen': { N: '0' } },
      }),
    );
  const outcomes = await Promise.allSettled(['b', 'c', 'd'].map(take));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const { Item } = await client.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }));
  expect(Item?.['leaseCounter']).toEqual({ N: '1' });
  const { Items } = await client.send(
    new QueryCommand({
      TableName,
      IndexName: 'LeaseOwnerToLeaseKeyIndex',
      KeyConditionExpression: 'leaseOwner = :owner',
      ExpressionAttributeValues: { ':owner': Item?.['leaseOwner'] ?? { S: '' } },
    }),
  );
  expect(Items).toHaveLength(1);
  client.destroy();
});

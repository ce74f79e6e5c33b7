// A data folder, seen from outside: what goes on after a restart, who may have the folder, and what becomes of a disk that is gone.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTableCommand, DescribeTableCommand, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import {
  CreateStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListStreamsCommand,
  PutRecordCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import {
  createDynamoDBClient,
  createFanOutClient,
  createKinesisClient,
  type Logger,
  silentLogger,
} from '@shardline/common';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, type LocalKinesisOptions, ManualClock, startLocalKinesis } from '../src/index.ts';
import { CommandProcess, killAll } from './command-process.ts';

const StreamName = 'orders';
const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
const ShardId = 'shardId-000000000000';

let dataFolder: string;
const started: LocalKinesis[] = [];

beforeEach(async () => {
  dataFolder = await mkdtemp(join(tmpdir(), 'shardline-data-'));
});
afterEach(async () => {
  await killAll();
  await Promise.all(started.splice(0).map((local) => local.close()));
  await rm(dataFolder, { recursive: true, force: true });
});

async function start(options: LocalKinesisOptions = {}): Promise<LocalKinesis> {
  const local = await startLocalKinesis({ dataFolder, ...options });
  started.push(local);
  return local;
}

async function put(local: LocalKinesis, text: string): Promise<void> {
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  try {
    await client.send(new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(text) }));
  } finally {
    client.destroy();
  }
}

function texts({ model }: LocalKinesis): string[] {
  const shards = model.streams.flatMap((stream) => stream.shards);
  return shards.flatMap(({ log }) => log.from(0).map(({ data }) => Buffer.from(data).toString()));
}

test.each(['always', 'everySecond', 'never'] as const)(
  'with fsync %s a server goes on where the last one was closed, with its initial streams as they are',
  async (fsync) => {
    const streams = [{ name: StreamName, shardCount: 1 }];
    const first = await start({ fsync, streams });
    await put(first, 'a');
    first.model.setRetention({ streamName: StreamName, hours: 48, direction: 'increase' }, Date.now());
    await first.close();
    const second = await start({ fsync, streams: [...streams, { name: 'more' }] });
    expect(second.model.streams.map(({ name, retentionHours }) => [name, retentionHours])).toEqual([
      [StreamName, 48],
      ['more', 24],
    ]);
    await put(second, 'b');
    expect(texts(second)).toEqual(['a', 'b']);
  },
);

test('every account and region is there again', async () => {
  const first = await start();
  const elsewhere = { accountId: '123456789012', region: 'eu-west-1' };
  first.modelOf(elsewhere).createStream({ name: 'far' }, Date.now());
  await first.close();
  const second = await start({ streams: [{ name: StreamName }] });
  expect(second.modelOf(elsewhere).streams.map(({ name }) => name)).toEqual(['far', StreamName]);
  expect(second.model.streams.map(({ name }) => name)).toEqual([StreamName]);
});

test('a split that was under way is made when it is due, although nobody calls', async () => {
  const clock = new ManualClock();
  const options = { clock, reshardMs: 5_000, streams: [{ name: StreamName }] };
  const first = await start(options);
  const newStartingHashKey = 5n as never;
  first.model.splitShard({ streamName: StreamName, shardId: ShardId, newStartingHashKey }, clock.wallNow());
  await first.close();
  const { model } = await start(options);
  clock.advance(4_999);
  expect(model.streams[0]?.status).toBe('UPDATING');
  clock.advance(1);
  expect(model.streams[0]).toMatchObject({ status: 'ACTIVE', openShards: [{}, {}] });
});

test('reset() leaves nothing for the next start but the initial streams, and old iterators stay invalid', async () => {
  const first = await start({ streams: [{ name: StreamName }] });
  await put(first, 'a');
  first.model.createStream({ name: 'more' }, Date.now());
  first.reset();
  await put(first, 'b');
  await first.close();
  const second = await start();
  expect(second.model.streams.map(({ name, incarnation }) => [name, incarnation])).toEqual([[StreamName, 3]]);
  expect(texts(second)).toEqual(['b']);
});

test('what close() leaves is whole and nobody holds it', async () => {
  const local = await start({ streams: [{ name: StreamName }] });
  await put(local, 'a');
  await Promise.all([local.close(), local.close()]);
  expect(await readdir(dataFolder)).toEqual(['journal-00000001', 'server.lock']);
  const lines = (await readFile(join(dataFolder, 'server.lock'), 'utf8')).split('\n').filter((line) => line !== '');
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['claim', 'release']);
});

test('a subscriber goes on after a kill from the number it was given, and misses nothing', async () => {
  const folder = join(dataFolder, 'below', 'below');
  const seen: string[] = [];
  let continuation: string | undefined;
  let consumerArn: string | undefined;
  for (let round = 0; round < 3; round++) {
    const command = new CommandProcess('--data', folder, '--stream', StreamName);
    const { clientConfig } = await command.listening();
    const client = createKinesisClient(clientConfig);
    const fanOut = createFanOutClient(clientConfig);
    if (round === 0) {
      const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' }));
      consumerArn = Consumer?.ConsumerARN;
    }
    // Put before the subscriber is back, and while it is there.
    await client.send(new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(`${round}a`) }));
    const { EventStream } = await fanOut.send(
      new SubscribeToShardCommand({
        ConsumerARN: consumerArn,
        ShardId,
        StartingPosition:
          continuation === undefined
            ? { Type: 'TRIM_HORIZON' }
            : { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: continuation },
      }),
    );
    await client.send(new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(`${round}b`) }));
    for await (const { SubscribeToShardEvent: event } of EventStream ?? []) {
      seen.push(...(event?.Records ?? []).map(({ Data }) => Buffer.from(Data ?? []).toString()));
      continuation = event?.ContinuationSequenceNumber ?? continuation;
      if (seen.at(-1) === `${round}b`) break;
    }
    await command.end('SIGKILL');
    fanOut.destroy();
    client.destroy();
  }
  expect(seen).toEqual(['0a', '0b', '1a', '1b', '2a', '2b']);
});

test('with fsync always a subscriber gets every record and the end of its shard', async () => {
  const local = await start({ fsync: 'always', streams: [{ name: StreamName }] });
  const client = createKinesisClient(local.clientConfig);
  const fanOut = createFanOutClient(local.clientConfig);
  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' }));
  const StartingPosition = { Type: 'LATEST' } as const;
  const { EventStream } = await fanOut.send(
    new SubscribeToShardCommand({ ConsumerARN: Consumer?.ConsumerARN, ShardId, StartingPosition }),
  );
  const sent = Array.from({ length: 40 }, (_, index) => `${index}`);
  const putting = Promise.all(sent.map((text) => put(local, text))).then(() =>
    client.send(new SplitShardCommand({ StreamName, ShardToSplit: ShardId, NewStartingHashKey: '5' })),
  );
  const seen: string[] = [];
  let childCount = 0;
  for await (const { SubscribeToShardEvent: event } of EventStream ?? []) {
    seen.push(...(event?.Records ?? []).map(({ Data }) => Buffer.from(Data ?? []).toString()));
    childCount += event?.ChildShards?.length ?? 0;
  }
  await putting;
  expect([seen.sort(), childCount]).toEqual([sent.sort(), 2]);
  fanOut.destroy();
  client.destroy();
});

test('the folder is of one server: a second one is told of which, and a killed one is in the way of nobody', async () => {
  const first = new CommandProcess('--data', dataFolder);
  await first.listening();
  const second = new CommandProcess('--data', dataFolder);
  await expect(second.listening()).rejects.toThrow(
    `shardline-local: ${join(dataFolder, 'kinesis')}: expected a folder that nobody uses, got one that process ${first.pid} has open.`,
  );
  expect(await second.ended()).toBe(1);
  await first.end('SIGKILL');
  const third = new CommandProcess('--data', dataFolder);
  await third.listening();
  expect([await third.end('SIGTERM'), third.stderr]).toEqual([0, '']);
});

test('within a process, too, and a server that could not listen gives the folder back', async () => {
  const local = await start();
  await expect(start()).rejects.toMatchObject({ code: 'DATA_IN_USE', retryable: true });
  await local.close();
  const other = await startLocalKinesis();
  started.push(other);
  await expect(start({ port: other.port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  await start();
});

test('a folder that cannot be one is a wrong option', async () => {
  const file = join(dataFolder, 'file');
  await writeFile(file, 'x');
  await expect(start({ dataFolder: join(file, 'below') })).rejects.toMatchObject({
    code: 'USAGE',
    field: 'dataFolder',
  });
  const command = new CommandProcess('--data', file);
  await expect(command.listening()).rejects.toThrow('--data: expected a folder that this user may write to, got ');
  expect(await command.ended()).toBe(2);
  await expect(start({ fsync: 'sometimes' as never })).rejects.toThrow('fsync: expected always | everySecond | never');
  await expect(startLocalKinesis({ fsync: 'never' })).rejects.toThrow('dataFolder: expected a folder beside fsync');
});

test('the command tells of an end that it cut off, and refuses what is damaged', async () => {
  const first = new CommandProcess('--data', dataFolder, '--stream', StreamName);
  await first.listening();
  await first.end('SIGKILL');
  const file = join(dataFolder, 'kinesis', 'journal-00000001');
  const bytes = await readFile(file);
  await writeFile(file, Buffer.concat([bytes, Buffer.from('torn')]));
  const second = new CommandProcess('--data', dataFolder);
  const { clientConfig } = await second.listening();
  const client = createKinesisClient(clientConfig);
  expect((await client.send(new ListStreamsCommand({}))).StreamNames).toEqual([StreamName]);
  client.destroy();
  expect(second.stderr).toContain('cut off 4 bytes of an entry that was never finished');
  await second.end('SIGTERM');
  bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60);
  await writeFile(file, bytes);
  const third = new CommandProcess('--data', dataFolder);
  await expect(third.listening()).rejects.toThrow(`shardline-local: ${file}: damaged at byte 32`);
  expect(await third.ended()).toBe(1);
  expect(await readFile(file)).toEqual(bytes);
});

test('a folder that is removed under the server: writes get InternalFailure, the log says why, reads go on', async () => {
  const lines: (string | undefined)[] = [];
  const logger: Logger = {
    ...silentLogger,
    child: () => logger,
    error: (_, message) => void lines.push(message),
  };
  const local = await start({ logger, streams: [{ name: StreamName }] });
  await put(local, 'a');
  await rm(dataFolder, { recursive: true });
  const internalFailure = { name: 'InternalFailure', $metadata: { httpStatusCode: 500 } };
  await expect(put(local, 'b')).rejects.toMatchObject(internalFailure);
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  const create = client.send(new CreateStreamCommand({ StreamName: 'more', ShardCount: 1 }));
  await expect(create).rejects.toMatchObject(internalFailure);
  const fromTheStart = new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' });
  const { ShardIterator } = await client.send(fromTheStart);
  const { Records = [] } = await client.send(new GetRecordsCommand({ ShardIterator }));
  expect(Records.map(({ Data }) => Buffer.from(Data ?? []).toString())).toEqual(['a']);
  client.destroy();
  expect(lines).toEqual([expect.stringContaining('the file was removed under the running server')]);
});

test('the tables of the DynamoDB outlive a kill', async () => {
  const [TableName, Key] = ['leases', { key: { S: 'a' } }];
  for (const round of [0, 1, 2]) {
    const command = new CommandProcess('--data', dataFolder, '--dynamodb-port', '0');
    const { clientConfig, dynamodbPort } = await command.listening();
    const client = createDynamoDBClient({ ...clientConfig, endpoint: `http://127.0.0.1:${dynamodbPort}` });
    if (round === 0) {
      await client.send(
        new CreateTableCommand({
          TableName,
          AttributeDefinitions: [{ AttributeName: 'key', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'key', KeyType: 'HASH' }],
          BillingMode: 'PAY_PER_REQUEST',
        }),
      );
      const describe = new DescribeTableCommand({ TableName });
      while ((await client.send(describe)).Table?.TableStatus !== 'ACTIVE');
    } else {
      const { Item } = await client.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }));
      expect(Item?.['round']).toEqual({ N: String(round - 1) });
    }
    await client.send(new PutItemCommand({ TableName, Item: { ...Key, round: { N: String(round) } } }));
    client.destroy();
    await command.end('SIGKILL');
  }
});

// Accounts and regions: whose streams a request is about, told by its signature's scope or by the ARN in it.
import * as kinesis from '@aws-sdk/client-kinesis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, startLocalKinesis } from '../../src/index.ts';

let local: LocalKinesis;
const clients: kinesis.KinesisClient[] = [];

beforeEach(async () => {
  local = await startLocalKinesis({ streams: [{ name: 'initial', shardCount: 2 }] });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await local.close();
});

function clientOf(region: string, accessKeyId = 'local'): kinesis.KinesisClient {
  const credentials = { accessKeyId, secretAccessKey: 'local' };
  const client = new kinesis.KinesisClient({ ...local.clientConfig, region, credentials, maxAttempts: 1 });
  clients.push(client);
  return client;
}

async function namesSeenBy(client: kinesis.KinesisClient): Promise<string[] | undefined> {
  return (await client.send(new kinesis.ListStreamsCommand({}))).StreamNames;
}

test('the ARN of a stream shows the region and the account that it was asked for', async () => {
  const input = { StreamName: 'initial' };
  const arnSeenBy = async (client: kinesis.KinesisClient): Promise<string | undefined> =>
    (await client.send(new kinesis.DescribeStreamSummaryCommand(input))).StreamDescriptionSummary?.StreamARN;
  expect(await arnSeenBy(clientOf('us-east-1'))).toBe('arn:aws:kinesis:us-east-1:000000000000:stream/initial');
  expect(await arnSeenBy(clientOf('cn-north-1', '123456789012'))).toBe(
    'arn:aws-cn:kinesis:cn-north-1:123456789012:stream/initial',
  );
});

test('each account and region has streams of its own; the initial ones are in all of them', async () => {
  await clientOf('eu-west-1').send(new kinesis.CreateStreamCommand({ StreamName: 'orders', ShardCount: 1 }));
  expect(await namesSeenBy(clientOf('eu-west-1'))).toEqual(['initial', 'orders']);
  expect(await namesSeenBy(clientOf('us-east-1'))).toEqual(['initial']);
  expect(await namesSeenBy(clientOf('eu-west-1', '123456789012'))).toEqual(['initial']);
  expect(local.modelOf({ region: 'eu-west-1' }).has('orders', Date.now())).toBe(true);
  expect(local.model.has('orders', Date.now())).toBe(false);
});

test('a stream that is in another region is not found, and the message says where one is', async () => {
  await clientOf('eu-west-1').send(new kinesis.CreateStreamCommand({ StreamName: 'orders', ShardCount: 1 }));
  const asked = clientOf('us-east-1').send(new kinesis.DescribeStreamCommand({ StreamName: 'orders' }));
  await expect(asked).rejects.toThrow(kinesis.ResourceNotFoundException);
  await expect(asked).rejects.toThrow(
    'Stream orders under account 000000000000 not found. There is one in account 000000000000, region eu-west-1; this request is for account 000000000000, region us-east-1.',
  );
});

test("an ARN leads to its own account's stream, whoever asks", async () => {
  const owner = clientOf('us-east-1', '111111111111');
  await owner.send(new kinesis.CreateStreamCommand({ StreamName: 'theirs', ShardCount: 1 }));
  const reader = clientOf('us-east-1', '222222222222');
  const StreamARN = 'arn:aws:kinesis:us-east-1:111111111111:stream/theirs';
  const Data = Buffer.from('x');
  await reader.send(new kinesis.PutRecordCommand({ StreamARN, PartitionKey: 'k', Data }));
  const { ShardIterator } = await reader.send(
    new kinesis.GetShardIteratorCommand({
      StreamARN,
      ShardId: 'shardId-000000000000',
      ShardIteratorType: 'TRIM_HORIZON',
    }),
  );
  const read = await reader.send(new kinesis.GetRecordsCommand({ StreamARN, ShardIterator }));
  expect(read.Records?.map((record) => Buffer.from(record.Data ?? []).toString())).toEqual(['x']);
  const { Consumer } = await reader.send(
    new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'visitor' }),
  );
  expect(Consumer?.ConsumerARN).toMatch(`${StreamARN}/consumer/visitor:`);
  const { ConsumerDescription } = await reader.send(
    new kinesis.DescribeStreamConsumerCommand({ ConsumerARN: Consumer?.ConsumerARN }),
  );
  expect(ConsumerDescription?.StreamARN).toBe(StreamARN);
});

test('an iterator of one account is no iterator of another', async () => {
  const place = { StreamName: 'initial', ShardId: 'shardId-000000000000' };
  const { ShardIterator } = await clientOf('us-east-1').send(
    new kinesis.GetShardIteratorCommand({ ...place, ShardIteratorType: 'LATEST' }),
  );
  const stranger = clientOf('us-east-1', '123456789012');
  await expect(stranger.send(new kinesis.GetRecordsCommand({ ShardIterator }))).rejects.toThrow(
    kinesis.InvalidArgumentException,
  );
});

test('reset() empties every account and region', async () => {
  await clientOf('eu-west-1').send(new kinesis.CreateStreamCommand({ StreamName: 'orders', ShardCount: 1 }));
  local.reset();
  expect(await namesSeenBy(clientOf('eu-west-1'))).toEqual(['initial']);
});

test.each([
  [{ accountId: '12345' }, 'accountId: expected 12 digits, got "12345"'],
  [{ region: 'Not A Region' }, 'region: expected a region such as us-east-1, got "Not A Region"'],
])('modelOf(%o) says what it expected', (place, message) => {
  expect(() => local.modelOf(place)).toThrow(message);
});

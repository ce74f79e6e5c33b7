// AWS CBOR 1.1 over real sockets, as the SDKs for Java speak it: what one format puts the other reads, and answers and errors
// come in the format of the question.
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { decode, encode, Token, Type } from 'cborg';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const ShardId = 'shardId-000000000000';
const contentType = 'application/x-amz-cbor-1.1';
const clock = new ManualClock();
let local: LocalKinesis;
let client: KinesisClient;

beforeAll(async () => {
  local = await startLocalKinesis({ clock, limits: false, streams: [{ name: StreamName, shardCount: 1 }] });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterAll(async () => {
  client.destroy();
  await local.close();
});
beforeEach(() => local.reset());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly members: Record<string, unknown>;
}

async function post(operation: string, body: Uint8Array): Promise<Answer> {
  const answer = await fetch(local.endpoint, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'content-type': contentType, 'x-amz-target': `Kinesis_20131202.${operation}` },
  });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const tags = { 1: (content: () => unknown) => new Date(Number(content())) };
  const members = bytes.length === 0 ? {} : (decode(bytes, { tags }) as Record<string, unknown>);
  return { status: answer.status, headers: answer.headers, members };
}

function call(operation: string, input: object): Promise<Answer> {
  const typeEncoders = { Date: (at: Date) => [new Token(Type.tag, 1), new Token(Type.uint, at.getTime())] };
  return post(operation, encode(input, { typeEncoders }));
}

test('what is put by CBOR is read by JSON, and the other way round, byte for byte', async () => {
  const record = fc.record({
    Data: fc.uint8Array({ maxLength: 300 }),
    PartitionKey: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), fc.boolean(), async (Records, byCbor) => {
      local.reset();
      if (byCbor)
        expect((await call('PutRecords', { StreamName, Records })).members).toMatchObject({ FailedRecordCount: 0 });
      else await client.send(new PutRecordsCommand({ StreamName, Records }));
      const from = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' as const };
      const cborIterator = (await call('GetShardIterator', from)).members['ShardIterator'];
      const cborAnswer = (await call('GetRecords', { ShardIterator: cborIterator })).members;
      const { ShardIterator } = await client.send(new GetShardIteratorCommand(from));
      const jsonAnswer = await client.send(new GetRecordsCommand({ ShardIterator }));
      expect(cborAnswer['Records']).toEqual(
        jsonAnswer.Records?.map((each) => ({ ...each, Data: new Uint8Array(each.Data ?? []) })),
      );
      expect(cborAnswer['MillisBehindLatest']).toBe(jsonAnswer.MillisBehindLatest);
      expect(
        jsonAnswer.Records?.map(({ PartitionKey, Data }) => ({ PartitionKey, Data: new Uint8Array(Data ?? []) })),
      ).toEqual(Records);
    }),
    { numRuns: 50 },
  );
});

test('a time goes in and out as tag 1 with milliseconds', async () => {
  const before = clock.wallNow();
  await call('PutRecord', { StreamName, PartitionKey: 'k', Data: new Uint8Array([1]) });
  clock.advance(1234);
  await call('PutRecord', { StreamName, PartitionKey: 'k', Data: new Uint8Array([2]) });
  const Timestamp = new Date(before + 1);
  const iterator = await call('GetShardIterator', {
    StreamName,
    ShardId,
    ShardIteratorType: 'AT_TIMESTAMP',
    Timestamp,
  });
  const { members } = await call('GetRecords', { ShardIterator: iterator.members['ShardIterator'] });
  expect(members['Records']).toMatchObject([
    { Data: new Uint8Array([2]), ApproximateArrivalTimestamp: new Date(before + 1234) },
  ]);
});

test('an operation that answers nothing has an empty body', async () => {
  const answer = await call('IncreaseStreamRetentionPeriod', { StreamName, RetentionPeriodHours: 48 });
  expect([answer.status, answer.headers.get('content-length'), answer.headers.get('content-type')]).toEqual([
    200,
    '0',
    contentType,
  ]);
});

test('an error comes as CBOR, too', async () => {
  const missing = await call('DescribeStreamSummary', { StreamName: 'none' });
  expect(missing.status).toBe(400);
  expect(missing.headers.get('content-type')).toBe(contentType);
  expect(missing.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/);
  expect(missing.members).toEqual({
    __type: 'ResourceNotFoundException',
    message: 'Stream none under account 000000000000 not found.',
  });
  const broken = await post('PutRecord', Buffer.from('bf', 'hex'));
  expect([broken.status, broken.members['__type']]).toEqual([400, 'SerializationException']);
  const unknown = await post('Explode', Buffer.from('a0', 'hex'));
  expect([unknown.status, unknown.members['__type']]).toEqual([400, 'UnknownOperationException']);
});

test('faults know the shard that a request in CBOR is about, and answer in CBOR', async () => {
  const Records = [{ PartitionKey: 'k', Data: Buffer.from('x') }];
  using perRecord = local.faults.add({ kind: 'throttle', stream: StreamName, shardId: ShardId, count: 1 });
  const refused = { ErrorCode: 'ProvisionedThroughputExceededException' };
  expect((await call('PutRecords', { StreamName, Records })).members).toMatchObject({ Records: [refused] });
  expect(perRecord.applied).toBe(1);
  using whole = local.faults.add({ kind: 'error', type: 'InternalFailure', shardId: ShardId });
  const { status, headers, members } = await call('PutRecord', { StreamName, ...Records[0] });
  expect([status, headers.get('content-type'), members['__type']]).toEqual([500, contentType, 'InternalFailure']);
  expect(whole.applied).toBe(1);
});

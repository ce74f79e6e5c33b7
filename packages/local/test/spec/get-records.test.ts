// GetRecords, sentence by sentence. Records of 10 MiB are in capacity.test.ts, encryption in settings.test.ts, partition keys of AUTO
// streams in capacity.test.ts, dry runs in dry-run.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, first, fourth, middle, StreamName, second, specScene, textsOf, third } from './spec-scene.ts';

const scene = specScene();
const mebibyte = 1024 * 1024;
const tooFast = `Rate exceeded for shard ${first} in stream ${StreamName} under account 000000000000.`;

/** So many MiB in the first shard, a second each. */
async function putMebibytes(count: number): Promise<void> {
  for (let nth = 0; nth < count; nth++) {
    await scene.put('x'.repeat(mebibyte - 1));
    scene.clock.advance(1000);
  }
}

test('"The shard iterator specifies the position in the shard from which you want to start reading data records sequentially"; "Specify the shard iterator returned in NextShardIterator in subsequent calls to GetRecords"', async () => {
  const texts = Array.from({ length: 7 }, (_, index) => `record ${index}`);
  for (const text of texts) await scene.put(text);
  const seen: string[] = [];
  let ShardIterator = await scene.iterator();
  while (seen.length < texts.length) {
    const { Records, NextShardIterator } = await scene.get(ShardIterator, 2);
    expect(Records?.length).toBeGreaterThan(0);
    seen.push(...textsOf(Records));
    ShardIterator = NextShardIterator;
  }
  expect(seen).toEqual(texts);
});

test('the same iterator reads the same records again', async () => {
  await scene.put('a');
  const ShardIterator = await scene.iterator();
  for (let nth = 0; nth < 3; nth++) expect(textsOf((await scene.get(ShardIterator)).Records)).toEqual(['a']);
});

test('"If there are no records available in the portion of the shard that the iterator points to, GetRecords returns an empty list"', async () => {
  const { Records, NextShardIterator, MillisBehindLatest } = await scene.get(await scene.iterator());
  expect([Records, MillisBehindLatest]).toEqual([[], 0]);
  await scene.put('a');
  expect(textsOf((await scene.get(NextShardIterator)).Records)).toEqual(['a']);
});

test('"If the shard has been closed, the shard iterator can\'t return more data and GetRecords returns null in NextShardIterator"; ChildShards: "returned in the GetRecords API\'s response only when the end of the current shard is reached"', async () => {
  await scene.put('a');
  await scene.put('b');
  const before = await scene.get(await scene.iterator(), 1);
  expect([before.NextShardIterator, before.ChildShards]).toEqual([expect.any(String), undefined]);
  await scene.split();
  const midway = await scene.get(await scene.iterator(), 1);
  expect([midway.NextShardIterator, midway.ChildShards]).toEqual([expect.any(String), undefined]);
  const last = await scene.get(midway.NextShardIterator, 1);
  expect([textsOf(last.Records), last.NextShardIterator, last.ChildShards?.length]).toEqual([['b'], undefined, 2]);
});

test('ChildShard: "The current shard that is the parent of the existing child shard", both of them after a merge, and the child\'s hash key range', async () => {
  await scene.split();
  const quarter = 2n ** 126n;
  expect((await scene.get(await scene.iterator())).ChildShards).toEqual([
    {
      ShardId: third,
      ParentShards: [first],
      HashKeyRange: { StartingHashKey: '0', EndingHashKey: String(quarter - 1n) },
    },
    {
      ShardId: fourth,
      ParentShards: [first],
      HashKeyRange: { StartingHashKey: String(quarter), EndingHashKey: String(2n * quarter - 1n) },
    },
  ]);
  await scene.merge(fourth, second);
  for (const ShardId of [fourth, second]) {
    expect((await scene.get(await scene.iterator({ ShardId }))).ChildShards).toEqual([
      {
        ShardId: 'shardId-000000000004',
        ParentShards: [fourth, second],
        HashKeyRange: { StartingHashKey: String(quarter), EndingHashKey: String(4n * quarter - 1n) },
      },
    ]);
  }
});

test('Limit: "The maximum number of records to return. Specify a value of up to 10,000"', async () => {
  for (const text of ['a', 'b', 'c']) await scene.put(text);
  const ShardIterator = await scene.iterator();
  expect(textsOf((await scene.get(ShardIterator, 2)).Records)).toEqual(['a', 'b']);
  expect(textsOf((await scene.get(ShardIterator, 10_000)).Records)).toEqual(['a', 'b', 'c']);
});

test('Limit: a value that is greater than 10,000 is refused (by a ValidationException, see the README), and so is 0', async () => {
  const ShardIterator = await scene.iterator();
  const wrong = (value: number, rule: string): string =>
    `1 validation error detected: Value '${value}' at 'limit' failed to satisfy constraint: Member must have value ${rule}`;
  await expectRefusal(
    scene.get(ShardIterator, 10_001),
    kinesis.ValidationException,
    wrong(10_001, 'less than or equal to 10000'),
  );
  await expectRefusal(scene.get(ShardIterator, 0), kinesis.ValidationException, wrong(0, 'greater than or equal to 1'));
});

test('Limit: "The default value is 10,000"; "The maximum number of records that can be returned per call is 10,000"', async () => {
  const Records = Array.from({ length: 500 }, () => ({
    PartitionKey: 'k',
    Data: Buffer.alloc(0),
    ExplicitHashKey: '0',
  }));
  for (let nth = 0; nth < 21; nth++) {
    await scene.client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
    scene.clock.advance(500);
  }
  const one = await scene.get(await scene.iterator());
  const two = await scene.get(one.NextShardIterator);
  expect([one.Records?.length, two.Records?.length]).toEqual([10_000, 500]);
});

test('"The maximum size of data that GetRecords can return is 10 MiB. If a call returns this amount of data, subsequent calls made within the next 5 seconds throw ProvisionedThroughputExceededException"', async () => {
  await putMebibytes(11);
  const one = await scene.get(await scene.iterator());
  expect(one.Records).toHaveLength(10);
  scene.clock.advance(4999);
  await expectRefusal(scene.get(one.NextShardIterator), kinesis.ProvisionedThroughputExceededException, tooFast);
  scene.clock.advance(1);
  expect((await scene.get(one.NextShardIterator)).Records).toHaveLength(1);
});

test('"If there is insufficient provisioned throughput on the stream, subsequent calls made within the next 1 second throw ProvisionedThroughputExceededException"; "Each shard can read up to 2 MiB per second"', async () => {
  await putMebibytes(4);
  const ShardIterator = await scene.iterator();
  expect((await scene.get(ShardIterator)).Records).toHaveLength(4);
  await expectRefusal(scene.get(ShardIterator), kinesis.ProvisionedThroughputExceededException);
  scene.clock.advance(2000);
  await scene.get(ShardIterator);
});

test('"This operation has a limit of five transactions per second per shard"', async () => {
  const ShardIterator = await scene.iterator();
  for (let nth = 0; nth < 5; nth++) await scene.get(ShardIterator);
  await expectRefusal(scene.get(ShardIterator), kinesis.ProvisionedThroughputExceededException, tooFast);
  await scene.get(await scene.iterator({ ShardId: second }));
  scene.clock.advance(200);
  await scene.get(ShardIterator);
});

test('"GetRecords doesn\'t return any data when it throws an exception": the iterator is where it was', async () => {
  await scene.put('a');
  const ShardIterator = await scene.iterator();
  for (let nth = 0; nth < 5; nth++) await scene.get(await scene.iterator({ ShardIteratorType: 'LATEST' }));
  await expectRefusal(scene.get(ShardIterator), kinesis.ProvisionedThroughputExceededException);
  scene.clock.advance(1000);
  expect(textsOf((await scene.get(ShardIterator)).Records)).toEqual(['a']);
});

test('MillisBehindLatest: "how far behind current time the consumer is. A value of zero indicates that record processing is caught up, and there are no new records to process at this moment"', async () => {
  await scene.put('a');
  scene.clock.advance(3000);
  await scene.put('b');
  scene.clock.advance(1500);
  const one = await scene.get(await scene.iterator(), 1);
  expect(one.MillisBehindLatest).toBe(4500);
  expect((await scene.get(one.NextShardIterator, 1)).MillisBehindLatest).toBe(0);
});

test('"Each Amazon Kinesis record includes a value, ApproximateArrivalTimestamp, that is set when a stream successfully receives and stores a record. … The time stamp has millisecond precision"', async () => {
  scene.clock.advance(123);
  const arrival = new Date(scene.clock.wallNow());
  await scene.put('a');
  scene.clock.advance(5000);
  const { Records } = await scene.get(await scene.iterator());
  expect(Records?.map(({ ApproximateArrivalTimestamp }) => ApproximateArrivalTimestamp)).toEqual([arrival]);
});

test('Record: "The unit of data of the Kinesis data stream, which is composed of a sequence number, a partition key, and a data blob"', async () => {
  const { SequenceNumber } = await scene.put('a');
  const { Records } = await scene.get(await scene.iterator());
  expect(Records).toEqual([
    {
      SequenceNumber,
      PartitionKey: 'k',
      Data: new Uint8Array(Buffer.from('a')),
      ApproximateArrivalTimestamp: new Date(scene.clock.wallNow()),
    },
  ]);
});

test('Data: "both opaque and immutable to Kinesis Data Streams, which does not inspect, interpret, or change the data in the blob in any way": an empty one, every byte, base64 within base64', async () => {
  const blobs = [Buffer.alloc(0), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), Buffer.from('AAA=')];
  for (const Data of blobs) {
    await scene.client.send(
      new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data, ExplicitHashKey: '0' }),
    );
  }
  const { Records = [] } = await scene.get(await scene.iterator());
  expect(Records.map(({ Data }) => Buffer.from(Data ?? []))).toEqual(blobs);
});

test('InvalidArgumentException: "A specified parameter … can\'t be used": an iterator that is none', async () => {
  await expectRefusal(scene.get('AAAA'), kinesis.InvalidArgumentException, 'Invalid ShardIterator.');
});

test('ResourceNotFoundException: "The requested resource could not be found": an iterator outlives its stream, not a new one of the same name', async () => {
  const ShardIterator = await scene.iterator();
  await scene.client.send(new kinesis.DeleteStreamCommand({ StreamName }));
  await expectRefusal(scene.get(ShardIterator), kinesis.ResourceNotFoundException);
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 2 }));
  await scene.put('of the new one', middle);
  await expectRefusal(scene.get(ShardIterator), kinesis.ResourceNotFoundException);
});

// PutRecords, sentence by sentence, as far as PutRecord's own tests do not say the same of one record. The 10 MiB of a request are in
// capacity.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, first, middle, StreamName, second, specScene, textsOf } from './spec-scene.ts';

const scene = specScene();
const mebibyte = 1024 * 1024;

type Entry = kinesis.PutRecordsRequestEntry;

function entry(text: string, ExplicitHashKey = '0'): Entry {
  return { PartitionKey: 'k', Data: Buffer.from(text), ExplicitHashKey };
}

function put(Records: Entry[], name = StreamName): Promise<kinesis.PutRecordsCommandOutput> {
  return scene.client.send(new kinesis.PutRecordsCommand({ StreamName: name, Records }));
}

/** Leaves the first shard room for `left` small records now. */
async function fillUpTo(left: number): Promise<void> {
  await put(Array.from({ length: 500 }, () => entry('fill')));
  await put(Array.from({ length: 500 - left }, () => entry('fill')));
}

test('"Each PutRecords request can support up to 500 records"', async () => {
  expect((await put(Array.from({ length: 500 }, () => entry('x')))).Records).toHaveLength(500);
  const message = (rule: string, value: string): string =>
    `1 validation error detected: Value '${value}' at 'records' failed to satisfy constraint: Member must have length ${rule}`;
  await expectRefusal(
    put(Array.from({ length: 501 }, () => entry('x', middle))),
    kinesis.ValidationException,
    message('less than or equal to 500', '[501 members]'),
  );
  await expectRefusal(put([]), kinesis.ValidationException, message('greater than or equal to 1', '[]'));
});

test('"The record size limit applies to the total size of the partition key and data blob": one record too large, and none is stored', async () => {
  const largest = { PartitionKey: 'four', Data: Buffer.alloc(mebibyte - 4), ExplicitHashKey: middle };
  const larger = { ...largest, Data: Buffer.alloc(mebibyte - 3) };
  await expectRefusal(put([entry('small'), larger]), kinesis.InvalidArgumentException);
  expect(await scene.read()).toEqual([]);
  expect((await put([entry('small'), largest])).FailedRecordCount).toBe(0);
});

test('"Each record in the Records array may include an optional parameter, ExplicitHashKey, which overrides the partition key to shard mapping"', async () => {
  const { Records } = await put([entry('a', middle), entry('b', '0'), entry('c', middle)]);
  expect(Records?.map(({ ShardId }) => ShardId)).toEqual([second, first, second]);
});

test('"all data records with the same partition key map to the same shard within the stream"', async () => {
  const keys = Array.from({ length: 50 }, (_, index) => `key ${index % 25}`);
  const { Records = [] } = await put(keys.map((PartitionKey) => ({ PartitionKey, Data: Buffer.from('x') })));
  const shardIds = Records.map(({ ShardId }) => ShardId);
  expect(shardIds.slice(0, 25)).toEqual(shardIds.slice(25));
  expect(new Set(shardIds)).toEqual(new Set([first, second]));
});

test('"Each record in the response array directly correlates with a record in the request array using natural ordering, from the top to the bottom of the request and response"', async () => {
  const texts = Array.from({ length: 40 }, (_, index) => `record ${index}`);
  const { Records = [] } = await put(texts.map((text, index) => entry(text, index % 3 === 0 ? middle : '0')));
  const byNumber = new Map<string | undefined, string>();
  for (const ShardId of [first, second]) {
    const { Records: got = [] } = await scene.get(await scene.iterator({ ShardId }));
    for (const [index, text] of textsOf(got).entries()) byNumber.set(got[index]?.SequenceNumber, text);
  }
  expect(Records.map(({ SequenceNumber }) => byNumber.get(SequenceNumber))).toEqual(texts);
});

test('"The response Records array always includes the same number of records as the request array" and "includes both successfully and unsuccessfully processed records"; "A single record failure does not stop the processing of subsequent records"', async () => {
  await fillUpTo(2);
  const sent = [entry('a'), entry('b'), entry('c'), entry('d', middle), entry('e')];
  const { Records = [], FailedRecordCount } = await put(sent);
  expect(Records.map(({ ShardId }) => ShardId)).toEqual([first, first, undefined, second, undefined]);
  expect(FailedRecordCount).toBe(2);
  expect((await scene.read()).slice(-2)).toEqual(['a', 'b']);
  expect(await scene.read({ ShardId: second })).toEqual(['d']);
});

test('"A successfully processed record includes ShardId and SequenceNumber values"; the SequenceNumber is "unique to all records in the stream"', async () => {
  const { Records = [] } = await put(Array.from({ length: 100 }, (_, index) => entry('x', index % 2 ? '0' : middle)));
  for (const record of Records) {
    expect(Object.keys(record).sort()).toEqual(['SequenceNumber', 'ShardId']);
  }
  expect(new Set(Records.map(({ SequenceNumber }) => SequenceNumber)).size).toBe(100);
});

test('"An unsuccessfully processed record includes ErrorCode and ErrorMessage values"; the ErrorMessage is "including the account ID, stream name, and shard ID of the record that was throttled"', async () => {
  await fillUpTo(0);
  const { Records } = await put([entry('x')]);
  expect(Records).toEqual([
    {
      ErrorCode: 'ProvisionedThroughputExceededException',
      ErrorMessage: `Rate exceeded for shard ${first} in stream ${StreamName} under account 000000000000.`,
    },
  ]);
});

test('"An ErrorCode value of InternalFailure has the error message \'Internal Service Failure\'"', async () => {
  scene.local.faults.add({ kind: 'error', type: 'InternalFailure', perRecord: true, count: 1 });
  const { Records = [] } = await put([entry('x'), entry('y')]);
  scene.local.faults.clear();
  expect(Records.filter(({ ErrorCode }) => ErrorCode !== undefined)).toContainEqual({
    ErrorCode: 'InternalFailure',
    ErrorMessage: 'Internal Service Failure',
  });
});

test('"Each shard can support writes up to 1,000 records per second, up to a maximum data write total of 1 MB per second"', async () => {
  const quarter = 'x'.repeat(mebibyte / 4 - 1);
  const { Records = [] } = await put(Array.from({ length: 6 }, () => entry(quarter)));
  expect(Records.map(({ ErrorCode }) => ErrorCode)).toEqual([
    ...Array<undefined>(4).fill(undefined),
    ...Array<string>(2).fill('ProvisionedThroughputExceededException'),
  ]);
  scene.clock.advance(250);
  expect((await put([entry(quarter)])).FailedRecordCount).toBe(0);
});

test('ResourceNotFoundException: "The requested resource could not be found"', async () => {
  await expectRefusal(
    put([entry('x')], 'absent'),
    kinesis.ResourceNotFoundException,
    'Stream absent under account 000000000000 not found.',
  );
});

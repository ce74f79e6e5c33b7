// GetShardIterator, sentence by sentence. How often it may be asked for is in control-limits.test.ts, dry runs are in dry-run.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, first, hourMs, StreamARN, second, specScene, textsOf } from './spec-scene.ts';

const scene = specScene();

/** Records a, b and c, a second apart; their sequence numbers, and when they came. */
async function putThree(): Promise<{ numbers: (string | undefined)[]; timesMs: number[] }> {
  const numbers: (string | undefined)[] = [];
  const timesMs: number[] = [];
  for (const text of ['a', 'b', 'c']) {
    scene.clock.advance(1000);
    numbers.push((await scene.put(text)).SequenceNumber);
    timesMs.push(scene.clock.wallNow());
  }
  return { numbers, timesMs };
}

test('"A shard iterator expires 5 minutes after it is returned to the requester"; ExpiredIteratorException: "The provided iterator exceeds the maximum age allowed"', async () => {
  const madeMs = scene.clock.wallNow();
  const ShardIterator = await scene.iterator();
  scene.clock.advance(300_000);
  await scene.get(ShardIterator);
  scene.clock.advance(1);
  const at = (ms: number): string => new Date(ms).toUTCString();
  await expectRefusal(
    scene.get(ShardIterator),
    kinesis.ExpiredIteratorException,
    `Iterator expired. The iterator was created at time ${at(madeMs)} while right now it is ${at(madeMs + 300_001)} which is further in the future than the tolerated delay of 300000 milliseconds.`,
  );
});

test('AT_SEQUENCE_NUMBER: "read exactly from the position denoted by a specific sequence number"', async () => {
  const { numbers } = await putThree();
  const ShardIteratorType = 'AT_SEQUENCE_NUMBER';
  for (const [nth, expected] of [['a', 'b', 'c'], ['b', 'c'], ['c']].entries()) {
    expect(await scene.read({ ShardIteratorType, StartingSequenceNumber: numbers[nth] })).toEqual(expected);
  }
});

test('AFTER_SEQUENCE_NUMBER: "read right after the sequence number, using sequence numbers returned by earlier calls to PutRecord, PutRecords, GetRecords, or DescribeStream"', async () => {
  const { numbers } = await putThree();
  const ShardIteratorType = 'AFTER_SEQUENCE_NUMBER';
  for (const [nth, expected] of [['b', 'c'], ['c'], []].entries()) {
    expect(await scene.read({ ShardIteratorType, StartingSequenceNumber: numbers[nth] })).toEqual(expected);
  }
  scene.clock.advance(1000);
  const { Records = [] } = await scene.get(await scene.iterator(), 2);
  const got = Records.at(-1)?.SequenceNumber;
  expect(await scene.read({ ShardIteratorType, StartingSequenceNumber: got })).toEqual(['c']);
  const { Shards = [] } =
    (await scene.client.send(new kinesis.DescribeStreamCommand({ StreamARN }))).StreamDescription ?? {};
  const described = Shards[0]?.SequenceNumberRange?.StartingSequenceNumber;
  expect(await scene.read({ ShardIteratorType, StartingSequenceNumber: described })).toEqual(['a', 'b', 'c']);
});

test('AT_TIMESTAMP: "If a record with this exact time stamp does not exist, the iterator returned is for the next (later) record", "with precision in milliseconds"', async () => {
  const { timesMs } = await putThree();
  const from = (ms = 0): Promise<string[]> =>
    scene.read({ ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(ms) });
  expect(await from(timesMs[1])).toEqual(['b', 'c']);
  expect(await from((timesMs[1] ?? 0) + 1)).toEqual(['c']);
  expect(await from((timesMs[1] ?? 0) - 1)).toEqual(['b', 'c']);
  scene.clock.advance(10);
  expect(await from((timesMs[2] ?? 0) + 1)).toEqual([]);
});

test('AT_TIMESTAMP: "If the time stamp is older than the current trim horizon, the iterator returned is for the oldest untrimmed data record (TRIM_HORIZON)"', async () => {
  await putThree();
  scene.clock.advance(24 * hourMs - 1000);
  const Timestamp = new Date(scene.clock.wallNow() - 1000 * hourMs);
  expect(await scene.read({ ShardIteratorType: 'AT_TIMESTAMP', Timestamp })).toEqual(['b', 'c']);
});

test('TRIM_HORIZON: "Start reading at the last untrimmed record in the shard in the system, which is the oldest data record in the shard"', async () => {
  await putThree();
  expect(await scene.read()).toEqual(['a', 'b', 'c']);
  scene.clock.advance(24 * hourMs);
  expect(await scene.read()).toEqual(['c']);
});

test('LATEST: "Start reading just after the most recent record in the shard, so that you always read the most recent data in the shard"', async () => {
  await putThree();
  const ShardIterator = await scene.iterator({ ShardIteratorType: 'LATEST' });
  expect((await scene.get(ShardIterator)).Records).toEqual([]);
  await scene.put('d');
  expect(textsOf((await scene.get(ShardIterator)).Records)).toEqual(['d']);
});

test('"You must specify the shard iterator type"; what it starts from goes with it: StartingSequenceNumber is "used with shard iterator type AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER", Timestamp "with shard iterator type AT_TIMESTAMP"', async () => {
  const untyped = { ShardIteratorType: undefined as unknown as kinesis.ShardIteratorType };
  await expectRefusal(
    scene.iterator(untyped),
    kinesis.ValidationException,
    "1 validation error detected: Value null at 'shardIteratorType' failed to satisfy constraint: Member must not be null",
  );
  for (const ShardIteratorType of ['AT_SEQUENCE_NUMBER', 'AFTER_SEQUENCE_NUMBER', 'AT_TIMESTAMP'] as const) {
    await expectRefusal(scene.iterator({ ShardIteratorType }), kinesis.InvalidArgumentException);
  }
  const { SequenceNumber: StartingSequenceNumber } = await scene.put('x');
  for (const ShardIteratorType of ['TRIM_HORIZON', 'LATEST'] as const) {
    await expectRefusal(
      scene.iterator({ ShardIteratorType, StartingSequenceNumber }),
      kinesis.InvalidArgumentException,
    );
  }
});

test('"If the shard is closed, GetShardIterator returns a valid iterator for the last sequence number of the shard"', async () => {
  await scene.put('last');
  await scene.split();
  const [parent] = await scene.shards();
  const StartingSequenceNumber = parent?.SequenceNumberRange?.EndingSequenceNumber;
  for (const position of [
    { ShardIteratorType: 'LATEST' },
    { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber },
    { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber },
  ] as const) {
    const read = await scene.get(await scene.iterator(position));
    expect([read.Records, read.NextShardIterator, read.ChildShards?.length]).toEqual([[], undefined, 2]);
  }
  expect(await scene.read()).toEqual(['last']);
});

test('"A sequence number is the identifier associated with every record ingested in the stream" of one shard: one of another shard is an InvalidArgumentException', async () => {
  const { SequenceNumber: StartingSequenceNumber } = await scene.put('x');
  await expectRefusal(
    scene.iterator({ ShardId: second, ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber }),
    kinesis.InvalidArgumentException,
    `Invalid StartingSequenceNumber. It encodes ${first}, while it was used in a call to a shard with ${second}`,
  );
});

test('ResourceNotFoundException: "The requested resource could not be found": a stream, or a shard', async () => {
  await expectRefusal(
    scene.iterator({ ShardId: 'shardId-000000000099' }),
    kinesis.ResourceNotFoundException,
    'Shard shardId-000000000099 in stream orders under account 000000000000 does not exist',
  );
  const absent = new kinesis.GetShardIteratorCommand({
    StreamName: 'absent',
    ShardId: first,
    ShardIteratorType: 'LATEST',
  });
  await expectRefusal(scene.client.send(absent), kinesis.ResourceNotFoundException);
});
